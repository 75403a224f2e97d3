# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What really ran, and when two ran at once: the stand-ins' own journal, which decides every safety test.

A main daemon is running as long as it holds an flock on its own run file: a SIGKILL releases it, a frozen daemon
still holds it, and no reused pid can be mistaken for it. Everything else happens under one global flock, so that a
starting daemon sees all that run, and an event is on disk before the next party looks.

Layout of the journal's directory: `lock`, `events.jsonl` (append only), `run/KEY/NODE@PID` (KEY names the shared
configuration folder; the content is that daemon's own description).
"""

from __future__ import annotations

import fcntl
import os
import time
import zlib

from .words import dumps, loads

TYPE_CHECKING = False  # the products are programs in C: what loads slowly here would count as theirs
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Optional

    Event = dict[str, Any]

_SIZE = 512  # a run file is one write of fixed size, so that no reader meets half of it


def start_time(pid: int) -> Optional[str]:
    """The kernel's start time of a live process (clock ticks, as text); None when there is none, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as handle:
            fields = handle.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


class Lock:
    """An exclusive flock on a file, from entering to leaving a `with`."""

    def __init__(self, path: str) -> None:
        self._path, self._fd = path, -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._fd)
            raise

    def __exit__(self, *_how: object) -> None:
        os.close(self._fd)


class Running:
    """A daemon's own claim to be running. It ends with `leave`, or with the process."""

    def __init__(self, fd: int, path: str, about: Event) -> None:
        self.fd, self.path, self.about = fd, path, about

    def describe(self, **about: Any) -> None:
        """Change what others read of this daemon, such as its phase."""
        self.about.update(about)
        os.pwrite(self.fd, dumps(self.about).encode().ljust(_SIZE), 0)


class Journal:
    """The journal in `directory`, made when missing. Safe for any number of processes; threads need a Journal each."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.events_path = os.path.join(directory, "events.jsonl")
        os.makedirs(os.path.join(directory, "run"), exist_ok=True)

    def lock(self) -> Lock:
        """The global lock, held in a `with`. Whoever freezes a process of a node holds it, so that none freezes with it."""
        return Lock(os.path.join(self.directory, "lock"))

    def write(self, *events: Event) -> None:
        """Take the lock and append events (at least {node, event})."""
        with self.lock():
            self._append(*events)

    def enter(self, node: str, etc: str, **about: Any) -> Running:
        """A main daemon begins to run on the shared configuration folder `etc`: journals the start, and an overlap
        when another one runs there. Call it before anything there is touched."""
        folder = self._folder(etc)
        with self.lock():
            os.makedirs(folder, exist_ok=True)
            self._note_deaths()
            pid = os.getpid()
            path = os.path.join(folder, f"{node}@{pid}")
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            others = [other for other in self._alive(folder) if other["pid"] != pid]
            running = Running(fd, path, {"node": node, "pid": pid, "etc": etc, **about})
            running.describe()
            events = [self._event(node=node, event="start", pid=pid)]
            if others:
                names = [other["node"] for other in others]
                pids = [other["pid"] for other in others]
                events.append(
                    self._event(node=node, event="overlap", pid=pid, **{"with": names, "pids": pids})
                )
            self._append(*events)
            return running

    def leave(self, running: Running, **about: Any) -> None:
        """A main daemon ends in good order. Nothing of it may run when this is called but the caller itself."""
        with self.lock():
            event = self._event(node=running.about["node"], event="stop", pid=running.about["pid"], **about)
            self._append(event)
            os.unlink(running.path)
            os.close(running.fd)

    def alive(self, node: str, etc: str) -> list[Event]:
        """What the running main daemons of a node on that shared folder say of themselves."""
        with self.lock():
            return [about for about in self._alive(self._folder(etc)) if about["node"] == node]

    def running(self) -> list[Event]:
        """Every running main daemon on any shared folder. Deaths are noticed and journalled."""
        with self.lock():
            self._note_deaths()
            return [about for folder in self._folders() for about in self._alive(folder)]

    def read(self) -> dict[str, Any]:
        """{events, overlaps}. Deaths are noticed and journalled first."""
        with self.lock():
            self._note_deaths()
            events = read_events(self.events_path)
        return {"events": events, "overlaps": count_overlaps(events)}

    def archive(self) -> None:
        """Begin a new journal; the old one stays beside it as events-N.jsonl. Nothing may run."""
        with self.lock():
            self._note_deaths()
            if os.path.exists(self.events_path):
                os.rename(
                    self.events_path, os.path.join(self.directory, f"events-{len(self.archived()) + 1}.jsonl")
                )

    def archived(self) -> list[str]:
        """Paths of the journals before this one, oldest first."""
        names = [name for name in os.listdir(self.directory) if name.startswith("events-")]
        return [
            os.path.join(self.directory, name) for name in sorted(names, key=lambda name: (len(name), name))
        ]

    def _folder(self, etc: str) -> str:
        key = zlib.crc32(os.path.realpath(etc).encode())
        return os.path.join(self.directory, "run", f"{key:08x}")

    def _folders(self) -> list[str]:
        run = os.path.join(self.directory, "run")
        return [os.path.join(run, name) for name in sorted(os.listdir(run))]

    def _alive(self, folder: str) -> list[Event]:
        return [about for path, about in self._look(folder) if about is not None and path]

    def _look(self, folder: str) -> Iterator[tuple[str, Optional[Event]]]:
        """(path, description) of each run file of a folder; the description is None when its daemon is dead."""
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path, _description(fd, name)
            else:
                yield path, None
            finally:
                os.close(fd)

    def _note_deaths(self) -> None:
        for folder in self._folders():
            for path, about in list(self._look(folder)):
                if about is None:
                    node, _at, pid = os.path.basename(path).rpartition("@")
                    self._append(self._event(node=node, event="killed", pid=int(pid)))
                    os.unlink(path)

    @staticmethod
    def _event(**about: Any) -> Event:
        return {"time": time.time(), **about}

    def _append(self, *events: Event) -> None:
        text = "".join(dumps({"time": time.time(), **event}) + "\n" for event in events)
        fd = os.open(self.events_path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                text = "\n" + text  # a writer died in mid-line; what it left stays a line of its own
            os.write(fd, text.encode())
            os.fsync(fd)
        finally:
            os.close(fd)


def _description(fd: int, name: str) -> Event:
    try:
        about: Event = loads(os.pread(fd, _SIZE, 0))
    except ValueError:
        node, _at, pid = name.rpartition("@")
        about = {"node": node, "pid": int(pid)}
    return about


def read_events(path: str) -> list[Event]:
    """The events of one file, oldest first; a line cut short by a kill is left out."""
    events = []
    try:
        with open(path, encoding="utf-8") as handle:
            lines = handle.read().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        event = _parsed(line)
        if event is not None:
            events.append(event)
    return events


def _parsed(line: str) -> Optional[Event]:
    try:
        event = loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def count_overlaps(events: list[Event]) -> int:
    """The instants at which a daemon began to run while another one did."""
    return sum(event["event"] == "overlap" for event in events)
