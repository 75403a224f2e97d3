# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transition table from the stop on, with its failure column; check mode and history."""

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
