# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of the collection, copied to where ansible-test and ansible-galaxy accept them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEPENDENCIES = ("amazon/aws", "ansible/posix", "community/aws")


def sources() -> list[str]:
    """Paths of all files that are, or are about to be, part of the project."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and (ROOT / name).is_file())


def copy_sources(destination: Path) -> None:
    """Copy the project to `destination`; symbolic links stay links."""
    for name in sources():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)


def copy_dependencies(collections: Path) -> None:
    """Copy the collections ours builds on beside it: on the Python path alone ansible-test misses their fragments."""
    import ansible_collections

    for name in DEPENDENCIES:
        found = [
            Path(place) / name for place in ansible_collections.__path__ if (Path(place) / name).is_dir()
        ]
        shutil.copytree(found[0], collections / name, ignore=shutil.ignore_patterns("__pycache__"))
