# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon a healed pair is back, counted by fault; additive, so that many workers can count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.simulation.det.kinds import KINDS
from tests.simulation.det.plan import Verdict

WITHIN = (10, 30, 60, 120, 300, 600)  # simulated seconds
HEAD = ["fault", "schedules", "away", *(f"<= {limit} s" for limit in WITHIN), "never", "by hand"]


def faults_of(verdict: Verdict) -> list[str]:
    """The names under which a schedule counts."""
    plan = verdict.plan
    named = {step.kind for step in plan.steps if KINDS[step.kind].where != "act"}
    named |= {f"call: {hit.kind}" for hit in plan.hits}
    return sorted(named) or ["none"]


def count(verdict: Verdict) -> Counter[str]:
    """One schedule as counts `fault|column`."""
    found: Counter[str] = Counter()
    for name in [*faults_of(verdict), "all"]:
        found[f"{name}|schedules"] += 1
        if verdict.left:
            found[f"{name}|away"] += 1
            back = verdict.back
            where = next((f"<= {limit} s" for limit in WITHIN if back is not None and back <= limit), "never")
            found[f"{name}|{where}"] += 1
            found[f"{name}|by hand"] += bool(verdict.helped or verdict.resumed)
    return found


def table(counts: Counter[str]) -> str:
    """As a table in Markdown. `away`: not steady when healed; the rest is of those, cumulative in per cent."""
    names = sorted({key.partition("|")[0] for key in counts} - {"all"})
    return "\n".join(_rows(counts, [*names, "all"]))


def _rows(counts: Counter[str], names: Iterable[str]) -> Iterable[str]:
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + " --- |" * len(HEAD)
    for name in names:
        away = counts[f"{name}|away"]
        cells = [name, str(counts[f"{name}|schedules"]), str(away)]
        sofar = 0
        for column in HEAD[3:-2]:
            sofar += counts[f"{name}|{column}"]
            cells.append(f"{100 * sofar / away:.1f} %" if away else "-")
        cells += [str(counts[f"{name}|{column}"]) for column in HEAD[-2:]]
        yield "| " + " | ".join(cells) + " |"
