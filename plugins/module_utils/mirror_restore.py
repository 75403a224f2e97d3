# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to a backup by one command, whatever kind it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Optional

from . import mirror_tree as tree_of
from .mirror import MARKER, Kept, MirrorError, Report, parse_marker
from .mirror_backup import FULL, RESTORE, SYNC, Backup, listed, read_backup
from .mirror_run import Job, Mirror, run_rsync
from .mirror_undo import goals, steps, undo


@dataclass(frozen=True)
class Restored:
    """What was, or would be, put back; `used` are the backups that it came from, `kept` takes it back."""

    report: Report
    used: tuple[str, ...]
    kept: Optional[str] = None


def find(folder: str, wanted: Optional[str], trees: Mapping[str, str]) -> Backup:
    """The backup of that name or path, else the newest one of a copy or a whole one. Raises MirrorError.

    What a way back has put aside is no default: the same said again shall not undo itself.
    """
    if wanted:
        path = wanted if wanted.startswith("/") else os.path.join(folder, wanted)
        found = read_backup(path.rstrip("/"))
        stranger = found.stranger(trees)
        if stranger:
            mine = ", ".join(trees.values())
            raise MirrorError(f"backup: {found.path} is of {stranger}, not of {mine}", code="bad_option")
        return found
    there = [
        item for item in listed(folder, trees) if item.kind in (SYNC, FULL) and not item.plan.get("half")
    ]
    if not there:
        raise MirrorError(f"backup_dir: there is no backup of these trees in {folder}", code="bad_option")
    return there[-1]


def restore(backup: Backup, job: Job, stopped: Callable[[], str], check: bool) -> Restored:
    """Put both trees back, but for the node's own files. Raises MirrorError.

    Of `job` the destinations, the patterns and the limits count.
    """
    targets = {name: target for name, (_source, target) in job.trees.items()}
    missing = [name for name in targets if name not in backup.plan["trees"]]
    if missing:
        raise MirrorError(f"backup: {backup.path} has no {missing[0]}_dir", code="bad_option")
    if backup.plan.get("half"):
        raise MirrorError(
            f"backup: {backup.path} was made in the middle of a copy, its trees are half one version and half another: go back to "
            "another one",
            code="bad_option",
        )
    if backup.kind == FULL:
        return _whole(backup, job, targets, stopped, check)
    roots = {name: os.path.realpath(path) for name, path in targets.items()}
    why = stopped() if job.require_stopped else ""
    if why:
        raise MirrorError(f"ASTERIA Warp is not stopped here: {why}", code="sync_not_stopped")
    own = tree_of.kept(roots["data"], job.preserve)
    if check:
        found = steps(backup, roots)
        changes = {name: goal.differs() for name, goal in goals(found, roots, job.preserve).items()}
        return Restored(Report(changes, own, own, backup=backup.path), tuple(item.path for item in found))
    with ExitStack() as stack:
        for root in roots.values():
            stack.callback(os.close, tree_of.lock(root))
        done = undo(backup, roots, job.preserve, run_rsync, job.begun)
    after = tree_of.kept(roots["data"], job.preserve)
    return Restored(Report(done.changes, own, after, backup=backup.path), done.used, done.kept)


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
        kind=RESTORE,
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
    return Restored(report, (backup.path,), report.backup)


def own_files(before: Sequence[Kept], after: Sequence[Kept]) -> list[dict[str, Optional[str]]]:
    """The preserved files as a result lists them: {path, sha256, sha256_before}."""
    old = {item.path: item.sha256 for item in before}
    new = {item.path: item.sha256 for item in after}
    return [
        {"path": path, "sha256": new.get(path), "sha256_before": old.get(path)}
        for path in sorted({**old, **new})
    ]
