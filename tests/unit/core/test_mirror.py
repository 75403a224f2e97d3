# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decisions of a copy: which way, what stays, what is too much, and what rsync's lines mean."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import (
    Change,
    Changes,
    Engine,
    Marker,
    MirrorError,
    Place,
    check_path,
    clean_patterns,
    explain_rsync,
    judge_direction,
    literal_parents,
    names_of,
    overlap,
    parse_changes,
    parse_marker,
    rsync_argv,
    shown,
    too_many,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_plan import at_once
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_source import Source, parse_seen


def made(node: str, epoch: int, pair: str = "p") -> Marker:
    return Marker(pair, node, epoch)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (None, None, ""),
        (made("a", 5), None, ""),
        (made("a", 5), made("b", 4), ""),
        (made("a", 5), made("a", 5), ""),  # the second sync
        (made("a", 5), made("a", 4), ""),
        (None, made("a", 5), "nobody knows which is newer"),
        (made("a", 4), made("b", 5), "the destination's data are newer: made by b with epoch 5"),
        (made("a", 4), made("a", 5), "the destination's data are newer"),
        (made("a", 5), made("b", 5), "both have data of epoch 5, made by a and b"),
        (made("a", 5), made("b", 4, "q"), "the destination holds data of pair 'q', not of 'p'"),
    ],
)
def test_which_way(source: Marker | None, target: Marker | None, said: str) -> None:
    why = judge_direction(source, target)
    assert (said in why) if said else why == ""


def test_who_the_hosts_are_refuses_a_copy_of_a_copy() -> None:
    assert judge_direction(made("a", 5), made("b", 4), "a", "b", "p") == ""
    # b holds a's data as a copy: neither on to c, nor back onto a, whose own are newer than any copy
    assert "the source b holds a copy of a's data" in judge_direction(made("a", 5), None, "b", "c")
    assert "a copy of a's data" in judge_direction(made("a", 5), made("a", 5), "b", "a")
    assert "of this node's own data" in judge_direction(made("a", 5), made("a", 5), None, "a")
    assert "of pair 'p', not of 'q'" in judge_direction(made("a", 5), None, "a", "b", "q")


def test_a_marker_is_read_strictly() -> None:
    marker = made("warp-a", 7)
    assert parse_marker(marker.text(), "x") == marker and parse_marker(None, "x") is None
    for text in ("", "{", "[]", '{"pair": "p"}', '{"pair":"p","node":"a b","epoch":1}', '{"pair":"p","node":"a","epoch":"1"}',
                 '{"pair":"p","node":"a","epoch":true}'):  # fmt: skip
        with pytest.raises(MirrorError, match="holds no marker"):
            parse_marker(text, "x")


def test_patterns_are_anchored() -> None:
    assert clean_patterns("p", ["/system/license/*", "system/license/*", "log/"]) == (
        "system/license/*",
        "log/",
    )
    assert literal_parents(["system/license/*", "system/conf/server.xconf", "a*/b/c"]) == (
        "system", "system/conf", "system/license",
    )  # fmt: skip
    for bad in ("", "/", "../x", "a//b", "a/./b", "a/**/b", "a\\b", "a\0b"):
        with pytest.raises(MirrorError, match="p: "):
            clean_patterns("p", [bad])


@pytest.mark.parametrize("bad", ["", "data", "./data", "/", "//", "/.", "/a/../b", "/a\nb", "/a\0b"])
def test_paths_that_are_refused(bad: str) -> None:
    with pytest.raises(MirrorError, match="data_dir: "):
        check_path("data_dir", bad)


def test_a_trailing_slash_is_no_other_directory() -> None:
    assert (
        check_path("x", "/data/asteria home//")
        == "/data/asteria home"
        == check_path("x", "//data/asteria home")
    )


def test_directories_that_meet() -> None:
    root, data, deep = ("1:1",), ("1:2", "1:1"), ("1:3", "1:2", "1:1")
    a, b = Place("a", "/d", data), Place("b", "/d/e", deep)
    assert "same directory" in overlap(a, Place("c", "/other", data), True)
    assert "b (/d/e) lies inside a" in overlap(a, b, True) and "b (/d/e) lies inside a" in overlap(b, a, True)
    assert overlap(a, b, False) == "" and overlap(a, Place("c", "/x"), True) == ""
    new = Place("n", "/d/new", ("new", "1:2", "1:1"))
    assert "n (/d/new) lies inside a" in overlap(a, new, True)
    assert overlap(new, Place("m", "/d/new2", ("new", "1:2", "1:1")), True) == ""
    assert overlap(Place("r", "/x", ("1:9", *root)), a, True) == ""


def test_rsync_lines() -> None:
    output = "\n".join(
        [
            'skipping non-regular file "home/fi fo"', "sending incremental file list", ".d..t......|4096|./",
            "cd+++++++++|4096|home/new dir/", ">f+++++++++|3|home/-leading", ">f.st......|5|home/a|b",
            "cL+++++++++|11|home/link", ".f...p.....|5|home/mode", "hf+++++++++|7|home/hard",
            "*deleting  |0|home/gone", "*deleting  |0|home/old/", r">f+++++++++|1|home/new\#012line", r">f+++++++++|1|home/\#343\#201\#202",
            ".d...p.....|4096|home/",
        ]
    )  # fmt: skip
    found = parse_changes(output)
    assert found.skipped == ("home/fi fo",)
    assert [(item.path, item.what, item.kind, item.size) for item in found.changes] == [
        ("home/new dir", "created", "d", 0), ("home/-leading", "created", "f", 3), ("home/a|b", "updated", "f", 5),
        ("home/link", "created", "L", 0), ("home/mode", "attributes", "f", 0), ("home/hard", "created", "f", 0),
        ("home/gone", "deleted", "f", 0), ("home/old", "deleted", "d", 0), ("home/new\nline", "created", "f", 1),
        ("home/あ", "created", "f", 1), ("home", "attributes", "d", 0),
    ]  # fmt: skip
    assert (found.deleted, found.bytes) == (2, 10)
    assert parse_changes("") == parse_changes("rsync: some words\n")
    assert shown("a\udcff") == "a\\xff"


def test_the_command_line_keeps_what_stays() -> None:
    argv = rsync_argv(Engine(acls=True, xattrs=True), "/a b", "/c/", ("system/license/*",), "/k", 3)
    assert argv[-3:] == ["--", "/a b/", "/c/"]
    assert {"-A", "-X", "--delete-delay", "--max-delete=3", "--backup", "--backup-dir=/k"} <= set(argv)
    assert {
        "--exclude=/system/license/*",
        "--exclude=/.hotstandby-data",
        "--exclude=/.hotstandby-sync/",
    } <= set(argv)
    assert "--delete-excluded" not in argv and "--temp-dir=.hotstandby-sync" in argv
    dry = rsync_argv(Engine(delete=False, remote="ssh -p 1"), "h:/a", "/c", (), "/k", 3, dry=True)
    assert "--dry-run" in dry and "--rsh=ssh -p 1" in dry
    assert not [
        word for word in dry if word.startswith(("--delete", "--max-delete", "--backup", "--temp-dir"))
    ]


def test_what_is_too_much() -> None:
    assert too_many(0, 0, 0, "t") == "" and too_many(5, 10, 50, "t") == "" and too_many(9, 9, 100, "t") == ""
    assert "6 of 10 entries of t would be deleted (60 %" in too_many(6, 10, 50, "t")
    assert too_many(1, 0, 50, "t")


def test_why_rsync_ended() -> None:
    assert "signal 9" in explain_rsync(-9, "", "t")
    assert "the disk is full" in explain_rsync(
        11, "rsync: write failed: No space left on device (28)\nrsync error: x", "t"
    )
    assert "had announced" in explain_rsync(25, "", "t")


@pytest.mark.parametrize(
    ("host", "user", "said"),
    [("-oProxyCommand=x", "", "source_host"), ("a b", "", "source_host"), ("h", "-l", "source_user"), ("", "u", "source_user"),
     ("h;x", "", "source_host"), ("h", "u@x", "source_user"), ("h\n", "", "source_host")],
)  # fmt: skip
def test_names_that_ssh_would_read_otherwise(host: str, user: str, said: str) -> None:
    with pytest.raises(MirrorError, match=said):
        Source(host, user).check()


def test_how_a_source_is_spelled() -> None:
    for host in ("warp-a", "10.0.0.1", "fe80::1%eth0"):
        Source(host, "u").check()
    assert Source("fe80::1", "u").spell("/d") == "u@[fe80::1]:/d" and Source().spell("/d") == "/d"
    assert Source("h").spell("/d") == "h:/d" and Source().remote() == ""


def test_half_an_answer_of_the_source_is_none() -> None:
    with pytest.raises(MirrorError, match="no whole answer"):
        parse_seen("boot x\nchain data 1:1 \n", {"data": "/d"})
    seen = parse_seen("boot x\nchain data 1:2 1:1 \nlooks data\nend\n", {"data": "/d", "install": "/i"})
    assert seen.places["data"].chain == ("1:2", "1:1") and seen.places["install"].chain == ()
    assert seen.looks == {"data"} and seen.marker is None and Change("a", "deleted", "f").size == 0


def test_a_few_changes_are_named_with_the_directories_above_them() -> None:
    plan = Changes(
        (
            Change("a/b\n/-c", "updated", "f", 3),
            Change("a/#d", "created", "f", 1),
            Change("e", "attributes", "d"),
        )
    )
    assert names_of(plan) == b"a/\0a/b\n/\0a/b\n/-c\0a/#d\0e\0"
    assert names_of(Changes((Change("x\udcff", "updated", "f"),))) == b"x\xff\0"
    # whole runs: nothing to do, something to delete, hard links, most of a tree
    assert names_of(Changes()) is None and names_of(Changes((Change("a", "deleted", "f"),))) is None
    assert names_of(Changes((Change("a", "created", "f"),), linked=True)) is None
    assert names_of(Changes(tuple(Change(str(number), "created", "f") for number in range(5001)))) is None
    argv = rsync_argv(Engine(), "/a", "/c", (), "/k", 0, named=True)
    assert "--files-from=-" in argv and "--delete-delay" not in argv and "--max-delete=0" not in argv


def test_both_trees_are_asked_at_once_and_an_error_of_either_is_raised() -> None:
    together = threading.Barrier(2, timeout=10)

    def ask(name: str) -> int:
        return together.wait() + len(name)

    found = at_once(ask, ["data", "install"])
    assert list(found) == ["data", "install"] and sum(found.values()) == len("datainstall") + 1

    def fail(name: str) -> int:
        if name == "install":
            raise MirrorError("install: no")
        return 1

    with pytest.raises(MirrorError, match="install: no"):
        at_once(fail, ["data", "install"])
