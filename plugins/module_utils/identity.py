# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node-specific files of a product whose data lie on a folder that both nodes share.

Each node's files are kept in `.identity/NODE/` and put in place within its guarded start. A stamp in the live tree says
whose the live files are, and whether they are all there. Whatever is replaced is kept somewhere first, so that a licence
is never lost; of two versions of one node's file the one written later wins, the live one where that is not certain. The caller holds the node's lock.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from . import mirror_tree as tree_of
from .mirror import IDENTITY, PRESERVE, STAMP, Kept, MirrorError

ASIDE = ".removed"  # below IDENTITY: versions that lost, by hash
SCRATCH = ".tmp"  # below IDENTITY: files that are not whole yet
LONGEST = 4096  # characters of a stamp; what is longer is none


class IdentityError(MirrorError):
    """Nothing was lost: one line that says what is wrong."""

    code = "identity_refused"


@dataclass(frozen=True)
class Stamp:
    """Whose the live files are; `whole` is false from before the first is replaced until the last one is."""

    node: str
    whole: bool


@dataclass(frozen=True)
class Told:
    """What was, or would be, done: {path: saved | placed | removed} and the live files afterwards."""

    changes: tuple[tuple[str, str], ...]
    files: tuple[Kept, ...]
    owner: Optional[str]

    @property
    def changed(self) -> bool:
        """Whether anything was."""
        return bool(self.changes)


def parse_stamp(text: Optional[str], where: str) -> Optional[Stamp]:
    """The stamp of a file's text, None for no file. Raises IdentityError."""
    if text is None:
        return None
    try:
        raw: Mapping[str, Any] = json.loads(text)
        if not isinstance(raw["node"], str) or not isinstance(raw["whole"], bool):
            raise ValueError
        return Stamp(raw["node"], raw["whole"])
    except (ValueError, KeyError, TypeError):
        raise IdentityError(f"{where}: holds no stamp: nobody knows whose files these are") from None


class Identity:
    """The files of one shared DATA_DIR. Every method raises MirrorError when a file cannot be read or written."""

    def __init__(self, data_dir: str, preserve: Sequence[str] = PRESERVE) -> None:
        self.root, self.preserve = os.path.realpath(data_dir), tuple(preserve)
        self.stamp_path = os.path.join(self.root, STAMP)
        self._changes: list[tuple[str, str]] = []
        self.came: dict[str, int] = {}  # of a copy's files: when the real ones came to the folder

    # -- looking

    def stamp(self) -> Optional[Stamp]:
        """Whose the live files are."""
        return parse_stamp(tree_of.read_text(self.stamp_path, LONGEST), self.stamp_path)

    def store(self, node: str) -> str:
        """Where a node's files are kept."""
        return os.path.join(self.root, IDENTITY, node)

    def live(self) -> list[str]:
        """Node-specific files in the live tree."""
        return tree_of.matching(self.root, self.preserve)

    def nodes(self) -> list[str]:
        """Nodes for which files are kept, sorted."""
        try:
            names = os.listdir(os.path.join(self.root, IDENTITY))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise IdentityError(f"{os.path.join(self.root, IDENTITY)}: {error.strerror or error}") from None
        return sorted(name for name in names if name not in (ASIDE, SCRATCH) and self.kept(name))

    def kept(self, node: str) -> list[str]:
        """Node-specific files kept for a node."""
        return tree_of.matching(self.store(node), self.preserve)

    # -- doing

    def save(self, node: str) -> Told:
        """Keep the live files for the node. Refused when they are another node's, or not all one node's."""
        stamp = self.stamp()
        if stamp is not None and stamp.node != node:
            raise IdentityError(
                f"the live files are {stamp.node}'s, not {node}'s: they were not saved for {node}"
            )
        if stamp is not None and not stamp.whole:
            raise IdentityError(
                f"{node}'s files are not all in place (an earlier try was cut short): say restored first"
            )
        if not self.live():
            raise IdentityError(
                f"{self.root} has none of {', '.join(self.preserve)}: there is nothing to save"
            )
        if stamp is None:
            for other in self.nodes():
                if other != node and self._equal(other):
                    raise IdentityError(
                        f"the live files are {other}'s, as they were kept for it: install on {node} first, or say which node this is"
                    )
        self._save(node)
        self._stamp(Stamp(node, True))
        return self._told(node)

    def clear(self, node: str) -> Told:
        """Keep the node's live files, then take them out of the way of the next installation. Safe to say again."""
        stamp = self.stamp()
        if stamp is None and not self.live() and self.kept(node):
            return self._told(None)
        if stamp == Stamp(node, True) and (self.live() or self.kept(node)):
            self._save(node)  # a try that was cut short may have left none, or some
        else:
            self.save(node)
        kept = set(self.kept(node))
        for path in self.live():
            full = os.path.join(self.root, path)
            if path not in kept or tree_of.digest(full) != tree_of.digest(
                os.path.join(self.store(node), path)
            ):
                self._aside(full)  # older than what is kept
            self._changes.append((path, "removed"))
            tree_of.remove(full)
        tree_of.remove(self.stamp_path)
        return self._told(None)

    def restore(self, node: str) -> Told:
        """Put the node's own files in place, after keeping what is there for whom it belongs to. Safe to say again."""
        stamp = self.stamp()
        if stamp is None and self.live():
            # before the first stamp nobody knows: equal to what is kept it is this node's, else a person has to say
            if not self._equal(node):
                raise IdentityError(
                    f"nobody has said whose files are in {self.root}: run warp_identity with state=saved on the node they belong to"
                )
            stamp = Stamp(node, True)
        if stamp is not None and stamp.whole:
            self._save(stamp.node)
        if not self.kept(node):
            raise IdentityError(
                f"no files are kept for {node}: run warp_identity with state=saved while {node}'s are in place"
            )
        if stamp is None or stamp.node != node or not stamp.whole or not self._equal(node):
            self._stamp(Stamp(node, False))
            self._place(node)
            if not self._equal(node):
                raise IdentityError(
                    f"{node}'s files are not in place as they were kept: is something else writing there?"
                )
        self._stamp(Stamp(node, True))
        return self._told(node)

    def _told(self, node: Optional[str]) -> Told:
        return Told(tuple(self._changes), tree_of.kept(self.root, self.preserve), node)

    def _equal(self, node: str) -> bool:
        """Whether exactly the node's kept files are in place, by their hashes."""
        store = self.store(node)
        return tree_of.kept(self.root, self.preserve) == tree_of.kept(store, self.preserve) and bool(
            self.live()
        )

    def _stamp(self, stamp: Stamp) -> None:
        if self.stamp() == stamp:
            return
        tree_of.write_text(self.stamp_path, json.dumps({"node": stamp.node, "whole": stamp.whole}) + "\n")

    def _save(self, node: str) -> None:
        """Live files to the store, where they are not older than what is kept; never the other way round."""
        store = self.store(node)
        for path in self.live():
            mine, theirs = os.path.join(self.root, path), os.path.join(store, path)
            old = tree_of.digest(theirs)
            if old == tree_of.digest(mine):
                continue
            if old is not None and self._later(theirs, mine):
                continue  # renewed where it is kept while the other node was active
            self._changes.append((path, "saved"))
            if old is not None:
                self._aside(theirs)
            self._copy(mine, theirs)

    def _later(self, one: str, other: str) -> bool:
        """Whether a file was certainly written after another one: by its own time, and by when it came to this folder.

        A licence that is unpacked or copied with its time may look older than the one that it renews.
        """
        first, second = os.lstat(one), os.lstat(other)
        came = [self.came.get(path, about.st_ctime_ns) for path, about in ((one, first), (other, second))]
        return first.st_mtime_ns > second.st_mtime_ns and came[0] > came[1]

    def _place(self, node: str) -> None:
        """The node's kept files into the live tree, and away with every other one; each as a whole."""
        store, names = self.store(node), set(self.kept(node))
        known = self._known()
        for path in self.live():
            full = os.path.join(self.root, path)
            same = path in names and tree_of.digest(full) == tree_of.digest(os.path.join(store, path))
            if same:
                continue
            if tree_of.digest(full) not in known:
                self._aside(full)
            if path not in names:
                self._changes.append((path, "removed"))
                tree_of.remove(full)
        for path in sorted(names):
            full, kept = os.path.join(self.root, path), os.path.join(store, path)
            if tree_of.digest(full) != tree_of.digest(kept):
                self._changes.append((path, "placed"))
                self._copy(kept, full)

    def _known(self) -> set[Optional[str]]:
        """Hashes of all that is kept for anybody."""
        found: set[Optional[str]] = set()
        for folder, _folders, files in os.walk(os.path.join(self.root, IDENTITY)):
            found.update(tree_of.digest(os.path.join(folder, name)) for name in files)
        return found

    def _aside(self, path: str) -> None:
        """Keep a version that is about to be replaced and that nobody else keeps."""
        name = f"{tree_of.digest(path)}-{os.path.basename(path)[:150]}"
        target = os.path.join(self.root, IDENTITY, ASIDE, name)
        if not os.path.lexists(target):
            self._copy(path, target)

    def _copy(self, source: str, target: str) -> None:
        """A file, or a link as a link, with owner, mode and times: as a whole and lastingly."""
        scratch = os.path.join(self.root, IDENTITY, SCRATCH)
        try:
            os.makedirs(scratch, mode=0o700, exist_ok=True)
            os.chmod(os.path.join(self.root, IDENTITY), 0o700)
            self._folder(os.path.dirname(source), os.path.dirname(target))
            handle, temporary = tempfile.mkstemp(dir=scratch)
            os.close(handle)
            if os.path.islink(source):
                os.unlink(temporary)
                os.symlink(os.readlink(source), temporary)
            else:
                shutil.copy2(source, temporary)
                about = os.stat(source)
                if (about.st_uid, about.st_gid) != (os.stat(temporary).st_uid, os.stat(temporary).st_gid):
                    os.chown(temporary, about.st_uid, about.st_gid)
                    os.chmod(temporary, about.st_mode & 0o7777)
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
            os.replace(temporary, target)
            tree_of.sync_folder(os.path.dirname(target))
        except OSError as error:
            raise IdentityError(f"{target}: {error.strerror or error}") from None

    def _folder(self, source: str, target: str) -> None:
        """Make the directories of a target, the last one with the source's owner and mode."""
        if os.path.isdir(target):
            return
        os.makedirs(target)
        about = os.stat(source)
        if os.geteuid() == 0:
            os.chown(target, about.st_uid, about.st_gid)
        os.chmod(target, about.st_mode & 0o7777)


def act(identity: Identity, state: str, node: str) -> Told:
    """Do what a state asks for: saved, restored or cleared."""
    doings = {"saved": identity.save, "restored": identity.restore, "cleared": identity.clear}
    return doings[state](node)


def planned(data_dir: str, preserve: Sequence[str], state: str, node: str) -> Told:
    """What `act` would do: done on a copy of the few files, which is thrown away."""
    real = Identity(data_dir, preserve)
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as scratch:
        kept = os.path.join(real.root, IDENTITY)
        if os.path.isdir(kept):
            shutil.copytree(kept, os.path.join(scratch, IDENTITY), symlinks=True)
        names = [*real.live(), *([STAMP] if os.path.lexists(real.stamp_path) else [])]
        for name in names:
            target = os.path.join(scratch, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(real.root, name), target, follow_symlinks=False)
        copy = Identity(scratch, preserve)
        for folder, _folders, files in os.walk(copy.root):
            below = os.path.relpath(folder, copy.root)
            for name in files:
                path = os.path.join(real.root, below, name)
                copy.came[os.path.join(folder, name)] = os.lstat(path).st_ctime_ns
        return act(copy, state, node)
