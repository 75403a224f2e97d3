# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every stand-in's installation writes: the fronts of its commands, and what they find around themselves."""

from __future__ import annotations

import compileall
import json
import shutil
import sys
from pathlib import Path

# sh runs the second line, Python sees a string there: the processes' command line names the executable itself
FRONT = """#!/bin/sh
''''exec "{python}" -S -E "$0" "$@" # '''
import os, sys
home = os.path.abspath(__file__)
for _level in range({up} + 1):
    home = os.path.dirname(home)
sys.path.insert(0, os.path.join(home, "lib"))
from standins.{product}.{module} import {command}
sys.exit({command}(sys.argv[1:]))
"""


def front(python: str, product: str, module: str, command: str, up: int = 1) -> str:
    """The text of a command that lies `up` directories below the product's own, which holds `lib`."""
    return FRONT.format(python=python, product=product, module=module, command=command, up=up)


def library(target: Path, python: str) -> None:
    """Lay the stand-ins' library into `target`. What another Python is to run is compiled by that one, where it runs."""
    shutil.copytree(
        Path(__file__).resolve().parent,
        target,
        ignore=shutil.ignore_patterns("__pycache__", "install.py"),
        dirs_exist_ok=True,
    )
    if python == sys.executable:
        # a user who may not write there would compile it again at each command
        compileall.compile_dir(target, quiet=1)


def about(root: Path, node: str, state: Path, journal: Path) -> None:
    """Tell the product's commands which node they are on; `state` and `journal` as the node sees them."""
    path = root / "var" / "sandbox" / "node.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"node": node, "state": str(state), "journal": str(journal)}))
