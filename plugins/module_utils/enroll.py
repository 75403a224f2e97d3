# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the record from what really runs, mending a restored one, and bringing in a replaced node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .answer import Answer, Reply
from .confirm import glance
from .evidence import left_over, restored
from .fencing import instance_state
from .lease import Holder, LeaseHeld, LeaseLost, free_lease
from .pair import PairSpec
from .ports import Ports
from .proof import said
from .record import Conflict, Record, RecordMissing, StoreError
from .run_command import CommandError
from .runbook import code_of, command


class EnrollError(Exception):
    """The record was not made or changed; the text says on one line why and what to do, `code` where it is explained."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Enrolled:
    """`action` is created, unchanged, mended or replaced; `before` the record that was there, None when there was none."""

    action: str
    record: Record
    before: Optional[Record]
    message: str

    @property
    def changed(self) -> bool:
        """Whether the record was written (in check mode: would be)."""
        return self.action != "unchanged"


@dataclass(frozen=True)
class Enrolment:
    """One `deploy` of a pair's record. `given_up` is the reason for a replaced node that cannot be proven off."""

    pair: PairSpec
    ports: Ports
    by: str
    given_up: str = ""
    check: bool = False

    def run(self) -> Enrolled:
        """Create, mend or leave the record. Raises EnrollError."""
        try:
            try:
                record: Optional[Record] = self.ports.store.read()
            except RecordMissing:
                record = None
            copies = self.ports.replicas()
            if copies.yes:
                raise EnrollError(
                    f"{copies}: a record that is copied proves nothing; use a table without replicas",
                    code="replicated_table",
                )
            if not copies.no:
                raise EnrollError(
                    f"{copies}: whether the table has replicas must be known first", code="replicas_unknown"
                )
            if record is None:
                return self._create()
            if dict(record.nodes) != self.pair.instance_ids():
                return self._replace(record)
            return self._keep(record)
        except (StoreError, CommandError, LeaseHeld, LeaseLost) as error:
            raise EnrollError(str(error), code=code_of(error)) from error

    def _look(self, active: str = "") -> dict[str, Reply]:
        return glance(self.pair, self.ports, [node.name for node in self.pair.nodes], active)

    def _both(self, replies: dict[str, Reply]) -> dict[str, Answer]:
        answers = {name: reply for name, reply in replies.items() if isinstance(reply, Answer)}
        for name, reply in replies.items():
            if name not in answers:
                raise EnrollError(
                    f"{name} gives no answer ({said(reply)}): both nodes must answer first: see that the machine is "
                    "on and its SSM agent is online, then run this again",
                    code="enroll_no_answer",
                )
        for name, answer in answers.items():
            if answer.state not in ("running", "stopped"):
                raise EnrollError(
                    f"{name} cannot tell whether the service runs there: {said(answer)}",
                    code="enroll_cannot_tell",
                )
            found = answer.detail.get("eligible")
            marker = found.get("marker") if isinstance(found, Mapping) else None
            if self.pair.shared is not None and marker not in (None, "", self.pair.name):
                raise EnrollError(
                    f"the shared folder on {name} belongs to pair '{marker}', not to '{self.pair.name}'",
                    code="shared_other_pair",
                )
            if answer.state == "stopped" and answer.detail.get("processes") != 0:
                raise EnrollError(
                    f"{name} says stopped, but {left_over(answer)} there", code="processes_left"
                )
        return answers

    @staticmethod
    def _above(answers: dict[str, Answer], epoch: int = 0) -> int:
        """An epoch above what both nodes have seen."""
        return max([epoch, *(max(answer.seen, answer.floor) for answer in answers.values())]) + 1

    def _create(self) -> Enrolled:
        answers = self._both(self._look())
        running = [name for name, answer in answers.items() if answer.state == "running"]
        if len(running) == 2:
            raise EnrollError(
                f"the service runs on both nodes ({' and '.join(running)}): stop it on the one that shall be "
                "the standby, there: sudo /usr/local/bin/hotstandby stop",
                code="runs_on_both",
            )
        active = running[0] if running else self.pair.nodes[0].name
        now = self.ports.store.now()
        record = Record(
            pair=self.pair.name,
            nodes=self.pair.instance_ids(),
            active=active,
            epoch=self._above(answers),
            times={"created": now, "active_since": now},
        )
        what = "where the service runs" if running else "where it may be started; it runs on neither node"
        if not self.check:
            try:
                self.ports.store.create(record)
            except Conflict as error:
                raise EnrollError(
                    f"{error}: another deploy was faster, run this again", code="record_busy"
                ) from error
        return Enrolled("created", record, None, f"{active} is named with epoch {record.epoch}, {what}")

    def _keep(self, record: Record) -> Enrolled:
        replies = self._look(record.active or "")
        why = restored(record, replies)
        if why is None:
            return Enrolled("unchanged", record, record, f"the record is there, epoch {record.epoch}")
        answers = self._both(replies)
        running = [name for name, answer in answers.items() if answer.state == "running"]
        if running:
            raise EnrollError(f"{why} (the service runs on {' and '.join(running)})", code="restored")
        active = record.active or self.pair.nodes[0].name
        epoch = self._above(answers, record.epoch)
        mended = self._change(record, state="steady", active=active, epoch=epoch, move=None, pending=())
        return Enrolled(
            "mended", mended, record, f"{why.split(':')[0]}; {active} is named with epoch {epoch}"
        )

    def _replace(self, record: Record) -> Enrolled:
        """Exactly one node may differ, and not the active one."""
        wanted = self.pair.instance_ids()
        gone = {name: instance for name, instance in record.nodes.items() if wanted.get(name) != instance}
        if len(gone) != 1:
            raise EnrollError(
                "both nodes differ from the record's: replace one at a time, the one that is not active first",
                code="replace_one_at_a_time",
            )
        name, instance_id = next(iter(gone.items()))
        if record.state != "steady" or record.active is None:
            # a move compares the inventory with the record: only the old inventory can finish it
            to = record.move.target if record.move else record.other(name)
            raise EnrollError(
                f"the pair is {record.state}: finish that before a node is replaced: let the inventory name "
                f"{instance_id} as {name} once more, {command('failover', to=to)} (with allow_unfenced and reason when "
                f"{instance_id} is gone for good), then deploy with the new instance",
                code="replace_unsteady",
            )
        if name == record.active:
            raise EnrollError(
                f"{name} is the active node: with the old instance in the inventory move the service away first: "
                + command("failover", mode="switchover", to=record.other(name)),
                code="replace_active",
            )
        off = self.ports.instance(instance_id)
        if not off.yes:
            listed = "does not list" not in off.detail
            if listed or not self.given_up:
                hint = (
                    "stop or terminate it first"
                    if listed
                    else "say allow_unfenced with a reason to give it up"
                )
                raise EnrollError(
                    f"{instance_id}, which was {name}, is not proven off ({off}): {hint}",
                    code="replace_not_off",
                )
        answers = self._both(self._look(record.active))
        new = next(node.name for node in self.pair.nodes if node.instance_id not in record.nodes.values())
        if answers[new].state != "stopped":
            raise EnrollError(
                f"the service runs on {new}, which shall be the standby: stop it there",
                code="runs_on_standby",
            )
        why = restored(record, dict(answers))
        if why is not None:
            raise EnrollError(why, code="restored")
        changed = self._change(record, nodes=wanted, epoch=self._above(answers, record.epoch))
        return Enrolled(
            "replaced", changed, record, f"{new} takes the place of {instance_id}, epoch {changed.epoch}"
        )

    def _change(self, record: Record, **changes: Any) -> Record:
        """Change the record under the lease."""
        import dataclasses

        times = {**record.times, "deployed": self.ports.store.now()}
        if self.given_up:
            times["given_up"] = f"{self.by}: {self.given_up}"
        if self.check:
            return dataclasses.replace(record, times=times, **changes)
        current = free_lease(self.ports.store, record, self.ports.clock)
        if dataclasses.replace(current, lease=record.lease) != record:
            raise EnrollError("the record was changed meanwhile: run this again", code="record_busy")
        holder = Holder(self.ports.store, self.ports.clock, current, self.by, self.pair.lease)
        holder.write()
        return holder.release(times=times, **changes)


__all__ = ["EnrollError", "Enrolled", "Enrolment", "instance_state"]
