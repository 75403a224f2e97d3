# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long fencing waits, for what, and what it says: with a clock that only the fence moves."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import fencing
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import NO, YES, Evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import (
    CommandFence,
    Ec2Fence,
    Fenced,
    NoFence,
    agent_argv,
    fence_for,
    filled,
    instance_state,
    obstacle,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import Node, parse_pair

from tests.simulation.aws import Clock, client_error
from tests.simulation.world import PAIR

NODE = Node("hub-a", "i-0aaaaaaaaaaaaaaaa")


class Hold:
    """A lease that notes each wait."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.readied = 0
        self.pauses: list[float] = []

    def ready(self) -> None:
        self.readied += 1

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.sleep(seconds)

    @property
    def waits(self) -> list[float]:
        """The pauses that let time pass."""
        return [round(seconds, 6) for seconds in self.pauses if seconds]


class Agent:
    """A fence command that answers by action, and calls `keep` once as a slow one would."""

    def __init__(self, **answers: tuple[int | None, str]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, float]] = []

    def __call__(
        self, argv: Sequence[str], timeout: float, keep: Callable[[], None]
    ) -> tuple[int | None, str]:
        keep()
        self.calls.append((" ".join(argv), round(timeout, 6)))
        return self.answers[argv[-1].partition("=")[2]]


def off(agent: Agent, timeout: float, late: Callable[[], str | None] = lambda: None) -> tuple[Fenced, Hold]:
    clock = Clock()
    clock.sleep(1000)
    hold = Hold(clock)
    return CommandFence(["/sbin/fence"], timeout, agent).off(NODE, hold, clock, late), hold


# -- a command


@pytest.mark.parametrize(("timeout", "bound"), [(5, 5), (29, 29), (30, 30), (300, 30)])
def test_the_question_whether_it_could_work_is_asked_as_status_and_bounded(
    timeout: float, bound: float
) -> None:
    agent = Agent(status=(0, ""))
    found = CommandFence(["/sbin/fence", "-x"], timeout, agent).can_work(NODE)
    assert agent.calls == [("/sbin/fence -x --action=status", bound)]
    assert found == Evidence(YES, "/sbin/fence status", "on")


def test_a_command_that_could_not_work_is_named() -> None:
    for rc, answer in ((127, NO), (1, "unknown"), (None, "unknown")):
        found = CommandFence(["/sbin/fence"], 5, Agent(status=(rc, "no way"))).can_work(NODE)
        assert found == Evidence(answer, "/sbin/fence status", "no way")
    found = CommandFence(["/sbin/fence"], 5, Agent(status=(2, "off"))).can_work(NODE)
    wrong = "ended with 2 (off) for hub-a, which is on: wrong plug or wrong arguments"
    assert found == Evidence(NO, "/sbin/fence status", wrong)


def test_each_call_of_a_command_gets_what_is_left_and_never_less_than_a_second() -> None:
    agent = Agent(off=(0, ""), status=(0, ""))
    _found, hold = off(agent, 2)
    assert hold.waits == [0.2, 0.3, 0.45, 0.675, 1.0125]
    left = [2.0, 1.8, 1.5, 1.05, 1.0, 1.0]
    assert agent.calls == [
        (f"/sbin/fence --action={action}", seconds) for seconds in left for action in ("off", "status")
    ]
    assert hold.pauses.count(0) == 12, "the lease is kept within each call"
    assert hold.readied == 6


def test_the_wait_between_two_tries_grows_to_five_seconds_and_no_further() -> None:
    _found, hold = off(Agent(off=(0, ""), status=(0, "")), 60)
    assert hold.waits[-3:] == [5.0, 5.0, 5.0] and max(hold.waits) == 5.0
    assert hold.waits == sorted(hold.waits)


def test_a_command_is_given_up_when_its_time_is_over_not_a_try_later() -> None:
    found, hold = off(Agent(off=(0, ""), status=(0, "")), 0.2)
    assert found.kind == "unfinished" and hold.waits == [0.2] and hold.readied == 2


@pytest.mark.parametrize(
    ("said", "told", "why"),
    [
        ("no power", "on", "/sbin/fence: no power"),
        ("", "plug is on", "/sbin/fence: plug is on"),
        ("", "", "/sbin/fence: the node is still on"),
        ("no power", "", "/sbin/fence: no power"),
    ],
)
def test_why_a_command_did_not_finish(said: str, told: str, why: str) -> None:
    found, _hold = off(Agent(off=(1, said), status=(0, told)), 0)
    assert found == Fenced("unfinished", why)


def test_two_counts_from_a_command_that_did_power_off_or_could_say_on() -> None:
    found, _hold = off(Agent(off=(0, ""), status=(2, "off")), 0)
    assert found == Fenced("proven", "/sbin/fence says that hub-a is off")
    assert off(Agent(off=(1, ""), status=(2, "off")), 0)[0].kind == "unfinished"
    assert off(Agent(off=(None, ""), status=(2, "off")), 0)[0].kind == "unfinished"


@pytest.mark.parametrize("action", ["on", "off", "status"])
def test_an_action_is_appended_unless_it_has_a_place_of_its_own(action: str) -> None:
    who = ["--plug={instance_id}", "{node}"]
    known = ["/sbin/fence", f"--plug={NODE.instance_id}", "hub-a"]
    assert agent_argv(["/sbin/fence", *who], NODE, action) == [*known, f"--action={action}"]
    assert agent_argv(["/sbin/fence", *who, "-o{action}"], NODE, action) == [*known, f"-o{action}"]


def test_an_argument_is_filled_wherever_it_stands_and_each_one() -> None:
    assert filled(["{a}", "x{b}y{a}", "{c}", "{a}{a}"], {"a": "1", "b": "2"}) == ["1", "x2y1", "{c}", "11"]


class Child:
    """A command that never ends: notes how long it was waited for."""

    pid, returncode, stdout, stderr = 4711, -9, None, None

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waited: list[float] = []

    def communicate(self, timeout: float) -> None:
        self.waited.append(round(timeout, 6))
        self.clock.sleep(timeout)
        raise subprocess.TimeoutExpired("x", timeout)

    def wait(self) -> int:
        return self.returncode


def test_a_command_is_waited_for_by_the_second_and_ended_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    child = Child(clock)
    killed: list[int] = []
    kept: list[float] = []
    monkeypatch.setattr(fencing.subprocess, "Popen", lambda *_arguments, **_options: child)
    monkeypatch.setattr(fencing.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(fencing.os, "killpg", lambda pid, _number: killed.append(pid))
    assert fencing.run_agent(["/sbin/fence"], 2.5, lambda: kept.append(clock.now)) == (
        None,
        "/sbin/fence did not end within 2 s",
    )
    assert child.waited == [1.0, 1.0, 0.5, 0.01] and kept == [1.0, 2.0, 2.5] and killed == [4711]


# -- EC2


class Ec2:
    """EC2 that always answers the same."""

    def __init__(self, clock: Clock, stop: Any, state: str) -> None:
        self.clock, self.stop, self.state = clock, stop, state
        self.stops = 0

    def stop_instances(self, **arguments: Any) -> Any:
        assert arguments == {"InstanceIds": [NODE.instance_id], "Force": True}
        self.stops += 1
        if isinstance(self.stop, Exception):
            raise self.stop
        return self.stop

    def describe_instances(self, **arguments: Any) -> Any:
        assert arguments == {"InstanceIds": [NODE.instance_id]}
        return {
            "Reservations": [{"Instances": [{"InstanceId": NODE.instance_id, "State": {"Name": self.state}}]}]
        }


def stopping(stop: Any, state: str, timeout: float) -> tuple[Fenced, Ec2, Hold]:
    clock = Clock()
    clock.sleep(1000)
    ec2, hold = Ec2(clock, stop, state), Hold(clock)
    return Ec2Fence(lambda: ec2, timeout).off(NODE, hold, clock, lambda: None), ec2, hold


STOPPING = {"StoppingInstances": [{"CurrentState": {"Name": "stopping"}}]}
BUSY = client_error("RequestLimitExceeded", "StopInstances", 503)


@pytest.mark.parametrize(("stop", "state", "least"), [(STOPPING, "stopping", 0.05), (BUSY, "running", 0.2)])
def test_the_wait_between_two_looks_is_a_twelfth_of_the_whole_up_to_a_second(
    stop: Any, state: str, least: float
) -> None:
    found, ec2, hold = stopping(stop, state, 30)
    assert found.kind == "unfinished"
    gone = 0.0
    for seconds in hold.waits:
        assert seconds == pytest.approx(min(max(least, gone / 12), 1.0), abs=1e-5)
        gone += seconds
    assert hold.waits[0] == least and hold.waits[-3:] == [1.0, 1.0, 1.0]
    assert len(hold.waits) < 70, "EC2 limits how often it may be asked"
    assert ec2.stops == (1 if stop is STOPPING else len(hold.waits) + 1)


@pytest.mark.parametrize(("stop", "state"), [(STOPPING, "stopping"), (BUSY, "running")])
def test_ec2_is_given_up_when_its_time_is_over_not_a_look_later(stop: Any, state: str) -> None:
    found, ec2, hold = stopping(stop, state, 0.14)
    assert found.kind == "unfinished" and hold.waits == ([0.05] * 3 if stop is STOPPING else [0.2])
    assert ec2.stops == (1 if stop is STOPPING else 2)


@pytest.mark.parametrize(
    "answer", [{}, {"StoppingInstances": []}, {"StoppingInstances": [{}]}, {"StoppingInstances": [{"CurrentState": {}}]}]
)  # fmt: skip
def test_a_stop_whose_answer_names_no_state_counts_as_stopping(answer: Any) -> None:
    found, ec2, _hold = stopping(answer, "stopped", 5)
    assert found.kind == "unfinished" and ec2.stops > 2, "a read alone is no proof; it is asked again"
    assert (
        found.why
        == f"EC2 does not say yet that hub-a is off (EC2 DescribeInstances {NODE.instance_id}: stopped)"
    )


@pytest.mark.parametrize("late", [None, "hub-a stopped by itself"])
def test_without_a_client_only_a_late_answer_proves_and_no_time_passes(late: str | None) -> None:
    def none() -> Any:
        raise RuntimeError("no credentials")

    clock = Clock()
    hold = Hold(clock)
    found = Ec2Fence(none, 60).off(NODE, hold, clock, lambda: late)
    assert found == (Fenced("proven", late) if late else Fenced("unfinished", "EC2: no credentials"))
    assert (hold.readied, hold.waits) == (0, [])


def test_what_was_never_answered_is_told_with_its_error() -> None:
    found, _ec2, _hold = stopping(BUSY, "stopped", 0)
    assert found.kind == "unfinished" and found.why.startswith("EC2 StopInstances: An error occurred")


def test_an_instance_that_was_just_starting_is_asked_to_stop_again() -> None:
    """StopInstances refuses a pending instance; once it runs, only another stop ends it."""
    clock = Clock()
    hold = Hold(clock)
    ec2 = Ec2(clock, client_error("IncorrectInstanceState", "StopInstances"), "pending")

    def stop_instances(**_arguments: Any) -> Any:
        ec2.stops += 1
        if ec2.stops == 1:
            ec2.state = "running"
            raise client_error("IncorrectInstanceState", "StopInstances")
        ec2.state = "stopped"
        return {"StoppingInstances": [{"CurrentState": {"Name": "stopped"}}]}

    ec2.stop_instances = stop_instances  # type: ignore[method-assign]
    found = Ec2Fence(lambda: ec2, 60).off(NODE, hold, clock, lambda: None)
    assert (found.kind, ec2.stops, hold.waits) == ("proven", 2, [0.2])


def test_a_stop_that_is_refused_otherwise_is_told_with_its_error() -> None:
    found, ec2, _hold = stopping(client_error("InvalidParameterValue", "StopInstances"), "running", 60)
    assert (found.kind, ec2.stops) == ("unfinished", 1) and found.why.startswith("EC2 StopInstances: ")
    assert "InvalidParameterValue" in found.why


def test_an_answer_that_is_not_as_expected_is_unknown_not_an_error() -> None:
    class Odd:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def describe_instances(self, **_arguments: Any) -> Any:
            return self.answer

    source = f"EC2 DescribeInstances {NODE.instance_id}"
    for answer in ({}, {"Reservations": [{}]}, {"Reservations": [{"Instances": [{}]}]}):
        found = instance_state(Odd(answer), NODE.instance_id)
        assert found == Evidence("unknown", source, "EC2 does not list this instance")
    found = instance_state(
        Odd({"Reservations": [{"Instances": [{"InstanceId": NODE.instance_id}]}]}), NODE.instance_id
    )
    assert found == Evidence("unknown", source, "")


def test_a_state_names_the_call_that_failed() -> None:
    class Failing:
        def __init__(self, code: str) -> None:
            self.code = code

        def describe_instances(self, **_arguments: Any) -> Any:
            raise client_error(self.code, "DescribeInstances")

    found = instance_state(Failing("UnauthorizedOperation"), NODE.instance_id)
    assert found.answer == "unknown" and found.source == f"EC2 DescribeInstances {NODE.instance_id}"
    assert found.detail.startswith("EC2 DescribeInstances: the right for this call is missing")
    found = instance_state(Failing("InvalidInstanceID.Malformed"), NODE.instance_id)
    assert found.source == f"EC2 DescribeInstances {NODE.instance_id}"
    assert found.detail == "EC2 does not list this instance", (
        "an id of a managed instance, mi-..., is malformed to EC2"
    )


# -- none


def test_no_fence_says_so() -> None:
    clock = Clock()
    assert NoFence().can_work(NODE) == Evidence(NO, "fencing.method none", "hub-a cannot be fenced")
    found = NoFence().off(NODE, Hold(clock), clock, lambda: None)
    assert found == Fenced("impossible", "fencing.method is none")


def test_the_pairs_fence_has_its_command_and_its_time() -> None:
    ec2 = Ec2(Clock(), STOPPING, "stopping")
    made = fence_for(parse_pair({**PAIR, "fencing": {"method": "ec2_stop", "timeout": 61}}), lambda: ec2)
    clock = Clock()
    hold = Hold(clock)
    assert made.off(NODE, hold, clock, lambda: None).kind == "unfinished"
    assert 61 <= clock.now < 64.1 and ec2.stops == 1
    raw = {"method": "command", "command": ["/nowhere/fence"], "timeout": 62}
    other = fence_for(parse_pair({**PAIR, "fencing": raw}), lambda: None)
    assert other.can_work(NODE).source == "/nowhere/fence status"


def test_an_obstacle_is_told_in_full() -> None:
    assert obstacle({"RootDeviceType": "instance-store"}) == (
        "its root device is instance-store, which cannot be stopped"
    )
    tags = [{"Key": "Name", "Value": "x"}, {"Key": "aws:autoscaling:groupName", "Value": "asg-1"}]
    assert obstacle({"Tags": tags}) == "Auto Scaling group 'asg-1' would start another instance"
    assert obstacle({"InstanceLifecycle": "spot"}) == "it is a Spot instance"
