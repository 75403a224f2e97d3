# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many random schedules: parallel over cores, with progress, resumable.

    python -m tests.simulation.soak --schedules 1000000 --seed 1000000 --jobs 2

What was done stands in build/soak/SEED.json; the same command goes on from there. Ends with 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections")]

from tests.simulation.det import liveness, plan  # noqa: E402

CHUNK = 500
DRAWN = {"plain": plan.drawn, "apart": lambda seed: plan.drawn(seed, True), "watched": plan.watched}
SHOWN = 5  # failing schedules that are shrunk and printed at the end


def chunk(job: tuple[int, int, str]) -> tuple[int, list[int], dict[str, int], float]:
    """Run seeds [first, first + number): the first, the failing seeds, the counts, the seconds."""
    first, number, what = job
    begun = time.perf_counter()
    failing, counts = [], Counter[str]()
    gc.disable()  # a schedule leaves circles behind; collecting them now and then costs a tenth of the time
    for seed in range(first, first + number):
        if seed % 50 == 0:
            gc.collect()
        verdict = plan.run(DRAWN[what](seed))
        counts.update(liveness.count(verdict))
        if verdict.broken:
            failing.append(seed)
    gc.enable()
    return first, failing, dict(counts), time.perf_counter() - begun


class State:
    """What is done, on disk."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.done, self.failing = path, set[int](), list[int]()
        self.counts, self.seconds = Counter[str](), 0.0
        if path.exists():
            raw = json.loads(path.read_text())
            self.done, self.failing = set(raw["done"]), list(raw["failing"])
            self.counts, self.seconds = Counter(raw["counts"]), float(raw["seconds"])

    def save(self) -> None:
        values = {
            "done": sorted(self.done),
            "failing": self.failing,
            "counts": self.counts,
            "seconds": self.seconds,
        }
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(values))
        fresh.replace(self.path)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--watch", action="store_true", help="with the watch daemons, which takes twenty times as long"
    )
    given = parser.parse_args()
    what = "watched" if given.watch else "plain"
    path = ROOT / "build" / "soak" / f"{given.seed}{'-watch' if given.watch else ''}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    state = State(path, given.seed)
    numbers = [number for number in range(0, given.schedules, CHUNK) if number not in state.done]
    total = -(-given.schedules // CHUNK)
    jobs = [(given.seed + number, min(CHUNK, given.schedules - number), what) for number in numbers]
    begun, before = time.monotonic(), state.seconds
    gc.freeze()
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        for first, failing, counts, _seconds in pool.imap_unordered(chunk, jobs):
            state.done.add(first - given.seed)
            state.failing += failing
            state.counts.update(counts)
            state.seconds = before + time.monotonic() - begun
            state.save()
            spent = time.monotonic() - begun
            rate = state.counts["all|schedules"] / max(state.seconds, 0.001)
            print(
                f"{len(state.done)}/{total} chunks, {state.counts['all|schedules']} schedules, {rate:.0f}/s, "
                f"{spent:.0f} s, {len(state.failing)} broken",
                flush=True,
            )
    print(f"\nseed {given.seed}: {state.counts['all|schedules']} schedules in {state.seconds:.0f} s\n")
    print(liveness.table(state.counts))
    for seed in sorted(state.failing)[:SHOWN]:
        print(f"\n{plan.explain(DRAWN[what](seed))}")
    print(f"\n{len(state.failing)} schedules broke a rule: {sorted(state.failing)[:50]}")
    return 1 if state.failing else 0


if __name__ == "__main__":
    sys.exit(main())
