# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody types anything: the product dies, the alarm fires, the function moves the pair. And the role goes as it came."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox
LONG = (
    120.0  # seconds; detection takes two or three of the sandbox's short minutes, on a machine that does more
)
NAME = "hotstandby-hub-sandbox"


@pytest.fixture(scope="module")
def automated() -> Iterator[Rig]:
    state = Path(tempfile.mkdtemp(prefix="hotstandby-"))
    rig = Rig(state, "--automation", "minute")
    yield rig
    rig.down()
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def rig(automated: Rig) -> Iterator[Rig]:
    automated.reset()
    yield automated
    journal = automated.journal()
    assert journal["overlaps"] == 0, journal
    status = automated.status()
    assert status["unimplemented"] == []


def seen(rig: Rig) -> dict[str, Any]:
    return rig.ask("automation")


def kinds(rig: Rig) -> list[str]:
    return [message["kind"] for message in seen(rig)["messages"]]


def settled(rig: Rig, node: str) -> bool:
    """The record is steady with this node, the product runs there, and the alarm says so."""
    record = rig.record()
    return (record["active"].get("S"), record["state"]["S"]) == (node, "steady") and seen(rig)[
        "alarm"
    ] == "OK"


def test_a_dead_product_moves_and_the_new_actives_own_death_moves_it_again(rig: Rig) -> None:
    rig.torment("aws", "events-twice")
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: settled(rig, "hub-b"), LONG)
    assert rig.running() == ["hub-b"] and rig.record()["epoch"]["N"] == "2"
    rig.until(lambda: kinds(rig)[:2] == ["began", "ended"], LONG)
    rig.torment("hub-b", "product-kill")
    rig.until(lambda: settled(rig, "hub-a"), LONG)
    assert rig.running() == ["hub-a"] and rig.record()["epoch"]["N"] == "3"
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b", "hub-a"]
    found = seen(rig)
    assert found["refused"] == [] and found["dead"] == [] and all(run["ok"] for run in found["runs"])
    assert rig.status()["address"] == rig.info["nodes"]["hub-a"]["instance_id"]


def test_events_that_come_late_and_twice_find_the_pair_moved_and_only_look(rig: Rig) -> None:
    """The reconciler was quicker; each event is about the active before."""
    before = len(seen(rig)["runs"])
    rig.torment("aws", "events-twice")
    rig.torment("aws", "events-late:15")
    struck = time.time()
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: settled(rig, "hub-b"), LONG)

    def late() -> list[dict[str, Any]]:
        return [run for run in seen(rig)["runs"][before:] if (run["result"] or {}).get("event") == "alarm"]

    rig.until(lambda: len(late()) >= 2, LONG)
    assert all(run["ok"] and run["began"] >= struck + 15 for run in late()), late()
    assert [run["result"].get("outcome") for run in late()[:2]] != ["moved", "moved"]
    assert rig.record()["epoch"]["N"] == "2" and rig.running() == ["hub-b"]
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b"]


def test_a_node_without_power_is_left_though_its_event_is_lost(rig: Rig) -> None:
    rig.torment("aws", "events-lost")
    rig.torment("hub-a", "power-off")
    rig.until(lambda: settled(rig, "hub-b"), LONG)
    assert rig.running() == ["hub-b"]


def test_a_pause_holds_it_tells_people_and_then_it_is_due(rig: Rig) -> None:
    paused = rig.playbook("maintenance", "-e", '{"state": "paused", "reason": "storage work", "by": "akira"}')
    assert paused.rc == 0, paused.text
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: "refused" in kinds(rig), LONG)
    told = [message["text"] for message in seen(rig)["messages"] if message["kind"] == "refused"]
    assert "akira" in told[0] and "storage work" in told[0]
    assert rig.running() == [] and rig.active() == "hub-a" and rig.events("stop") == []
    assert rig.playbook("maintenance", "-estate=resumed").rc == 0
    rig.until(lambda: settled(rig, "hub-b"), LONG)


def heard(rig: Rig) -> bool:
    """Both nodes have written their sign of life since the pair was made anew."""
    items = rig.client("dynamodb").query(
        TableName=rig.info["pair"]["table"],
        KeyConditionExpression="#p = :p AND begins_with(#i, :i)",
        ExpressionAttributeNames={"#p": "pair", "#i": "item"},
        ExpressionAttributeValues={":p": {"S": rig.info["pair"]["name"]}, ":i": {"S": "heartbeat#"}},
    )
    return len(items["Items"]) == 2


def test_a_drill_moves_nothing_and_names_what_is_broken_then_goes_there_and_back(rig: Rig) -> None:
    rig.until(lambda: heard(rig), LONG)
    alone = rig.playbook("drill")
    failed = [check["name"] for check in alone.result["checks"] if check["result"] not in ("yes", "skipped")]
    assert alone.rc != 0 and failed == ["people"], alone.text
    topic = rig.client("sns").list_topics()["Topics"][0]["TopicArn"]
    queue = rig.client("sqs").get_queue_url(QueueName=f"{NAME}-dead")["QueueUrl"]
    arn = rig.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    rig.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
    rig.torment("aws", "deny:function:ec2:StopInstances")
    mine = rig.playbook("drill")
    failed = [check["name"] for check in mine.result["checks"] if check["result"] not in ("yes", "skipped")]
    assert failed == ["function's own fence hub-a", "function's own fence hub-b"], mine.text
    assert f"ansible-playbook hotstandby.ops.automation -i {rig.info['inventory']}" in mine.text
    rig.ask("clear", target="aws")
    planned = rig.playbook("drill", "--tags", "real", "--check")
    assert planned.rc == 0 and rig.running() == ["hub-a"] and rig.events("stop") == [], planned.text
    real = rig.playbook("drill", "--tags", "real")
    assert real.rc == 0, real.text
    assert [real.result[way]["outcome"] for way in ("there", "back")] == ["moved", "moved"]
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b", "hub-a"]
    assert rig.active() == "hub-a" and rig.running() == ["hub-a"]


def left(rig: Rig) -> list[str]:
    """What of the automation is still there."""
    lam, events, cloudwatch = rig.client("lambda"), rig.client("events"), rig.client("cloudwatch")
    found = [item["FunctionName"] for item in lam.list_functions()["Functions"]]
    found += [item["Name"] for item in events.list_rules()["Rules"]]
    found += [item["AlarmName"] for item in cloudwatch.describe_alarms()["MetricAlarms"]]
    found += [item["RoleName"] for item in rig.client("iam").list_roles()["Roles"]]
    found += [item["logGroupName"] for item in rig.client("logs").describe_log_groups()["logGroups"]]
    found += [item["TopicArn"] for item in rig.client("sns").list_topics()["Topics"]]
    return found + list(rig.client("sqs").list_queues().get("QueueUrls", []))


def test_the_role_converges_and_takes_away_what_it_made_and_nothing_else(rig: Rig) -> None:
    short = ["-efailover_automation_period=5", "-efailover_automation_evaluation_periods=5"]
    again = rig.playbook("automation", *short)
    assert again.rc == 0 and "changed=0" in again.text, again.text
    rig.client("sns").create_topic(Name="somebody-elses")
    before = left(rig)
    assert len(before) == 13, before
    policy = rig.client("iam").get_role_policy(RoleName=NAME, PolicyName="hotstandby")["PolicyDocument"]
    instances = [about["instance_id"] for about in rig.info["nodes"].values()]
    for statement in policy["Statement"]:
        writes = [
            action
            for action in statement["Action"]
            if not action.split(":")[1].startswith(("Describe", "Get", "List"))
        ]
        assert statement["Effect"] == "Allow" and not any("*" in action for action in statement["Action"])
        if writes and statement["Sid"] != "Metric":
            assert statement["Resource"] != "*", statement
        if "ec2:StopInstances" in writes:
            assert sorted(arn.rpartition("/")[2] for arn in statement["Resource"]) == sorted(instances)
    planned = rig.playbook("automation", *short, "--check", failover_automation_state="absent")
    assert planned.rc == 0 and left(rig) == before, planned.text
    gone = rig.playbook("automation", failover_automation_state="absent")
    assert gone.rc == 0, gone.text
    assert left(rig) == [arn for arn in before if arn.endswith("somebody-elses")]
    refused = rig.playbook("automation", "-e", '{"failover_automation_name": "a b"}')
    assert refused.rc != 0 and "failover_automation_name" in refused.text
