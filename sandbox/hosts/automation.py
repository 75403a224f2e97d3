# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which nobody types anything: deployed, the service running, daemons and timers at work, the function in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..control import DEPLOY_SECONDS, playbook
from ..paths import Layout
from ..world.mover import Mover

PERIOD = 60  # seconds between the hosts' own health checks, by their own timers
MINUTE = 60.0  # seconds that the schedule's minute lasts: these hosts bend nothing


class HostMover(Mover):
    """The checks are the hosts' own."""

    def _mend(self, alarm: Any) -> None:
        # who waits for the first whole period of a real minute waits for nothing but that
        alarm.update_state("sandbox begin", "{}", "OK")


def deploy(layout: Layout, env: Mapping[str, str]) -> None:
    """Both playbooks of the collection, as an operator runs them. Raises SandboxError."""
    given = {**env, "ANSIBLE_PIPELINING": "true"}
    playbook(
        layout,
        given,
        layout.deploy_log,
        ["hotstandby.ops.deploy", "-ehotstandby_serve=always"],
        3 * DEPLOY_SECONDS,
    )
    playbook(layout, given, layout.automation_log, ["hotstandby.ops.automation"], 3 * DEPLOY_SECONDS)
