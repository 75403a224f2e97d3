# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation itself: repeatable, true to boto3's codec, and honest about what is started past the guard."""

from __future__ import annotations

from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from tests.simulation.det import plan
from tests.simulation.det.kinds import KINDS, Step
from tests.simulation.det.rules import TWO, Rules
from tests.simulation.det.store import FastDeserializer, FastSerializer
from tests.simulation.soak import chunk

ONE_CHECK = plan.CHECKS + 5  # seconds, the stop included
ONE_LOOK = 10.0  # simulated seconds: two seconds between two questions, the start, the stop
SOON = 25.0  # simulated seconds: heartbeat_timeout 3, one look, fencing, the start
VALUE = {"a": "x", "b": 7, "c": Decimal("1.5"), "d": None, "e": True, "f": [1, {"g": "h"}], "i": {}, "j": ""}


def test_the_codec_is_boto3s() -> None:
    typed = TypeSerializer().serialize(VALUE)
    assert FastSerializer().serialize(VALUE) == typed
    assert FastDeserializer().deserialize(typed) == TypeDeserializer().deserialize(typed)


@pytest.mark.parametrize("seed", [3, 38, 535])
def test_a_number_is_a_schedule(seed: int) -> None:
    first, second = (plan.run(plan.drawn(seed), trace=True) for _time in range(2))
    assert len(first.trace) > 100 and first.trace == second.trace
    assert plan.run(plan.drawn(seed)).turns == first.turns, "whoever looks changes nothing"


def test_every_kind_is_drawn() -> None:
    drawn = [step.kind for seed in range(3000) for step in plan.drawn(seed, apart=seed % 10 == 0).steps]
    assert set(drawn) == set(KINDS)


@pytest.mark.parametrize("at", range(5, 120, 13))
@pytest.mark.parametrize("kind", ["bare-start", "without-record"])
def test_a_start_past_the_guard_overlaps_for_one_check_at_most_and_is_named(kind: str, at: int) -> None:
    verdict = plan.run(plan.Plan(at, steps=(Step(at, kind, "hub-b"),), apart=True), trace=True)
    assert [who for _since, _until, who in verdict.overlaps] == ["hub-b beside hub-a"] and not verdict.broken
    since, until, _who = verdict.overlaps[0]
    assert until - since < ONE_CHECK
    told = [answer for _at, actor, _call, answer in verdict.trace if "hub-b/healthcheck" in actor]
    assert any("self-fencing" in answer for answer in told)


@pytest.mark.parametrize("at", range(5, 120, 13))
def test_a_false_oath_overlaps_for_one_check_at_most_and_is_named(at: int) -> None:
    """The operator swears that hub-a is off; it runs, and its agent is silent."""
    steps = (Step(at - 2, "agent-offline", "hub-a", seconds=200), Step(at, "false-oath", "hub-b"))
    verdict = plan.run(plan.Plan(at, "nofence", steps, apart=True), trace=True)
    assert [who for _since, _until, who in verdict.overlaps] == ["hub-b beside hub-a"] and not verdict.broken
    since, until, _who = verdict.overlaps[0]
    assert until - since < ONE_CHECK
    told = [answer for _at, actor, _call, answer in verdict.trace if "hub-a/healthcheck" in actor]
    assert any("self-fencing" in answer for answer in told)


@pytest.mark.parametrize("at", [20, 57, 93])
def test_a_watch_daemon_ends_an_overlap_sooner_than_a_check(at: int) -> None:
    steps = (Step(at, "bare-start", "hub-b"),)
    verdict = plan.run(plan.Plan(at, "fast", steps, apart=True, checks=False, watch=True))
    assert [who for _since, _until, who in verdict.overlaps] == ["hub-b beside hub-a"] and not verdict.broken
    since, until, _who = verdict.overlaps[0]
    assert until - since < ONE_LOOK


@pytest.mark.parametrize("kind", ["product-kill", "power-off", "cut-out"])
def test_with_daemons_and_no_reconciler_a_dead_active_is_left_within_seconds(kind: str) -> None:
    steps = (Step(40.0, kind, "hub-a", seconds=100.0),)
    item = plan.Plan(7, "fast", steps, checks=False, watch=True)
    verdict = plan.run(item, trace=True)
    ups = [at for at, actor, call, _answer in verdict.trace if actor == "hub-b" and "daemon begins" in call]
    assert not verdict.broken and ups and ups[0] - 40.0 < SOON


def test_what_is_started_past_the_guard_is_mended_by_the_checks() -> None:
    _first, failing, _counts, _seconds = chunk((0, 150, "apart"))
    assert failing == []


def test_a_failing_schedule_is_shrunk_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start by hand, taken for a failure of ours: what has nothing to do with it falls away."""
    monkeypatch.setattr(
        Rules, "trusted", property(lambda _self: True, lambda _self, _value: None), raising=False
    )
    steps = (
        Step(5.0, "pause", value=0.1), Step(10.0, "agent-slow", "hub-b", 20, 0.5), Step(30.0, "bare-start", "hub-b"),
    )  # fmt: skip
    told = plan.explain(plan.Plan(1, "force", steps, hits=(plan.Hit("keiko9", 3, "crash"),), apart=True))
    assert TWO in told and "bare-start" in told and "pair 'plain'" in told
    assert "pause" not in told and "agent-slow" not in told and "crash" not in told
    assert "the product's daemon begins" in told and "hub-b/healthcheck" in told
