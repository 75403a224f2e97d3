# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real core with real clients, in this process: a controller that can die at any of its AWS calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.clients import client_config
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.report import describe_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition
from botocore.exceptions import ClientError

from tests.integration.pair.rig import SESSION, Rig


class Crash(BaseException):
    """The controller dies here. Nothing in the core may catch it."""


class LeapClock:
    """Real time, but what is waited before the first write passes at once: nobody else is at work in these tests."""

    def __init__(self) -> None:
        self._leapt = 0.0
        self.leaping = True

    def monotonic(self) -> float:
        return time.monotonic() + self._leapt

    def sleep(self, seconds: float) -> None:
        if self.leaping:
            self._leapt += seconds
        else:
            time.sleep(seconds)


class Controller:
    """One run. `crash(label)` is asked before and after each call with "before CALL" or "after CALL"; true: die there.

    A label is the call's name and what tells it from others: a command's action and node (A is the node that was active
    when the run began, B the other), a write's changed attributes and step.
    """

    def __init__(
        self, rig: Rig, owner: str, crash: Callable[[str], bool] = lambda _label: False, **pair: Any
    ) -> None:
        self.rig = rig
        self.owner = owner
        self.crash = crash
        self.labels: list[str] = []
        self._label = ""
        self._commands: dict[str, str] = {}
        self.clock = LeapClock()
        self.pair = parse_pair({**rig.info["pair"], **pair})
        active = self._active()
        self._letters = {
            rig.info["nodes"][name]["instance_id"]: "A" if name == active else "B" for name in rig.names
        }
        self.ports = ports_for(self.pair, self._client, self.clock)

    def _active(self) -> str:
        try:
            return self.rig.active() or self.rig.names[0]
        except (KeyError, ClientError):  # the record is gone, or cannot be read
            return self.rig.names[0]

    def _client(self, service: str) -> Any:
        env = self.rig.info["env"]
        client = SESSION.client(
            service,
            region_name=self.pair.region,
            endpoint_url=self.pair.endpoint_url,
            config=client_config(self.pair.lease),
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )
        client.meta.events.register("before-parameter-build.*.*", self._before)
        client.meta.events.register("after-call.*.*", self._after)
        return client

    def _before(self, params: dict[str, Any], model: Any, **_other: Any) -> None:
        self._label = self._named(model.name, params)
        self._maybe("before")
        if model.name == "UpdateItem":
            self.clock.leaping = False

    def _after(self, parsed: dict[str, Any], model: Any, **_other: Any) -> None:
        if model.name == "SendCommand" and "Command" in parsed:
            self._commands[parsed["Command"]["CommandId"]] = self._label.partition(":")[2]
        self._maybe("after")

    def _maybe(self, when: str) -> None:
        label = f"{when} {self._label}"
        if label not in self.labels:
            self.labels.append(label)
        if self.crash(label):
            raise Crash(label)

    def _named(self, name: str, params: dict[str, Any]) -> str:
        if name == "SendCommand":
            nodes = "".join(sorted(self._letters[one] for one in params["Targets"][0]["Values"]))
            return f"{name}:{params['Parameters']['Action'][0]}@{nodes}"
        if name == "ListCommandInvocations":
            return f"{name}:{self._commands[params['CommandId']]}"
        if name == "UpdateItem":
            changed = {
                params["ExpressionAttributeNames"][key]: params["ExpressionAttributeValues"][":" + key[1:]]
                for key in params["ExpressionAttributeNames"]
                if key.startswith("#a")
            }
            move = changed.get("move", {}).get("M", {})
            step = move.get("step", {}).get("S", "")
            back = " back" if move.get("rollback", {}).get("BOOL") else ""
            return f"{name}:{'+'.join(sorted(changed))} {step}{back}".rstrip()
        if name == "StopInstances" and params.get("DryRun"):
            return f"{name}:DryRun"
        return name

    def move(self, **request: Any) -> Result:
        """Run a move; Crash when it died."""
        given = {"by": "tester", "owner": self.owner, **request}
        return Transition(self.pair, self.ports, Request(**given)).run()

    def status(self, ask_nodes: bool = False) -> dict[str, Any]:
        """What pair_info returns."""
        return describe_pair(self.pair, self.ports, ask_nodes)


def commanded(text: str) -> dict[str, Any]:
    """The request that a status's next step names first, as a person would type it; empty when it names none."""
    words = text.replace("'", " ").replace(",", " ").split()
    if "ansible-playbook" not in words:
        return {}
    begin = words.index("ansible-playbook")
    assert words[begin + 1] == "hotstandby.ops.failover", text
    request: dict[str, Any] = {}
    for flag, word in zip(words[begin + 2 :: 2], words[begin + 3 :: 2], strict=False):
        if flag != "-e":
            break
        key, _sign, value = word.partition("=")
        request[key] = value
    return request
