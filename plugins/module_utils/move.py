# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move is asked to do, what it says of itself, and how it ends. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .evidence import restored
from .pair import PairSpec
from .record import Move, Record
from .runbook import command

OUTCOMES = (
    "moved",
    "unchanged",
    "not_confirmed",
    "refused",
    "rolled_back",
    "degraded",
    "unfinished",
    "broken",
)
# the steps of a move in their order; fence happens only on doubt
ORDER = (
    "acquire", "confirm", "eligible", "withdraw", "stop", "fence", "handover",
    "promote", "start", "verify", "redirect", "settle",
)  # fmt: skip
MAX_RESUMES = 3
MAX_TRIES = 3
SECOND = 1.0  # what a Date header may lie behind, and so the record's times
OLD_EVENT = "old_event"  # the code of a run that an event about an earlier active began


@dataclass(frozen=True)
class Seen:
    """A heartbeat (its `beat`) that the standby has itself seen unchanged for `still` seconds of its own clock."""

    beat: str
    still: float


@dataclass(frozen=True)
class Request:
    """What the caller wants. `to` is a node name or None for the other one; `automation` is true for the function.

    A `quiet` run that changes nothing leaves no history: the reconciler looks each minute. `since` is the time of the event
    that began it (epoch seconds): one about an earlier active moves nothing. `seen` is what the standby's watch has seen.
    """

    mode: str = "failover"
    to: Optional[str] = None
    reason: str = ""
    by: str = ""
    owner: str = ""
    assume_down: bool = False
    allow_unfenced: bool = False
    automation: bool = False
    check: bool = False
    quiet: bool = False
    since: Optional[float] = None
    seen: Optional[Seen] = None


@dataclass(frozen=True)
class Result:
    """What became of it. `next` is the exact next command, empty when none is needed; times in seconds.

    `busy` tells that another run holds the pair.
    """

    outcome: str
    changed: bool
    message: str
    active: Optional[str] = None
    previous: Optional[str] = None
    epoch: Optional[int] = None
    pending: tuple[str, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    downtime_seconds: Optional[float] = None
    next: str = ""
    failed: bool = False
    move: str = ""
    busy: bool = False
    code: str = ""


class Ended(Exception):
    """The move ends here. `api` tells that an API failed, not a step; `why` is what the record keeps of it.

    `code` is the heading in the runbook that explains it.
    """

    def __init__(
        self,
        outcome: str,
        message: str,
        next: str = "",
        failed: Optional[bool] = None,
        api: bool = False,
        why: str = "",
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.outcome = outcome
        self.message = message
        self.next = next
        self.api = api
        self.why = why or message
        fails = outcome in ("refused", "rolled_back", "unfinished", "broken", "not_confirmed", "degraded")
        self.failed = fails if failed is None else failed


@dataclass
class Journal:
    """The steps of this run, each {name, outcome, seconds, detail}; kept in the record's move too."""

    before: tuple[Mapping[str, Any], ...] = ()
    steps: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, outcome: str, seconds: float, detail: str) -> None:
        """One step has ended."""
        self.steps.append(
            {"name": name, "outcome": outcome, "seconds": round(seconds, 3), "detail": detail[:400]}
        )

    def all(self, limit: int = 40) -> tuple[Mapping[str, Any], ...]:
        """Every step so far, of earlier holders too; the oldest are dropped beyond `limit`."""
        return (*self.before, *self.steps)[-limit:]


def in_flight(record: Record) -> Move:
    """The move of a record that has one."""
    if record.move is None:
        raise AssertionError("a step runs without a move")
    return record.move


def check_identity(pair: PairSpec, record: Record) -> None:
    """The inventory and the record must mean the same two machines. Raises Ended(refused)."""
    if dict(record.nodes) != pair.instance_ids():
        told = ", ".join(f"{name}={instance}" for name, instance in sorted(record.nodes.items()))
        asked = ", ".join(f"{name}={instance}" for name, instance in sorted(pair.instance_ids().items()))
        raise Ended(
            "refused",
            f"hotstandby_pair.nodes says {asked}, the record says {told}: a replaced node is brought in by deploy",
            command("deploy"),
            code="other_instances",
        )


def check_pause(record: Record, request: Request) -> None:
    """Somebody's pause stops new moves. Raises Ended(refused) with that person's reason."""
    paused = record.paused
    if not paused or (not request.automation and paused.get("by") == request.by):
        return
    raise Ended(
        "refused",
        f"the pair is paused by {paused.get('by', 'somebody')}: {paused.get('reason') or 'no reason given'}. Ask them, or "
        "resume it yourself and say this again",
        command("maintenance", state="resumed"),
        code="paused",
    )


def check_event(record: Record, request: Request) -> None:
    """An event is about the active of its time. Raises Ended(refused) for one of an earlier active."""
    granted = record.times.get("active_since")
    if request.since is None or not isinstance(granted, (int, float)):
        return
    if request.since < granted + (SECOND if record.times.get("moved") else 0.0):
        raise Ended("refused", "it is about an earlier active", command("status"), code=OLD_EVENT)


def check_cooldown(pair: PairSpec, record: Record, request: Request, now: Optional[float]) -> None:
    """Automation waits `cooldown` seconds after a failover; people are not held up. Raises Ended(refused)."""
    last = record.times.get("failover")
    if not request.automation or not isinstance(last, (int, float)):
        return
    if now is None or now - last < pair.cooldown:
        since = "an unknown time" if now is None else f"{now - last:.0f} s"
        raise Ended(
            "refused",
            f"the last failover was {since} ago, cooldown is {pair.cooldown} s: automation waits, cooling down. A person is "
            "not held up",
            command("status"),
            code="cooling_down",
        )


def check_restored(record: Record, replies: dict[str, Any]) -> None:
    """A record older than what a node has seen moves nothing. Raises Ended(refused)."""
    why = restored(record, replies)
    if why:
        raise Ended("refused", why, command("deploy"), code="restored")


def check_resume(record: Record, request: Request) -> None:
    """A move in flight is finished before another begins. Raises Ended(refused) when another one is asked for."""
    move = record.move
    if move is None or request.to == move.target:
        return
    if move.rollback and request.allow_unfenced:
        raise Ended(
            "refused",
            f"allow_unfenced: the unfinished move goes back to {move.target}, so the node that must be off is "
            f"{move.source}. If you know that {move.source} is off, say to={move.target}",
            command("failover", to=move.target),
            code="oath_wrong_way",
        )
    if request.to is None or move.rollback:
        return
    raise Ended(
        "refused",
        f"a {move.kind} from {move.source} to {move.target} is unfinished: finish it first, then move on. Nothing was changed",
        command("failover", to=move.target),
        code="move_unfinished",
    )


def way_out(record: Record, what: str, to: Optional[str] = None) -> Ended:
    """Broken: nobody may start; say what to do. `to` is the node that the move wanted."""
    nodes = " or ".join(sorted(record.nodes))
    return Ended(
        "broken",
        f"{what}. Nobody is named, nothing is started. Choose the node that shall run ({nodes}); both are proven "
        "stopped first. Only when you pulled the other node's plug yourself, add -e allow_unfenced=true -e \"reason='TEXT'\"",
        command("failover", to=to or sorted(record.nodes)[0]),
        why=what,
        code="broken",
    )


def check_oath(request: Request) -> None:
    """`allow_unfenced` goes into the history with its reason. Raises Ended(refused) when there is none."""
    if request.allow_unfenced and not request.reason.strip():
        raise Ended(
            "refused",
            "reason: allow_unfenced needs one; say the same again with how you know that the other node is off: -e "
            "\"reason='TEXT'\"",
            code="oath_needs_reason",
        )


def new_move(record: Record, request: Request, move_id: str, target: str, now: Optional[float]) -> Move:
    """A fresh move to `target`; from broken, or when nobody is named, it is a recovery of both nodes."""
    kind = request.mode if record.active is not None and record.state == "steady" else "recovery"
    return Move(
        id=move_id,
        kind=kind,
        source=record.other(target),
        target=target,
        step="confirm",
        reason=request.reason,
        by=request.by,
        unfenced=oath(request),
        assumed=request.assume_down,
        began=now,
    )


def oath(request: Request) -> str:
    """What is kept of `allow_unfenced`: the reason, or empty when it was not given."""
    return request.reason if request.allow_unfenced else ""


def resumed(move: Move, request: Request) -> Move:
    """The move as the next holder takes it up; an operator may add `allow_unfenced` on the way."""
    sworn = oath(request)
    if sworn and request.by != move.by:
        sworn = f"{sworn} (sworn by {request.by})"
    return dataclasses.replace(move, resumes=move.resumes + 1, unfenced=sworn or move.unfenced)


def exhausted(move: Move) -> bool:
    """After three resumes a step counts as failed, except fence."""
    return move.resumes > MAX_RESUMES and move.step != "fence"


def planned(pair: PairSpec, move: Move, fence: bool) -> list[str]:
    """The names of the steps that a smooth run from here takes."""
    first = {"confirm": "withdraw", "stop": "stop", "fence": "fence", "start": "start"}[move.step]
    steps = [name for name in ORDER[ORDER.index(first) :] if name != "fence" or fence or first == "fence"]
    handed = pair.requeue is not None
    return [
        name for name in steps if (name != "handover" or handed) and (name != "redirect" or pair.redirect)
    ]
