# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rejoin: a node that was fenced comes back as the standby. Starts a machine, never the service; writes no record."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

from .answer import Answer, NoAnswer, Reply
from .checks import PairError
from .confirm import MARGIN, glance
from .evidence import ineligible
from .move import Ended, Journal, check_identity, check_restored
from .pair import PairSpec
from .ports import Ports
from .proof import said, stopped
from .record import Record, StoreError
from .run_command import CommandError
from .runbook import code_of, command
from .session import Note

PAUSE = (1.0, 2.0, 3.0, 5.0)  # seconds between two questions to a node that boots; the last one stays


@dataclass(frozen=True)
class Rejoined:
    """What became of it. `outcome` is rejoined, unchanged, refused or unfinished (run it again)."""

    outcome: str
    changed: bool
    message: str
    node: Optional[str]
    steps: tuple[dict[str, Any], ...] = ()
    next: str = ""
    code: str = ""
    failed: bool = False


@dataclass
class Rejoin:
    """One run. `node` is a name or None for the standby, `wait` the seconds that it gets to boot."""

    pair: PairSpec
    ports: Ports
    node: Optional[str] = None
    wait: float = 300.0
    check: bool = False
    journal: Journal = field(default_factory=Journal)
    changed: bool = False
    name: Optional[str] = None

    def run(self) -> Rejoined:
        """Bring the node back, or say why not. Never raises for anything that a pair or AWS can do."""
        try:
            self._work()
            name = str(self.name)
            outcome = "rejoined" if self.changed else "unchanged"
            end = Ended(outcome, self._well(name), failed=False)
        except Ended as ended:
            end = ended
        except (StoreError, CommandError) as error:
            end = Ended("unfinished", f"{error}. Run this again", self._again(), code=code_of(error))
        steps = tuple(self.journal.steps)
        return Rejoined(
            end.outcome, self.changed, end.message, self.name, steps, end.next, end.code, end.failed
        )

    def _again(self) -> str:
        return command("rejoin", **({"node": self.node} if self.node else {}))

    def _well(self, name: str) -> str:
        if self.check and self.changed:
            return f"{name} would be brought back as the standby"
        data = "" if self.pair.shared else " Bring its data up to date first: this pair has no shared folder."
        if self.pair.service == "asteria_warp" and not self.pair.shared:
            data = f" Bring its data up to date first: {command('sync')}."
        return (
            f"{name} is the standby again: the service is stopped there and it can take over.{data} To move the service "
            f"there: {command('failover', mode='switchover', to=name)}"
        )

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Note]:
        """Time a step and keep what it said, also when it ends the run."""
        note, began = Note(), self.ports.clock.monotonic()
        try:
            yield note
        except Ended as end:
            note.outcome, note.detail = end.outcome, end.message
            raise
        except (StoreError, CommandError) as error:
            note.outcome, note.detail = "failed", str(error)
            raise
        finally:
            self.journal.add(name, note.outcome, self.ports.clock.monotonic() - began, note.detail)

    def _work(self) -> None:
        with self._step("record") as note:
            record = self.ports.store.read()
            check_identity(self.pair, record)
            self.name = name = self._which(record)
            note.detail = f"{record.active or 'nobody'} is active, epoch {record.epoch}; {name} shall be back"
        reply = self._look(name, record)
        if isinstance(reply, NoAnswer):
            answer = self._power_on(name, record, reply)
            if answer is None:
                return  # check mode: nothing can be asked of a machine that is off
            reply = answer
        check_restored(record, {name: reply})
        reply = self._prove(name, reply)
        with self._step("eligible") as note:
            why = ineligible(self.pair, name, reply)
            if why:
                raise Ended(
                    "unfinished",
                    f"{name} is on, but could not take over: {why}. Mend that, then run this again",
                    self._again(),
                    code="rejoin_not_eligible",
                )
            able = self.ports.fence.can_work(self.pair.node(name))
            note.detail = f"{name} answers, is stopped and ready"
            if not able.yes:
                note.detail += f"; once active it could not be fenced ({able})"

    def _which(self, record: Record) -> str:
        """The node that comes back. Only one that the record does not name; in a move only the one being waited for."""
        try:
            name = self.pair.node(self.node).name if self.node else None
        except PairError as error:
            raise Ended("refused", f"node: {error}", command("status"), code="no_such_node") from error
        if record.move is not None:
            target = record.move.target
            if name != target:
                raise Ended(
                    "refused",
                    f"a {record.move.kind} to {target} is unfinished: finish it first, nothing was changed. Only {target}, "
                    "when its machine is off, can be brought back meanwhile (-e node=" + target + ")",
                    command("failover", to=target),
                    code="move_unfinished",
                )
        elif record.active is None and name is None:
            raise Ended(
                "refused",
                "nobody is named: say which node shall be switched on",
                command("rejoin", node=self.pair.nodes[0].name),
                code="rejoin_which",
            )
        name = name or record.other(str(record.active))
        if name == record.active and record.move is None:
            raise Ended(
                "refused",
                f"{name} is the active node, only the other one can rejoin. Nothing was changed",
                command("status"),
                code="rejoin_active",
            )
        return name

    def _look(self, name: str, record: Record) -> Reply:
        return glance(self.pair, self.ports, [name], record.active or "")[name]

    def _power_on(self, name: str, record: Record, silent: NoAnswer) -> Optional[Answer]:
        """Switch the machine on and wait until its agent answers. None in check mode."""
        node, clock = self.pair.node(name), self.ports.clock
        self.ports.progress("power_on", f"{name} to boot and to answer", self.wait)
        with self._step("power_on") as note:
            began, ordered, attempt, trouble = clock.monotonic(), False, 0, ""
            while True:
                state = self.ports.instance(node.instance_id)
                if state.detail in ("terminated", "shutting-down"):
                    raise Ended(
                        "refused",
                        f"{node.instance_id}, which is {name}, is {state.detail} and never comes back: put its successor's "
                        "instance id into hotstandby_pair.nodes",
                        command("deploy"),
                        code="rejoin_gone",
                    )
                by_agent = self.pair.fencing.method == "command"
                if not ordered and (by_agent or state.detail == "stopped"):
                    if self.check:
                        self.changed = True
                        note.outcome, note.detail = "planned", f"{name} would be switched on ({state})"
                        return None
                    trouble = self._order(name)
                    ordered = not trouble
                reply: Reply = self._look(name, record) if attempt else silent
                if isinstance(reply, Answer):
                    note.detail = f"{name} is on and answers after {clock.monotonic() - began:.0f} s"
                    return reply
                if self.check or clock.monotonic() - began >= self.wait:
                    raise self._still_silent(name, ordered, trouble or str(state), reply)
                clock.sleep(PAUSE[min(attempt, len(PAUSE) - 1)])
                attempt += 1

    def _order(self, name: str) -> str:
        """Order the power; returns what went wrong and may pass. Raises Ended when it will not work."""
        power = self.ports.power
        if power is None:
            return "fencing.method is none: switch it on by hand"
        found = power(self.pair.node(name))
        if found.no:
            raise Ended(
                "refused",
                f"{name} cannot be switched on: {found}. Mend that or switch it on by hand, then run this again",
                self._again(),
                code="rejoin_power",
            )
        self.changed = self.changed or found.yes
        return "" if found.yes else found.detail

    def _still_silent(self, name: str, ordered: bool, state: str, reply: NoAnswer) -> Ended:
        what = "was switched on, but" if ordered else "is not known to be off, and"
        waited = "" if self.check else f" within {self.wait:.0f} s"
        return Ended(
            "unfinished",
            f"{name} {what} does not answer{waited} ({reply.why}; {state}). Look at its SSM agent and at its console; then "
            "run this again",
            self._again(),
            code="rejoin_silent",
        )

    def _prove(self, name: str, reply: Answer) -> Answer:
        """Prove the product off there: by its answer, or by a stop that the guard proves."""
        with self._step("stop") as note:
            if reply.state == "stopped" and reply.detail.get("processes") == 0:
                note.outcome, note.detail = "ok", f"{name} says stopped, and no process of it is left"
                return reply
            if self.check:
                self.changed = True
                note.outcome, note.detail = "planned", f"the service would be stopped there ({said(reply)})"
                return _as_stopped(reply)
            record = self.ports.store.read()  # the stop carries the epoch that is in force now
            if record.active == name or record.move is not None:
                raise Ended(
                    "refused",
                    "the record was changed meanwhile: nothing was stopped",
                    command("status"),
                    code="rejoin_moved",
                )
            limit = self.pair.timeouts.stop
            # it must not run here at all: force, as when the node itself notices it
            answer = self.ports.nodes.ask(
                "stop", [name], wait=limit + MARGIN, keep=lambda: None, epoch=record.epoch, mode="force", timeout=limit,
            )[name]  # fmt: skip
            if not stopped(answer):
                raise Ended(
                    "unfinished",
                    f"the service is not proven stopped on {name}: {said(answer)}. Stop it there: sudo /usr/local/bin/hotstandby "
                    "stop --mode force; then run this again",
                    self._again(),
                    code="rejoin_not_stopped",
                )
            self.changed = True
            note.detail = f"it did not say stopped ({said(reply)}); stopped and proven now"
            again = self._look(name, record)
            if isinstance(again, NoAnswer):
                raise Ended(
                    "unfinished",
                    f"{name} was stopped and gives no answer now: {again.why}. Run this again",
                    self._again(),
                    code="rejoin_silent",
                )
            return again


def _as_stopped(reply: Answer) -> Answer:
    import dataclasses

    return dataclasses.replace(reply, state="stopped", detail={**reply.detail, "processes": 0})
