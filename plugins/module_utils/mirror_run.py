# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of both trees: what is asked first, and in which order things are done, so that any instant can be the last."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from . import mirror_entries as entries
from . import mirror_tree as tree_of
from .mirror import (
    DISK_FULL,
    LOOKS,
    MARKER,
    NEVER,
    PARTIAL,
    PRESERVE,
    RUNTIME,
    VANISHED,
    WORK,
    Changes,
    Engine,
    Marker,
    MirrorError,
    Report,
    check_path,
    clean_patterns,
    decode,
    explain_rsync,
    judge_direction,
    literal_parents,
    names_of,
    overlap,
    parse_changes,
    parse_marker,
    rsync_argv,
)
from .mirror_backup import SYNC, drop_backup, extras, new_backup, plan_of, write_plan
from .mirror_plan import plan
from .mirror_source import Seen, Source

ROUNDS = 3  # runs of one tree in which files vanish before that counts as a failure


@dataclass(frozen=True)
class Job:
    """What is to be copied. `trees` is {"data"|"install": (source's path, path here)}, of which data comes last.

    `own_node`, `source_node` and `pair` are who the hosts are, None where nobody knows. `live`: the source may run, the
    copy counts as under way until one without it has ended.
    """

    trees: Mapping[str, tuple[str, str]]
    backup_dir: str
    source: Source = field(default_factory=Source)
    preserve: tuple[str, ...] = PRESERVE
    exclude: tuple[str, ...] = RUNTIME
    delete: bool = True
    max_delete: float = 50.0
    require_stopped: bool = True
    live: bool = False
    force_direction: bool = False
    reason: str = ""
    own_node: Optional[str] = None
    source_node: Optional[str] = None
    pair: Optional[str] = None
    config: str = "/etc/hotstandby/pair.json"
    marked: bool = True  # whether the source's marker is put here; a backup has none
    kind: str = SYNC  # of the backup that it makes
    begun: Callable[[], None] = lambda: (
        None
    )  # called before the first change, once nothing is refused any more

    def excludes(self, tree: str) -> tuple[str, ...]:
        """What a run of that tree leaves alone on both sides."""
        return (*self.preserve, *self.exclude, *NEVER["data"]) if tree == "data" else ()


Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def run_rsync(
    argv: list[str], keep: tuple[int, ...] = (), names: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run it with `names` as its input. `keep` are locks that live as long as it does."""
    env = {**os.environ, "LC_ALL": "C", "RSYNC_RSH": "ssh"}
    try:
        return subprocess.run(argv, input=names, capture_output=True, env=env, pass_fds=keep, check=False)
    except OSError as error:
        raise MirrorError(
            f"rsync cannot be run here: {error.strerror or error}", code="sync_failed"
        ) from None


class Mirror:
    """One copy. `stopped` says why the product here is not known to be stopped, empty when it is."""

    def __init__(self, job: Job, stopped: Callable[[], str], run: Run = run_rsync) -> None:
        preserve, exclude = clean_patterns("preserve", job.preserve), clean_patterns("exclude", job.exclude)
        trees = {
            name: (check_path(f"source_{name}_dir", source), check_path(f"{name}_dir", target))
            for name, (source, target) in job.trees.items()
        }
        backup = check_path("backup_dir", job.backup_dir)
        self.job = replace(job, preserve=preserve, exclude=exclude, trees=trees, backup_dir=backup)
        self._stopped, self._run = stopped, run
        self.places = {name: tree_of.place(f"{name}_dir", target) for name, (_from, target) in trees.items()}
        self.root = self.places["data"].path
        self.notes: list[str] = []
        self._told: dict[str, Any] = {}
        self._locks: tuple[int, ...] = ()

    # -- questions

    def _look(self, token: str = "", brief: bool = False) -> Seen:
        job = self.job
        paths = {name: source for name, (source, _to) in job.trees.items()}
        parents = literal_parents(job.preserve)
        return job.source.look(paths, LOOKS, parents, token, WORK, job.config, brief)

    def _check_places(self, seen: Seen) -> None:
        """Raises MirrorError for directories that must not meet."""
        same = not self.job.source.host or (seen.boot != "" and seen.boot == tree_of.boot_id())
        backup = tree_of.place("backup_dir", self.job.backup_dir)
        own = [*self.places.values(), backup]
        pairs = [(one, other, True) for index, one in enumerate(own) for other in own[index + 1 :]]
        # a whole backup is a source that lies in the directory of the backups
        against = own if self.job.marked else own[:-1]
        pairs += [(one, other, same) for one in seen.places.values() for other in against]
        sources = list(seen.places.values())
        pairs += [(one, other, True) for index, one in enumerate(sources) for other in sources[index + 1 :]]
        for one, other, together in pairs:
            why = overlap(one, other, together)
            if why:
                raise MirrorError(f"{why}: nothing was copied")

    def _check_source(self, seen: Seen) -> None:
        for name, place in seen.places.items():
            if not place.chain:
                raise MirrorError(f"source_{name}_dir: {self.job.trees[name][0]} is not there on the source")
            if name not in seen.looks:
                why = (
                    "is empty: is it mounted?"
                    if name not in seen.filled
                    else "does not look like ASTERIA Warp's"
                )
                needs = " or ".join(LOOKS[name][:2])
                raise MirrorError(f"source_{name}_dir: {self.job.trees[name][0]} {why} (it has no {needs})")
        for word, names in (("a link", seen.links), ("no directory", seen.odd)):
            if names:
                raise MirrorError(
                    f"source_data_dir: {names[0]} is {word} there: it would take the place of this node's own files"
                )
        if seen.unfinished:
            raise MirrorError(
                "source_data_dir: the source itself holds a copy that has not ended: finish that first"
            )
        if not seen.rsync:
            raise MirrorError("there is no rsync on the source: install it", code="sync_source")

    def _check_target(self) -> None:
        for name, place in self.places.items():
            there = [os.path.lexists(os.path.join(place.path, item)) for item in LOOKS[name]]
            if not any(there) and not tree_of.empty(place.path):
                raise MirrorError(
                    f"{name}_dir: {place.path} is not empty and does not look like ASTERIA Warp's: nothing was copied"
                )
        for name in literal_parents(self.job.preserve):
            path = os.path.join(self.root, name)
            if os.path.islink(path):
                raise MirrorError(
                    f"data_dir: {path} is a link: the files to preserve must lie in the tree itself"
                )

    def _check_direction(self, seen: Seen) -> tuple[Optional[Marker], Optional[Marker]]:
        """(the source's marker, ours). Raises MirrorError when the copy must not go that way."""
        job = self.job
        theirs = parse_marker(seen.marker, f"the source's {MARKER}")
        text = tree_of.read_text(os.path.join(self.root, MARKER))
        ours = parse_marker(text, os.path.join(self.root, MARKER))
        who = job.source_node or (seen.node if job.source.host else None)
        why = judge_direction(theirs, ours, who, job.own_node, job.pair)
        if why and job.force_direction:
            if not job.reason.strip():
                raise MirrorError(
                    "reason: force_direction needs one: why the older or unknown data shall win",
                    code="bad_option",
                )
            self.notes.append(f"direction forced ({job.reason.strip()}): {why}")
        elif why:
            raise MirrorError(
                f"{why}. Nothing was copied; force_direction with a reason would do it", code="sync_direction"
            )
        return theirs, ours

    def _check_stopped(self, seen: Seen) -> None:
        if not self.job.require_stopped:
            return
        why = self._stopped()
        if why:
            raise MirrorError(f"ASTERIA Warp is not stopped here: {why}", code="sync_not_stopped")
        if seen.running and not self.job.live:
            pids = ", ".join(str(pid) for pid in seen.running[:5])
            raise MirrorError(
                f"ASTERIA Warp is not stopped on the source (pid {pids})", code="sync_not_stopped"
            )

    # -- runs

    def _engine(self, texts: Sequence[str], name: str) -> Engine:
        target = self.places[name].path
        places = [target if os.path.isdir(target) else os.path.dirname(target)]
        # what the source's own file system cannot keep is not taken away here
        places += [] if self.job.source.host else [self.job.trees[name][0]]
        words = extras(texts, *places)
        return Engine(
            remote=self.job.source.remote(),
            acls="-A" in words,
            xattrs="-X" in words,
            delete=self.job.delete,
            beside=tree_of.mounted_below(target),
        )

    def _rsync(
        self, engine: Engine, name: str, names: Optional[bytes] = None, **how: Any
    ) -> tuple[int, Changes, str]:
        source = self.job.source.spell(self.job.trees[name][0])
        how["named"] = names is not None
        argv = rsync_argv(engine, source, self.places[name].path, self.job.excludes(name), **how)
        done = self._run(argv, self._locks, names or b"")
        return done.returncode, parse_changes(decode(done.stdout)), decode(done.stderr)

    def _act(self, engine: Engine, name: str, plan: Changes, backup: str) -> tuple[Changes, int]:
        """Do what was planned. Raises MirrorError."""
        place = self.places[name]
        if not plan.changes:
            return plan, 1
        most = plan.deleted
        for turn in range(1, ROUNDS + 1):
            names = names_of(plan) if turn == 1 else None
            rc, changes, stderr = self._rsync(
                engine, name, names, backup=os.path.join(backup, name), most=most
            )
            self._note_more(name, changes, backup)
            if rc == 0:
                return (plan if turn > 1 else changes), turn
            # a name that has gone meanwhile is an error where it was asked for by name
            if rc != VANISHED and not (names is not None and rc == PARTIAL and "No such file" in stderr):
                again = "run it again when that is mended; to go back: warp_backup with state=restored"
                code = "sync_disk_full" if rc == DISK_FULL or "No space left" in stderr else "sync_failed"
                raise MirrorError(
                    f"{explain_rsync(rc, stderr, place.option)}. Each file is old or new; {again}", code
                )
        if self.job.live:
            self.notes.append(f"{name}: files vanished on the running source")
            return plan, ROUNDS
        raise MirrorError(
            f"{place.option}: files vanish on the source: does something still run there?", code="sync_failed"
        )

    def _begin(self, plans: Mapping[str, Changes], ours: Optional[Marker]) -> str:
        """Write down the way back, then say that a copy is under way. Returns the backup's directory."""
        self.job.begun()
        earlier = tree_of.under_way(self.root) or {}
        backup = new_backup(self.job.backup_dir)
        trees = {name: entries.told(self.places[name].path, plan) for name, plan in plans.items()}
        told = plan_of(self.job.kind, self.job.reason, None if ours is None else ours.text(), trees)
        self._told = {**told, "continues": earlier.get("backup")}
        write_plan(backup, self._told)
        for place in self.places.values():
            os.makedirs(place.path, exist_ok=True)
            tree_of.begin(place.path, {"backup": backup, "live": self.job.live, "time": time.time()})
        return backup

    def _note_more(self, name: str, changes: Changes, backup: str) -> None:
        """What came to a running source after the plan has been made here as well, and is taken back with the rest."""
        known = self._told["trees"][name]["created"]
        more = {change.path for change in changes.changes if change.what == "created"} - set(known)
        if more:
            known += sorted(more)
            write_plan(backup, self._told)

    def run(self, check: bool = False) -> Report:
        """Copy, or (check) only tell what would be done. Raises MirrorError."""
        try:
            with ExitStack() as stack:
                return self._copy(check, stack)
        finally:
            self.job.source.close()

    def _copy(self, check: bool, stack: ExitStack) -> Report:
        job = self.job
        self._check_target()
        seen = self._look()
        self._check_places(seen)
        self._check_source(seen)
        theirs, ours = self._check_direction(seen)
        self._check_stopped(seen)
        locks = []
        for place in self.places.values():
            if os.path.isdir(place.path):
                locks.append(tree_of.lock(place.path))
                stack.callback(os.close, locks[-1])
        self._locks = tuple(locks)
        # from this host there is but one
        here = self._run(["rsync", "--version"]).stdout.decode("ascii", "replace") if job.source.host else ""
        texts = [text for text in (seen.rsync, here) if text]
        engines = {name: self._engine(texts, name) for name in self.places}
        before = tree_of.kept(self.root, job.preserve)
        plans = plan(
            self.places, lambda name: self._rsync(engines[name], name, dry=True), job.excludes, job.max_delete
        )
        unfinished = tree_of.under_way(self.root) is not None
        marked = job.marked and not job.live and theirs != ours
        todo = marked or any(plan.changes for plan in plans.values())
        if check or not (todo or unfinished):
            return self._report(plans, before, before, marked)
        if not todo:
            # an earlier copy had done everything but say so
            for place in self.places.values():
                tree_of.end(place.path)
            return self._report(plans, before, before, False)
        backup = self._begin(plans, ours)
        self._same_directory(backup)
        done, rounds = {}, 1
        # the data last: who interrupts it in between finds the data as old as they were
        for name in sorted(plans, key=lambda name: name == "data"):
            done[name], turns = self._act(engines[name], name, plans[name], backup)
            rounds = max(rounds, turns)
        after = tree_of.kept(self.root, job.preserve)
        if not job.live:
            self._finish(seen, theirs, marked)
        return replace(self._report(done, before, after, marked, backup), rounds=rounds)

    def _same_directory(self, backup: str) -> None:
        """One folder under two names, as on a shared file system, shows itself by what was just written into it."""
        if not self.job.source.host:
            return  # on one host its own numbers have told
        again = self._look(os.path.join(WORK, tree_of.STATE))
        if again.token:
            for place in self.places.values():
                tree_of.end(place.path)
            drop_backup(backup)
            raise MirrorError("data_dir is the source's own directory under another name: nothing was copied")

    def _finish(self, seen: Seen, theirs: Optional[Marker], marked: bool) -> None:
        """The source must have stood still; then, last of all, the marker."""
        if self.job.require_stopped:
            again = self._look(brief=True)
            if again.running or again.marker != seen.marker:
                raise MirrorError(
                    "the source was started during the copy: stop it and run it again",
                    code="sync_not_stopped",
                )
        if theirs is not None:
            # a marker must not outlive the data that it vouches for; trees without one are as lasting as rsync leaves them
            for place in self.places.values():
                tree_of.sync_all(place.path)
        if marked:
            path = os.path.join(self.root, MARKER)
            if theirs is None:
                tree_of.remove(path)
            else:
                tree_of.write_text(path, theirs.text())
        for place in self.places.values():
            tree_of.end(place.path)

    def _report(
        self,
        changes: Mapping[str, Changes],
        before: Any,
        after: Any,
        marked: bool,
        backup: Optional[str] = None,
    ) -> Report:
        skipped = [name for item in changes.values() for name in item.skipped]
        if skipped:
            self.notes.append(f"skipped, since no copy makes sense of them: {', '.join(skipped[:10])}")
        return Report(changes, before, after, marked, backup, notes=tuple(self.notes))
