# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long runs of the built command: its memory does not grow with the keys, a terminal sees progress, cron sees none."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.endpoint.long_run import endless, peak, started

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bin") / "hotstandby.pyz"
    subprocess.run([sys.executable, str(ROOT / "hack/build_zipapp.py"), str(found)], check=True, timeout=120)
    return found


@pytest.mark.parametrize(("words", "few", "many"), [((), 1_000, 10_000), (("--check",), 1_000, 30_000)])
def test_memory_is_flat(program: Path, words: tuple[str, ...], few: int, many: int) -> None:
    small, large = peak(program, few, *words), peak(program, many, *words)
    # one page, and what the allocator keeps of another
    assert large < small + 8 * 1024, f"{small} KiB for {few} keys, {large} KiB for {many}"


def test_a_terminal_sees_progress(program: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with endless(2_500) as url:
            process = started(program, url, stderr=theirs)
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):  # how a terminal tells that nobody writes any more
                while chunk := os.read(ours, 4096):
                    seen += chunk
            answer, _none = process.communicate(timeout=120)
    finally:
        os.close(ours)
    assert process.returncode == 0 and json.loads(answer)["requeued"] == 2_500
    lines = seen.decode().replace("\r\n", "\n").split("\r")
    assert [line.split(" moved")[0] for line in lines if "moved" in line] == ["1000", "2000", "2500"]
    assert seen.endswith(b"\r\n") and seen.count(b"\n") == 1
