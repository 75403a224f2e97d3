# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`run-exclusive` with real processes and a folder: one runs, the others skip; whoever loses the right to run is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = "from ansible_collections.hotstandby.ops.plugins.module_utils.node.main import entry; entry()"
Start = Callable[..., "subprocess.Popen[str]"]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the condition gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `run-exclusive` as a node."""
    (tmp_path / "store").mkdir()
    made: list[subprocess.Popen[str]] = []

    def begin(node: str, *words: str, command: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RD_"))}
        options = {"--store": f"dir:{tmp_path / 'store'}", "--job": "nightly", "--run": "1", "--lease": "20"}
        given = dict(zip(words[::2], words[1::2]))
        pairs = [word for key, value in {**options, **given}.items() if value for word in (key, value)]
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, "run-exclusive", *pairs, "--", *(command or ("true",))],
            env={**kept, "PYTHONPATH": str(ROOT / "build/collections"), "HOTSTANDBY_NODE": node, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        made.append(process)
        return process

    yield begin
    for process in made:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """(exit code, the last line, everything else it printed)."""
    out, err = process.communicate(timeout=120)
    *rest, last = out.splitlines()
    return process.returncode, json.loads(last), "\n".join(rest) + err


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_one_of_three_runs_to_its_end(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    parts = [start(node, command=shell(f"echo ran >>{log}; echo out")) for node in ("a", "b", "c")]
    found = [ended(part) for part in parts]
    assert [code for code, _answer, _rest in found] == [0, 0, 0] and lines(log) == ["ran"]
    (winner,) = [answer for _code, answer, _rest in found if answer["outcome"] == "ran"]
    skipped = [answer["message"] for _code, answer, _rest in found if answer["outcome"] == "skipped"]
    assert len(skipped) == 2 and all(text in (f"skipped: ran on {winner['node']}", f"skipped: runs on {winner['node']}") for text in skipped)  # fmt: skip
    assert [rest for _code, _answer, rest in found].count("out") == 1
    code, answer, _rest = ended(start("late"))
    assert (code, answer["message"]) == (0, f"skipped: ran on {winner['node']}")


def test_a_failure_is_the_commands_own_code_and_the_next_run_is_free(start: Start) -> None:
    code, answer, _rest = ended(start("a", command=shell("exit 7")))
    assert (code, answer["outcome"], answer["rc"]) == (7, "ran", 7)
    assert ended(start("b"))[0] == 0
    code, answer, _rest = ended(start("b", "--wait", "30"))
    assert (code, answer["outcome"]) == (7, "skipped")
    assert ended(start("b", "--run", "2"))[1]["outcome"] == "ran"


def test_next_gives_a_failed_run_to_another_node(start: Start, tmp_path: Path) -> None:
    first = start("a", "--after-failure", "next", "--wait", "60", command=shell("exit 7"))
    folder = tmp_path / "store" / "nightly.jobs" / "run-1"
    until(lambda: any('"rc":7' in record.read_text() for record in folder.glob("0*")))
    code, answer, _rest = ended(start("b", "--after-failure", "next", "--wait", "60"))
    assert (code, answer["outcome"]) == (0, "ran")
    code, answer, _rest = ended(first)
    assert (code, answer["node"]) == (0, "b") and answer["message"].startswith("failed here with 7; ran on b")


def test_a_command_that_cannot_be_run_is_a_failure(start: Start) -> None:
    code, answer, rest = ended(start("a", command=("no-such-command",)))
    assert (code, answer["rc"]) == (127, 127) and "no-such-command cannot be run" in rest


def test_a_store_that_is_not_there_runs_nothing(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, answer, rest = ended(
        start("a", "--store", f"dir:{tmp_path}/none", command=shell(f"echo ran >>{log}"))
    )
    assert (code, answer["outcome"]) == (75, "unavailable") and not lines(log) and "not run" in rest


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--lease", "0.1"), "lease"),
        (("--job", "a/b"), "job"),
        (("--run", "a b"), "run"),
        (("--store", "s3:x"), "store"),
        (("--store", "dynamodb:t"), "region"),
    ],
)
def test_bad_options_are_named_and_run_nothing(
    start: Start, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    code, answer, _rest = ended(start("a", *words, command=shell(f"echo ran >>{tmp_path / 'log'}")))
    assert code == 1 and answer["message"].startswith(f"{named}:") and not lines(tmp_path / "log")


def test_a_run_is_named_by_rundeck_or_by_its_tick(start: Start) -> None:
    assert ended(start("a", "--run", "", RD_JOB_EXECID="4711"))[1]["run"] == "4711"
    assert ended(start("a", "--run", "", "--every", "86400"))[1]["run"].endswith("T00:00:00Z")


DEAF = "trap '' TERM; (trap '' TERM; while :; do echo child >>{log}; sleep 0.1; done) & while :; do sleep 0.1; done"


def still(log: Path) -> bool:
    """Whether nothing writes there any more."""
    before = len(lines(log))
    time.sleep(0.4)
    return before > 0 and len(lines(log)) == before


def test_a_killed_winner_takes_its_command_with_it_and_is_replaced(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start("a", "--lease", "4", command=shell(DEAF.format(log=log)))
    until(lambda: lines(log))
    first.kill()
    code, answer, _rest = ended(start("b"))
    assert (code, answer["outcome"], answer["took_over"]) == (0, "ran", "a")
    until(lambda: still(log))


def test_a_frozen_winner_loses_its_command_and_cannot_record(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start("a", "--lease", "4", command=shell(DEAF.format(log=log)))
    until(lambda: lines(log))
    os.kill(first.pid, signal.SIGSTOP)
    code, answer, _rest = ended(start("b"))
    assert (code, answer["outcome"], answer["took_over"]) == (0, "ran", "a")
    assert still(log), "its keeper ended the group before anybody else began"
    os.kill(first.pid, signal.SIGCONT)
    code, answer, _rest = ended(first)
    assert (code, answer["outcome"]) == (75, "lost") and "refused" in answer["message"]
    assert ended(start("c"))[1]["message"] == "skipped: ran on b"


def test_a_lost_store_ends_the_command_with_its_whole_group(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start("a", "--lease", "4", command=shell(DEAF.format(log=log)))
    until(lambda: lines(log))
    (tmp_path / "store").rename(tmp_path / "gone")
    until(lambda: still(log))
    (tmp_path / "gone").rename(tmp_path / "store")
    code, answer, _rest = ended(first)
    assert (code, answer["outcome"]) == (75, "interrupted")
    assert ended(start("b"))[1]["outcome"] == "ran", "the run is free again"


def test_sigterm_reaches_the_command_and_gives_the_run_back(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start(
        "a",
        command=shell(f"trap 'echo term >>{log}; exit 9' TERM; echo up >>{log}; while :; do sleep 0.1; done"),
    )
    until(lambda: lines(log))
    first.terminate()
    code, answer, _rest = ended(first)
    assert (code, answer["outcome"], answer["rc"]) == (75, "interrupted", 9) and lines(log) == ["up", "term"]
    assert ended(start("b"))[1]["outcome"] == "ran"


def test_slots_bound_how_many_run_at_once(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    parts = [
        start(f"n{number}", "--slots", "2", command=shell(f"echo + >>{log}; sleep 0.3; echo - >>{log}"))
        for number in range(4)
    ]
    told = [ended(part) for part in parts]
    assert [code for code, _answer, _rest in told] == [0] * 4, told
    now = most = 0
    for line in lines(log):
        now += 1 if line == "+" else -1
        most = max(most, now)
    # a busy machine may start one so late that another has ended
    assert most in (1, 2) and lines(log).count("+") == 4
    full = start("n0", "--slots", "1", command=shell(f"echo up >>{log}2; sleep 60"))
    until(lambda: lines(Path(f"{log}2")))
    code, answer, _rest = ended(start("n1", "--slots", "1", "--wait", "0"))
    assert (code, answer["outcome"]) == (75, "busy") and "n0" in answer["message"]
    full.terminate()


def test_a_report_leaves_the_output_to_the_command(start: Start, tmp_path: Path) -> None:
    process = start("a", "--report", str(tmp_path / "report"), command=shell("echo only this"))
    assert process.communicate(timeout=60)[0] == "only this\n"
    assert json.loads((tmp_path / "report").read_text())["outcome"] == "ran"
