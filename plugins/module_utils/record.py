# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a pair: who may be active, since which epoch, and what is under way. Pure: no I/O here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .checks import shown

SCHEMA = 1
OLDEST_SCHEMA = 1  # one older schema is read, once there is one

STATES = ("steady", "moving", "broken")
STEPS = ("confirm", "stop", "fence", "start")
KINDS = ("failover", "switchover", "recovery")
MAX_LEASE = 3600.0  # seconds; pair.py allows less
MANY = 1e15  # no time in seconds is larger
MAX_LOG = 40  # steps kept in the record; an item must stay far below DynamoDB's 400 kB


class StoreError(Exception):
    """The record could not be used. Unknown, never a verdict about the nodes. `code`: its heading in the runbook."""

    code = "record_unreadable"


class RecordMissing(StoreError):
    """The table answers and has no record for this pair: unknown, never created on the way."""

    code = "record_missing"


class RecordUnreadable(StoreError):
    """The table did not answer, or the item makes no sense."""


class SchemaMismatch(StoreError):
    """The record was written by a version that this one does not understand: touch nothing."""

    code = "schema"


class Conflict(StoreError):
    """Somebody else changed the record since it was read."""

    code = "record_busy"


@dataclass(frozen=True)
class Lease:
    """Who holds the record; `version` changes at each renewal, `seconds` is how long it must stand still."""

    owner: str
    version: str
    seconds: float


@dataclass(frozen=True)
class Move:
    """A move in flight. `step` is what is about to be done; `source` is being left, `target` is to run."""

    id: str
    kind: str
    source: str
    target: str
    step: str
    reason: str = ""
    by: str = ""
    resumes: int = 0
    rollback: bool = False
    fenced: bool = False
    tries: int = 0
    unfenced: str = ""  # why an operator allowed a source without proof; empty: not allowed
    assumed: bool = False
    why: str = ""  # what turned the move round
    began: Optional[float] = None
    log: tuple[Mapping[str, Any], ...] = ()

    def swapped(self, **changes: Any) -> Move:
        """The way back: source and target exchanged, marked as a roll back."""
        back = {
            "source": self.target,
            "target": self.source,
            "rollback": True,
            "fenced": False,
            "unfenced": "",  # the oath was about the node that now is the target
            "tries": 0,
            "resumes": 0,
        }
        return dataclasses.replace(self, **{**back, **changes})


@dataclass(frozen=True)
class Record:
    """One consistent reading of the record item. Times are epoch seconds of the store's own clock."""

    pair: str
    nodes: Mapping[str, str]
    active: Optional[str]
    epoch: int
    state: str = "steady"
    schema: int = SCHEMA
    move: Optional[Move] = None
    pending: tuple[str, ...] = ()
    lease: Optional[Lease] = None
    paused: Optional[Mapping[str, Any]] = None
    times: Mapping[str, Any] = field(default_factory=dict)

    def other(self, name: str) -> str:
        """The name of the node that is not `name`."""
        return next(node for node in self.nodes if node != name)


@dataclass(frozen=True)
class Heartbeat:
    """One node's last sign of life. `epoch` is the highest it has seen, `beat` changes at each write.

    `held`: a person stopped the service there on purpose. A node that is older than this field says nothing of it.
    """

    node: str
    instance_id: str
    boot_id: str
    epoch: int
    state: str
    beat: str
    time: Optional[float]
    held: bool = False


def _bad(pair: str, what: str) -> RecordUnreadable:
    return RecordUnreadable(f"the record of pair '{pair}' makes no sense: {what}")


def _move(pair: str, raw: Any, nodes: Mapping[str, str]) -> Optional[Move]:
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        raise _bad(pair, "move is not a map")
    known = {item.name for item in dataclasses.fields(Move)}
    try:
        values = {key: value for key, value in raw.items() if key in known}
        move = Move(**{**values, "log": tuple(raw.get("log", ()))})
    except TypeError as error:
        raise _bad(pair, "move lacks a field") from error
    texts = (
        move.id,
        move.kind,
        move.source,
        move.target,
        move.step,
        move.reason,
        move.by,
        move.unfenced,
        move.why,
    )
    if not (
        all(isinstance(text, str) for text in texts)
        and all(_count(number) for number in (move.resumes, move.tries))
        and all(isinstance(flag, bool) for flag in (move.rollback, move.fenced, move.assumed))
        and (move.began is None or _number(move.began))
        and all(isinstance(step, Mapping) for step in move.log)
    ):
        raise _bad(pair, "a field of move is of another kind")
    if move.kind not in KINDS or move.step not in STEPS:
        raise _bad(pair, f"move is at '{shown(move.kind)}/{shown(move.step)}'")
    if {move.source, move.target} != set(nodes):
        raise _bad(pair, f"move goes from '{shown(move.source)}' to '{shown(move.target)}'")
    return move


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MANY


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _lease(pair: str, raw: Any) -> Optional[Lease]:
    if raw is None:
        return None
    try:
        lease = Lease(str(raw["owner"]), str(raw["version"]), float(raw["seconds"]))
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise _bad(pair, "lease lacks a field") from error
    if not 0 < lease.seconds <= MAX_LEASE:
        raise _bad(pair, f"lease is for {shown(lease.seconds)} s")
    return lease


def parse_record(pair: str, item: Mapping[str, Any]) -> Record:
    """Read a plain item. Raises SchemaMismatch or RecordUnreadable; never guesses."""
    schema = item.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise _bad(pair, "it has no schema")
    if not OLDEST_SCHEMA <= schema <= SCHEMA:
        raise SchemaMismatch(
            f"the record of pair '{pair}' has schema {schema}, this version reads {OLDEST_SCHEMA} to {SCHEMA}: install a matching version"
        )
    nodes, active, epoch, state = item.get("nodes"), item.get("active"), item.get("epoch"), item.get("state")
    if (
        not isinstance(nodes, Mapping)
        or len(nodes) != 2
        or not all(isinstance(value, str) for value in nodes.values())
    ):
        raise _bad(pair, "nodes is not a map of two")
    if not isinstance(epoch, int) or not _count(epoch):
        raise _bad(pair, "epoch is not a number")
    if "active" not in item or not (active is None or (isinstance(active, str) and active in nodes)):
        raise _bad(pair, f"active is '{shown(active)}'")
    if state not in STATES:
        raise _bad(pair, f"state is '{shown(state)}'")
    if state != "steady" and active is not None and item.get("move") is None:
        raise _bad(pair, f"state is {state} with an active node and no move")
    paused = item.get("paused")
    if paused is not None and not isinstance(paused, Mapping):
        raise _bad(pair, "paused is not a map")
    pending, times = item.get("pending") or (), item.get("times") or {}
    if not isinstance(pending, (list, tuple)) or not all(isinstance(label, str) for label in pending):
        raise _bad(pair, "pending is not a list of texts")
    if not isinstance(times, Mapping):
        raise _bad(pair, "times is not a map")
    move = _move(pair, item.get("move"), nodes)
    if state == "moving" and move is None:
        raise _bad(pair, "state is moving and there is no move")
    return Record(
        pair=pair,
        nodes=dict(nodes),
        active=active,
        epoch=epoch,
        state=state,
        schema=schema,
        move=move,
        pending=tuple(pending),
        lease=_lease(pair, item.get("lease")),
        paused=paused,
        times=dict(times),
    )


def parse_heartbeat(item: Mapping[str, Any]) -> Optional[Heartbeat]:
    """Read a heartbeat item; None when it makes no sense (then it tells nothing)."""
    at = item.get("time")
    if at is not None and not _number(at):
        return None
    try:
        return Heartbeat(
            node=str(item["node"]),
            instance_id=str(item["instance_id"]),
            boot_id=str(item["boot_id"]),
            epoch=int(item["epoch"]),
            state=str(item["state"]),
            beat=str(item["beat"]),
            time=None if at is None else float(at),
            held=item.get("held") is True,
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def plain(value: Any) -> Any:
    """Dataclasses, tuples and maps as what an item can hold; floats become text-safe numbers in the codec."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
