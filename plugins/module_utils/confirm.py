# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions before anything is stopped: is the active down, and can the standby take over?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from .answer import Answer, NoAnswer, Reply
from .evidence import UNKNOWN, Ask, Evidence, Signals, Verdict, ineligible, judge
from .freshness import copied, too_old, words
from .health import heartbeat_evidence
from .lease import Holder
from .move import Ended, Request, Seen, check_restored, in_flight
from .pair import PairSpec
from .ports import Ports
from .record import Heartbeat, Move, Record, StoreError
from .runbook import command

MARGIN = 3.0  # seconds beside a node's own time limit, for SSM and the process to start


@dataclass(frozen=True)
class Looked:
    """What both nodes said, what was seen of the active's heartbeat, and whether it could be fenced where that was asked."""

    replies: dict[str, Reply]
    silence: Optional[Silence]
    fence: Optional[Evidence]


@dataclass(frozen=True)
class Looking:
    """A look that is on its way to both nodes, and the heartbeat that is watched meanwhile."""

    command_id: str
    silence: Optional[Silence]


def send_look(pair: PairSpec, ports: Ports, move: Move, began: float, seen: Optional[Seen] = None) -> Looking:
    """One command to both nodes. It changes nothing, so it may be under way while the lease is taken.

    `began` is when this run began, by its clock. Raises CommandError.
    """
    names = [node.name for node in pair.nodes]
    command_id = ports.nodes.send("look", names, timeout=pair.timeouts.confirm, active=move.source)
    silence = Silence(pair, ports, move.source, began, seen) if pair.profile == "fast" else None
    return Looking(command_id, silence)


def look(pair: PairSpec, ports: Ports, holder: Holder, move: Move, looking: Looking) -> Looked:
    """The answers. A node that is not heard within `timeouts.confirm` gave none.

    While they answer, a switchover asks whether its source could be fenced. With profile fast and a heartbeat that stands
    still, the wait for the active ends after `heartbeat_timeout`. Raises CommandError.
    """
    names = [node.name for node in pair.nodes]
    fence = None
    if move.kind == "switchover" and pair.fencing.method != "none":
        fence = ports.fence.can_work(pair.node(move.source))
    wait = pair.timeouts.confirm + MARGIN
    replies = ports.nodes.collect(looking.command_id, "look", names, wait, holder.keep, looking.silence)
    return Looked(replies, looking.silence, fence)


def glance(pair: PairSpec, ports: Ports, names: Iterable[str], active: str = "") -> dict[str, Reply]:
    """A look by somebody who holds no lease: what these nodes say within `timeouts.confirm`. Raises CommandError."""
    limit = pair.timeouts.confirm
    return ports.nodes.ask(
        "look", names, wait=limit + MARGIN, keep=lambda: None, timeout=limit, active=active
    )


class Silence:
    """Ends the wait for an active whose heartbeat did not change for `heartbeat_timeout` seconds of our clock.

    What the standby had seen of the very same heartbeat before it called counts too, up to half of that time, and so does
    all the time since this run began: its wait and ours run at once, and ours alone would never do. One whose agent has
    begun the look is not still but slow, as a host without an idle CPU is: it gets all of `timeouts.confirm`.
    """

    def __init__(
        self, pair: PairSpec, ports: Ports, active: str, began: float, seen: Optional[Seen] = None
    ) -> None:
        self._limit = pair.heartbeat_timeout
        self._store, self._clock = ports.store, ports.clock
        self._active = active
        self.first = self._beat()
        same = seen is not None and self.first is not None and self.first.beat == seen.beat
        # it was seen before this run began, so it has not changed since then
        self._since = began if same else self._clock.monotonic()
        self._before = min(seen.still, self._limit / 2) if seen is not None and same else 0.0

    @property
    def waited(self) -> float:
        """Seconds for which it stood still, if it is still the first one."""
        return self._clock.monotonic() - self._since + self._before

    def _beat(self) -> Optional[Heartbeat]:
        try:
            return self._store.heartbeat(self._active)
        except StoreError:
            return None

    def __call__(self, _waited: float, replies: dict[str, Reply]) -> bool:
        others = [reply for name, reply in replies.items() if name != self._active]
        active = replies[self._active]
        if (
            self.first is None
            or self.waited < self._limit
            or (isinstance(active, NoAnswer) and active.reached)
            or any(isinstance(reply, NoAnswer) for reply in others)
        ):
            return False
        found = self._beat()
        return found is not None and found.beat == self.first.beat


def signals(
    pair: PairSpec,
    ports: Ports,
    holder: Holder,
    active: str,
    replies: dict[str, Reply],
    silence: Optional[Silence] = None,
) -> tuple[Verdict, Signals]:
    """Ask what the verdict needs, one signal after the other, until there is one."""
    standby = pair.other(active).name
    known = Signals()
    while True:
        verdict = judge(replies[active], known)
        if isinstance(verdict, Verdict):
            return verdict, known
        known = dataclasses.replace(
            known,
            **{verdict.signal: _signal(verdict, pair, ports, holder, active, standby, replies, silence)},
        )


def _signal(
    ask: Ask,
    pair: PairSpec,
    ports: Ports,
    holder: Holder,
    active: str,
    standby: str,
    replies: dict[str, Reply],
    silence: Optional[Silence],
) -> Evidence:
    if ask.signal == "off":
        return ports.instance(pair.node(active).instance_id)
    if ask.signal == "probe":
        return probe_evidence(pair, standby, replies[standby])
    if ask.signal == "heartbeat":
        first, watched = (None, 0.0) if silence is None else (silence.first, silence.waited)
        return heartbeat_evidence(ports.store, pair, active, standby, holder.pause, first, watched)
    return ports.alarm(ports.store.now())


def probe_evidence(pair: PairSpec, standby: str, reply: Reply) -> Evidence:
    """What the standby's probe of the active said; unknown when there is none."""
    if pair.probe is None:
        return Evidence(UNKNOWN, "probe", "none is set up")
    source = f"probe by {standby}"
    if isinstance(reply, NoAnswer):
        return Evidence(UNKNOWN, source, reply.why)
    said = reply.detail.get("probe")
    return Evidence(said if said in ("yes", "no") else UNKNOWN, source, f"answered {said or 'nothing'}")


def confirm(
    pair: PairSpec,
    ports: Ports,
    holder: Holder,
    request: Request,
    record: Record,
    looked: Looked,
) -> str:
    """Whether the move may go on; returns why. Raises Ended when it may not."""
    move, replies = in_flight(record), looked.replies
    check_restored(record, replies)
    if move.kind == "recovery":
        return "nobody is named; both nodes will be proven stopped"
    source = replies[move.source]
    if move.kind == "switchover":
        if isinstance(source, Answer) and source.state == "running":
            return f"{move.source} answers that the service runs"
        said = source.message or source.state if isinstance(source, Answer) else source.why
        raise Ended(
            "refused",
            f"a switchover needs an active that is well; {move.source}: {said}. Nothing was changed. If {move.source} is "
            "down, a failover moves the service, and asks for proof first",
            command("failover", to=move.target),
            code="active_not_well",
        )
    if move.assumed:
        said = source.state if isinstance(source, Answer) else source.why
        return f"assume_down was given by {request.by or 'the operator'} ({move.source}: {said})"
    verdict, _known = signals(pair, ports, holder, move.source, replies, looked.silence)
    if verdict.kind == "down" and request.automation and isinstance(source, NoAnswer):
        verdict = held_before(ports, record, move.source) or verdict
    if verdict.kind == "down":
        return verdict.why
    if verdict.kind == "healthy":
        raise Ended(
            "not_confirmed",
            f"{verdict.why}: nothing was changed. To move it all the same: "
            + command("failover", mode="switchover", to=move.target),
            failed=False,
            code="active_healthy",
        )
    if verdict.kind == "held":
        raise Ended(
            "not_confirmed",
            f"{verdict.why}: nothing was changed. Start it there with 'sudo /usr/local/bin/hotstandby start', or move it knowingly",
            command("failover", to=move.target, assume_down="true"),
            failed=False,
            code="active_held",
        )
    raise Ended(
        "not_confirmed",
        f"it is not known whether {move.source} is down: {verdict.why}. Nothing was changed. Look at {move.source}; if "
        "you know that it is down, say so (it is fenced first)",
        command("failover", to=move.target, assume_down="true"),
        code="not_confirmed_unknown",
    )


def held_before(ports: Ports, record: Record, active: str) -> Optional[Verdict]:
    """Whether a person had stopped the service before the node fell silent: then its end is no failure, and people decide.

    Only for automation, and only by a heartbeat of the grant in force; one that cannot be read holds nothing back.
    """
    try:
        beat = ports.store.heartbeat(active)
    except StoreError:
        return None
    if (
        beat is None
        or not beat.held
        or beat.instance_id != record.nodes.get(active)
        or beat.epoch != record.epoch
    ):
        return None
    return Verdict(
        "held", f"{active} is silent, and its last heartbeat says that a person had stopped the service there"
    )


def eligible(pair: PairSpec, record: Record, looked: Looked) -> str:
    """Whether the target can take over; returns what was found. Raises Ended(refused) when it cannot."""
    move = in_flight(record)
    reply = looked.replies[move.target]
    if move.kind == "recovery" and isinstance(reply, Answer) and reply.state != "stopped":
        # it is stopped and proven before anything is granted
        reply = dataclasses.replace(reply, state="stopped", detail={**reply.detail, "processes": 0})
    why = ineligible(pair, move.target, reply)
    if why:
        raise Ended(
            "refused",
            f"{move.target} cannot take over: {why}. Nothing was stopped",
            command("status"),
            code="target_not_ready",
        )
    if looked.fence is not None and not looked.fence.yes:
        raise Ended(
            "refused",
            f"{move.source} could not be fenced if its stop came to doubt ({looked.fence}). Nothing was stopped",
            command("status"),
            code="cannot_fence",
        )
    old, age = too_old(pair, move.source, reply), words(move.source, copied(reply))
    if old and move.kind == "switchover" and pair.sync_too_old == "refuse":
        raise Ended(
            "refused",
            f"{move.target} would go on with old data: {old}. Copy them first. Nothing was stopped",
            command("sync"),
            code="standby_stale",
        )
    # a failover takes what there is; its history tells what that was
    return f"{move.target} answers, is stopped and ready" + (f"; {old or age}" if old or age else "")
