# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks on real hosts: brings two up, runs the roles' Molecule scenarios and tests/hosts on them, takes them away.

Arguments go to pytest; `--no-molecule` leaves the scenarios out. Exits with 77 where this machine cannot have hosts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from tree import BIN, ROOT

SCENARIOS = ("pair_store", "hub_node", "node")
NOT_RUN = 77


def sandbox(verb: str, state: str) -> int:
    argv = [sys.executable, "-m", "sandbox.hosts", verb, "--state", state]
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
    from sandbox.hosts.podman import environment, why_not

    why = why_not()
    if why:
        print(f"\n!!! NOT RUN: no hosts on this machine: {why}\n")
        return NOT_RUN
    given = [word for word in arguments if word != "--no-molecule"]
    state = tempfile.mkdtemp(prefix="hotstandby-hosts-")
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
        if sandbox("up", state) != 0:
            return 1
        well = [scenario(name, env) for name in SCENARIOS] if given == arguments else []
        well.append(tests(given, env))
    finally:
        sandbox("down", state)
        shutil.rmtree(state, ignore_errors=True)
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
