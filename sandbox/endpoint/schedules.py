# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EventBridge Scheduler: due schedules make their call, with the rights of their role and of nobody else."""

from __future__ import annotations

import fnmatch
import json
import re
import time
import uuid
import zoneinfo
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .model import ACCOUNT

if TYPE_CHECKING:
    from . import Endpoint

RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
CRON = re.compile(r"cron\(([^\s()]+ ){5}[^\s()]+\)")
UNIVERSAL = re.compile(r"arn:[a-z-]+:scheduler:::aws-sdk:([a-z0-9]+):([A-Za-z0-9]+)")


class Schedules:
    """Fires what is due. rate() counts in the ticker's minutes; cron() fires only when a tester says so (`fire`).

    `fired` lists (epoch seconds, schedule, "" or why it failed).
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._due: dict[str, float] = {}
        self.fired: list[tuple[float, str, str]] = []

    def forget(self) -> None:
        """Nothing was due yet."""
        self._due.clear()
        self.fired.clear()

    def tick(self, now: float, minute: float) -> None:
        """Fire what has come due since the last tick."""
        for backend, schedule in self._all():
            if schedule.state != "ENABLED":
                continue
            rate = RATE.fullmatch(schedule.schedule_expression)
            if rate:
                each = int(rate[1]) * minute * {"m": 1, "h": 60, "d": 1440}[rate[2][0]]
                if now >= self._due.setdefault(schedule.arn, now + each):
                    self._due[schedule.arn] = now + each
                    self._fire(backend.region_name, schedule, now)
            found = AT.fullmatch(schedule.schedule_expression)
            if found and schedule.arn not in self._due:
                zone = zoneinfo.ZoneInfo(schedule.schedule_expression_timezone)
                if now >= datetime.fromisoformat(found[1]).replace(tzinfo=zone).timestamp():
                    self._due[schedule.arn] = now
                    self._fire(backend.region_name, schedule, now)

    def fire(self, name: str) -> None:
        """Its time has come, whatever the clock says. Raises KeyError."""
        for backend, schedule in self._all():
            if schedule.name == name:
                self._fire(backend.region_name, schedule, time.time())
                return
        raise KeyError(name)

    def _all(self) -> list[tuple[Any, Any]]:
        from .mended import regions

        with self._endpoint.moto.lock("scheduler"):
            return [
                (backend, schedule)
                for backend in regions("scheduler")
                for group in backend.schedule_groups.values()
                for schedule in group.schedules.values()
            ]

    def _fire(self, region: str, schedule: Any, now: float) -> None:
        target = schedule.target
        stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = str(target.get("Input") or "{}")
        for name, value in (("scheduled-time", stamp), ("schedule-arn", schedule.arn), ("execution-id", str(uuid.uuid4())),
                            ("attempt-number", "1")):  # fmt: skip
            text = text.replace(f"<aws.scheduler.{name}>", value)
        try:
            self._call(region, target, json.loads(text))
            why = ""
        except (LookupError, PermissionError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            self._dead(region, (target.get("DeadLetterConfig") or {}).get("Arn"), text, why)
        self.fired.append((now, schedule.name, why))

    def _call(self, region: str, target: dict[str, Any], given: dict[str, Any]) -> None:
        found = UNIVERSAL.fullmatch(target["Arn"])
        call = f"{found[1]}:{found[2]}" if found else target["Arn"]
        if call == "sqs:sendMessage":
            queue = self._queue(region, given["QueueUrl"].rpartition("/")[2])
            self._allow(target["RoleArn"], "sqs:SendMessage", queue.queue_arn)
            self._send(region, queue, given["MessageBody"], given.get("MessageAttributes") or {})
        elif call == "autoscaling:executePolicy":
            group = self._group(region, given["AutoScalingGroupName"])
            self._allow(target["RoleArn"], "autoscaling:ExecutePolicy", group.arn)
            if not self._endpoint.groups.execute(
                region, given["PolicyName"], given["MetricValue"] - given["BreachThreshold"]
            ):
                raise LookupError(f"policy {given['PolicyName']} not found")
        else:
            self._endpoint.unimplemented.append(f"scheduler:target ({call})")

    def _group(self, region: str, name: str) -> Any:
        from .mended import backend

        with self._endpoint.moto.lock("autoscaling"):
            return backend("autoscaling", region).autoscaling_groups[name]

    def _queue(self, region: str, name: str) -> Any:
        from .mended import backend

        with self._endpoint.moto.lock("sqs"):
            return backend("sqs", region).queues[name]

    def _send(self, region: str, queue: Any, body: str, attributes: dict[str, Any]) -> None:
        from .mended import backend

        for name, value in attributes.items():
            if value.get("DataType") != "String" or not value.get("StringValue"):
                raise ValueError(f"MessageAttributes: {name} is no string that is not empty")
        given = {
            name: {"DataType": "String", "StringValue": value["StringValue"]}
            for name, value in attributes.items()
        }
        with self._endpoint.moto.lock("sqs"):
            backend("sqs", region).send_message(queue.name, body, given)

    def _dead(self, region: str, arn: str | None, text: str, why: str) -> None:
        if arn:
            queue = self._queue(region, arn.rpartition(":")[2])
            self._send(region, queue, text, {"ERROR_MESSAGE": {"DataType": "String", "StringValue": why}})

    def _allow(self, role_arn: str, action: str, resource: str) -> None:
        """Raise PermissionError when the role's own policies do not let it do that."""
        if not allowed(role_of(role_arn), action, resource):
            raise PermissionError(
                f"{role_arn} is not authorized to perform: {action} on resource: {resource}"
            )


def role_of(arn: str) -> Any:
    """moto's role; None when there is none."""
    from .mended import backend

    found = backend("iam", "aws").roles.values()
    return next((role for role in found if role.arn == arn), None)


def allowed(role: Any, action: str, resource: str) -> bool:
    """Whether an inline policy of the role lets it do that; conditions are taken as met."""
    for text in (role.policies if role is not None else {}).values():
        document = json.loads(text) if isinstance(text, str) else text
        for statement in document["Statement"]:
            actions, resources = (
                [found] if isinstance(found, str) else found
                for found in (statement["Action"], statement["Resource"])
            )
            if (
                statement["Effect"] == "Allow"
                and action in actions
                and any(fnmatch.fnmatchcase(resource, one) for one in resources)
            ):
                return True
    return False


def mend(_endpoint: Endpoint) -> None:
    """Refuse what Scheduler refuses."""
    from moto.scheduler.exceptions import ValidationException
    from moto.scheduler.models import EventBridgeSchedulerBackend

    if hasattr(EventBridgeSchedulerBackend, "sandbox_mended"):
        return
    EventBridgeSchedulerBackend.sandbox_mended = True

    def checked(method: Any) -> Any:
        def call(backend: Any, **given: Any) -> Any:
            expression = str(given["schedule_expression"])
            if not any(pattern.fullmatch(expression) for pattern in (RATE, AT, CRON)):
                raise ValidationException(f"Invalid Schedule Expression {expression}.")
            try:
                zoneinfo.ZoneInfo(given.get("schedule_expression_timezone") or "UTC")
            except (zoneinfo.ZoneInfoNotFoundError, ValueError):
                raise ValidationException("The ScheduleExpressionTimezone is not valid.") from None
            role = role_of(given["target"]["RoleArn"])
            trusted = json.dumps(getattr(role, "assume_role_policy_document", None) or "")
            if role is None or "scheduler.amazonaws.com" not in trusted:
                raise ValidationException(
                    "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
                )
            if f":{ACCOUNT}:" not in given["target"]["RoleArn"]:
                raise ValidationException("The execution role is of another account.")
            return method(backend, **given)

        return call

    EventBridgeSchedulerBackend.create_schedule = checked(EventBridgeSchedulerBackend.create_schedule)
    EventBridgeSchedulerBackend.update_schedule = checked(EventBridgeSchedulerBackend.update_schedule)
