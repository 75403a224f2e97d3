# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The products: how each is started, stopped and judged."""

from __future__ import annotations

from ..pair import PairSpec
from .base import Product, Runner
from .hub import Hub
from .systemd import Systemd
from .warp import PATTERN, Warp


def product_for(pair: PairSpec, node_name: str, runner: Runner) -> Product:
    """The product of a pair as it is installed on one node."""
    settings = pair.product_of(node_name)
    if pair.service == "systemd":
        return Systemd(str(settings["unit"]), runner)
    if pair.service == "asteria_warp":
        return Warp(
            str(settings["install_dir"]),
            str(settings["data_dir"]),
            runner,
            settings.get("user"),
            tuple(settings.get("required_services", ())),
            str(settings.get("status_pattern", PATTERN)),
        )
    return Hub(str(settings["exe"]), str(settings["etc"]), runner, settings.get("user"))
