# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planted faults: patches of the core, each applied to a copy of it, which the simulation must then tell from the real one.

    python -m tests.simulation.hunt [--keep] [--seeds N] [NAME ...]

Each plant is run in a process of its own: first the schedule that is kept beside its patch and those near it, then the plain
moves of the exhaustive part, then random ones from seed 0.
`--keep` keeps the schedule that caught it, shrunk. The same schedules must be clean on the real core: a test says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "planted"
KEPT = "kept schedule"
DAEMON = "watch-"  # begins the name of a plant of the watch daemon
SHIFT = 8  # calls by which a hit of a kept schedule is moved when it no longer catches
SEEDS = 3000  # random schedules that are tried before a plant counts as missed


class Misfit(Exception):
    """A patch does not fit the source any more: it must be made anew, or the plant means nothing."""


def names() -> list[str]:
    """Every plant."""
    return sorted(path.stem for path in FOLDER.glob("*.patch"))


def hunks(text: str) -> list[tuple[str, str, str]]:
    """A unified diff as (file below plugins/module_utils, old text, new text); line numbers are not looked at."""
    found: list[tuple[str, list[str], list[str]]] = []
    name = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("--- a/"):
            name = line[6:].strip().removeprefix("plugins/module_utils/")
        elif line.startswith("@@"):
            found.append((name, [], []))
        elif found and line[:1] in " -+" and not line.startswith("+++ "):
            if line[0] != "+":
                found[-1][1].append(line[1:])
            if line[0] != "-":
                found[-1][2].append(line[1:])
    return [(file, "".join(old), "".join(new)) for file, old, new in found]


def apply(patch: Path, core: Path) -> None:
    """Apply a patch to a copy of module_utils. Raises Misfit when some hunk is not found exactly once."""
    for name, old, new in hunks(patch.read_text(encoding="utf-8")):
        path = core / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise Misfit(f"{patch.name}: a hunk fits {text.count(old)} places of {name}:\n{old}")
        path.write_text(text.replace(old, new), encoding="utf-8")


def copied(target: Path) -> Path:
    """A copy of the core that can be imported from `target`; returns its module_utils."""
    plugins = target / "ansible_collections" / "hotstandby" / "ops" / "plugins"
    shutil.copytree(
        ROOT / "plugins" / "module_utils",
        plugins / "module_utils",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return plugins / "module_utils"


def kept(name: str) -> Path:
    """Where the schedule that catches a plant is kept."""
    return FOLDER / f"{name}.json"


def load(name: str) -> Any:
    """That schedule, or None."""
    from tests.simulation.det.kinds import Step
    from tests.simulation.det.plan import Hit, Plan

    if not kept(name).exists():
        return None
    raw = json.loads(kept(name).read_text(encoding="utf-8"))
    steps, hits = (
        tuple(kind(**item) for item in raw.pop(key)) for key, kind in (("steps", Step), ("hits", Hit))
    )
    return Plan(**{**raw, "steps": steps, "hits": hits})


def search(name: str, seeds: int, keep: bool) -> dict[str, Any]:
    """Run in a process that imports the planted core: how the plant was caught, or that it was not."""
    from tests.simulation.det import plan

    tried = 0
    for how, candidate, healed in candidates(name, seeds):
        tried += 1
        try:
            broken = plan.run(candidate, until_broken=True, healed=healed).broken
        except Exception as error:  # a plant that makes a process end in error is caught as well
            broken = [(0.0, "no process ends in an error", repr(error))]
        if not broken:
            continue
        if keep and how != KEPT:
            small = plan.shrink(candidate, broken[0][1]) if broken[0][0] else candidate
            kept(name).write_text(json.dumps(dataclasses.asdict(small), indent=1) + "\n", encoding="utf-8")
        return {"plant": name, "caught": True, "by": how, "rule": broken[0][1], "what": broken[0][2]}
    return {"plant": name, "caught": False, "by": f"none of {tried} schedules", "rule": "", "what": ""}


def candidates(name: str, seeds: int) -> Iterator[tuple[str, Any, bool]]:
    """What is tried, in order: how it is called, the schedule, whether it is healed at its end."""
    from tests.simulation.det import exhaustive, plan

    known = load(name)
    if known is not None:
        yield KEPT, known, True
        yield from ((f"near the {KEPT}", near, True) for near in shifted(known))
    if name.startswith(DAEMON):
        for seed in range(seeds):
            yield f"seed {seed} with daemons", plan.watched(seed), True
        return
    for scenario, item in exhaustive.SCENARIOS.items():
        yield f"plain {scenario}", item, True
    for seed in range(seeds):
        yield f"seed {seed}", plan.drawn(seed), seed < seeds // 10


def shifted(known: Any) -> Iterator[Any]:
    """A schedule with each hit some calls earlier or later, the nearest first: the core may make a call more than it did."""
    for index, hit in enumerate(known.hits):
        for call in sorted(
            range(max(0, hit.call - SHIFT), hit.call + SHIFT + 1), key=lambda n: abs(n - hit.call)
        ):
            if call != hit.call:
                hits = list(known.hits)
                hits[index] = dataclasses.replace(hit, call=call)
                yield dataclasses.replace(known, hits=tuple(hits))


def hunt(name: str, seeds: int = SEEDS, keep: bool = False) -> dict[str, Any]:
    """Plant one fault and hunt it. Raises Misfit, or RuntimeError when the hunt itself fails."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        apply(FOLDER / f"{name}.patch", copied(Path(folder)))
        argv = [
            sys.executable,
            "-m",
            "tests.simulation.hunt",
            "--inside",
            folder,
            "--seeds",
            str(seeds),
            name,
        ]
        ran = subprocess.run(
            [*argv, *(["--keep"] if keep else [])],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    if ran.returncode != 0:
        raise RuntimeError(f"{name}: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if given.inside:
        sys.path[:0] = [str(ROOT), given.inside]
        print(json.dumps(search(given.names[0], given.seeds, given.keep)))
        return 0
    missed = 0
    for name in given.names or names():
        found = hunt(name, given.seeds, given.keep)
        missed += not found["caught"]
        print(f"{name:40} {found['by']:28} {found['rule']}: {found['what'][:90]}", flush=True)
    print(f"{missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
