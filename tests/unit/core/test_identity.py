# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each node's own files on a folder that both share: whose they are, which version wins, and a crash at every write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import identity as module
from ansible_collections.hotstandby.ops.plugins.module_utils.identity import (
    LONGEST,
    Identity,
    IdentityError,
    Stamp,
    planned,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import PRESERVE


class Crash(BaseException):
    """The node is gone."""


class Folder:
    """A shared DATA_DIR."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("home/app/system/license/x.key", "ordinary")

    def put(self, name: str, text: str, when: int = 100) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (when, when))

    def install(self, node: str) -> None:
        """As a node's own installation into the shared folder leaves it."""
        for path in (self.root / "system").rglob("*"):
            if path.is_file():
                path.unlink()
        self.put("system/conf/server.xconf", f"server {node}")
        self.put(f"system/license/{node}.key", f"licence {node} 1")
        self.put("system/license/shared-name.key", f"{node} too")

    def live(self) -> dict[str, str]:
        names = Identity(str(self.root)).live()
        return {name: (self.root / name).read_text() for name in names}

    def kept(self, node: str) -> dict[str, str]:
        return {
            name: (self.root / ".identity" / node / name).read_text()
            for name in Identity(str(self.root)).kept(node)
        }

    def aside(self) -> set[str]:
        folder = self.root / ".identity" / ".removed"
        return {path.read_text() for path in folder.iterdir()} if folder.exists() else set()


def files(node: str, licence: str = "1") -> dict[str, str]:
    return {
        "system/conf/server.xconf": f"server {node}",
        f"system/license/{node}.key": f"licence {node} {licence}",
        "system/license/shared-name.key": f"{node} too",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """b installed and saved, then a: a's files are in place."""
    made = Folder(tmp_path / "data dir")
    for node in "ba":
        (made.root / ".hotstandby-identity").unlink(missing_ok=True)
        made.install(node)
        Identity(str(made.root)).save(node)
    return made


def test_each_node_gets_its_own(folder: Folder) -> None:
    shared = Identity(str(folder.root))
    assert folder.live() == files("a") and shared.stamp() == Stamp("a", True)
    done = shared.restore("b")
    assert done.changed and folder.live() == files("b") == folder.kept("b") and folder.kept("a") == files("a")
    assert shared.stamp() == Stamp("b", True) and (folder.root / ".identity").stat().st_mode & 0o77 == 0
    again = Identity(str(folder.root)).restore("b")
    assert not again.changed and [item.path for item in again.files] == sorted(files("b"))
    Identity(str(folder.root)).restore("a")
    assert folder.live() == files("a")
    assert (
        folder.root / "home/app/system/license/x.key"
    ).read_text() == "ordinary" and folder.aside() == set()


def test_a_licence_renewed_while_active_is_saved_for_its_node(folder: Folder) -> None:
    folder.put("system/license/a.key", "licence a 2", when=200)
    folder.put("system/license/new.key", "one more", when=200)
    Identity(str(folder.root)).restore("b")
    assert folder.live() == files("b")
    assert folder.kept("a") == {**files("a", "2"), "system/license/new.key": "one more"}
    # the version before it is not lost either
    assert folder.aside() == {"licence a 1"}


def test_a_renewed_licence_that_kept_its_vendors_time_is_no_older_one(folder: Folder) -> None:
    # unpacked with the time at which it was made, which is before the other one was installed here
    folder.put("system/license/a.key", "licence a 2", when=50)
    Identity(str(folder.root)).restore("a")
    assert folder.live() == files("a", "2") and folder.kept("a") == files("a", "2")
    Identity(str(folder.root)).restore("b")
    Identity(str(folder.root)).restore("a")
    assert folder.live() == files("a", "2") and folder.aside() == {"licence a 1"}


def test_an_older_licence_never_replaces_a_newer(folder: Folder) -> None:
    # renewed where it is kept, while b is active
    Identity(str(folder.root)).restore("b")
    folder.put(".identity/a/system/license/a.key", "licence a 3", when=300)
    Identity(str(folder.root)).restore("a")
    assert folder.live() == files("a", "3")
    # renewed where it is kept, while a itself is active: the live one is older, and does not win
    folder.put(".identity/a/system/license/a.key", "licence a 4", when=400)
    Identity(str(folder.root)).save("a")
    assert folder.kept("a") == files("a", "4")
    Identity(str(folder.root)).restore("a")
    assert folder.live() == files("a", "4") and folder.aside() == {"licence a 3"}


def test_nobody_saves_another_nodes_files(folder: Folder) -> None:
    with pytest.raises(IdentityError, match="the live files are a's, not b's"):
        Identity(str(folder.root)).save("b")
    with pytest.raises(IdentityError, match="no files are kept for c"):
        Identity(str(folder.root)).restore("c")
    (folder.root / ".hotstandby-identity").unlink()
    with pytest.raises(IdentityError, match="nobody has said whose files"):
        Identity(str(folder.root)).restore("b")
    assert folder.live() == files("a")
    # they are as they were kept for a: so they are a's
    assert not Identity(str(folder.root)).restore("a").changed
    for odd in ("?", '{"node": "a", "whole": true' + " " * LONGEST + "}"):
        (folder.root / ".hotstandby-identity").write_text(odd)
        with pytest.raises(IdentityError, match="holds no stamp"):
            Identity(str(folder.root)).restore("a")


def test_room_is_made_for_the_next_installation_and_nothing_is_lost(tmp_path: Path) -> None:
    made = Folder(tmp_path / "data dir")
    made.install("a")
    done = Identity(str(made.root)).clear("a")
    assert done.owner is None and made.live() == {} and made.kept("a") == files("a")
    assert Identity(str(made.root)).stamp() is None and not Identity(str(made.root)).clear("a").changed
    # nobody's are in place, and nobody's own installation is there: no start, and nothing to save
    with pytest.raises(IdentityError, match="there is nothing to save"):
        Identity(str(made.root)).save("b")
    made.install("b")
    # whoever says the wrong name is told; the files of a are not b's
    with pytest.raises(IdentityError, match="nobody has said whose files"):
        Identity(str(made.root)).restore("a")
    Identity(str(made.root)).save("b")
    assert Identity(str(made.root)).nodes() == ["a", "b"] and made.kept("b") == files("b")
    Identity(str(made.root)).restore("a")
    assert made.live() == files("a")
    (made.root / ".hotstandby-identity").unlink()
    with pytest.raises(
        IdentityError, match="the live files are a's, as they were kept for it: install on b first"
    ):
        Identity(str(made.root)).save("b")
    # a live licence that is older than the kept one makes room too, and is not lost
    Identity(str(made.root)).save("a")
    made.put(".identity/a/system/license/a.key", "licence a 3", when=300)
    Identity(str(made.root)).clear("a")
    assert made.kept("a") == files("a", "3") and made.aside() == {"licence a 1"} and made.live() == {}


def test_a_crash_while_room_is_made_is_repaired_by_saying_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.unlink, [0]

    def dying(*arguments: Any, **words: Any) -> None:
        if left[0] == 0:
            raise Crash
        left[0] -= 1
        real(*arguments, **words)

    for step in range(20):
        made = Folder(tmp_path / str(step))
        made.install("a")
        left[0] = step
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "unlink", dying)
            try:
                Identity(str(made.root)).clear("a")
                break
            except Crash:
                pass
        assert made.kept("a") == files("a")
        Identity(str(made.root)).clear("a")
        assert made.live() == {} and made.kept("a") == files("a")
    assert 3 <= step < 19


def test_files_that_are_missing_are_put_back(folder: Folder) -> None:
    (folder.root / "system/conf/server.xconf").unlink()
    done = Identity(str(folder.root)).restore("a")
    assert done.changes == (("system/conf/server.xconf", "placed"),) and folder.live() == files("a")
    with pytest.raises(IdentityError, match="there is nothing to save"):
        Identity(str(folder.root / "home")).save("a")


@pytest.mark.parametrize("then", ["a", "b"])
def test_a_crash_at_every_write_is_repaired_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    count = {"left": -1}

    def dying(real: Any) -> Any:
        def call(*arguments: Any, **words: Any) -> Any:
            if count["left"] == 0:
                raise Crash
            count["left"] -= 1
            return real(*arguments, **words)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(module.os, name, dying(getattr(os, name)))
    for step in range(100):
        count["left"] = -1
        made = Folder(tmp_path / f"{then}{step}")
        for node in "ba":
            (made.root / ".hotstandby-identity").unlink(missing_ok=True)
            made.install(node)
            Identity(str(made.root)).save(node)
        made.put("system/license/a.key", "licence a 2", when=200)
        count["left"] = step
        try:
            Identity(str(made.root)).restore("b")
            count["left"] = -1
            break
        except Crash:
            count["left"] = -1
        Identity(str(made.root)).restore(then)
        assert made.live() == (files("b") if then == "b" else files("a", "2")), step
        # a's renewed licence is never lost, and never goes back
        assert made.kept("a") == files("a", "2") and made.kept("b") == files("b"), step
    assert 5 < step < 99


def test_a_plan_is_what_happens_and_changes_nothing(folder: Folder) -> None:
    folder.put("system/license/a.key", "licence a 2", when=200)
    before = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")}
    plan = planned(str(folder.root), PRESERVE, "restored", "b")
    assert {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")} == before
    assert Identity(str(folder.root)).restore("b") == plan
    # and of one that was renewed where it is kept, which is not replaced by the live one
    folder.put(".identity/b/system/license/b.key", "licence b 2", when=300)
    again = planned(str(folder.root), PRESERVE, "restored", "b")
    assert again.changes == (("system/license/b.key", "placed"),)
    assert Identity(str(folder.root)).restore("b") == again
    assert not planned(str(folder.root), PRESERVE, "saved", "b").changed
