# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Run Command and its invocations: states, details, outputs cut to size. Holds no lock and calls nobody."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .documents import Rendered

STDOUT_LIMIT, STDERR_LIMIT, LISTED_LIMIT = 24_000, 8_000, 2_500  # characters
OUTPUT_CUT, ERROR_CUT = "---Output truncated---", "---Error truncated----"
ERROR_TITLE = "\n----------ERROR-------\n"
ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


@dataclass
class Invocation:
    """One command on one instance. `handed`: an agent was given it, and has perhaps not read it yet.

    `began` and `ended` are epoch seconds, or None. `asked` counts GetCommandInvocation calls for it.
    """

    command: Command
    instance_id: str
    status: str = "Pending"
    details: str = "Pending"
    rc: int = -1
    stdout: str = ""
    stderr: str = ""
    began: float | None = None
    ended: float | None = None
    handed: bool = False
    cancel_told: bool = False
    asked: int = 0

    def end(self, status: str, details: str, rc: int = -1) -> None:
        """It changes no more."""
        self.status, self.details, self.rc = status, details, rc
        self.handed = False
        self.ended = time.time()

    def refresh(self) -> None:
        """A command that nobody took in time is timed out."""
        if self.status == "Pending" and time.monotonic() >= self.command.deadline:
            self.end("TimedOut", "DeliveryTimedOut")

    def report(self, status: str, rc: int, stdout: str, stderr: str) -> None:
        """What the agent says. `status`: Success | Failed | TimedOut | Cancelled."""
        self.stdout, self.stderr = stdout, stderr
        if self.began is None:
            self.began = time.time()
        if status == "Failed":
            # as the real agent: the reason stands at the end of standard error
            self.stderr += f"failed to run commands: exit status {rc}"
        self.end(status, "ExecutionTimedOut" if status == "TimedOut" else status, rc)

    def detail(self) -> dict[str, Any]:
        """As GetCommandInvocation answers."""
        began = "" if self.began is None else _stamp(self.began)
        ended = "" if self.ended is None or self.began is None else _stamp(self.ended)
        elapsed = "" if not ended or self.began is None else f"PT{(self.ended or 0) - self.began:.3f}S"
        return {
            **self._common(),
            "PluginName": self.command.rendered.plugin,
            "ResponseCode": self.rc,
            "ExecutionStartDateTime": began,
            "ExecutionElapsedTime": elapsed,
            "ExecutionEndDateTime": ended,
            "StandardOutputContent": cut(self.stdout, STDOUT_LIMIT, OUTPUT_CUT) if self.ended else "",
            "StandardOutputUrl": "",
            "StandardErrorContent": cut(self.stderr, STDERR_LIMIT, ERROR_CUT) if self.ended else "",
            "StandardErrorUrl": "",
        }

    def listed(self, details: bool) -> dict[str, Any]:
        """As ListCommandInvocations answers."""
        item: dict[str, Any] = {
            **self._common(),
            "InstanceName": "",
            "RequestedDateTime": self.command.requested,
            "TraceOutput": "",
            "CommandPlugins": [],
        }
        if details:
            plugin: dict[str, Any] = {
                "Name": self.command.rendered.plugin,
                "Status": self.status,
                "StatusDetails": self.details,
                "ResponseCode": self.rc,
                "Output": listed_output(self.stdout, self.stderr) if self.ended else "",
            }
            if self.began is not None:
                plugin["ResponseStartDateTime"] = self.began
            if self.ended is not None:
                plugin["ResponseFinishDateTime"] = self.ended
            item["CommandPlugins"] = [plugin]
        return item

    def _common(self) -> dict[str, Any]:
        command = self.command
        return {
            "CommandId": command.id,
            "InstanceId": self.instance_id,
            "Comment": command.comment,
            "DocumentName": command.document,
            "DocumentVersion": command.version,
            "Status": self.status,
            "StatusDetails": self.details,
        }


@dataclass
class Command:
    """One SendCommand. `timeout` in seconds bounds delivery; `targets` as they were sent."""

    document: str
    version: str
    rendered: Rendered
    parameters: dict[str, list[str]]
    timeout: int
    comment: str
    targets: list[dict[str, Any]]
    named: list[str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    requested: float = field(default_factory=time.time)
    sent: float = field(default_factory=time.monotonic)
    invocations: dict[str, Invocation] = field(default_factory=dict)
    listings: int = 0

    @property
    def deadline(self) -> float:
        """The monotonic time until which it may be delivered."""
        return self.sent + self.timeout

    def status(self) -> tuple[str, str]:
        """Status and details of the whole."""
        all_of = list(self.invocations.values())
        if not all_of:
            return "Success", "NoInstancesInTag"
        states = {one.status for one in all_of}
        for name in ("InProgress", "Cancelling", "Pending"):
            if name in states:
                return ("InProgress", "InProgress") if len(states) > 1 else (name, name)
        for name in ("Failed", "TimedOut", "Cancelled"):
            if name in states:
                return name, next(one.details for one in all_of if one.status == name)
        return "Success", "Success"

    def describe(self, fresh: bool = False) -> dict[str, Any]:
        """As SendCommand (`fresh`: nothing is counted yet) and ListCommands answer."""
        all_of = list(self.invocations.values())
        status, details = ("Pending", "Pending") if fresh else self.status()
        return {
            "CommandId": self.id,
            "DocumentName": self.document,
            "DocumentVersion": self.version,
            "Comment": self.comment,
            "ExpiresAfter": self.requested + self.timeout + self.rendered.execution_timeout,
            "Parameters": self.parameters,
            "InstanceIds": self.named,
            "Targets": self.targets,
            "RequestedDateTime": self.requested,
            "Status": status,
            "StatusDetails": details,
            "MaxConcurrency": "50",
            "MaxErrors": "0",
            "TargetCount": len(self.named) if fresh else len(all_of),
            "CompletedCount": 0 if fresh else sum(one.status in ENDED for one in all_of),
            "ErrorCount": 0 if fresh else sum(one.status in ("Failed", "TimedOut") for one in all_of),
            "DeliveryTimedOutCount": 0 if fresh else sum(one.details == "DeliveryTimedOut" for one in all_of),
            "TimeoutSeconds": self.timeout,
        }


def cut(text: str, limit: int, mark: str) -> str:
    """The first `limit` characters, the last of them a mark when something is missing."""
    return text if len(text) <= limit else text[: max(0, limit - len(mark))] + mark


def listed_output(stdout: str, stderr: str) -> str:
    """Both outputs in the 2,500 characters of a listing, shared as the agent shares them."""
    if not stderr:
        return cut(stdout, LISTED_LIMIT, OUTPUT_CUT)
    room = LISTED_LIMIT - len(ERROR_TITLE)
    if len(stdout) + len(stderr) > room:
        half = room // 2
        if len(stdout) < half:
            stderr = cut(stderr, room - len(stdout), ERROR_CUT)
        elif len(stderr) < half:
            stdout = cut(stdout, room - len(stderr), OUTPUT_CUT)
        else:
            stdout, stderr = cut(stdout, half, OUTPUT_CUT), cut(stderr, half, ERROR_CUT)
    return stdout + ERROR_TITLE + stderr


def _stamp(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
