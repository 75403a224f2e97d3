# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks on real hosts: brings two up, runs the roles' Molecule scenarios and tests/hosts on them, takes them away.

Arguments go to pytest; `--no-molecule` leaves the scenarios out. Exits with 77 where this machine cannot have hosts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tree import BIN, ROOT

SCENARIOS = (
    "pair_store", "hub_node", "node", "requeue_on_boot", "warp_node", "warp_housekeeping", "rundeck_job", "job_worker",
    "failover_automation", "job_observer", "pair", "by_itself",
)  # fmt: skip
# what is run instead, and alone: HOTSTANDBY_SCENARIOS="warp_layouts warp_shared" make hosts (these two are not part of CI)
ASKED = tuple(os.environ.get("HOTSTANDBY_SCENARIOS", "").split())
NOT_RUN = 77
# of control groups in their first version: all containers together weigh as much as one process beside them
WEIGHT = Path("/sys/fs/cgroup/cpu/libpod_parent/cpu.shares")
HEAVY = "8192"


# on a pair of hosts of its own that moves by itself
MOVING = "by_itself"


def sandbox(verb: str, state: str, *more: str) -> int:
    argv = [sys.executable, "-m", "sandbox.hosts", verb, "--state", state, *more]
    return subprocess.run(argv, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode


def scenario(name: str, env: dict[str, str]) -> bool:
    print(f"\n==== molecule test -s {name}", flush=True)
    argv = [str(BIN / "molecule"), "test", "-s", name]
    return subprocess.run(argv, cwd=ROOT, env=env, check=False).returncode == 0


def tests(arguments: list[str], env: dict[str, str]) -> bool:
    print("\n==== tests/hosts", flush=True)
    argv = [sys.executable, "-m", "pytest", "-v", "tests/hosts", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=env, check=False).returncode == 0


def main(arguments: list[str]) -> int:
    sys.path.insert(0, str(ROOT))
    from sandbox.hosts.podman import why_not

    why = why_not()
    if why:
        print(f"\n!!! NOT RUN: no hosts on this machine: {why}\n")
        return NOT_RUN
    given = [word for word in arguments if word != "--no-molecule"]
    # one place for each checkout: what a run that was killed has left is found again, and goes
    state = str(Path(tempfile.gettempdir()) / f"hotstandby-hosts-{zlib.crc32(str(ROOT).encode()):08x}")
    with alone(state):
        return checked(state, given, molecule=given == arguments)


@contextmanager
def alone(state: str) -> Iterator[None]:
    """Wait until no other run of this checkout is at work."""
    with Path(f"{state}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def weighty() -> Iterator[None]:
    """Let the hosts weigh as much as the checks that run beside them, and less again afterwards."""
    try:
        before = WEIGHT.read_text(encoding="ascii")
        WEIGHT.write_text(HEAVY, encoding="ascii")
    except OSError:  # another kind of control groups, or they may not be written: then as it is
        yield
        return
    try:
        yield
    finally:
        WEIGHT.write_text(before, encoding="ascii")


def checked(state: str, given: list[str], molecule: bool) -> int:
    from sandbox.hosts.podman import environment

    moving = f"{state}-moving"
    for place in (state, moving):
        sandbox("down", place)
        shutil.rmtree(place, ignore_errors=True)
    env = {
        **os.environ,
        **environment(),
        "HOTSTANDBY_HOSTS": state,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "AWS_ACCESS_KEY_ID": "AKIASANDBOXCONTROLLER",
        "AWS_SECRET_ACCESS_KEY": "sandbox-controller",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
    }
    try:
        wanted = (ASKED or SCENARIOS) if molecule else ()
        names = [name for name in wanted if name != MOVING]
        if (names or not ASKED) and sandbox("up", state) != 0:
            return 1
        with weighty():
            well = [scenario(name, env) for name in names]
            if not ASKED:
                well.append(tests(given, env))
            if MOVING in wanted:
                sandbox("down", state)
                up = sandbox("up", moving, "--automation", "fast") == 0
                well.append(up and scenario(MOVING, {**env, "HOTSTANDBY_HOSTS": moving}))
    finally:
        for place in (state, moving):
            sandbox("down", place)
            shutil.rmtree(place, ignore_errors=True)
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
