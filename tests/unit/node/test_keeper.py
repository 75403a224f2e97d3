# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One keeper for many commands: each has its own files and lease, and none outlives its caller."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Exit
from ansible_collections.hotstandby.ops.plugins.module_utils.node.around import RealAround, boottime
from ansible_collections.hotstandby.ops.plugins.module_utils.node.keeper import Keeping, KeptCommand
from ansible_collections.hotstandby.ops.plugins.module_utils.node.queue_work import body_file

from tests.unit.node.test_run_exclusive import DEAF, lines, still, until


@pytest.fixture
def keeping() -> Iterator[Keeping]:
    made = Keeping()
    yield made
    made.end()


def run(keeping: Keeping, text: str, **how: object) -> Exit:
    command = KeptCommand(["sh", "-c", text], RealAround(), keeping=keeping, **how)  # type: ignore[arg-type]
    command.start(boottime(), math.inf)
    return ended(command)


def ended(command: KeptCommand) -> Exit:
    found = until(lambda: command.wait(60.0))
    assert isinstance(found, Exit)
    return found


def named(path: Path) -> list[str]:
    """The processes whose command line has that path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if str(path).encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found


def test_many_commands_have_one_keeper_and_each_its_own_input(keeping: Keeping, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(5):
        # more than the channel takes at once
        env = {"NUMBER": str(number), "LONG": "x" * 100_000, "MORE": "y" * 100_000}
        message = type("Message", (), {"body": f"body {number}\n"})()
        body = body_file(message)
        assert run(keeping, f'cat >>{log}; echo "$PPID $NUMBER ${{#MORE}}" >>{log}; exit {number}', env=env, files=(body, None, None)).rc == number  # fmt: skip
        os.close(body)
    keeper = lines(log)[1].split()[0]
    assert lines(log) == [
        line for number in range(5) for line in (f"body {number}", f"{keeper} {number} 100000")
    ]


def test_a_command_inherits_no_descriptor(keeping: Keeping, tmp_path: Path) -> None:
    stray = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(stray, True)
    run(keeping, f"ls /proc/self/fd >{tmp_path}/fds")
    os.close(stray)
    assert lines(tmp_path / "fds") == ["0", "1", "2", "3"], "3 is the folder that ls reads"


def test_an_end_that_follows_at_once_is_obeyed(keeping: Keeping) -> None:
    for _time in range(3):
        command = KeptCommand(["sleep", "600"], RealAround(), keeping=keeping)
        command.start(boottime(), math.inf)
        command.end(60.0)
        assert ended(command).rc == 128 + signal.SIGTERM
    # and orders that come too late are nobody else's
    command.end(0.0)
    command.renewed(0.0)
    assert run(keeping, "exit 5").rc == 5


def test_a_lease_that_ended_for_one_command_is_not_the_next_ones(keeping: Keeping) -> None:
    command = KeptCommand(["sleep", "600"], RealAround(), keeping=keeping)
    command.start(boottime(), 0.3)
    assert ended(command).cut
    assert run(keeping, "exit 0") == Exit(0, pytest.approx(boottime(), abs=60), False)


def test_a_keeper_that_was_killed_takes_its_command_with_it_and_is_made_anew(
    keeping: Keeping, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = KeptCommand(["sh", "-c", f"echo $PPID >>{log}; sleep 600"], RealAround(), keeping=keeping)
    command.start(boottime(), math.inf)
    until(lambda: lines(log))
    until(lambda: command.wait(0.01) or command._pid)  # its number is known
    os.kill(int(lines(log)[0]), signal.SIGKILL)
    assert ended(command).rc == 128 + signal.SIGKILL
    assert run(keeping, f"echo $PPID >>{log}").rc == 0
    idle = int(lines(log)[1])
    os.kill(idle, signal.SIGKILL)
    os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT)
    assert run(keeping, "exit 3").rc == 3


def test_a_keeper_that_is_killed_as_soon_as_the_command_began_leaves_none_unwatched(
    keeping: Keeping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = subprocess.Popen

    def begin_and_die(*words: object, **how: object) -> None:
        begin(*words, **how)  # type: ignore[call-overload]
        os.kill(os.getpid(), signal.SIGKILL)

    log = tmp_path / "log"
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", begin_and_die)  # the keeper is forked with it
        command = KeptCommand(["sh", "-c", DEAF.format(log=log)], RealAround(), keeping=keeping)
        command.start(boottime(), math.inf)
    assert ended(command).rc == 128 + signal.SIGKILL
    until(lambda: not named(log))  # it may have been killed before it wrote a line
    assert run(keeping, "exit 4").rc == 4


def test_a_command_begins_with_the_signals_of_any_other(keeping: Keeping, tmp_path: Path) -> None:
    run(keeping, f"grep -E 'Sig(Ign|Cgt|Blk)' /proc/self/status >{tmp_path}/signals")
    told = {line.split()[0]: int(line.split()[1], 16) for line in lines(tmp_path / "signals")}
    assert not any(told[name] & 1 << number - 1 for name in told for number in (1, 2, 13, 15))


def test_no_command_outlives_its_caller(tmp_path: Path) -> None:
    log = tmp_path / "log"
    root = Path(__file__).resolve().parents[3]
    code = (
        "import math, sys\n"
        "from ansible_collections.hotstandby.ops.plugins.module_utils.node.around import RealAround, boottime\n"
        "from ansible_collections.hotstandby.ops.plugins.module_utils.node.keeper import Keeping, KeptCommand\n"
        "keeping = Keeping()\n"
        "for text in ('true', sys.argv[1]):\n"
        "    command = KeptCommand(['sh', '-c', text], RealAround(), keeping=keeping)\n"
        "    command.start(boottime(), math.inf)\n"
        "    while command.wait(60.0) is None: pass\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code, DEAF.format(log=log)],
        env={**os.environ, "PYTHONPATH": str(root / "build/collections")},
    )
    until(lambda: lines(log))
    caller.kill()
    caller.wait()
    until(lambda: still(log))
