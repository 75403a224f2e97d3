# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's rules: may this node start, may it stop, must it stop itself? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..record import Record
from ..runbook import command
from .state import Holder, Memory

# refusals that may pass while a machine is still coming up
PASSING = frozenset({"record_unreadable", "instance_unknown", "shared_not_mounted"})

ORDER, PERSON, BOOT, OATH, ASK = "order", "person", "boot", "oath", "ask"


@dataclass(frozen=True)
class Decision:
    """What a rule says. `code` is the refusal's short word, empty when it is allowed; `epoch` what is granted."""

    code: str = ""
    message: str = ""
    epoch: Optional[int] = None

    @property
    def allowed(self) -> bool:
        """Whether nothing refused."""
        return not self.code


@dataclass(frozen=True)
class Shared:
    """The shared folder as this node finds it; None where it could not be told."""

    path: str
    mounted: Optional[bool] = None
    marker: Optional[str] = None


@dataclass(frozen=True)
class Asked:
    """What is asked. `who` is ORDER (a command with an epoch), PERSON, BOOT, OATH (without the record) or ASK (may-start)."""

    who: str
    epoch: Optional[int] = None


@dataclass(frozen=True)
class Facts:
    """What is known when a start is judged; everything read under the lock (but for ASK).

    `record` is None with `record_code` and `record_why` telling why. `peer_epoch` is what the other node's heartbeat
    carries (not asked for a move's order, which has asked both nodes), None when it has none.
    """

    pair: str
    node: str
    configured_id: str
    instance_id: Optional[str]
    memory: Memory
    record: Optional[Record] = None
    record_code: str = ""
    record_why: str = ""
    shared: Optional[Shared] = None
    peer_epoch: Optional[int] = None


def _itself(facts: Facts) -> Decision:
    if facts.instance_id is None:
        return Decision(
            "instance_unknown",
            "this machine cannot tell which instance it is (the instance metadata at 169.254.169.254 does not answer): nothing "
            "is started",
        )
    if facts.memory.trouble:
        return Decision(
            "state_unreadable",
            f"{facts.memory.trouble}: what this node remembers cannot be read, nothing is started",
        )
    return Decision()


def awaits(asked: Asked, record: Record, node: str) -> bool:
    """Whether this order was sent ahead: a move to this node is under way and has not granted that very epoch yet."""
    ordered = asked.who == ORDER and asked.epoch == record.epoch + 1
    under_way = record.state == "moving" and record.active is None
    return ordered and under_way and record.move is not None and record.move.target == node


def _named(asked: Asked, facts: Facts) -> Decision:
    """Whether the record names this node, this instance and this epoch."""
    record, memory = facts.record, facts.memory
    if record is None:
        return Decision(
            facts.record_code or "record_unreadable", facts.record_why or "the record was not read"
        )
    if record.epoch < max(memory.seen, memory.floor):
        return Decision(
            "restored",
            f"the record has epoch {record.epoch}, this node has seen {max(memory.seen, memory.floor)}: "
            "it was restored from a backup; stop both nodes, then run deploy",
        )
    if awaits(asked, record, facts.node):
        return Decision(
            "not_yet",
            f"the move to {facts.node} had not granted epoch {asked.epoch} in time: nothing was started; the move goes on by "
            f"{command('failover', to=facts.node)}",
        )
    if record.active != facts.node:
        who = f"'{record.active}'" if record.active else "nobody"
        text = f"the record names {who} (epoch {record.epoch}, {record.state}), not {facts.node}"
        return Decision("not_active", f"{text}. {_way(record, facts.node)}")
    wanted = record.nodes.get(facts.node)
    if wanted != facts.instance_id:
        return Decision(
            "wrong_instance",
            f"the record means {wanted}, this is {facts.instance_id}: a copy of a node must never run the service; a "
            f"replacement is brought in by {command('deploy')}",
        )
    if asked.epoch is not None and asked.epoch != record.epoch:
        return Decision(
            "wrong_epoch",
            f"asked to start with epoch {asked.epoch}, the record grants {record.epoch}: that order is too late, nothing is to be done",
        )
    return Decision(epoch=record.epoch)


def _way(record: Record, node: str) -> str:
    """What a person does who wants the service here."""
    if record.active is not None and record.move is None:
        return f"To move it here, on the controller: {command('failover', mode='switchover', to=node)}"
    target = record.move.target if record.move is not None else node
    return f"On the controller: {command('failover', to=target)}"


def _remembered(asked: Asked, facts: Facts, epoch: int) -> Decision:
    """Whether what this node remembers allows that epoch."""
    memory = facts.memory
    if epoch <= memory.floor:
        return Decision(
            "epoch_floor",
            f"epoch {epoch} was stopped here by a move (floor {memory.floor}): a new grant is needed, by {command('failover')}",
        )
    if epoch < memory.seen:
        return Decision("later_epoch_seen", f"epoch {epoch} is older than {memory.seen}, which was seen here")
    if memory.held is not None and asked.who != PERSON:
        fresh = asked.who == ORDER and epoch > memory.seen
        if not fresh:
            by, why = memory.held.get("by"), memory.held.get("reason")
            return Decision(
                "held",
                f"stopped on purpose by {by} ({why or 'no reason given'}): sudo /usr/local/bin/hotstandby start",
            )
    if asked.who != ORDER and facts.peer_epoch is not None and facts.peer_epoch > epoch:
        return Decision(
            "peer_later",
            f"the other node has seen epoch {facts.peer_epoch}, the record says {epoch}: it was restored from a backup; "
            "stop both nodes, then run deploy",
        )
    return Decision(epoch=epoch)


def _folder(facts: Facts) -> Decision:
    shared = facts.shared
    if shared is None:
        return Decision()
    if shared.mounted is not True:
        return Decision(
            "shared_not_mounted", f"{shared.path} is not a mount point here: mount it, then say this again"
        )
    if shared.marker is None:
        return Decision("shared_no_marker", f"{shared.path} has no readable .hotstandby-pair: run deploy")
    if shared.marker != facts.pair:
        return Decision(
            "shared_other_pair", f"{shared.path} belongs to pair '{shared.marker}', not to '{facts.pair}'"
        )
    return Decision()


def may_start(asked: Asked, facts: Facts) -> Decision:
    """Whether the product may be started here, with which epoch (None only by oath)."""
    first = _itself(facts)
    if not first.allowed:
        return first
    granted = Decision()
    if asked.who == OATH:
        if facts.instance_id != facts.configured_id:
            return Decision(
                "wrong_instance",
                f"the configuration means {facts.configured_id}, this is {facts.instance_id}: a copy of a node must never run the "
                "service",
            )
    else:
        granted = _named(asked, facts)
        if granted.allowed and granted.epoch is not None:
            granted = _remembered(asked, facts, granted.epoch)
        if not granted.allowed:
            return granted
    last = _folder(facts)
    return granted if last.allowed else last


def may_stop(epoch: Optional[int], memory: Memory) -> Decision:
    """Whether a stop may be obeyed: one with an epoch not when a later one was seen."""
    if epoch is not None and memory.seen > epoch:
        return Decision(
            "later_epoch_seen",
            f"this node has seen epoch {memory.seen}; the stop carries {epoch} and is too late",
        )
    return Decision(epoch=epoch)


def judge_holder(epoch: Optional[int], holder: Optional[Holder]) -> str:
    """What a stop does about who holds the lock: wait, know (wait briefly for its epoch), end or refuse.

    A person's stop (no epoch) only ever waits. Only a start is ever ended, and only one that is not later than the stop.
    """
    if epoch is None or holder is None or holder.verb != "start":
        return "wait"
    if holder.epoch is None:
        return "end" if holder.oath else "know"
    return "refuse" if holder.epoch > epoch else "end"


def must_fence(node: str, record: Optional[Record], memory: Memory) -> Decision:
    """Whether a product that runs here must be stopped: `allowed` only when a sound record names the other node."""
    if record is None:
        return Decision("record_unreadable", "the record was not read: no reason to stop anything")
    if memory.trouble:
        return Decision("state_unreadable", memory.trouble)
    if record.active == node or record.active not in record.nodes:
        return Decision("not_other", f"the record names '{record.active or 'nobody'}'")
    if record.state == "broken":
        return Decision("not_other", "the record is broken")
    if record.epoch < max(memory.seen, memory.floor):
        return Decision("restored", f"the record's epoch {record.epoch} is older than what was seen here")
    return Decision(message=f"the record names {record.active} with epoch {record.epoch}", epoch=record.epoch)
