# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving the source stopped: its own answer, or a fence. Unknown is never a proof."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Optional

from .answer import Answer, NoAnswer, Reply
from .confirm import MARGIN
from .move import Ended, exhausted, way_out
from .runbook import command
from .session import Session


def said(reply: Reply) -> str:
    """What a node said, or why it said nothing."""
    return f"{reply.state}, {reply.message}" if isinstance(reply, Answer) else reply.why


def cut(reply: Answer) -> str:
    """What a forced stop cut, for the step and the history; empty for nothing."""
    told = reply.detail.get("transfers_cut")
    return (
        f"; cut by force, not resent by itself: {', '.join(map(str, told))}"
        if isinstance(told, list) and told
        else ""
    )


def stopped(reply: Optional[Reply]) -> bool:
    """Whether this answer proves the stop: the guard says stopped only with proof."""
    return isinstance(reply, Answer) and reply.state == "stopped" and not reply.refused


class Proof:
    """Stops the source of a move and proves it. `heard` tells whether it answered when it was last asked.

    `sent` is called when a stop has been sent: what need not wait for its proof.
    """

    def __init__(self, session: Session, sent: Callable[[], None]) -> None:
        self._session = session
        self._sent = sent
        self._stop_id = ""
        self.heard = True

    def renew(self) -> None:
        """The move turned round: another node is the source now."""
        self._stop_id = ""
        self.heard = True

    def prove(self) -> Optional[str]:
        """Prove the source stopped; returns None, or why a switchover must give it back instead.

        Raises Ended(unfinished) when fencing is not proven yet, Ended(broken) when it will not work.
        """
        move = self._session.move
        tired = exhausted(move)
        if tired and move.kind == "recovery":
            raise way_out(self._session.record, "three runs died while stopping both nodes", move.target)
        if move.step == "stop" and not tired:
            doubt = self._stop()
            if doubt is None:
                return None
        else:
            doubt = NoAnswer("three runs died at this step" if tired else "an earlier run began to fence it")
        if move.kind == "switchover" and not move.rollback and (isinstance(doubt, Answer) or tired):
            return f"{move.source} did not prove its stop: {said(doubt)}"
        self._fence(doubt)
        return None

    def _stop(self) -> Optional[Reply]:
        """Stop the source (in a recovery both nodes). None when proven, else the doubt."""
        pair, move = self._session.pair, self._session.move
        names = [move.source] if move.kind != "recovery" else [move.target, move.source]
        with self._session.step("stop") as note:
            reply = self._send(names, pair.stop.mode)
            slow = isinstance(reply, Answer) and reply.detail.get("still_stopping")
            if slow and pair.stop.then == "force" and pair.stop.mode != "force":
                reply = self._send([move.source], "force")
            if isinstance(reply, Answer) and stopped(reply):
                note.detail = (
                    f"{move.source}: {reply.detail.get('proof') or 'answers that it is stopped'}{cut(reply)}"
                )
                return None
            note.outcome = "doubt"
            note.detail = f"{move.source}: {said(reply)}"
            return reply

    def _send(self, names: list[str], mode: str) -> Reply:
        session = self._session
        pair, move, nodes = session.pair, session.move, session.ports.nodes
        session.holder.ready()
        session.stopping()
        limit = pair.timeouts.stop
        self._stop_id = nodes.send(
            "stop", names, move=move.id, epoch=session.record.epoch, mode=mode, timeout=limit
        )
        self._sent()
        if not self.heard and len(names) == 1:
            # a source that was silent is sent the stop, not waited for; a late answer counts all the same
            return NoAnswer("it gave no answer before, and is not waited for")

        def give_up(waited: float, replies: dict[str, Reply]) -> bool:
            silent = [item for item in replies.values() if isinstance(item, NoAnswer)]
            # one that never began it counts as silent
            return waited > pair.timeouts.confirm and not any(item.reached for item in silent)

        replies = nodes.collect(self._stop_id, "stop", names, limit + MARGIN, session.keep, give_up)
        if len(names) > 1 and not stopped(replies[move.target]):
            what = f"{move.target} could not be proven stopped ({said(replies[move.target])})"
            raise way_out(session.record, what, move.target)
        return replies[move.source]

    def _fence(self, doubt: Reply) -> None:
        """Power the source off and prove it. Raises Ended(unfinished) or Ended(broken)."""
        session, move = self._session, self._session.move
        node = session.pair.node(move.source)
        if move.step != "fence":
            session.write(move=dataclasses.replace(move, step="fence", resumes=0, log=session.journal.all()))
        with session.step("fence") as note:
            session.stopping()
            result = session.ports.fence.off(node, session.holder, session.ports.clock, self._late)
            if result.kind == "proven":
                note.detail = result.why
            elif session.move.unfenced and not self._speaks_up(doubt):
                note.outcome = "unfenced"
                note.detail = f"{move.by or 'the operator'} says that {node.name} is off: {move.unfenced}"
            elif result.kind == "impossible":
                raise way_out(session.record, f"{node.name} cannot be proven off: {result.why}", move.target)
            else:
                raise Ended(
                    "unfinished",
                    f"{node.name} is not proven off yet: {result.why}. Nothing was started. Run this again",
                    command("failover", to=move.target),
                    code="fence_unproven",
                )
        # written with the grant that follows
        session.holder.record = dataclasses.replace(
            session.record, move=dataclasses.replace(session.move, fenced=True)
        )

    def _speaks_up(self, doubt: Reply) -> bool:
        """Whether the source itself says something else than stopped: no oath beats that. A silent one is asked again."""
        session, name = self._session, self._session.move.source
        if isinstance(doubt, NoAnswer):
            limit = session.pair.timeouts.confirm
            doubt = session.ports.nodes.ask(
                "status", [name], wait=limit + MARGIN, keep=session.holder.keep, timeout=limit
            )[name]
        return isinstance(doubt, Answer) and doubt.state != "stopped"

    def _late(self) -> Optional[str]:
        """A late answer of the source that proves its stop."""
        self._session.spare()
        if not self._stop_id:
            return None
        answer = self._session.ports.nodes.late(self._stop_id, "stop", self._session.move.source)
        if answer is None or not stopped(answer):
            return None
        return f"{answer.node} answered late that it is stopped ({answer.detail.get('proof', '')})"
