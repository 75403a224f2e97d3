# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to a backup by one command, whatever kind it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from . import mirror_tree as tree_of
from .mirror import MARKER, Change, Changes, Kept, MirrorError, Report, parse_marker
from .mirror_backup import FULL, Backup, listed, read_backup, undo
from .mirror_run import Job, Mirror, run_rsync


@dataclass(frozen=True)
class Restored:
    """What was, or would be, put back; `used` are the backups that it came from."""

    report: Report
    used: tuple[str, ...]


def find(folder: str, wanted: Optional[str]) -> Backup:
    """The backup of that name or path, else the newest one. Raises MirrorError."""
    if wanted:
        path = wanted if wanted.startswith("/") else os.path.join(folder, wanted)
        return read_backup(path.rstrip("/"))
    there = listed(folder)
    if not there:
        raise MirrorError(f"backup_dir: there is no backup in {folder}", code="bad_option")
    return there[-1]


def restore(backup: Backup, job: Job, stopped: Callable[[], str], check: bool) -> Restored:
    """Put both trees back, but for the node's own files. Raises MirrorError.

    Of `job` the destinations, the patterns and the limits count.
    """
    targets = {name: target for name, (_source, target) in job.trees.items()}
    missing = [name for name in targets if name not in backup.plan["trees"]]
    if missing:
        raise MirrorError(f"backup: {backup.path} has no {missing[0]}_dir", code="bad_option")
    if backup.kind == FULL:
        return _whole(backup, job, targets, stopped, check)
    roots = {name: os.path.realpath(path) for name, path in targets.items()}
    why = stopped() if job.require_stopped else ""
    if why:
        raise MirrorError(f"ASTERIA Warp is not stopped here: {why}", code="sync_not_stopped")
    before = tree_of.kept(roots["data"], job.preserve)
    changes = {name: planned(backup, name, roots[name]) for name in roots}
    if check:
        return Restored(Report(changes, before, before, backup=backup.path), (backup.path,))
    locks = [tree_of.lock(root) for root in roots.values()]
    try:
        used = undo(backup, roots, job.preserve, run_rsync)
    finally:
        for handle in locks:
            os.close(handle)
    after = tree_of.kept(roots["data"], job.preserve)
    return Restored(Report(changes, before, after, backup=backup.path), tuple(used))


def planned(backup: Backup, name: str, root: str) -> Changes:
    """What taking back one copy changes in a tree, as far as it is still so."""
    about = backup.plan["trees"][name]
    found = [
        Change(path, "deleted", "f") for path in about["created"] if os.path.lexists(os.path.join(root, path))
    ]
    saved = backup.tree(name)
    for folder, folders, files in os.walk(saved):
        links = [item for item in folders if os.path.islink(os.path.join(folder, item))]
        for item in [*files, *links]:
            path = os.path.relpath(os.path.join(folder, item), saved)
            old, now = tree_of.digest(os.path.join(saved, path)), tree_of.digest(os.path.join(root, path))
            if old != now:
                found.append(Change(path, "created" if now is None else "updated", "f"))
    gone = [entry[0] for entry in about["attributes"] if not os.path.lexists(os.path.join(root, entry[0]))]
    return Changes((*found, *(Change(path, "created", "d") for path in gone)))


def _whole(
    backup: Backup, job: Job, targets: Mapping[str, str], stopped: Callable[[], str], check: bool
) -> Restored:
    root = os.path.realpath(targets["data"])
    path = os.path.join(root, MARKER)
    ours = parse_marker(tree_of.read_text(path), path)
    back = replace(
        job,
        trees={name: (backup.tree(name), target) for name, target in targets.items()},
        force_direction=True,
        reason=job.reason or f"restored from {os.path.basename(backup.path)}",
        source_node=None,
        own_node=None,
        marked=False,
    )
    report = Mirror(back, stopped).run(check)
    mine = ours is not None and ours.node == job.own_node
    saved = backup.plan.get("marker")
    # what this node made itself stays its own, however old: a copy's marker tells how old the copy is
    if not check and not mine and saved != (None if ours is None else ours.text()):
        if saved is None:
            tree_of.remove(path)
        else:
            tree_of.write_text(path, str(saved))
    return Restored(report, (backup.path,))


def own_files(before: Sequence[Kept], after: Sequence[Kept]) -> list[dict[str, Optional[str]]]:
    """The preserved files as a result lists them: {path, sha256, sha256_before}."""
    old = {item.path: item.sha256 for item in before}
    new = {item.path: item.sha256 for item in after}
    return [
        {"path": path, "sha256": new.get(path), "sha256_before": old.get(path)}
        for path in sorted({**old, **new})
    ]
