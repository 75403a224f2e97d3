# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of end of a copy: killed, disk full, the source gone, the connection cut. The real rsync on real trees.

After each of them the node's own files are untouched, each file is old or new, and both states are one command away.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import mirror_run, mirror_tree
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import MARKER, MirrorError
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_backup import read_backup
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_source import Source
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_undo import undo

from .mirror_trees import Trees

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    made = Trees(tmp_path)
    made.fill()
    return made


def without(state: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key.rpartition("/")[2] not in names}


def back(trees: Trees) -> bool:
    """Take back what has not ended; whether there was anything to take back."""
    state = mirror_tree.under_way(trees.path("b", "data")) or mirror_tree.under_way(
        trees.path("b", "install")
    )
    if not state:
        return False
    roots = {name: trees.path("b", name) for name in ("data", "install")}
    undo(read_backup(state["backup"]), roots, trees.job.preserve, mirror_run.run_rsync)
    return True


def converges(trees: Trees, own: dict[str, Any]) -> None:
    """The next run ends what was begun."""
    trees.sync()
    assert without(trees.state("a"), "fifo") == trees.state("b")
    assert trees.state("b", own=True) == own and not trees.sync().changed


def cut(limit: int, quietly: bool) -> Any:
    """rsync whose files cannot grow beyond that many bytes: it is killed there, or (quietly) told so, as by a full disk."""

    def run(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" in argv or "--version" in argv:
            return mirror_run.run_rsync(argv, keep, names)
        return subprocess.run(
            ["prlimit", f"--fsize={limit}", *argv], capture_output=True, pass_fds=keep, check=False,
            restore_signals=not quietly, input=names,
        )  # fmt: skip

    return run


def whole(trees: Trees, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Each entry is as it was or as it will be: never half a file."""
    for key, value in trees.state("b").items():
        if value[0] == "file":
            assert value[-1] in [
                side[key][-1] for side in (old, new) if key in side and side[key][0] == "file"
            ], key
        else:
            assert key in old or key in new


@pytest.mark.parametrize("quietly", [False, True], ids=["killed", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_the_end_at_a_random_byte(trees: Trees, quietly: bool, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(6):
        trees.write("a", "data", f"home/large{number}", rng.randbytes(rng.randrange(200_000)))
        trees.write("b", "data", f"home/large{number}", rng.randbytes(rng.randrange(200_000)))
    old, new, own = trees.state("b"), without(trees.state("a"), "fifo"), trees.state("b", own=True)
    for limit in (rng.randrange(1, 300_000), 0):
        with pytest.raises(MirrorError) as failed:
            trees.sync(run=cut(limit, quietly))
        assert failed.value.code in ("sync_failed", "sync_disk_full")
        assert trees.state("b", own=True) == own
        whole(trees, old, new)
    if seed % 2:
        assert back(trees) and trees.state("b") == old
    converges(trees, own)


CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.unit.core.mirror_trees import Trees
trees = Trees.__new__(Trees)
trees.root = Path(sys.argv[1])
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import Job, Mirror
job = Job({name: (trees.path("a", name), trees.path("b", name)) for name in ("data", "install")}, str(trees.root / "backups"), max_delete=100.0)
Mirror(job, lambda: "").run()
"""


def test_rsync_alone_is_killed(trees: Trees) -> None:
    own, old = trees.state("b", own=True), trees.state("b")

    def killed(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" in argv or "--version" in argv:
            return mirror_run.run_rsync(argv, keep, names)
        return subprocess.run(["sh", "-c", "kill -9 $$"], capture_output=True, check=False)

    with pytest.raises(MirrorError, match="rsync was ended by signal 9") as failed:
        trees.sync(run=killed)
    assert failed.value.code == "sync_failed" and mirror_tree.under_way(trees.path("b", "data"))
    assert trees.state("b") == old
    converges(trees, own)


@pytest.mark.parametrize("seed", range(4))
def test_everything_killed_at_a_random_instant(trees: Trees, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(300):
        trees.write("a", "data", f"home/many/{number}", f"new {number}" * 50)
        if number % 3:
            trees.write("b", "data", f"home/many/{number + 100}", f"old {number}")
    old, new, own = trees.state("b"), without(trees.state("a"), "fifo"), trees.state("b", own=True)
    done = rng.randrange(1, 150)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "build" / "collections")])}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(trees.root)],
        env=env,
        start_new_session=True,
        cwd=ROOT,
    )
    backups, limit = trees.root / "backups", time.monotonic() + 60
    # how far it has come is told by what it has put aside
    while child.poll() is None and time.monotonic() < limit:
        if backups.exists() and sum(len(files) for _path, _folders, files in os.walk(backups)) > done:
            break
        time.sleep(0.005)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    assert child.wait() == -signal.SIGKILL, "it had ended before"
    assert trees.state("b", own=True) == own
    whole(trees, old, new)
    if seed % 2:
        assert back(trees) and trees.state("b") == old
    converges(trees, own)


def test_a_source_that_vanishes_in_the_middle(trees: Trees) -> None:
    own, old = trees.state("b", own=True), trees.state("b")
    source = Path(trees.path("a", "data"))

    def vanishing(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if (
            "--dry-run" not in argv
            and "--version" not in argv
            and argv[-1].startswith(trees.path("b", "data"))
        ):
            # as an unmounted file system looks: an empty directory
            source.rename(trees.root / "away")
            source.mkdir()
        return mirror_run.run_rsync(argv, keep, names)

    planned = trees.sync(check=True).changes["data"].deleted
    with pytest.raises(MirrorError):
        trees.sync(run=vanishing)
    assert trees.state("b", own=True) == own
    # no more was deleted than had been announced, and all of it comes back from the backup
    assert sum(key.startswith("data:") for key in set(old) - set(trees.state("b"))) <= planned
    assert back(trees) and trees.state("b") == old
    source.rmdir()
    (trees.root / "away").rename(source)
    converges(trees, own)


def test_a_stopped_source_whose_files_vanish_each_time(trees: Trees) -> None:
    own, turns = trees.state("b", own=True), []

    def vanishing(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        done = mirror_run.run_rsync(argv, keep, names)
        if "--dry-run" in argv or "--version" in argv:
            return done
        turns.append(argv)
        return subprocess.CompletedProcess(argv, 24, done.stdout, b"file has vanished\n")

    with pytest.raises(MirrorError, match="files vanish on the source: does something still run there"):
        trees.sync(run=vanishing)
    assert len(turns) == mirror_run.ROUNDS and mirror_tree.under_way(trees.path("b", "data")) is not None
    # while it may run that is as it should be; the copy has not ended all the same
    trees.write("a", "data", "home/later", "x")
    trees.write("a", "install", "server/later", "x")
    assert "data: files vanished on the running source" in trees.sync(run=vanishing, live=True).notes
    assert mirror_tree.under_way(trees.path("b", "data")) is not None
    converges(trees, own)


@pytest.mark.parametrize("way", ["by its path", "through a link"])
def test_a_source_that_is_started_during_the_copy(trees: Trees, way: str) -> None:
    own, running = trees.state("b", own=True), []
    link = trees.root / "current"
    link.symlink_to(trees.path("a", "install"))
    source = {"by its path": trees.path("a", "install"), "through a link": str(link)}[way]
    pairs = {**trees.job.trees, "install": (source, trees.path("b", "install"))}
    trees.mark("a", "a", 5)
    java = trees.write("a", "install", "jre/bin/java", "#!/bin/sh\nread line\n")
    java.chmod(0o755)

    def starting(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" not in argv and "--version" not in argv and not running:
            running.append(subprocess.Popen([java], stdin=subprocess.PIPE))
        return mirror_run.run_rsync(argv, keep, names)

    try:
        with pytest.raises(MirrorError, match="the source was started during the copy") as failed:
            trees.sync(run=starting, trees=pairs)
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert failed.value.code == "sync_not_stopped" and not os.path.exists(trees.path("b", "data", MARKER))
    assert mirror_tree.under_way(trees.path("b", "data")) is not None
    converges(trees, own)


STEPS = ("write_text", "begin", "remove", "end", "sync_all")


def killed_at(trees: Trees, step: int) -> bool:
    """A copy in a process of its own that is gone before its step number `step`; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*words: Any, **named: Any) -> Any:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return real(*words, **named)

            return call

        try:
            for name in STEPS:
                setattr(mirror_tree, name, dying(getattr(mirror_tree, name)))
            os.replace = dying(os.replace)
            trees.sync(run=dying(mirror_run.run_rsync))
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    # an rsync that still reads holds the trees until it has ended
    limit = time.monotonic() + 30
    for name in ("data", "install"):
        while True:
            try:
                os.close(mirror_tree.lock(trees.path("b", name)))
                break
            except MirrorError:
                assert time.monotonic() < limit
                time.sleep(0.01)
    return code == 9


def test_killed_between_any_two_steps(tmp_path: Path) -> None:
    under_way = 0
    for step in range(100):
        trees = Trees(tmp_path / str(step))
        trees.fill()
        trees.mark("a", "a", 5)
        trees.mark("b", "b", 4)
        old, new, own = trees.state("b"), without(trees.state("a"), "fifo"), trees.state("b", own=True)
        if not killed_at(trees, step):
            break
        assert trees.state("b", own=True) == own
        whole(trees, old, new)
        marker = Path(trees.path("b", "data", MARKER)).read_text()
        # who is said to have made the data did make all of them
        assert '"node": "b"' in marker or trees.state("b") == new
        if step % 2:
            under_way += back(trees)
            # a copy that had done all but say so is taken back too
            assert trees.state("b") == old or (trees.state("b") == new and '"node": "a"' in marker)
        trees.sync()
        assert trees.state("b") == new and trees.state("b", own=True) == own
        assert not list(Path(trees.path("b", "data")).glob(".hotstandby-*.new"))
    assert 12 < step < 99 and under_way > 3


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Makes node b's folder a file system of its own, of so many KiB; the same again only changes its size."""
    place = tmp_path / "b"
    mounted = []

    def size(kilobytes: int) -> None:
        words = ["-o", "remount" if mounted else "rw"]
        place.mkdir(exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", *words, "-o", f"size={kilobytes}k", "none", str(place)],
            check=True,
            capture_output=True,
        )
        mounted.append(place)

    if os.geteuid() != 0:
        pytest.skip("only root can mount the file system that gets full")
    yield size
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def test_a_file_system_that_is_full(tmp_path: Path, small: Callable[[int], None]) -> None:
    small(8192)
    trees = Trees(tmp_path)
    trees.fill()
    trees.job = mirror_run.replace(trees.job, backup_dir=str(tmp_path / "b" / "backups"))
    for number in range(8):
        trees.write("a", "data", f"home/large{number}", random.Random(number).randbytes(150_000))
    old, new, own = trees.state("b"), without(trees.state("a"), "fifo"), trees.state("b", own=True)
    used = os.statvfs(tmp_path / "b")
    taken = (used.f_blocks - used.f_bfree) * used.f_frsize // 1024
    said = set()
    for free in (0, 8, 40, 200, 700):
        small(taken + free)
        with pytest.raises(MirrorError) as failed:
            trees.sync()
        said.add(failed.value.code)
        assert trees.state("b", own=True) == own
        whole(trees, old, new)
        small(8192)
        back(trees)
        assert trees.state("b") == old
    assert "sync_disk_full" in said
    converges(trees, own)


@pytest.mark.parametrize("many", [500, 60_000, 250_000])
def test_a_connection_that_is_cut(
    trees: Trees, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """The copy's connection ends after so many bytes; no part of it is told so."""
    shim, cut_off = tmp_path / "bin" / "ssh", tmp_path / "cut"
    shim.parent.mkdir()
    shim.write_text(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -o|-O|-l|-i) shift 2;; --) shift;; *) break;; esac; done\n"
        f'shift\n[ -e "{cut_off}" ] || exec sh -c "$*"\nsh -c "$*" | {{ stdbuf -o0 head -c {many}; kill -9 $$; }}\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    source = Source("warp-a")
    for number in range(4):
        trees.write("a", "data", f"home/large{number}", random.Random(number).randbytes(90_000))
    old, new, own = trees.state("b"), without(trees.state("a"), "fifo"), trees.state("b", own=True)

    def run(argv: list[str], keep: tuple[int, ...] = (), names: bytes = b"") -> Any:
        if "--dry-run" not in argv and "--version" not in argv:
            cut_off.touch()
        return mirror_run.run_rsync(argv, keep, names)

    with pytest.raises(MirrorError) as failed:
        trees.sync(source=source, run=run)
    assert failed.value.code == "sync_failed" and mirror_tree.under_way(trees.path("b", "data"))
    assert trees.state("b", own=True) == own
    whole(trees, old, new)
    assert back(trees) and trees.state("b") == old
    cut_off.unlink()
    assert trees.sync(source=source).changed
    converges(trees, own)
