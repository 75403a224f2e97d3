# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy asks of, and does to, the trees of this host: preserved files, markers, what is under way."""

from __future__ import annotations

import ctypes
import fcntl
import fnmatch
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .mirror import MARKER, UNNAMED, UNNAMED_END, WORK, Kept, MirrorError, Place
from .mounts import parse_mountinfo

STATE = "state.json"  # below WORK: what is under way


def chain(path: str) -> tuple[str, ...]:
    """(device:inode) of a directory and of each above it; empty when it is not there."""
    here = os.path.realpath(path)
    found: list[str] = []
    while True:
        try:
            about = os.stat(here)
        except OSError:
            return ()
        found.append(f"{about.st_dev}:{about.st_ino}")
        if here == "/":
            return tuple(found)
        here = os.path.dirname(here)


def place(option: str, path: str) -> Place:
    """A directory of this host, without links; one that is not there yet is known by what it will lie in."""
    real = os.path.realpath(path)
    if os.path.lexists(real):
        return Place(option, real, chain(real))
    above = os.path.dirname(real)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    return Place(option, real, ("new", *chain(above)))


def boot_id() -> str:
    """Of the running kernel; empty when unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
            return handle.read().strip()
    except OSError:
        return ""


def supports(path: str, name: str) -> bool:
    """Whether a directory's file system keeps such an extended attribute."""
    try:
        os.getxattr(path, name)
    except OSError as error:
        return error.errno not in (95, 38)  # EOPNOTSUPP, ENOSYS
    return True


def empty(path: str) -> bool:
    """Whether there is nothing, or an empty directory but for what a copy under way has put there."""
    try:
        return not set(os.listdir(path)) - {WORK}
    except FileNotFoundError:
        return True
    except OSError as error:
        raise MirrorError(f"{path}: {error.strerror or error}") from None


def matching(root: str, patterns: Sequence[str]) -> list[str]:
    """Paths below `root` of every file (no directory) that a pattern names or that lies below what it names, sorted."""
    found: set[str] = set()
    for pattern in patterns:
        words = pattern.rstrip("/").split("/")
        for path in _named(root, "", words, pattern.endswith("/")):
            full = os.path.join(root, path)
            if os.path.isdir(full) and not os.path.islink(full):
                for folder, _folders, files in os.walk(full):
                    found.update(os.path.relpath(os.path.join(folder, name), root) for name in files)
            else:
                found.add(path)
    return sorted(found)


def _named(root: str, below: str, words: Sequence[str], only_folders: bool) -> Iterator[str]:
    try:
        names = os.listdir(os.path.join(root, below))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise MirrorError(f"{os.path.join(root, below)}: {error.strerror or error}") from None
    for name in names:
        if not fnmatch.fnmatchcase(name, words[0]):
            continue
        path = os.path.join(below, name)
        folder = os.path.isdir(os.path.join(root, path))
        if len(words) > 1:
            yield from _named(root, path, words[1:], only_folders)
        elif folder or not only_folders:
            yield path


def digest(path: str) -> Optional[str]:
    """SHA-256 of a file, of a link's target for a link; None when it is not there. Raises MirrorError."""
    try:
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode):
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
        if not stat.S_ISREG(about.st_mode):
            return hashlib.sha256(b"").hexdigest()
        found = hashlib.sha256()
        with open(path, "rb") as handle:
            for block in iter(lambda: handle.read(1 << 20), b""):
                found.update(block)
        return found.hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MirrorError(f"{path}: {error.strerror or error}") from None


def kept(root: str, patterns: Sequence[str]) -> tuple[Kept, ...]:
    """Every preserved file with its hash."""
    return tuple(Kept(path, digest(os.path.join(root, path))) for path in matching(root, patterns))


def count(root: str, excludes: Sequence[str]) -> int:
    """Entries of a tree but for what lies in excluded places at its top."""
    out = {pattern.rstrip("/") for pattern in excludes if "/" not in pattern.rstrip("/")} | {MARKER, WORK}
    total = 0
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if name not in out]
            files = [name for name in files if name not in out]
        total += len(folders) + len(files)
    return total


# -- files written whole


def read_text(path: str, limit: int = 1 << 24) -> Optional[str]:
    """A file's text, `limit` characters at most; None when there is none. Raises MirrorError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as handle:
            return handle.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MirrorError(f"{path}: {error.strerror or error}") from None


def write_text(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file as a whole and lastingly. Raises MirrorError."""
    folder = os.path.dirname(path)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=UNNAMED, suffix=UNNAMED_END, dir=folder)
        try:
            os.fchmod(handle, mode)
            data = text.encode("utf-8", "surrogateescape")
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
        sync_folder(folder)
    except BaseException as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise MirrorError(f"{path}: {error.strerror or error}") from None
        raise


def remove(path: str) -> None:
    """Remove a file lastingly; none there is well. Raises MirrorError."""
    try:
        os.unlink(path)
        sync_folder(os.path.dirname(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise MirrorError(f"{path}: {error.strerror or error}") from None


def sync_folder(path: str) -> None:
    """Make what a directory lists lasting."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(path: str) -> None:
    """Make a file system's contents lasting: a marker must not outlive the data that it vouches for."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            ctypes.CDLL(None, use_errno=True).syncfs(handle)
        except (AttributeError, OSError):
            os.sync()
    finally:
        os.close(handle)


# -- what is under way


def lock(path: str) -> int:
    """Take a tree for oneself; children hold it too, so that it ends with the last of them. Raises MirrorError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise MirrorError(
            f"{path}: another copy is under way there: let it end, then say this again", code="sync_busy"
        ) from None
    os.set_inheritable(handle, True)
    return handle


def begin(root: str, state: Mapping[str, Any]) -> None:
    """Say in a tree that a copy is under way. Raises MirrorError."""
    work = os.path.join(root, WORK)
    try:
        os.makedirs(work, mode=0o700, exist_ok=True)
        for name in os.listdir(work):
            if name != STATE:
                _drop(os.path.join(work, name))
        # what somebody who was killed had not given its name yet
        for name in os.listdir(root):
            if name.startswith(UNNAMED) and name.endswith(UNNAMED_END):
                _drop(os.path.join(root, name))
    except OSError as error:
        raise MirrorError(f"{work}: {error.strerror or error}") from None
    write_text(os.path.join(work, STATE), json.dumps(dict(state)) + "\n", 0o600)


def under_way(root: str) -> Optional[dict[str, Any]]:
    """What a copy that has not ended said of itself; None when there is none."""
    text = read_text(os.path.join(root, WORK, STATE))
    if text is None:
        return {} if os.path.isdir(os.path.join(root, WORK)) else None
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def end(root: str) -> None:
    """Nothing is under way there any more. Raises MirrorError."""
    _drop(os.path.join(root, WORK))
    sync_folder(root)


def _drop(path: str) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    except OSError as error:
        raise MirrorError(f"{path}: {error.strerror or error}") from None


# -- other file systems below a tree


def mounted_below(root: str, table: str = "/proc/self/mountinfo") -> bool:
    """Whether other file systems are mounted below a tree, where nothing can be renamed from its top into place."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as handle:
            points = [point for point, _kind in parse_mountinfo(handle.read())]
    except OSError:
        return True  # not known: as if there were
    return any(point.startswith(f"{root}/") for point in points)
