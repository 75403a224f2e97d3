# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents and their queue: a command waits here until its agent polls, and its end is what the agent reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .commands import ENDED, Command, Invocation
from .http import Disconnect, HttpRequest, HttpResponse, until_read

LONG_POLL = 2.0  # seconds
GLANCE = 0.25  # seconds between looks at the connection while a poll waits


class SsmError(Exception):
    """An error that SSM gives, by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class Agent:
    """A registered instance. Online until somebody says otherwise, also when its process has died."""

    instance_id: str
    online: bool = True
    registered: float = field(default_factory=time.time)
    last_ping: float = field(default_factory=time.time)


class AgentHub:
    """Thread-safe. `hidden_calls` of GetCommandInvocation find no invocation within `hidden_seconds` of SendCommand;
    so many first listings (`hidden_listings`) are empty."""

    def __init__(self) -> None:
        self.hidden_calls = 1
        self.hidden_seconds = 1.0
        self.hidden_listings = 0
        self._agents: dict[str, Agent] = {}
        self._commands: dict[str, Command] = {}
        self._changed = threading.Condition(threading.RLock())

    # -- what the world says

    def register(self, instance_id: str) -> None:
        """An agent that is online from now on."""
        with self._changed:
            self._agents[instance_id] = Agent(instance_id)

    def set_online(self, instance_id: str, online: bool) -> None:
        """What SSM believes of it. Whatever it was handed and has not read goes back to the queue when it leaves."""
        with self._changed:
            agent = self._agents.get(instance_id)
            if agent is None:
                return
            agent.online = online
            if not online:
                for one in self._of(instance_id):
                    one.handed = False
            self._changed.notify_all()

    def unregister(self, instance_id: str) -> None:
        """Gone for good; what still waits for it cannot be delivered."""
        with self._changed:
            self._agents.pop(instance_id, None)
            for one in self._of(instance_id):
                if one.status == "Pending":
                    one.end("Failed", "Undeliverable")
            self._changed.notify_all()

    def agents(self) -> list[Agent]:
        """Every registered one."""
        with self._changed:
            return list(self._agents.values())

    def is_online(self, instance_id: str) -> bool:
        """Registered and online."""
        with self._changed:
            agent = self._agents.get(instance_id)
            return agent is not None and agent.online

    def forget(self) -> None:
        """No command was ever sent."""
        with self._changed:
            self._commands.clear()
            self._changed.notify_all()

    # -- what callers ask

    def send(self, command: Command, instance_ids: Iterable[str]) -> None:
        """Queue it for these instances."""
        with self._changed:
            for instance_id in instance_ids:
                command.invocations[instance_id] = Invocation(command, instance_id)
            self._commands[command.id] = command
            self._changed.notify_all()

    def command(self, command_id: str) -> Command:
        """Raises SsmError InvalidCommandId."""
        with self._changed:
            if command_id not in self._commands:
                raise SsmError("InvalidCommandId", f"{command_id} is not a command")
            return self._commands[command_id]

    def commands(self) -> list[Command]:
        """The newest first."""
        with self._changed:
            for command in self._commands.values():
                for one in command.invocations.values():
                    one.refresh()
            return list(reversed(self._commands.values()))

    def invocation(self, command_id: str, instance_id: str) -> dict[str, Any]:
        """Raises SsmError InvalidCommandId or InvocationDoesNotExist."""
        with self._changed:
            command = self.command(command_id)
            one = command.invocations.get(instance_id)
            if one is not None:
                one.asked += 1
                early = time.monotonic() - command.sent < self.hidden_seconds
                if not (early and one.asked <= self.hidden_calls):
                    one.refresh()
                    return one.detail()
        raise SsmError("InvocationDoesNotExist", "")

    def invocations(
        self, command_id: str | None, instance_id: str | None, details: bool
    ) -> list[dict[str, Any]]:
        """As ListCommandInvocations: of one command, of one instance, or all of them. Raises InvalidCommandId."""
        with self._changed:
            if command_id:
                command = self.command(command_id)
                command.listings += 1
                if command.listings <= self.hidden_listings:
                    return []
            chosen = [self.command(command_id)] if command_id else self.commands()
            found = [one for command in chosen for one in command.invocations.values()]
            wanted = [one for one in found if not instance_id or one.instance_id == instance_id]
            for one in wanted:
                one.refresh()
            return [one.listed(details) for one in wanted]

    def cancel(self, command_id: str, instance_ids: list[str]) -> None:
        """Ask for it: what waits is cancelled, what runs is told at its agent's next poll."""
        with self._changed:
            command = self.command(command_id)
            unknown = [one for one in instance_ids if one not in command.invocations]
            if unknown:
                raise SsmError("InvalidInstanceId", f"{unknown[0]} is no target of the command")
            for one in command.invocations.values():
                one.refresh()
                if instance_ids and one.instance_id not in instance_ids:
                    continue
                if one.status == "Pending" and not one.handed:
                    one.end("Cancelled", "Cancelled")
                elif one.status not in ENDED:
                    one.status = one.details = "Cancelling"
            self._changed.notify_all()

    # -- what agents do

    def poll(self, request: HttpRequest, instance_id: str, reachable: Callable[[], bool]) -> HttpResponse:
        """Wait for work. `reachable` is asked again before anything is handed over; Disconnect when it is not."""
        until = time.monotonic() + LONG_POLL
        with self._changed:
            self._acknowledge(instance_id)
            agent = self._agents.get(instance_id)
            while True:
                same = self._agents.get(instance_id) is agent
                if agent is None or not same or not reachable() or request.client_gone():
                    raise Disconnect
                agent.last_ping = time.time()
                answer, one = self._work(instance_id) if agent.online else ({}, None)
                left = until - time.monotonic()
                if answer or left <= 0:
                    break
                self._changed.wait(min(left, GLANCE))
        response = HttpResponse.of_json(answer)
        if one is not None:
            handed = one

            def read() -> None:
                until_read(request.connection)
                self._read(handed)

            response.after = read
        return response

    def _work(self, instance_id: str) -> tuple[dict[str, Any], Invocation | None]:
        answer: dict[str, Any] = {}
        first = None
        for one in self._of(instance_id):
            one.refresh()
            if one.status == "Cancelling" and not one.cancel_told:
                one.cancel_told = True
                answer.setdefault("cancel", []).append(one.command.id)
            elif one.status == "Pending" and not one.handed and first is None:
                first = one
        if first is not None:
            first.handed = True
            rendered = first.command.rendered
            answer["invocation"] = {
                "command_id": first.command.id,
                "script": rendered.script,
                "execution_timeout": rendered.execution_timeout,
                "env": {},
            }
        return answer, first

    def _read(self, one: Invocation) -> None:
        """The agent has it: it runs."""
        with self._changed:
            if one.handed:
                one.handed = False
                if one.status == "Pending":
                    one.status = one.details = "InProgress"
                    one.began = time.time()
            self._changed.notify_all()

    def _acknowledge(self, instance_id: str) -> None:
        """An agent that polls again has read what it was handed before."""
        for one in self._of(instance_id):
            if one.handed:
                self._read(one)

    def report(self, payload: dict[str, Any]) -> None:
        """The end of a run. One that SSM has given up, or never knew, is not listened to."""
        with self._changed:
            command = self._commands.get(str(payload.get("command_id")))
            one = command.invocations.get(str(payload.get("instance_id"))) if command else None
            if one is None or one.status in ENDED:
                return
            status = str(payload.get("status"))
            if status not in ENDED:
                status = "Success" if payload.get("rc") == 0 else "Failed"
            one.report(
                status,
                int(payload.get("rc", -1)),
                str(payload.get("stdout", "")),
                str(payload.get("stderr", "")),
            )
            self._changed.notify_all()

    def _of(self, instance_id: str) -> list[Invocation]:
        """The invocations of an instance, the oldest first."""
        return [
            command.invocations[instance_id]
            for command in self._commands.values()
            if instance_id in command.invocations
        ]
