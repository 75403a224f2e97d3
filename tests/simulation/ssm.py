# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSM as a script: what it says of one command at each moment, so that every mood of it can be written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from tests.simulation.aws import Clock, client_error

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"


def answer(state: str = "running", node: str = "hub-a", instance: str = A, **changes: Any) -> str:
    told = {"schema": 1, "pair": "hub-prod", "node": node, "instance_id": instance, "boot_id": "b", "action": "look",
            "move": "", "epoch": None, "state": state, "seen": 7, "floor": 0, "held": None, "detail": {}}  # fmt: skip
    return json.dumps({**told, **changes}) + "\n"


def invocation(
    status: str, output: str = "", rc: int = 0, details: str = "", errors: str = ""
) -> dict[str, Any]:
    return {"status": status, "details": details or status, "output": output, "rc": rc, "errors": errors}


class Ssm:
    """One command at a time. `script` gives {instance id: invocation} by seconds since it was sent, or raises."""

    def __init__(self, clock: Clock, script: Callable[[float], dict[str, dict[str, Any]]]) -> None:
        self.clock, self.script = clock, script
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent_at = 0.0
        self.send_error: BaseException | None = None
        self.cancel_error: Exception | None = None
        self.page = 50

    def names(self) -> list[str]:
        return [name for name, _arguments in self.calls]

    def _found(self) -> dict[str, dict[str, Any]]:
        self.clock.sleep(0.01)
        return self.script(self.clock.now - self.sent_at)

    def send_command(self, **arguments: Any) -> Any:
        self.calls.append(("send", arguments))
        if self.send_error is not None:
            raise self.send_error
        self.sent_at = self.clock.now
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, **arguments: Any) -> Any:
        self.calls.append(("get", arguments))
        found = self._found().get(arguments["InstanceId"])
        if found is None:
            raise client_error("InvocationDoesNotExist", "GetCommandInvocation")
        return {"Status": found["status"], "StatusDetails": found["details"], "ResponseCode": found["rc"],
                "StandardOutputContent": found["output"][:24000],
                "StandardErrorContent": found["errors"][:8000]}  # fmt: skip

    def list_command_invocations(self, **arguments: Any) -> Any:
        self.calls.append(("list", arguments))
        assert arguments["CommandId"] == "c-1" and arguments["Details"] is True
        items = []
        for instance_id, found in self._found().items():
            output = found["output"]
            if found["errors"]:
                output += f"\n----------ERROR-------\n{found['errors']}"
            plugin = {"Output": output[:2500], "ResponseCode": found["rc"]}
            items.append({"InstanceId": instance_id, "Status": found["status"], "StatusDetails": found["details"],
                          "CommandPlugins": [] if found["status"] == "Pending" else [plugin]})  # fmt: skip
        start = int(arguments.get("NextToken", 0))
        page: dict[str, Any] = {"CommandInvocations": items[start : start + self.page]}
        if start + self.page < len(items):
            page["NextToken"] = str(start + self.page)
        return page

    def cancel_command(self, **arguments: Any) -> Any:
        self.calls.append(("cancel", arguments))
        if self.cancel_error is not None:
            raise self.cancel_error
        return {}


def steady(**by_instance: dict[str, Any]) -> Callable[[float], dict[str, dict[str, Any]]]:
    names = {"a": A, "b": B}
    return lambda _seconds: {names[name]: found for name, found in by_instance.items()}


def errors_until(moment: float, error: Exception) -> Callable[[float], Any]:
    def script(seconds: float) -> dict[str, dict[str, Any]]:
        if seconds < moment:
            raise error
        return {A: invocation("Success", answer()), B: invocation("Success", answer("stopped", "hub-b", B))}

    return script


PASSING = [
    client_error("ThrottlingException", "ListCommandInvocations"),
    client_error("InternalServerError", "ListCommandInvocations", 500),
    EndpointConnectionError(endpoint_url="https://ssm.example.invalid"),
    ReadTimeoutError(endpoint_url="https://ssm.example.invalid"),
]
