# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lambda function of a pair: the same transition, begun by an alarm's event and looked after each minute."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Callable, Optional

from .budget import most
from .clients import ClientMaker, explain, make_client
from .event import Event, fresh, read_event
from .health import agent_evidence, warnings
from .lease import Clock
from .move import OLD_EVENT, Request, Result, Seen
from .notice import Memory, Notice, due, met, read_memory, told
from .pair import PairSpec, parse_pair
from .ports import Ports, ports_for
from .reconcile import Sight, ended, of_result, plan
from .record import Move, StoreError
from .report import gather
from .transition import Transition
from .tried import asked, calls, to_dicts

TELL = 9.0  # the "lease" of the client that tells people: one attempt of 3 s, since nobody may wait for a message
SUBJECT = 100  # characters that SNS takes

_WARM: dict[str, Any] = {}  # clients and memory of this process; Lambda keeps it between invocations


@dataclasses.dataclass(frozen=True)
class Settings:
    """From the function's environment: the pair, its alarm's name, the topic for people, a pause that is too long (s)."""

    pair: PairSpec
    alarm: str
    topic: str
    pause_limit: float


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises PairError, KeyError or ValueError; a function that was set up wrongly fails loudly."""
    pair = parse_pair(json.loads(environment["HOTSTANDBY_PAIR"]))
    return Settings(
        pair,
        environment["HOTSTANDBY_ALARM"],
        environment.get("HOTSTANDBY_TOPIC", ""),
        float(environment.get("HOTSTANDBY_PAUSE_LIMIT", "14400")),
    )


def handler(event: Any, context: Any) -> dict[str, Any]:
    """What Lambda calls. Returns what was done; everything it says is in the log as one JSON line."""
    settings = read_settings(os.environ)
    pair = settings.pair

    def client(service: str) -> Any:
        key = f"{service} {pair.region} {pair.endpoint_url}"
        if key not in _WARM:
            lease = TELL if service == "sns" else pair.lease
            _WARM[key] = make_client(service, pair.region, pair.endpoint_url, lease)
        return _WARM[key]

    run = Run(settings, client, context.aws_request_id, lambda: context.get_remaining_time_in_millis() / 1000)
    answer = run.handle(event)
    sys.stdout.write(f"{json.dumps(answer, default=str)}\n")
    return answer


class Run:
    """One invocation. `left` tells the seconds it still has, `wall` this machine's time: advisory, for events' ages."""

    def __init__(
        self,
        settings: Settings,
        clients: ClientMaker,
        request_id: str,
        left: Callable[[], float],
        clock: Optional[Clock] = None,
        wall: Callable[[], float] = time.time,
        warm: Optional[dict[str, Any]] = None,
    ) -> None:
        self._settings = settings
        self._pair = settings.pair
        self._clients = clients
        self._owner = f"automation {request_id}"
        self._wall = wall
        self._warm = _WARM if warm is None else warm
        real = ports_for(self._pair, clients, clock)
        self._ports: Ports = dataclasses.replace(real, left=left, tell=self._began)
        self._limit = left()
        self._memory = Memory()
        self._recalled = False
        self._kept: Optional[Memory] = None  # what the table holds; None when that is not known
        self._told: list[str] = []
        self._log: list[str] = []

    def handle(self, raw: Any) -> dict[str, Any]:
        """Do what the event asks for, or less. Never raises for anything that a pair or AWS can do."""
        event = read_event(raw, self._pair.name, self._settings.alarm)
        answer: dict[str, Any] = {"schema": 1, "pair": self._pair.name, "event": event.kind, "why": event.why}
        if event.kind == "unknown":
            return {**answer, "action": "none", "outcome": "ignored"}
        if event.kind == "test":
            return {**answer, "action": "none", "outcome": "test", **self._try()}
        self._recall(quick=event.kind == "watch")
        notices: list[Notice] = []
        result: Optional[Result] = None
        action = "failover"
        old = fresh(event, self._wall(), event.key in self._memory.events)
        if old is None:
            result = self._move(event.why, event=event)
            old = result.message if result.code == OLD_EVENT else None
        if old is not None:
            found = plan(self._sight())
            action, result = found.action, None
            notices += found.notices
            if action != "none":
                result = self._move(found.reason, quiet=True, pay=action == "pay")
            answer["why"] = f"{event.why}; {old}" if event.kind in ("alarm", "watch") else event.why
            answer["reason"] = found.reason
        if result is not None:
            answer.update(
                outcome=result.outcome, message=result.message, active=result.active, epoch=result.epoch
            )
            notices += self._news(result)
        notices += self._short()
        self._remember(event, notices, whole=old is not None)
        return {"outcome": "looked", **answer, "action": action, "told": self._told, "log": self._log}

    def _try(self) -> dict[str, Any]:
        """What a test event asks: what this function would do and tell now, and whether it has every right for it."""
        sight = self._sight()
        found, record = plan(sight), sight.view.record
        texts = {notice.key: f"{notice.subject}: {notice.text}" for notice in found.notices}
        checks: list[dict[str, Any]] = []
        if record is not None and record.active in self._pair.instance_ids() and record.state == "steady":
            checks += to_dicts(calls(self._pair, self._ports, self._clients, record))
            checks += to_dicts(asked(self._pair, self._ports, record))
        return {"would": found.action, "notices": texts, "checks": checks}

    # -- looking and moving

    def _sight(self) -> Sight:
        ports, pair = self._ports, self._pair
        view = gather(pair, ports, ask_nodes=False)
        now = ports.store.now() or self._wall()
        agents = agent_evidence(self._clients("ssm"), pair)
        told = warnings(self._clients("cloudwatch"), pair, self._settings.alarm)
        return Sight(view, ports.alarm(view.now), agents, now, self._settings.pause_limit, told)

    def _move(
        self, reason: str, quiet: bool = False, pay: bool = False, event: Optional[Event] = None
    ) -> Result:
        to = None
        if pay:
            try:
                to = self._ports.store.read().active
            except StoreError:
                pass  # the transition meets the same, and says so
        request = Request(
            mode="failover",
            to=to,
            reason=reason,
            by="automation",
            owner=self._owner,
            automation=True,
            quiet=quiet,
            since=event.time if event is not None else None,
            seen=Seen(event.beat, event.still) if event is not None and event.beat else None,
        )
        return Transition(self._pair, self._ports, request).run()

    def _news(self, result: Result) -> list[Notice]:
        """What there is to tell of a run: from the history, which a later run finds too, and else from its result."""
        try:
            history = self._ports.store.history(1)
        except StoreError:
            history = ()
        now = self._ports.store.now() or self._wall()
        return [*ended(history, now), *of_result(result, history)]

    def _short(self) -> list[Notice]:
        """A time limit that is too short for a step would hand over for ever."""
        need = most(self._pair)
        if self._limit >= need:
            return []
        text = (
            f"The function has {self._limit:.0f} s, a step of this pair may take {need:.0f} s: raise the time limit, or "
            "lower hotstandby_pair.timeouts."
        )
        return [Notice("short", "trouble", "the function's time limit is too short", text)]

    # -- telling and remembering

    def _began(self, move: Move) -> None:
        if not self._recalled:
            self._recall()
        text = f"{move.kind} from {move.source} to {move.target} has begun, by {move.by or 'unknown'}: {move.reason}"
        notice = Notice(
            f"began:{move.id}", "began", f"{move.kind} {move.source} -> {move.target} began", text
        )
        if self._tell(notice):
            self._memory = told(self._memory, [notice], self._wall())

    def _tell(self, notice: Notice) -> bool:
        """Publish one message; whether it went out. Never raises."""
        if not self._settings.topic:
            self._log.append(f"nobody is told (no topic): {notice.subject}")
            return True
        try:
            self._clients("sns").publish(
                TopicArn=self._settings.topic,
                Subject=subject_line(f"[{notice.kind}] {self._pair.name}: {notice.subject}"),
                Message=notice.text,
                MessageAttributes={
                    "kind": {"DataType": "String", "StringValue": notice.kind},
                    "pair": {"DataType": "String", "StringValue": self._pair.name},
                },
            )
        except Exception as error:
            self._log.append(explain(error, "SNS Publish"))
            return False
        self._told.append(notice.key)
        return True

    def _recall(self, quick: bool = False) -> None:
        """What was told and met already. A `quick` one is content with this process's own memory until there is time."""
        warm = self._warm.get(f"memory {self._pair.name}")
        self._recalled = not quick
        if quick:
            self._memory = warm if isinstance(warm, Memory) else Memory()
            return
        try:
            self._kept = self._memory = read_memory(self._ports.store.memory())
        except StoreError as error:
            # the table is down: what this process knows is better than telling everything again
            self._memory = warm if isinstance(warm, Memory) else Memory()
            self._log.append(str(error))

    def _remember(self, event: Event, notices: list[Notice], whole: bool) -> None:
        if not self._recalled:
            self._recall()
        now = self._wall()
        send, memory = due(notices, self._memory, now)
        if not whole:  # only a whole look may forget what is no matter any more
            memory = Memory(self._memory.told, self._memory.suspects, self._memory.events)
        memory = told(memory, [notice for notice in send if self._tell(notice)], now)
        if event.kind in ("alarm", "watch"):
            memory = met(memory, event.key)
        self._warm[f"memory {self._pair.name}"] = memory
        if memory == self._kept:
            return
        try:
            self._ports.store.put_memory(
                {"told": memory.told, "suspects": memory.suspects, "events": list(memory.events)}
            )
        except StoreError as error:
            self._log.append(str(error))


def subject_line(text: str) -> str:
    """A subject as SNS takes it: ASCII, one line, not too long."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return plain if len(plain) <= SUBJECT else f"{plain[: SUBJECT - 3]}..."
