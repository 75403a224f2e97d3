# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""exclusive_job from its arguments to its exit, with real commands and a folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def job(run_module: Run, tmp_path: Path) -> Iterator[Run]:
    """The module with what is always said; signal handlers are put back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}

    def run(*command: str, **more: Any) -> dict[str, Any]:
        given = {
            "store": f"dir:{tmp_path}",
            "job": "j",
            "run": "1",
            "argv": list(command),
            "node": "a",
            **more,
        }
        return run_module("exclusive_job", **given)

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_it_runs_once_and_says_where(job: Run) -> None:
    first = job("sh", "-c", "pwd; echo no >&2", chdir="/")
    assert (first["changed"], first["outcome"], first["rc"], first["ran_on"]) == (True, "ran", 0, "a")
    assert (first["stdout"], first["stderr"]) == ("/\n", "no\n")
    again = job("sh", "-c", "echo again", node="b")
    assert (again["changed"], again["outcome"], again["stdout"]) == (False, "skipped", "")
    assert again["msg"] == "skipped: ran on a"


def test_a_folder_on_the_root_file_system_is_refused_where_it_should_be_mounted(
    job: Run, tmp_path: Path
) -> None:
    for check in (False, True):
        told = job("touch", str(tmp_path / "ran"), store="dir:/", mounted=True, check=check)
        assert (told["failed"], told["code"], told["outcome"]) == (True, "job_not_mounted", "unavailable")
        assert "this node's alone" in told["msg"] and not (tmp_path / "ran").exists()
    told = job("true", store="dynamodb:t", region="x", mounted=True)
    assert told["code"] == "bad_option" and told["msg"].startswith("mounted: is for a folder")


def test_check_mode_reads_and_runs_nothing(job: Run, tmp_path: Path) -> None:
    told = job("touch", str(tmp_path / "ran"), check=True)
    assert (told["changed"], told["outcome"]) == (True, "would_contend") and list(tmp_path.iterdir()) == []
    assert job("true")["changed"]
    told = job("touch", str(tmp_path / "ran"), check=True)
    assert (told["changed"], told["outcome"]) == (False, "skipped") and not (tmp_path / "ran").exists()


def test_a_failure_fails_where_it_ran_and_where_it_is_waited_for(job: Run) -> None:
    failed = job("sh", "-c", "echo why; exit 7")
    assert (failed["failed"], failed["rc"], failed["stdout"], failed["code"]) == (
        True,
        7,
        "why\n",
        "job_failed",
    )
    assert not job("true", node="b").get("failed")
    waited = job("true", node="b", wait=1.0)
    assert (waited["failed"], waited["rc"], waited["code"]) == (True, 7, "job_failed")


def test_a_store_that_is_not_there_fails_and_runs_nothing(job: Run, tmp_path: Path) -> None:
    told = job("touch", str(tmp_path / "ran"), store=f"dir:{tmp_path}/none")
    assert (told["failed"], told["outcome"], told["code"]) == (True, "unavailable", "job_not_done")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "named"), [({"argv": []}, "argv"), ({"job": "a b"}, "job"), ({"lease": 0.0}, "lease"), ({"store": "x"}, "store"), ({"slots": 0}, "slots")]
)  # fmt: skip
def test_bad_options_are_named(job: Run, options: dict[str, Any], named: str) -> None:
    told = job("true", **options)
    assert told["failed"] and told["msg"].startswith(f"{named}:") and told["code"] == "bad_option"
