# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing by a command, with real little scripts that behave as fence-agents do: 0 on, 2 off, 1 an error."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import (
    CommandFence,
    Fenced,
    filled,
    run_agent,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import Node
from ansible_collections.hotstandby.ops.plugins.module_utils.record import RecordUnreadable

from tests.simulation.aws import Clock

NODE = Node("hub-a", "i-0aaaaaaaaaaaaaaaa")
Script = Callable[[str], str]


class Real(Clock):
    """Simulated waits beside the real time that a real command takes."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()

    def monotonic(self) -> float:
        return self.now + time.monotonic() - self.began


class Hold:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.readied = self.paused = 0

    def ready(self) -> None:
        self.readied += 1

    def pause(self, seconds: float) -> None:
        self.paused += 1
        self.clock.sleep(seconds)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make an executable of this shell text; its working files are in $HERE."""

    def make(text: str) -> str:
        path = tmp_path / f"fence_{len(list(tmp_path.iterdir()))}"
        path.write_text(f'#!/bin/sh\nHERE={tmp_path}\necho "$@" >> $HERE/calls\n{text}\n', encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


AGENT = """case "$*" in
  *--action=off*) [ -e $HERE/stuck ] || touch $HERE/off ;;
  *--action=status*) if [ -e $HERE/off ]; then echo off; exit 2; fi; echo on ;;
  *) exit 1 ;;
esac"""


def fence(
    argv: list[str], timeout: float = 30, late: Callable[[], str | None] = lambda: None
) -> tuple[Fenced, Clock, Hold]:
    clock = Real()
    hold = Hold(clock)
    return CommandFence(argv, timeout).off(NODE, hold, clock, late), clock, hold


def test_off_then_status_proves(script: Script, tmp_path: Path) -> None:
    found, _clock, hold = fence([script(AGENT), "--plug={instance_id}", "--name", "{node}"])
    assert found.kind == "proven" and "hub-a is off" in found.why and hold.readied == 1
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--plug=i-0aaaaaaaaaaaaaaaa --name hub-a --action=off",
        "--plug=i-0aaaaaaaaaaaaaaaa --name hub-a --action=status",
    ]


def test_an_off_that_ends_well_is_no_proof_without_the_status(script: Script, tmp_path: Path) -> None:
    agent = script(AGENT)
    (tmp_path / "stuck").touch()
    found, clock, hold = fence([agent], timeout=10)
    assert found.kind == "unfinished" and clock.monotonic() >= 10 and clock.now < 16 and hold.readied > 2


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_only_two_means_off(script: Script, code: int) -> None:
    agent = script(f'case "$*" in *off*) ;; *) exit {code} ;; esac')
    assert fence([agent], timeout=3)[0].kind == "unfinished"


def test_an_off_that_fails_is_tried_again_and_the_status_decides(script: Script) -> None:
    agent = script(
        'case "$*" in *off*) echo x >> $HERE/tries; [ $(wc -l < $HERE/tries) -ge 3 ] && touch $HERE/off; exit 1 ;;'
        " *) [ -e $HERE/off ] && exit 2; exit 0 ;; esac"
    )
    found, _clock, hold = fence([agent])
    assert found.kind == "proven" and hold.readied == 3


def test_a_command_that_was_called_wrongly_proves_nothing_although_it_ends_with_two(script: Script) -> None:
    # getopt, argparse and the shell itself end with 2 when they do not understand what they are told
    found, _clock, _hold = fence([script("echo 'usage: tool [-f]' >&2; exit 2")], timeout=3)
    assert found.kind == "unfinished" and "usage" in found.why


def test_a_command_that_is_missing_or_no_program_will_not_work(tmp_path: Path) -> None:
    found, clock, _hold = fence([str(tmp_path / "nowhere")])
    assert found.kind == "impossible" and "No such file" in found.why and clock.now == 0
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert fence([str(plain)])[0].kind == "impossible"


def test_a_hanging_off_is_ended_and_proves_nothing(script: Script) -> None:
    agent = script('case "$*" in *off*) exec sleep 60 ;; *) exit 2 ;; esac')
    began = time.monotonic()
    found, _clock, _hold = fence([agent], timeout=1)
    assert time.monotonic() - began < 40
    # whether it powered anything off is not known, and its status may be from before
    assert found.kind == "unfinished"


def test_the_lease_is_kept_while_a_command_runs(script: Script) -> None:
    agent = script('case "$*" in *off*) sleep 1.3 ;; *) exit 2 ;; esac')
    found, _clock, hold = fence([agent])
    assert found.kind == "proven" and hold.paused >= 1


def test_a_lease_that_is_lost_meanwhile_ends_the_command(script: Script, tmp_path: Path) -> None:
    agent = script("sleep 1.5; touch $HERE/acted")

    def lost() -> None:
        raise RecordUnreadable("lost")

    with pytest.raises(RecordUnreadable):
        run_agent([agent], 30, lost)
    time.sleep(0.8)
    assert not (tmp_path / "acted").exists(), "it would have acted without the lease"


def test_a_hanging_status_proves_nothing(script: Script) -> None:
    agent = script('case "$*" in *off*) ;; *) exec sleep 60 ;; esac')
    assert fence([agent], timeout=1)[0].kind == "unfinished"


@pytest.mark.parametrize("then", ["wait", "exit 0"])
def test_a_hanging_command_takes_its_children_along(script: Script, tmp_path: Path, then: str) -> None:
    agent = script(f"sleep 61 & echo $! > $HERE/child; {then}")
    rc, said = run_agent([agent], 0.5)
    assert rc is None and "did not end within" in said
    child = int((tmp_path / "child").read_text())
    for _attempt in range(50):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] == "Z":
            return
        time.sleep(0.02)
    os.kill(child, 9)
    pytest.fail("the child of a fence command that was ended lives on, and may act later")


def test_a_late_answer_is_a_proof_too(script: Script) -> None:
    agent = script("exit 1")
    assert fence([agent], late=lambda: "late")[0] == Fenced("proven", "late")


def test_a_child_that_was_let_go_in_good_order_lives_on(script: Script, tmp_path: Path) -> None:
    agent = script("(sleep 0.4; touch $HERE/later) >/dev/null 2>&1 & exit 0")
    assert run_agent([agent], 5) == (0, "")
    time.sleep(0.8)
    assert (tmp_path / "later").exists()


def test_the_action_may_stand_anywhere(script: Script, tmp_path: Path) -> None:
    agent = script('[ "$2" = status ] && exit 2; exit 0')
    assert fence([agent, "-o", "{action}", "{other}"])[0].kind == "proven"
    assert (tmp_path / "calls").read_text().splitlines() == ["-o off {other}", "-o status {other}"]


def test_no_value_reaches_a_shell(script: Script, tmp_path: Path) -> None:
    agent = script("exit 2")
    run_agent([agent, "$(touch /tmp/never); `id`", "a b"], 5)
    assert (tmp_path / "calls").read_text() == "$(touch /tmp/never); `id` a b\n"
    assert filled(["{node}", "{x}", "a{node}b"], {"node": "$HOME"}) == ["$HOME", "{x}", "a$HOMEb"]


def test_output_that_is_no_text_is_no_trouble(script: Script) -> None:
    agent = script("printf '\\377\\376\\n' >&2; exit 3")
    rc, said = run_agent([agent], 5)
    assert rc == 3 and len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo a; echo b", "b"),
        ("echo out; echo err >&2", "err"),
        ("true", ""),
        ("echo; echo '  x  '; echo", "x"),
    ],
)
def test_what_a_command_said(script: Script, text: str, said: str) -> None:
    assert run_agent([script(text)], 5) == (0, said)


@pytest.mark.parametrize(
    ("text", "answer", "detail"),
    [("exit 0", "yes", "on"), ("exit 2", "no", "ended with 2 (off) for hub-a, which is on: wrong plug or wrong arguments"),
     ("echo no way >&2; exit 1", "unknown", "no way"), ("exit 9", "unknown", "exit code 9")],
)  # fmt: skip
def test_whether_it_could_work(script: Script, tmp_path: Path, text: str, answer: str, detail: str) -> None:
    found = CommandFence([script(text)], 5).can_work(NODE)
    assert (found.answer, found.detail) == (answer, detail)
    assert "off" not in (tmp_path / "calls").read_text()
    assert CommandFence([str(tmp_path / "none")], 5).can_work(NODE).no


def test_a_lost_lease_runs_nothing(script: Script, tmp_path: Path) -> None:
    class Lost(Hold):
        def ready(self) -> None:
            raise RecordUnreadable("too slow")

    clock = Clock()
    with pytest.raises(RecordUnreadable):
        CommandFence([script(AGENT)], 5).off(NODE, Lost(clock), clock, lambda: None)
    assert not (tmp_path / "calls").exists()


def test_a_command_that_is_gone_when_it_is_ended_is_no_trouble_and_its_output_is_let_go(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[subprocess.Popen[str]] = []
    popen, killpg = subprocess.Popen, os.killpg

    def made(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        children.append(popen(*arguments, **options))
        return children[-1]

    def gone(pid: int, number: int) -> None:
        killpg(pid, number)
        raise ProcessLookupError

    monkeypatch.setattr(subprocess, "Popen", made)
    monkeypatch.setattr(os, "killpg", gone)
    rc, said = run_agent([script("exec sleep 60")], 0.1)
    assert rc is None and "did not end within" in said
    assert children[0].returncode == -9, "no zombie is left"
    assert (
        children[0].stdout and children[0].stdout.closed and children[0].stderr and children[0].stderr.closed
    )


def test_a_command_reads_nothing_of_whoever_runs_it(script: Script) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a secret\n")
    os.close(writing)
    mine = os.dup(0)
    os.dup2(reading, 0)
    try:
        assert run_agent([script("cat")], 5) == (0, "")
    finally:
        os.dup2(mine, 0)
        os.close(mine)
        os.close(reading)


def test_a_long_line_is_cut(script: Script) -> None:
    rc, said = run_agent([script("printf '%0300d\\n' 7")], 5)
    assert (rc, said) == (0, "0" * 200)
