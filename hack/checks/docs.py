# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""antsibull-docs on a copy beside the collections whose documentation fragments ours uses."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tree import BIN, ROOT, copy_dependencies, copy_sources


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hotstandby-docs-") as name:
        collections = Path(name) / "ansible_collections"
        tree = collections / "hotstandby" / "ops"
        copy_sources(tree)
        copy_dependencies(collections)
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": name,
            # it copies dependencies by git where they lie in a checkout, and .venv is ignored there: an empty copy
            "GIT_CEILING_DIRECTORIES": str(ROOT),
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        }
        command = [
            *(str(BIN / "antsibull-docs"), "lint-collection-docs", "--plugin-docs", "--skip-rstcheck"),
            *("--validate-collection-refs", "dependent", str(tree)),
        ]
        return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
