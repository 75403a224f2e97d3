# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forked helpers of the daemon: what may hang is done by a process that can be ended. The daemon itself has no threads."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, Callable, Optional

LARGEST = 1 << 20  # bytes of one message
KEEP = (0, 1, 2)

Serve = Callable[[dict[str, Any]], Any]


def fresh_child(keep: Iterable[int] = ()) -> None:
    """Make a process that was just forked one of its own: session, signals, no descriptor but the named ones."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    wanted = {*KEEP, *keep}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in wanted:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own


class Helper:
    """One kind of work, done one at a time by a forked process that is made when it is needed.

    `once`: the process ends with its first reply. `limit`: seconds after which it is killed without one.
    """

    def __init__(self, name: str, serve: Serve, limit: float, once: bool = False) -> None:
        self.name, self._serve, self._limit, self._once = name, serve, limit, once
        self._pid = 0
        self._socket: Optional[socket.socket] = None
        self._began: Optional[float] = None
        self._dying: list[int] = []

    @property
    def fd(self) -> int:
        """What to poll while a reply is awaited; -1 when none is."""
        return self._socket.fileno() if self._socket is not None and self._began is not None else -1

    @property
    def began(self) -> float:
        """When the work under way began."""
        return self._began or 0.0

    def ask(self, given: dict[str, Any]) -> bool:
        """Begin; False when it is still at work, or could not be begun."""
        self._reap()
        if self._began is not None or self._dying:
            return False  # a killed one that does not go hangs in the kernel: no second one beside it
        try:
            channel = self._socket or self._fork()
            channel.send(pickle.dumps(given))
        except OSError:
            self.end()
            return False
        self._began = time.monotonic()
        return True

    def _fork(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._child(theirs)
        theirs.close()
        self._pid, self._socket = pid, ours
        return ours

    def _child(self, channel: socket.socket) -> None:
        code = 1
        try:
            fresh_child((channel.fileno(),))
            while True:
                raw = channel.recv(LARGEST)
                if not raw:
                    code = 0
                    break  # the daemon has ended
                value = self._serve(pickle.loads(raw))
                channel.send(pickle.dumps(value))
        except BaseException as error:
            sys.stderr.write(f"hotstandby watch: {self.name}: {type(error).__name__}: {error}\n")
        finally:
            os._exit(code)

    def reply(self) -> tuple[bool, Any]:
        """(whether the work is over, its value or None when it failed); called when `fd` is readable, and now and then."""
        if self._began is None or self._socket is None:
            return False, None
        late = time.monotonic() - self._began > self._limit
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if poll.poll(0):
            try:
                raw = self._socket.recv(LARGEST)
                value = pickle.loads(raw) if raw else None
            except (OSError, ValueError, EOFError, pickle.UnpicklingError):
                raw, value = b"", None
            if self._once or not raw:
                self.end()
            self._began = None
            return True, value
        if late:
            self.end()
            self._began = None
        return late, None

    def end(self) -> None:
        """End the process, if there is one."""
        if self._socket is not None:
            self._socket.close()
        if self._pid:
            late = self._began is not None and time.monotonic() - self._began > self._limit
            if late or not self._once:
                _kill(self._pid)
            self._dying.append(self._pid)
        self._socket, self._pid = None, 0
        self._reap()

    def _reap(self) -> None:
        self._dying = [pid for pid in self._dying if not reaped(pid)]


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        try:
            os.kill(pid, signal.SIGKILL)  # it has not made its session yet
        except ProcessLookupError:
            pass


def reaped(pid: int) -> bool:
    """Whether a child has ended, without waiting."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
