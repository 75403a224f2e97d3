# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Auto Scaling group that works a queue, with what makes it grow and shrink. Clients are handed in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ._ansible import ModuleFailure
from ._pair_store import Done
from .clients import error_code

NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")
PERIODS = (1, 5, 10, 20, 30)  # of an alarm, in seconds; or a multiple of 60
HOOK = "hand-back"
GREW = {"metric": "ApproximateNumberOfMessagesVisible", "statistic": "Maximum"}


@dataclass(frozen=True)
class Group:
    """What it shall be; times in seconds. `queue` is a name, `idle` the empty periods before it shrinks."""

    name: str
    template: str = ""
    subnets: tuple[str, ...] = ()
    least: int = 0
    most: int = 1
    queue: str = ""
    period: int = 60
    idle: int = 5
    warmup: int = 300
    finish: int = 120
    health: int = 300
    wait: float = 900.0
    force: bool = False


@dataclass(frozen=True)
class Clients:
    """boto3 clients of the two services."""

    scaling: Any
    alarms: Any


def check(wanted: Group) -> None:
    """Raise ModuleFailure that names the option which makes no sense."""

    def refuse(option: str, why: str) -> None:
        raise ModuleFailure(f"{option}: {why}", code="bad_option")

    if not NAME.fullmatch(wanted.name):
        refuse("name", f"'{wanted.name}' is not 1 to 50 letters, digits, hyphens and underscores")
    for option, value in (("launch_template", wanted.template), ("queue", wanted.queue)):
        if not value:
            refuse(option, "is needed with state=present")
    if not wanted.subnets:
        refuse("subnets", "at least one subnet is needed with state=present")
    if not 0 <= wanted.least <= wanted.most:
        refuse("min_size", f"{wanted.least} is not between 0 and max_size, {wanted.most}")
    if wanted.most < 1:
        refuse("max_size", "a group of nobody works nothing: at least 1")
    if wanted.period not in PERIODS and (wanted.period < 60 or wanted.period % 60):
        refuse("period", f"{wanted.period} is not 10, 20, 30 or a multiple of 60")
    if wanted.idle < 1 or wanted.idle * wanted.period > 86400:
        refuse("idle_periods", f"{wanted.idle} periods of {wanted.period} s are not between one and a day")
    if wanted.finish and not 30 <= wanted.finish <= 7200:
        refuse("finish_seconds", f"{wanted.finish} is neither 0 nor between 30 and 7200")


def ensure_group(
    clients: Clients,
    wanted: Group,
    present: bool,
    check_mode: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Done]:
    """Make everything as wanted, or remove it. Errors: ModuleFailure, and what the clients raise."""
    if not present:
        return _remove(clients, wanted, check_mode, sleep)
    check(wanted)
    parts = [_group(clients, wanted, check_mode), _hook(clients, wanted, check_mode)]
    arns: dict[str, str] = {}
    for way in ("out", "in"):
        policy, arns[way] = _policy(clients, wanted, way, check_mode)
        parts.append(policy)
    parts += [_alarm(clients, wanted, way, arns[way], check_mode) for way in ("out", "in")]
    return parts


def _settle(
    done: Done, check_mode: bool, make: Callable[[], object], change: Optional[Callable[[], object]] = None
) -> Done:
    """Make or change one thing where it is not as wanted."""
    if done.before == done.after:
        return done
    done.actions.append(f"{'update' if done.before else 'create'} {done.name}")
    if not check_mode:
        (change or make)() if done.before else make()
    return done


# -- the group itself


def _find(clients: Clients, name: str) -> Optional[Mapping[str, Any]]:
    found = clients.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return found[0] if found else None


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    template = found.get("LaunchTemplate") or {}
    return {
        "name": found["AutoScalingGroupName"],
        "launch_template": template.get("LaunchTemplateName", ""),
        "version": template.get("Version", ""),
        "min_size": found["MinSize"],
        "max_size": found["MaxSize"],
        "subnets": sorted(filter(None, (found.get("VPCZoneIdentifier") or "").split(","))),
        "health_check_period": found.get("HealthCheckGracePeriod", 0),
        "tag": next((tag["Value"] for tag in found.get("Tags") or () if tag["Key"] == "Name"), ""),
    }


def _group(clients: Clients, wanted: Group, check_mode: bool) -> Done:
    found = _find(clients, wanted.name)
    after = {
        "name": wanted.name,
        "launch_template": wanted.template,
        "version": "$Default",
        "min_size": wanted.least,
        "max_size": wanted.most,
        "subnets": sorted(wanted.subnets),
        "health_check_period": wanted.health,
        "tag": wanted.name,
    }
    # the number of instances is the alarms' matter: an update never says a word about it
    common = {
        "AutoScalingGroupName": wanted.name,
        "LaunchTemplate": {"LaunchTemplateName": wanted.template, "Version": "$Default"},
        "MinSize": wanted.least,
        "MaxSize": wanted.most,
        "VPCZoneIdentifier": ",".join(wanted.subnets),
        "HealthCheckGracePeriod": wanted.health,
    }
    tag = {
        "ResourceId": wanted.name,
        "ResourceType": "auto-scaling-group",
        "Key": "Name",
        "Value": wanted.name,
        "PropagateAtLaunch": True,
    }

    def change() -> None:
        clients.scaling.update_auto_scaling_group(**common)
        clients.scaling.create_or_update_tags(Tags=[tag])

    done = Done(f"group {wanted.name}", _shown(found) if found else {}, after)
    return _settle(
        done,
        check_mode,
        lambda: clients.scaling.create_auto_scaling_group(
            **common, DesiredCapacity=wanted.least, HealthCheckType="EC2", Tags=[tag]
        ),
        change,
    )


def _hook(clients: Clients, wanted: Group, check_mode: bool) -> Done:
    """Time for a worker that is to go to finish its message, or to give it back."""
    before: dict[str, Any] = {}
    try:
        found = clients.scaling.describe_lifecycle_hooks(
            AutoScalingGroupName=wanted.name, LifecycleHookNames=[HOOK]
        )["LifecycleHooks"]
    except Exception as error:
        if error_code(error) != "ValidationError":  # no such group yet
            raise
        found = []
    if found:
        before = {
            "name": HOOK,
            "transition": found[0]["LifecycleTransition"],
            "timeout": found[0]["HeartbeatTimeout"],
            "result": found[0]["DefaultResult"],
        }
    after: dict[str, Any] = {}
    if wanted.finish:
        after = {
            "name": HOOK,
            "transition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "timeout": wanted.finish,
            "result": "CONTINUE",
        }
    done = Done(f"lifecycle hook {HOOK}", before, after)
    if before and not after:
        done.actions.append(f"delete {done.name}")
        if not check_mode:
            clients.scaling.delete_lifecycle_hook(AutoScalingGroupName=wanted.name, LifecycleHookName=HOOK)
        return done
    return _settle(
        done,
        check_mode,
        lambda: clients.scaling.put_lifecycle_hook(
            AutoScalingGroupName=wanted.name,
            LifecycleHookName=HOOK,
            LifecycleTransition=after["transition"],
            HeartbeatTimeout=after["timeout"],
            DefaultResult=after["result"],
        ),
    )


# -- what makes it grow and shrink


def policy_call(wanted: Group, way: str) -> dict[str, Any]:
    """PutScalingPolicy: one more at a time while something waits, down to the least when nothing is left."""
    common = {"PolicyName": f"{wanted.name}-{way}", "AutoScalingGroupName": wanted.name, "PolicyType": "StepScaling",
              "MetricAggregationType": "Maximum"}  # fmt: skip
    if way == "out":
        # one that boots counts as one that is there, or each minute of its boot would add another
        return {**common, "AdjustmentType": "ChangeInCapacity", "EstimatedInstanceWarmup": wanted.warmup,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]}  # fmt: skip
    return {**common, "AdjustmentType": "ExactCapacity",
            "StepAdjustments": [{"MetricIntervalUpperBound": 0.0, "ScalingAdjustment": wanted.least}]}  # fmt: skip


def alarm_call(wanted: Group, way: str, policy: str) -> dict[str, Any]:
    """PutMetricAlarm. Grow when a message waits; shrink only when none waits and none is at work."""

    def queued(metric: str) -> dict[str, Any]:
        return {"Namespace": "AWS/SQS", "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": wanted.queue}]}  # fmt: skip

    common = {"AlarmName": f"{wanted.name}-{way}", "AlarmActions": [policy], "ActionsEnabled": True}
    if way == "out":
        return {
            **common,
            **queued(GREW["metric"]),
            "AlarmDescription": f"Messages wait in {wanted.queue}: one more worker",
            "Statistic": GREW["statistic"],
            "Period": wanted.period,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
    metrics = [
        {"Id": name, "MetricStat": {"Metric": queued(metric), "Period": wanted.period, "Stat": "Maximum"},
         "ReturnData": False}
        for name, metric in (("visible", "ApproximateNumberOfMessagesVisible"),
                             ("working", "ApproximateNumberOfMessagesNotVisible"))
    ]  # fmt: skip
    return {
        **common,
        "AlarmDescription": f"Nothing waits in {wanted.queue} and nothing is at work",
        "Metrics": [
            *metrics,
            {
                "Id": "left",
                "Expression": "visible + working",
                "Label": "waiting or at work",
                "ReturnData": True,
            },
        ],
        "EvaluationPeriods": wanted.idle,
        "DatapointsToAlarm": wanted.idle,
        "Threshold": 1.0,
        "ComparisonOperator": "LessThanThreshold",
        # no data is no proof that nothing is at work
        "TreatMissingData": "missing",
    }


def _policy(clients: Clients, wanted: Group, way: str, check_mode: bool) -> tuple[Done, str]:
    """The policy, and its ARN; of one that would be made, its name."""
    call = policy_call(wanted, way)
    try:
        found = clients.scaling.describe_policies(
            AutoScalingGroupName=wanted.name, PolicyNames=[call["PolicyName"]]
        )["ScalingPolicies"]
    except Exception as error:
        if error_code(error) != "ValidationError":  # no such group yet
            raise
        found = []
    before = {key: found[0].get(key) for key in call} if found else {}
    arn = found[0]["PolicyARN"] if found else call["PolicyName"]
    done = Done(f"scaling policy {call['PolicyName']}", before, call)
    made: list[str] = []
    _settle(done, check_mode, lambda: made.append(clients.scaling.put_scaling_policy(**call)["PolicyARN"]))
    return done, made[0] if made else arn


def _alarm(clients: Clients, wanted: Group, way: str, policy: str, check_mode: bool) -> Done:
    call = alarm_call(wanted, way, policy)
    found = clients.alarms.describe_alarms(AlarmNames=[call["AlarmName"]])["MetricAlarms"]
    before = {}
    if found:
        before = {key: found[0].get(key) for key in call}
        if "Metrics" in call:
            kept = {metric["Id"]: set(metric) for metric in call["Metrics"]}
            before["Metrics"] = [
                {key: value for key, value in metric.items() if key in kept.get(metric["Id"], metric)}
                for metric in before["Metrics"] or ()
            ]
    return _settle(
        Done(f"alarm {call['AlarmName']}", before, call),
        check_mode,
        lambda: clients.alarms.put_metric_alarm(**call),
    )


# -- the end of it


def _remove(clients: Clients, wanted: Group, check_mode: bool, sleep: Callable[[float], None]) -> list[Done]:
    names = [f"{wanted.name}-{way}" for way in ("out", "in")]
    alarms = [
        alarm["AlarmName"] for alarm in clients.alarms.describe_alarms(AlarmNames=names)["MetricAlarms"]
    ]
    found = _find(clients, wanted.name)
    group = Done(f"group {wanted.name}", _shown(found) if found else {}, {})
    busy = sorted(
        one["InstanceId"] for one in (found or {}).get("Instances") or () if one.get("ProtectedFromScaleIn")
    )
    if busy and not wanted.force:
        raise ModuleFailure(
            f"group {wanted.name}: {', '.join(busy)} work{'s' if len(busy) == 1 else ''} a message. Nothing was removed. Wait, or "
            "say force: true; then the message is given back or shown again, and worked by nobody until there are workers",
            code="group_busy",
        )
    warned = Done("alarms", {"names": alarms} if alarms else {}, {})
    if alarms:
        warned.actions.append(f"delete alarms {', '.join(alarms)}")
        if not check_mode:
            clients.alarms.delete_alarms(AlarmNames=alarms)
    if found:
        group.actions.append(f"delete {group.name}")
        if not check_mode:
            # its policies and its hook go with it
            clients.scaling.delete_auto_scaling_group(AutoScalingGroupName=wanted.name, ForceDelete=True)
            _gone(clients, wanted, sleep)
    return [group, warned]


def _gone(clients: Clients, wanted: Group, sleep: Callable[[float], None]) -> None:
    """Wait: instances that still run use the profile and the security groups that somebody may remove next."""
    end = time.monotonic() + wanted.wait
    while _find(clients, wanted.name) is not None:
        if time.monotonic() >= end:
            raise ModuleFailure(
                f"group {wanted.name}: its instances have not ended after {wanted.wait:.0f} s (wait_timeout)",
                code="group_remains",
            )
        sleep(2.0)
