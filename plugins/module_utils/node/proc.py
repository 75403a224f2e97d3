# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes as Linux shows them in /proc, and commands run within a limit."""

from __future__ import annotations

import os
import pwd
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Optional

from ..products.base import Process, ProductError, Ran

DEAD = ("Z", "X", "x")
OUTPUT = 16384  # bytes of a command's output that are looked at, from its end
GRACE = 1.0  # seconds between a polite end and SIGKILL
FILES = 65536  # open files a product is allowed at most, if the host's hard limit allows as many


def parse_stat(text: str) -> tuple[str, int, int]:
    """(state letter, process group, start ticks) of /proc/PID/stat; the name in it may hold spaces and parentheses."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[2]), int(fields[19])


def _stat(pid: int) -> Optional[tuple[str, int, int]]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            found = parse_stat(handle.read())
    except (OSError, ValueError, IndexError):
        return None
    return None if found[0] in DEAD else found


def describe(pid: int) -> Optional[Process]:
    """One live process, or None."""
    found = _stat(pid)
    if found is None:
        return None
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        exe = ""  # a kernel thread, or another user's
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            words = handle.read(65536).split(b"\0")[:-1]
    except OSError:
        words = []
    return Process(pid, found[1], found[2], exe, tuple(os.fsdecode(word) for word in words))


def live() -> list[Process]:
    """Every live process but this one."""
    me = os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [item for item in (describe(pid) for pid in pids if pid != me) if item is not None]


def started(pid: int) -> Optional[int]:
    """Start ticks of a live process, or None."""
    found = _stat(pid)
    return None if found is None else found[2]


def end(pid: int, pgid: int, force: bool) -> None:
    """Signal the group that `pid` leads, or `pid` alone when it leads none (or ours). Gone is well."""
    number = signal.SIGKILL if force else signal.SIGTERM
    try:
        if pgid == pid and pgid != os.getpgid(0):
            os.killpg(pgid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or not ours to end: whoever waits for its end sees that it does not come


def age(ticks: int) -> float:
    """Seconds since a process began, by its start ticks; the machine's sleep counts."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def end_exactly(process: Process, force: bool) -> None:
    """Signal that very process: a handle pins it before its start time is compared. Gone is well."""
    number = signal.SIGKILL if force else signal.SIGTERM
    handle: Optional[int] = None
    try:
        try:
            handle = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            handle = None  # gone, or a kernel before 5.3
        if started(process.pid) != process.started:
            return
        if handle is not None:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # as above: whoever waits for its end sees that it does not come
    finally:
        if handle is not None:
            os.close(handle)


def identity(user: Optional[str]) -> dict[str, Any]:
    """Popen's arguments to run as another user; empty when that is us. Raises ProductError."""
    if not user:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ProductError(f"product.user: there is no user '{user}' on this host") from None
    if entry.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise ProductError(f"product.user: only root can run the product's commands as '{user}'")
    return {
        "user": entry.pw_uid,
        "group": entry.pw_gid,
        "extra_groups": os.getgrouplist(user, entry.pw_gid),
    }


def _more_files() -> None:
    """The product refuses to start with the 1,024 open files that services and cron begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ended(process: subprocess.Popen[bytes], limit: float) -> Optional[int]:
    """The exit code of our own child, as soon as it has ended; None when it has not within `limit` seconds."""
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        handle = -1  # a kernel before 5.3
    if handle < 0:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
    try:
        events = select.poll()  # Popen.wait with a limit only looks, each 50 ms
        events.register(handle, select.POLLIN)
        return process.wait() if events.poll(limit * 1000) else None
    finally:
        os.close(handle)


def _end_group(process: subprocess.Popen[bytes], own: bool) -> None:
    """End a command and what it began, but for what left its group."""
    if not own:
        end(process.pid, process.pid, force=True)
        process.wait()
        return
    # it shares our group, which holds nothing but what we began
    group = os.getpgid(0)
    for force in (False, True):
        members = [item for item in live() if item.pgid == group] if group == os.getpid() else []
        for pid in {process.pid, *(item.pid for item in members)}:
            end(pid, 0, force)
        if ended(process, GRACE) is None:
            continue
        if not members or force:
            return
    process.wait()


def _output(lasting: bool) -> IO[bytes]:
    """Where a command may write. A full disk costs the words of a lasting one, never the command: it may be a stop."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        # memory is for what is sure to end
        return open(os.devnull, "w+b") if lasting else os.fdopen(os.memfd_create("output"), "w+b")


def _tail(handle: IO[bytes]) -> str:
    size = handle.seek(0, os.SEEK_END)
    handle.seek(max(0, size - OUTPUT))
    return handle.read(OUTPUT).decode("utf-8", "replace")


def run(
    argv: Sequence[str],
    limit: float,
    env: Optional[Mapping[str, str]] = None,
    user: Optional[str] = None,
    group: str = "new",
) -> Ran:
    """Run a command (see Runner.run). Raises ProductError when it cannot be run."""
    begun = time.monotonic()
    own = group == "own"
    if own:
        _more_files()
    # a file, not a pipe: a daemon that keeps its output open must not hold us up
    with _output(lasting=group != "new") as output:
        try:
            process = subprocess.Popen(
                list(argv),
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=not own,
                **identity(user),
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ProductError(f"{argv[0]} cannot be run: {why}") from None
        try:
            rc = ended(process, max(limit, 0.1))
            if rc is None and group != "left":
                _end_group(process, own)
        except BaseException:
            if group != "left":
                _end_group(process, own)
            raise
        return Ran(rc, _tail(output), time.monotonic() - begun, left=rc is None and group == "left")
