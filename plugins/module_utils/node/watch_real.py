# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon on a real machine: one process that polls, and forked helpers for whatever may hang."""

from __future__ import annotations

import gc
import json
import os
import select
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, Callable, Optional

from ..clients import explain
from ..event import function_name
from ..products.base import ProductError
from ..record import Record, StoreError
from . import client
from .check import FENCE
from .config import Config
from .control import TRIES
from .events import Deaths, notifier
from .guard import Guard, read_record
from .helpers import Helper
from .host import StateError
from .outcome import Outcome
from .rules import BOOT, Asked, Decision
from .table import Table, daemon_client, warm_client
from .warm import Run, Server
from .watch import Settings
from .watch_loop import Answered, Event, Local, Loop, Turn

TABLE = 1.0  # seconds for one call to the table
INVOKE = 3.0  # seconds for the invocation of the function
SLACK = 5.0  # seconds beside a piece of work's own limits before its process is killed
BLIND = 0.25  # seconds between two looks at processes that no pidfd follows
REWARM = 30.0  # seconds between two attempts to get credentials for the commands' client
STATUS = 2.0  # seconds between two words to systemd


def socket_path(root: str, pair: str) -> str:
    """Where the daemon of a pair listens."""
    return f"{root}/run/hotstandby/{pair}.sock"


def visit(guard: Guard, table: Table, given: dict[str, Any]) -> Turn:
    """One visit to the table: the record unless it is `known`, and (for a turn) the other node's heartbeat and, when `beat`, our own."""
    config, known = guard.config, bool(given.get("known"))
    record = None if known else read_record(table)
    beat, wrote, why = None, False, ""
    if isinstance(record, Decision):
        why = record.message
    ended = guard.host.monotonic()
    if given.get("whole"):
        try:
            if given["beat"]:
                name, instance_id = config.node.name, config.node.instance_id
                table.beat(
                    name, instance_id, guard.host.boot_id(), given["epoch"], given["state"], given["held"]
                )
            wrote = True
            found = table.heartbeat(config.other.name)
            if found is not None and found.instance_id == config.other.instance_id:
                beat = found.beat
        except StoreError as error:
            why, wrote = str(error), False
        ended = guard.host.monotonic()
    return Turn(record if isinstance(record, Record) else None, why, beat, wrote, ended, table.now(), known)


def ask(guard: Guard, given: dict[str, Any]) -> Answered:
    """The product's status once, its processes when it runs, and who the machine says it is."""
    status = guard.control.ask(guard.config.pair.timeouts.confirm / TRIES)
    pids: Optional[list[tuple[int, int]]] = None
    if given["scan"] and status.state == "running":
        try:
            pids = [(item.pid, item.started) for item in guard.control.product.leftovers()]
        except ProductError:
            pids = None
    itself: Optional[bool] = None
    if given["identify"]:
        who = guard.host.instance_id()
        itself = None if who is None else who == guard.config.node.instance_id
    return Answered(status.state, status.message, pids, itself)


def invoke(config: Config, made: list[Any], given: dict[str, Any]) -> str:
    """Invoke the pair's function asynchronously; returns why it did not take the event, or nothing."""
    try:
        if not made:
            made.append(daemon_client("lambda", config.pair, INVOKE))
        if given.get("prepare"):
            return ""
        event: dict[str, Any] = {
            "action": "watch",
            "pair": config.pair.name,
            "node": config.node.name,
            "id": f"{config.node.name}-{uuid.uuid4().hex}",
            "time": given["time"],
            "evidence": given["why"],
            **{key: given[key] for key in ("beat", "still") if key in given},
        }
        made[0].invoke(
            FunctionName=function_name(config.pair.name),
            InvocationType="Event",
            Payload=json.dumps({"hotstandby": event}).encode(),
        )
    except StoreError as error:
        return str(error)
    except Exception as error:
        made.clear()  # a client made before the network was up keeps having no credentials
        return explain(error, "Lambda Invoke")
    return ""


def said(outcome: Optional[Outcome]) -> str:
    """What came of a start or a stop, in a line."""
    return "there was no reason" if outcome is None else f"{outcome.state}: {outcome.detail.get('message')}"


class RealWorld:
    """See watch_loop.World. `run` is the node's command line, for the socket; `version` what it must match."""

    def __init__(self, guard: Guard, program: str, config_path: str, run: Run) -> None:
        config = guard.config
        self._guard, self._config, self._host = guard, config, guard.host
        self._files = (program, config_path)
        self._version = client.version(program, config_path)
        self._deaths = Deaths()
        self._tell = notifier(os.environ)
        self._told = ("", float("-inf"))
        self._offset: Optional[float] = None  # the store's time less our monotonic clock
        self._warmed = float("-inf")
        self._credentials = False
        table, made = Table(config.pair, TABLE, daemon_client), []  # type: ignore[var-annotated]
        timeouts = config.pair.timeouts
        self._helpers = {
            "turn": Helper("table", lambda given: visit(guard, table, given), 4 * TABLE + SLACK),
            "ask": Helper("product", lambda given: ask(guard, given), timeouts.confirm + SLACK),
            "call": Helper("function", lambda given: invoke(config, made, given), INVOKE + SLACK),
            "restart": Helper("restart", self._restart, timeouts.start + 6 * SLACK, once=True),
            "fence": Helper(
                "fence", lambda _given: said(guard.self_fence(FENCE)), FENCE + 6 * SLACK, once=True
            ),
        }
        self._working: dict[str, str] = {}  # what each helper is at
        self._server = Server(socket_path(config.root, config.pair.name), self._version, run, self._warm)
        self._warm()
        gc.collect()
        gc.freeze()  # forked children then leave our pages alone
        self._helpers["call"].ask({"prepare": True})
        self._working["call"] = "prepare"
        self._tell("READY=1")

    def _restart(self, _given: dict[str, Any]) -> str:
        return said(self._guard.start(Asked(BOOT), float(self._config.pair.timeouts.start)))

    def _warm(self) -> None:
        """Keep a client for the commands that are forked; one without credentials would be of no use to them."""
        now = time.monotonic()
        if not self._credentials and now - self._warmed >= REWARM:
            self._warmed = now
            self._credentials = warm_client("dynamodb", self._config.pair)

    # -- World

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> Sequence[Event]:
        poll = select.poll()
        for fd in self._deaths.fds:
            poll.register(fd, select.POLLIN)
        for helper in self._helpers.values():
            if helper.fd >= 0:
                poll.register(helper.fd, select.POLLIN)
        for fd, wanted in self._server.fds.items():
            poll.register(fd, wanted)
        if self._deaths.blind:
            seconds = min(seconds, BLIND)
        readable = [fd for fd, _events in poll.poll(seconds * 1000)]
        self._server.serve(readable)
        found = [Event("died")] if self._deaths.check(readable) else []
        for name, helper in self._helpers.items():
            began = helper.began
            over, value = helper.reply()
            kind = self._working.get(name, name)
            if isinstance(value, Turn) and value.time is not None:
                self._offset = value.time - time.monotonic()
            if over and kind != "prepare":
                found.append(Event(kind, began, value))
        return found

    def begin(self, work: str, **given: Any) -> bool:
        name = "turn" if work == "read" else work
        if name == "turn":
            given["whole"] = work == "turn"
        if work == "call":
            now = time.monotonic()
            given["time"] = time.time() if self._offset is None else self._offset + now
        begun = self._helpers[name].ask(given)
        if begun:
            self._working[name] = work
        return begun

    def local(self) -> Local:
        memory, holder = self._guard.state.recall(), self._guard.state.holder()
        return Local(
            seen=max(memory.seen, memory.floor),
            held=memory.held is not None,
            busy=holder is not None,
            trouble=bool(memory.trouble),
        )

    def follow(self, pids: Sequence[tuple[int, int]]) -> int:
        return self._deaths.follow(pids)

    def log(self, text: str) -> None:
        self._host.log(text)
        if "JOURNAL_STREAM" not in os.environ:  # the journal has it already
            sys.stderr.write(f"hotstandby: {text}\n")

    def alive(self, text: str) -> None:
        now = time.monotonic()
        if text != self._told[0] or now - self._told[1] >= STATUS:
            self._told = (text, now)
            self._tell(f"WATCHDOG=1\nSTATUS={' '.join(text.split())[:200]}")

    def current(self) -> bool:
        return client.version(*self._files) == self._version

    def end(self) -> None:
        """End the helpers; commands that were begun go on, and so does a start in place."""
        for helper in self._helpers.values():
            helper.end()


def watch(guard: Guard, program: str, config_path: str, run: Callable[[Sequence[str]], int]) -> str:
    """Run the daemon until its program or configuration is replaced. Returns why it did not run, or nothing."""
    config = guard.config
    if config.pair.profile != "fast":
        return f"hotstandby_pair.profile: watch belongs to 'fast', this pair has '{config.pair.profile}'"
    try:
        handle = guard.host.try_lock(f"{guard.state.folder}/watch")
    except StateError as error:
        return str(error)
    if handle is None:
        return "another watch of this pair is at work on this node"
    settings = Settings(
        node=config.node.name,
        other=config.other.name,
        instance_id=config.node.instance_id,
        timeout=config.pair.heartbeat_timeout,
        restarts=config.pair.local_restarts,
    )
    try:
        world = RealWorld(guard, program, config_path, run)
    except OSError as error:
        return f"the socket cannot be made: {error}"
    try:
        Loop(settings, world).run()
    finally:
        world.end()
        guard.host.unlock(handle)
    return ""
