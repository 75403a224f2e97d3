# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: nothing that it replaces or deletes is lost, no two versions are mixed, and no other trees are met."""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import mirror_run, mirror_tree
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import WORK, MirrorError
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_backup import (
    DELTAS,
    FULL,
    Backup,
    listed,
    prune,
    save,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_restore import Restored, find, restore

from .mirror_trees import Trees


class Way(Trees):
    """Trees with the way back, as warp_backup goes it."""

    def roots(self, node: str = "b") -> dict[str, str]:
        return {name: self.path(node, name) for name in ("install", "data")}

    def save(self, node: str = "b") -> Backup:
        return save(self.job.backup_dir, self.roots(node), mirror_run.run_rsync)

    def back(self, to: Any = None, check: bool = False) -> Restored:
        named = None if to is None else str(getattr(to, "backup", None) or getattr(to, "path", to))
        found = find(self.job.backup_dir, named, self.roots())
        return restore(found, replace(self.job, max_delete=100.0), lambda: "", check)

    def text(self, name: str) -> str | None:
        path = Path(self.path("b", "data", name))
        return path.read_text() if path.exists() else None


@pytest.fixture
def trees(tmp_path: Path) -> Way:
    made = Way(tmp_path)
    made.write("b", "data", "home/flow", "0")
    made.write("b", "data", "home/gone", "0")
    made.write("b", "data", "home/dir/deep", "0")
    return made


def version(trees: Way, number: int) -> Any:
    """Sync a version of the source: `flow` changes each time, `only<number>` is new in it and gone in the next."""
    for old in Path(trees.path("a", "data", "home")).glob("only*"):
        old.unlink()
    trees.write("a", "data", "home/flow", str(number))
    trees.write("a", "data", f"home/only{number}", str(number))
    trees.write("a", "install", "server/lib/x.jar", str(number))
    return trees.sync()


def test_what_was_made_since_a_copy_is_kept_when_the_copy_is_taken_back(trees: Way) -> None:
    before = trees.state("b")
    done = version(trees, 1)
    # the standby took over, and people worked on it
    trees.write("b", "data", "home/flow", "edited here")
    trees.write("b", "data", "home/only1", "edited here too")
    edited = trees.state("b")
    plan = trees.back(check=True)
    assert trees.state("b") == edited
    back = trees.back()
    assert trees.state("b") == before and back.report.changes == plan.report.changes
    assert back.used == (done.backup,)
    # said again it changes nothing, and what was edited is one command away
    assert not trees.back(check=True).report.changed and not trees.back().report.changed
    assert back.kept is not None
    again = trees.back(back.kept)
    assert trees.state("b") == edited and again.report.changed
    # the default stays the copy, and never what a way back has put aside
    trees.back()
    assert trees.state("b") == before


def test_an_older_copy_is_taken_back_with_all_that_came_after_it(trees: Way) -> None:
    states, done = [], []
    for number in (1, 2, 3):
        states.append(trees.state("b"))
        done.append(version(trees, number))
    plan = trees.back(done[1], check=True)
    back = trees.back(done[1])
    assert trees.state("b") == states[1] and back.used == (done[2].backup, done[1].backup)
    assert plan.report.changes == back.report.changes
    # one that was taken back is not taken back twice, whatever was copied since
    version(trees, 4)
    trees.back(done[0])
    assert trees.state("b") == states[0]


def test_a_whole_copy_and_copies_after_it_in_any_order(trees: Way) -> None:
    whole, zero = trees.save(), trees.state("b")
    first = version(trees, 1)
    one = trees.state("b")
    second = version(trees, 2)
    two = trees.state("b")
    restored = trees.back(whole)
    assert trees.state("b") == zero
    # the newest copy's own backup still leads to before that copy, not to a mixture
    trees.back()
    assert trees.state("b") == one
    trees.back(whole)
    trees.back(first)
    assert trees.state("b") == zero
    # and what a restore replaced is one command away
    trees.back(restored.kept)
    assert trees.state("b") == two and second.backup is not None


def test_going_back_twice_to_the_newest_whole_copy_is_going_back_once(trees: Way) -> None:
    trees.save()
    before = trees.state("b")
    trees.write("b", "data", "home/flow", "a bad update")
    assert trees.back().report.changed and trees.state("b") == before
    assert not trees.back().report.changed and trees.state("b") == before


def test_no_backup_goes_that_a_kept_one_needs(trees: Way) -> None:
    before = trees.state("b")
    for number in range(5):
        trees.write("a", "data", f"home/live{number}", "x")
        trees.sync(live=True)
    trees.write("a", "data", "home/last", "x")
    done = trees.sync()
    assert prune(trees.job.backup_dir, 1, DELTAS, trees.roots()) == []
    assert len(trees.back(done).used) == 6 and trees.state("b") == before
    # one that is gone all the same is told before anything is touched
    version(trees, 9)
    trees.sync(live=True)
    shutil.rmtree(listed(trees.job.backup_dir, trees.roots())[0].path)
    state = trees.state("b")
    with pytest.raises(MirrorError, match="is not there any more"):
        trees.back(done)
    assert trees.state("b") == state


def test_backups_of_other_trees_are_neither_used_nor_removed(trees: Way, tmp_path: Path) -> None:
    other = Way(tmp_path / "other")
    other.job = replace(other.job, backup_dir=trees.job.backup_dir)
    version(trees, 1)
    state = trees.state("b")
    theirs = [version(other, number).backup for number in (1, 2)] + [other.save().path]
    with pytest.raises(MirrorError, match=r"is of .*other.*, not of"):
        trees.back(theirs[1])
    assert trees.state("b") == state
    prune(trees.job.backup_dir, 1, DELTAS, trees.roots())
    prune(trees.job.backup_dir, 1, (FULL,), trees.roots())
    assert all(os.path.isdir(str(path)) for path in theirs)
    # the newest of its own, though others are newer
    trees.back()
    assert trees.text("home/flow") == "0" and trees.text("home/only1") is None


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
LIST = acl((1, 6, NOBODY), (2, 4, 1), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 4, NOBODY))


def test_access_lists_and_extended_attributes_survive_each_way(trees: Way) -> None:
    if not (mirror_tree.supports(str(trees.root), "user.x")):
        pytest.skip("this file system has none")
    path = Path(trees.path("b", "data", "home/flow"))
    names = {"user.kept": b"by b", "system.posix_acl_access": LIST}
    for name, value in names.items():
        os.setxattr(path, name, value)
    os.setxattr(path.parent, "user.folder", b"by b")

    def told(file: Path = path) -> dict[str, bytes]:
        return {name: os.getxattr(file, name) for name in os.listxattr(file)}

    # in a whole copy, and out of it
    whole = trees.save()
    assert told(Path(whole.path, "data/home/flow")) == names
    version(trees, 1)
    assert told() == {}
    trees.back(whole)
    assert told() == names
    # in what one copy replaced, and where the attributes alone were changed
    for change in ("content", "attributes"):
        if change == "attributes":
            shutil.copy2(path, trees.path("a", "data", "home/flow"))
            os.removexattr(trees.path("a", "data", "home/flow"), "user.kept")
        done = trees.sync()
        assert "user.kept" not in told() and os.listxattr(path.parent) == []
        trees.back(done)
        assert told() == names and os.listxattr(path.parent) == ["user.folder"], change


def test_a_whole_copy_of_half_a_tree_is_no_way_back(trees: Way) -> None:
    trees.write("a", "data", "home/flow", "1")
    trees.sync(live=True)
    half = trees.save()
    with pytest.raises(MirrorError, match="in the middle of a copy"):
        trees.back(half)
    # the default is the copy that has not ended; nothing has run on what it had put there, and so none of it is kept
    back = trees.back()
    assert back.kept is None and back.report.changed
    with pytest.raises(MirrorError, match="in the middle of a copy"):
        trees.back(find_kept(trees))
    assert trees.text("home/flow") == "0" and not os.path.exists(trees.path("b", "data", WORK))


def test_a_way_back_that_was_cut_short_is_ended_by_the_same_command(
    trees: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(BaseException):
        pass

    before = trees.state("b")
    steps, left = 0, [0]

    def dying(real: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            if left[0] == 0:
                raise Dead
            left[0] -= 1
            return real(*words, **named)

        return call

    for step in range(0, 60, 3):
        version(trees, 10 + step)
        trees.write("b", "data", "home/flow", "edited here")
        trees.write("b", "data", f"home/only{10 + step}", "edited too")
        edited, left[0] = trees.state("b"), step
        with monkeypatch.context() as patch:
            for name in ("rename", "replace", "rmdir", "utime"):
                patch.setattr(os, name, dying(getattr(os, name)))
            try:
                trees.back()
            except Dead:
                steps += 1
        back = trees.back()
        assert trees.state("b") == before and not os.path.exists(trees.path("b", "data", WORK))
        if left[0] > 0:
            break
        # however often it was cut short: what it took away is all there
        trees.back(back.kept or find_kept(trees))
        assert trees.state("b") == edited, step
        trees.back()
    assert 3 < steps < 19


def find_kept(trees: Way) -> str:
    return [item for item in listed(trees.job.backup_dir, trees.roots()) if item.kind == "undo"][-1].path


def test_files_that_appear_on_a_running_source_are_taken_back_too(trees: Way) -> None:
    before = trees.state("b")

    def growing(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" not in argv and "--version" not in argv:
            trees.write("a", "data", "home/appeared", "after the plan")
        return mirror_run.run_rsync(argv, keep, names)

    trees.write("a", "data", "home/flow", "1")
    trees.sync(run=growing, live=True)
    assert trees.text("home/appeared") is not None
    trees.back()
    assert trees.state("b") == before


def test_a_whole_copy_that_was_cut_short_goes_with_the_next_and_none_is_made_beside_a_copy(
    trees: Way,
) -> None:
    def killed(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--version" in argv:
            return mirror_run.run_rsync(argv, keep, names)
        # while somebody is at work on one it stays
        with pytest.raises(MirrorError, match="another copy is under way"):
            trees.save()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(trees.job.backup_dir, trees.roots(), killed)
    folder = Path(trees.job.backup_dir)
    assert [path.suffix for path in folder.iterdir()] == [".partial"]
    handle = mirror_tree.lock(str(next(folder.iterdir())))
    lasting = trees.save()
    assert len(list(folder.iterdir())) == 2
    os.close(handle)
    assert sorted([lasting.path, trees.save().path]) == sorted(str(path) for path in folder.iterdir())
