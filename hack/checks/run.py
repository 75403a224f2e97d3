# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the project's checks side by side and prints one log after the other.

Without arguments everything; else the parts named. The log of pytest comes last, so that its closing line
is the last line of all. Exits 0 only when every part passed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tree import BIN, ROOT, sources

LOGS = ROOT / "build" / "test-logs"
IN_CI = os.environ.get("CI") == "true"
NOT_RUN = 77  # what a part exits with that cannot run on this machine
LINT = ("ruff", "format", "mypy", "yamllint", "ansible-lint", "shellcheck", "changelog", "docs")


class Done(NamedTuple):
    """One part that ran: its name, exit code (None: could not run here), seconds and log."""

    part: str
    code: int | None
    seconds: float
    log: str


def tool(name: str) -> str:
    return str(BIN / name)


def commands() -> dict[str, list[str]]:
    """What each part runs, from the root of the checkout. Order is the order they are started in."""
    python = sys.executable
    typed = ["plugins/module_utils", *(name for name in ("sandbox",) if (ROOT / name).is_dir())]
    scripts = [name for name in sources() if name.endswith(".sh") or name == ".ci/run"]
    pytest = [python, "-m", "pytest", "-n", "2", "--dist", "loadscope"]
    parts = {
        "sanity": [python, "hack/checks/sanity.py"],
        "integration": [*pytest, "tests/integration"],
        "ansible-lint": [tool("ansible-lint"), "--offline", "--strict", "--nocolor"],
        "importer": [python, "hack/checks/importer.py"],
        "mypy": [tool("mypy"), *typed],
        "ruff": [tool("ruff"), "check", "."],
        "format": [tool("ruff"), "format", "--check", "."],
        "yamllint": [tool("yamllint"), "--strict", "."],
        "shellcheck": ["shellcheck", *scripts],
        "changelog": [tool("antsibull-changelog"), "lint"],
        "docs": [python, "hack/checks/docs.py"],
        "unit": [*pytest, "tests", "--ignore=tests/integration", "--ignore=tests/hosts"],
        # takes podman, root and a third of an hour: once everything short has been said
        "hosts": [python, "hack/checks/hosts.py"],
    }
    return {
        name: command
        for name, command in parts.items()
        if name != "integration" or (ROOT / "tests/integration").is_dir()
    }


def environment() -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ANSIBLE_", "AWS_", "HOTSTANDBY_"))
    }
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_HOME": str(ROOT / "build" / "ansible-home"),
        "ANSIBLE_LINT_NODEPS": "1",
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(part: str, command: list[str]) -> Done:
    begin = time.monotonic()
    if shutil.which(command[0]) is None:
        return Done(part, 1 if IN_CI else None, 0.0, f"{command[0]} is not here: this part did NOT run\n")
    log = LOGS / f"{part}.log"
    with log.open("w", encoding="utf-8") as out:
        code = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
    # nothing may be skipped in CI
    if code == NOT_RUN:
        code = 1 if IN_CI else None
    return Done(part, code, time.monotonic() - begin, log.read_text(encoding="utf-8", errors="replace"))


def verdict(done: Done) -> str:
    if done.code is None:
        return "NOT RUN"
    return "ok" if done.code == 0 else f"FAILED ({done.code})"


def main(names: list[str]) -> int:
    parts = commands()
    wanted = [part for name in names for part in (LINT if name == "lint" else (name,))] or list(parts)
    unknown = [name for name in wanted if name not in parts]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are lint, {', '.join(parts)}")
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    tests = ("unit", "integration")

    def lane(these: list[str]) -> list[Done]:
        results = []
        for part in these:
            results.append(run(part, parts[part]))
            print(f"{part:14} {verdict(results[-1])} in {results[-1].seconds:.0f} s", flush=True)
        return results

    # two lanes for two cores: the longest part, and beside it all others
    wanted = [part for part in parts if part in wanted]
    lanes = [[part for part in wanted if (part == "integration") is kind] for kind in (True, False)]
    with ThreadPoolExecutor(2) as pool:
        done = [one for each in pool.map(lane, lanes) for one in each]
    ran = [one for part in tests for one in done if one.part == part]
    results = [one for one in done if one.part not in tests] + ran
    for done in results:
        if done.part not in tests and done.code != 0:
            print(f"\n######## {done.part}: {verdict(done)}\n{done.log}")
    for done in ran:
        print(f"\n######## {done.part}\n{done.log.rstrip()}")
    print("\n######## summary")
    for done in results:
        print(f"{done.part:14} {verdict(done):12} {done.seconds:6.0f} s")
    for done in ran:
        lines = done.log.strip().splitlines()
        print(lines[-1] if lines else f"{done.part}: no output")
    return 1 if any(done.code not in (0, None) for done in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
