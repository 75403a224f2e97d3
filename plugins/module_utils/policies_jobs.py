# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each party of a job observer may do in AWS, as data, and the IAM policy document that says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .checks import PairError
from .health import NAMESPACE
from .policies import Grant

PARTIES = ("worker", "schedule")
# resources: queue, dead, log, program, group, anything
GRANTS: dict[str, tuple[Grant, ...]] = {
    # one instance can neither send messages nor change the group's size, and protects only its own group's members
    "worker": (
        Grant("Work", ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"), "queue"),
        Grant("Log", ("logs:CreateLogStream", "logs:PutLogEvents"), "log"),
        Grant("TellMetric", ("cloudwatch:PutMetricData",), "anything", "namespace"),
        Grant("Stay", ("autoscaling:SetInstanceProtection", "autoscaling:CompleteLifecycleAction"), "group"),
        Grant("Program", ("s3:GetObject",), "program", needs="program"),
    ),
    "schedule": (
        Grant("Send", ("sqs:SendMessage",), "queue"),
        Grant("Wake", ("autoscaling:ExecutePolicy",), "group"),
        Grant("Dead", ("sqs:SendMessage",), "dead"),
    ),
}


@dataclass(frozen=True)
class Observer:
    """Where it is. `program` is bucket/key of the program that the instances fetch, or empty."""

    name: str
    region: str
    account: str
    program: str = ""
    partition: str = "aws"


def parse(raw: Mapping[str, Any]) -> Observer:
    """Of a mapping with the fields of Observer. Raises PairError that names the field."""
    fields = {key: str(raw.get(key) or default) for key, default in
              (("name", ""), ("region", ""), ("account", "*"), ("program", ""), ("partition", "aws"))}  # fmt: skip
    for key, shape in (("name", r"[A-Za-z0-9_-]{1,50}"), ("region", r"[a-z0-9-]+"), ("account", r"\d{12}|\*"),
                       ("program", r"|[a-z0-9.-]+/[^*?]+")):  # fmt: skip
        if not re.fullmatch(shape, fields[key]):
            raise PairError(f"{key}: '{fields[key]}' is not one that a policy could name")
    return Observer(**fields)


def policy(observer: Observer, party: str) -> dict[str, Any]:
    """The least that `party` needs, as an IAM policy document. Raises PairError for an unknown party."""
    if party not in GRANTS:
        raise PairError(f"party: '{party}' is not one of {', '.join(PARTIES)}")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": grant.sid,
                "Effect": "Allow",
                "Action": list(grant.actions),
                "Resource": _resource(observer, grant.on),
                **(
                    {"Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}}
                    if grant.condition
                    else {}
                ),
            }
            for grant in GRANTS[party]
            if not grant.needs or observer.program
        ],
    }


def _resource(observer: Observer, on: str) -> str:
    def arn(service: str, rest: str) -> str:
        return f"arn:{observer.partition}:{service}:{observer.region}:{observer.account}:{rest}"

    return {
        "anything": "*",
        "queue": arn("sqs", observer.name),
        "dead": arn("sqs", f"{observer.name}-dead"),
        "log": arn("logs", f"log-group:/hotstandby/{observer.name}:*"),
        "group": arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{observer.name}"),
        "program": f"arn:{observer.partition}:s3:::{observer.program}",
    }[on]
