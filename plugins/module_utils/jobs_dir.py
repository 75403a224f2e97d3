# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of runs in a folder that several nodes share (NFS, EFS) or that is one machine's own.

A record is a folder of numbered versions; a write makes the next number by link(2), which is atomic and fails when the
number is taken, whoever takes it: no lock that a dead node could leave behind. What a file system must give is tried at
the start: exclusive create, link and rename, each refused where it must be. Versions that were replaced are removed; a
writer that slept meanwhile finds a later number beside its own and has lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import urllib.parse
import uuid
from collections.abc import Iterator, Sequence
from typing import Callable, Optional

from .jobs import JobConflict, JobNotMounted, JobStoreError, Key, Run, Slot, dump_run, parse_run
from .mounts import mounted_at, parse_mountinfo

NUMBER = re.compile(r"[0-9]{12}")
LARGEST = 1 << 20  # bytes of a record
TRIES = 20  # readings of a folder whose versions are replaced meanwhile


def folder_of(run: str) -> str:
    """A run's folder: its ID where a file name can hold it, else the beginning and a digest."""
    name = "run-" + urllib.parse.quote(run, safe="")
    if len(name) > 120:
        name = f"{name[:60]}-{hashlib.sha256(run.encode()).hexdigest()}"
    return name


@contextlib.contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JobStoreError(f"dir:{path}: {what}: {error.strerror or error}") from error


def _write_new(path: str, text: str) -> None:
    """Create a file that is not there, lastingly."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_mounted(path: str, mountinfo: str = "/proc/self/mountinfo") -> None:
    """See that the folder lies on a mount of its own, and not on the root file system. Raises JobNotMounted.

    Unmounted, a shared folder is an empty directory of each node's own, and each would find its lock free.
    """
    try:
        os.listdir(path)  # what is mounted on demand is mounted now
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as handle:
            mounts = parse_mountinfo(handle.read())
    except OSError as error:
        what = f"{error.filename or mountinfo}: {error.strerror or error}"
        raise JobNotMounted(
            f"dir:{path}: whether it is mounted cannot be told ({what}) (see docs/runbook.md#job_not_mounted)"
        ) from None
    where = mounted_at(os.path.realpath(path), mounts)
    if where in ("", "/"):
        raise JobNotMounted(
            f"dir:{path}: lies on the root file system, so the shared folder is not mounted on this node, and its lock would be "
            "this node's alone (see docs/runbook.md#job_not_mounted)"
        )


class FolderJobs:
    """`lease` in seconds is how long a lock of the old kind (an empty directory, made by `mkdir` as a mutex) must stand
    still before it counts as left behind; `old` names further ones beside PATH/JOB, PATH/JOB.lock and PATH/lockdir."""

    def __init__(
        self,
        path: str,
        lease: float,
        old: Sequence[str] = (),
        unique: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._path, self._lease, self._old, self._unique = path, lease, tuple(old), unique

    # -- what the file system must give

    def check(self) -> None:
        """Try what the protocol stands on. Raises JobStoreError that names what is missing."""
        if not os.path.isdir(self._path):
            raise JobStoreError(
                f"dir:{self._path}: is no directory (is the shared folder mounted?); it is never created on the way"
            )
        base = os.path.join(self._path, f".hotstandby-check-{self._unique()}")
        one, two = f"{base}.one", f"{base}.two"
        try:
            self._check(one, two)
        finally:
            for name in (one, two):
                try:
                    os.unlink(name)
                except OSError:
                    pass  # it was never made, or the file system has just been refused

    def _check(self, one: str, two: str) -> None:
        with _told(self._path, "a file cannot be created"):
            _write_new(one, "one")
        self._refused("an exclusive create does not fail where the file exists", lambda: _write_new(one, "x"))
        with _told(
            self._path, "the file system has no hard links, which make a record as a whole or not at all"
        ):
            os.link(one, two)
        self._refused("a link does not fail where the name is taken", lambda: os.link(one, two))
        with _told(self._path, "the links of a file cannot be counted"):
            if os.stat(one).st_nlink != 2:
                raise JobStoreError(f"dir:{self._path}: the file system does not count links")
        with _told(self._path, "a file cannot be renamed and read back"):
            os.unlink(two)
            os.rename(one, two)
            with open(two, encoding="utf-8") as handle:
                whole = handle.read() == "one"
        if not whole or os.path.exists(one):
            raise JobStoreError(f"dir:{self._path}: a renamed file does not read as it was written")

    def _refused(self, what: str, work: Callable[[], None]) -> None:
        try:
            with _told(self._path, what):
                try:
                    work()
                except FileExistsError:
                    return
        except JobStoreError:
            raise
        raise JobStoreError(f"dir:{self._path}: {what}: runs would be worked twice here")

    # -- records

    def _folder(self, key: Key) -> str:
        return os.path.join(self._path, f"{key.job}.jobs", folder_of(key.run))

    def _numbers(self, key: Key) -> list[int]:
        try:
            names = os.listdir(self._folder(key))
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(self._path):
                raise JobStoreError(f"dir:{self._path}: is not there any more") from None
            return []
        except OSError as error:
            raise JobStoreError(f"dir:{self._path}: cannot be listed: {error.strerror or error}") from error
        return sorted(int(name) for name in names if NUMBER.fullmatch(name))

    def _newest(self, key: Key) -> tuple[int, Optional[Run]]:
        for _attempt in range(TRIES):
            numbers = self._numbers(key)
            if not numbers:
                return 0, None
            try:
                with open(self._file(key, numbers[-1]), encoding="utf-8") as handle:
                    return numbers[-1], parse_run(key, json.loads(handle.read(LARGEST)))
            except FileNotFoundError:
                continue  # replaced and removed since it was listed
            except OSError as error:
                raise JobStoreError(f"dir:{self._path}: cannot be read: {error.strerror or error}") from error
            except ValueError:
                raise JobStoreError(
                    f"dir:{self._path}: {self._file(key, numbers[-1])} is no record"
                ) from None
        raise JobStoreError(f"dir:{self._path}: the record of {key.job} {key.run} does not stand still")

    def _file(self, key: Key, number: int) -> str:
        return os.path.join(self._folder(key), f"{number:012d}")

    def read(self, key: Key) -> Optional[Run]:
        """The record; a lock of the old kind shows as a slot without a node; None when nothing is there."""
        _number, found = self._newest(key)
        return found or self._old_lock(key)

    def write(self, before: Optional[Run], after: Run) -> None:
        """Replace `before` by `after`. Raises JobConflict, JobStoreError."""
        key, number = after.key, 0
        if before is None:
            if self.read(key) is not None:
                raise JobConflict
        elif before.slots and not before.slots[0].node:
            self._take_old(before.slots[0].token)
        else:
            number, found = self._newest(key)
            if found is None or found.version != before.version:
                raise JobConflict
        self._make(key, number + 1, after)

    def _make(self, key: Key, number: int, after: Run) -> None:
        folder = self._folder(key)
        target = self._file(key, number)
        temporary = os.path.join(folder, f".{self._unique()}")
        with _told(self._path, "cannot be written"):
            os.makedirs(folder, exist_ok=True)
            try:
                _write_new(temporary, json.dumps(dump_run(after), separators=(",", ":")))
                try:
                    os.link(temporary, target)
                except FileExistsError:
                    # over NFS the answer to a link that was made may be lost, and its repetition fails
                    if os.stat(temporary).st_nlink != 2:
                        raise JobConflict from None
            finally:
                try:
                    os.unlink(temporary)
                except FileNotFoundError:
                    pass
            _sync(folder)
        numbers = self._numbers(key)
        if numbers and numbers[-1] > number:
            # we slept: what we stood on had been replaced and removed, so the number was free again
            raise JobConflict
        for old in numbers:
            if old < number - 1:
                try:
                    os.unlink(self._file(key, old))
                except OSError:
                    pass  # the next write removes it

    # -- the published mutex: mkdir

    def _old_paths(self, key: Key) -> tuple[str, ...]:
        names = (key.job, f"{key.job}.lock", "lockdir")
        return (*(os.path.join(self._path, name) for name in names), *self._old)

    def _old_lock(self, key: Key) -> Optional[Run]:
        for path in self._old_paths(key):
            try:
                found = os.lstat(path)
                if os.path.islink(path) or not os.path.isdir(path) or os.listdir(path):
                    continue
            except OSError:
                continue
            version = f"{found.st_ino}.{found.st_mtime_ns}"
            return Run(key, f"{path}:{version}", (Slot("", path, version, self._lease),))
        return None

    def _take_old(self, path: str) -> None:
        """Remove the directory; whoever removes it has it, and what is not empty stays."""
        try:
            os.rmdir(path)
        except OSError:
            raise JobConflict from None
