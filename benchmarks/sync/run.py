# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy of both trees costs beside the same rsync by hand, and beside ansible.posix.synchronize.

    python benchmarks/sync/run.py [--files N] [--rounds N] [--host NAME] [--synchronize]

Local by default; `--host NAME` copies from this machine's own trees over ssh to NAME (which has to be this machine, such
as localhost with an ssh daemon). Each figure is the median of the rounds, taken alternately.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import Job, Mirror  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_source import Source  # noqa: E402


def fill(root: Path, count: int) -> None:
    """A source of `count` files of 0.1 to 8 KiB in 200 directories, and a destination with its own identity."""
    rng = random.Random(1)
    for node in "ab":
        for name in ("system/conf/server.xconf", f"system/license/{node}.key"):
            path = root / node / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(node)
        start = root / node / "install" / "boot" / "bin" / "flowsvc"
        start.parent.mkdir(parents=True, exist_ok=True)
        start.write_text("start")
    block = rng.randbytes(8192)
    for number in range(count):
        path = root / "a" / "data" / "home" / f"folder{number % 200}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(block[: rng.randrange(100, 8192)])


def empty(root: Path) -> None:
    shutil.rmtree(root / "b" / "data" / "home", ignore_errors=True)


def change(root: Path, count: int, turn: int) -> None:
    """One file in a hundred changes."""
    for number in range(turn % 100, count, 100):
        path = root / "a" / "data" / "home" / f"folder{number % 200}" / f"file{number}"
        path.write_bytes(os.urandom(1000))


def ours(root: Path, host: str) -> float:
    """What warp_sync does within one module's process; Python's own start is what any module of Ansible pays."""
    trees = {name: (f"{root}/a/{name}", f"{root}/b/{name}") for name in ("data", "install")}
    source = Source(host, control=f"{root}/ssh" if host else "")
    job = Job(trees, f"{root}/backups", source, max_delete=100.0)
    begun = time.monotonic()
    Mirror(job, lambda: "").run()
    return time.monotonic() - begun


def by_hand(root: Path, host: str) -> float:
    """The same runs with the same options, as somebody would type them."""
    excludes = ["system/license/*", "system/conf/server.xconf", "log/"]
    found = []
    for name in ("install", "data"):
        words = ["-rlptgoHSAX", "--modify-window=-1", "--no-devices", "--no-specials", "--delete-delay"]
        words += ["-e", "ssh -o BatchMode=yes"] if host else []
        words += ["--backup", f"--backup-dir={root}/by-hand", *(f"--exclude=/{item}" for item in excludes)]
        source = f"{host}:{root}/a/{name}/" if host else f"{root}/a/{name}/"
        found.append(["rsync", *words, source, f"{root}/b/{name}/"])
    return seconds(found)


def synchronize(root: Path, host: str) -> float:
    tool = str(Path(sys.executable).parent / "ansible")
    found = []
    for name in ("install", "data"):
        given = f"src={root}/a/{name}/ dest={root}/b/{name}/ delete=true rsync_opts=--exclude=/system/,--exclude=/log/"
        found.append([tool, "localhost", "-c", "local", "-m", "ansible.posix.synchronize", "-a", given])
    return seconds(found)


def seconds(commands: list[list[str]]) -> float:
    begun = time.monotonic()
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.monotonic() - begun


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--files", type=int, default=20000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--host", default="")
    words.add_argument("--synchronize", action="store_true")
    given = words.parse_args()
    ways: dict[str, Callable[[Path, str], float]] = {"rsync by hand": by_hand, "warp_sync": ours}
    if given.synchronize:
        ways["synchronize"] = synchronize
    with tempfile.TemporaryDirectory(prefix="hotstandby-sync-") as folder:
        root = Path(folder)
        fill(root, given.files)
        print(
            f"{given.files} files, {'over ssh to ' + given.host if given.host else 'local'}, median of {given.rounds}"
        )
        turn = 0
        for case in ("first copy", "no change", "1 % changed"):
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _round in range(given.rounds):
                for name, way in ways.items():
                    turn += 1
                    if case == "first copy":
                        empty(root)
                    elif case == "1 % changed":
                        change(root, given.files, turn)
                    taken[name].append(way(root, given.host))
            base = statistics.median(taken["rsync by hand"])
            for name, found in taken.items():
                middle = statistics.median(found)
                print(f"{case:12} {name:14} {middle:7.2f} s  {middle / base:5.2f} x")


if __name__ == "__main__":
    main()
