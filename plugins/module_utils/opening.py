# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run begins: the record, whether this is a move to begin or one to resume, and the lease."""

from __future__ import annotations

import contextlib
from typing import Optional

from .checks import PairError
from .confirm import Looking, send_look
from .lease import free_lease
from .move import (
    Ended,
    Request,
    check_cooldown,
    check_event,
    check_identity,
    check_oath,
    check_pause,
    check_resume,
    new_move,
    resumed,
    way_out,
)
from .pair import PairSpec
from .ports import Ports
from .record import Move, Record
from .run_command import CommandError
from .runbook import command
from .session import Note, Session

FRESH = 2.0  # seconds for which a look counts that was sent before the lease was held


class Opening:
    """The first step of one run."""

    def __init__(self, session: Session, pair: PairSpec, ports: Ports, request: Request) -> None:
        self._session, self._pair, self._ports, self._request = session, pair, ports, request
        self._began = ports.clock.monotonic()
        self._sent: Optional[Looking] = None  # while the lease was taken
        self._sent_at = self._began

    def look(self) -> Looking:
        """The look that was sent, or a new one when none was or its answers would be old. Raises CommandError."""
        if self._sent is None or self._ports.clock.monotonic() - self._sent_at > FRESH:
            return self._send(self._session.move)
        return self._sent

    def _send(self, move: Move) -> Looking:
        self._sent_at = self._ports.clock.monotonic()
        return send_look(self._pair, self._ports, move, self._began, self._request.seen)

    def begin(self) -> Optional[str]:
        """Take the lease for a move, new or resumed. Returns the target instead when it is the active node already.

        Raises Ended, LeaseHeld, StoreError.
        """
        session, store = self._session, self._ports.store
        with session.step("acquire") as note:
            check_oath(self._request)
            record = self._found(store.read())
            if record.lease is not None:
                record = self._found(free_lease(store, record, self._ports.clock))
            target = None if record.state == "moving" else self._target(record)
            stays = record.state == "steady" and record.active == target
            move = None if target is None or stays else self._new(record, target)
            self._check_copies()
            if move is not None:
                session.write(move=move)
                note.detail = f"{move.kind} from {move.source} to {move.target}, epoch {record.epoch}"
            elif stays:
                note.detail = f"{target} is the active node already"
            else:
                self._resume(note)
        return target if stays else None

    def _found(self, record: Record) -> Record:
        """A record that was read, as this run goes on with it. Raises Ended when it is another pair's."""
        self._session.previous = record.active
        self._session.holder.record = record
        check_identity(self._pair, record)
        return record

    def _check_copies(self) -> None:
        copies = self._ports.replicas()
        if copies.yes:
            why = f"{copies}: a record that is copied proves nothing; remove the replicas"
            raise Ended("refused", why, command("status"), code="replicated_table")

    def _new(self, record: Record, target: str) -> Move:
        """A move that may begin; both nodes are looked at while the lease is taken."""
        request, now = self._request, self._ports.store.now()
        check_event(record, request)
        check_pause(record, request)
        check_cooldown(self._pair, record, request, now)
        move = new_move(record, request, self._ports.token(), target, now)
        with contextlib.suppress(CommandError):  # then it is sent, and fails, under the lease
            self._sent = self._send(move)
        return move

    def _target(self, record: Record) -> str:
        request = self._request
        if record.state == "broken":
            if request.automation or request.to is None or request.mode != "failover":
                raise way_out(record, record.times.get("why") or "the last move ended broken")
        elif request.to is None and record.active is None:
            raise way_out(record, "no node is named")
        try:
            return self._pair.node(request.to).name if request.to else record.other(str(record.active))
        except PairError as error:
            raise Ended("refused", f"to: {error}", command("status"), code="no_such_node") from error

    def _resume(self, note: Note) -> None:
        """Take up a move whose holder is gone."""
        session = self._session
        check_resume(session.record, self._request)
        session.write(move=resumed(session.move, self._request))
        move = session.move
        session.journal.before = move.log
        session.previous = move.target if move.rollback else move.source
        session.changed = True
        note.outcome = "resumed"
        note.detail = (
            f"{move.kind} from {move.source} to {move.target}, begun by {move.by or 'automation'}, "
            f"at step {move.step}; taken up {move.resumes} time(s)"
        )
