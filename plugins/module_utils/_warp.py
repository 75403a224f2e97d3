# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ASTERIA Warp modules share: their options, and the product as it is installed on this host."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from ._ansible import ModuleFailure
from ._hub import ModuleHost
from ._hub_service import Product
from .checks import regexp
from .products.warp import CONTROL, PATTERN, START, STOP, Found, Warp

TREES: dict[str, Any] = {
    "install_dir": {"type": "path", "required": True},
    "data_dir": {"type": "path", "required": True},
}
WARP_OPTIONS: dict[str, Any] = {
    **TREES,
    "user": {"type": "str"},
    "required_services": {"type": "list", "elements": "str", "default": []},
    "status_pattern": {"type": "str", "default": PATTERN},
}
STATUS_TIMEOUT = 10.0  # seconds the product may take to answer while it is waited for


def warp_of(params: Mapping[str, Any]) -> tuple[Warp, ModuleHost]:
    """The product of a module's options. Errors: ModuleFailure when it is not installed there."""
    for name in ("install_dir", "data_dir"):
        if not os.path.isdir(params[name]):
            raise ModuleFailure(f"{name}: {params[name]} is not a directory on this host", code="bad_option")
    pattern = regexp("service", "state")("status_pattern", params["status_pattern"])
    host = ModuleHost()
    warp = Warp(
        params["install_dir"],
        params["data_dir"],
        host,
        params["user"],
        tuple(params["required_services"]),
        pattern,
    )
    for name in (START, STOP, CONTROL):
        program = os.path.join(params["install_dir"], name)
        if not host.is_program(program):
            raise ModuleFailure(
                f"install_dir: {program} is not an executable file on this host", code="bad_option"
            )
    return warp, host


def ask_warp(warp: Warp, timeout: float) -> dict[str, Any]:
    """Ask the product whether it runs: {running, state, pid, services, msg, seconds}. Errors: ModuleFailure."""
    begun = time.monotonic()
    found: Found = warp.look(timeout)
    return {
        "running": found.status.state == "running",
        "state": found.status.state,
        "pid": found.pid,
        "services": found.services,
        "msg": found.status.message,
        "seconds": round(time.monotonic() - begun, 3),
    }


class WarpProduct(Product):
    """The product's own commands, on a node of no pair."""

    start_words, stop_words = "flowsvc", "fsstop"

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params, warp_of(params))

    def ask(self) -> str:
        return str(ask_warp(self._product, STATUS_TIMEOUT)["state"])
