# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schedule of EventBridge Scheduler that makes one AWS call each time: look, then make the difference. The client is handed in."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._ansible import ModuleFailure
from ._pair_store import Done
from .clients import error_code

NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
EXPRESSION = re.compile(r"(rate|cron|at)\([^()]+\)")
ACTION = re.compile(r"[a-z0-9]+:[a-z][A-Za-z0-9]+")
ROLE = re.compile(r"arn:([a-z-]+):iam::\d{12}:role/.+")
ATTEMPTS = 185  # what Scheduler itself tries at most, within the time given


@dataclass(frozen=True)
class Schedule:
    """What it shall be. `action` as service:method in the API's spelling, `input` its parameters; `retry` and times in seconds,
    `window` in minutes (0: at the very minute)."""

    name: str
    group: str = "default"
    expression: str = ""
    timezone: str = "UTC"
    action: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    role_arn: str = ""
    enabled: bool = True
    window: int = 0
    retry: int = 86400
    dead_letter_arn: str = ""
    description: str = ""


def check(wanted: Schedule) -> None:
    """Raise ModuleFailure that names the option which Scheduler would not take."""
    for option, value, pattern, shape in (
        ("name", wanted.name, NAME, "1 to 64 letters, digits, dots, hyphens and underscores"),
        ("schedule", wanted.expression, EXPRESSION, "rate(...), cron(...) or at(...)"),
        ("action", wanted.action, ACTION, "service:method as the AWS SDK spells it, such as sqs:sendMessage"),
        ("role_arn", wanted.role_arn, ROLE, "the ARN of an IAM role"),
    ):
        if not pattern.fullmatch(value):
            raise ModuleFailure(f"{option}: '{value}' is not {shape}", code="bad_option")
    if not 60 <= wanted.retry <= 86400:
        raise ModuleFailure(f"retry_seconds: {wanted.retry} is not between 60 and 86400", code="bad_option")
    if not 0 <= wanted.window <= 1440:
        raise ModuleFailure(f"window_minutes: {wanted.window} is not between 0 and 1440", code="bad_option")


def call(wanted: Schedule) -> dict[str, Any]:
    """The parameters of CreateSchedule and UpdateSchedule."""
    found = ROLE.fullmatch(wanted.role_arn)
    partition = found[1] if found else "aws"
    target: dict[str, Any] = {
        "Arn": f"arn:{partition}:scheduler:::aws-sdk:{wanted.action}",
        "RoleArn": wanted.role_arn,
        "Input": json.dumps(dict(wanted.input), sort_keys=True, ensure_ascii=False),
        "RetryPolicy": {"MaximumEventAgeInSeconds": wanted.retry, "MaximumRetryAttempts": ATTEMPTS},
    }
    if wanted.dead_letter_arn:
        target["DeadLetterConfig"] = {"Arn": wanted.dead_letter_arn}
    window: dict[str, Any] = {"Mode": "OFF"}
    if wanted.window:
        window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": wanted.window}
    return {
        "Name": wanted.name,
        "GroupName": wanted.group,
        "ScheduleExpression": wanted.expression,
        "ScheduleExpressionTimezone": wanted.timezone,
        "State": "ENABLED" if wanted.enabled else "DISABLED",
        "Description": wanted.description,
        "FlexibleTimeWindow": window,
        "Target": target,
    }


def shape(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule for people and for comparison, of an answer or of a call; whatever else AWS tells is left out."""
    target = raw.get("Target") or {}
    try:
        given = json.loads(target.get("Input") or "{}")
    except ValueError:
        given = target.get("Input")
    retry = target.get("RetryPolicy") or {}
    return {
        "name": raw.get("Name", ""),
        "group": raw.get("GroupName") or "default",
        "schedule": raw.get("ScheduleExpression", ""),
        "timezone": raw.get("ScheduleExpressionTimezone") or "UTC",
        "state": raw.get("State", ""),
        "description": raw.get("Description") or "",
        "window_minutes": (raw.get("FlexibleTimeWindow") or {}).get("MaximumWindowInMinutes") or 0,
        "target": target.get("Arn", ""),
        "role_arn": target.get("RoleArn", ""),
        "input": given,
        "retry_seconds": retry.get("MaximumEventAgeInSeconds", 86400),
        "dead_letter_arn": (target.get("DeadLetterConfig") or {}).get("Arn", ""),
    }


def ensure_schedule(client: Any, wanted: Schedule, present: bool, check_mode: bool) -> Done:
    """Make the schedule as wanted, or remove it. Errors: ModuleFailure, and what the client raises."""
    if present:
        check(wanted)
    before: dict[str, Any] = {}
    try:
        before = shape(client.get_schedule(Name=wanted.name, GroupName=wanted.group))
    except Exception as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
    if not present:
        done = Done("schedule", before, {})
        if before:
            done.actions.append(f"delete schedule {wanted.name}")
            if not check_mode:
                client.delete_schedule(Name=wanted.name, GroupName=wanted.group)
        return done
    arguments = call(wanted)
    done = Done("schedule", before, shape(arguments))
    if before == done.after:
        return done
    done.actions.append(f"{'update' if before else 'create'} schedule {wanted.name}")
    if not check_mode:
        # an update replaces the whole schedule, as a creation does
        (client.update_schedule if before else client.create_schedule)(**arguments)
    return done


def purge(client: Any, group: str, prefix: str, keep: Collection[str], check_mode: bool) -> Done:
    """Remove every schedule of the group whose name begins so and is not one to keep."""
    names: list[str] = []
    more: dict[str, str] = {}
    while True:
        found = client.list_schedules(GroupName=group, NamePrefix=prefix, **more)
        names += [one["Name"] for one in found["Schedules"]]
        if not found.get("NextToken"):
            break
        more = {"NextToken": found["NextToken"]}
    # whatever a prefix means to the service, nothing else is ever removed
    old = sorted(name for name in names if name.startswith(prefix) and name not in keep)
    done = Done("schedules", {"names": old} if old else {}, {})
    for name in old:
        done.actions.append(f"delete schedule {name}")
        if not check_mode:
            client.delete_schedule(Name=name, GroupName=group)
    return done
