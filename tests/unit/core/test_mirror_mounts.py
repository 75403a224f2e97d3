# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another file system mounted below a tree: nothing can be renamed into it from the tree's top, and no file is half all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import MirrorError
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_entries import strays
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import run_rsync
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_tree import mounted_below

from .mirror_trees import witness
from .test_mirror_back import Way

MOVED, CREATED, MODIFIED = 0x80, 0x100, 0x2


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Way]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount another file system")
    made = Way(tmp_path)
    home = made.path("b", "data", "home")
    os.makedirs(home)
    subprocess.run(["mount", "-t", "tmpfs", "none", home], check=True)
    made.write("b", "data", "home/large", random.Random(1).randbytes(300_000))
    made.write("a", "data", "home/large", random.Random(2).randbytes(300_000))
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)  # whoever just ended may still be on it


def test_each_file_is_put_in_place_as_a_whole(trees: Way) -> None:
    home = trees.path("b", "data", "home")
    before = trees.state("b")
    with witness(home) as told:
        done = trees.sync()
        seen = [mask & 0xFFF for _path, mask, name in told() if name == "large"]
        assert MOVED in seen and CREATED not in seen and MODIFIED not in seen
        trees.write("b", "data", "home/large", "edited here")
        told()
        back = trees.back()
        seen = [mask & 0xFFF for _path, mask, name in told() if name == "large"]
        assert MOVED in seen and CREATED not in seen and MODIFIED not in seen
    assert trees.state("b") == before and back.used == (done.backup,)
    trees.back(back.kept)
    assert trees.text("home/large") == "edited here"


def test_what_a_killed_copy_leaves_beside_a_file_goes_with_it(trees: Way) -> None:
    before, home = trees.state("b"), trees.path("b", "data", "home")

    def left() -> list[str]:
        return [name for name in os.listdir(home) if name.startswith(".large.")]

    def killed(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" in argv or "--version" in argv:
            return run_rsync(argv, keep, names)
        if not argv[-1].startswith(trees.path("b", "data")):
            return run_rsync(argv, keep, names)
        slow = [argv[0], "--bwlimit=50", *argv[1:]]
        with subprocess.Popen(
            slow, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            assert process.stdin is not None
            process.stdin.write(names)
            process.stdin.close()
            while not left():
                assert process.poll() is None
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(argv, process.returncode, b"", b"")

    for way in ("back", "on"):
        with pytest.raises(MirrorError):
            trees.sync(run=killed)
        assert left() and trees.state("b") != before
        if way == "back":
            trees.back()
            assert trees.state("b") == before
    trees.sync()
    assert trees.state("b") == trees.state("a")


def test_new_files_are_kept_across_file_systems_too(trees: Way) -> None:
    before = trees.state("b")
    trees.write("a", "data", "home/new\nname", "copied")
    trees.sync()
    trees.write("b", "data", "home/new\nname", "edited here")
    back = trees.back()
    assert trees.state("b") == before and back.kept is not None
    assert Path(back.kept, "data", "home/new\nname").read_text() == "edited here"


def test_what_is_mounted_is_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("36 35 98:0 / /data/asteria\\040home/home rw,noatime shared:1 - ext4 /dev/x rw\n")
    assert mounted_below("/data/asteria home", str(table)) and mounted_below("/data", str(table))
    assert not mounted_below("/data/asteria", str(table)) and not mounted_below(
        "/data/asteria home/home", str(table)
    )
    assert mounted_below("/data", str(tmp_path / "none"))  # not known


def test_only_rsyncs_own_leftovers_count(tmp_path: Path) -> None:
    for name in (".a.AbC123", ".a.AbC12", ".b.AbC123", ".a.tar.Abc123", "a.AbC123", f".{'n' * 238}.Abc123"):
        (tmp_path / name).touch()
    assert strays(str(tmp_path), ["a"]) == [".a.AbC123"]
    assert strays(str(tmp_path), ["n" * 250, "gone/x"]) == [f".{'n' * 238}.Abc123"]
