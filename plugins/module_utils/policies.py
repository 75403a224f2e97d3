# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each party of a pair may do in AWS, as data, and the IAM policy document that says it.

The Lambda function's own role is made, with its policy, by the role failover_automation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import document
from .checks import PairError
from .event import function_name
from .handover import rules_of
from .health import NAMESPACE, PUBLISHED
from .pair import PairSpec

PARTIES = ("controller", "viewer", "deployer", "drill", "node")


@dataclass(frozen=True)
class Grant:
    """Actions on the same resources. `on`: table, document, commands, instances, address, interfaces, zones,
    target_groups, function, rules, bucket, taken (requests in work), waiting (requests that wait), anything.

    `needs` is what the pair must have for it: "" (always), ec2_stop, requeue, fast (the profile), published_metric, or a kind
    of redirect. `condition`: "", pair (items of this pair only), namespace (our metrics only) or published (those only).
    """

    sid: str
    actions: tuple[str, ...]
    on: str
    condition: str = ""
    needs: str = ""


LOOK = (
    Grant("ReadRecord", ("dynamodb:GetItem", "dynamodb:Query"), "table", "pair"),
    Grant("AskNodes", ("ssm:SendCommand",), "commands"),
    Grant("HearNodes", ("ssm:ListCommandInvocations", "ssm:GetCommandInvocation"), "anything"),
)
MOVE = (
    *LOOK,
    Grant("WriteRecord", ("dynamodb:PutItem", "dynamodb:UpdateItem"), "table", "pair"),
    Grant("KnowTable", ("dynamodb:DescribeTable",), "table"),
    Grant("EndCommands", ("ssm:CancelCommand", "ssm:DescribeInstanceInformation"), "anything"),
    Grant("Fence", ("ec2:StopInstances",), "instances", needs="ec2_stop"),
    Grant("KnowInstances", ("ec2:DescribeInstances", "ec2:DescribeInstanceAttribute"), "anything"),
    Grant("KnowAddress", ("ec2:DescribeAddresses",), "anything", needs="elastic_ip"),
    Grant("MoveAddress", ("ec2:AssociateAddress",), "address", needs="elastic_ip"),
    Grant("KnowInterfaces", ("ec2:DescribeNetworkInterfaces",), "anything", needs="private_ip"),
    Grant("MovePrivateAddress", ("ec2:AssignPrivateIpAddresses",), "interfaces", needs="private_ip"),
    Grant("KnowRoutes", ("ec2:DescribeRouteTables",), "anything", needs="route_table"),
    Grant("MoveRoute", ("ec2:ReplaceRoute", "ec2:CreateRoute"), "route_tables", needs="route_table"),
    Grant(
        "MoveName",
        ("route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets"),
        "zones",
        needs="route53",
    ),
    Grant("KnowTargets", ("elasticloadbalancing:DescribeTargetHealth",), "anything", needs="target_group"),
    Grant(
        "MoveTarget",
        ("elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"),
        "target_groups",
        needs="target_group",
    ),
    Grant("KnowAlarm", ("cloudwatch:DescribeAlarmsForMetric", "cloudwatch:GetMetricStatistics"), "anything"),
    Grant("TellMetric", ("cloudwatch:PutMetricData",), "anything", "namespace"),
    Grant("ListRequests", ("s3:ListBucket",), "bucket", needs="requeue"),
    Grant(
        "TakeRequests", ("s3:GetObject", "s3:GetObjectTagging", "s3:DeleteObject"), "taken", needs="requeue"
    ),
    Grant("PutRequests", ("s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"), "waiting", needs="requeue"),
)
POWER_ON = Grant("PowerOn", ("ec2:StartInstances",), "instances", needs="ec2_stop")  # only rejoin
GRANTS: dict[str, tuple[Grant, ...]] = {
    "controller": (*MOVE, POWER_ON),
    "viewer": LOOK,
    "deployer": (
        *MOVE,
        POWER_ON,
        Grant("RemoveRecord", ("dynamodb:DeleteItem",), "table", "pair"),
        Grant(
            "MakeTable",
            (
                "dynamodb:CreateTable",
                "dynamodb:UpdateTable",
                "dynamodb:DescribeContinuousBackups",
                "dynamodb:UpdateContinuousBackups",
            ),
            "table",
        ),
        Grant(
            "MakeDocument",
            (
                "ssm:GetDocument",
                "ssm:CreateDocument",
                "ssm:UpdateDocument",
                "ssm:UpdateDocumentDefaultVersion",
                "ssm:DescribeDocument",
            ),
            "document",
        ),
    ),
    "drill": (
        *MOVE,
        Grant(
            "TryFunction",
            ("lambda:GetFunctionConfiguration", "lambda:GetPolicy", "lambda:InvokeFunction"),
            "function",
        ),
        Grant("KnowRules", ("events:DescribeRule", "events:ListTargetsByRule"), "rules"),
        Grant("KnowPeople", ("sns:ListSubscriptionsByTopic",), "anything"),
    ),
    # a node stops no instance and orders no other node
    "node": (
        Grant("ReadRecord", ("dynamodb:GetItem",), "table", "pair"),
        Grant("OwnHeartbeat", ("dynamodb:PutItem",), "table", "pair"),
        Grant("TellMetric", ("cloudwatch:PutMetricData",), "anything", "namespace"),
        Grant("TellPublished", ("cloudwatch:PutMetricData",), "anything", "published", "published_metric"),
        Grant("CallFunction", ("lambda:InvokeFunction",), "function", needs="fast"),
    ),
}


def rights(party: str) -> set[str]:
    """Every action that this party may ever need, as service:Action. Raises PairError for an unknown party."""
    if party not in GRANTS:
        raise PairError(f"party: '{party}' is not one of {', '.join(PARTIES)}")
    return {action for grant in GRANTS[party] for action in grant.actions}


def policy(pair: PairSpec, party: str, account: str = "*", partition: str = "aws") -> dict[str, Any]:
    """The least that `party` needs for this pair, as an IAM policy document. Raises PairError."""
    rights(party)
    has = {pair.fencing.method, pair.profile, *(str(entry["kind"]) for entry in pair.redirect)}
    has |= {"requeue"} if pair.requeue else set()
    has |= {"published_metric"} if pair.published_metric else set()
    statements = [
        {
            "Sid": grant.sid,
            "Effect": "Allow",
            "Action": list(grant.actions),
            "Resource": _resources(pair, grant.on, account, partition),
            **_condition(pair, grant.condition),
        }
        for grant in GRANTS[party]
        if not grant.needs or grant.needs in has
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _resources(pair: PairSpec, on: str, account: str, partition: str) -> Any:
    def arn(service: str, rest: str) -> str:
        return f"arn:{partition}:{service}:{pair.region}:{account}:{rest}"

    ids = [node.instance_id for node in pair.nodes]
    instances = [
        arn("ssm", f"managed-instance/{one}") if one.startswith("mi-") else arn("ec2", f"instance/{one}")
        for one in ids
    ]
    addresses = [
        arn("ec2", f"elastic-ip/{entry['allocation_id']}")
        for entry in pair.redirect
        if entry["kind"] == "elastic_ip"
    ]
    name = function_name(pair.name)
    requests = f"arn:{partition}:s3:::{(pair.requeue or {}).get('bucket')}"
    prefixes = rules_of(pair) if pair.requeue else None
    return {
        "anything": "*",
        "function": [arn("lambda", f"function:{name}")],
        "rules": [arn("events", f"rule/{name}-{kind}") for kind in ("alarm", "reconcile")],
        "bucket": [requests],
        "taken": [f"{requests}/{prefixes.source_prefix}*"] if prefixes else [],
        "waiting": [f"{requests}/{prefixes.target_prefix}*"] if prefixes else [],
        "table": [arn("dynamodb", f"table/{pair.table}")],
        "document": [arn("ssm", f"document/{document.NAME}")],
        "commands": [arn("ssm", f"document/{document.NAME}"), *instances],
        "instances": instances,
        "address": [*addresses, *instances, arn("ec2", "network-interface/*")],
        "interfaces": [arn("ec2", "network-interface/*")],
        "route_tables": [
            arn("ec2", f"route-table/{entry['route_table_id']}")
            for entry in pair.redirect
            if entry["kind"] == "route_table"
        ],
        "zones": [
            f"arn:{partition}:route53:::hostedzone/{entry['zone_id']}"
            for entry in pair.redirect
            if entry["kind"] == "route53"
        ],
        "target_groups": [
            entry["target_group_arn"] for entry in pair.redirect if entry["kind"] == "target_group"
        ],
    }[on]


def _condition(pair: PairSpec, kind: str) -> dict[str, Any]:
    if kind == "pair":
        return {"Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [pair.name]}}}
    if kind == "namespace":
        return {"Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}}
    if kind == "published":
        return {"Condition": {"StringEquals": {"cloudwatch:namespace": PUBLISHED}}}
    return {}
