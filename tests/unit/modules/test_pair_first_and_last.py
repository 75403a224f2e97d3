# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair's first and last question: pair_fencing before deploy, pair_record with state absent; an in-process AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Lease, Record, RecordMissing
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore
from moto import mock_aws

RunModule = Callable[..., dict[str, Any]]
REGION = "us-east-1"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture
def machines(pair: dict[str, Any]) -> dict[str, Any]:
    """The pair with two running instances."""
    ec2 = boto3.client("ec2", region_name=REGION)
    answer = ec2.run_instances(ImageId="ami-12345678", MinCount=2, MaxCount=2)
    for node, instance in zip(pair["nodes"], answer["Instances"], strict=True):
        node["instance_id"] = instance["InstanceId"]
    return {**pair, "fencing": {"method": "ec2_stop"}}


def test_two_instances_that_can_be_switched_off(run_module: RunModule, machines: dict[str, Any]) -> None:
    result = run_module("pair_fencing", pair=machines)
    assert not result["changed"] and "can be switched off" in result["msg"]
    assert {node: about["possible"] for node, about in result["nodes"].items()} == {
        "hub-a": "yes",
        "hub-b": "yes",
    }


def test_stop_protection_is_refused(
    run_module: RunModule, machines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hotstandby.ops.plugins.module_utils import fencing
    from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import NO, UNKNOWN, Evidence

    plain = fencing.Ec2Fence.can_work

    def can_work(fence: Any, node: Any) -> Evidence:
        if node.name != "hub-b":
            return plain(fence, node)
        return Evidence(NO, "EC2", "stop protection is on (disableApiStop)")

    monkeypatch.setattr(fencing.Ec2Fence, "can_work", can_work)
    result = run_module("pair_fencing", pair=machines)
    assert result["failed"]
    assert "hub-b (" in result["msg"] and "cannot be switched off: stop protection is on" in result["msg"]
    assert "hub-a" not in result["msg"] and "Nothing was installed" in result["msg"]
    monkeypatch.setattr(
        fencing.Ec2Fence, "can_work", lambda _fence, _node: Evidence(UNKNOWN, "EC2", "throttled")
    )
    doubt = run_module("pair_fencing", pair=machines)  # unknown is not yes
    assert doubt["failed"] and "may not be switched off: throttled" in doubt["msg"]


def test_an_instance_that_ec2_does_not_list(run_module: RunModule, machines: dict[str, Any]) -> None:
    machines["nodes"][1]["instance_id"] = "i-0123456789abcdef0"
    result = run_module("pair_fencing", pair=machines)
    assert result["failed"] and "hub-b (i-0123456789abcdef0)" in result["msg"]


def test_no_fencing_is_said_and_allowed(run_module: RunModule, machines: dict[str, Any]) -> None:
    result = run_module("pair_fencing", pair={**machines, "fencing": {"method": "none"}})
    assert not result.get("failed") and "fencing.method none" in result["msg"]


@pytest.fixture
def store(run_module: RunModule) -> RecordStore:
    run_module("pair_store", table="hotstandby", region=REGION, wait_timeout=5)
    return RecordStore(boto3.client("dynamodb", region_name=REGION), "hotstandby", "hub-test")


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that can be reached; what else they may say is asked in core/test_retire.py."""
    from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import Nodes

    monkeypatch.setattr(Nodes, "ask", lambda _nodes, _action, _names, **_given: {})


def record(pair: dict[str, Any], **given: Any) -> Record:
    nodes = {node["name"]: node["instance_id"] for node in pair["nodes"]}
    return Record(pair=pair["name"], nodes=nodes, **{"active": "hub-a", "epoch": 3, **given})


def test_the_record_goes_once(run_module: RunModule, pair: dict[str, Any], store: RecordStore) -> None:
    store.create(record(pair))
    store.put_heartbeat("hub-a", "i-0aaaaaaaaaaaaaaaa", "boot", 3, "running")
    plan = run_module("pair_record", check=True, pair=pair, state="absent")
    assert plan["changed"] and plan["outcome"] == "removed" and store.read().epoch == 3
    done = run_module("pair_record", pair=pair, state="absent")
    assert done["changed"] and done["diff"] == plan["diff"]
    with pytest.raises(RecordMissing):
        store.read()
    assert store.heartbeat("hub-a") is None
    again = run_module("pair_record", pair=pair, state="absent")
    assert not again["changed"] and "has no record" in again["msg"]


def test_a_pair_in_the_middle_of_something_stays(
    run_module: RunModule, pair: dict[str, Any], store: RecordStore
) -> None:
    store.create(record(pair, active=None, state="broken"))
    result = run_module("pair_record", pair=pair, state="absent")
    assert result["failed"] and "the pair is broken" in result["msg"] and store.read().state == "broken"


def test_a_held_record_stays(run_module: RunModule, pair: dict[str, Any], store: RecordStore) -> None:
    store.create(record(pair, lease=Lease(owner="keiko@ops/1", version="1", seconds=30)))
    result = run_module("pair_record", pair=pair, state="absent")
    assert result["failed"] and "held" in result["msg"] and store.read().lease is not None
