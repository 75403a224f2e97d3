# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transition table until anything is stopped: the smooth ways, acquire, confirm, eligible."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.aws import client_error
from tests.simulation.world import World

Outcome = dict[str, str]


def outcomes(result: Any) -> list[tuple[str, str]]:
    """(name, outcome) of each step."""
    return [(step["name"], step["outcome"]) for step in result.steps]


def names(result: Any) -> list[str]:
    return [step["name"] for step in result.steps]


def kill(world: World, name: str = "hub-a") -> None:
    """The product of a node dies; the node is well."""
    world.product(world.nodes[name], "stopped")
    world.events.clear()


SMOOTH = [
    "acquire",
    "confirm",
    "eligible",
    "withdraw",
    "stop",
    "promote",
    "start",
    "verify",
    "redirect",
    "settle",
]


# -- the smooth ways


def test_a_failover_moves_a_dead_product() -> None:
    world = World().steady()
    kill(world)
    result = world.run(reason="it died")
    assert (result.outcome, result.failed, result.changed) == ("moved", False, True)
    assert (result.previous, result.active, result.epoch, result.pending) == ("hub-a", "hub-b", 8, ())
    assert names(result) == SMOOTH
    record = world.record()
    assert (record.active, record.epoch, record.state, record.move, record.lease) == (
        "hub-b",
        8,
        "steady",
        None,
        None,
    )
    assert world.address == world.nodes["hub-b"].instance_id
    assert world.overlaps == 0
    assert world.nodes["hub-a"].floor == 7, "the source keeps a floor that no older start passes"
    assert result.downtime_seconds is not None and 0 < result.downtime_seconds < 3


def test_a_smooth_failover_takes_at_most_24_calls_and_four_writes_of_the_record() -> None:
    world = World().steady()
    kill(world)
    world.run()
    calls = world.network.names()
    assert len(calls) <= 24, calls
    assert calls.count("dynamodb:UpdateItem") == 4, calls
    assert "ec2:StopInstances" not in calls


def test_both_nodes_look_while_the_lease_is_taken() -> None:
    world = World().steady()
    kill(world)
    world.run()
    calls = world.network.names()
    assert calls[:5] == [
        "dynamodb:GetItem", "ssm:SendCommand", "dynamodb:DescribeTable", "dynamodb:UpdateItem", "ssm:ListCommandInvocations",
    ]  # fmt: skip


def test_a_look_that_could_not_be_sent_is_sent_again_under_the_lease() -> None:
    world = World().steady()
    kill(world)

    def once(service: str, operation: str, done: bool) -> None:
        if (service, operation, done) == ("ssm", "SendCommand", False):
            world.network.hook = lambda *_call: None
            raise client_error("ThrottlingException", operation)

    world.network.hook = once
    assert world.run().outcome == "moved"
    sent = [arguments for _service, name, arguments in world.network.calls if name == "SendCommand"]
    assert [call["Parameters"]["Action"] for call in sent[:3]] == [["look"], ["look"], ["stop"]]


def test_answers_that_were_given_long_before_the_lease_was_held_do_not_count() -> None:
    """The product comes back while the table does not answer: what the nodes said before is no reason to move."""
    world = World().steady()
    kill(world)

    def slow(_service: str, operation: str, done: bool) -> None:
        if (operation, done) == ("DescribeTable", True):
            world.network.hook = lambda *_call: None
            world.clock.sleep(3.0)
            world.product(world.nodes["hub-a"], "running")

    world.network.hook = slow
    result = world.run()
    assert (result.outcome, result.code) == ("not_confirmed", "active_healthy")


def test_who_comes_second_has_looked_and_changed_nothing() -> None:
    """Another run takes the lease while our look is under way: its version stands, ours is not written."""
    world = World().steady()
    kill(world)

    def meanwhile(service: str, operation: str, done: bool) -> None:
        if (operation, done) == ("DescribeTable", True):
            world.network.hook = lambda *_call: None
            store = world.ports().store
            store.update(store.read(), lease=store.new_lease("another", 30))

    world.network.hook = meanwhile
    result = world.run()
    assert (result.outcome, result.busy) == ("refused", True)
    record = world.record()
    assert (record.active, record.move) == ("hub-a", None)
    assert record.lease is not None and record.lease.owner == "another"
    assert not any(event for event in world.events if "stop" in str(event) or "start" in str(event))


def test_switchover_and_back_is_the_same_with_the_nodes_swapped() -> None:
    world = World().steady()
    there = world.run(mode="switchover", to="hub-b")
    back = world.run(mode="switchover", to="hub-a")
    assert [there.outcome, back.outcome] == ["moved", "moved"]
    assert names(there) == names(back) == SMOOTH
    assert world.record().epoch == 9
    assert [event[1:] for event in world.events] == [
        ("hub-a", "stop"), ("hub-b", "start"), ("hub-b", "stop"), ("hub-a", "start"),
    ]  # fmt: skip
    assert world.overlaps == 0


def test_already_there_is_unchanged() -> None:
    world = World().steady()
    result = world.run(mode="switchover", to="hub-a")
    assert (result.outcome, result.changed, result.failed) == ("unchanged", False, False)
    assert "dynamodb:UpdateItem" not in world.network.names()


# -- acquire


@pytest.mark.parametrize(
    ("changes", "request_", "text"),
    [
        ({"paused": {"by": "akira", "reason": "storage work"}}, {}, "paused by akira: storage work"),
        ({"times": {"failover": 1_790_000_000}}, {"automation": True}, "cooling down"),
    ],
)
def test_acquire_refuses(changes: dict[str, Any], request_: dict[str, Any], text: str) -> None:
    world = World().steady()
    kill(world)
    store = world.ports().store
    store.update(store.read(), **changes)
    world.network.calls.clear()
    result = world.run(**request_)
    assert (result.outcome, result.failed, result.changed) == ("refused", True, False)
    assert text in result.message
    assert world.events == []
    assert world.network.names() == ["dynamodb:GetItem"], "no node is asked of a move that may not begin"


def test_an_own_pause_does_not_stop_its_owner_and_cooldown_no_person() -> None:
    world = World().steady()
    kill(world)
    store = world.ports().store
    store.update(store.read(), paused={"by": "keiko", "reason": "x"}, times={"failover": 1_790_000_000})
    assert world.run().outcome == "moved"


def test_a_live_holder_is_named_and_not_disturbed() -> None:
    world = World().steady()
    kill(world)
    store = world.ports().store
    holder = store.update(store.read(), lease=store.new_lease("akira@other/1", 30))

    def renew() -> None:
        nonlocal holder
        holder = store.update(holder, lease=store.new_lease("akira@other/1", 30))

    world.clock.at(10, renew)
    result = world.run()
    assert result.outcome == "refused"
    assert "akira@other/1" in result.message
    assert world.events == []


def test_a_dead_holder_is_replaced_after_its_whole_lease() -> None:
    world = World().steady()
    kill(world)
    store = world.ports().store
    store.update(store.read(), lease=store.new_lease("akira@other/1", 30))
    began = world.clock.monotonic()
    assert world.run().outcome == "moved"
    assert world.clock.monotonic() - began >= 30


def test_another_inventory_than_the_record_is_refused() -> None:
    world = World().steady()
    world.raw = {
        **world.raw,
        "nodes": [world.raw["nodes"][0], {"name": "hub-b", "instance_id": "i-0cccccccccccccccc"}],
    }
    result = world.run()
    assert result.outcome == "refused"
    assert "hotstandby_pair.nodes" in result.message and "deploy" in result.next


def test_a_global_table_is_refused() -> None:
    world = World().steady()
    world.dynamo.replicas = [{"RegionName": "us-east-1"}]
    assert world.run().outcome == "refused"


@pytest.mark.parametrize(("service", "text"), [("dynamodb", "DynamoDB GetItem"), ("ssm", "SSM SendCommand")])
def test_an_api_that_is_down_before_the_move_changes_nothing(service: str, text: str) -> None:
    world = World().steady()
    kill(world)
    world.network.down = {service}
    result = world.run()
    assert (result.outcome, result.failed) == ("refused", True)
    assert text in result.message
    world.network.down = set()
    assert world.record().active == "hub-a"
    assert world.record().lease is None


def test_a_missing_right_is_named() -> None:
    world = World().steady()
    world.network.denied = {"ssm:SendCommand"}
    result = world.run()
    assert "SSM SendCommand: the right for this call is missing" in result.message


def test_no_record_is_unknown_and_none_is_made() -> None:
    world = World()
    result = world.run()
    assert (result.outcome, result.failed) == ("refused", True)
    assert "run deploy" in result.message
    assert world.dynamo.items == {}


# -- confirm


def test_a_healthy_active_is_left_alone() -> None:
    world = World().steady()
    result = world.run()
    assert (result.outcome, result.failed, result.changed) == ("not_confirmed", False, False)
    assert world.events == []
    assert world.record().lease is None and world.record().move is None


def test_held_is_no_failure_and_no_move() -> None:
    world = World().steady()
    kill(world)
    world.nodes["hub-a"].held = {"by": "akira", "reason": "patch", "time": 1}
    result = world.run()
    assert (result.outcome, result.failed) == ("not_confirmed", False)
    assert "akira" in result.message and "patch" in result.message


def test_a_silent_active_with_nothing_else_known_moves_nothing_and_says_what_to_do() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    result = world.run()
    assert (result.outcome, result.failed) == ("not_confirmed", True)
    assert "assume_down=true" in result.next
    assert world.events == []


def test_assume_down_fences_first() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    result = world.run(assume_down=True)
    assert result.outcome == "moved"
    assert names(result).index("fence") < names(result).index("promote")
    assert world.nodes["hub-a"].power == "stopped"
    assert world.overlaps == 0


def test_power_off_is_down_and_proven_by_a_stop_in_this_move() -> None:
    world = World().steady()
    world.product(world.nodes["hub-a"], "stopped")
    world.nodes["hub-a"].die()
    result = world.run()
    assert result.outcome == "moved"
    assert "ec2:StopInstances" in world.network.names()


def test_a_restored_record_moves_nothing() -> None:
    world = World().steady()
    kill(world)
    world.nodes["hub-b"].seen = 9
    result = world.run()
    assert result.outcome == "refused"
    assert "restored from a backup" in result.message and world.events == []


def test_a_switchover_needs_a_healthy_active() -> None:
    world = World().steady()
    kill(world)
    result = world.run(mode="switchover")
    assert (result.outcome, world.events) == ("refused", [])
    assert "failover" in result.next


# -- eligible


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mounted": False}, "not mounted"),
        ({"mounted": None}, "not mounted"),
        ({"marker": "other"}, "belongs to pair 'other'"),
        ({"free": 10}, "10 bytes free"),
        ({"installed": False}, "not installed"),
        ({"autostart": True}, "starts by itself"),
    ],
)
@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_a_standby_that_cannot_take_over_stops_nothing(change: dict[str, Any], text: str, mode: str) -> None:
    world = World().steady()
    if mode == "failover":
        kill(world)
    world.nodes["hub-b"].eligible.update(change)
    result = world.run(mode=mode)
    assert (result.outcome, result.failed, world.events) == ("refused", True, [])
    assert text in result.message
    assert world.record().active == "hub-a" and world.record().lease is None


@pytest.mark.parametrize("state", ["running", "hung", "unknown", "offline"])
def test_a_standby_in_doubt_stops_nothing(state: str) -> None:
    world = World().steady()
    kill(world)
    if state == "offline":
        world.nodes["hub-b"].online = False
    else:
        world.nodes["hub-b"].product = state
    result = world.run()
    assert (result.outcome, world.events) == ("refused", [])


@pytest.mark.parametrize("error", ["UnauthorizedOperation", "ServiceUnavailable", "OperationNotPermitted"])
def test_a_switchover_needs_fencing_that_could_work(error: str) -> None:
    world = World().steady()
    world.stop_error = error
    result = world.run(mode="switchover")
    assert (result.outcome, world.events) == ("refused", [])
