# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which event this is; what people are told and when; how much time a step needs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.budget import LONGEST, most, needs
from ansible_collections.hotstandby.ops.plugins.module_utils.event import FRESH, Event, fresh, read_event
from ansible_collections.hotstandby.ops.plugins.module_utils.handover import SECONDS
from ansible_collections.hotstandby.ops.plugins.module_utils.move import ORDER
from ansible_collections.hotstandby.ops.plugins.module_utils.notice import (
    PATIENCE,
    REPEAT,
    Memory,
    Notice,
    due,
    met,
    read_memory,
    told,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.world import PAIR

ARN = "arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:it"
STAMP = "2026-01-02T03:04:05.678+0000"
AT = 1767323045.678


def through(value: str = "ALARM", name: str = "it") -> dict[str, Any]:
    """As EventBridge delivers it."""
    return {
        "source": "aws.cloudwatch",
        "resources": [ARN],
        "time": "2026-01-02T03:04:05Z",
        "detail": {"alarmName": name, "state": {"value": value, "timestamp": STAMP, "reason": "r"}},
    }


def direct() -> dict[str, Any]:
    """As an alarm's own Lambda action delivers it."""
    return {
        "source": "aws.cloudwatch",
        "alarmArn": ARN,
        "time": STAMP,
        "alarmData": {"alarmName": "it", "state": {"value": "ALARM", "timestamp": STAMP, "reason": "r"}},
    }


def test_both_ways_of_an_alarm_are_the_same_event() -> None:
    one, other = read_event(through(), "p", "it"), read_event(direct(), "p", "it")
    assert one == other
    assert (one.kind, one.key, one.time) == ("alarm", f"{ARN} {STAMP}", pytest.approx(AT))


def test_only_this_pairs_alarm_in_alarm_begins_anything() -> None:
    assert read_event(through("OK"), "p", "it").kind == "tick"
    assert read_event(through("INSUFFICIENT_DATA"), "p", "it").kind == "tick"
    assert read_event(through(name="other"), "p", "it").kind == "unknown"


@pytest.mark.parametrize(
    ("age", "known", "may"),
    [
        (0.0, False, True),
        (FRESH, False, True),
        (FRESH + 1, False, False),
        (-60.0, False, True),
        (-600.0, False, False),
        (0.0, True, False),
    ],
)
def test_what_is_old_or_known_only_looks(age: float, known: bool, may: bool) -> None:
    event = read_event(through(), "p", "it")
    assert (fresh(event, AT + age, known) is None) is may


def test_an_event_that_does_not_say_when_only_looks() -> None:
    assert fresh(Event("alarm", "k", None), AT, False) is not None


@pytest.mark.parametrize(
    ("given", "beat", "still"),
    [
        ({"beat": "b1", "still": 1.5}, "b1", 1.5),
        ({}, "", 0.0),  # a daemon that is older than this, or a death
        ({"beat": "b1"}, "", 0.0),
        ({"beat": "b1", "still": True}, "", 0.0),
        ({"beat": "b1", "still": -1}, "", 0.0),
        ({"beat": "b1", "still": float("inf")}, "", 0.0),
        ({"beat": "b1", "still": float("nan")}, "", 0.0),
        ({"beat": "b1", "still": "3"}, "", 0.0),
    ],
)
def test_what_the_watch_has_seen_of_a_heartbeat(given: dict[str, Any], beat: str, still: float) -> None:
    own = {"action": "watch", "pair": "p", "id": "1", "node": "b", "time": AT, "evidence": "silence", **given}
    event = read_event({"hotstandby": own}, "p", "it")
    assert (event.kind, event.beat, event.still) == ("watch", beat, still)


WORDS = (
    "source", "detail", "alarmData", "state", "hotstandby", "action", "pair", "resources", "time", "value", "alarmName",
    "timestamp", "still", "beat",
)  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["aws.cloudwatch", "ALARM", "it"])
)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS), inner)))
def test_no_event_raises(raw: Any) -> None:
    event = read_event(raw, "p", "it")
    fresh(event, AT, False)
    assert event.kind != "alarm" or event.key


def test_what_lasts_is_told_again_and_what_happened_once_is_not() -> None:
    lasting, once = Notice("broken:1", "broken", "s", "t"), Notice("ended:1", "ended", "s", "t")
    send, memory = due([lasting, once], Memory(), 0.0)
    assert send == [lasting, once]
    memory = told(memory, send, 0.0)
    assert due([lasting, once], memory, REPEAT - 1)[0] == []
    assert due([lasting, once], memory, REPEAT)[0] == [lasting]


def test_what_went_away_and_comes_again_is_told_anew() -> None:
    lasting = Notice("off b", "trouble", "s", "t")
    send, memory = due([lasting], Memory(), 0.0)
    _none, memory = due([], told(memory, send, 0.0), 60.0)
    assert due([lasting], memory, 120.0)[0] == [lasting]


def test_a_hiccup_is_not_told() -> None:
    patient = Notice("reach EC2", "trouble", "s", "t", patient=True)
    send, memory = due([patient], Memory(), 0.0)
    assert send == []
    assert due([patient], memory, PATIENCE)[0] == [patient]
    _none, memory = due([], memory, 60.0)
    assert due([patient], memory, PATIENCE)[0] == []


def test_the_memory_stays_small_and_survives_nonsense() -> None:
    memory = Memory()
    for number in range(500):
        send, memory = due([Notice(f"ended:{number}", "ended", "s", "t")], memory, float(number))
        memory = met(told(memory, send, float(number)), f"event {number}")
    assert len(memory.told) <= 41 and len(memory.events) == 40
    assert read_memory({"told": 3, "events": "x", "suspects": {"a": "b", "c": True}}) == Memory()
    assert read_memory(None) == Memory()


def test_each_step_has_its_time_and_none_more_than_a_function_can_have() -> None:
    pair = parse_pair({**PAIR, "timeouts": {"stop": 780, "start": 780, "confirm": 780}})
    assert most(pair) == LONGEST
    small = parse_pair(
        {**PAIR, "lease": 2, "timeouts": {"stop": 10, "start": 15, "confirm": 6, "verify": 10}}
    )
    assert needs(small, "stop") >= 10 + 10 and needs(small, "withdraw") >= needs(small, "stop")
    assert all(0 < needs(small, step) <= most(small) for step in ORDER)
    assert needs(small, "stop") < needs(parse_pair({**PAIR, "timeouts": {"stop": 600}}), "stop")


def test_requests_that_take_long_to_hand_over_have_their_time_too() -> None:
    def handover(**changes: Any) -> float:
        return needs(parse_pair({**PAIR, **changes}), "handover")

    slow = handover(requeue={"bucket": "orders", "timeout": 400})
    assert slow >= 400 and slow - handover(requeue={"bucket": "orders"}) == 400 - SECONDS
    assert handover(requeue={"bucket": "orders"}) - handover() == SECONDS
