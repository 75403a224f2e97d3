# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of trees: what a copy, or a way back, replaced or deleted, and whole copies. Newest last by name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Optional

from . import mirror_tree as tree_of
from .mirror import COMMON, MARKER, NEVER, OURS, MirrorError, explain_rsync

PLAN = "plan.json"
PARTIAL = ".partial"  # ends the name of one that is still being made
# what one copy replaced; a whole copy; what going back to a whole copy replaced; what taking copies back replaced
SYNC, FULL, RESTORE, UNDO = "sync", "full", "restore", "undo"
DELTAS = (SYNC, RESTORE, UNDO)

Run = Callable[..., Any]  # a command line, and what run_rsync takes besides -> CompletedProcess of bytes


@dataclass(frozen=True)
class Backup:
    """One backup: its directory and what its plan says."""

    path: str
    plan: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """sync, full, restore or undo."""
        return str(self.plan.get("kind"))

    @property
    def name(self) -> str:
        """What sorts it among the others of its directory: by time."""
        return os.path.basename(self.path)

    def stranger(self, trees: Mapping[str, str]) -> str:
        """The path of a tree of it that is none of {tree: path}; empty when all are."""
        for name, tree in self.plan["trees"].items():
            if name in trees and tree["path"] != trees[name]:
                return str(tree["path"])
        return ""

    def tree(self, name: str) -> str:
        """Where a tree's files lie in it."""
        return os.path.join(self.path, name)


def new_backup(folder: str) -> str:
    """Make an empty directory for one backup, named by the time. Raises MirrorError."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        names = [name for name in os.listdir(folder) if name.startswith(stamp)]
        return _made(tempfile.mkdtemp(prefix=f"{stamp}-{len(names):03d}-", dir=folder))
    except OSError as error:
        raise MirrorError(f"backup_dir: {folder}: {error.strerror or error}") from None


def _made(path: str) -> str:
    tree_of.sync_folder(os.path.dirname(path))
    return path


def drop_backup(path: str) -> None:
    """Remove a backup that holds nothing."""
    for name in (PLAN, ""):
        try:
            (os.unlink if name else os.rmdir)(os.path.join(path, name))
        except OSError:
            return


def read_backup(path: str) -> Backup:
    """Raises MirrorError when it is none, or not complete."""
    text = tree_of.read_text(os.path.join(path, PLAN))
    try:
        plan = json.loads(text or "")
        plan["trees"], plan["kind"]
    except (ValueError, KeyError, TypeError):
        raise MirrorError(f"backup: {path} is no backup", code="bad_option") from None
    return Backup(path, plan)


def write_plan(path: str, about: Mapping[str, Any]) -> None:
    """Write down what a backup is of, and the way back by it. Raises MirrorError."""
    tree_of.write_text(os.path.join(path, PLAN), json.dumps(about) + "\n", 0o600)


def plan_of(kind: str, reason: str, marker: Optional[str], trees: Mapping[str, Any]) -> dict[str, Any]:
    """What each plan tells: trees by name with their `path`, and `marker` as it stood in them."""
    return {"kind": kind, "time": time.time(), "reason": reason, "marker": marker, "trees": dict(trees)}


def listed(folder: str, trees: Mapping[str, str]) -> list[Backup]:
    """Every backup of these trees in a directory, oldest first; what is still being made or damaged is left out."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MirrorError(f"backup_dir: {folder}: {error.strerror or error}") from None
    found = []
    for name in names:
        try:
            found.append(read_backup(os.path.join(folder, name)))
        except MirrorError:
            continue
    return [item for item in found if not item.path.endswith(PARTIAL) and not item.stranger(trees)]


def continued(backup: Backup) -> list[Backup]:
    """A backup and all that it continues, newest first. Raises MirrorError when one of them is gone."""
    found = [backup]
    while earlier := found[-1].plan.get("continues"):
        if not os.path.isdir(str(earlier)):
            raise MirrorError(
                f"backup: {found[-1].name} continues {os.path.basename(str(earlier))}, which is not there any more: go back to "
                "a whole copy",
                code="bad_option",
            )
        found.append(read_backup(str(earlier)))
    return found


def prune(folder: str, keep: int, kinds: Sequence[str], trees: Mapping[str, str]) -> list[str]:
    """Remove these trees' oldest backups of some kinds beyond `keep`, but none that a kept one continues. Returns what went."""
    mine = [item for item in listed(folder, trees) if item.kind in kinds]
    kept = mine[-keep:]
    by_path = {item.path: item for item in mine}
    needed = {item.path for item in kept}
    for item in kept:
        now: Optional[Backup] = item
        while now is not None:
            needed.add(now.path)
            now = by_path.get(str(now.plan.get("continues")))
    gone = [item.path for item in mine if item.path not in needed]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return gone


def run_tree(
    run: Run,
    words: Sequence[str],
    source: str,
    target: str,
    option: str,
    names: bytes = b"",
    locks: tuple[int, ...] = (),
) -> None:
    """One run of rsync on this host, with lists and attributes where both sides have them. Raises MirrorError."""
    version = run(["rsync", "--version"]).stdout.decode("ascii", "replace")
    argv = ["rsync", *COMMON, *extras([version], source, target), *words]
    done = run([*argv, "--", source.rstrip("/") + "/", target.rstrip("/") + "/"], locks, names)
    if done.returncode != 0:
        said = explain_rsync(done.returncode, done.stderr.decode("utf-8", "replace"), option)
        code = "sync_disk_full" if "No space left" in said else "sync_failed"
        raise MirrorError(f"{said}. Say the same again when that is mended", code=code)


def extras(texts: Sequence[str], *places: str) -> list[str]:
    """rsync's words for access lists and extended attributes, where every place, and each rsync, has them.

    `texts` is what each rsync tells of itself.
    """
    both = [text.replace(",", " ").split() for text in texts]
    kinds = (("-A", "ACLs", "system.posix_acl_access"), ("-X", "xattrs", "user.hotstandby"))
    return [
        word
        for word, able, name in kinds
        if all(able in words for words in both) and all(tree_of.supports(place, name) for place in places)
    ]


def save(
    folder: str, trees: Mapping[str, str], run: Run, exclude: Sequence[str] = (), reason: str = ""
) -> Backup:
    """A whole copy of {tree: path}, unchanged files shared with the last one by hard links. Raises MirrorError."""
    _sweep(folder)
    whole = [item for item in listed(folder, trees) if item.kind == FULL]
    told = plan_of(
        FULL,
        reason,
        tree_of.read_text(os.path.join(trees["data"], MARKER)),
        {name: {"path": root} for name, root in trees.items()},
    )
    # what a copy has left half done may be looked at, but is nothing to go back to
    told["half"] = any(tree_of.under_way(root) is not None for root in trees.values())
    with ExitStack() as stack:
        locks: tuple[int, ...] = ()
        for root in trees.values():
            locks = (*locks, tree_of.lock(root))
            stack.callback(os.close, locks[-1])
        path = new_backup(folder)
        partial = path + PARTIAL
        os.rename(path, partial)
        locks = (*locks, tree_of.lock(partial))
        stack.callback(os.close, locks[-1])
        for name, root in trees.items():
            out = (*OURS, *NEVER.get(name, ()), *(exclude if name == "data" else ()))
            words = [f"--exclude=/{pattern}" for pattern in out]
            earlier = whole[-1].tree(name) if whole else ""
            words += [f"--link-dest={earlier}"] if earlier and os.path.isdir(earlier) else []
            os.mkdir(os.path.join(partial, name), 0o700)
            run_tree(run, words, root, os.path.join(partial, name), f"{name}_dir", locks=locks)
        write_plan(partial, told)
        tree_of.sync_all(partial)
        os.rename(partial, path)
    tree_of.sync_folder(folder)
    return Backup(path, told)


def _sweep(folder: str) -> None:
    """Remove whole copies that were never finished, by somebody who was killed: nobody holds them."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(PARTIAL) and not os.path.islink(path):
            try:
                handle = tree_of.lock(path)
            except (MirrorError, OSError):
                continue
            shutil.rmtree(path, ignore_errors=True)
            os.close(handle)
