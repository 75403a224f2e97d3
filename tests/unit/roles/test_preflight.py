# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked before deploy writes anything to it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
SCRIPT = ROLES / "node" / "files" / "preflight.py"


@pytest.fixture
def preflight() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preflight", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fit_host_has_no_problem_and_nothing_is_left(preflight: ModuleType, tmp_path: Path) -> None:
    wanted = [str(tmp_path / "usr" / "local" / "bin"), str(tmp_path / "etc")]
    assert preflight.problems(time.time(), True, wanted) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("hours", "way"), [(1, "behind"), (-1, "ahead of")])
def test_a_clock_that_is_an_hour_off(preflight: ModuleType, hours: int, way: str) -> None:
    found = preflight.problems(time.time() + hours * 3600, False, [])
    assert len(found) == 1 and f"s {way} the controller's" in found[0] and "chrony" in found[0]
    assert preflight.problems(time.time() + 60, False, []) == []


def test_a_place_where_nothing_can_be_written(preflight: ModuleType) -> None:
    # as a read-only /var: even root makes no file there
    found = preflight.problems(time.time(), False, ["/proc/sys/hotstandby/lib", "/proc/sys/hotstandby/log"])
    assert len(found) == 1 and found[0].startswith("/proc/sys cannot be written to"), found


def test_a_disk_without_room(preflight: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 100 << 10})
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _path: usage)
    found = preflight.problems(time.time(), False, [str(tmp_path / "lib")])
    assert found == [f"{tmp_path} has only 100 KiB free: make room for 16 MiB"]


def test_a_disk_that_is_full_leaves_nothing(
    preflight: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preflight.os, "fsync", full)
    found = preflight.problems(time.time(), False, [str(tmp_path)])
    assert found == [f"{tmp_path} cannot be written to (No space left on device): mend that"]
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_boto3() -> None:
    argv = [sys.executable, "-I", "-S", str(SCRIPT), str(time.time()), "yes"]
    said = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert len(said["problems"]) == 1 and "install python3-boto3" in said["problems"][0]
    argv[-1] = "no"  # it will have an environment of its own
    said = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert said == {"problems": []}
