# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's local socket: the node's own commands, run by a process forked for each. See client.py for the words."""

from __future__ import annotations

import io
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from . import client
from .helpers import fresh_child, reaped

MOST = 16  # commands at a time; further ones do it themselves
LARGEST = 65536  # bytes of a request
SLOW = 2.0  # seconds a request may take to arrive
ENDING = 0.25  # seconds in which a command ends by itself once its answer is read: what it has started is in its group
PATIENCE = 2.0  # seconds between SIGTERM and SIGKILL for a command whose caller has gone

Run = Callable[[Sequence[str]], int]


class Caller:
    """One connection: its request so far, then the process that answers it."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.text = b""
        self.begun = time.monotonic()
        self.pid = 0
        self.left: Optional[float] = None  # since when nobody waits for the answer
        self.answered = mmap.mmap(-1, 1)  # shared with the process: 1 once all is done but its own end


class Server:
    """Serves `run` (the node's command line: prints one line, returns the exit code) at `path`."""

    def __init__(self, path: str, version: str, run: Run, ready: Callable[[], None]) -> None:
        self._version, self._run, self._ready = version, run, ready
        self._callers: dict[int, Caller] = {}
        self._listener = listen(path)

    @property
    def fds(self) -> dict[int, int]:
        """{descriptor: events} to poll."""
        found = {
            fd: select.POLLIN if not caller.pid else select.POLLRDHUP for fd, caller in self._callers.items()
        }
        found = {fd: events for fd, events in found.items() if self._callers[fd].left is None}
        return {self._listener.fileno(): select.POLLIN, **found}

    def serve(self, readable: Sequence[int]) -> None:
        """Do what the descriptors ask for, and look after what was begun."""
        if self._listener.fileno() in readable:
            self._accept()
        for fd in readable:
            caller = self._callers.get(fd)
            if caller is None:
                continue
            if caller.pid:
                self._gone(caller)
            else:
                self._read(caller)
        for caller in list(self._callers.values()):
            self._look_after(caller)

    def _accept(self) -> None:
        try:
            channel, _address = self._listener.accept()
        except OSError:
            return
        channel.setblocking(False)
        if not trusted(channel) or len(self._callers) >= MOST:
            channel.close()
            return
        caller = Caller(channel)
        self._callers[channel.fileno()] = caller
        self._read(caller)

    def _read(self, caller: Caller) -> None:
        try:
            more = caller.channel.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        caller.text += more
        if caller.text.endswith(b"\n"):
            self._begin(caller)
        elif not more or len(caller.text) > LARGEST:
            self._close(caller)

    def _begin(self, caller: Caller) -> None:
        asked = parse(caller.text)
        why = "not a request" if asked is None else ""
        if asked is not None and asked["version"] != self._version:
            why = "another version, or another configuration"
        elif asked is not None and client.served(asked["argv"]) is None:
            why = "not served"
        if asked is None or why:
            try:
                caller.channel.send(json.dumps({"refused": why}).encode() + b"\n")
            except OSError:
                pass  # it has gone; it does the command itself or not at all
            self._close(caller)
            return
        try:
            caller.channel.send(client.TAKEN)
        except OSError:  # it waited long enough, and does the command itself
            self._close(caller)
            return
        self._ready()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._child(caller, asked)
        caller.pid = pid

    def _child(self, caller: Caller, asked: Mapping[str, Any]) -> None:
        channel = caller.channel
        try:
            fresh_child((channel.fileno(),))
            channel.setblocking(True)
            for name in client.USERS:
                os.environ.pop(name, None)
            os.environ.update(asked["users"])
            sys.stdin = io.StringIO()
            sys.stdout, sys.stderr = told, _words = io.StringIO(), io.StringIO()
            code = self._run(asked["argv"])
            line = told.getvalue().strip()
            caller.answered[0] = 1
            channel.sendall(f'{{"exit":{code},"answer":{line}}}\n'.encode())
        finally:
            os._exit(0)

    @staticmethod
    def _gone(caller: Caller) -> None:
        """Its caller has read the answer, or hung up, or was killed: then the command ends as it would have."""
        caller.left = time.monotonic()

    def _look_after(self, caller: Caller) -> None:
        now = time.monotonic()
        if not caller.pid:
            if now - caller.begun > SLOW:
                self._close(caller)
            return
        if reaped(caller.pid):
            self._close(caller)
        elif caller.left is not None and now - caller.left > ENDING:
            late = now - caller.left > ENDING + PATIENCE
            # after its answer what is left of the group is what it has started: that stays
            _signal(caller.pid, signal.SIGKILL if late else signal.SIGTERM, group=not caller.answered[0])

    def _close(self, caller: Caller) -> None:
        self._callers.pop(caller.channel.fileno(), None)
        caller.channel.close()
        caller.answered.close()


def _signal(pid: int, number: int, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, or not yet made its session: the next look tells


def listen(path: str) -> socket.socket:
    """A socket at `path` that only its owner may use; one that an earlier daemon left is replaced. Raises OSError."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # an address has 107 bytes, a path may have more
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    before = os.umask(0o177)
    try:
        if os.path.lexists(path):
            os.unlink(path)
        listener.bind(f"/proc/self/fd/{handle}/{os.path.basename(path)}")
        listener.listen(MOST)
        listener.setblocking(False)
    finally:
        os.umask(before)
        os.close(handle)
    return listener


def trusted(channel: socket.socket) -> bool:
    """Whether the other side is root, or who runs the daemon."""
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", raw)
    return uid in (0, os.geteuid())


def parse(raw: bytes) -> Optional[dict[str, Any]]:
    """A request: {version, argv, users}; None when it is none."""
    try:
        found = json.loads(raw)
        argv, users = found["argv"], found["users"]
        texts = [found["version"], *argv, *users.values()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(argv, list) or not all(isinstance(text, str) for text in texts):
        return None
    kept = {name: users[name] for name in client.USERS if name in users}
    return {"version": found["version"], "argv": argv, "users": kept}
