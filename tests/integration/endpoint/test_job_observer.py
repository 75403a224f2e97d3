# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""job_group and job_schedule against the endpoint: made once, mended, removed, and nothing touched in check mode."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._job_group import Clients, Group, ensure_group
from ansible_collections.hotstandby.ops.plugins.module_utils._job_schedule import (
    Schedule,
    ensure_schedule,
    purge,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.policies_jobs import Observer, policy

from sandbox.endpoint import ACCOUNT, Endpoint
from tests.integration.endpoint.conftest import REGION

Client = Callable[..., Any]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs-schedule"


@pytest.fixture
def clients(endpoint: Endpoint, client: Client) -> Iterator[Clients]:
    client("ec2").create_launch_template(
        LaunchTemplateName="jobs", LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "t4g.small"}
    )
    made = Clients(client("autoscaling"), client("cloudwatch"))
    yield made
    ensure_group(made, Group("jobs", force=True), False, False, lambda _s: endpoint.groups.reconcile(0.0))
    client("ec2").delete_launch_template(LaunchTemplateName="jobs")


@pytest.fixture
def wanted(client: Client) -> Group:
    subnets = [one["SubnetId"] for one in client("ec2").describe_subnets()["Subnets"]]
    return Group("jobs", template="jobs", subnets=tuple(subnets[:2]), most=3, queue="jobs")


def actions(clients: Clients, wanted: Group, present: bool = True, check: bool = False) -> list[str]:
    return [action for part in ensure_group(clients, wanted, present, check) for action in part.actions]


def test_the_group_is_made_once_mended_and_removed(
    endpoint: Endpoint, clients: Clients, wanted: Group
) -> None:
    planned = actions(clients, wanted, check=True)
    assert len(planned) == 6
    assert not clients.scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert actions(clients, wanted) == planned
    assert actions(clients, wanted) == actions(clients, wanted, check=True) == []
    clients.scaling.set_desired_capacity(AutoScalingGroupName="jobs", DesiredCapacity=2)
    more = dataclasses.replace(wanted, most=4, idle=3)
    assert actions(clients, more) == ["update group jobs", "update alarm jobs-in"]
    found = clients.scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert (found["DesiredCapacity"], found["MaxSize"]) == (2, 4)
    assert actions(clients, dataclasses.replace(more, finish=0)) == ["delete lifecycle hook hand-back"]
    assert actions(clients, more, present=False, check=True) == [
        "delete group jobs",
        "delete alarms jobs-out, jobs-in",
    ]
    actions(clients, more, present=False)
    assert actions(clients, more, present=False) == []
    assert not clients.alarms.describe_alarms()["MetricAlarms"] and endpoint.unimplemented == []


def test_a_group_that_works_a_message_stays(
    endpoint: Endpoint, clients: Clients, wanted: Group, until: Any
) -> None:
    actions(clients, dataclasses.replace(wanted, least=1))

    def serving() -> list[Any]:
        endpoint.groups.reconcile(0.0)
        found = clients.scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        return [one["InstanceId"] for one in found if one["LifecycleState"] == "InService"]

    (instance,) = until(serving)
    clients.scaling.set_instance_protection(
        AutoScalingGroupName="jobs", InstanceIds=[instance], ProtectedFromScaleIn=True
    )
    with pytest.raises(ModuleFailure, match=f"{instance} works a message. Nothing was removed"):
        actions(clients, wanted, present=False)
    assert len(clients.alarms.describe_alarms()["MetricAlarms"]) == 2


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("min_size", {"least": 4}),
        ("max_size", {"most": 0}),
        ("period", {"period": 45}),
        ("subnets", {"subnets": ()}),
        ("finish_seconds", {"finish": 5}),
        ("idle_periods", {"idle": 1441}),
        ("name", {"name": "a.b"}),
    ],
)
def test_bad_options_of_the_group_are_named(
    clients: Clients, wanted: Group, option: str, change: Any
) -> None:
    with pytest.raises(ModuleFailure, match=f"^{option}: "):
        actions(clients, dataclasses.replace(wanted, **change))


@pytest.fixture
def scheduler(client: Client) -> Iterator[Any]:
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    }
    client("iam").create_role(RoleName="jobs-schedule", AssumeRolePolicyDocument=json.dumps(trust))
    client("iam").put_role_policy(
        RoleName="jobs-schedule",
        PolicyName="hotstandby",
        PolicyDocument=json.dumps(policy(Observer("jobs", REGION, ACCOUNT), "schedule")),
    )
    yield client("scheduler")
    client("iam").delete_role_policy(RoleName="jobs-schedule", PolicyName="hotstandby")
    client("iam").delete_role(RoleName="jobs-schedule")


def test_a_schedule_sends_with_its_attributes_and_only_where_its_role_may(
    endpoint: Endpoint, client: Client, scheduler: Any
) -> None:
    urls = {
        name: client("sqs").create_queue(QueueName=name)["QueueUrl"]
        for name in ("jobs", "jobs-dead", "others")
    }
    nightly = Schedule(
        "jobs.nightly", expression="cron(0 2 * * ? *)", timezone="Asia/Tokyo", action="sqs:sendMessage", role_arn=ROLE,
        input={"QueueUrl": urls["jobs"], "MessageBody": "<aws.scheduler.scheduled-time>",
               "MessageAttributes": {"Name": {"DataType": "String", "StringValue": "nightly"}}},
        dead_letter_arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs-dead",
    )  # fmt: skip
    assert ensure_schedule(scheduler, nightly, True, True).actions == ["create schedule jobs.nightly"]
    assert ensure_schedule(scheduler, nightly, True, False).actions == ["create schedule jobs.nightly"]
    assert ensure_schedule(scheduler, nightly, True, False).actions == []
    endpoint.schedules.fire("jobs.nightly")
    (message,) = client("sqs").receive_message(QueueUrl=urls["jobs"], MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert message["MessageAttributes"]["Name"]["StringValue"] == "nightly" and message["Body"].endswith("Z")
    elsewhere = dataclasses.replace(
        nightly, input={**nightly.input, "QueueUrl": urls["others"]}, enabled=False
    )
    assert ensure_schedule(scheduler, elsewhere, True, False).actions == ["update schedule jobs.nightly"]
    endpoint.schedules.fire("jobs.nightly")
    assert "Messages" not in client("sqs").receive_message(QueueUrl=urls["others"])
    (dead,) = client("sqs").receive_message(QueueUrl=urls["jobs-dead"], MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert "not authorized" in dead["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    ensure_schedule(scheduler, dataclasses.replace(nightly, name="other.nightly"), True, False)
    assert purge(scheduler, "default", "jobs.", ["jobs.nightly"], False).actions == []
    assert purge(scheduler, "default", "jobs.", [], False).actions == ["delete schedule jobs.nightly"]
    assert [one["Name"] for one in scheduler.list_schedules()["Schedules"]] == ["other.nightly"]
    assert ensure_schedule(
        scheduler, dataclasses.replace(nightly, name="other.nightly"), False, False
    ).actions
    assert ensure_schedule(scheduler, nightly, False, False).actions == [] and endpoint.unimplemented == []
    for url in urls.values():
        client("sqs").delete_queue(QueueUrl=url)


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("schedule", {"expression": "daily"}),
        ("action", {"action": "sendMessage"}),
        ("role_arn", {"role_arn": "jobs"}),
        ("retry_seconds", {"retry": 10}),
        ("window_minutes", {"window": -1}),
        ("name", {"name": "a b"}),
    ],
)
def test_bad_options_of_a_schedule_are_named(option: str, change: Any) -> None:
    good = Schedule("a", expression="rate(1 minute)", action="sqs:sendMessage", role_arn=ROLE)
    with pytest.raises(ModuleFailure, match=f"^{option}: "):
        ensure_schedule(None, dataclasses.replace(good, **change), True, False)
