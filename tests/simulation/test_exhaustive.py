# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of every kind of move, every two actors that take turns, and a share of the pairs of faults."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.simulation.det import exhaustive, plan

EVERY, THEN = 19, 7  # of the pairs; `make exhaustive` runs all of them


def sound(plans: Iterator[plan.Plan]) -> int:
    """Run them all; how many there were."""
    number = 0
    for item in plans:
        number += 1
        if plan.run(item).broken:
            pytest.fail(plan.explain(item), pytrace=False)
    gc.collect()
    return number


class TestSingles:
    @pytest.mark.parametrize("scenario", exhaustive.SCENARIOS)
    def test_a_fault_at_every_call(self, scenario: str) -> None:
        assert sound(exhaustive.singles(scenario)) > 100


class TestPairs:
    @pytest.mark.parametrize("scenario", exhaustive.SCENARIOS)
    def test_two_faults(self, scenario: str) -> None:
        assert sound(exhaustive.pairs(scenario, EVERY, THEN)) > 60


class TestTurns:
    @pytest.mark.parametrize("name", exhaustive.PAIRED)
    def test_two_actors_take_turns(self, name: str) -> None:
        assert sound(exhaustive.turns(name)) > 20


@pytest.mark.parametrize(
    ("scenario", "outcome"),
    {
        "failover": "moved", "failover-fenced": "moved", "switchover": "moved", "switchback": "moved", "forced": "moved",
        "roll-back-before-the-grant": "rolled_back", "roll-back-after-the-grant": "rolled_back",
        "broken-and-out": "broken", "resume-at-stop": "moved", "resume-at-start": "moved",
    }.items(),
)  # fmt: skip
def test_a_scenario_is_what_it_is_called(scenario: str, outcome: str) -> None:
    verdict = plan.run(exhaustive.SCENARIOS[scenario], trace=True)
    assert not verdict.broken and verdict.outcomes[0] == outcome and verdict.back == 0
    step = scenario.removeprefix("resume-at-")
    if step != scenario:
        taken = [call for _at, actor, call, _answer in verdict.trace if actor == "keiko2" and "move " in call]
        assert f"at {step}" in taken[0]


def test_turns_are_taken() -> None:
    """The first actor stands still at its call while the second goes on."""
    item = next(item for item in exhaustive.turns("switchover, failover") if item.hits[1].call == 12)
    trace = plan.run(item, trace=True).trace
    standing = [index for index, line in enumerate(trace) if line[2] == "the other one's turn"]
    assert [trace[index][1] for index in standing[:3]] == ["keiko1", "keiko2", "keiko1"]
    assert {line[1] for line in trace[standing[1] + 1 : standing[2]] if line[1].startswith("keiko")} == {
        "keiko1"
    }
