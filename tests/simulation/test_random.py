# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty thousand random schedules of the real code. A failing one is shrunk and told; its seed alone repeats it."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from tests.simulation.det import plan

SCHEDULES, PARTS = 20_000, 10
FUNCTION = 600
WATCHED = 150


class Part:
    """A share of the seeds; a class of its own, so that workers take one each."""

    number = 0

    def test_no_rule_is_broken(self) -> None:
        share = SCHEDULES // PARTS
        outcomes: set[str] = set()
        for seed in range(self.number * share, (self.number + 1) * share):
            verdict = plan.run(plan.drawn(seed))
            outcomes.update(verdict.outcomes)
            if verdict.broken:
                pytest.fail(plan.explain(plan.drawn(seed)), pytrace=False)
        gc.collect()
        # a simulation in which nothing ever happens would pass as well
        assert {
            "moved",
            "rolled_back",
            "broken",
            "unfinished",
            "refused",
            "not_confirmed",
            "unchanged",
        } <= outcomes


for _number in range(PARTS):
    globals()[f"TestPart{_number}"] = type(f"TestPart{_number}", (Part,), {"number": _number})


class TestFunction:
    """The same with the Lambda function itself as automation: alarms, duplicates, its time limit, and its own ticks."""

    def test_no_rule_is_broken(self) -> None:
        for seed in range(FUNCTION):
            item = replace(plan.drawn(seed), function=True)
            if plan.run(item).broken:
                pytest.fail(plan.explain(item), pytrace=False)
        gc.collect()


class TestWatch:
    """Both nodes have their watch daemon, which calls the function; its work is hit like everything else."""

    def test_no_rule_is_broken(self) -> None:
        outcomes: set[str] = set()
        for seed in range(WATCHED):
            verdict = plan.run(plan.watched(seed))
            outcomes.update(verdict.outcomes)
            if verdict.broken:
                pytest.fail(plan.explain(plan.watched(seed)), pytrace=False)
        gc.collect()
        assert {"moved", "unchanged", "not_confirmed"} <= outcomes
