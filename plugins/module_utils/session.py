# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run's bookkeeping: the record under its lease, the steps so far, and how it lets go."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Optional

from .budget import needs
from .lease import Holder, LeaseHeld, LeaseLost
from .move import Ended, Journal, Request, Result, in_flight
from .pair import PairSpec
from .ports import Ports
from .progress import waits
from .record import Move, Record, StoreError
from .run_command import CommandError
from .runbook import command

SPARE = 1.0  # seconds into the stop, or the fence, after which there is time to tell people


class Note:
    """What a step says of itself when it ends."""

    def __init__(self) -> None:
        self.outcome = "ok"
        self.detail = ""


class Session:
    """What the parts of one run share. Used by one Transition, once."""

    def __init__(self, pair: PairSpec, ports: Ports, request: Request) -> None:
        self.pair = pair
        self.ports = ports
        self.request = request
        self.journal = Journal()
        nothing = Record(pair=pair.name, nodes={}, active=None, epoch=0)
        self.holder = Holder(ports.store, ports.clock, nothing, request.owner, pair.lease)
        self.changed = False
        self.withdrawing = False  # the permission is being taken away: from here on it may be gone
        self.previous: Optional[str] = None
        self.stopping_since: Optional[float] = None
        self.downtime: Optional[float] = None
        self._news = False  # the move has begun, and nobody has been told yet

    @property
    def record(self) -> Record:
        """The record as this run last wrote or read it."""
        return self.holder.record

    @property
    def move(self) -> Move:
        """The move in flight."""
        return in_flight(self.record)

    @property
    def withdrawn(self) -> bool:
        """Whether the move has taken the permission away already."""
        return self.record.move is not None and self.record.move.step != "confirm"

    def write(self, **changes: object) -> None:
        """Change the record and renew the lease; in check mode only this run's own copy changes."""
        if self.request.check:
            self.holder.record = dataclasses.replace(self.record, **changes)  # type: ignore[arg-type]
        else:
            self.holder.write(**changes)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Time a step and keep what it said, also when it ends the move."""
        note, began = Note(), self.ports.clock.monotonic()
        move = self.record.move
        nodes = (move.source, move.target) if move else ("", "")
        self.ports.progress(name, *waits(name, self.pair, *nodes))
        try:
            self._must_fit(name)
            yield note
        except Ended as end:
            note.outcome, note.detail = end.outcome, end.message
            raise
        except (StoreError, CommandError, LeaseLost, LeaseHeld) as error:
            note.outcome, note.detail = "failed", str(error)
            raise
        finally:
            self.journal.add(name, note.outcome, self.ports.clock.monotonic() - began, note.detail)

    def _must_fit(self, step: str) -> None:
        """A step that will not fit into this run's time is not begun: the next run takes the move up there."""
        left, need = self.ports.left(), needs(self.pair, step)
        if left >= need:
            return
        why = f"{max(left, 0):.0f} s are left to this run, and {step} may take {need:.0f} s"
        if not (self.withdrawn or self.withdrawing):
            raise Ended("refused", f"{why}. Nothing was changed", command("status"), code="out_of_time")
        again = command("failover", to=self.move.target)
        text = f"handed over before {step}: {why}. Run this again"
        raise Ended("unfinished", text, again, api=True, code="out_of_time")

    def stopping(self) -> None:
        """The downtime begins with the first stop that is sent."""
        if self.stopping_since is None:
            self.stopping_since = self.ports.clock.monotonic()

    def verified(self) -> None:
        """The downtime ends."""
        if self.stopping_since is not None:
            self.downtime = round(self.ports.clock.monotonic() - self.stopping_since, 3)

    def begun(self) -> None:
        """The move has begun: it is told when there is time."""
        self._news = True

    def keep(self) -> None:
        """Keep the lease in a wait loop, and use the time."""
        self.holder.keep()
        self.spare()

    def spare(self) -> None:
        """Nothing to do for a moment: people are told of the beginning, which delays neither stop nor fence nor start."""
        since = self.stopping_since
        late = since is not None and self.ports.clock.monotonic() - since >= SPARE
        if late or self.record.active is not None:
            self.tell()

    def tell(self) -> None:
        """Tell of the move that has begun, once."""
        if self._news and self.record.move is not None:
            self._news = False
            self.ports.tell(self.record.move)

    def plan(self, names: list[str], message: str) -> Ended:
        """How check mode ends: with what would be done."""
        for name in names:
            self.journal.add(name, "planned", 0.0, "")
        self.changed = True
        return Ended("moved", message, failed=False)

    def hand_over(self, epoch: int) -> bool:
        """Let the requests of whoever was granted up to `epoch` wait again; whether all do. What is left stops nothing."""
        if self.pair.requeue is None:
            return True
        with self.step("handover") as note:
            self.holder.ready()
            handed = self.ports.requeue(epoch, self.holder.keep, self.holder.ready)
            note.outcome, note.detail = "ok" if handed.complete else "pending", handed.text
        return handed.complete

    def keep_history(self, end: Ended) -> str:
        """Write the history item; a failure costs the item, never the move. Returns what went wrong. Raises LeaseLost."""
        move = self.record.move
        if move is None or self.request.check:
            return ""
        # in this order: who stands still after this check carries a time from before its successor's
        ended = self.ports.store.now()
        values = {
            "id": move.id,
            "kind": move.kind,
            "source": self.previous,
            "target": move.source if move.rollback else move.target,
            # a move that ends broken takes the name away with the write that follows
            "active": None if end.outcome == "broken" else self.record.active,
            "epoch": self.record.epoch,
            "outcome": end.outcome,
            "message": end.message,
            "reason": move.reason,
            "by": move.by,
            "unfenced": move.unfenced,
            "began": move.began,
            "ended": ended,
            "downtime_seconds": self.downtime,
            "steps": self.journal.all(),
        }
        try:
            self.holder.ready()
            self.ports.store.put_history(move.id, move.began or 0.0, values)
        except StoreError as error:
            return f"the history could not be written: {error}"
        return ""

    def metric(self, outcome: str) -> None:
        """Put the metric of an ended move; it is a courtesy and may fail."""
        with contextlib.suppress(Exception):
            self.ports.metric(outcome)

    def finish(self, end: Ended) -> Result:
        """Let go of the record as this end demands it."""
        self.tell()
        if self.request.check or not self.holder.held:
            return self.result(end)
        try:
            self.holder.ready()
            record, move = self.record, self.record.move
            if not (self.request.quiet and (move is None or move.step == "confirm")):
                self.keep_history(end)
            if end.outcome == "broken":
                times = {**record.times, "why": end.why}
                self.holder.release(state="broken", active=None, move=None, times=times)
                self.metric("broken")
            elif move is None or move.step == "confirm":
                self.holder.release(move=None)
            else:
                # an API that failed is no failure of the step: this resume does not count
                resumes = max(0, move.resumes - 1) if end.api else move.resumes
                back = dataclasses.replace(move, resumes=resumes, log=self.journal.all())
                self.holder.release(move=back)
        except LeaseLost as error:
            end = Ended("refused", f"{end.message}. Meanwhile {error}", command("status"), code="lease_lost")
        except StoreError as error:
            end.message += f" (the record could not be let go: {error}; its lease runs out by itself)"
        return self.result(end)

    def result(self, end: Ended) -> Result:
        """What the caller is told."""
        record, move = self.record, self.record.move
        planned = self.request.check and end.outcome == "moved" and move is not None
        active, epoch = record.active, record.epoch
        if planned and move is not None:
            active, epoch = move.target, record.epoch + (move.step != "start")
        return Result(
            outcome=end.outcome,
            changed=self.changed,
            message=end.message,
            active=active,
            previous=self.previous,
            epoch=epoch,
            pending=record.pending,
            steps=self.journal.all(200),
            downtime_seconds=self.downtime,
            next=end.next,
            failed=end.failed,
            move=move.id if move else "",
            code=end.code,
        )
