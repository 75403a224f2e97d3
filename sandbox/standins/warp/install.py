# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the stand-in of ASTERIA Warp into a node: INSTALL_DIR `<root>/opt/warp` and a DATA_DIR beside it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ..install import about, front, library
from .setting import DATA

COMMANDS = {
    "boot/bin/flowsvc": ("flow", "flowsvc"),
    "boot/bin/fsstop": ("control", "fsstop"),
    "server/bin/fsctrl": ("control", "fsctrl"),
    "jre/bin/java": ("flow", "java"),
}
MONTH = 30 * 86400.0


def licence(server: str, expires: float) -> str:
    """A licence file's text."""
    return f"server={server}\nexpires={expires:.0f}\n"


def install(
    root: Path,
    node: str,
    state: Path,
    journal: Path,
    python: str = sys.executable,
    trees: Path | None = None,
    bare: bool = False,
) -> tuple[Path, Path]:
    """Install into the node whose files are below `root`; returns (INSTALL_DIR, DATA_DIR). What is in the data stays.

    `journal` and `python` are paths as the node sees them. With `trees` both trees lie in that shared folder; a `bare`
    node only has it mounted.
    """
    home, data = root / "opt" / "warp", root / DATA
    if trees is not None:
        for path, name in ((home, "install"), (data, "data")):
            (trees / name).mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_symlink():
                path.symlink_to(trees / name)
    # beside the tree, not in it: that is copied to the other node
    library(root / "opt" / "lib" / "standins", python)
    about(root, node, state, journal)
    if bare:
        return home, data
    for name, (module, command) in COMMANDS.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(front(python, "warp", module, command, up=3))
        path.chmod(0o755)
    ordinary = {
        home / "server" / "license" / "third-party.txt": "Apache License 2.0\n",
        home / "server" / "lib" / "flow.jar": "not a real archive\n",
        data / "home" / "app" / "project.xml": "<project/>\n",
        data / "home" / "app" / "system" / "license" / "readme.txt": "an ordinary file\n",
        data / "home" / "app" / "system" / "conf" / "server.xconf": "<an ordinary file/>\n",
        data / "system" / "lib" / "driver.jar": "not a real archive\n",
        data / "system" / "conf" / "flow.xconf": "<flow/>\n",
        data
        / "system"
        / "conf"
        / "server.xconf": f'<config><server id="{node}-1" name="{node}"/></config>\n',
        data / "system" / "license" / f"{node}.key": licence(node, time.time() + MONTH),
    }
    for path, text in ordinary.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text)
    (data / "log").mkdir(exist_ok=True)
    return home, data
