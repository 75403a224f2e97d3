# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy on real trees by the real rsync: what becomes equal, what stays, what is refused, and every kind of end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import mirror_run, mirror_tree
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import MARKER, WORK, Marker, MirrorError
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_backup import read_backup
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_undo import undo

from .mirror_trees import LONG, NAMES, Trees, witness

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    made = Trees(tmp_path)
    made.fill()
    return made


def without(state: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key.rpartition("/")[2] not in names}


def equal(trees: Trees) -> None:
    """Both nodes have the same, but for sockets and fifos, and directories' own times."""
    assert without(trees.state("a"), "fifo") == trees.state("b")


def test_both_trees_become_equal_and_own_files_stay(trees: Trees) -> None:
    own = trees.state("b", own=True)
    plan = trees.sync(check=True)
    before = trees.state("b")
    assert not os.path.exists(trees.root / "backups") and not os.path.exists(trees.path("b", "data", WORK))
    done = trees.sync()
    # check mode lists exactly what a run then does
    assert done.listed() == plan.listed() and done.changed and len(plan.listed()) > 20
    equal(trees)
    assert trees.state("b", own=True) == own
    assert [(item.path, item.sha256) for item in done.before] == [
        (item.path, item.sha256) for item in done.after
    ]
    assert {item.path for item in done.after} == {"system/license/b.key", "system/conf/server.xconf"}
    assert done.notes == ("skipped, since no copy makes sense of them: home/fifo",)
    home = trees.path("b", "data", "home")
    assert os.stat(f"{home}/plain").st_ino == os.stat(f"{home}/hard").st_ino
    assert os.stat(f"{home}/sparse").st_blocks * 512 < os.stat(f"{home}/sparse").st_size
    assert os.readlink(f"{home}/leaves") == "/etc/passwd"
    assert len(os.fsencode(LONG)) == 255 and os.path.exists(f"{home}/{LONG}")
    assert not os.path.exists(trees.path("b", "data", WORK))
    # the second run changes nothing
    again = trees.sync()
    assert not again.changed and again.listed() == [] and again.backup is None
    assert trees.sync(check=True).changed is False
    assert before != trees.state("b")


def test_what_was_replaced_or_deleted_can_be_taken_back(trees: Trees) -> None:
    os.chmod(trees.path("b", "data", "home/stale"), 0o640)
    os.chmod(trees.path("b", "data", "home/gone"), 0o750)
    trees.write("a", "data", "home/mode", "same").chmod(0o600)
    trees.write("b", "data", "home/mode", "same").chmod(0o644)
    for node in "ab":
        os.utime(trees.path(node, "data", "home/mode"), (1, 1))
    before = trees.state("b")
    done = trees.sync()
    assert done.backup is not None
    roots = {name: trees.path("b", name) for name in ("data", "install")}
    for used in ((done.backup,), ()):  # safe to say again
        told = undo(read_backup(done.backup), roots, trees.job.preserve, mirror_run.run_rsync)
        assert told.used == used and trees.state("b") == before


def test_a_licence_only_the_standby_has_survives_and_a_stale_file_goes(trees: Trees) -> None:  # O1
    trees.write("b", "data", "system/license/B.key", "only here")
    trees.sync()
    assert Path(trees.path("b", "data", "system/license/B.key")).read_text() == "only here"
    assert not os.path.exists(trees.path("b", "data", "home/stale"))
    assert not os.path.exists(trees.path("b", "data", "home/app/system/license/B.key"))


def test_an_excluded_change_is_no_change(trees: Trees) -> None:  # O3
    trees.sync()
    # as an editor does it: another file of that name, so the directory's time changes too
    conf = Path(trees.path("a", "data", "system/conf/server.xconf"))
    conf.unlink()
    conf.write_text("altered")
    trees.write("a", "data", "system/license/c.key", "another")
    trees.write("a", "data", "log/x.log", "a line")
    assert not trees.sync(check=True).changed and not trees.sync().changed


def test_the_pid_file_is_never_copied_whatever_else_is_excluded(trees: Trees) -> None:
    trees.write("a", "data", "log/x.log", "a line")
    trees.sync(exclude=())
    assert Path(trees.path("b", "data", "log/x.log")).read_text() == "a line"
    assert Path(trees.path("b", "data", "log/flowsvc.pid")).read_text() == "b"
    Path(trees.path("a", "data", "log/flowsvc.pid")).unlink()
    assert not trees.sync(exclude=()).changed


def test_no_instant_sees_a_write_to_the_own_files(trees: Trees) -> None:
    data = trees.path("b", "data")
    files = [f"{data}/system/license/b.key", f"{data}/system/conf/server.xconf", f"{data}/log/flowsvc.pid"]
    with witness(*files, f"{data}/system/license", f"{data}/log") as told:
        trees.sync()
        seen = told()
        # a directory's own time and mode may be set, a name in it never
        assert [event for event in seen if event[0] in files or event[2]] == []
        Path(files[0]).write_text("the witness sees")
        assert told() != []


def test_the_marker_is_put_last_and_says_who_made_the_data(trees: Trees) -> None:
    trees.mark("a", "a", 5)
    trees.mark("b", "b", 4)
    plan = trees.sync(check=True)
    assert plan.marked and Marker("p", "b", 4).text() == Path(trees.path("b", "data", MARKER)).read_text()
    done = trees.sync()
    assert done.marked and Marker("p", "a", 5).text() == Path(trees.path("b", "data", MARKER)).read_text()
    assert not trees.sync().changed
    # a failed copy leaves the old marker and says that it is under way
    trees.mark("a", "a", 6)
    trees.write("a", "data", "home/plain", "newest")

    def broken(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" in argv or "--version" in argv:
            return mirror_run.run_rsync(argv, keep, names)
        return subprocess.CompletedProcess(argv, 12, b"", b"rsync: connection unexpectedly closed\n")

    with pytest.raises(MirrorError, match="Each file is old or new"):
        trees.sync(run=broken)
    assert Marker("p", "a", 5).text() == Path(trees.path("b", "data", MARKER)).read_text()
    assert mirror_tree.under_way(trees.path("b", "data")) is not None
    assert trees.sync().changed and mirror_tree.under_way(trees.path("b", "data")) is None


def test_the_direction_is_not_guessed(trees: Trees) -> None:
    trees.mark("a", "a", 4)
    trees.mark("b", "b", 5)
    before = trees.state("b")
    with pytest.raises(MirrorError, match="newer: made by b with epoch 5") as refused:
        trees.sync()
    assert refused.value.code == "sync_direction" and trees.state("b") == before
    with pytest.raises(MirrorError, match="reason"):
        trees.sync(force_direction=True)
    done = trees.sync(force_direction=True, reason="the update was bad")
    assert done.notes[0].startswith("direction forced (the update was bad)")
    equal(trees)
    trees.mark("a", "c", 9)
    with pytest.raises(MirrorError, match="the source a holds a copy of c's data"):
        trees.sync(source_node="a")


def test_sources_and_places_that_would_empty_the_standby(trees: Trees, tmp_path: Path) -> None:
    before = trees.state("b")
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    (other / "precious").write_text("x")
    a, b = trees.path("a", "data"), trees.path("b", "data")
    install = trees.job.trees["install"]
    link = tmp_path / "link"
    link.symlink_to(b)
    os.makedirs(f"{b}/deep/system/conf")
    cases = [
        ((str(empty), b), "is empty: is it mounted?"), ((str(other), b), "does not look like ASTERIA Warp's"),
        ((str(tmp_path / "gone"), b), "is not there on the source"), ((a, str(other)), "is not empty and does not look like"),
        ((b, b), "same directory"), ((b, b + "/"), "same directory"), ((b, str(link)), "same directory"),
        ((str(link) + "/", b), "same directory"), ((f"{b}/deep", b), "lies inside"), ((a, f"{a}/deep/new"), "lies inside"),
        ((a, install[1]), "does not look like"), (("/", b), "'/' is no tree"), ((a, "/"), "'/' is no tree"),
        (("data", b), "must be an absolute path"), ((a, f"{b}/../x"), "without '..'"),
    ]  # fmt: skip
    for data, said in cases:
        for check in (True, False):
            with pytest.raises(MirrorError, match=said.replace("?", r"\?")):
                trees.sync(check=check, trees={"data": data, "install": install})
    with pytest.raises(MirrorError, match="lies inside"):
        trees.sync(backup_dir=f"{b}/backups")
    with pytest.raises(MirrorError, match=r"max_delete: .* would be deleted"):
        trees.sync(max_delete=1.0)
    os.rmdir(f"{b}/deep/system/conf")
    os.removedirs(f"{b}/deep/system")
    assert trees.state("b") == before and (other / "precious").exists()
    # a link as the destination's own name is right: what it leads to is copied to
    trees.sync(trees={"data": (a, str(link)), "install": install})
    equal(trees)


def test_what_would_take_the_place_of_the_own_files(trees: Trees) -> None:
    own = trees.state("b", own=True)
    licences = Path(trees.path("a", "data", "system/license"))
    (licences / "a.key").unlink()
    licences.rmdir()
    for make in (lambda: licences.symlink_to("/tmp"), lambda: licences.write_text("a file")):
        make()
        with pytest.raises(MirrorError, match=r"system/license is (a link|no directory) there"):
            trees.sync()
        licences.unlink()
    trees.sync()  # without the directory the standby's stays all the same
    assert trees.state("b", own=True) == own
    system = Path(trees.path("b", "data", "system"))
    system.rename(trees.root / "elsewhere")
    system.symlink_to(trees.root / "elsewhere")
    with pytest.raises(MirrorError, match="system is a link"):
        trees.sync()


def test_both_sides_are_stopped(trees: Trees) -> None:
    before = trees.state("b")
    with pytest.raises(MirrorError, match="is not stopped here: pid 7"):
        trees.sync(stopped="pid 7")
    java = Path(trees.path("a", "install", "jre/bin/java"))
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\nread line\n")
    java.chmod(0o755)
    running = subprocess.Popen([java], stdin=subprocess.PIPE)
    stranger = subprocess.Popen(
        ["tail", "-f", trees.path("a", "install", "boot/bin/flowsvc")], stdout=subprocess.DEVNULL
    )
    try:
        with pytest.raises(MirrorError, match=f"is not stopped on the source .pid {running.pid}"):
            trees.sync()
        assert trees.state("b") == before
        # live: a first pass while it runs counts as under way until a second one without it has ended
        trees.mark("a", "a", 5)
        trees.sync(live=True)
        assert mirror_tree.under_way(trees.path("b", "data")) is not None
        assert not os.path.exists(trees.path("b", "data", MARKER))
    finally:
        for process in (running, stranger):
            process.kill()
            process.wait()
    done = trees.sync()
    assert done.marked and mirror_tree.under_way(trees.path("b", "data")) is None
    equal(trees)


def test_an_earlier_state_is_one_command_away_after_a_second_pass(trees: Trees) -> None:
    before = trees.state("b")
    trees.sync(live=True)
    trees.write("a", "data", "home/plain", "written while it ran")
    done = trees.sync()
    assert done.backup is not None
    roots = {name: trees.path("b", name) for name in ("data", "install")}
    assert len(undo(read_backup(done.backup), roots, trees.job.preserve, mirror_run.run_rsync).used) == 2
    assert trees.state("b") == before


def test_two_copies_at_once_are_one(trees: Trees) -> None:
    handle = mirror_tree.lock(trees.path("b", "data"))
    try:
        with pytest.raises(MirrorError, match="another copy is under way"):
            trees.sync()
    finally:
        os.close(handle)


def test_files_that_come_and_go_while_the_source_runs(trees: Trees) -> None:
    first = Path(trees.path("a", "data", "home/plain"))

    def busy(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        done = mirror_run.run_rsync(argv, keep, names)
        if "--dry-run" in argv and first.exists():
            first.unlink(missing_ok=True)
            trees.write("a", "data", "home/grown", "x" * 1000)
        return done

    trees.sync(run=busy, live=True)
    trees.sync()
    equal(trees)
    assert NAMES[0] == "plain" and not os.path.exists(trees.path("b", "data", "home/plain"))


def test_over_ssh_the_same(trees: Trees, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rsync's own protocol over a pipe, and the questions too; only the network is left out."""
    shim = tmp_path / "bin" / "ssh"
    shim.parent.mkdir()
    shim.write_text(
        '#!/bin/sh\necho "$*" >> "$0.log"\ncase " $* " in *" -O exit "*) exit 0;; esac\n'
        "while [ $# -gt 0 ]; do case $1 in -o|-l|-i) shift 2;; --) shift;; *) break;; esac; done\n"
        '[ "${1#*@}" = warp-a ] || exit 255\nshift\nexec sh -c "$*"\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_source import Source

    own = trees.state("b", own=True)
    source = Source("warp-a", "warp", control=str(tmp_path / "socket"))
    config = tmp_path / "pair.json"
    config.write_text('{\n  "node": "a",\n  "pair": {}\n}\n')
    trees.mark("a", "c", 3)
    with pytest.raises(MirrorError, match="the source a holds a copy of c's data"):
        trees.sync(source=source, config=str(config))
    trees.mark("a", "a", 3)
    assert trees.sync(source=source, config=str(config)).changed
    equal(trees)
    assert trees.state("b", own=True) == own
    assert not trees.sync(source=source).changed
    with pytest.raises(MirrorError, match="source_host: warp-x: cannot be asked"):
        trees.sync(source=Source("warp-x"))
    said = (tmp_path / "bin" / "ssh.log").read_text()
    assert "BatchMode=yes" in said and trees.path("a", "data") not in said.replace("--server", "")
    # the shared connection is ended as the user it belongs to
    ends = [line for line in said.splitlines() if " -O exit " in line]
    assert len(ends) >= 3 and all(line.endswith(" -- warp@warp-a") for line in ends)


def test_few_changes_are_looked_at_alone_and_come_to_the_same(trees: Trees) -> None:
    trees.sync()
    calls: list[list[str]] = []

    def noting(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        calls.append(argv)
        return mirror_run.run_rsync(argv, keep, names)

    trees.write("a", "data", "home/-leading", "changed")
    trees.write("a", "data", "home/new\nline", "changed")
    trees.write("a", "data", "home/fresh/deep/#file", "created")
    os.chmod(trees.path("a", "data", "home/app"), 0o700)
    folders = {}
    plan = trees.sync(check=True)
    done = trees.sync(run=noting)
    assert done.listed() == plan.listed() and len(done.listed()) >= 6
    acted = [argv for argv in calls if "--dry-run" not in argv and "--version" not in argv]
    assert len(acted) == 1 and "--files-from=-" in acted[0]
    equal(trees)
    for node in "ab":
        folders[node] = [
            os.lstat(trees.path(node, "data", f"home/{name}")).st_mtime_ns
            for name in ("fresh", "fresh/deep", "app")
        ]
    assert folders["a"] == folders["b"] and not trees.sync().changed
    # something vanishes between the question and the copy: the whole tree is looked at again
    trees.write("a", "data", "home/short", "lived")
    trees.write("a", "data", "home/stays", "x")

    def vanishing(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        found = mirror_run.run_rsync(argv, keep, names)
        if "--dry-run" in argv:
            Path(trees.path("a", "data", "home/short")).unlink(missing_ok=True)
        return found

    trees.sync(run=vanishing)
    equal(trees)
