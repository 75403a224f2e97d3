# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a heartbeat and an alarm tell of a silent active, with items and alarm states put by hand."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import NO, UNKNOWN, YES, Evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.health import alarm_evidence, heartbeat_evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Seen
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore, to_item

from tests.simulation.aws import START
from tests.simulation.world import World

FAST = {"profile": "fast", "heartbeat_timeout": 3}
INSTANCE = {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}


def put(
    world: World, node: str, age: float | None, beat: str = "1", state: str = "running", **more: Any
) -> None:
    """A heartbeat item of `age` seconds (None: it carries no time)."""
    at = None if age is None else START + world.clock.now - age
    values = {"node": node, "instance_id": INSTANCE[node], "boot_id": "b", "epoch": 7, "state": state, "beat": beat,
              "time": at, "pair": "hub-prod", "item": f"heartbeat#{node}", **more}  # fmt: skip
    world.dynamo.items[("hub-prod", f"heartbeat#{node}")] = to_item(values)


def beat(world: World, pause: Callable[[float], None] | None = None) -> Evidence:
    store = RecordStore(world.dynamo, "hotstandby", "hub-prod", world.clock.monotonic)
    return heartbeat_evidence(store, world.pair(), "hub-a", "hub-b", pause or world.clock.sleep)


def beating(world: World, node: str, state: str = "running", every: float = 1.0) -> None:
    """A node that renews its item again and again."""
    count = 0

    def again() -> None:
        nonlocal count
        count += 1
        put(world, node, 0.0, str(count), state)
        world.clock.at(every, again)

    again()


# -- profile minute: one reading, judged by its age


def test_it_stands_still_while_the_standbys_goes_on() -> None:
    world = World().steady()
    put(world, "hub-a", 181)
    put(world, "hub-b", 60)
    found = beat(world)
    assert (found.answer, found.source) == (YES, "heartbeat of hub-a")
    assert found.age == pytest.approx(181, abs=2)


def test_it_goes_on_and_says_running() -> None:
    world = World().steady()
    put(world, "hub-a", 90 - 2)
    put(world, "hub-b", 60)
    assert beat(world).answer == NO


@pytest.mark.parametrize("age", [93.0, 177.0])
def test_one_that_is_late_neither_goes_on_nor_stands_still(age: float) -> None:
    """The alarm decides then: it must not wait for a third missing check."""
    world = World().steady()
    put(world, "hub-a", age)
    put(world, "hub-b", 60)
    found = beat(world)
    assert found.answer == UNKNOWN and "older than the time between two checks" in found.detail


@pytest.mark.parametrize("state", ["stopped", "hung", "unknown"])
def test_it_goes_on_and_says_something_else(state: str) -> None:
    world = World().steady()
    put(world, "hub-a", 60, state=state)
    put(world, "hub-b", 60)
    found = beat(world)
    assert found.answer == UNKNOWN and state in found.detail


@pytest.mark.parametrize("own", [None, 181.0, 90_000.0])
def test_when_the_standbys_own_is_stale_nothing_is_known(own: float | None) -> None:
    """The table may be what stands still."""
    world = World().steady()
    put(world, "hub-a", 500)
    if own is not None:
        put(world, "hub-b", own)
    assert beat(world).answer == UNKNOWN


def test_a_heartbeat_that_was_never_written_tells_nothing() -> None:
    world = World().steady()
    put(world, "hub-b", 1)
    found = beat(world)
    assert (found.answer, found.detail) == (UNKNOWN, "none was ever written")


def test_a_heartbeat_without_a_time_tells_nothing() -> None:
    world = World().steady()
    put(world, "hub-a", None)
    put(world, "hub-b", 1)
    assert beat(world).answer == UNKNOWN
    put(world, "hub-a", 500)
    put(world, "hub-b", None)
    assert beat(world).answer == UNKNOWN


def test_an_item_that_makes_no_sense_tells_nothing() -> None:
    world = World().steady()
    put(world, "hub-b", 1)
    world.dynamo.items[("hub-prod", "heartbeat#hub-a")] = to_item({"node": "hub-a", "epoch": "seven"})
    assert beat(world).answer == UNKNOWN


def test_a_table_that_does_not_answer_tells_nothing() -> None:
    world = World().steady()
    put(world, "hub-a", 500)
    put(world, "hub-b", 1)
    world.network.down = {"dynamodb"}
    found = beat(world)
    assert found.answer == UNKNOWN and "GetItem" in found.detail


def test_a_table_that_stops_answering_on_the_way_tells_nothing() -> None:
    world = World(**FAST).steady()
    put(world, "hub-a", 500)
    put(world, "hub-b", 1)

    def pause(seconds: float) -> None:
        world.clock.sleep(seconds)
        world.network.down = {"dynamodb"}

    assert beat(world, pause).answer == UNKNOWN


@pytest.mark.parametrize("age", [10.0, 500.0])
@pytest.mark.parametrize("node", ["hub-a", "hub-b"])
def test_a_heartbeat_of_another_instance_tells_nothing(node: str, age: float) -> None:
    """A clone of the image bears the node's name: it proves neither life nor death."""
    world = World().steady()
    put(world, "hub-a", 500)
    put(world, "hub-b", 1)
    put(world, node, age, instance_id="i-0cccccccccccccccc")
    found = beat(world)
    assert found.answer == UNKNOWN and "i-0cccccccccccccccc" in found.detail


# -- profile fast: watched for heartbeat_timeout by this run's clock


def test_fast_waits_once_and_sees_it_stand_still() -> None:
    world = World(**FAST).steady()
    put(world, "hub-a", 4)
    beating(world, "hub-b")
    began = world.clock.now
    assert beat(world).answer == YES
    assert 3 <= world.clock.now - began < 4


def test_fast_stands_still_whatever_the_seconds_of_the_stores_clock_round_to() -> None:
    """The Date header has whole seconds; what this run's own clock saw counts."""
    for fraction in (0.0, 0.3, 0.6, 0.95):
        world = World(**FAST).steady()
        world.clock.sleep(fraction)
        put(world, "hub-a", 0.0)
        beating(world, "hub-b")
        assert beat(world).answer == YES, fraction


def test_fast_sees_it_move() -> None:
    world = World(**FAST).steady()
    beating(world, "hub-a")
    beating(world, "hub-b")
    assert beat(world).answer == NO


def test_fast_sees_it_move_even_when_its_times_are_old() -> None:
    """A beat that changes is alive; the age in it is advisory."""
    world = World(**FAST).steady()
    put(world, "hub-a", 1000, "1")
    put(world, "hub-b", 0)
    world.clock.at(1, lambda: put(world, "hub-a", 1000, "2"))
    assert beat(world).answer == NO


def test_fast_sees_an_item_vanish() -> None:
    world = World(**FAST).steady()
    put(world, "hub-a", 1)
    put(world, "hub-b", 1)
    world.clock.at(1, lambda: world.dynamo.items.pop(("hub-prod", "heartbeat#hub-a")) and None)
    assert beat(world).answer == UNKNOWN


# -- the alarm

NOW = START + 10_000


def alarm(
    state: str | None = "OK",
    points: list[tuple[float, float]] | None = None,
    now: float | None = NOW,
    alarms: int = 1,
    **faults: Any,
) -> Evidence:
    """An alarm in this state; points are (age, value)."""
    world = World()
    if state is not None:
        one = {"AlarmName": "down", "StateValue": state, "Period": 60, "EvaluationPeriods": 5}
        world.cloudwatch.alarms = [one, *({**one, "StateValue": "OK"} for _more in range(alarms - 1))]
    world.cloudwatch.points = [
        {"Timestamp": datetime.datetime.fromtimestamp(NOW - age, datetime.timezone.utc), "Maximum": value}
        for age, value in points or []
    ]
    for name, value in faults.items():
        setattr(world.network, name, value)
    return alarm_evidence(world.cloudwatch, world.pair(), now)


@pytest.mark.parametrize(
    ("found", "answer", "text"),
    [
        (alarm("ALARM", [(30, 0)]), YES, "down is in ALARM"),
        (alarm("ALARM", [(30, 0)], alarms=2), YES, "is in ALARM"),
        (alarm("ALARM", now=None), YES, "is in ALARM"),
        (alarm("OK", []), YES, "no datapoint for 300 s"),
        (alarm("INSUFFICIENT_DATA", []), YES, "no datapoint for 300 s"),
        (alarm("OK", [(301, 0)]), YES, "no datapoint for 300 s"),
        (alarm("OK", [(299, 0)]), UNKNOWN, "neither fresh nor well"),
        (alarm("OK", [(30, 0)]), NO, "the newest datapoint is well"),
        (alarm("OK", [(90, 1), (30, 0)]), NO, "well"),
        (alarm("OK", [(30, 0), (90, 1)]), NO, "well"),
        (alarm("OK", [(120, 0)]), NO, "well"),
        (alarm("OK", [(121, 0)]), UNKNOWN, "neither fresh nor well"),
        (alarm("OK", [(30, 1)]), UNKNOWN, "neither fresh nor well"),
        (alarm("OK", [(30, 1), (90, 0)]), UNKNOWN, "neither fresh nor well"),
        (alarm("OK", [(-5, 0)]), NO, "well"),
        (alarm(None, [(30, 0)]), UNKNOWN, "no alarm watches this pair"),
        (alarm("OK", [(30, 0)], now=None), UNKNOWN, "the time is not known"),
        (alarm("ALARM", down={"cloudwatch"}), UNKNOWN, "CloudWatch"),
        (alarm("OK", [], denied={"cloudwatch:GetMetricStatistics"}), UNKNOWN, "the right for this call is missing"),
        (alarm("OK", [], denied={"cloudwatch:DescribeAlarmsForMetric"}), UNKNOWN, "right for this call is missing"),
    ],
)  # fmt: skip
def test_what_an_alarm_tells(found: Evidence, answer: str, text: str) -> None:
    assert (found.answer, found.source) == (answer, "CloudWatch alarm")
    assert text in found.detail


# -- the whole table over a run


def test_a_run_asks_further_only_while_it_does_not_know() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    put(world, "hub-a", 0)
    put(world, "hub-b", 0)
    result = world.run()
    assert result.outcome == "not_confirmed" and "the control path broke" in result.message
    assert not [name for name in world.network.names() if name.startswith("cloudwatch:")]


def test_a_heartbeat_that_stands_still_moves_the_pair_with_a_fence() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    put(world, "hub-a", 500)
    put(world, "hub-b", 1)
    result = world.run()
    assert result.outcome == "moved", result.message
    assert "fence" in [step["name"] for step in result.steps] and world.overlaps == 0


def test_fast_confirms_when_the_heartbeat_has_stood_still_and_waits_for_it_once() -> None:
    """Not at timeouts.confirm, and not a second time for the evidence."""
    world = World(**{**FAST, "timeouts": {"confirm": 20}}).steady()
    world.nodes["hub-a"].frozen = True
    put(world, "hub-a", 1)
    beating(world, "hub-b")
    result = world.run()
    assert result.outcome == "moved", result.message
    seconds = {step["name"]: step["seconds"] for step in result.steps}
    assert 3 <= seconds["confirm"] < 5 and world.overlaps == 0


@pytest.mark.parametrize(("still", "least", "most"), [(0.0, 3.0, 4.0), (1.5, 1.5, 2.5), (60.0, 1.5, 2.5)])
def test_fast_counts_what_the_standby_saw_of_the_same_heartbeat_up_to_half(
    still: float, least: float, most: float
) -> None:
    world = World(**{**FAST, "timeouts": {"confirm": 20}}).steady()
    world.nodes["hub-a"].frozen = True
    put(world, "hub-a", 1)
    beating(world, "hub-b")
    beat = world.ports().store.heartbeat("hub-a")
    assert beat is not None
    result = world.run(seen=Seen(beat.beat, still))
    assert result.outcome == "moved", result.message
    seconds = {step["name"]: step["seconds"] for step in result.steps}
    # what this run itself saw counts from its beginning
    assert least <= seconds["acquire"] + seconds["confirm"] < most and world.overlaps == 0


def slow(seconds: float) -> World:
    """The active's agent has begun the look at once, which takes that long; its heartbeat stands still meanwhile."""
    world = World(**{**FAST, "timeouts": {"confirm": 20}}).steady()
    world.nodes["hub-a"].look_seconds = seconds
    put(world, "hub-a", 1)
    beating(world, "hub-b")
    return world


def test_fast_waits_for_a_slow_host_that_has_begun_to_answer() -> None:
    """A host without an idle CPU is late with everything: its agent was not, so it is neither frozen nor off."""
    result = slow(6.0).run(automation=True)
    assert (result.outcome, result.code) == ("not_confirmed", "active_healthy"), result.message


def test_fast_waits_for_it_no_longer_than_for_any_answer() -> None:
    world = slow(3600.0)
    result = world.run(automation=True)
    assert result.outcome == "moved" and world.overlaps == 0
    assert "fence" in [step["name"] for step in result.steps]
    seconds = {step["name"]: step["seconds"] for step in result.steps}
    assert 20 < seconds["confirm"] < 35


def test_fast_counts_nothing_that_the_standby_saw_of_an_earlier_heartbeat() -> None:
    world = World(**{**FAST, "timeouts": {"confirm": 20}}).steady()
    world.nodes["hub-a"].frozen = True
    put(world, "hub-a", 1)
    beating(world, "hub-b")
    result = world.run(seen=Seen("the one before", 60.0))
    seconds = {step["name"]: step["seconds"] for step in result.steps}
    assert result.outcome == "moved" and 3 <= seconds["confirm"] < 5


def test_fast_does_not_end_its_wait_for_a_heartbeat_that_goes_on() -> None:
    world = World(**FAST).steady()
    world.nodes["hub-a"].frozen = True
    beating(world, "hub-a")
    beating(world, "hub-b")
    result = world.run()
    assert result.outcome == "not_confirmed" and "the control path broke" in result.message


def test_an_alarm_moves_the_pair_with_a_fence() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.cloudwatch.alarms = [
        {"AlarmName": "down", "StateValue": "ALARM", "Period": 60, "EvaluationPeriods": 5}
    ]
    result = world.run()
    assert result.outcome == "moved", result.message
    assert "fence" in [step["name"] for step in result.steps] and world.overlaps == 0


def test_a_probe_that_is_answered_stops_everything_that_follows() -> None:
    world = World(probe={"url": "http://{node}:28080/"}).steady()
    world.nodes["hub-a"].frozen = True
    world.nodes["hub-b"].detail["probe"] = "yes"
    world.cloudwatch.alarms = [
        {"AlarmName": "down", "StateValue": "ALARM", "Period": 60, "EvaluationPeriods": 5}
    ]
    result = world.run()
    assert (result.outcome, world.events) == ("not_confirmed", [])
    assert "it serves" in result.message
