# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator against the sandbox's own model of CloudWatch's alarm, and the filter that people call."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.filter.plan import plan
from ansible_collections.hotstandby.ops.plugins.module_utils.odds import (
    Watching,
    alarm_at,
    calculate,
    event_lost,
    false_alarms,
    node_lost,
    product_dead,
    watching,
    window_chance,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair

from sandbox.endpoint.alarm_model import evaluate
from tests.simulation.world import PAIR

SHAPES = [(1, 1), (2, 2), (2, 5), (3, 5), (5, 5)]


def modelled(watch: Watching, failed: float, silent: bool) -> float:
    """Seconds from the failure to the alarm, by evaluating period after period."""
    count = watch.evaluation_periods
    values: list[float | None] = [0.0] * count
    for number in range(100):
        # period 0 is the one in which it fails; its check ran before or after that
        well = number == 0 and watch.offset <= failed
        values = [*values[1:], 0.0 if well else None if silent else 1.0]
        if evaluate(values, 1.0, watch.datapoints, "breaching", "OK") == "ALARM":
            return (number + 1) * watch.period - failed
    raise AssertionError("no alarm ever")


@pytest.mark.parametrize(("needed", "count"), SHAPES)
@pytest.mark.parametrize("silent", [False, True])
def test_the_alarm_comes_when_the_model_says_so(needed: int, count: int, silent: bool) -> None:
    watch = Watching(datapoints=needed, evaluation_periods=count)
    for tenth in range(0, 600, 7):
        failed = tenth / 10
        assert alarm_at(watch, failed) == pytest.approx(modelled(watch, failed, silent))


def test_the_minute_profile_in_numbers() -> None:
    found = product_dead(Watching(delay=0.0, offset=0.0))
    assert (found.least, found.most) == (120.5, 179.5) and found.typical == 150.0
    lost = event_lost(Watching(delay=0.0, offset=0.0))
    assert lost.least < 125 and lost.most == pytest.approx(239, abs=1)
    gone = node_lost(Watching())
    assert gone.least >= Watching().silence - Watching().period
    # its heartbeat is late by the time of the alarm: nothing waits for it
    assert gone.most == pytest.approx(product_dead(Watching()).most + Watching().confirm)
    slow = node_lost(Watching(silence=300.0))
    assert gone.most < slow.most <= 300.0 + Watching().reconcile + Watching().confirm


@pytest.mark.parametrize(("needed", "count"), SHAPES)
def test_false_alarms_happen_as_often_as_in_the_model(needed: int, count: int) -> None:
    watch = Watching(datapoints=needed, evaluation_periods=count)
    bad, runs = 0.2, 60_000
    dice = random.Random(7)
    values: list[float | None] = [0.0] * count
    alarms, windows, before = 0, 0, "OK"
    for _number in range(runs):
        point = dice.random()
        values = [*values[1:], 0.0 if point >= bad else 1.0 if point < bad / 2 else None]
        state = evaluate(values, 1.0, needed, "breaching", "OK")
        alarms += state == "ALARM" and before != "ALARM"
        windows += state == "ALARM"
        before = state
    expected = false_alarms(watch, bad) * watch.period / 86400 * runs
    assert abs(alarms - expected) < 6 * math.sqrt(expected), (alarms, expected)
    assert windows / runs == pytest.approx(window_chance(watch, bad), rel=0.1)


def test_no_bad_points_no_false_alarm_and_only_bad_ones_none_either() -> None:
    assert false_alarms(Watching(), 0.0) == 0 and window_chance(Watching(), 1.0) == 1
    found = calculate(Watching(), 0.0)
    assert found["days_between_false_alarms"] is None and "none" in found["lines"][-1]


def test_the_filter_takes_a_pair_and_says_what_is_wrong() -> None:
    found = plan(PAIR, bad=0.001)
    assert found["product_dead"]["least"] < found["product_dead"]["typical"] < found["product_dead"]["most"]
    assert found["false_alarms_a_day"] == pytest.approx(4 * 1e-6 * 1440, rel=0.02)
    assert len(found["lines"]) == 5 and all(len(line) <= 160 for line in found["lines"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bad": 2}, "bad: 2 is not a rate"),
        ({"bad": "x"}, "bad: x is not a rate"),
        ({"datapoints": 6}, "datapoints: 6 of 5"),
        ({"evaluation_periods": 99}, "datapoints: 2 of 99"),
        ({"offset": 60}, "offset: 60 s is not within the period of 60 s"),
        ({"reconcile": -5}, "reconcile: -5 s: no time may be negative"),
        ({"speed": 1}, "speed: unknown"),
    ],
)
def test_bad_numbers_are_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(AnsibleFilterError, match=text):
        plan(PAIR, **given)


def test_the_nodes_own_limit_is_counted() -> None:
    assert watching(parse_pair({**PAIR, "timeouts": {"confirm": 5}})).confirm == 8
