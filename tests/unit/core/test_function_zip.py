# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The function's zip: the same bytes from the same sources, whole enough to be imported, and nothing of the nodes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def build(target: Path) -> Path:
    argv = [sys.executable, str(ROOT / "hack" / "build_zipapp.py"), str(target), "--function"]
    subprocess.run(argv, check=True, capture_output=True)
    return target


def test_the_zip_is_reproducible_and_its_handler_imports_alone(tmp_path: Path) -> None:
    first, second = build(tmp_path / "a.zip"), build(tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes() and first.read_bytes()[:2] == b"PK"
    names = zipfile.ZipFile(first).namelist()
    assert not [name for name in names if "/node/" in name or "/_a" in name or "__main__" in name]
    code = "import sys; from hotstandby.function import handler; sys.exit('boto3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(first)}, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, "it imports, and does not load boto3 before it is needed"
