# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edges of a move: who is asked what and for how long, what is taken for well, and every way to a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.simulation.world import World
from tests.unit.core.move_log import ADDRESS, AGAIN, STATUS, WELL, Seen, dead, order, told

NO_WAY_OUT = (
    ". Nobody is named, nothing is started. Choose the node that shall run (hub-a or hub-b); both are proven "
)
Act = Callable[[dict[str, str]], Any]


def acts(world: World, name: str, **answers: Any) -> None:
    """A node answers these actions with (state, detail, seconds), or with what a function of the parameters says."""
    node = world.nodes[name]
    plain = node.act

    def act(parameters: dict[str, str]) -> Any:
        said = answers.get(parameters["Action"])
        if said is None:
            return plain(parameters)
        return said(parameters) if callable(said) else said

    node.act = act  # type: ignore[method-assign]


def broken(why: str | None = "the fence failed", active: str | None = None) -> World:
    world = World().steady()
    world.product(world.nodes["hub-a"], "stopped")
    store = world.ports().store
    store.update(store.read(), state="broken", active=active, times={} if why is None else {"why": why})
    world.network.calls.clear()
    return world


# -- the way out of broken


def test_a_recovery_stops_both_and_starts_one() -> None:
    world = broken()
    seen = Seen(world)
    result = world.run(to="hub-b")
    assert [step[:2] for step in told(result)] == [(name, "ok") for name in (
        "acquire", "confirm", "eligible", "withdraw", "stop", "promote", "start", "verify", "redirect", "settle")]  # fmt: skip
    assert told(result)[0][2] == "recovery from hub-a to hub-b, epoch 7"
    assert (result.outcome, result.previous, result.active, result.epoch) == ("moved", None, "hub-b", 8)
    assert seen.sent[1:3] == [order("stop", "ab", 7, 120), order("start", "b", 8, 180)]
    assert "failover" not in world.record().times and world.record().times["why"] == ""


@pytest.mark.parametrize("fenced", [True, False])
def test_a_recovery_whose_start_fails_is_broken_at_once(fenced: bool) -> None:
    world = broken()
    world.nodes["hub-a"].frozen = fenced
    world.nodes["hub-b"].start_fails = True
    seen = Seen(world)
    result = world.run(to="hub-b")
    why = "hub-b did not start: stopped, the product did not start"
    assert (result.outcome, world.record().state, world.record().times["why"]) == ("broken", "broken", why)
    assert [sent[0] for sent in seen.sent].count("start") == 1, "neither turned round nor sent again"
    assert any(step[0] == "fence" for step in told(result)) is fenced


@pytest.mark.parametrize(
    ("why", "request_", "text"),
    [
        ("the fence failed", {}, "the fence failed"),
        (None, {}, "the last move ended broken"),
        ("the fence failed", {"to": "hub-b", "mode": "switchover"}, "the fence failed"),
        ("the fence failed", {"to": "hub-b", "automation": True}, "the fence failed"),
    ],
)
def test_broken_waits_for_a_person_who_names_a_node(
    why: str | None, request_: dict[str, Any], text: str
) -> None:
    world = broken(why)
    result = world.run(**request_)
    assert (result.outcome, result.changed, result.next) == ("broken", False, f"{AGAIN}hub-a")
    assert result.message.startswith(text + NO_WAY_OUT) and "dynamodb:UpdateItem" not in world.network.names()


def test_nobody_named_needs_a_name() -> None:
    world = World().steady()
    store = world.ports().store
    store.update(store.read(), active=None)
    result = world.run()
    assert (result.outcome, result.message.partition(NO_WAY_OUT)[0]) == ("broken", "no node is named")
    assert world.run(to="hub-a").outcome != "broken"


# -- acquire


def test_a_node_that_there_is_not_is_refused_by_its_option() -> None:
    result = World().steady().run(to="hub-c")
    assert (result.outcome, result.changed, result.next, result.code) == (
        "refused",
        False,
        STATUS,
        "no_such_node",
    )
    assert result.message.startswith("to: hotstandby_pair.nodes: no node is named 'hub-c'")


def test_a_copied_table_is_refused_with_what_to_do() -> None:
    world = World().steady()
    world.dynamo.replicas = [{"RegionName": "us-east-1"}]
    result = world.run()
    assert result.message.endswith(": a record that is copied proves nothing; remove the replicas")
    assert (result.next, result.code) == (STATUS, "replicated_table")
    assert "us-east-1" in result.message and told(result) == [("acquire", "refused", result.message)]


def test_a_live_holder_is_named_and_status_is_next() -> None:
    world = dead(World().steady())
    store = world.ports().store
    holder = store.update(store.read(), lease=store.new_lease("akira@other/1", 30))
    world.clock.at(10, lambda: store.update(holder, lease=store.new_lease("akira@other/1", 30)))
    result = world.run()
    assert (result.outcome, result.failed, result.changed, result.next) == ("refused", True, False, STATUS)
    assert result.message.startswith(
        "another run holds the pair and is at work: akira@other/1. Let it finish"
    )
    assert result.code == "lease_held"
    assert world.record().lease is not None, "it is not let go for its holder"
    assert (result.active, result.previous, result.epoch) == ("hub-a", "hub-a", 7)


def test_what_a_dead_holder_left_is_read_again() -> None:
    """While the lease ran out, deploy brought another node in; and somebody had moved the service."""
    for changes, outcome in (({"nodes": {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0cccccccccccccccc"}}, "refused"),
                             ({"active": "hub-b"}, "unchanged")):  # fmt: skip
        world = World().steady()
        store = world.ports().store
        held = store.update(store.read(), lease=store.new_lease("akira@other/1", 30))
        world.product(world.nodes["hub-a"], "stopped")
        world.product(world.nodes["hub-b"], "running")
        world.address = "i-0bbbbbbbbbbbbbbbb"
        world.clock.at(5, lambda s=store, h=held, c=changes: s.update(h, lease=None, **c))  # type: ignore[misc]
        result = world.run(to="hub-b")
        assert result.outcome == outcome, result.message
        if outcome == "unchanged":
            assert (result.previous, result.active) == ("hub-b", "hub-b")
        else:
            assert "i-0cccccccccccccccc" in result.message and result.changed is False


def test_a_move_of_automation_is_told_as_such_when_it_is_taken_up() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    world.run(assume_down=True, by="")
    world.stop_error = ""
    result = world.run()
    resumed = next(step for step in told(result) if step[1] == "resumed")
    assert (
        resumed[2] == "failover from hub-a to hub-b, begun by automation, at step fence; taken up 1 time(s)"
    )


def test_a_roll_back_that_is_taken_up_knows_who_was_active() -> None:
    world = World().steady()
    world.nodes["hub-a"].stop_seconds = 1000
    draining = ("unknown", {"message": "it drains", "still_stopping": True}, 1.0)
    plain = world.nodes["hub-a"].act
    acts(world, "hub-a", start=draining)
    first = world.run(mode="switchover")
    assert (first.outcome, first.next, first.previous) == ("unfinished", f"{AGAIN}hub-a", "hub-a")
    assert first.message == "hub-a is named, but its stop still drains: it drains. Run this again"
    assert first.code == "still_draining"
    assert [step[0] for step in told(first)].count("start") == 1
    other = world.run(to="hub-b")
    assert (other.outcome, other.changed) == ("rolled_back", True) or other.outcome == "unfinished"
    world.nodes["hub-a"].act = plain  # type: ignore[method-assign]
    result = world.run()
    assert (result.outcome, result.previous, result.active) == ("rolled_back", "hub-a", "hub-a")
    assert result.message.endswith("Rolled back: hub-a is active with epoch 8")


def test_another_move_than_the_unfinished_one_is_refused() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    world.run(assume_down=True)
    result = world.run(to="hub-a")
    assert (result.outcome, result.next) == ("refused", f"{AGAIN}hub-b")
    assert (
        result.message
        == "a failover from hub-a to hub-b is unfinished: finish it first, then move on. Nothing was changed"
    )
    assert result.changed is False and [step[1] for step in told(result)][-1] == "refused"


# -- confirm


def test_a_refusal_to_confirm_is_told_once_and_leaves_no_move() -> None:
    world = World().steady()
    seen = Seen(world)
    result = world.run()
    move = "ansible-playbook hotstandby.ops.failover -e mode=switchover -e to=hub-b"
    message = f"{WELL}: nothing was changed. To move it all the same: {move}"
    assert told(result) == [
        ("acquire", "ok", "failover from hub-a to hub-b, epoch 7"),
        ("confirm", "not_confirmed", message),
    ]
    assert (result.outcome, result.message, result.failed, result.changed) == (
        "not_confirmed",
        message,
        False,
        False,
    )
    assert seen.writes == [("steady", "hub-a", 7, "confirm", True), ("steady", "hub-a", 7, "", False)]


def test_what_is_pending_is_paid_when_the_active_is_well_and_only_then() -> None:
    for well in (True, False):
        world = World().steady()
        store = world.ports().store
        store.update(store.read(), pending=(ADDRESS,))
        world.address = None
        world.nodes["hub-a"].online = well
        result = world.run()
        assert (result.outcome, result.changed) == (("moved", True) if well else ("not_confirmed", False))
        assert (world.address is not None) is well and world.record().pending == (() if well else (ADDRESS,))


def test_a_standby_that_is_refused_is_told_at_that_step() -> None:
    world = dead(World().steady())
    world.nodes["hub-b"].eligible["installed"] = False
    result = world.run()
    assert told(result)[-1] == ("eligible", "refused", result.message) and result.next == STATUS


@pytest.mark.parametrize(("silent", "fence"), [(True, ["fence"]), (False, [])])
def test_the_plan_names_who_takes_over_and_the_fence_where_it_is_needed(
    silent: bool, fence: list[str]
) -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = silent
    seen = Seen(world)
    result = world.run(assume_down=True, check=True)
    assert (result.outcome, result.message) == ("moved", "hub-b would take over from hub-a")
    assert [step["name"] for step in result.steps if step["outcome"] == "planned"] == [
        "withdraw", "stop", *fence, "promote", "start", "verify", "redirect", "settle"]  # fmt: skip
    assert seen.writes == [] and seen.sent == [("look", "ab", False, "", "normal", "20", "hub-a")]


# -- start


def test_each_question_has_the_time_that_the_pair_gives_it() -> None:
    world = dead(World(timeouts={"confirm": 7, "stop": 50, "start": 70, "verify": 11}).steady())
    acts(world, "hub-b", start=("unknown", {}, 1e6))
    seen = Seen(world)
    world.run()
    asked = [(action, timeout) for action, _nodes, _move, _epoch, _mode, timeout, _active in seen.sent]
    assert asked[:4] == [("look", "7"), ("stop", "50"), ("start", "70"), ("status", "7")]


@pytest.mark.parametrize(("verify", "limit"), [(5, "5"), (60, "7")])
def test_verify_asks_for_the_shorter_of_two_times(verify: int, limit: str) -> None:
    world = dead(World(timeouts={"confirm": 7, "verify": verify}).steady())
    seen = Seen(world)
    assert world.run().outcome == "moved"
    assert seen.sent[-1] == ("status", "ab", False, "", "normal", limit, "")


@pytest.mark.parametrize(
    ("state", "seen_epoch", "found"), [("running", 8, True), ("running", 7, False), ("stopped", 8, False)]
)
def test_only_running_with_this_very_epoch_stands_for_a_lost_answer(
    state: str, seen_epoch: int, found: bool
) -> None:
    world = dead(World().steady())
    node = world.nodes["hub-b"]

    def status(_parameters: dict[str, str]) -> Any:
        node.seen = seen_epoch
        return state, {"message": "asked"}, 0.0

    acts(world, "hub-b", start=("unknown", {}, 1e6), status=status)
    result = world.run()
    start = next(step for step in told(result) if step[0] == "start")
    assert start[1] == ("ok" if found else "failed")
    assert (start[2] == "running, asked") is found


def test_a_start_that_is_refused_has_not_started_whatever_runs_there() -> None:
    world = dead(World().steady())
    refused = ("running", {"refused": True, "code": "not_active", "message": "not the active node"}, 0.0)
    acts(world, "hub-b", start=refused)
    result = world.run()
    start = next(step for step in told(result) if step[0] == "start")
    assert start == ("start", "failed", "running, not the active node") and result.outcome == "rolled_back"


def test_a_roll_back_after_a_fence_is_not_sent_three_times() -> None:
    world = World().steady()
    acts(world, "hub-b", start=("unknown", {}, 1e6), status=("unknown", {}, 1e6), stop=("unknown", {}, 1e6))
    world.nodes["hub-a"].start_fails = True
    seen = Seen(world)
    result = world.run(mode="switchover")
    assert (result.outcome, world.nodes["hub-b"].power) == ("broken", "stopped")
    assert [sent[1] for sent in seen.sent if sent[0] == "start"] == ["b", "a"]


def test_a_run_that_stopped_nothing_tells_no_downtime() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    plain = world.nodes["hub-b"].act
    acts(world, "hub-b", start=("unknown", {}, 1e6), status=("unknown", {}, 1e6))
    assert world.run(assume_down=True).outcome == "unfinished"
    world.nodes["hub-b"].act = plain  # type: ignore[method-assign]
    result = world.run()
    assert (result.message, result.downtime_seconds) == ("hub-b is active with epoch 8", None)


# -- verify


def test_a_target_that_does_not_stay_up_turns_the_move_round_when_its_time_is_over() -> None:
    world = dead(World().steady())
    acts(world, "hub-b", status=("stopped", {"message": "it died"}, 0.0))
    result = world.run()
    steps = told(result)
    verify = next(step for step in steps if step[0] == "verify")
    assert verify == ("verify", "failed", "stopped, it died")
    assert (result.outcome, result.active) == ("rolled_back", "hub-a")
    assert "stopped, it died. Rolled back: hub-a is active with epoch 9" in result.message
    seconds = next(step["seconds"] for step in result.steps if step["name"] == "verify")
    assert 60 <= seconds < 62, "it is asked again and again until verify is over"
    asked = [call for call in world.network.calls if call[1] == "SendCommand"]
    assert 80 < len([call for call in asked if call[2]["Parameters"]["Action"] == ["status"]]) < 130


def test_a_target_that_comes_up_late_is_well() -> None:
    world = dead(World().steady())
    acts(
        world,
        "hub-b",
        status=lambda _p: ("running" if world.clock.now > 30 else "hung", {"message": "slow"}, 0.0),
    )
    result = world.run()
    assert (result.outcome, result.active) == ("moved", "hub-b")
    assert result.downtime_seconds is not None and 29 < result.downtime_seconds < 31


@pytest.mark.parametrize("state", ["running", "hung"])
def test_a_source_that_is_up_again_turns_the_move_round_at_once(state: str) -> None:
    world = dead(World().steady())
    told_once: list[str] = []

    def status(_parameters: dict[str, str]) -> Any:
        told_once.append(state)
        return (state if len(told_once) == 1 else world.nodes["hub-a"].product), {}, 0.0

    acts(world, "hub-a", status=status)
    result = world.run()
    text = "the service is up on hub-a again as well"
    assert ("verify", "failed", text) in told(result) and len(told_once) == 2, (
        "once there, once as target again"
    )
    assert f"{text}. Rolled back: hub-a is active with epoch 9" in result.message


@pytest.mark.parametrize("state", ["stopped", "unknown"])
def test_a_source_that_is_not_up_is_told_beside_the_target(state: str) -> None:
    world = dead(World().steady())
    acts(world, "hub-a", status=(state, {}, 0.0))
    result = world.run()
    assert result.outcome == "moved" and ("verify", "ok", f"hub-b runs, hub-a is {state}") in told(result)


@pytest.mark.parametrize(("processes", "outcome"), [(0, "moved"), (3, "rolled_back"), (None, "rolled_back")])
def test_a_source_without_an_answer_is_up_unless_no_process_of_it_is_left(
    processes: int | None, outcome: str
) -> None:
    world = dead(World().steady())
    acts(world, "hub-a", status=("hung", {"processes": processes}, 0.0))
    result = world.run()
    turned = ("verify", "failed", "the service is up on hub-a again as well") in told(result)
    assert turned is (outcome != "moved")
    assert (result.outcome == "moved") is (outcome == "moved")


def test_a_source_that_nobody_can_reach_is_not_waited_for() -> None:
    world = dead(World().steady())
    world.network.hook = lambda _service, _operation, _done: setattr(
        world.nodes["hub-a"], "frozen", world.record().epoch == 8
    )
    result = world.run()
    verify = next(step for step in result.steps if step["name"] == "verify")
    assert result.outcome == "moved" and verify["detail"] == "hub-b runs" and verify["seconds"] < 1


def test_a_source_that_began_to_answer_is_waited_for() -> None:
    world = dead(World().steady())
    acts(world, "hub-a", status=("running", {}, 10.0))
    result = world.run()
    assert ("verify", "failed", "the service is up on hub-a again as well") in told(result)


def test_who_swore_that_the_source_is_off_has_it_asked_all_the_same() -> None:
    world = World(fencing={"method": "none"}).steady()
    world.nodes["hub-a"].frozen = True
    world.product(world.nodes["hub-a"], "stopped")
    seen = Seen(world)
    result = world.run(assume_down=True, allow_unfenced=True, reason="plug pulled")
    assert result.outcome == "moved" and seen.sent[-1] == ("status", "ab", False, "", "normal", "20", "")


def test_a_withdrawal_that_was_not_answered_is_unfinished_and_not_lost_to_itself() -> None:
    """The write comes true, its answer and the next read are lost; then the table is well again."""
    world = World().steady()
    lost: list[str] = []

    def hook(_service: str, operation: str, done: bool) -> None:
        if not lost and done and operation == "UpdateItem" and world.record().state == "moving":
            lost.append(operation)
        elif not (len(lost) == 1 and operation == "GetItem" and not done):
            return
        else:
            lost.append(operation)
        raise ReadTimeoutError(endpoint_url="https://dynamodb.example.invalid")

    world.network.hook = hook
    result = world.run(mode="switchover", to="hub-b")
    assert lost == ["UpdateItem", "GetItem"]
    assert (result.outcome, result.code, result.changed) == ("unfinished", "record_unreadable", True)
    record = world.record()
    assert (record.state, record.active, record.lease) == ("moving", None, None), "it was let go as it stands"
    assert record.move is not None and record.move.step == "stop"
    assert world.run(to="hub-b").outcome == "moved" and world.record().active == "hub-b"
