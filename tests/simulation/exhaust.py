# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of the exhaustive part: every single fault, every pair of faults, every two actors that take turns.

    python -m tests.simulation.exhaust --jobs 2

Ends with 1 when a rule was broken; the failing schedules are shrunk and told. What is done stands in build/exhaustive.json:
the same command goes on from there, `--fresh` begins anew.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections")]

from tests.simulation.det import exhaustive, plan  # noqa: E402

PARTS = 20  # shares into which the pairs of a scenario are cut
SHOWN = 3

Job = tuple[str, str, int]


def key(job: Job) -> str:
    """A share's name in the file of what is done."""
    return f"{job[0]} {job[1]} {job[2]}"


def work(job: Job) -> tuple[Job, int, list[plan.Plan]]:
    """Run one share: the job, how many schedules, those that broke a rule."""
    kind, name, part = job
    plans = {
        "singles": lambda: exhaustive.singles(name),
        "turns": lambda: exhaustive.turns(name),
        "pairs": lambda: exhaustive.pairs(name, PARTS, 1, part),
    }[kind]()
    number, failing = 0, []
    for item in plans:
        number += 1
        if plan.run(item).broken:
            failing.append(item)
    gc.collect()
    return job, number, failing


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=("singles", "turns", "pairs"))
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has done")
    given = parser.parse_args()
    kept = ROOT / "build" / "exhaustive.json"
    kept.parent.mkdir(exist_ok=True)
    done: dict[str, int] = {} if given.fresh or not kept.exists() else json.loads(kept.read_text())
    jobs: list[Job] = [("singles", name, 0) for name in exhaustive.SCENARIOS]
    jobs += [("turns", name, 0) for name in exhaustive.PAIRED]
    jobs += [("pairs", name, part) for part in range(PARTS) for name in exhaustive.SCENARIOS]
    jobs = [job for job in jobs if given.only in (None, job[0])]
    total = sum(done.get(key(job), 0) for job in jobs)
    parts, jobs = len(jobs), [job for job in jobs if key(job) not in done]
    before = total
    begun, failing = time.monotonic(), list[plan.Plan]()
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        for ended, (job, number, broken) in enumerate(pool.imap_unordered(work, jobs), 1):
            total += number
            failing += broken
            if not broken:  # a share that failed is run again
                done[key(job)] = number
                kept.with_suffix(".new").write_text(json.dumps(done))
                kept.with_suffix(".new").replace(kept)
            spent = time.monotonic() - begun
            print(
                f"{parts - len(jobs) + ended}/{parts} {job[0]} of {job[1]}: {number}; {total} in all, "
                f"{(total - before) / spent:.0f}/s, {len(failing)} broken",
                flush=True,
            )
    for item in failing[:SHOWN]:
        print(f"\n{plan.explain(item)}")
    print(f"\n{total} schedules, {len(failing)} broke a rule")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
