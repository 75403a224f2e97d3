# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking copies back, the newest first: what each tree shall be again, what of it differs, and the doing of just that.

What is taken away goes into a backup too, by which it can be taken back itself. Only what a copy left unfinished had put
there is not kept: nothing has run on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from . import mirror_entries as entries
from . import mirror_tree as tree_of
from .mirror import MARKER, WORK, Change, Changes
from .mirror_backup import (
    DELTAS,
    UNDO,
    Backup,
    Run,
    continued,
    listed,
    new_backup,
    plan_of,
    read_backup,
    run_tree,
    write_plan,
)

NAMED = ("--no-recursive", "--dirs", "--from0", "--files-from=-", "--no-implied-dirs", "--ignore-times")


@dataclass(frozen=True)
class Undone:
    """The backups that were taken back, newest first, what changed, and where what was taken away lies."""

    used: tuple[str, ...]
    changes: Mapping[str, Changes]
    kept: Optional[str] = None


@dataclass
class Goal:
    """What a tree shall be again: `gone` is not there, `files` are as in {path: a backup's tree}, `attributes` as recorded."""

    root: str
    gone: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Sequence[Any]] = field(default_factory=dict)

    def add(self, item: Backup, name: str, own: set[str]) -> None:
        """What an older copy tells comes after what newer ones told."""
        tree, saved = item.plan["trees"][name], item.tree(name)
        strays = entries.strays(self.root, tree.get("beside", ()))
        for path in [*tree["created"], *strays]:
            if path not in own and path != ".":
                self.gone.add(path)
                self.files.pop(path, None)
                self.attributes.pop(path, None)
        for path in _below(saved):
            if path not in own:
                self.gone.discard(path)
                self.files[path] = saved
                self.attributes.pop(path, None)
        for entry in tree["attributes"]:
            if entry[0] not in own:
                self.attributes[entry[0]] = entry
                if entry[1]:
                    self.gone.discard(entry[0])

    def differs(self) -> Changes:
        """What has to be changed, in the order of doing it."""
        found, away = [], set()
        for path in sorted(self.gone, key=_depth, reverse=True):
            full = os.path.join(self.root, path)
            folder = os.path.isdir(full) and not os.path.islink(full)
            # a directory that holds what is not the copy's stays
            if folder and any(os.path.join(path, name) not in away for name in os.listdir(full)):
                continue
            if os.path.lexists(full):
                away.add(path)
                found.append(Change(path, "deleted", "d" if folder else "f"))
        for path, entry in sorted(self.attributes.items(), key=lambda item: (_depth(item[0]), item[0])):
            now = entries.attribute(self.root, path)
            if now is None and entry[1]:
                found.append(Change(path, "created", "d"))
            elif now is not None and path not in self.files and entries.other(now, entry):
                found.append(Change(path, "attributes", "d" if entry[1] else "f"))
        for path, saved in self.files.items():
            old, full = os.path.join(saved, path), os.path.join(self.root, path)
            now = entries.attribute(self.root, path)
            if now is None:
                found.append(Change(path, "created", "f", os.lstat(old).st_size))
            elif now[1] or tree_of.digest(old) != tree_of.digest(full):
                found.append(Change(path, "updated", "f", os.lstat(old).st_size))
            elif entries.other(now, self.attributes.get(path) or entries.attribute(saved, path) or now):
                found.append(Change(path, "attributes", "f"))
        return Changes(tuple(found))


def _depth(path: str) -> int:
    return path.count("/")


def _below(saved: str) -> Iterator[str]:
    """Every file and link of a backup's tree."""
    for folder, folders, files in os.walk(saved):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *links]:
            yield os.path.relpath(os.path.join(folder, name), saved)


def steps(backup: Backup, trees: Mapping[str, str]) -> list[Backup]:
    """What has to be taken back for these trees to be as before a copy: that one, and all that came after it; newest first.

    Empty when that was done and nothing came after it. Raises MirrorError when something of it is gone.
    """
    whole = {item.path: item for item in continued(backup)}
    oldest, end = min(item.name for item in whole.values()), ""
    there = [item for item in listed(os.path.dirname(backup.path), trees) if item.kind in DELTAS]
    for item in reversed(there):
        if item.name <= oldest:
            break
        if end and item.name >= end:
            continue  # it was taken back
        to = str(item.plan.get("to") or "") if item.plan.get("ended") else ""
        if to == oldest:
            whole = {path: other for path, other in whole.items() if other.name > item.name}
            break
        if to > oldest:
            end = to
        else:
            whole[item.path] = item
    return sorted(whole.values(), key=lambda item: item.name, reverse=True)


def _loose(trees: Mapping[str, str]) -> list[str]:
    """The backups of a copy that has not ended."""
    states = [tree_of.under_way(root) or {} for root in trees.values()]
    state = next((state for state in states if state.get("backup")), {})
    if state.get("undo"):
        return [str(path) for path in state.get("loose", ())]
    path = str(state.get("backup") or "")
    return [item.path for item in continued(read_backup(path))] if os.path.isdir(path) else []


def _keeps(found: Sequence[Backup], loose: Sequence[str]) -> bool:
    """Whether what is taken away is kept: anything may have been done to what a finished copy had put there."""
    return any(item.path not in loose for item in found)


def goals(found: Sequence[Backup], trees: Mapping[str, str], preserve: Sequence[str]) -> dict[str, Goal]:
    """What each tree shall be again, once all of `found` is taken back. The node's own files are no part of it."""
    made = {}
    for name, root in trees.items():
        own = set(tree_of.matching(root, preserve)) if name == "data" else set()
        made[name] = Goal(root)
        for item in found:
            if name == "data":
                own.update(tree_of.matching(item.tree(name), preserve))
            made[name].add(item, name, own)
    return made


def _begin(
    backup: Backup,
    found: Sequence[Backup],
    made: Mapping[str, Goal],
    plans: Mapping[str, Changes],
    loose: Sequence[str],
) -> str:
    """Write down the way back from this way back, and that it is under way."""
    trees = {name: goal.root for name, goal in made.items()}
    earlier = (tree_of.under_way(trees["data"]) or {}).get("kept")
    kept = new_backup(os.path.dirname(backup.path))
    about = {name: entries.told(goal.root, plans[name]) for name, goal in made.items()}
    text = tree_of.read_text(os.path.join(trees["data"], MARKER))
    plan = plan_of(UNDO, f"before {backup.name} was taken back", text, about)
    half = not _keeps(found, loose)
    write_plan(kept, {**plan, "to": found[-1].name, "continues": earlier, "ended": False, "half": half})
    still = [*loose, *([kept] if half else [])]
    for root in trees.values():
        tree_of.begin(root, {"backup": backup.path, "undo": True, "loose": still, "kept": kept})
    return kept


def undo(
    backup: Backup,
    trees: Mapping[str, str],
    preserve: Sequence[str],
    run: Run,
    begun: Callable[[], None] = lambda: None,
) -> Undone:
    """Take back a copy, what it continued, and all that came after it; safe to say again.

    The node's own files are not touched. `begun` is called before the first change. Raises MirrorError.
    """
    found = steps(backup, trees)
    made = goals(found, trees, preserve)
    plans = {name: goal.differs() for name, goal in made.items()}
    used = tuple(item.path for item in found)
    if not found:
        for root in trees.values():
            tree_of.end(root)  # it had done all but say so
        return Undone(used, plans)
    marker, path = found[-1].plan.get("marker"), os.path.join(trees["data"], MARKER)
    loose = _loose(trees)
    begun()
    keep = _keeps(found, loose)
    kept = _begin(backup, found, made, plans, loose)
    for name, goal in made.items():
        _act(goal, plans[name], os.path.join(kept, name) if keep else "", run, f"{name}_dir")
    for root in trees.values():
        tree_of.sync_all(root)
    if marker is None:
        tree_of.remove(path)
    else:
        tree_of.write_text(path, str(marker))
    write_plan(kept, {**read_backup(kept).plan, "ended": True})
    for root in trees.values():
        tree_of.end(root)
    return Undone(used, plans, kept if keep else None)


def _act(goal: Goal, plan: Changes, aside: str, run: Run, option: str) -> None:
    """Change what differs. What is taken away goes to `aside`; empty: nowhere."""
    away = [change.path for change in plan.changes if change.what == "deleted"]
    todo = {change.path for change in plan.changes if change.what != "deleted"}
    if aside:
        entries.move_away(
            goal.root, aside, away, lambda source, names: run_tree(run, NAMED, source, aside, option, names)
        )
    for path in away:
        entries.drop(os.path.join(goal.root, path))
    folders = sorted(goal.attributes.values(), key=lambda entry: _depth(str(entry[0])))
    for entry in folders:
        entries.put_back(goal.root, entry)
    words = [
        *NAMED,
        "--omit-dir-times",
        *([] if tree_of.mounted_below(goal.root) else [f"--temp-dir={WORK}"]),
    ]
    words += ["--backup", f"--backup-dir={aside}"] if aside else []
    for saved in dict.fromkeys(goal.files.values()):
        names = [path for path, where in goal.files.items() if where == saved and path in todo]
        if names:
            run_tree(
                run, words, saved, goal.root, option, b"".join(os.fsencode(name) + b"\0" for name in names)
            )
    for entry in reversed(folders):
        entries.put_back(goal.root, entry)
