# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transition: the only thing that changes who may be active. Decides; all I/O goes through its ports.

A roll back is the same steps with source and target exchanged; so is a switchback. What is about to be done stands in
the record before it is done, so that the next holder can finish what this one left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NoReturn, Optional

from .ahead import Ahead
from .answer import Answer, NoAnswer, Reply
from .confirm import MARGIN, confirm, eligible, look
from .handover import by_owner
from .lease import LeaseHeld, LeaseLost
from .move import (
    MAX_TRIES,
    Ended,
    Request,
    Result,
    exhausted,
    planned,
    way_out,
)
from .opening import Opening
from .pair import PairSpec
from .ports import Ports
from .proof import Proof, said
from .record import StoreError
from .redirect import lead
from .run_command import CommandError
from .runbook import code_of, command
from .session import Session


class Transition:
    """One run of failover, switchover or resume for one pair. Use `run` once."""

    def __init__(self, pair: PairSpec, ports: Ports, request: Request) -> None:
        self._pair = pair
        self._ports = ports
        self._request = request
        self._session = Session(pair, ports, request)
        self._ahead = Ahead(self._session)
        self._proof = Proof(self._session, self._ahead.send)
        self._opening = Opening(self._session, pair, ports, request)

    def run(self) -> Result:
        """Move the pair, or say why not. Never raises for anything that a pair or AWS can do."""
        session = self._session
        try:
            active = self._opening.begin()
            if active is not None:
                self._stay(active)
            self._work()
        except Ended as end:
            return session.finish(end)
        except (LeaseHeld, LeaseLost) as error:
            refused = Ended("refused", str(error), command("status"), code=code_of(error))
            return dataclasses.replace(session.result(refused), busy=True)
        except (StoreError, CommandError) as error:
            return session.finish(self._api_failed(error))

    def _api_failed(self, error: Exception) -> Ended:
        session = self._session
        if not (session.withdrawn or session.withdrawing):
            text = f"{error}" if session.changed else f"{error}. Nothing was changed"
            return Ended("refused", text, command("status"), code=code_of(error))
        again = command("failover", to=session.move.target)
        return Ended("unfinished", f"{error}. Run this again", again, api=True, code=code_of(error))

    def _stay(self, target: str) -> NoReturn:
        """The target is active already: see that it is well, and pay what is pending. Always raises Ended."""
        record = self._session.record
        with self._session.step("confirm") as note:
            reply = self._status("look", target, active=target)
            if not (isinstance(reply, Answer) and reply.state == "running"):
                raise Ended(
                    "not_confirmed",
                    f"{target} is the active node already, but not known to be well: {said(reply)}. "
                    "Nothing was changed",
                    command("failover", to=record.other(target)),
                    code="already_active_not_well",
                )
            note.detail = f"{target} answers that the service runs"
        node = self._pair.node(target)
        strayed = [item.label for item in self._ports.redirects if item.points_to(node).no]
        if record.pending or strayed:
            self._pay(tuple(dict.fromkeys([*record.pending, *strayed])))
        raise Ended("unchanged", f"{target} is active and well (epoch {record.epoch})", failed=False)

    def _ask(self, action: str, name: str, limit: int, keep: Callable[[], None], **arguments: Any) -> Reply:
        """Ask one node, for `limit` seconds. Raises CommandError."""
        asked = self._ports.nodes.ask(
            action, [name], wait=limit + MARGIN, keep=keep, timeout=limit, **arguments
        )
        return asked[name]

    def _status(self, action: str, name: str, active: str = "") -> Reply:
        """Ask one node, for as long as `timeouts.confirm` allows. Raises CommandError."""
        return self._ask(action, name, self._pair.timeouts.confirm, self._session.holder.keep, active=active)

    def _pay(self, pending: tuple[str, ...]) -> NoReturn:
        """Move the addresses that an earlier move left pending, or that strayed. Always raises Ended."""
        session = self._session
        if self._request.check:
            raise session.plan(["redirect", "settle"], f"{', '.join(pending)} would be pointed at the active")
        session.write()
        session.changed = True
        left = self._redirect(str(session.record.active), pending)
        with session.step("settle"):
            session.holder.release(pending=tuple(left), move=None)
        if left:
            raise self._degraded(left)
        raise Ended("moved", "the addresses now point to the active node", failed=False)

    def _degraded(self, left: list[str]) -> Ended:
        active = str(self._session.record.active)
        text = f"the service is up on {active}, but not yet pointed there: {', '.join(left)}. Run this again"
        return Ended("degraded", text, command("failover", to=active), code="address_pending")

    def _work(self) -> NoReturn:
        """The steps, from wherever the record says. Always raises Ended."""
        session = self._session
        if self._request.check and session.withdrawn:
            going_on = f"the unfinished {session.move.kind} would go on"
            raise session.plan(planned(self._pair, session.move, False), going_on)
        handed = False
        while True:
            if session.move.step == "confirm":
                self._withdraw()
            if session.move.step in ("stop", "fence"):
                why = self._proof.prove()
                if why is None:
                    handed = session.hand_over(session.record.epoch)
                    self._promote()
                else:
                    self._give_back(why)
            if self._start() and self._verify():
                break
        if not handed and by_owner(self._pair):
            # nobody claims under an older epoch again, so this may go on while the target works
            session.hand_over(session.record.epoch - 1)
        self._settle(self._redirect(session.move.target, None))

    def _withdraw(self) -> None:
        """Confirm, see that the target can take over, and take the permission away."""
        pair, session = self._pair, self._session
        move = session.move
        with session.step("confirm") as note:
            looked = look(pair, self._ports, session.holder, move, self._opening.look())
            stop: Optional[Ended] = None
            try:
                note.detail = confirm(
                    pair, self._ports, session.holder, self._request, session.record, looked
                )
            except Ended as end:
                stop, note.outcome, note.detail = end, end.outcome, end.message
        if stop is not None:
            if session.record.pending and stop.outcome == "not_confirmed" and not stop.failed:
                self._pay(session.record.pending)
            raise stop
        with session.step("eligible") as note:
            note.detail = eligible(pair, session.record, looked)
        self._proof.heard = isinstance(looked.replies[move.source], Answer)
        if self._request.check:
            steps = planned(pair, move, not self._proof.heard)
            raise session.plan(steps, f"{move.target} would take over from {move.source}")
        with session.step("withdraw") as note:
            session.changed = session.withdrawing = True
            withdrawn = dataclasses.replace(move, step="stop", log=session.journal.all())
            session.write(state="moving", active=None, move=withdrawn)
            note.detail = "nobody is named"
            session.begun()

    def _promote(self) -> None:
        """The grant. Nobody is named before it, and every grant is a new epoch."""
        session, move = self._session, self._session.move
        with session.step("promote") as note:
            log = session.journal.all()
            granted = dataclasses.replace(move, step="start", resumes=0, tries=0, log=log)
            session.write(active=move.target, epoch=session.record.epoch + 1, move=granted)
            note.detail = f"{move.target} is named with epoch {session.record.epoch}"

    def _give_back(self, why: str) -> None:
        """Roll back before the grant: the source is granted again, with a new epoch."""
        session = self._session
        with session.step("promote") as note:
            back = session.move.swapped(step="start", why=why, log=session.journal.all())
            session.write(active=back.target, epoch=session.record.epoch + 1, move=back)
            note.outcome = "rollback"
            note.detail = f"{why}; {back.target} is named again with epoch {session.record.epoch}"

    def _turn_back(self, why: str) -> None:
        """Roll back after the grant: withdraw it; the same steps follow with the nodes exchanged."""
        session = self._session
        with session.step("withdraw") as note:
            back = session.move.swapped(step="stop", why=why, log=session.journal.all())
            session.write(active=None, move=back)
            self._proof.renew()
            note.outcome = "rollback"
            note.detail = f"{why}; nobody is named, {back.source} is stopped again"

    def _start(self) -> bool:
        """Start the target. False when the move turned round or the start is sent again."""
        session, move, limit = self._session, self._session.move, self._pair.timeouts.start
        if exhausted(move):
            return self._failed(NoAnswer("three runs died at this step"), for_good=True)
        with session.step("start") as note:
            session.holder.ready()
            reply = self._ahead.reply() or self._ask(
                "start", move.target, limit, session.keep, move=move.id, epoch=session.record.epoch
            )
            if isinstance(reply, NoAnswer):
                again = self._status("status", move.target)
                # running with exactly this epoch seen is an answer too
                if isinstance(again, Answer) and (again.state, again.seen) == (
                    "running",
                    session.record.epoch,
                ):
                    reply = again
            well = isinstance(reply, Answer) and reply.state == "running" and not reply.refused
            note.outcome, note.detail = "ok" if well else "failed", said(reply)
        return well or self._failed(reply)

    def _failed(self, reply: Reply, for_good: bool = False) -> bool:
        """The start failed: roll back where there is something to roll back to. False, or raises Ended."""
        session, move = self._session, self._session.move
        what = f"{move.target} did not start: {said(reply)}"
        if isinstance(reply, Answer) and reply.detail.get("still_stopping"):
            text = f"{move.target} is named, but its stop still drains: {reply.message}. Run this again"
            raise Ended("unfinished", text, command("failover", to=move.target), code="still_draining")
        if not (move.rollback or move.fenced or move.kind == "recovery"):
            self._turn_back(what)
            return False
        if isinstance(reply, NoAnswer) and not for_good:
            again = command("failover", to=move.target)
            raise Ended("unfinished", f"{what}. Run this again", again, code="start_no_answer")
        alone = move.fenced and not move.rollback and move.kind != "recovery"
        if alone and not for_good and move.tries + 1 < MAX_TRIES:
            # nothing to roll back to: the same start is sent again
            session.write(move=dataclasses.replace(move, tries=move.tries + 1, log=session.journal.all()))
            return False
        raise way_out(session.record, what, move.target)

    def _verify(self) -> bool:
        """Running, a second time; and a source that answers is still stopped. False when the move turned round."""
        session, move, pair = self._session, self._session.move, self._pair
        # what a fence proved off need not be asked; what somebody swore is asked all the same
        asked = [move.target] if move.fenced and not move.unfenced else [move.target, move.source]
        limit = min(pair.timeouts.verify, pair.timeouts.confirm)
        deadline = self._ports.clock.monotonic() + pair.timeouts.verify

        def enough(_waited: float, got: dict[str, Reply]) -> bool:
            source = got.get(move.source)
            return (
                isinstance(got[move.target], Answer) and isinstance(source, NoAnswer) and not source.reached
            )

        with session.step("verify") as note:
            while True:
                replies = self._ports.nodes.ask(
                    "status",
                    asked,
                    wait=limit + MARGIN,
                    keep=session.holder.keep,
                    give_up=enough,
                    timeout=limit,
                )
                reply, source = replies[move.target], replies.get(move.source)
                if isinstance(source, Answer) and source.up:
                    note.outcome, note.detail = "failed", f"the service is up on {move.source} again as well"
                    break
                if isinstance(reply, Answer) and reply.state == "running":
                    session.verified()
                    beside = f", {move.source} is {source.state}" if isinstance(source, Answer) else ""
                    note.detail = f"{move.target} runs{beside}"
                    return True
                if self._ports.clock.monotonic() >= deadline:
                    note.outcome, note.detail = "failed", said(reply)
                    break
                session.holder.pause(0.5)
        if isinstance(reply, Answer):
            reply = dataclasses.replace(reply, detail={"message": note.detail})
        return self._failed(reply)

    def _redirect(self, active: str, only: Optional[tuple[str, ...]]) -> list[str]:
        """Move the addresses (all, or those of these labels); returns the labels of those that are pending."""
        wanted = [item for item in self._ports.redirects if only is None or item.label in only]
        if not wanted:
            return []
        left = []
        with self._session.step("redirect") as note:
            told = []
            for redirect in wanted:
                found = lead(redirect, self._pair.node(active), self._session.holder)
                told.append(str(found))
                if not found.yes:
                    left.append(redirect.label)
            note.outcome = "pending" if left else "ok"
            note.detail = "; ".join(told)
        return left

    def _settle(self, left: list[str]) -> NoReturn:
        """Steady again: history, metric, release. Always raises Ended."""
        session, move, store = self._session, self._session.move, self._ports.store
        if move.rollback:
            text = f"{move.why}. Rolled back: {move.target} is active with epoch {session.record.epoch}"
            end = Ended("rolled_back", text, command("status"), code="rolled_back")
        elif left:
            end = self._degraded(left)
        else:
            spent = "" if session.downtime is None else f", down for {session.downtime:.1f} s"
            end = Ended(
                "moved", f"{move.target} is active with epoch {session.record.epoch}{spent}", failed=False
            )
        with session.step("settle") as note:
            session.holder.ready()  # whoever lost its lease must not write over the history of who finished
            session.metric(end.outcome)
            note.detail = session.keep_history(end)
            now = store.now()
            times = {**session.record.times, "active_since": now, "moved": now, "move": move.id, "why": ""}
            if move.kind == "failover":
                times["failover"] = now
            session.holder.release(state="steady", move=None, pending=tuple(left), times=times)
        raise end
