# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rolling upgrade: nodes and function of two versions at one table. Unknown is left alone, missing has its old meaning.

What stands here as old is what the first version wrote and sent, word for word.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer, parse_answer
from ansible_collections.hotstandby.ops.plugins.module_utils.record import parse_heartbeat
from ansible_collections.hotstandby.ops.plugins.module_utils.store import from_item, to_item

from tests.simulation.automation import Automated
from tests.unit.core.test_function import commands, killed, silent, well

OLD_BEAT = {
    "node": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa", "boot_id": "b", "epoch": 7, "state": "running", "beat": "1",
    "time": 1.0,
}  # fmt: skip
OLD_CALL = {"action": "watch", "pair": "hub-prod", "node": "hub-b", "id": "hub-b-1", "evidence": "silence"}


def aged(world: Automated, newer: bool) -> None:
    """Every heartbeat as a node of the first version writes it, or with fields of a version that is yet to come."""
    for key, item in list(world.dynamo.items.items()):
        if key[1].startswith("heartbeat#"):
            fields = {
                name: value for name, value in from_item(item).items() if name in {*OLD_BEAT, "pair", "item"}
            }
            more = {"colour": "green", "load": {"one": 1.5}} if newer else {}
            world.dynamo.items[key] = to_item({**fields, **more})


def restless(world: Automated, newer: bool) -> None:
    """From now on each check writes in that way."""
    check = world.check

    def check_and_age() -> None:
        check()
        aged(world, newer)

    world.check = check_and_age  # type: ignore[method-assign]
    aged(world, newer)


@pytest.mark.parametrize("newer", [False, True])
def test_health_of_another_version_is_read(newer: bool) -> None:
    found = parse_heartbeat({**OLD_BEAT, **({"colour": "green"} if newer else {})})
    assert found is not None and (found.state, found.epoch, found.held) == ("running", 7, False)
    world = well()
    restless(world, newer)
    answers = world.minutes(10)
    assert {answer["action"] for answer in answers} == {"none"}
    assert world.messages == [] and world.events == []


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("make", [killed, silent])
def test_a_failure_in_the_middle_of_an_upgrade_moves_once(make: Any, newer: bool) -> None:
    world = make()
    restless(world, newer)
    world.events.clear()
    assert world.invoke(world.event())["outcome"] == "moved"
    world.alarm("OK")
    world.minutes(5)
    assert [node for _time, node, what in world.events if what == "start"] == ["hub-b"]
    assert world.overlaps == 0 and world.kinds()[:2] == ["began", "ended"]


def test_a_record_with_fields_of_a_later_version_keeps_them_through_a_move() -> None:
    world = killed()
    key = ("hub-prod", "record")
    world.dynamo.items[key] = {**world.dynamo.items[key], "colour": {"S": "green"}}
    assert world.invoke(world.event())["outcome"] == "moved"
    assert world.dynamo.items[key]["colour"] == {"S": "green"} and world.record().active == "hub-b"


def test_a_schema_that_is_not_known_is_left_alone() -> None:
    world = killed()
    key = ("hub-prod", "record")
    world.dynamo.items[key] = {**world.dynamo.items[key], "schema": {"N": "2"}}
    before = dict(world.dynamo.items[key])
    answer = world.invoke(world.event())
    for _minute in range(3):
        world.clock.sleep(60)
        world.tick()
    assert answer.get("outcome") in ("refused", "looked") and world.dynamo.items[key] == before
    assert commands(world, "stop") == commands(world, "start") == 0 and world.kinds() != []


@pytest.mark.parametrize("more", [{}, {"beat": "x", "still": 2.0, "colour": "green"}])
def test_a_call_of_a_daemon_of_another_version(more: dict[str, Any]) -> None:
    world = killed(profile="fast")
    answer = world.invoke({"hotstandby": {**OLD_CALL, "time": world.wall(), **more}})
    assert answer["outcome"] == "moved" and world.overlaps == 0


def test_an_answer_with_more_in_it_is_an_answer() -> None:
    whole = {
        "schema": 1, "pair": "p", "node": "a", "instance_id": "i-1", "boot_id": "b", "action": "look", "move": "",
        "epoch": None, "state": "running", "seen": 7, "floor": 0, "held": None, "detail": {"message": "m"}, "colour": "green",
    }  # fmt: skip
    found = parse_answer(json.dumps(whole), "p", "a", "i-1", "look")
    assert isinstance(found, Answer) and found.state == "running"
