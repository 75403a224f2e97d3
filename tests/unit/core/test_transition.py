# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the transition table with its failure column, over the simulated world."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

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
    result = world.run(**request_)
    assert (result.outcome, result.failed, result.changed) == ("refused", True, False)
    assert text in result.message
    assert world.events == []


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


# -- stop and fence


def test_stop_that_says_success_while_daemons_live_on_is_fenced_then_started() -> None:
    world = World().steady()
    world.nodes["hub-a"].product = "hung"
    world.nodes["hub-a"].stop_ignored = True
    result = world.run()
    assert result.outcome == "moved"
    assert ("stop", "doubt") in outcomes(result) and ("fence", "ok") in outcomes(result)
    assert world.overlaps == 0


def test_fencing_by_a_failing_api_is_unfinished_and_the_same_command_finishes() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    first = world.run(assume_down=True)
    assert (first.outcome, first.failed) == ("unfinished", True)
    assert world.record().active is None and world.nodes["hub-b"].product == "stopped"
    assert world.record().lease is None
    world.stop_error = ""
    second = world.run(assume_down=True)
    assert second.outcome == "moved"
    assert world.overlaps == 0


def test_fencing_refused_for_good_is_broken_and_to_leads_out() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "UnauthorizedOperation"
    result = world.run(assume_down=True)
    assert (result.outcome, result.failed) == ("broken", True)
    assert "to=hub-b" in result.next and "allow_unfenced" in result.message
    assert (world.record().state, world.record().active) == ("broken", None)
    assert world.nodes["hub-b"].product == "stopped"
    again = world.run()
    assert again.outcome == "broken"
    world.stop_error = ""
    out = world.run(to="hub-b")
    assert (out.outcome, world.record().state, world.record().active) == ("moved", "steady", "hub-b")
    assert world.overlaps == 0


def test_allow_unfenced_needs_a_reason_and_is_kept() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "UnauthorizedOperation"
    assert world.run(assume_down=True, allow_unfenced=True).outcome == "refused"
    world.product(world.nodes["hub-a"], "stopped")  # the operator pulled the plug
    result = world.run(assume_down=True, allow_unfenced=True, reason="plug pulled")
    assert (result.outcome, ("fence", "unfenced") in outcomes(result)) == ("moved", True)
    history = world.ports().store.history(1)[0]
    assert history["unfenced"] == "plug pulled"


def test_an_oath_never_beats_a_node_that_says_it_runs() -> None:
    world = World(fencing={"method": "none"}).steady()
    world.nodes["hub-a"].product = "running"
    world.nodes["hub-a"].stop_ignored = True
    result = world.run(assume_down=True, allow_unfenced=True, reason="I believe so")
    assert result.outcome == "broken"
    assert world.nodes["hub-b"].product == "stopped"


def test_a_late_answer_of_the_source_proves_the_stop() -> None:
    world = World().steady()
    world.nodes["hub-a"].delay = 40
    world.stop_error = "ServiceUnavailable"
    result = world.run(assume_down=True)
    assert result.outcome == "moved", result.message
    assert any("answered late" in step["detail"] for step in result.steps)
    assert world.overlaps == 0


def test_a_switchover_whose_stop_is_too_slow_is_rolled_back() -> None:
    world = World().steady()
    world.nodes["hub-a"].stop_seconds = 1000
    result = world.run(mode="switchover")
    assert (result.outcome, result.failed, result.active) == ("rolled_back", True, "hub-a")
    assert (world.record().state, world.record().active, world.record().epoch) == ("steady", "hub-a", 8)
    assert world.nodes["hub-b"].product == "stopped" and "ec2:StopInstances" not in [
        f"{service}:{operation}"
        for service, operation, arguments in world.network.calls
        if not arguments.get("DryRun")
    ]


def test_then_force_forces_it() -> None:
    world = World(stop={"mode": "normal", "then": "force"}).steady()
    world.nodes["hub-a"].force_only = True
    assert world.run(mode="switchover").outcome == "moved"
    assert world.overlaps == 0


def test_a_switchover_whose_source_falls_silent_is_fenced() -> None:
    world = World().steady()
    node = world.nodes["hub-a"]
    plain = node.act

    def act(parameters: dict[str, str]) -> Any:
        if parameters["Action"] == "stop":
            return "unknown", {}, 10_000.0
        return plain(parameters)

    node.act = act  # type: ignore[method-assign]
    result = world.run(mode="switchover")
    assert (result.outcome, ("fence", "ok") in outcomes(result)) == ("moved", True)
    assert world.overlaps == 0


# -- start and after


def test_a_start_that_fails_rolls_back_with_a_new_epoch_each() -> None:
    world = World().steady()
    world.nodes["hub-b"].start_fails = True
    result = world.run(mode="switchover")
    assert (result.outcome, result.active, result.epoch) == ("rolled_back", "hub-a", 9)
    assert world.nodes["hub-a"].product == "running" and world.overlaps == 0
    assert world.record().state == "steady"


def test_a_start_without_an_answer_rolls_back_and_fences_the_target() -> None:
    world = World().steady()
    node = world.nodes["hub-b"]
    plain = node.act

    def act(parameters: dict[str, str]) -> Any:
        if parameters["Action"] in ("start", "stop", "status"):
            return "unknown", {}, 10_000.0
        return plain(parameters)

    node.act = act  # type: ignore[method-assign]
    result = world.run(mode="switchover")
    assert (result.outcome, result.active, world.nodes["hub-b"].power) == ("rolled_back", "hub-a", "stopped")
    assert world.overlaps == 0


def test_a_failed_roll_back_is_broken_never_another_roll_back() -> None:
    world = World().steady()
    world.nodes["hub-b"].start_fails = True
    world.nodes["hub-a"].start_fails = True
    result = world.run(mode="switchover")
    assert result.outcome == "broken"
    assert (world.record().state, world.record().active) == ("broken", None)


def test_after_a_fence_a_failed_start_is_sent_three_times_and_ends_broken() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    world.nodes["hub-b"].start_fails = True
    result = world.run(assume_down=True)
    assert result.outcome == "broken"
    assert names(result).count("start") == 3
    assert world.nodes["hub-b"].power == "running", "the target is never fenced for that"


def test_after_a_fence_a_start_without_answer_is_unfinished_and_looked_at_again() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    target = world.nodes["hub-b"]
    plain = target.act
    target.act = lambda parameters: (  # type: ignore[method-assign]
        ("unknown", {}, 10_000.0) if parameters["Action"] in ("start", "status") else plain(parameters)
    )
    first = world.run(assume_down=True)
    assert (first.outcome, world.record().active) == ("unfinished", "hub-b")
    target.act = plain  # type: ignore[method-assign]
    second = world.run(assume_down=True)
    assert (second.outcome, second.active) == ("moved", "hub-b")
    assert world.record().epoch == 8, "the start is sent again with the same epoch"


def test_after_three_resumes_a_start_without_answer_is_broken() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    target = world.nodes["hub-b"]
    plain = target.act
    target.act = lambda parameters: (  # type: ignore[method-assign]
        ("unknown", {}, 10_000.0) if parameters["Action"] in ("start", "status") else plain(parameters)
    )
    ends = [world.run(assume_down=True).outcome for _attempt in range(5)]
    assert ends == ["unfinished"] * 4 + ["broken"]


def test_an_api_that_fails_does_not_count_as_a_failed_step() -> None:
    world = World().steady()
    kill(world)
    world.network.hook = lambda service, operation, done: (
        world.network.down.add("ssm") if world.record().active == "hub-b" else None
    )
    ends = [world.run().outcome]
    world.network.hook = lambda _service, _operation, _done: None
    ends += [world.run().outcome for _attempt in range(5)]
    assert ends == ["unfinished"] * 6
    world.network.down.clear()
    assert world.run().outcome == "moved"
    assert world.overlaps == 0


def test_a_source_that_runs_again_at_verify_turns_the_move_round() -> None:
    world = World().steady()
    kill(world)
    source = world.nodes["hub-a"]
    plain = source.act
    source.act = lambda parameters: (  # type: ignore[method-assign]
        ("running", {}, 0.0)
        if parameters["Action"] == "status" and world.record().epoch == 8
        else plain(parameters)
    )
    result = world.run()
    assert result.outcome == "rolled_back"
    assert "again as well" in result.message


def test_an_address_that_does_not_move_is_pending_and_paid_by_the_next_run() -> None:
    world = World().steady()
    kill(world)
    world.address_error = "InternalError"
    result = world.run()
    assert (result.outcome, result.failed, result.active) == ("degraded", True, "hub-b")
    assert result.pending == ("elastic_ip eipalloc-0123456789abcdef0",)
    assert world.record().state == "steady"
    world.address_error = ""
    paid = world.run()
    assert (paid.outcome, paid.failed, paid.pending) == ("moved", False, ())
    assert world.address == world.nodes["hub-b"].instance_id
    assert world.run(to="hub-b").outcome == "unchanged"


# -- check mode


@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_check_mode_writes_nothing_and_its_plan_is_what_the_run_does(mode: str) -> None:
    world = World().steady()
    if mode == "failover":
        kill(world)
    plan = world.run(mode=mode, check=True)
    writes = {"dynamodb:UpdateItem", "dynamodb:PutItem", "ec2:AssociateAddress", "cloudwatch:PutMetricData"}
    assert not writes & set(world.network.names())
    assert world.events == []
    result = world.run(mode=mode)
    assert names(plan) == names(result)
    assert (plan.active, plan.epoch, plan.changed, plan.outcome) == (
        result.active,
        result.epoch,
        True,
        "moved",
    )


def test_check_mode_names_the_fence_when_the_active_is_silent() -> None:
    world = World().steady()
    world.nodes["hub-a"].online = False
    plan = world.run(assume_down=True, check=True)
    result = world.run(assume_down=True)
    assert names(plan) == names(result)
    assert "fence" in names(plan)


def test_history_keeps_every_step_and_why_nothing_moved() -> None:
    world = World().steady()
    world.run()
    kept = world.ports().store.history(1)[0]
    assert kept["outcome"] == "not_confirmed" and "answers that the service runs" in kept["message"]
    kill(world)
    world.clock.sleep(5)
    world.run()
    kept = world.ports().store.history(1)[0]
    assert kept["outcome"] == "moved"
    assert [step["name"] for step in kept["steps"]] == SMOOTH[:-1]


# -- an oath is about one node


def deaf(world: World, name: str) -> None:
    """A node that obeys a start and answers nothing any more but `look`."""
    node = world.nodes[name]
    plain = node.act

    def act(parameters: dict[str, str]) -> Any:
        if parameters["Action"] == "look":
            return plain(parameters)
        if parameters["Action"] == "start":
            plain(parameters)
        return "unknown", {}, 10_000.0

    node.act = act  # type: ignore[method-assign]


def test_an_oath_about_the_source_does_not_cover_the_target_when_the_move_turns_round() -> None:
    world = World().steady()
    kill(world)
    deaf(world, "hub-b")
    world.stop_error = "UnauthorizedOperation"
    result = world.run(to="hub-b", allow_unfenced=True, reason="the plug of hub-a is pulled")
    assert (result.outcome, world.overlaps, world.record().active) == ("broken", 0, None)


def test_an_oath_during_a_roll_back_has_to_name_the_node_that_is_to_run() -> None:
    world = World().steady()
    deaf(world, "hub-b")

    def fail(_service: str, _operation: str, _done: bool) -> None:
        world.stop_error = "ServiceUnavailable" if world.record().epoch > 7 else ""

    world.network.hook = fail
    assert world.run(mode="switchover").outcome == "unfinished"
    for to in (None, "hub-b"):
        refused = world.run(to=to, allow_unfenced=True, reason="the plug is pulled")
        assert (refused.outcome, world.overlaps) == ("refused", 0)
        assert "hub-b is off" in refused.message and "to=hub-a" in refused.next
    world.product(world.nodes["hub-b"], "stopped")  # now it really is
    done = world.run(to="hub-a", allow_unfenced=True, reason="the plug of hub-b is pulled")
    assert (done.outcome, done.active, world.overlaps) == ("rolled_back", "hub-a", 0)


def test_an_oath_on_a_later_run_never_beats_a_node_that_says_it_runs() -> None:
    world = World().steady()
    world.nodes["hub-a"].stop_ignored = True
    world.stop_error = "ServiceUnavailable"
    assert world.run(assume_down=True).outcome == "unfinished"
    for _attempt in range(2):
        again = world.run(to="hub-b", allow_unfenced=True, reason="I believe so")
        assert (again.outcome, world.overlaps) == ("unfinished", 0)
    assert world.nodes["hub-b"].product == "stopped"


def test_a_source_that_still_drains_is_given_back_and_started_once_it_has_stopped() -> None:
    world = World().steady()
    node = world.nodes["hub-a"]
    node.stop_seconds = 1000
    plain = node.act
    node.act = lambda parameters: (  # type: ignore[method-assign]
        ("unknown", {"message": "the product is still stopping", "still_stopping": True}, 1.0)
        if parameters["Action"] == "start"
        else plain(parameters)
    )
    first = world.run(mode="switchover")
    assert (first.outcome, world.record().active, world.record().epoch) == ("unfinished", "hub-a", 8)
    node.act = plain  # type: ignore[method-assign]
    second = world.run()
    assert (second.outcome, second.active, world.overlaps) == ("rolled_back", "hub-a", 0)


@pytest.mark.parametrize("landed", [True, False])
def test_a_withdrawal_whose_answer_is_lost_is_unfinished(landed: bool) -> None:
    world = World().steady()
    kill(world)
    writes = 0

    def lose(service: str, operation: str, done: bool) -> None:
        nonlocal writes
        if (service, operation) != ("dynamodb", "UpdateItem") or done is not landed:
            return
        writes += 1
        if writes == 2:
            world.network.down.add("dynamodb")
            raise EndpointConnectionError(endpoint_url="https://dynamodb.example.invalid")

    world.network.hook = lose
    first = world.run()
    assert (first.outcome, first.failed, first.changed) == ("unfinished", True, True)
    assert "to=hub-b" in first.next and "Nothing was changed" not in first.message
    world.network.down.clear()
    assert (world.record().active is None) is landed
    assert world.run(to="hub-b").outcome == "moved"
    assert world.overlaps == 0
