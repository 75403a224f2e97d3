# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody types anything: the product dies, the alarm fires, the function moves the pair. And the role goes as it came."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.odds import calculate, watching
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair

from sandbox.world.automation import PERIOD
from tests.integration.pair.rig import ROOT, Played, Rig

pytestmark = pytest.mark.sandbox
LONG = (
    120.0  # seconds; detection takes two or three of the sandbox's short minutes, on a machine that does more
)
NAME = "hotstandby-hub-sandbox"
# what the role makes of its defaults, but for the period
ALARM = {
    "Namespace": "HotStandby", "MetricName": "Unhealthy", "Statistic": "Maximum", "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold", "EvaluationPeriods": 5, "DatapointsToAlarm": 2,
    "TreatMissingData": "breaching", "Dimensions": [{"Name": "Pair", "Value": "hub-sandbox"}],
}  # fmt: skip


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


def foretold(rig: Rig, name: str) -> tuple[float, float]:
    """Least and most seconds from this failure to the decision, as the calculator says for the sandbox's own minute."""
    numbers = {"period": PERIOD, "offset": 2.5, "delay": 0.5, "reconcile": PERIOD}
    found = calculate(watching(parse_pair(rig.info["pair"]), **numbers), 0.001)[name]
    return found["least"], found["most"]


def decided(rig: Rig, failed: float) -> float:
    """Seconds from a failure to the first run of the function that moved the pair."""
    moving = [
        run["began"] for run in seen(rig)["runs"]
        if run["began"] > failed and run["result"].get("outcome") in ("moved", "unfinished")
    ]  # fmt: skip
    return float(moving[0]) - failed


def test_a_dead_product_moves_and_the_new_actives_own_death_moves_it_again(rig: Rig) -> None:
    rig.torment("aws", "events-twice")
    failed = time.time()
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: settled(rig, "hub-b"), LONG)
    least, most = foretold(rig, "product_dead")
    # a busy machine may be a period late; nothing can make it early
    assert least <= decided(rig, failed) <= most + PERIOD
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
    failed = time.time()
    rig.torment("hub-a", "power-off")
    rig.until(lambda: settled(rig, "hub-b"), LONG)
    assert rig.running() == ["hub-b"]
    least, most = foretold(rig, "event_lost")
    assert least <= decided(rig, failed) <= most + PERIOD


def test_aws_gone_altogether_moves_nothing_is_told_and_goes_by(rig: Rig) -> None:
    """Every service but the one that tells people. The alarm that the silence raises afterwards moves nothing either."""
    rig.torment("aws", "dynamodb-down", "ssm-down", "cloudwatch-down", "ec2-down")
    rig.until(
        lambda: "trouble" in kinds(rig), 2 * LONG
    )  # a minute and a half is a hiccup, by the function's own clock
    subjects = {message["subject"].partition(": ")[2] for message in seen(rig)["messages"]}
    assert {"the record unreadable", "SSM cannot be asked", "EC2 cannot be asked"} & subjects, subjects
    rig.torment("aws", "clear")
    rig.until(lambda: seen(rig)["alarm"] == "ALARM", LONG)
    rig.until(lambda: seen(rig)["alarm"] == "OK", LONG)
    assert rig.running() == ["hub-a"] and rig.record()["epoch"]["N"] == "1"
    assert rig.events("stop") == [] and not {"began", "ended"} & set(kinds(rig))
    assert all(run["ok"] for run in seen(rig)["runs"]), "it never fails for anything that AWS can do"


@pytest.mark.parametrize(
    ("how", "alarm", "subject"),
    [
        ("no marker", "standby-hub-b", "hub-b could not take over"),
        ("unmount", "check-hub-b", "the health check on hub-b is broken"),
    ],
)
def test_a_standby_that_could_not_take_over_is_told_before_it_is_needed(
    rig: Rig, how: str, alarm: str, subject: str
) -> None:
    """By the alarm that the role makes, and by the function that finds it."""

    def told() -> bool:
        subjects = [message["subject"] for message in seen(rig)["messages"]]
        fired = any(f'ALARM: "{NAME}-{alarm}"' in one for one in subjects)
        return fired and f"[trouble] hub-sandbox: {subject}" in subjects

    marker = Path(rig.info["shared_dir"]) / ".hotstandby-pair"
    kept = marker.read_text()
    try:
        if how == "unmount":
            rig.torment("hub-b", how)
        else:
            marker.unlink()
        rig.until(told, 2 * LONG)
    finally:
        marker.write_text(kept)
    assert rig.running() == ["hub-a"] and rig.record()["epoch"]["N"] == "1" and "began" not in kinds(rig)


def test_a_function_that_fails_is_told_and_what_it_could_not_take_is_kept(rig: Rig) -> None:
    lam, sqs = rig.client("lambda"), rig.client("sqs")
    variables = lam.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
    lam.update_function_configuration(
        FunctionName=NAME, Environment={"Variables": {**variables, "HOTSTANDBY_PAIR": "{"}}
    )
    try:
        rig.until(lambda: any(f"{NAME}-function" in one["subject"] for one in seen(rig)["messages"]), LONG)
        rig.until(lambda: seen(rig)["dead"], LONG)
        assert json.loads(seen(rig)["dead"][0])["detail-type"] == "Scheduled Event"
    finally:
        lam.update_function_configuration(FunctionName=NAME, Environment={"Variables": variables})
        sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{NAME}-dead")["QueueUrl"])
    assert rig.running() == ["hub-a"]


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


def documented(who: str) -> set[str]:
    """The actions that docs/rights.md gives a party, in its row and the nameless ones below it."""
    rows = (ROOT / "docs" / "rights.md").read_text(encoding="utf-8").splitlines()
    first = next(number for number, row in enumerate(rows) if row.startswith(f"| {who} |"))
    last = next(number for number, row in enumerate(rows) if number > first and not row.startswith("| |"))
    found: set[str] = set()
    for row in rows[first:last]:
        service = ""
        for word in re.findall("`([A-Za-z0-9:]+)`", row.split("|")[2]):
            service, _colon, action = word.rpartition(":") if ":" in word else (service, "", word)
            found.add(f"{service}:{action}".replace("cloudwatch:", "monitoring:"))
    return found


def test_the_role_converges_and_takes_away_what_it_made_and_nothing_else(rig: Rig) -> None:
    needed: set[str] = set()

    def tried(name: str, *words: str, **extra: Any) -> Played:
        """Play it, and note each call that it makes."""
        began = time.time()
        played = rig.playbook(name, *words, **extra)
        needed.update(f"{call['service']}:{call['action']}" for call in rig.calls() if call["time"] >= began)
        return played

    short = [
        f"-efailover_automation_period={PERIOD}",
        "-efailover_automation_evaluation_periods=5",
        f"-e_failover_automation_minute={PERIOD}",
    ]
    again = tried("automation", *short)
    assert again.rc == 0 and "changed=0" in again.text, again.text
    rig.client("sns").create_topic(Name="somebody-elses")
    named = f"{NAME}-standby-pager"  # theirs too, although it begins as ours do
    dimensions = [{"Name": "Pair", "Value": "hub-sandbox"}, {"Name": "Node", "Value": "hub-b"}]
    rig.client("cloudwatch").put_metric_alarm(
        AlarmName=named, Namespace="HotStandby", MetricName="StandbyReady", Dimensions=dimensions, Statistic="Minimum",
        ComparisonOperator="LessThanThreshold", Threshold=1.0, Period=60, EvaluationPeriods=1,
    )  # fmt: skip
    before = left(rig)
    assert len(before) == 15, before
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
    alarm = rig.client("cloudwatch").describe_alarms(AlarmNames=[NAME])["MetricAlarms"][0]
    assert [alarm[name] for name in ALARM] == list(ALARM.values()), alarm
    rig.client("iam").delete_role_policy(RoleName=NAME, PolicyName="hotstandby")
    planned = tried("automation", *short, "--check")
    assert planned.rc == 0 and "changed=1 " in planned.text, planned.text
    assert rig.client("iam").list_role_policies(RoleName=NAME)["PolicyNames"] == []
    renamed = json.loads(json.dumps(rig.info["pair"]))
    renamed["nodes"][1]["name"] = "hub-c"
    other = {
        "hotstandby_pair": renamed,
        "hotstandby_node": "hub-a",
        "failover_automation_runtime": "python3.12",
    }
    other["failover_automation_architecture"] = "x86_64"
    other["failover_automation_log_retention"] = 7
    other["failover_automation_subscriptions"] = [{"protocol": "email", "endpoint": "oncall@example.com"}]
    changed = tried("automation", *short, "-e", json.dumps(other))
    assert changed.rc == 0, changed.text
    assert rig.client("iam").list_role_policies(RoleName=NAME)["PolicyNames"] == ["hotstandby"]
    made = rig.client("lambda").get_function_configuration(FunctionName=NAME)
    assert (made["Runtime"], made["Architectures"]) == ("python3.12", ["x86_64"])
    assert made["DeadLetterConfig"]["TargetArn"].endswith(f":{NAME}-dead")
    kept = rig.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{NAME}")["logGroups"]
    assert [group["retentionInDays"] for group in kept] == [7]
    people = rig.client("sns").list_subscriptions()["Subscriptions"]
    assert "oncall@example.com" in [one["Endpoint"] for one in people]
    now = [name.replace("hub-c", "hub-b") for name in left(rig)]
    assert sorted(now) == sorted(before) and f"{NAME}-standby-hub-b" not in left(rig), left(rig)
    planned = tried("automation", *short, "--check", failover_automation_state="absent")
    assert planned.rc == 0 and len(left(rig)) == len(before), planned.text
    # the topic that the role made before it was given this one goes too; the one that it was given stays
    theirs = next(arn for arn in before if arn.endswith("somebody-elses"))
    gone = tried("automation", failover_automation_state="absent", failover_automation_topic_arn=theirs)
    assert gone.rc == 0, gone.text
    assert sorted(left(rig)) == sorted([theirs, named])
    rig.client("cloudwatch").delete_alarms(AlarmNames=[named])
    again = tried("automation", failover_automation_state="absent", failover_automation_topic_arn=theirs)
    assert again.rc == 0 and "changed=0" in again.text, again.text
    anew = tried("automation", *short)  # as the next test finds it
    assert anew.rc == 0 and len(left(rig)) == len(before) - 1, anew.text
    missing = needed - documented("who makes the automation")
    assert len(needed) > 40 and not missing, f"docs/rights.md does not say: {sorted(missing)}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"failover_automation_name": "a b"}, "failover_automation_name 'a b' must be 1 to 50 letters"),
        (
            {"failover_automation_runtime": "python3.8"},
            "failover_automation_runtime 'python3.8' is not Python 3.9",
        ),
        ({"failover_automation_datapoints": 6}, "failover_automation_datapoints 6 must be from 1 to"),
        (
            {"failover_automation_evaluation_periods": 2},
            "failover_automation_warning_datapoints 3 must be from 1 to",
        ),
    ],
)
def test_settings_with_which_nothing_would_move_are_refused(
    rig: Rig, given: dict[str, Any], said: str
) -> None:
    refused = rig.playbook("automation", "-e", json.dumps(given))
    assert refused.rc != 0 and said in " ".join(refused.text.split()), refused.text


def test_profile_fast_finds_its_function_by_name_only(rig: Rig) -> None:
    given = {"hotstandby_pair": {**rig.info["pair"], "profile": "fast"}, "failover_automation_name": "mine"}
    refused = rig.playbook("automation", "-e", json.dumps(given))
    assert refused.rc != 0 and "must be 'hotstandby-hub-sandbox' with profile fast" in " ".join(
        refused.text.split()
    )
