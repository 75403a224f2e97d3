# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job observer's world for each test, and what of AWS is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.jobs.world import JobWorld


@pytest.fixture
def world() -> Iterator[JobWorld]:
    found = JobWorld()
    yield found
    found.close()


def left(world: JobWorld) -> list[str]:
    """What of AWS is there."""
    client = world.client
    found = [one["Name"] for one in client("scheduler").list_schedules()["Schedules"]]
    found += list(world.alarms())
    found += [
        one["AutoScalingGroupName"]
        for one in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    ]
    found += [
        one["LaunchTemplateName"] for one in client("ec2").describe_launch_templates()["LaunchTemplates"]
    ]
    found += [one["RoleName"] for one in client("iam").list_roles()["Roles"]]
    found += [one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]]
    found += [one["TopicArn"] for one in client("sns").list_topics()["Topics"]]
    found += list(client("sqs").list_queues().get("QueueUrls", []))
    return found + [one["Key"] for one in client("s3").list_objects_v2(Bucket="programs").get("Contents", [])]
