# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity on a copy, since it refuses to work through a link. Arguments are passed on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tree import BIN, copy_dependencies, copy_sources


def real_interpreters(path: str) -> str:
    """PATH with every version manager's shims replaced by the interpreters behind them: a shim of a version that was
    not chosen answers, and fails."""
    real: list[str] = []
    rest: list[str] = []
    for directory in path.split(os.pathsep):
        if Path(directory).name != "shims":
            rest.append(directory)
            continue
        found = [
            *Path(directory).parent.glob("versions/*/bin"),
            *Path(directory).parent.glob("installs/python/*/bin"),
        ]
        real += [str(place) for place in sorted(found) if (place / "python3").exists()]
    return os.pathsep.join([*real, *rest])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hotstandby-sanity-") as name:
        collections = Path(name) / "ansible_collections"
        tree = collections / "hotstandby" / "ops"
        copy_sources(tree)
        ignores = sorted((tree / "tests" / "sanity").glob("ignore*"))
        if ignores:
            print(f"sanity has to pass without ignore files: {[path.name for path in ignores]}")
            return 1
        copy_dependencies(collections)
        # ansible-test takes the list of files from git
        for command in (["git", "init", "-q"], ["git", "add", "-A"]):
            subprocess.run(command, cwd=tree, check=True)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(BIN), real_interpreters(os.environ.get("PATH", ""))]),
        }
        environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
        command = [str(BIN / "ansible-test"), "sanity", "--color", "no", *sys.argv[1:]]
        return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
