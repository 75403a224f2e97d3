# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DynamoDB, SSM and EC2 down, throttled, slow, stale or refusing one right, from each step of a move on."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.integration.attack.controller import Controller
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox

LIMIT = 40.0  # seconds in which a move must say what is wrong
# the label before which the fault begins: (its service, the right, how messages name it)
STEPS = {
    "GetItem": ("dynamodb", "dynamodb:GetItem", "DynamoDB GetItem"),
    "UpdateItem:lease+move confirm": ("dynamodb", "dynamodb:UpdateItem", "DynamoDB UpdateItem"),
    "SendCommand:look@AB": ("ssm", "ssm:SendCommand", "SSM SendCommand"),
    "ListCommandInvocations:look@AB": (
        "ssm",
        "ssm:ListCommandInvocations",
        "SSM ListCommandInvocations",
    ),
    "UpdateItem:active+lease+move+state stop": ("dynamodb", "dynamodb:UpdateItem", "DynamoDB UpdateItem"),
    "SendCommand:stop@A": ("ssm", "ssm:SendCommand", "SSM SendCommand"),
    "UpdateItem:active+epoch+lease+move start": ("dynamodb", "dynamodb:UpdateItem", "DynamoDB UpdateItem"),
    "SendCommand:start@B": ("ssm", "ssm:SendCommand", "SSM SendCommand"),
    "SendCommand:status@AB": ("ssm", "ssm:SendCommand", "SSM SendCommand"),
    "DescribeAddresses": ("ec2", "ec2:DescribeAddresses", "EC2 DescribeAddresses"),
    "AssociateAddress": ("ec2", "ec2:AssociateAddress", "elastic_ip"),
    "PutMetricData": ("monitoring", "cloudwatch:PutMetricData", ""),
    "PutItem": ("dynamodb", "dynamodb:PutItem", ""),
    "UpdateItem:lease+move+pending+state+times": (
        "dynamodb",
        "dynamodb:UpdateItem",
        "DynamoDB UpdateItem",
    ),
}
DOWN = {"dynamodb": "dynamodb-down", "ssm": "ssm-down", "ec2": "ec2-down"}


class Trouble:
    """Begins a fault before the first call of that label."""

    def __init__(self, rig: Rig, label: str, fault: str) -> None:
        self.rig, self.label, self.fault, self.begun = rig, f"before {label}", fault, False

    def __call__(self, label: str) -> bool:
        if label == self.label and not self.begun:
            self.begun = True
            self.rig.torment("aws", self.fault)
        return False


def attacked(rig: Rig, label: str, fault: str, **request: Any) -> Any:
    """A move of a dead product that meets the fault; bounded, on one line, and nobody runs beside another."""
    rig.torment(str(rig.active()), "product-kill")
    trouble, begun = Trouble(rig, label, fault), time.monotonic()
    result = Controller(rig, "troubled", trouble).move(**request)
    assert trouble.begun, "the move never came there"
    assert time.monotonic() - begun < LIMIT
    assert "\n" not in result.message and len(result.message) < 1200, result.message
    return result


def finished(rig: Rig, before: str) -> None:
    """With the fault gone the same command ends the move."""
    rig.torment("aws", "clear")
    result = Controller(rig, "again").move()
    assert result.outcome in ("moved", "not_confirmed"), result.message
    record = rig.record()
    assert record["state"]["S"] == "steady" and record["pending"]["L"] == []
    nodes = rig.ask("status")["nodes"]
    running = [name for name in rig.names if nodes[name]["product"]]
    assert running == [record["active"]["S"]] != [before], result.message
    assert rig.ask("journal")["overlaps"] == 0


@pytest.mark.parametrize("label", STEPS)
def test_one_right_is_missing(rig: Rig, label: str) -> None:
    _service, right, named = STEPS[label]
    before = str(rig.active())
    result = attacked(rig, label, f"deny:controller:{right}")
    if not named:  # metric and history are a courtesy
        assert result.outcome == "moved", result.message
    else:
        assert result.failed or result.outcome == "degraded", result.message
        steps = " ".join(str(step["detail"]) for step in result.steps)
        assert named in result.message + steps and "right" in result.message + steps, (result.message, steps)
        assert result.next.startswith("ansible-playbook hotstandby.ops."), result
    if "confirm" in label or label in ("GetItem", "SendCommand:look@AB"):
        assert not result.changed and "Nothing was changed" in result.message, result.message
    finished(rig, before)


@pytest.mark.parametrize(
    "label",
    [
        "GetItem",
        "ListCommandInvocations:look@AB",
        "SendCommand:stop@A",
        "UpdateItem:active+epoch+lease+move start",
        "SendCommand:start@B",
        "AssociateAddress",
        "PutItem",
    ],
)
def test_a_service_is_down(rig: Rig, label: str) -> None:
    service, _right, named = STEPS[label]
    before = str(rig.active())
    result = attacked(rig, label, DOWN[service])
    if named:
        # the read that follows a lost write may be what is named
        said = result.message + " ".join(str(step["detail"]) for step in result.steps)
        names = {"dynamodb": "DynamoDB ", "ssm": named, "ec2": "elastic_ip "}
        assert names[service] in said and "temporary failure" in said, said
    ends = ("refused", "unfinished", "degraded", "moved", "not_confirmed")
    assert result.outcome in ends and result.failed is (result.outcome != "moved"), result.message
    finished(rig, before)


@pytest.mark.parametrize("label", ["GetItem", "SendCommand:start@B"])
def test_everything_is_throttled(rig: Rig, label: str) -> None:
    before = str(rig.active())
    result = attacked(rig, label, "throttle")
    assert result.outcome in ("refused", "unfinished", "degraded", "moved"), result.message
    finished(rig, before)


@pytest.mark.parametrize("label", ["GetItem", "SendCommand:start@B"])
def test_each_call_takes_a_second_more_than_the_lease_allows(rig: Rig, label: str) -> None:
    before = str(rig.active())
    result = attacked(rig, label, "slow:controller:1000")
    assert result.outcome in ("refused", "unfinished"), result.message
    finished(rig, before)


def test_each_call_takes_a_second_and_the_lease_is_long(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    rig.torment("aws", "slow:controller:1000")
    result = Controller(rig, "slow", lease=30).move()
    assert result.outcome == "moved", result.message
    finished(rig, "hub-a")


@pytest.mark.parametrize("fault", ["ec2-down", "throttle", "deny:controller:ec2:StopInstances"])
def test_a_fence_in_trouble(rig: Rig, fault: str) -> None:
    rig.torment("hub-a", "agent-offline")
    pair = {**rig.info["pair"], "fencing": {"method": "ec2_stop", "timeout": 3}}
    trouble = Trouble(rig, "StopInstances", fault)
    result = Controller(rig, "one", trouble, fencing=pair["fencing"]).move(assume_down=True)
    assert trouble.begun
    if fault == "throttle":
        assert result.outcome in ("moved", "unfinished"), result.message
    else:
        assert "StopInstances" in result.message, result.message
        assert result.outcome == ("unfinished" if fault == "ec2-down" else "broken"), result.message
        nodes = rig.ask("status")["nodes"]
        assert nodes["hub-b"]["product"] is False and rig.active() is None
    rig.torment("aws", "clear")
    again = Controller(rig, "two").move(to="hub-b")
    assert again.outcome in ("moved", "unchanged"), again.message
    assert rig.running() == ["hub-b"]


def test_a_right_that_was_missing_to_fence_a_silent_node(rig: Rig) -> None:
    """Denied is broken: nothing starts, and the command it names leads out once the right is there."""
    rig.torment("hub-a", "node-hang")
    rig.torment("aws", "deny:controller:ec2:StopInstances")
    result = Controller(rig, "one").move(assume_down=True)
    assert result.outcome == "broken" and "right" in result.message, result.message
    assert result.next == "ansible-playbook hotstandby.ops.failover -e to=hub-b"
    assert rig.active() is None and "hub-b" not in rig.running()
    rig.torment("aws", "clear")
    again = Controller(rig, "two").move(to="hub-b")
    assert again.outcome == "moved" and rig.power("hub-a") == "stopped", again.message


def test_ec2_that_tells_old_states(rig: Rig) -> None:
    rig.torment("hub-a", "agent-offline")
    rig.torment("aws", "stale-ec2")
    threading.Timer(5, lambda: rig.torment("aws", "clear")).start()
    result = Controller(rig, "one").move(assume_down=True)
    assert result.outcome == "moved", result.message
    starts = [event for event in rig.journal()["events"] if event["event"] == "start"]
    killed = [event for event in rig.journal()["events"] if event["event"] == "killed"]
    assert killed and starts[-1]["node"] == "hub-b"
    assert rig.running() == ["hub-b"] and rig.power("hub-a") == "stopped"
