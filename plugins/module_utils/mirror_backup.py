# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of trees: what a copy replaced or deleted, by which it can be undone, and whole copies. Newest last by name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from . import mirror_tree as tree_of
from .mirror import COMMON, MARKER, OURS, WORK, MirrorError, explain_rsync

PLAN = "plan.json"
PARTIAL = ".partial"  # ends the name of one that is still being made
SYNC, FULL = "sync", "full"

Run = Callable[[list[str]], Any]  # a command line -> CompletedProcess of bytes


@dataclass(frozen=True)
class Backup:
    """One backup: its directory and what its plan says."""

    path: str
    plan: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """sync (what one copy replaced) or full."""
        return str(self.plan.get("kind"))

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


def listed(folder: str) -> list[Backup]:
    """Every backup of a directory, oldest first; what is still being made or damaged is left out."""
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
    return [item for item in found if not item.path.endswith(PARTIAL)]


def prune(folder: str, keep: int, kind: str) -> list[str]:
    """Remove the oldest backups of a kind beyond `keep`, but none that a kept one continues. Returns what was removed."""
    mine = [item for item in listed(folder) if item.kind == kind]
    kept = mine[-keep:]
    needed = {str(item.plan.get("continues")) for item in kept}
    gone = []
    for item in mine[: len(mine) - len(kept)]:
        if item.path not in needed:
            shutil.rmtree(item.path, ignore_errors=True)
            gone.append(item.path)
    return gone


def _rsync(run: Run, words: Sequence[str], source: str, target: str, option: str) -> None:
    argv = ["rsync", *COMMON, *words, "--", source.rstrip("/") + "/", target.rstrip("/") + "/"]
    done = run(argv)
    if done.returncode != 0:
        said = explain_rsync(done.returncode, done.stderr.decode("utf-8", "replace"), option)
        raise MirrorError(f"{said}. Say the same again when that is mended", code="sync_failed")


def save(
    folder: str, trees: Mapping[str, str], run: Run, exclude: Sequence[str] = (), reason: str = ""
) -> Backup:
    """A whole copy of {tree: path}, unchanged files shared with the last one by hard links. Raises MirrorError."""
    whole = [item for item in listed(folder) if item.kind == FULL]
    path = new_backup(folder)
    partial = path + PARTIAL
    os.rename(path, partial)
    text = tree_of.read_text(os.path.join(trees["data"], MARKER))
    for name, root in trees.items():
        words = [f"--exclude=/{pattern}" for pattern in (*OURS, *(exclude if name == "data" else ()))]
        earlier = whole[-1].tree(name) if whole else ""
        words += [f"--link-dest={earlier}"] if earlier and os.path.isdir(earlier) else []
        os.mkdir(os.path.join(partial, name), 0o700)
        _rsync(run, words, root, os.path.join(partial, name), f"{name}_dir")
    about = {
        "kind": FULL,
        "time": time.time(),
        "reason": reason,
        "marker": text,
        "trees": {name: {"path": root} for name, root in trees.items()},
    }
    tree_of.write_text(os.path.join(partial, PLAN), json.dumps(about) + "\n", 0o600)
    tree_of.sync_all(partial)
    os.rename(partial, path)
    tree_of.sync_folder(folder)
    return Backup(path, about)


def undo(backup: Backup, trees: Mapping[str, str], preserve: Sequence[str], run: Run) -> list[str]:
    """Take back what a copy did, and what it continued; safe to say again. Returns the backups that were used.

    The node's own files are not touched. Raises MirrorError.
    """
    used: list[str] = []
    now: Optional[Backup] = backup
    for root in trees.values():
        tree_of.begin(root, {"backup": backup.path, "undo": True, "time": time.time()})
    while now is not None:
        for name, about in now.plan["trees"].items():
            if name in trees:
                own = set(tree_of.matching(trees[name], preserve)) if name == "data" else set()
                _undo_tree(now.tree(name), trees[name], about, own, run, f"{name}_dir")
        used.append(now.path)
        before = now.plan.get("continues")
        marker = now.plan.get("marker")
        now = read_backup(str(before)) if before and os.path.isdir(str(before)) else None
    for root in trees.values():
        tree_of.sync_all(root)
    path = os.path.join(trees["data"], MARKER)
    if marker is None:
        tree_of.remove(path)
    else:
        tree_of.write_text(path, str(marker))
    for root in trees.values():
        tree_of.end(root)
    return used


def _undo_tree(saved: str, root: str, about: Mapping[str, Any], own: set[str], run: Run, option: str) -> None:
    for path in sorted(about["created"], key=lambda item: item.count("/"), reverse=True):
        full = os.path.join(root, path)
        if path in own or path == ".":
            continue
        try:
            os.rmdir(full) if os.path.isdir(full) and not os.path.islink(full) else os.unlink(full)
        except OSError:
            continue  # it was never made, or holds what is not the copy's
    for entry in about["attributes"]:
        tree_of.put_back(root, entry)
    if os.path.isdir(saved):
        _rsync(run, [f"--temp-dir={WORK}", "--omit-dir-times"], saved, root, option)
    for entry in sorted(about["attributes"], key=lambda item: str(item[0]).count("/"), reverse=True):
        tree_of.put_back(root, entry)
