# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the active really down? The rows of a node that gives no answer, with items and alarms put by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def beat(rig: Rig, node: str, age: float, state: str = "running") -> None:
    """A heartbeat item as a health check writes it, so old."""
    pair = rig.info["pair"]
    item = {
        "pair": {"S": pair["name"]},
        "item": {"S": f"heartbeat#{node}"},
        "node": {"S": node},
        "instance_id": {"S": rig.info["nodes"][node]["instance_id"]},
        "boot_id": {"S": "by-hand"},
        "epoch": {"N": rig.record()["epoch"]["N"]},
        "state": {"S": state},
        "beat": {"S": str(time.monotonic_ns())},
        "time": {"N": str(time.time() - age)},
    }
    rig.client("dynamodb").put_item(TableName=pair["table"], Item=item)


def alarm(rig: Rig, state: str) -> None:
    """An alarm on the pair's metric, in that state."""
    client = rig.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName="hub-sandbox-unhealthy", Namespace="HotStandby", MetricName="Unhealthy", Statistic="Maximum",
        Dimensions=[{"Name": "Pair", "Value": rig.info["pair"]["name"]}], Period=60, EvaluationPeriods=5,
        DatapointsToAlarm=2, Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="breaching",
    )  # fmt: skip
    client.set_alarm_state(AlarmName="hub-sandbox-unhealthy", StateValue=state, StateReason="put by hand")


def point(rig: Rig, value: float) -> None:
    data: list[dict[str, Any]] = [
        {
            "MetricName": "Unhealthy",
            "Value": value,
            "Dimensions": [{"Name": "Pair", "Value": rig.info["pair"]["name"]}],
        }
    ]
    rig.client("cloudwatch").put_metric_data(Namespace="HotStandby", MetricData=data)


def not_moved(rig: Rig, *words: str) -> None:
    played = rig.failover()
    assert (played.rc != 0, played.outcome) == (True, "not_confirmed"), played.text
    for word in words:
        assert word in played.result["msg"], played.result["msg"]
    assert rig.power("hub-a") == "running" and rig.active() == "hub-a" and "hub-b" not in rig.running()


def moved_by_fence(rig: Rig) -> None:
    played = rig.failover()
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    steps = played.steps()
    assert steps.index("fence") < steps.index("promote")
    assert rig.power("hub-a") == "stopped" and rig.running() == ["hub-b"]


def test_a_heartbeat_that_stands_still_while_the_standbys_goes_on_is_down(rig: Rig) -> None:
    rig.fault("hub-a", "partition")
    beat(rig, "hub-a", age=600)
    beat(rig, "hub-b", age=5)
    moved_by_fence(rig)


def test_two_heartbeats_that_stand_still_are_unknown(rig: Rig) -> None:
    rig.fault("hub-a", "partition")
    beat(rig, "hub-a", age=600)
    beat(rig, "hub-b", age=600)
    not_moved(rig, "so does that of hub-b")


def test_a_heartbeat_that_goes_on_is_unknown(rig: Rig) -> None:
    rig.fault("hub-a", "agent-offline")
    beat(rig, "hub-a", age=5)
    beat(rig, "hub-b", age=5)
    not_moved(rig, "the control path broke")


def test_an_alarm_is_down(rig: Rig) -> None:
    rig.fault("hub-a", "node-hang")
    alarm(rig, "ALARM")
    moved_by_fence(rig)


def test_no_datapoint_for_the_whole_window_is_down(rig: Rig) -> None:
    rig.fault("hub-a", "partition")
    alarm(rig, "OK")
    moved_by_fence(rig)


def test_a_fresh_healthy_datapoint_is_unknown(rig: Rig) -> None:
    rig.fault("hub-a", "agent-offline")
    alarm(rig, "OK")
    point(rig, 0.0)
    not_moved(rig, "the newest datapoint is well", "the control path broke")


def test_a_fresh_bad_datapoint_without_alarm_is_unknown(rig: Rig) -> None:
    rig.fault("hub-a", "agent-offline")
    alarm(rig, "OK")
    point(rig, 1.0)
    not_moved(rig, "neither fresh nor well")


def test_a_hung_product_is_down_after_three_tries(rig: Rig) -> None:
    rig.fault("hub-a", "product-hang")
    played = rig.failover()
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert "hangs" in next(step["detail"] for step in played.result["steps"] if step["name"] == "confirm")
    assert rig.running() == ["hub-b"]


def test_the_nodes_own_health_checks_are_such_heartbeats(rig: Rig) -> None:
    assert rig.on("hub-a", "healthcheck")["state"] == "running"
    assert rig.on("hub-b", "healthcheck")["state"] == "stopped"
    rig.fault("hub-a", "agent-offline")
    not_moved(rig, "it goes on and says running")
