# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection and let galaxy-importer judge the tarball. Its warnings count as failures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tree import BIN, ROOT, copy_sources

CONFIG = """[galaxy-importer]
LOG_LEVEL_MAIN = INFO
RUN_ANSIBLE_TEST = False
RUN_ANSIBLE_DOC = True
RUN_ANSIBLE_LINT = False
CHECK_REQUIRED_TAGS = True
OFFLINE_ANSIBLE_LINT = True
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hotstandby-importer-") as name:
        work = Path(name)
        tree = work / "ansible_collections" / "hotstandby" / "ops"
        copy_sources(tree)
        out = ROOT / "build" / "dist"
        build = [
            str(BIN / "ansible-galaxy"),
            "collection",
            "build",
            "--force",
            "--output-path",
            str(out),
            str(tree),
        ]
        subprocess.run(build, check=True)
        (tarball,) = out.glob("hotstandby-ops-*.tar.gz")
        config = work / "importer.cfg"
        config.write_text(CONFIG, encoding="utf-8")
        environment = {
            **os.environ,
            "GALAXY_IMPORTER_CONFIG": str(config),
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        }
        command = [sys.executable, "-m", "galaxy_importer.main", str(tarball)]
        done = subprocess.run(command, cwd=work, env=environment, check=False, capture_output=True, text=True)
        text = done.stdout + done.stderr
        print(text)
        complaints = [line for line in text.splitlines() if line.startswith(("WARNING", "ERROR"))]
        for line in complaints:
            print("COUNTS AS FAILURE:", line)
        return 1 if done.returncode or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
