# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the stand-in of HULFT-HUB into a node: `<root>/opt/hub/bin` and the library beside it."""

from __future__ import annotations

import sys
from pathlib import Path

from ..install import about, front, library

COMMANDS = {"hubcluster": "cluster", "hubstop": "stop", "hubd": "daemons", "hubmgrd": "daemons"}


def install(root: Path, node: str, state: Path, journal: Path, python: str = sys.executable) -> Path:
    """Install into the node whose files are below `root`; returns the product's executable directory. `journal` and
    `python` are paths as the node sees them."""
    exe = root / "opt" / "hub" / "bin"
    exe.mkdir(parents=True, exist_ok=True)
    library(root / "opt" / "hub" / "lib" / "standins", python)
    for command, module in COMMANDS.items():
        path = exe / command
        path.write_text(front(python, "hub", module, command))
        path.chmod(0o755)
    about(root, node, state, journal)
    return exe
