# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which service and action a request means, what it touches, and whether the sandbox knows how to answer it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .http import HttpRequest
from .rest import lambda_action, route53_action, scheduler_action

READS = re.compile(r"(Describe|Get|List|Head)|(Query|Scan)$|(BatchGet|TransactGet|Lookup)")
NODE_DOCUMENT = "HotStandbyNode"

# signing name -> actions that were checked against the service's documentation; everything else answers 501
_KNOWN: dict[str, str] = {
    "dynamodb": (
        "CreateTable DescribeTable DeleteTable UpdateTable ListTables TagResource UntagResource ListTagsOfResource "
        "GetItem PutItem UpdateItem DeleteItem Query Scan BatchGetItem BatchWriteItem TransactGetItems "
        "TransactWriteItems UpdateTimeToLive DescribeTimeToLive UpdateContinuousBackups "
        "DescribeContinuousBackups"
    ),
    "sts": "GetCallerIdentity",
    "ec2": (
        "RunInstances StartInstances StopInstances RebootInstances TerminateInstances DescribeInstances "
        "DescribeInstanceStatus DescribeInstanceAttribute ModifyInstanceAttribute DescribeInstanceTypes "
        "AllocateAddress ReleaseAddress AssociateAddress DisassociateAddress DescribeAddresses "
        "CreateSubnet DescribeSubnets CreateVpc DescribeVpcs DescribeNetworkInterfaces DescribeSecurityGroups "
        "CreateTags DeleteTags DescribeTags DescribeRegions DescribeAvailabilityZones DescribeImages "
        "DescribeVolumes DescribeRouteTables CreateRouteTable CreateRoute ReplaceRoute DescribeInternetGateways "
        "AssignPrivateIpAddresses UnassignPrivateIpAddresses CreateLaunchTemplate CreateLaunchTemplateVersion "
        "DescribeLaunchTemplates DescribeLaunchTemplateVersions ModifyLaunchTemplate DeleteLaunchTemplate "
        "DeleteLaunchTemplateVersions"
    ),
    "ssm": (
        "CreateDocument UpdateDocument UpdateDocumentDefaultVersion DeleteDocument DescribeDocument GetDocument "
        "ListDocuments SendCommand GetCommandInvocation ListCommandInvocations ListCommands CancelCommand "
        "DescribeInstanceInformation PutParameter GetParameter GetParameters GetParametersByPath DeleteParameter "
        "DeleteParameters DescribeParameters GetParameterHistory AddTagsToResource RemoveTagsFromResource "
        "ListTagsForResource"
    ),
    "monitoring": (
        "PutMetricData GetMetricStatistics ListMetrics PutMetricAlarm DescribeAlarms DescribeAlarmsForMetric "
        "SetAlarmState DeleteAlarms EnableAlarmActions DisableAlarmActions TagResource UntagResource "
        "ListTagsForResource"
    ),
    "s3": (
        "ListBuckets CreateBucket HeadBucket DeleteBucket ListObjects ListObjectsV2 GetObject HeadObject PutObject "
        "CopyObject DeleteObject DeleteObjects GetBucketLocation PutBucketVersioning GetBucketVersioning "
        "ListObjectVersions GetObjectTagging PutObjectTagging CreateMultipartUpload UploadPart UploadPartCopy "
        "CompleteMultipartUpload AbortMultipartUpload ListMultipartUploads ListParts GetBucketOwnershipControls"
    ),
}
_KNOWN |= {
    "lambda": (
        "ListFunctions CreateFunction GetFunction DeleteFunction GetFunctionConfiguration UpdateFunctionConfiguration "
        "UpdateFunctionCode GetPolicy AddPermission RemovePermission Invoke ListVersionsByFunction ListTags TagResource "
        "UntagResource"
    ),
    "events": (
        "PutRule DescribeRule ListRules DeleteRule EnableRule DisableRule PutTargets ListTargetsByRule RemoveTargets "
        "ListTagsForResource TagResource UntagResource"
    ),
    "sns": (
        "CreateTopic DeleteTopic ListTopics GetTopicAttributes SetTopicAttributes Publish Subscribe Unsubscribe "
        "ListSubscriptionsByTopic ListSubscriptions ListTagsForResource TagResource UntagResource"
    ),
    "sqs": (
        "CreateQueue DeleteQueue GetQueueUrl ListQueues GetQueueAttributes SetQueueAttributes SendMessage ReceiveMessage "
        "SendMessageBatch DeleteMessage DeleteMessageBatch ChangeMessageVisibility PurgeQueue ListQueueTags TagQueue UntagQueue"
    ),
    "logs": (
        "CreateLogGroup DescribeLogGroups DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy ListTagsForResource "
        "ListTagsLogGroup TagResource UntagResource CreateLogStream DescribeLogStreams PutLogEvents GetLogEvents "
        "FilterLogEvents"
    ),
    "route53": (
        "CreateHostedZone ListHostedZones GetHostedZone DeleteHostedZone ListResourceRecordSets ChangeResourceRecordSets"
    ),
    "elasticloadbalancing": (
        "CreateTargetGroup DescribeTargetGroups DeleteTargetGroup RegisterTargets DeregisterTargets DescribeTargetHealth"
    ),
    "iam": (
        "ListAccountAliases CreateRole GetRole DeleteRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy ListRoles ListRolePolicies "
        "GetRolePolicy PutRolePolicy DeleteRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRoleTags "
        "TagRole UntagRole PutRolePermissionsBoundary DeleteRolePermissionsBoundary CreateInstanceProfile "
        "GetInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile"
    ),
    "scheduler": "ListSchedules GetSchedule CreateSchedule UpdateSchedule DeleteSchedule",
    "autoscaling": (
        "CreateAutoScalingGroup UpdateAutoScalingGroup DeleteAutoScalingGroup DescribeAutoScalingGroups "
        "DescribeAutoScalingInstances SetDesiredCapacity SetInstanceProtection PutLifecycleHook DescribeLifecycleHooks "
        "DeleteLifecycleHook CompleteLifecycleAction RecordLifecycleActionHeartbeat PutScalingPolicy DescribePolicies "
        "DeletePolicy ExecutePolicy CreateOrUpdateTags DescribeTags DeleteTags"
    ),
}
KNOWN = {service: frozenset(names.split()) for service, names in _KNOWN.items()}

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request")
_RPC = re.compile(r"^/service/[^/]+/operation/([A-Za-z0-9]+)/?$")
_MAX_TARGET = 200


@dataclass(frozen=True)
class Asked:
    """What a request asks for. `protocol`: json | query | ec2 | cbor | s3; the form that an error takes."""

    key: str
    region: str
    service: str
    action: str
    protocol: str
    target: str
    write: bool

    @property
    def base(self) -> str:
        """The action as AWS names it."""
        return self.action.partition(":")[0]


def credential(request: HttpRequest) -> tuple[str, str, str]:
    """(access key, region, service) of a signed or presigned request; empty strings when there is none."""
    text = request.headers.get("authorization", "")
    if not text and "X-Amz-Credential=" in request.query_string:
        text = "Credential=" + request.query.get("X-Amz-Credential", "")
    if not text and "AWSAccessKeyId=" in request.query_string:
        return (
            request.query.get("AWSAccessKeyId", ""),
            "",
            "s3",
        )  # presigned the older way, as boto3 still does
    found = _CREDENTIAL.search(text)
    return (found[1], found[2], found[3].lower()) if found else ("", "", "")


def resolve(request: HttpRequest) -> Asked:
    """Read a request. The action is "" when it cannot be told."""
    key, region, service = credential(request)
    rpc = _RPC.match(request.path)
    target = request.headers.get("x-amz-target", "")
    if rpc:
        return Asked(key, region, service, rpc[1], "cbor", "", _writes(rpc[1]))
    if target:
        return _json(request, key, region, service, target.rpartition(".")[2])
    if service == "lambda":
        action, touched = lambda_action(request.method, request.path)
        return Asked(key, region, service, action, "json", touched[:_MAX_TARGET], _writes(action))
    if service == "route53":
        action, touched = route53_action(request.method, request.path)
        return Asked(key, region, service, action, "query", touched, _writes(action))
    if service == "scheduler":
        action, touched = scheduler_action(request.method, request.path)
        return Asked(key, region, service, action, "json", touched, _writes(action))
    if service in ("s3", ""):
        action, touched = _s3(request)
        return Asked(key, region, service or "s3", action, "s3", touched, _writes(action))
    form = request.query
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        form = {**form, **dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))}
    action = form.get("Action") or f"{request.method} {request.path}"
    touched = ",".join(
        value
        for name, value in form.items()
        if re.match(r"(InstanceId|AllocationId|ResourceId|AlarmName)", name)
    )
    write = _writes(action)
    if service == "ec2" and form.get("DryRun", "").lower() == "true":
        action, write = f"{action}:DryRun", False
    # what has no Action is one of the REST services, and those want JSON
    protocol = "ec2" if service == "ec2" else "query" if "Action" in form else "json"
    return Asked(key, region, service, action, protocol, touched[:_MAX_TARGET], write)


def _writes(action: str) -> bool:
    return READS.match(action) is None


def _json(request: HttpRequest, key: str, region: str, service: str, action: str) -> Asked:
    write = _writes(action)
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    touched = _touched(service, body)
    if service == "ssm" and action == "SendCommand" and body.get("DocumentName") == NODE_DOCUMENT:
        parameters = body.get("Parameters")
        if isinstance(parameters, dict) and parameters.get("Action") == ["look"]:
            action, write = "SendCommand:look", False
    return Asked(key, region, service, action, "json", touched[:_MAX_TARGET], write)


def _touched(service: str, body: dict[str, Any]) -> str:
    """The short name of what a JSON request is about: table/key, instance ids, command or document."""
    if service == "dynamodb":
        values = body.get("Key") or body.get("Item") or {}
        # of an item only strings of likely keys, which are few and short
        keys = [f"{name}={value['S']}" for name, value in values.items() if _short_string(value)]
        wanted = [text for text in keys if text.startswith(("pair=", "item="))] or keys[:2]
        return "/".join([str(body.get("TableName", "")), *([",".join(sorted(wanted))] if wanted else [])])
    if service == "ssm":
        ids = list(body.get("InstanceIds") or [])
        for one in body.get("Targets") or []:
            ids.extend(one.get("Values") or [])
        parts = [
            body.get("CommandId"),
            body.get("DocumentName") or body.get("Name"),
            *ids,
            body.get("InstanceId"),
        ]
        return ",".join(str(part) for part in parts if part)
    return ""


def _short_string(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("S"), str) and len(value["S"]) <= 80


_SUBRESOURCES = {
    "location": {"GET": "GetBucketLocation"},
    "versioning": {"GET": "GetBucketVersioning", "PUT": "PutBucketVersioning"},
    "delete": {"POST": "DeleteObjects"},
    "ownershipControls": {"GET": "GetBucketOwnershipControls"},
    "versions": {"GET": "ListObjectVersions"},
    "uploads": {"GET": "ListMultipartUploads"},
}
_OF_OBJECTS = {
    "tagging": {"GET": "GetObjectTagging", "PUT": "PutObjectTagging"},
    "uploads": {"POST": "CreateMultipartUpload"},
    "uploadId": {
        "PUT": "UploadPart",
        "POST": "CompleteMultipartUpload",
        "DELETE": "AbortMultipartUpload",
        "GET": "ListParts",
    },
}
_PLAIN = {"list-type", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token",
          "start-after", "fetch-owner", "AWSAccessKeyId", "Signature", "Expires", "x-id", "versionId", "partNumber",
          "key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker"}  # fmt: skip


def _s3(request: HttpRequest) -> tuple[str, str]:
    bucket, _slash, key = request.path.lstrip("/").partition("/")
    method, query = request.method, request.query
    touched = f"{bucket}/{key}" if key else bucket
    extra = [
        name for name in query if name not in _PLAIN and not name.lower().startswith(("x-amz-", "response-"))
    ]
    if extra:
        kinds = _OF_OBJECTS if key else _SUBRESOURCES
        named = kinds.get(extra[0], {}).get(method) if len(extra) == 1 else None
        if named == "UploadPart" and "x-amz-copy-source" in request.headers:
            named = "UploadPartCopy"
        return named or f"{method}?{'&'.join(sorted(extra))}", touched
    if not bucket:
        return ("ListBuckets" if method == "GET" else method), touched
    if not key:
        listing = "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects"
        names = {"GET": listing, "PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
        return names.get(method, method), touched
    if method == "PUT" and "x-amz-copy-source" in request.headers:
        return "CopyObject", touched
    names = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
    return names.get(method, method), touched


def known(asked: Asked) -> bool:
    """Whether the sandbox answers this as AWS would."""
    return asked.base in KNOWN.get(asked.service, ())
