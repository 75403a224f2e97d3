# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command in a process group of its own, and its keeper: a small process that ends the group when the lease is not
renewed in time (the caller may be frozen or cut off) and when the caller dies, so that no command outlives its right to run."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Optional

from .. import jobs
from ..jobs_run import Exit
from .around import SIGNALS, RealAround, boottime

POLL = 0.05  # seconds between two looks at a group whose leader has ended
NOT_FOUND, NOT_RUN = 127, 126


def _nothing(*_arguments: Any) -> None:
    """A handler: unlike SIG_IGN it is not inherited by what is executed."""


def _signal_group(pgid: int, number: int) -> bool:
    """Whether the group still has somebody in it."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class _Keeper:
    """The small process. Reads orders from `orders`, tells on `answers`."""

    def __init__(self, orders: int, answers: int, renewed_at: float, lease: float) -> None:
        self._orders, self._answers = orders, answers
        self._renewed_at, self._lease = renewed_at, lease
        self._asked: Optional[float] = None
        self._grace = 0.0
        self._buffer = b""
        self._orphaned = False

    def _tell(self, text: str) -> None:
        try:
            os.write(self._answers, f"{text}\n".encode())
        except OSError:
            pass  # the caller is gone; the group is ended all the same

    def run(self, argv: Sequence[str], **how: Any) -> None:
        """Begin the command and stay until it and, where it was to be ended, its whole group is gone."""
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, _nothing)
        if self._duty(boottime()):
            self._tell(f"exit {128 + signal.SIGKILL} {boottime()!r} 1")  # we were frozen on the way: too late
            return
        try:
            process = subprocess.Popen(list(argv), start_new_session=True, **how)
        except (OSError, ValueError) as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
            sys.stderr.write(
                f"hotstandby: {argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}\n"
            )
            sys.stderr.flush()
            self._tell(f"exit {code} {boottime()!r} 0")
            return
        self._tell(f"pid {process.pid}")
        said, cut = "", False
        while True:
            now = boottime()
            due = jobs.KILL if self._orphaned else self._duty(now)
            if due and due != said:
                cut = cut or self._asked is None
                _signal_group(process.pid, signal.SIGKILL if due == jobs.KILL else signal.SIGTERM)
                said = due
            if process.poll() is not None and (
                not said or said == jobs.KILL or not _signal_group(process.pid, 0)
            ):
                break
            wait = jobs.next_duty(now, self._renewed_at, self._lease, self._asked, self._grace)
            if process.returncode is not None:
                wait = min(wait, POLL)
            files = [wake] if self._orphaned else [wake, self._orders]
            ready, _w, _x = select.select(files, [], [], None if wait > 1e6 else wait)
            if wake in ready:
                os.read(wake, 4096)
            if self._orders in ready:
                self._obey()
        rc = process.returncode
        self._tell(f"exit {rc if rc >= 0 else 128 - rc} {boottime()!r} {int(cut)}")

    def _duty(self, now: float) -> str:
        return jobs.duty(now, self._renewed_at, self._lease, self._asked, self._grace)

    def _obey(self) -> None:
        found = os.read(self._orders, 4096)
        self._orphaned = not found
        self._buffer += found
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            word, value = line.decode("ascii").split()
            if word == "renewed":
                self._renewed_at = max(self._renewed_at, float(value))
            elif self._asked is None or float(value) < self._grace:
                self._asked, self._grace = boottime(), float(value)


class KeptCommand:
    """See jobs_run.Command. `files` are (standard input, output, error) as descriptors; None for this process's own."""

    def __init__(
        self,
        argv: Sequence[str],
        around: RealAround,
        env: Optional[Mapping[str, str]] = None,
        files: tuple[Optional[int], Optional[int], Optional[int]] = (None, None, None),
        cwd: Optional[str] = None,
    ) -> None:
        self._argv, self._around = tuple(argv), around
        self._how = {
            "env": None if env is None else {**os.environ, **env},
            **dict(zip(("stdin", "stdout", "stderr"), files)),
            "cwd": cwd,
        }
        self._buffer = b""
        self._keeper = self._pid = 0
        self._orders = self._answers = -1
        self._lease = 0.0

    def start(self, renewed_at: float, lease: float) -> None:
        """Begin it; what cannot be run ends with 127 or 126."""
        mine, orders = os.pipe2(os.O_CLOEXEC)
        answers, told = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        sys.stderr.flush()
        self._keeper = os.fork()
        if self._keeper == 0:
            self._keep(mine, orders, answers, told, renewed_at, lease)
        os.close(mine)
        os.close(told)
        self._orders, self._answers, self._lease = orders, answers, lease

    def _keep(
        self, mine: int, orders: int, answers: int, told: int, renewed_at: float, lease: float
    ) -> NoReturn:
        try:
            gc.disable()  # a collection would copy every page that it looks at
            os.setsid()  # a signal to the caller's group shall not end who looks after the command
            os.close(orders)
            os.close(answers)
            _Keeper(mine, told, renewed_at, lease).run(self._argv, **self._how)
        finally:
            os._exit(0)

    def _order(self, text: str) -> None:
        try:
            os.write(self._orders, f"{text}\n".encode())
        except BrokenPipeError:
            pass  # it has ended, and has said how

    def renewed(self, renewed_at: float) -> None:
        """The lease was renewed at that moment."""
        self._order(f"renewed {renewed_at!r}")

    def end(self, grace: float) -> None:
        """SIGTERM to the group now, SIGKILL after `grace` seconds."""
        self._order(f"end {grace!r}")

    def wait(self, seconds: float) -> Optional[Exit]:
        """Its end, waited for at most so long; returns early at a signal."""
        if not self._around.wait((self._answers,), seconds):
            return None
        found = os.read(self._answers, 4096)
        self._buffer += found
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            words = line.decode("ascii").split()
            if words[0] == "exit":
                return self._gone(Exit(int(words[1]), float(words[2]), words[3] == "1"))
            self._pid = int(words[1])
        if found:
            return None
        # the keeper itself was killed: nobody looks after the group any more
        if self._pid:
            _signal_group(self._pid, signal.SIGKILL)
        return self._gone(Exit(128 + signal.SIGKILL, boottime(), cut=True))

    def _gone(self, ended: Exit) -> Exit:
        os.close(self._orders)
        os.close(self._answers)
        os.waitpid(self._keeper, 0)
        return ended
