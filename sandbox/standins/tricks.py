# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-ins share: frozen processes, and the start that stalls with the guard that called it."""

from __future__ import annotations

import os

from .words import loads


def frozen(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as handle:
            return handle.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def stall(root: str) -> None:
    """Freeze the guard that called, after it has read the record and before anything is started; then this command."""
    import glob
    import signal

    callers = _ancestors()
    for path in glob.glob(os.path.join(glob.escape(root), "var", "lib", "hotstandby", "*", "lock")):
        pid = _holder(path)
        if pid in callers:  # what a lock file says may be stale: only a caller of ours is ever frozen
            os.kill(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)


def _ancestors() -> list[int]:
    found: list[int] = []
    pid = os.getppid()
    while pid > 1:
        found.append(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as handle:
                pid = int(handle.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return found


def _holder(path: str) -> int:
    """The pid of the start that holds this lock file; 0 when none does."""
    try:
        with open(path, encoding="utf-8") as handle:
            lock = loads(handle.read())
        return int(lock["pid"]) if lock.get("verb") != "stop" else 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0
