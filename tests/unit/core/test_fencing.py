# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What EC2 must say, and in which order, before a node counts as off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import (
    CommandFence,
    Ec2Fence,
    Fenced,
    NoFence,
    fence_for,
    instance_state,
    obstacle,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import Node, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import RecordUnreadable
from botocore.exceptions import EndpointConnectionError

from tests.simulation.aws import Clock, client_error
from tests.simulation.world import PAIR

NODE = Node("hub-a", "i-0aaaaaaaaaaaaaaaa")
LOST = EndpointConnectionError(endpoint_url="https://ec2.example.invalid")
Said = Any  # a state, an exception, or a list of these by call; the last one stays


class Ec2:
    """EC2 that answers as told: `stop` and `describe` are called with the number of their call, from 0."""

    def __init__(self, clock: Clock, stop: Callable[[int], Said], describe: Callable[[int], Said]) -> None:
        self.clock, self.stop, self.describe = clock, stop, describe
        self.calls: list[str] = []
        self.attribute: Said = False
        self.instance: dict[str, Any] = {}
        self.dry: Said = client_error("DryRunOperation", "StopInstances", 412)

    def _told(self, name: str, script: Callable[[int], Said]) -> Said:
        said = script(self.calls.count(name))
        self.calls.append(name)
        self.clock.sleep(0.01)
        if isinstance(said, Exception):
            raise said
        return said

    def stop_instances(self, **arguments: Any) -> Any:
        assert arguments["InstanceIds"] == [NODE.instance_id] and arguments["Force"] is True
        if arguments.get("DryRun"):
            return self._told("dry", lambda _number: self.dry)
        return {"StoppingInstances": [{"CurrentState": {"Name": self._told("stop", self.stop)}}]}

    def describe_instances(self, **arguments: Any) -> Any:
        assert arguments["InstanceIds"] == [NODE.instance_id]
        state = self._told("describe", self.describe)
        if state is None:
            return {"Reservations": []}
        one = {"InstanceId": NODE.instance_id, "State": {"Name": state}, **self.instance}
        return {"Reservations": [{"Instances": [one]}]}

    def describe_instance_attribute(self, **arguments: Any) -> Any:
        assert arguments["Attribute"] == "disableApiStop"
        return {"DisableApiStop": {"Value": self._told("attribute", lambda _number: self.attribute)}}


class Hold:
    """A lease: counts what is asked of it, and may be lost."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.readied = 0
        self.trouble: Exception | None = None

    def ready(self) -> None:
        self.readied += 1
        if self.trouble:
            raise self.trouble

    def pause(self, seconds: float) -> None:
        assert seconds <= 5
        self.clock.sleep(seconds)


def told(*said: Said) -> Callable[[int], Said]:
    return lambda number: said[min(number, len(said) - 1)]


def off(
    stop: Callable[[int], Said],
    describe: Callable[[int], Said],
    late: Callable[[float], str | None] = lambda _now: None,
    timeout: float = 300,
) -> tuple[Fenced, Ec2, Clock, Hold]:
    clock = Clock()
    ec2, hold = Ec2(clock, stop, describe), Hold(clock)
    found = Ec2Fence(lambda: ec2, timeout).off(NODE, hold, clock, lambda: late(clock.now))
    assert hold.readied >= ec2.calls.count("stop"), (
        "the lease is seen to before each call that changes something"
    )
    return found, ec2, clock, hold


def test_a_running_instance_is_stopped_and_read_until_it_is_off() -> None:
    found, ec2, clock, _hold = off(
        told("stopping", "stopped"), told("running", "stopping", "stopping", "stopping", "stopped")
    )
    assert found.kind == "proven" and "hub-a is off" in found.why and "stopped" in found.why
    assert ec2.calls[0] == "stop" and ec2.calls[-1] == "describe", "the proof is a state read after the stop"
    assert ec2.calls.count("stop") == 2, "the last stop's own answer agrees with what was read"
    assert clock.now < 3


def test_an_instance_that_is_off_already_needs_one_stop_and_one_read() -> None:
    found, ec2, _clock, _hold = off(told("stopped"), told("stopped"))
    assert found.kind == "proven" and ec2.calls == ["stop", "describe"]


def test_a_state_read_alone_is_no_proof() -> None:
    """An old copy says stopped while the stop just sent says stopping: the instance was started in between."""
    found, ec2, clock, _hold = off(told("stopping"), told("stopped"), timeout=30)
    assert found.kind == "unfinished" and clock.now >= 30
    assert "stop" in ec2.calls[2:], "it is asked again"


def test_a_stop_whose_answer_says_stopped_while_the_state_says_running_is_no_proof() -> None:
    found, _ec2, clock, _hold = off(told("stopped"), told("running"), timeout=30)
    assert found.kind == "unfinished" and clock.now >= 30


def test_stopping_for_ever_is_unfinished() -> None:
    found, _ec2, clock, _hold = off(told("stopping"), told("stopping"), timeout=60)
    assert found.kind == "unfinished" and "stopping" in found.why
    assert 60 <= clock.now < 64


def test_a_terminated_instance_is_off() -> None:
    error = client_error("IncorrectInstanceState", "StopInstances")
    found, _ec2, _clock, _hold = off(told(error), told("shutting-down", "shutting-down", "terminated"))
    assert found.kind == "proven" and "terminated" in found.why


def test_an_instance_that_is_just_starting_is_not_off_though_an_old_read_says_stopped() -> None:
    """StopInstances refuses a pending instance with the code it has for a terminated one."""
    error = client_error("IncorrectInstanceState", "StopInstances")
    found, _ec2, clock, _hold = off(told(error), told("stopped"), timeout=20)
    assert found.kind == "unfinished" and clock.now >= 20


def test_an_instance_that_is_just_starting_is_asked_again_once_it_runs() -> None:
    error = client_error("IncorrectInstanceState", "StopInstances")
    found, ec2, _clock, _hold = off(
        told(error, error, "stopping", "stopped"), told("pending", "running", "stopping", "stopped")
    )
    assert found.kind == "proven"
    assert ec2.calls.count("stop") == 4


@pytest.mark.parametrize("error", [LOST, client_error("RequestLimitExceeded", "StopInstances", 503)])
def test_a_passing_error_is_sat_out(error: Exception) -> None:
    found, _ec2, _clock, hold = off(
        told(error, error, error, "stopping", "stopped"), told("stopping", "stopped")
    )
    assert found.kind == "proven" and hold.readied == 5
    found, ec2, clock, _hold = off(told(error), told("running"), timeout=20)
    assert found.kind == "unfinished" and "StopInstances" in found.why and 20 <= clock.now < 24
    assert "describe" not in ec2.calls, "a stop that was never answered proves nothing, whatever is read"


def test_a_read_that_fails_is_unknown_and_read_again() -> None:
    found, _ec2, _clock, _hold = off(told("stopping", "stopped"), told(LOST, LOST, "stopping", "stopped"))
    assert found.kind == "proven"
    found, _ec2, clock, _hold = off(told("stopped"), told(LOST), timeout=20)
    assert found.kind == "unfinished" and clock.now >= 20
    found, _ec2, _clock, _hold = off(told("stopped"), told(None), timeout=20)
    assert found.kind == "unfinished" and "does not list" in found.why


@pytest.mark.parametrize(
    "code",
    ["UnauthorizedOperation", "OperationNotPermitted", "InvalidInstanceID.NotFound", "UnsupportedOperation",
     "InvalidInstanceID.Malformed"],
)  # fmt: skip
def test_what_will_never_work_is_impossible_at_once(code: str) -> None:
    found, ec2, clock, _hold = off(told(client_error(code, "StopInstances")), told("stopped"))
    assert found.kind == "impossible" and code in found.why
    assert ec2.calls == ["stop"] and clock.now < 1


def test_any_other_refusal_is_unfinished_never_proof() -> None:
    found, _ec2, clock, _hold = off(
        told(client_error("InvalidParameterValue", "StopInstances")), told("stopped")
    )
    assert found.kind == "unfinished" and clock.now < 1


@pytest.mark.parametrize(
    "stop", [told("stopping"), told(LOST), told(client_error("UnauthorizedOperation", "StopInstances"))]
)
def test_a_late_answer_of_the_node_is_a_proof_too(stop: Callable[[int], Said]) -> None:
    found, _ec2, _clock, _hold = off(stop, told("stopping"), late=lambda _now: "hub-a answered late")
    assert found == Fenced("proven", "hub-a answered late")


def test_a_late_answer_is_looked_for_again_and_again() -> None:
    found, _ec2, clock, _hold = off(
        told("stopping"), told("stopping"), late=lambda now: "late" if now > 40 else None
    )
    assert found == Fenced("proven", "late") and 40 < clock.now < 45


def test_a_lost_lease_sends_no_stop() -> None:
    clock = Clock()
    ec2, hold = Ec2(clock, told("stopped"), told("stopped")), Hold(clock)
    hold.trouble = RecordUnreadable("too slow")
    with pytest.raises(RecordUnreadable):
        Ec2Fence(lambda: ec2, 60).off(NODE, hold, clock, lambda: None)
    assert ec2.calls == []


# -- one look at the state


@pytest.mark.parametrize(
    ("said", "answer"),
    [("stopped", "yes"), ("terminated", "yes"), ("stopping", "no"), ("shutting-down", "no"), ("running", "no"),
     ("pending", "no"), ("", "unknown"), (None, "unknown"), (LOST, "unknown")],
)  # fmt: skip
def test_what_one_state_says(said: Said, answer: str) -> None:
    clock = Clock()
    assert instance_state(Ec2(clock, told("x"), told(said)), NODE.instance_id).answer == answer


def test_an_instance_that_is_gone_is_told_as_not_listed() -> None:
    """EC2 raises for an id that it forgot; both are one and the same to whoever replaces a node."""
    for gone in (None, client_error("InvalidInstanceID.NotFound", "DescribeInstances")):
        found = instance_state(Ec2(Clock(), told("x"), told(gone)), NODE.instance_id)
        assert (found.answer, found.detail) == ("unknown", "EC2 does not list this instance")


def test_the_state_of_another_instance_does_not_count() -> None:
    ec2 = Ec2(Clock(), told("x"), told("stopped"))
    ec2.instance = {"InstanceId": "i-0cccccccccccccccc"}
    assert instance_state(ec2, NODE.instance_id).answer == "unknown"


# -- could it work at all


def able(describe: Said = "running", **settings: Any) -> tuple[str, str]:
    ec2 = Ec2(Clock(), told(AssertionError("a question must not stop anything")), told(describe))
    for name, value in settings.items():
        setattr(ec2, name, value)
    found = Ec2Fence(lambda: ec2, 300).can_work(NODE)
    assert "stop" not in ec2.calls
    return found.answer, found.detail


@pytest.mark.parametrize(
    ("settings", "answer", "text"),
    [
        ({}, "yes", "StopInstances is allowed"),
        ({"describe": None}, "unknown", "does not list"),
        ({"describe": LOST}, "unknown", "EC2"),
        ({"describe": client_error("UnauthorizedOperation", "DescribeInstances")}, "no", "UnauthorizedOperation"),
        ({"describe": client_error("InvalidInstanceID.NotFound", "DescribeInstances")}, "no", "NotFound"),
        ({"attribute": True}, "no", "stop protection"),
        ({"attribute": LOST}, "unknown", "EC2"),
        ({"dry": client_error("UnauthorizedOperation", "StopInstances", 403)}, "no", "dry run"),
        ({"dry": client_error("RequestLimitExceeded", "StopInstances", 503)}, "unknown", "dry run"),
        ({"dry": LOST}, "unknown", "dry run"),
        ({"dry": "running"}, "unknown", "gave no answer"),
        ({"instance": {"RootDeviceType": "instance-store"}}, "no", "instance-store"),
    ],
)  # fmt: skip
def test_whether_fencing_could_work(settings: dict[str, Any], answer: str, text: str) -> None:
    found = able(**settings)
    assert found[0] == answer and text in found[1]


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        ({}, None),
        ({"RootDeviceType": "ebs", "Tags": [{"Key": "Name", "Value": "x"}]}, None),
        ({"RootDeviceType": "instance-store"}, "instance-store"),
        ({"Tags": [{"Key": "aws:autoscaling:groupName", "Value": "asg-1"}]}, "'asg-1' would start another"),
        ({"InstanceLifecycle": "spot"}, "Spot"),
        ({"InstanceLifecycle": "scheduled"}, None),
    ],
)
def test_what_stands_in_the_way(instance: dict[str, Any], text: str | None) -> None:
    found = obstacle(instance)
    assert found is None if text is None else found is not None and text in found


# -- none, and the choice


def test_no_fence_proves_nothing_but_a_late_answer_does() -> None:
    clock = Clock()
    fence = NoFence()
    assert fence.can_work(NODE).no
    assert fence.off(NODE, Hold(clock), clock, lambda: None).kind == "impossible"
    assert fence.off(NODE, Hold(clock), clock, lambda: "late") == Fenced("proven", "late")


def test_the_pairs_fence() -> None:
    made = {
        method: fence_for(parse_pair({**PAIR, "fencing": {"method": method, **more}}), lambda: None)
        for method, more in {"ec2_stop": {}, "command": {"command": ["/bin/true"]}, "none": {}}.items()
    }
    assert [type(made[method]) for method in ("ec2_stop", "command", "none")] == [
        Ec2Fence,
        CommandFence,
        NoFence,
    ]
