# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in process groups of their own, and their keeper: a small process that ends the group when the lease is not
renewed in time (the caller may be frozen or cut off) and when the caller dies, so that no command outlives its right to run."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Optional

from .. import jobs
from ..jobs_run import Exit
from .around import SIGNALS, RealAround, boottime

POLL = 0.05  # seconds between two looks at a group whose leader has ended
NOT_FOUND, NOT_RUN = 127, 126
CHUNK = 65536
STREAMS = ("stdin", "stdout", "stderr")


def _nothing(*_arguments: Any) -> None:
    """A handler: unlike SIG_IGN it is not inherited by what is executed."""


def _signal_group(pgid: int, number: int) -> bool:
    """Whether the group still has somebody in it."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _close(handles: Sequence[int]) -> None:
    for handle in handles:
        os.close(handle)


def _inherit_nothing() -> None:
    """What whoever began us left open is not for commands; once here is cheaper than before each of them."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:
            pass  # the folder's own, closed by now


class _Keeper:
    """The small process. Orders come and answers go as lines over one channel; it ends when the other side does."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = b""
        self._files: list[int] = []
        self._next: Optional[dict[str, Any]] = None
        self._orphaned = False
        self._renewed_at = self._lease = self._grace = 0.0
        self._asked: Optional[float] = None
        self._wake = -1

    def serve(self) -> None:
        """One command after the other."""
        self._wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, _nothing)
        _inherit_nothing()
        while not self._orphaned:
            self._look(None)
            job, self._next = self._next, None
            if job is not None:
                files, self._files = self._files, []
                try:
                    self._run(job, files)
                finally:
                    _close(files)

    def _tell(self, text: str) -> None:
        try:
            self._channel.sendall(f"{text}\n".encode())
        except OSError:
            pass  # the caller is gone; the group is ended all the same

    def _introduce(self) -> None:
        """In the child, before it becomes the command: its number is known before it does anything, whoever is killed now."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._tell(f"pid {os.getpid()}")

    def _begin(self, job: Mapping[str, Any], files: Sequence[int]) -> Optional[subprocess.Popen[Any]]:
        """The command; None when it cannot be run, or it is too late."""
        if self._duty(boottime()):
            # we were frozen on the way, or it was told to end before it began
            number = signal.SIGKILL if self._asked is None else signal.SIGTERM
            self._tell(f"exit {128 + number} {boottime()!r} {int(self._asked is None)}")
            return None
        argv, env = job["argv"], job["env"]
        try:
            process = subprocess.Popen(
                argv,
                start_new_session=True,
                preexec_fn=self._introduce,  # safe: this process has one thread
                close_fds=False,  # nothing that is open here is inheritable
                env=None if env is None else {**os.environ, **env},
                cwd=job["cwd"],
                **dict(zip(job["files"], files)),
            )
        except (OSError, ValueError) as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
            sys.stderr.write(
                f"hotstandby: {argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}\n"
            )
            sys.stderr.flush()
            self._tell(f"exit {code} {boottime()!r} 0")
            return None
        return process

    def _run(self, job: Mapping[str, Any], files: Sequence[int]) -> None:
        """Begin the command and stay until it and, where it was to be ended, its whole group is gone."""
        process = self._begin(job, files)
        if process is None:
            return
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
            self._look(None if wait > 1e6 else wait)
        rc = process.returncode
        self._tell(f"exit {rc if rc >= 0 else 128 - rc} {boottime()!r} {int(cut)}")

    def _duty(self, now: float) -> str:
        return jobs.duty(now, self._renewed_at, self._lease, self._asked, self._grace)

    def _look(self, seconds: Optional[float]) -> None:
        """Wait for a signal, an order, or the time."""
        files = [self._wake] if self._orphaned else [self._wake, self._channel.fileno()]
        ready, _w, _x = select.select(files, [], [], seconds)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._channel.fileno() in ready:
            self._obey()

    def _obey(self) -> None:
        try:
            found, files, _flags, _address = socket.recv_fds(
                self._channel, CHUNK, len(STREAMS), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            found, files = b"", []  # the other side was killed before it read our last word
        self._orphaned = not found
        self._files += files
        self._buffer += found
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            word, _blank, value = line.decode("ascii").partition(" ")
            if word == "start":
                # what came before was meant for the command before, what comes after is for this one
                job = self._next = json.loads(value)
                self._renewed_at, self._lease = float(job["renewed_at"]), float(job["lease"])
                self._asked, self._grace = None, 0.0
            elif word == "renewed":
                self._renewed_at = max(self._renewed_at, float(value))
            elif self._asked is None or float(value) < self._grace:
                self._asked, self._grace = boottime(), float(value)


class Keeping:
    """The caller's side of a keeper: forked when it is needed, and again when somebody killed it."""

    def __init__(self) -> None:
        self._pid = 0
        self.channel: Optional[socket.socket] = None

    def begin(self) -> socket.socket:
        """The channel to a keeper that lives. Early, while there is little memory, a fork costs least."""
        if self.channel is not None:
            return self.channel
        mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._keep(mine, other)
        other.close()
        self.channel = mine
        return mine

    @staticmethod
    def _keep(mine: socket.socket, other: socket.socket) -> NoReturn:
        try:
            gc.disable()  # a collection would copy every page that it looks at
            os.setsid()  # a signal to the caller's group shall not end who looks after the command
            mine.close()
            _Keeper(other).serve()
        finally:
            os._exit(0)

    def end(self) -> None:
        """Let it go; a command that is still at work is killed with its group."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
            os.waitpid(self._pid, 0)


class KeptCommand:
    """See jobs_run.Command. `files` are (standard input, output, error) as descriptors; None for this process's own.
    `keeping` is a keeper for many commands, one at a time; without it the command has one of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        around: RealAround,
        env: Optional[Mapping[str, str]] = None,
        files: tuple[Optional[int], Optional[int], Optional[int]] = (None, None, None),
        cwd: Optional[str] = None,
        keeping: Optional[Keeping] = None,
    ) -> None:
        self._argv, self._around, self._env, self._cwd = tuple(argv), around, env, cwd
        self._named = {name: file for name, file in zip(STREAMS, files) if file is not None}
        self._keeping, self._own = keeping or Keeping(), keeping is None
        self._buffer = b""
        self._pid = 0

    def start(self, renewed_at: float, lease: float) -> None:
        """Begin it; what cannot be run ends with 127 or 126."""
        job = {
            "argv": self._argv,
            "env": None if self._env is None else dict(self._env),
            "cwd": self._cwd,
            "files": list(self._named),
            "renewed_at": repr(renewed_at),
            "lease": repr(lease),
        }
        data = f"start {json.dumps(job)}\n".encode("ascii")
        handles = list(self._named.values())
        for attempt in (1, 2):
            channel = self._keeping.begin()
            try:
                sent = socket.send_fds(channel, [data], handles) if handles else 0
                channel.sendall(data[sent:])
                return
            except (BrokenPipeError, ConnectionResetError):
                # it was killed while it had nothing to do
                self._keeping.end()
                if attempt == 2:
                    raise

    def _order(self, text: str) -> None:
        try:
            if self._keeping.channel is not None:
                self._keeping.channel.sendall(f"{text}\n".encode())
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended, and has said how

    def renewed(self, renewed_at: float) -> None:
        """The lease was renewed at that moment."""
        self._order(f"renewed {renewed_at!r}")

    def end(self, grace: float) -> None:
        """SIGTERM to the group now, SIGKILL after `grace` seconds."""
        self._order(f"end {grace!r}")

    def wait(self, seconds: float) -> Optional[Exit]:
        """Its end, waited for at most so long; returns early at a signal."""
        channel = self._keeping.begin()
        if not self._around.wait((channel.fileno(),), seconds):
            return None
        try:
            found = channel.recv(CHUNK)
        except ConnectionResetError:
            found = b""
        self._buffer += found
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            words = line.decode("ascii").split()
            if words[0] == "exit":
                if self._own:
                    self._keeping.end()
                return Exit(int(words[1]), float(words[2]), words[3] == "1")
            self._pid = int(words[1])
        if found:
            return None
        # the keeper itself was killed: nobody looks after the group any more
        if self._pid:
            _signal_group(self._pid, signal.SIGKILL)
        self._keeping.end()
        return Exit(128 + signal.SIGKILL, boottime(), cut=True)
