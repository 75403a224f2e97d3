# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation testing of what decides over a pair: runs mutmut on a copy, prints the score and who survived.

Takes names of modules to limit the run to ("record", "node.guard"); a run that was ended goes on where it was.
Ends with 1 when a survivor is not argued in tests/mutation/survivors.txt, or a score is not above 95 %.
"""

from __future__ import annotations

import argparse
import collections
import filecmp
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from tree import ROOT

PLACE = ROOT / "build" / "mutation"
PACKAGE = Path("ansible_collections/hotstandby/ops/plugins")
ARGUED = ROOT / "tests" / "mutation" / "survivors.txt"
WANTED = 95.0  # per cent; the score must be above it
UNDECIDED = (None, 2)  # not run, or ended by a person
LIVES = (0, 5, 33)  # survived, or no test reaches it
# not copied: they start real processes, or take minutes for what others find too
LEFT_OUT = {"test_main.py", "test_real.py", "test_transition_crash.py"}
# a test that needs what is not in the copy
OUTSIDE = re.compile(r"\bparents\[|\bREPOSITORY\b|^(?:from|import) (?:sandbox|hack)\b", re.MULTILINE)
PROSE = re.compile(r"[A-Za-z,;:.)] [A-Za-z(]")  # a text for people: two words


def wants(path: Path) -> bool:
    """Whether a file of the tests can run in the copy."""
    if not path.name.startswith("test_"):
        return True
    return path.name not in LEFT_OUT and not OUTSIDE.search(path.read_text(encoding="utf-8"))


def lay_out() -> None:
    """Copy what changed to the place where mutmut works: it believes a file's time, so only what differs is written."""
    wanted = {Path("pyproject.toml"): ROOT / "tests/mutation/mutmut.toml"}
    for part in ("unit/core", "unit/node", "simulation"):
        found = (ROOT / "tests" / part).rglob("*.py")
        wanted |= {path.relative_to(ROOT): path for path in found if wants(path)}
    for path in (ROOT / "plugins").rglob("*.py"):
        wanted[PACKAGE / path.relative_to(ROOT / "plugins")] = path
    for name, path in wanted.items():
        target = PLACE / name
        if not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for base in (PLACE / "tests", PLACE / PACKAGE):
        for path in base.rglob("*.py"):
            if path.relative_to(PLACE) not in wanted:
                path.unlink()
    shutil.rmtree(PLACE / "mutants" / "tests", ignore_errors=True)


def leave_prose_alone() -> None:
    """Letters of a text for people are not mutated; states, codes, keys and names are. Must come before mutmut forks."""
    from mutmut.mutation import mutators

    plain = mutators.operator_string

    def spared(node: Any) -> Any:
        return () if PROSE.search(getattr(node, "value", "")) else plain(node)

    mutators.mutation_operators[:] = [  # type: ignore[index]
        (kind, spared if operator is plain else operator) for kind, operator in mutators.mutation_operators
    ]


def results() -> list[Any]:
    """mutmut's own data of each file: `path` and `exit_code_by_key`."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.utils.file_utils import walk_mutatable_files

    found = []
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        found.append(data)
    return found


def digest(*places: Path) -> str:
    """One number for all files of Python below these places."""
    found = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def same(stamp: Path, value: str) -> bool:
    """Whether this is what stood there last time."""
    return stamp.is_file() and stamp.read_text(encoding="ascii") == value


def forget_survivors() -> None:
    """Other tests than last time may kill what lived: what is not argued is asked again."""
    stamp, value = PLACE / "tests.sha256", digest(PLACE / "tests")
    if same(stamp, value):
        return
    known = argued()
    for data in results():
        codes = data.exit_code_by_key
        for key in [key for key, code in codes.items() if code in LIVES]:
            if described(data.path, key) not in known:
                codes[key] = None
        if codes:
            data.save()
    stamp.write_text(value, encoding="ascii")


def forget_reach() -> None:
    """Code or tests changed, so any test may reach another function: mutmut would ask a new one by the new tests only."""
    stats = PLACE / "mutants" / "mutmut-stats.json"
    if stats.is_file():
        known = json.loads(stats.read_text(encoding="utf-8"))
        known["duration_by_test"] = {}  # what has no duration is a new test to mutmut
        stats.write_text(json.dumps(known), encoding="utf-8")


def described(path: Path, key: str) -> str:
    """One mutant as survivors.txt names it: file :: function :: old => new."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    name, owner = orig_function_and_class_names_from_key(key)
    lines = get_diff_for_mutant(key, path=path).splitlines()[2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    file = path.relative_to(PACKAGE / "module_utils")
    return f"{file} :: {owner + '.' if owner else ''}{name} :: {old} => {new}"


def argued() -> collections.Counter[str]:
    """The survivors that survivors.txt argues, as `described` names them; one that stands twice counts twice."""
    lines = ARGUED.read_text(encoding="utf-8").splitlines()
    entries = [line.rpartition(" :: ") for line in lines if line.strip() and not line.startswith("#")]
    without = [why for text, _mark, why in entries if not text or not why.strip()]
    if without:
        sys.exit(f"{ARGUED.name}: an entry has no reason: {without[0]}")
    return collections.Counter(text for text, _mark, _why in entries)


def report(patterns: list[str]) -> int:
    """Print scores and survivors; the exit code."""
    known, failed = argued(), False
    alone: list[str] = []
    print(f"{'file':24}{'mutants':>8}{'killed':>8}{'in time':>8}{'lived':>8}{'open':>6}{'score':>8}")
    totals = [0, 0, 0, 0, 0]
    for data in results():
        codes = list(data.exit_code_by_key.values())
        if not codes:
            continue
        lived = [key for key, code in data.exit_code_by_key.items() if code in LIVES]
        undecided = sum(code in UNDECIDED for code in codes)
        by_test = sum(code in (1, 3) for code in codes)
        row = [len(codes), by_test, len(codes) - by_test - len(lived) - undecided, len(lived), undecided]
        totals = [a + b for a, b in zip(totals, row)]
        failed |= line(str(data.path.relative_to(PACKAGE / "module_utils")), row) and not patterns
        for key in lived:
            text = described(data.path, key)
            if known[text]:
                known[text] -= 1
            else:
                alone.append(f"{text}    ({key.rpartition('.')[2]})")
    failed |= line("all", totals) and not patterns
    if alone:
        print(f"\n{len(alone)} survivors that {ARGUED.relative_to(ROOT)} does not argue:")
        print("\n".join(alone))
    stale = [text for text, count in known.items() if count > 0]
    if stale and not totals[4]:
        print(f"\n{len(stale)} argued, but killed or gone:")
        print("\n".join(stale))
    return 1 if failed or alone else 0


def line(name: str, row: list[int]) -> bool:
    """Print one line of the table; whether it is not good enough. The score is of those that were decided."""
    decided = row[0] - row[4]
    score = 100.0 * (row[1] + row[2]) / decided if decided else 0.0
    print(f"{name:24}{row[0]:8}{row[1]:8}{row[2]:8}{row[3]:8}{row[4]:6}{score:7.1f}%")
    return score <= WANTED or row[4] > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="only these: record, node.guard, ...")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--nice", type=int, default=10, help="how far others go first on a shared machine")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--report", action="store_true", help="run nothing, tell what is known")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    patterns = [f"*.module_utils.{name}.x*" if "*" not in name else name for name in options.modules]
    if not options.report:
        lay_out()
    os.chdir(PLACE)
    os.nice(options.nice)
    leave_prose_alone()
    if not options.report:
        forget_survivors()
        from mutation_session import run

        stamp, value = PLACE / "clean.sha256", digest(PLACE / "tests", PLACE / PACKAGE)
        clean = same(stamp, value)
        if not clean:
            forget_reach()
        code = run(patterns, options.workers, clean)
        if code:
            return code
        stamp.write_text(value, encoding="ascii")
    return report(patterns)


if __name__ == "__main__":
    sys.exit(main())
