# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons. `hubd` is the main one: it claims to be running, keeps `hubmgrd`, and ends on SIGTERM (after the
transfers) or SIGUSR1 (at once, cutting them)."""

from __future__ import annotations

import os
import time

from ..journal import Running, start_time
from .setting import CANCELLED, Setting, run

TYPE_CHECKING = False  # the products are programs in C: what loads slowly here would count as theirs
if TYPE_CHECKING:
    import signal
    from typing import Optional
else:
    import _signal as signal

NORMAL, FORCE, CHILD = signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD
JITTER = 4.0  # seconds between two harmless troubles of hubmgrd
TROUBLE = 0.3  # seconds that such a trouble lasts


def hubmgrd(_arguments: list[str]) -> int:
    """Lives as long as hubd does: its standard input is a pipe that only hubd holds open."""
    while os.read(0, 64):
        pass
    return 0


def hubd(arguments: list[str]) -> int:
    """The main daemon. `-report FD`: where to say "up" or "refused: WHY"."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {NORMAL, FORCE, CHILD})
    report = int(arguments[1]) if arguments[:1] == ["-report"] and len(arguments) == 2 else None
    if report is not None:
        os.set_inheritable(report, False)
    return run(lambda setting: _Main(setting, report).live())


class _Main:
    def __init__(self, setting: Setting, report: Optional[int]) -> None:
        self.setting, self.report = setting, report
        self.life, self.keep = os.pipe()
        self.managers: list[int] = []
        self.started = time.monotonic()

    def live(self) -> int:
        """Until a stop. Exits with 0, 116 (refused) or 230 (a forced stop)."""
        holder = self._blocking()
        if holder is not None:
            self.setting.journal.write(
                {
                    "node": self.setting.node,
                    "event": "refused",
                    "pid": os.getpid(),
                    "why": f"hubd.pid: {holder} runs",
                }
            )
            self._say(f"refused: hubd.pid says that hubd runs here already (pid {holder})")
            return 116
        running = self.setting.journal.enter(
            self.setting.node, self.setting.etc, up=False, transferring=False
        )
        mine = f"{os.getpid()} {self.setting.node} {start_time(os.getpid())}\n"
        with self.setting.journal.lock(), open(self.setting.pid_file, "w", encoding="ascii") as handle:
            handle.write(mine)
        caught = self._wait(float(self.setting.knob("start_seconds", 0)))
        if caught is None:
            self._manager()
            running.describe(up=True, transferring=float(self.setting.knob("transfer_seconds", 0)) > 0)
            self._say("up")
            caught = self._serve(running)
        return self._end(running, caught, mine)

    def _say(self, text: str) -> None:
        if self.report is None:
            return
        try:
            os.write(self.report, f"{text}\n".encode())
        except BrokenPipeError:
            pass  # whoever started us is gone; daemons do not care
        os.close(self.report)
        self.report = None

    def _blocking(self) -> Optional[int]:
        """The pid of a live hubd of this host in hubd.pid; a dead one's, another host's or a reused pid blocks nothing."""
        try:
            with open(self.setting.pid_file, encoding="ascii") as handle:
                pid, node, started = handle.read().split()
            same = node == self.setting.node and start_time(int(pid)) == started
            return int(pid) if same else None
        except (OSError, ValueError):
            return None

    def _manager(self) -> None:
        path = os.path.join(self.setting.exe, "hubmgrd")
        self.managers.append(
            os.posix_spawn(
                path,
                [path],
                self.setting.environment(),
                file_actions=[(os.POSIX_SPAWN_DUP2, self.life, 0)],
                setsigmask=[],
            )
        )

    def _reap(self) -> None:
        while self.managers:
            pid, _status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.managers.remove(pid)

    def _wait(self, seconds: float, *also: int) -> Optional[int]:
        """Wait for a stop signal (or one of `also`) that long; the signal, or None. Reaps on the way."""
        end = time.monotonic() + seconds
        while True:
            info = signal.sigtimedwait({NORMAL, FORCE, CHILD}, max(0.0, end - time.monotonic()))
            if info is None:
                return None
            if info.si_signo == CHILD:
                self._reap()
            if info.si_signo != CHILD or CHILD in also:
                return info.si_signo

    def _serve(self, running: Running) -> int:
        """Keep one hubmgrd, which is now doubled and now absent for a moment, until told to stop."""
        doubled = False
        while True:
            caught = self._wait(JITTER, CHILD)
            if caught in (NORMAL, FORCE):
                return int(caught)
            busy = float(self.setting.knob("transfer_seconds", 0)) > 0
            if busy != running.about.get("transferring"):
                running.describe(transferring=busy)
            if caught is None and self.setting.knob("jitter", True):
                doubled = not doubled
                if doubled:
                    self._manager()
                else:
                    self._kill(self.managers[:1])
                if stop := self._wait(TROUBLE):
                    return stop
                self._kill(self.managers[1:])
            if not self.managers:
                if stop := self._wait(TROUBLE):
                    return stop
                self._manager()

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # still our own child: it has not been reaped

    def _end(self, running: Running, caught: int, mine: str) -> int:
        code = 0
        if caught == NORMAL:
            caught = self._wait(float(self.setting.knob("transfer_seconds", 0))) or NORMAL
        if caught == FORCE:
            code = CANCELLED
        # a second stop cannot shorten the way out
        end = time.monotonic() + float(self.setting.knob("stop_seconds", 0))
        while time.monotonic() < end:
            self._wait(end - time.monotonic())
        self._kill(list(self.managers))
        while self.managers:
            self.managers.remove(os.waitpid(-1, 0)[0])
        cut = bool(running.about.get("transferring")) and caught == FORCE
        self.setting.journal.leave(running, **({"cut": True} if cut else {}))
        # only now, so that a start on this host is refused until we have left the journal
        self._remove_pid_file(mine)
        return code

    def _remove_pid_file(self, mine: str) -> None:
        """Only our own: on the other host nothing is promised, and it may have written its own meanwhile."""
        try:
            with self.setting.journal.lock():
                with open(self.setting.pid_file, encoding="ascii") as handle:
                    ours = handle.read() == mine
                if ours:
                    os.unlink(self.setting.pid_file)
        except OSError:
            pass  # the shared folder has gone
