# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole moves, word for word: what is told of each step, what the nodes are sent, and every write of the record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.aws import START
from tests.simulation.world import World
from tests.unit.core.move_log import AGAIN, STATUS, TO_A, WELL, Seen, dead, order, told

TO_B = "elastic_ip eipalloc-0123456789abcdef0: points to i-0bbbbbbbbbbbbbbbb"
LOOK = ("look", "ab", False, "", "normal", "20", "hub-a")
ASK = ("status", "ab", False, "", "normal", "20", "")


def begun(kind: str, confirmed: str) -> list[tuple[str, str, str]]:
    return [("acquire", "ok", f"{kind} from hub-a to hub-b, epoch 7"),
            ("confirm", "ok", confirmed),
            ("eligible", "ok", "hub-b answers, is stopped and ready"),
            ("withdraw", "ok", "nobody is named")]  # fmt: skip


DOWN = "hub-a answers that the service is stopped"
SILENT = "assume_down was given by keiko (hub-a: no answer in time (SSM: Pending))"
STOPPED_A = ("stop", "ok", "hub-a: status 240, no process left")
NAMED_B = ("promote", "ok", "hub-b is named with epoch 8")
STARTED = ("start", "ok", "running, started")
NOT_STARTED = ("start", "failed", "stopped, the product did not start")
TAKEN = [("steady", "hub-a", 7, "confirm", True), ("moving", None, 7, "stop", True)]
B_RUNS = [
    STARTED,
    ("verify", "ok", "hub-b runs, hub-a is stopped"),
    ("redirect", "ok", TO_B),
    ("settle", "ok", ""),
]


@pytest.mark.parametrize(("mode", "confirmed"), [("failover", DOWN), ("switchover", WELL)])
def test_a_smooth_move(mode: str, confirmed: str) -> None:
    world = World().steady()
    if mode == "failover":
        dead(world)
    seen = Seen(world)
    result = world.run(mode=mode)
    assert told(result) == [*begun(mode, confirmed), STOPPED_A, NAMED_B, *B_RUNS]
    assert (result.outcome, result.failed, result.changed, result.next) == ("moved", False, True, "")
    assert result.message == "hub-b is active with epoch 8, down for 0.3 s"
    assert seen.sent == [LOOK, order("stop", "a", 7, 120), order("start", "b", 8, 180), ASK]
    assert seen.writes == [*TAKEN, ("moving", "hub-b", 8, "start", True), ("steady", "hub-b", 8, "", False)]
    assert seen.logs == [0, 3, 5, 0], "what was done so far stands in the record for whoever resumes"
    times = world.record().times
    assert times == {"active_since": START, "moved": START, "move": result.move or times["move"], "why": "",
                     **({"failover": START} if mode == "failover" else {})}  # fmt: skip
    assert times["move"] and [point["Dimensions"][1]["Value"] for point in world.cloudwatch.put] == ["moved"]
    history = world.ports().store.history(1)[0]
    assert (history["outcome"], history["active"], history["epoch"]) == ("moved", "hub-b", 8)


def test_a_move_without_an_address_has_no_step_for_it() -> None:
    world = dead(World(redirect=[]).steady())
    result = world.run()
    assert result.outcome == "moved" and [step["name"] for step in result.steps[-2:]] == ["verify", "settle"]


def test_a_requeue_is_not_forgotten_silently() -> None:
    world = dead(World(requeue={"bucket": "requests"}).steady())
    result = world.run()
    assert result.outcome == "moved"
    handover = next(step for step in told(result) if step[0] == "handover")
    assert handover[1:3] == ("ok", "0 went back to waiting")
    assert not [step for step in dead(World().steady()).run().steps if step["name"] == "handover"]


# -- roll back


def test_a_stop_that_is_too_slow_gives_the_service_back() -> None:
    world = World().steady()
    world.nodes["hub-a"].stop_seconds = 1000
    seen = Seen(world)
    result = world.run(mode="switchover")
    why = "hub-a did not prove its stop: running, it still stops"
    assert told(result) == [
        *begun("switchover", WELL),
        ("stop", "doubt", "hub-a: running, it still stops"),
        ("promote", "rollback", f"{why}; hub-a is named again with epoch 8"),
        STARTED, ("verify", "ok", "hub-a runs, hub-b is stopped"), ("redirect", "ok", TO_A), ("settle", "ok", ""),
    ]  # fmt: skip
    assert (result.outcome, result.failed, result.next) == ("rolled_back", True, STATUS)
    assert result.code == "rolled_back"
    assert result.message == f"{why}. Rolled back: hub-a is active with epoch 8"
    assert seen.sent == [LOOK, order("stop", "a", 7, 120), order("start", "a", 8, 180), ASK]
    assert seen.writes == [*TAKEN, ("moving", "hub-a", 8, "start<", True), ("steady", "hub-a", 8, "", False)]
    assert seen.logs[-2:] == [5, 0]
    assert "failover" not in world.record().times


def test_a_start_that_fails_turns_the_move_round() -> None:
    world = World().steady()
    world.nodes["hub-b"].start_fails = True
    seen = Seen(world)
    result = world.run(mode="switchover")
    why = "hub-b did not start: stopped, the product did not start"
    assert told(result) == [
        *begun("switchover", WELL), STOPPED_A, NAMED_B, NOT_STARTED,
        ("withdraw", "rollback", f"{why}; nobody is named, hub-b is stopped again"),
        ("stop", "ok", "hub-b: status 240, no process left"), ("promote", "ok", "hub-a is named with epoch 9"),
        STARTED, ("verify", "ok", "hub-a runs, hub-b is stopped"), ("redirect", "ok", TO_A), ("settle", "ok", ""),
    ]  # fmt: skip
    assert (result.outcome, result.next) == ("rolled_back", STATUS)
    assert result.message == f"{why}. Rolled back: hub-a is active with epoch 9"
    assert seen.sent == [LOOK, order("stop", "a", 7, 120), order("start", "b", 8, 180), order("stop", "b", 8, 120),
                         order("start", "a", 9, 180), ASK]  # fmt: skip
    assert seen.writes == [*TAKEN, ("moving", "hub-b", 8, "start", True), ("moving", None, 8, "stop<", True),
                           ("moving", "hub-a", 9, "start<", True), ("steady", "hub-a", 9, "", False)]  # fmt: skip
    assert seen.logs == [0, 3, 5, 7, 9, 0]
    assert result.downtime_seconds == pytest.approx(0.64, abs=0.02), "from the first stop to the end"


def test_a_roll_back_that_fails_too_is_broken() -> None:
    world = World().steady()
    for node in world.nodes.values():
        node.start_fails = True
    seen = Seen(world)
    result = world.run(mode="switchover")
    why = "hub-a did not start: stopped, the product did not start"
    assert (result.outcome, result.failed, result.next) == ("broken", True, f"{AGAIN}hub-a")
    assert result.message.startswith(f"{why}. Nobody is named, nothing is started. ")
    assert seen.writes[-1] == ("broken", None, 9, "", False) and world.record().times["why"] == why
    assert told(result)[-1] == NOT_STARTED
    again = world.run()
    assert again.message.startswith(f"{why}. Nobody is named") and again.outcome == "broken"


# -- after a fence


FENCED = ("fence", "ok", "hub-a is off (EC2 DescribeInstances i-0aaaaaaaaaaaaaaaa: stopped)")
DOUBT = ("stop", "doubt", "hub-a: it gave no answer before, and is not waited for")


def silent(**node_b: Any) -> tuple[World, Seen]:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    for name, value in node_b.items():
        setattr(world.nodes["hub-b"], name, value)
    return world, Seen(world)


def test_a_silent_active_is_fenced_and_not_asked_again() -> None:
    world, seen = silent()
    result = world.run(assume_down=True)
    assert told(result) == [*begun("failover", SILENT), DOUBT, FENCED, NAMED_B, STARTED, ("verify", "ok", "hub-b runs"),
                            ("redirect", "ok", TO_B), ("settle", "ok", "")]  # fmt: skip
    assert seen.sent == [LOOK, order("stop", "a", 7, 120), order("start", "b", 8, 180),
                         ("status", "b", False, "", "normal", "20", "")]  # fmt: skip
    assert seen.writes == [*TAKEN, ("moving", None, 7, "fence", True), ("moving", "hub-b", 8, "start!", True),
                           ("steady", "hub-b", 8, "", False)]  # fmt: skip


def test_after_a_fence_a_start_that_fails_is_sent_three_times() -> None:
    world, seen = silent(start_fails=True)
    result = world.run(assume_down=True)
    why = "hub-b did not start: stopped, the product did not start"
    assert told(result)[4:] == [DOUBT, FENCED, NAMED_B, *[NOT_STARTED] * 3]
    assert seen.sent[2:] == [order("start", "b", 8, 180)] * 3
    assert (result.outcome, result.next, world.record().times["why"]) == ("broken", f"{AGAIN}hub-b", why)
    assert seen.logs[-3:] == [8, 9, 0]


def test_after_a_fence_a_start_without_an_answer_is_unfinished() -> None:
    world, seen = silent(delays={"start": 1e6, "status": 1e6})
    result = world.run(assume_down=True)
    text = "hub-b did not start: no answer in time (SSM: Pending). Run this again"
    assert (result.outcome, result.message, result.next) == ("unfinished", text, f"{AGAIN}hub-b")
    assert result.code == "start_no_answer"
    assert told(result)[-1] == ("start", "failed", "no answer in time (SSM: Pending)")
    assert 183 + 23 <= result.steps[-1]["seconds"] < 183 + 23 + 3, "the start's own time, then one question"
    assert seen.sent[-1] == ("status", "b", False, "", "normal", "20", "")
    assert seen.writes[-1] == ("moving", "hub-b", 8, "start!", False)


def test_a_start_whose_answer_is_lost_is_found_running() -> None:
    world, seen = silent(start_seconds=1e6)
    result = world.run(assume_down=True)
    assert result.outcome == "moved" and result.message.startswith("hub-b is active with epoch 8, down for ")
    start = next(step for step in told(result) if step[0] == "start")
    assert start[1] == "ok" and start[2].startswith("running, ")
    assert [sent[0] for sent in seen.sent] == ["look", "stop", "start", "status", "status"]


def test_a_start_at_which_three_runs_died_is_told_as_that() -> None:
    world, _seen = silent(delays={"start": 1e6, "status": 1e6})
    results = [world.run(assume_down=True) for _attempt in range(5)]
    assert [result.outcome for result in results] == ["unfinished"] * 4 + ["broken"]
    assert world.record().times["why"] == "hub-b did not start: three runs died at this step"


def test_verify_waits_a_little_longer_than_a_node_may_take() -> None:
    world = dead(World().steady())
    world.nodes["hub-b"].delays["status"] = 20.5
    result = world.run()
    assert result.outcome == "moved" and result.downtime_seconds is not None
    assert 20.5 < result.downtime_seconds < 23


# -- resumed


def test_what_was_left_is_taken_up_and_says_so() -> None:
    world, _seen = silent()
    world.stop_error = "ServiceUnavailable"
    left = world.run(assume_down=True)
    assert (left.outcome, left.next, left.failed) == ("unfinished", f"{AGAIN}hub-b", True)
    assert left.message.endswith(". Nothing was started. Run this again")
    taken_up = (
        "acquire",
        "resumed",
        "failover from hub-a to hub-b, begun by keiko, at step fence; taken up 1 time(s)",
    )
    plan = world.run(check=True)
    assert told(plan)[6:] == [taken_up, *[(name, "planned", "") for name in
                              ("fence", "promote", "start", "verify", "redirect", "settle")]]  # fmt: skip
    assert (plan.outcome, plan.message) == ("moved", "the unfinished failover would go on")
    world.stop_error = ""
    seen = Seen(world)
    world.network.calls.clear()
    result = world.run(by="akira")
    assert told(result)[6:9] == [taken_up, FENCED, NAMED_B]
    assert (result.outcome, result.previous, result.changed) == ("moved", "hub-a", True)
    assert seen.sent[0] == order("start", "b", 8, 180)
    assert seen.logs[:2] == [6, 8], "the steps of earlier runs are kept"


# -- an API that fails


def test_an_api_that_fails_before_the_withdrawal_changes_nothing() -> None:
    world = dead(World().steady())
    world.network.down.add("ssm")
    result = world.run()
    assert (result.outcome, result.changed, result.next) == ("refused", False, STATUS)
    assert result.code == "ssm_failed"
    assert result.message.startswith("SSM SendCommand: ") and result.message.endswith(". Nothing was changed")
    assert told(result)[1][:2] == ("confirm", "failed") and world.record().lease is None


def test_an_api_that_fails_after_an_address_was_moved_does_not_say_that_nothing_changed() -> None:
    world = World().steady()
    world.address = None
    writes: list[str] = []

    def hook(_service: str, operation: str, done: bool) -> None:
        if operation == "UpdateItem" and not done:
            writes.append(operation)
            if len(writes) > 1:
                world.network.down.add("dynamodb")

    world.network.hook = hook
    result = world.run(to="hub-a")
    assert (result.outcome, result.changed, result.next) == ("refused", True, STATUS)
    assert "Nothing was changed" not in result.message and world.address == "i-0aaaaaaaaaaaaaaaa"


def test_an_api_that_fails_after_the_withdrawal_is_unfinished() -> None:
    world = dead(World().steady())

    def hook(_service: str, operation: str, done: bool) -> None:
        if done and operation == "UpdateItem" and world.record().state == "moving":
            world.network.down.add("ssm")

    world.network.hook = hook
    result = world.run()
    assert (result.outcome, result.next, result.code) == ("unfinished", f"{AGAIN}hub-b", "ssm_failed")
    assert result.message.startswith("SSM SendCommand: ") and result.message.endswith(". Run this again")
    move = world.record().move
    assert move is not None and (move.step, move.resumes) == ("stop", 0)
    world.network.hook = lambda _service, _operation, _done: None
    world.network.down.clear()
    plan = world.run(check=True)
    assert [step["name"] for step in plan.steps if step["outcome"] == "planned"] == [
        "stop", "promote", "start", "verify", "redirect", "settle"]  # fmt: skip
