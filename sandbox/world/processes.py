# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every process of a node, whoever started it and wherever it went: found in /proc, never by a pid kept aside."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..standins.journal import Journal

VARIABLE = "SANDBOX_NODE"
OWNER = "SANDBOX_STATE"
RUN = "SANDBOX_RUN"  # what a tester marks a run of a playbook with, so that a trap finds all of it
ENDED = (b"Z", b"X")
FROZEN = (b"T", b"t")
KILL = signal.SIGKILL

# programs of a node that somebody started without its environment, by what they run
_PROGRAMS = ("usr/local/lib/hotstandby/", "usr/local/bin/", "opt/hub/bin/", "opt/warp/")


class Stubborn(RuntimeError):
    """Processes that neither end nor freeze."""


def label(state: str, node: str) -> str:
    """The value of SANDBOX_NODE."""
    return f"{state}:{node}"


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as handle:
            return handle.read()
    except OSError:
        return b""


def _environment(pid: int) -> bytes:
    """A process's environment, each entry between zero bytes. While it executes a new program there is none to be
    seen for a moment: it is looked at again, or it would slip through."""
    for _turn in range(5):
        data = _read(pid, "environ")
        if data or state_of(pid) in ENDED or not _program(pid):
            break
        time.sleep(0.001)
    return b"\0" + data + b"\0"


def _program(pid: int) -> bool:
    """Whether it runs a program that may be read: the kernel's own threads do not."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return os.access(f"/proc/{pid}/environ", os.R_OK)


def state_of(pid: int) -> bytes:
    """The kernel's letter for a process; X when there is none."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return fields[0] if fields else b"X"


def command(pid: int) -> list[bytes]:
    """The words of a process's command line."""
    return _read(pid, "cmdline").split(b"\0")


def _pids() -> list[int]:
    me = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != me]


def _select(wanted: Callable[[int], bool]) -> list[int]:
    return [pid for pid in _pids() if wanted(pid) and state_of(pid) not in ENDED]


def with_environment(variable: str, value: str, prefix: bool = False) -> list[int]:
    """Live processes (not this one) whose environment has that variable with that value, or with one so beginning."""
    entry = f"\0{variable}={value}".encode() + (b"" if prefix else b"\0")
    return _select(lambda pid: entry in _environment(pid))


def find(state: str, node: str) -> list[int]:
    """Every live process of a node: by its environment, or because it runs a program of the node's own."""
    entry = f"\0{VARIABLE}={label(state, node)}\0".encode()
    root = os.path.join(state, "nodes", node)
    programs = tuple(os.path.join(root, program).encode() for program in _PROGRAMS)

    def wanted(pid: int) -> bool:
        if entry in _environment(pid):
            return True
        return any(word.startswith(programs) for word in command(pid)[:4])

    return _select(wanted)


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def until_none(found: Callable[[], list[int]], number: int, seconds: float = 10.0) -> int:
    """Send the signal until nothing is found, twice in a row: what forks meanwhile is found too. Returns how many."""
    seen: set[int] = set()
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 2:
        pids = found()
        quiet = 0 if pids else quiet + 1
        seen.update(pids)
        _send(pids, number)
        if pids:
            if time.monotonic() > end:
                raise Stubborn(f"signal {number} has no effect on {pids}")
            time.sleep(0.005)
    return len(seen)


def kill(state: str, node: str) -> int:
    """End every process of a node with SIGKILL; returns once none is left, with their number."""
    return until_none(lambda: find(state, node), signal.SIGKILL)


def kill_all(variable: str, value: str, prefix: bool = False) -> int:
    """End with SIGKILL every process with that environment."""
    return until_none(lambda: with_environment(variable, value, prefix), signal.SIGKILL)


def freeze_all(variable: str, value: str) -> int:
    """Stop every process with that environment."""
    return until_none(
        lambda: [pid for pid in with_environment(variable, value) if state_of(pid) not in FROZEN],
        signal.SIGSTOP,
    )


def thaw_all(variable: str, value: str) -> int:
    """Let them go on."""
    return until_none(
        lambda: [pid for pid in with_environment(variable, value) if state_of(pid) in FROZEN], signal.SIGCONT
    )


def kill_pids(pids: list[int]) -> None:
    """End these, which the caller has just found, with SIGKILL; returns once they have ended."""
    until_none(lambda: [pid for pid in pids if state_of(pid) not in ENDED], signal.SIGKILL)


def freeze(state: str, node: str, journal: Path) -> int:
    """Stop every process of a node. The journal's lock is held meanwhile, so that none freezes with it."""
    with Journal(str(journal)).lock():
        return until_none(
            lambda: [pid for pid in find(state, node) if state_of(pid) not in FROZEN], signal.SIGSTOP
        )


def thaw(state: str, node: str) -> int:
    """Let every frozen process of a node go on."""
    return until_none(lambda: [pid for pid in find(state, node) if state_of(pid) in FROZEN], signal.SIGCONT)
