# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The function over simulated time: events once, twice, late; runs that die or run out of time; people who are told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import set_pause

from tests.simulation.automation import Automated
from tests.simulation.aws import Crash
from tests.simulation.watch import Watch


def well(**changes: Any) -> Automated:
    world = Automated(**changes)
    world.steady()
    world.check()
    world.alarm("OK")
    world.network.calls.clear()
    return world


def killed(**changes: Any) -> Automated:
    world = well(**changes)
    world.product(world.nodes["hub-a"], "stopped")
    world.alarm("ALARM")
    world.events.clear()
    return world


def silent() -> Automated:
    """The active answers nobody, and has not been heard for five minutes; its product runs on."""
    world = well()
    world.nodes["hub-a"].frozen = True
    for _minute in range(5):
        world.clock.sleep(60)
        world.check()
    world.alarm("ALARM")
    return world


def commands(world: Automated, action: str) -> int:
    return sum(
        operation == "SendCommand" and arguments["Parameters"]["Action"] == [action]
        for _service, operation, arguments in world.network.calls
    )


def test_an_alarm_moves_the_pair_and_people_hear_of_it_once() -> None:
    world = killed()
    answer = world.invoke(world.event())
    assert (answer["action"], answer["outcome"], answer["active"]) == ("failover", "moved", "hub-b")
    assert world.events[-1][1:] == ("hub-b", "start") and world.overlaps == 0
    assert world.kinds() == ["began", "ended"]
    world.alarm("OK")
    world.minutes(3)
    assert world.kinds() == ["began", "ended"]
    assert world.record().times["failover"] is not None


def test_the_same_event_again_only_looks() -> None:
    world = killed()
    event = world.event()
    world.invoke(event)
    world.alarm("OK")
    world.network.calls.clear()
    again = world.invoke(event)
    assert (again["action"], again["outcome"]) == ("none", "looked")
    assert (commands(world, "look"), commands(world, "stop"), commands(world, "start")) == (0, 0, 0)


def test_an_event_about_an_earlier_active_only_looks() -> None:
    world = killed()
    late = world.event()
    other = world.event(age=1.0)
    world.invoke(other)
    world.alarm("OK")
    assert world.invoke(late)["action"] == "none"
    assert world.record().active == "hub-b"


def test_an_event_two_hours_old_only_looks() -> None:
    world = well()
    answer = world.invoke(world.event(age=7200))
    assert (answer["action"], answer["outcome"]) == ("none", "looked") and "7200 s old" in answer["why"]
    assert not any(operation == "UpdateItem" for _service, operation, _arguments in world.network.calls)


def test_an_old_event_of_an_alarm_that_is_still_in_alarm_moves_by_what_is_found_now() -> None:
    world = killed()
    answer = world.invoke(world.event(age=7200))
    assert (answer["action"], answer["outcome"]) == ("failover", "moved")


def again(world: Automated, event: dict[str, Any], answers: list[dict[str, Any]]) -> None:
    answers.append(world.invoke(event))


@pytest.mark.parametrize("make", [killed, silent])
def test_the_same_event_twice_at_once(make: Callable[[], Automated]) -> None:
    """The second run begins, and ends, in the middle of the first, at each of its calls."""
    moment = 0
    while True:
        world = make()
        event = world.event()
        second: list[dict[str, Any]] = []
        run = world.begin()
        watch = Watch(world)
        watch.at = moment
        watch.trouble = functools.partial(again, world, event, second)
        first = run.handle(event)
        if not second:
            break
        watch.check()
        assert "moved" in (first["outcome"], second[0].get("outcome")), watch.what
        starts = [node for _time, node, what in world.events if what == "start"]
        assert starts == ["hub-b"] and world.record().epoch == 8, watch.what
        moment += 2
    assert moment > 40


@pytest.mark.parametrize("make", [killed, silent])
def test_it_may_die_at_each_of_its_calls_and_the_reconciler_finishes(make: Callable[[], Automated]) -> None:
    moment, died = 0, True
    while died:
        world = make()
        watch = Watch(world)
        watch.at = moment

        def die() -> None:
            raise Crash

        watch.trouble = die
        died = False
        try:
            world.invoke(world.event())
        except Crash:
            died = True
        watch.at = -1
        answers = world.minutes(3)
        watch.check()
        record = world.record()
        assert (record.active, record.state, record.epoch) == ("hub-b", "steady", 8), (watch.what, answers)
        assert [node for _t, node, what in world.events if what == "start"] == ["hub-b"], watch.what
        moment += 1
    assert moment > 40


def test_an_alarm_that_is_already_in_alarm_is_found_by_the_tick() -> None:
    world = killed()
    answer = world.minutes(1)[0]
    assert (answer["action"], answer["outcome"]) == ("failover", "moved")


def test_fencing_that_fails_for_twenty_minutes_and_then_works() -> None:
    world = silent()
    world.stop_error = "ServiceUnavailable"
    first = world.invoke(world.event())
    assert first["outcome"] == "unfinished"
    began = world.clock.now
    while world.clock.now - began < 1200:
        answer = world.minutes(1)[0]
        assert (answer["action"], answer["outcome"]) == ("resume", "unfinished")
    assert world.record().active is None
    world.stop_error = ""
    world.minutes(2)
    assert (world.record().active, world.record().state) == ("hub-b", "steady")
    assert world.overlaps == 0
    assert world.kinds() == ["began", "unfinished", "ended"]


def test_a_time_limit_is_kept_by_handing_over() -> None:
    world = killed(
        timeouts={"stop": 60, "start": 60, "confirm": 10, "verify": 20},
        fencing={"method": "ec2_stop", "timeout": 60},
    )
    world.nodes["hub-a"].product = "hung"
    world.nodes["hub-a"].stop_seconds = 50.0
    world.nodes["hub-b"].start_seconds = 50.0
    world.limit = 150.0
    began = world.clock.now
    answer = world.invoke(world.event())
    assert answer["outcome"] == "unfinished" and "handed over before" in answer["message"]
    assert world.clock.now - began < world.limit
    for _minute in range(5):
        began = world.clock.now
        world.tick()
        assert world.clock.now - began < world.limit
    assert (world.record().active, world.record().state) == ("hub-b", "steady")
    assert [node for _t, node, what in world.events if what == "start"] == ["hub-b"]


def test_a_limit_that_no_step_fits_is_told_and_changes_nothing() -> None:
    world = killed()
    world.limit = 60.0
    answer = world.invoke(world.event())
    assert answer["outcome"] == "refused" and world.record().active == "hub-a"
    assert "trouble" in world.kinds() and any("time limit" in m["Subject"] for _k, m in world.messages)


def test_paused_nothing_moves_and_it_says_so_then_it_is_due() -> None:
    world = killed()
    set_pause(world.ports().store, True, "akira", "storage work")
    world.minutes(1)
    answer = world.invoke(world.event())
    assert answer["outcome"] == "refused" and "storage work" in answer["message"]
    assert commands(world, "stop") == 0 and world.record().active == "hub-a"
    looked = world.minutes(2)[-1]
    assert (looked["action"], looked["reason"]) == ("none", "paused")
    assert "refused" in world.kinds() and any("storage work" in m["Message"] for _k, m in world.messages)
    set_pause(world.ports().store, False, "akira", "")
    assert world.minutes(1)[0]["outcome"] == "moved"


def test_a_pause_that_lasts_is_told_each_hour() -> None:
    world = well()
    set_pause(world.ports().store, True, "akira", "storage work")
    world.minutes(230)
    assert "paused" not in world.kinds()
    world.minutes(80)
    assert world.kinds().count("paused") == 2


def test_a_move_under_way_is_finished_in_spite_of_a_pause() -> None:
    world = killed()
    watch = Watch(world)

    def die(_service: str, operation: str, done: bool) -> None:
        if operation == "SendCommand" and done and world.record().state == "moving":
            watch.always = lambda _s, _o, _d: None
            raise Crash

    watch.always = die
    with pytest.raises(Crash):
        world.invoke(world.event())
    item = world.dynamo.items[("hub-prod", "record")]
    item["paused"] = {"M": {"by": {"S": "akira"}, "reason": {"S": "storage work"}}}
    assert world.minutes(1)[0]["action"] == "resume"
    assert world.record().active == "hub-b"


def test_an_address_on_the_wrong_node_is_fetched() -> None:
    world = well()
    world.address = world.nodes["hub-b"].instance_id
    answer = world.minutes(1)[0]
    assert (answer["action"], answer["outcome"]) == ("pay", "moved")
    assert world.address == world.nodes["hub-a"].instance_id and commands(world, "stop") == 0


def test_a_pending_address_is_paid_when_the_api_works_again() -> None:
    world = killed()
    world.address_error = "ServiceUnavailable"
    assert world.invoke(world.event())["outcome"] == "degraded"
    world.address_error = ""
    world.alarm("OK")
    assert world.minutes(1)[0]["outcome"] == "moved"
    assert world.record().pending == () and world.address == world.nodes["hub-b"].instance_id


def test_two_running_products_are_told_at_once() -> None:
    world = well()
    world.clock.sleep(30)
    world.product(world.nodes["hub-b"], "running")
    world.minutes(1)
    assert world.kinds() == ["trouble"] and "runs on hub-b" in world.messages[0][1]["Subject"]


def test_an_unwatched_pair_is_told() -> None:
    world = well()
    world.cloudwatch.alarms = []
    world.cloudwatch.points = []
    world.minutes(1)
    assert any("nobody watches" in m["Subject"] for _kind, m in world.messages)


@pytest.mark.parametrize(
    "services", [["dynamodb"], ["ssm"], ["cloudwatch"], ["ec2"], ["dynamodb", "ssm", "cloudwatch", "ec2"]]
)
def test_a_service_that_is_down_moves_nothing_and_people_hear_when_it_lasts(services: list[str]) -> None:
    world = well()
    world.network.down = set(services)
    before = world.record()
    world.minutes(1)
    assert world.messages == []
    world.minutes(4)
    assert world.kinds() and set(world.kinds()) == {"trouble"}
    assert len(world.messages) <= 4
    assert world.record() == before and world.events == []
    sent = len(world.messages)
    world.minutes(10)
    assert len(world.messages) == sent


def test_a_standby_that_cannot_take_over_is_told_before_it_is_needed() -> None:
    world = well()
    world.nodes["hub-b"].die()
    world.minutes(5)
    subjects = [m["Subject"] for _kind, m in world.messages]
    assert any("hub-b is off" in text for text in subjects) and any("agent" in text for text in subjects)


@pytest.mark.parametrize(
    ("what", "subject", "text"),
    [
        ("standby-hub-b", "hub-b could not take over", "What is missing there: "),
        ("check-hub-a", "the health check on hub-a is broken", "it tells neither well nor down"),
        ("check-hub-b", "the health check on hub-b is broken", "it could not take over"),
    ],
)
def test_what_the_nodes_own_checks_say_is_told_and_moves_nothing(what: str, subject: str, text: str) -> None:
    world = well()
    world.cloudwatch.warnings = [{"AlarmName": f"hotstandby-hub-prod-{what}", "StateValue": "ALARM"}]
    world.minutes(3)
    assert [m["Subject"] for _kind, m in world.messages] == [f"[trouble] hub-prod: {subject}"]
    assert text in world.messages[0][1]["Message"]
    assert world.events == [] and world.record().epoch == 7
    world.cloudwatch.warnings[0]["StateValue"] = "OK"
    world.minutes(1)
    world.cloudwatch.warnings[0]["StateValue"] = "ALARM"
    world.minutes(1)
    assert len(world.messages) == 2


def test_the_actives_own_readiness_as_a_standby_is_nobodys_matter() -> None:
    world = well()
    world.cloudwatch.warnings = [{"AlarmName": "hotstandby-hub-prod-standby-hub-a", "StateValue": "ALARM"}]
    world.minutes(2)
    assert world.messages == []


def order(world: Automated, *wanted: str) -> list[str]:
    """The first of each of these calls, in the order in which they were made; SendCommand with its action."""
    found: list[str] = []
    for service, operation, arguments in world.network.calls:
        action = f":{arguments['Parameters']['Action'][0]}" if operation == "SendCommand" else ""
        name = f"{service}:{operation}{action}"
        if name in wanted and name not in found:
            found.append(name)
    return found


def test_telling_delays_neither_a_quick_stop_nor_the_start() -> None:
    world = killed()
    world.nodes["hub-b"].start_seconds = 1.0
    world.invoke(world.event())
    steps = ("ssm:SendCommand:stop", "ssm:SendCommand:start", "sns:Publish", "ssm:SendCommand:status")
    assert order(world, *steps) == list(steps)


def test_telling_delays_no_fence_and_does_not_wait_for_it() -> None:
    world = silent()
    world.stop_takes = 30.0
    world.invoke(world.event())
    steps = ("ec2:StopInstances", "sns:Publish", "ssm:SendCommand:start")
    assert order(world, *steps) == list(steps)


def test_a_service_that_a_person_had_stopped_is_left_alone_when_its_node_is_switched_off() -> None:
    """Somebody works on it: the heartbeat carries that; the node itself can say nothing any more."""
    world = well()
    world.product(world.nodes["hub-a"], "stopped")
    world.nodes["hub-a"].held = {"by": "akira", "reason": "new disk", "time": 1.0}
    world.check()
    world.nodes["hub-a"].die()
    world.alarm("ALARM")
    world.events.clear()
    answer = world.invoke(world.event())
    assert answer["outcome"] == "not_confirmed" and "a person had stopped" in answer["message"]
    world.minutes(3)
    assert world.events == [] and world.record().active == "hub-a" and "refused" in world.kinds()


@pytest.mark.parametrize("profile", ["minute", "fast"])
@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("state", ["OK", "ALARM"])
def test_both_nodes_lose_their_heartbeats_at_once(profile: str, deaf: bool, state: str) -> None:
    """What both lose is not the active's failure; even when neither answers, nothing could be started anyway."""
    world = well(profile=profile)
    world.clock.sleep(600)
    for node in world.nodes.values():
        node.frozen = deaf
    world.alarm(state)
    own = {
        "action": "watch",
        "pair": "hub-prod",
        "id": "1",
        "node": "hub-b",
        "time": world.wall(),
        "evidence": "silence",
    }
    for event in ({"hotstandby": own}, world.event()):
        world.invoke(event)
        for _minute in range(3):
            world.clock.sleep(60)
            world.alarm(state)
            world.tick()
    record = world.record()
    assert (record.active, record.epoch, record.state) == ("hub-a", 7, "steady") and world.events == []
    assert commands(world, "stop") == 0 and "ec2:StopInstances" not in world.network.names()
    assert world.messages, "people hear that nobody is heard"


def test_a_call_of_the_watch_costs_few_calls_before_the_nodes_are_asked() -> None:
    """Each is a round trip of the time that nobody serves."""
    world = killed(profile="fast")
    own = {
        "action": "watch",
        "pair": "hub-prod",
        "id": "1",
        "node": "hub-a",
        "time": world.wall(),
        "evidence": "it died",
    }
    world.network.calls.clear()
    world.invoke({"hotstandby": own})
    names = world.network.names()
    assert names[:2] == ["dynamodb:GetItem", "ssm:SendCommand"], "the record, then the nodes"
    # while they answer: the heartbeat, the replicas, the lease
    meanwhile = names[2 : names.index("ssm:ListCommandInvocations")]
    assert meanwhile == ["dynamodb:GetItem", "dynamodb:DescribeTable", "dynamodb:UpdateItem"], names
    world.alarm("OK")
    again = world.invoke({"hotstandby": own})
    assert again["action"] == "none" and commands(world, "start") == 1


def test_an_alarm_beside_a_healthy_answer_moves_nothing() -> None:
    world = well()
    world.alarm("ALARM")
    assert world.invoke(world.event())["outcome"] == "not_confirmed"
    assert world.messages == []
    world.minutes(4)
    assert world.kinds() == ["refused"] and world.record().active == "hub-a"
    history = [key for key in world.dynamo.items if key[1].startswith("move#")]
    assert len(history) == 1, "each minute's look leaves no history"


def test_the_new_actives_own_failure_moves_the_pair_again_after_the_cooldown() -> None:
    world = killed(cooldown=600)
    world.invoke(world.event())
    world.alarm("OK")
    world.minutes(1)
    world.product(world.nodes["hub-b"], "stopped")
    world.alarm("ALARM")
    answer = world.invoke(world.event())
    assert answer["outcome"] == "refused" and "cooling down" in answer["message"]
    outcomes = [answer.get("outcome") for answer in world.minutes(11)]
    assert outcomes[-1] == "moved" or "moved" in outcomes
    assert world.record().active == "hub-a" and world.overlaps == 0


def test_a_broken_pair_is_left_alone_and_told_each_hour() -> None:
    world = silent()
    world.stop_error = "OperationNotPermitted"
    assert world.invoke(world.event())["outcome"] == "broken"
    world.minutes(30)
    assert world.kinds().count("broken") == 1 and world.record().state == "broken"
    world.minutes(35)
    assert world.kinds().count("broken") == 2


def test_a_marked_test_event_does_nothing_and_says_what_it_would() -> None:
    world = killed()
    before = dict(world.dynamo.items)
    answer = world.invoke({"hotstandby": {"action": "test", "pair": "hub-prod"}})
    assert (answer["outcome"], answer["would"]) == ("test", "failover")
    assert world.dynamo.items == before and world.messages == []


def test_the_watch_begins_a_failover_which_asks_as_always() -> None:
    world = killed()
    told = {
        "action": "watch",
        "pair": "hub-prod",
        "node": "hub-b",
        "id": "1",
        "time": world.wall(),
        "evidence": "3 s",
    }
    assert world.invoke({"hotstandby": {**told, "pair": "other"}})["outcome"] == "ignored"
    assert world.invoke({"hotstandby": told})["outcome"] == "moved"
    assert well().invoke({"hotstandby": told})["outcome"] == "not_confirmed"


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "x",
        {},
        {"source": "aws.s3"},
        {"hotstandby": 7},
        {"source": "aws.cloudwatch"},
        {"source": "aws.cloudwatch", "detail": {"alarmName": "another"}},
    ],
)
def test_what_means_nothing_here_is_ignored(event: Any) -> None:
    world = killed()
    answer = world.invoke(event)
    assert answer["outcome"] == "ignored" and world.network.calls == []
