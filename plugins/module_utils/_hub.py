# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HULFT-HUB modules share: their options, and the product as it is installed on this host."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ._ansible import ModuleFailure
from .node.real import RealHost
from .products.base import ProductError, Ran
from .products.hub import BROKEN, Hub

HUB_OPTIONS: dict[str, Any] = {
    "exe": {"type": "path", "required": True},
    "etc": {"type": "path", "required": True},
    "user": {"type": "str"},
}


class ModuleHost(RealHost):
    """This host; remembers the last command, since people want to see what it printed."""

    last: Optional[Ran] = None

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Optional[Mapping[str, str]] = None,
        user: Optional[str] = None,
        group: str = "new",
    ) -> Ran:
        """See Runner.run. Errors: ModuleFailure."""
        try:
            self.last = super().run(argv, limit, env, user, group)
        except ProductError as error:
            # the core names the pair's key, a module its option
            text = str(error)
            raise ModuleFailure(
                text[len("product.") :] if text.startswith("product.") else text, code="check_broken"
            ) from None
        return self.last


def hub_of(params: Mapping[str, Any]) -> tuple[Hub, ModuleHost]:
    """The product of a module's options. Errors: ModuleFailure when it is not installed there."""
    host = ModuleHost()
    hub = Hub(params["exe"], params["etc"], host, params["user"])
    for name in ("hubcluster", "hubstop"):
        program = os.path.join(params["exe"], name)
        if not host.is_program(program):
            raise ModuleFailure(f"exe: {program} is not an executable file on this host", code="bad_option")
    return hub, host


def ask_status(hub: Hub, host: ModuleHost, timeout: float) -> dict[str, Any]:
    """Ask the product whether it runs: {running, state, rc, stdout, seconds}. Errors: ModuleFailure."""
    status = hub.status(timeout)
    if status.rc in BROKEN:
        raise ModuleFailure(f"{status.message}: mend exe, etc or user", rc=status.rc, code="check_broken")
    ran = host.last
    return {
        "running": status.state == "running",
        "state": status.state,
        "rc": status.rc,
        "stdout": ran.output if ran else "",
        "seconds": round(ran.seconds, 3) if ran else 0.0,
    }
