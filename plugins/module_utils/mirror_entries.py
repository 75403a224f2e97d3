# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single entries of a tree: their attributes, as taken down and as put back, and what is put aside."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from typing import Any, Optional

from .mirror import Changes, MirrorError
from .mirror_tree import mounted_below

STRAY = re.compile(r"\..+\.[A-Za-z0-9]{6}", re.DOTALL)  # how rsync calls a file before it has its name


def told(root: str, changes: Changes) -> dict[str, Any]:
    """What a plan says of a tree before these changes are made, so that they can be taken back.

    `attributes` are of what will lose or change them and is in no backup; `beside` is beside what rsync may leave strays.
    """
    changed = [
        change.path
        for change in changes.changes
        if change.what == "attributes" or (change.kind == "d" and change.what != "created")
    ]
    found = (attribute(root, path) for path in changed)
    return {
        "path": root,
        "created": [change.path for change in changes.changes if change.what == "created"],
        "attributes": [entry for entry in found if entry is not None],
        "beside": [change.path for change in changes.changes if change.kind == "f"]
        if mounted_below(root)
        else [],
    }


def attribute(root: str, path: str) -> Optional[list[Any]]:
    """[path, is a directory, mode, uid, gid, mtime in ns, {extended attribute: value in hexadecimal}]; None: not there."""
    full = os.path.join(root, path)
    try:
        about = os.lstat(full)
    except OSError:
        return None
    kept = {}
    try:
        for name in os.listxattr(full, follow_symlinks=False):
            kept[name] = os.getxattr(full, name, follow_symlinks=False).hex()
    except OSError:
        pass  # there are none, or they are nobody's business
    folder, mode = stat.S_ISDIR(about.st_mode), stat.S_IMODE(about.st_mode)
    return [path, folder, mode, about.st_uid, about.st_gid, about.st_mtime_ns, kept]


def other(now: Sequence[Any], then: Sequence[Any]) -> bool:
    """Whether two such records differ; a directory's own time is no difference, nor is a link's mode."""
    ends = slice(1, 5), slice(6, 7)
    return [now[end] for end in ends] != [then[end] for end in ends] or (not now[1] and now[5] != then[5])


def put_back(root: str, entry: Sequence[Any]) -> None:
    """Give one path its old attributes; a directory that is gone is made again."""
    path, folder, mode, uid, gid, mtime, kept = entry
    full = os.path.join(root, path)
    if folder and (os.path.islink(full) or not os.path.isdir(full)):
        if os.path.lexists(full):
            os.unlink(full)
        os.makedirs(full)
    if not os.path.lexists(full):
        return
    link = os.path.islink(full)
    about = os.lstat(full)
    if (about.st_uid, about.st_gid) != (uid, gid):
        os.chown(full, uid, gid, follow_symlinks=False)
    if not link:
        os.chmod(full, mode)
    now = (attribute(root, path) or entry)[6]
    # last, since a change of owner or mode changes them
    for name in {**now, **kept}:
        if now.get(name) == kept.get(name):
            continue
        try:
            if name in kept:
                os.setxattr(full, name, bytes.fromhex(kept[name]), follow_symlinks=False)
            else:
                os.removexattr(full, name, follow_symlinks=False)
        except OSError:
            continue  # of the kernel's own, or of root's
    os.utime(full, ns=(mtime, mtime), follow_symlinks=False)


def move_away(root: str, aside: str, paths: Sequence[str], copy: Callable[[str, bytes], None]) -> None:
    """Put files of a tree aside by their paths; `copy` does what a mere renaming cannot, to another file system.

    Directories stay. Raises MirrorError.
    """
    far = []
    for path in paths:
        full, target = os.path.join(root, path), os.path.join(aside, path)
        if os.path.isdir(full) and not os.path.islink(full):
            continue
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(full, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise MirrorError(f"{full}: {error.strerror or error}") from None
            far.append(path)
    if far:
        copy(root, b"".join(os.fsencode(path) + b"\0" for path in far))


def drop(path: str) -> None:
    """Remove a file, or an empty directory; one that is not empty stays. Raises MirrorError."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        elif os.path.lexists(path):
            os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise MirrorError(f"{path}: {error.strerror or error}") from None


def strays(root: str, paths: Sequence[str]) -> list[str]:
    """What rsync, killed, has left beside these paths: the files that it had not given their names yet."""
    wanted: dict[str, list[str]] = {}
    for path in paths:
        wanted.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    found = []
    for folder, names in wanted.items():
        try:
            there = [name for name in os.listdir(os.path.join(root, folder)) if STRAY.fullmatch(name)]
        except OSError:
            continue
        # a long name is cut short for it
        found += [
            os.path.join(folder, name)
            for name in there
            if any(
                name[1:-7] == mine or (len(os.fsencode(name)) > 240 and mine.startswith(name[1:-7]))
                for mine in names
            )
        ]
    return found
