# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconciler's judgement: from one look at everything, what to do now and what people must hear. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .evidence import UNKNOWN, Evidence
from .fencing import NOT_LISTED
from .freshness import span
from .health import CHECK, STANDBY, UNWATCHED, stale_after
from .move import Result
from .notice import Notice, matter
from .record import Heartbeat, Record
from .report import View, moment
from .runbook import command

NEWS = 3600.0  # seconds for which an ended move is news
ENDED = ("moved", "degraded", "rolled_back")
UNHEARD = 180.0  # seconds without a sign of life
SETTLED = 5.0  # seconds after a grant in which an older heartbeat may still arrive


@dataclass(frozen=True)
class Sight:
    """What one look found. `agents` is {node name: is its SSM agent online}; `now` in epoch seconds.

    `warnings` is what health.warnings found: whether a standby cannot take over, and whether a check is broken.
    """

    view: View
    alarm: Evidence
    agents: Mapping[str, Evidence]
    now: float
    pause_limit: float = 14400.0  # seconds
    warnings: Mapping[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to do: none, resume (a move in flight), failover, or pay (an address); and what to tell."""

    action: str
    reason: str
    notices: tuple[Notice, ...] = ()


def plan(sight: Sight) -> Plan:
    """Judge. What is unknown is told and moves nothing."""
    view, pair = sight.view, sight.view.pair
    record = view.record
    notices = [*_reach(sight)]
    if record is None:
        key = "record missing" if view.missing else "record unreadable"
        notices.append(
            Notice(
                key, "trouble", f"the {key}", f"{view.trouble}. Nothing moves by itself.", not view.missing
            )
        )
        return Plan("none", view.trouble, tuple(notices))
    notices += ended(view.history, sight.now)
    if dict(record.nodes) != pair.instance_ids():
        text = (
            f"The record names {_ids(record.nodes)}, this function was set up for {_ids(pair.instance_ids())}. "
            "Nothing moves by itself until deploy and the role failover_automation have run."
        )
        return Plan(
            "none", "other instances", (*notices, Notice("identity", "trouble", "another instance", text))
        )
    if record.state == "broken":
        why = str(record.times.get("why") or "no reason was kept")
        choices = " or ".join(command("failover", to=name) for name in sorted(record.nodes))
        text = f"{why}. Nothing is started until somebody chooses: {choices}"
        return Plan(
            "none",
            "broken",
            (*notices, Notice(f"broken:{record.epoch}", "broken", "broken, nobody is active", text)),
        )
    if record.move is not None:
        return Plan("resume", f"the {record.move.kind} to {record.move.target} is unfinished", tuple(notices))
    if record.active is None:
        text = (
            f"The record names nobody and no move is under way. {command('failover', to=pair.nodes[0].name)}"
        )
        return Plan(
            "none", "nobody is named", (*notices, Notice("nobody", "broken", "nobody is active", text))
        )
    notices += _watching(sight, record, record.active)
    if record.paused is not None:
        return Plan("none", "paused", (*notices, *_paused(sight, record)))
    if sight.alarm.yes and _cooling(sight, record) and _runs(sight, record, record.active):
        # an alarm's window still holds the points of the node that was left
        return Plan("none", f"cooling down, and {record.active} says that it runs", tuple(notices))
    if sight.alarm.yes:
        return Plan("failover", str(sight.alarm), tuple(notices))
    strayed = [label for label, found in view.addresses.items() if found.no]
    owed = list(dict.fromkeys([*record.pending, *strayed]))
    if owed:
        return Plan("pay", f"not pointed at {record.active}: {', '.join(owed)}", tuple(notices))
    return Plan("none", "all is well", tuple(notices))


def _cooling(sight: Sight, record: Record) -> bool:
    last = record.times.get("failover")
    return isinstance(last, (int, float)) and sight.now - last < sight.view.pair.cooldown


def _granted(record: Record) -> float:
    """From when on a heartbeat speaks of the grant in force, epoch seconds."""
    since = record.times.get("active_since")
    return (since if isinstance(since, (int, float)) else 0.0) + SETTLED


def _runs(sight: Sight, record: Record, name: str) -> bool:
    """Whether the newest sign of life of this node is of this grant, fresh, and says running."""
    beat = sight.view.beats.get(name)
    age = _age(beat, sight.view.now)
    if beat is None or beat.time is None or age is None or age >= max(stale_after(sight.view.pair), UNHEARD):
        return False
    return beat.state == "running" and beat.time > _granted(record)


def _ids(nodes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={instance}" for name, instance in sorted(nodes.items()))


def _reach(sight: Sight) -> Iterator[Notice]:
    """What a move would need and could not be asked; a hiccup is not told."""
    view = sight.view
    asked = {
        "EC2": next(
            (
                found
                for found in view.power.values()
                if found.answer == UNKNOWN and found.detail != NOT_LISTED
            ),
            None,
        ),
        "SSM": next((found for found in sight.agents.values() if found.answer == UNKNOWN), None),
        "CloudWatch": next(
            (
                found
                for found in (sight.alarm, *sight.warnings.values())
                if found.answer == UNKNOWN and found.detail.startswith("CloudWatch")
            ),
            None,
        ),
    }
    for service, found in asked.items():
        if found is not None:
            text = f"{str(found).rstrip('.')}. A move might not work now; nothing was moved."
            yield Notice(f"reach {service}", "trouble", f"{service} cannot be asked", text, True)
    deaf = next((found for found in sight.warnings.values() if found.answer == UNKNOWN), None)
    if deaf is not None and asked["CloudWatch"] is None:
        text = f"{str(deaf).rstrip('.')}. A standby that could not take over would not be noticed."
        yield Notice("reach warnings", "trouble", "the standby's readiness is not watched", text, True)
    for note in view.notes:
        yield Notice(f"note {matter(note)}", "trouble", "the table cannot be read fully", note, True)
    for name, found in view.power.items():
        if found.detail == NOT_LISTED:
            text = (
                f"EC2 does not list {view.pair.node(name).instance_id} ({name}): it could not be fenced. "
                f"If it was replaced: {command('deploy')}"
            )
            yield Notice(f"gone {name}", "trouble", f"{name} is not there", text, True)


def ended(history: Sequence[Mapping[str, Any]], now: float) -> list[Notice]:
    """The last move that came to an end, told once, whoever made it and whoever died before telling."""
    last = history[0] if history else {}
    at, outcome = last.get("ended"), str(last.get("outcome"))
    if not isinstance(at, (int, float)) or now - at > NEWS or outcome not in ENDED:
        return []
    return [
        Notice(
            f"ended:{last.get('id')} {outcome}",
            "ended",
            f"{last.get('kind')} {last.get('source')} -> {last.get('target')}: {outcome}",
            f"{last.get('message')}\nBy {last.get('by') or 'unknown'}"
            + (f": {last.get('reason')}" if last.get("reason") else "")
            + f"\nEnded {moment(at)}, epoch {last.get('epoch')}, active {last.get('active') or 'nobody'}.",
        )
    ]


def _paused(sight: Sight, record: Record) -> Iterator[Notice]:
    paused = record.paused or {}
    who = f"{paused.get('by') or 'somebody'} ({paused.get('reason') or 'no reason given'})"
    again = command("maintenance", state="resumed")
    since = paused.get("time")
    if sight.alarm.yes:
        yield Notice(
            f"paused down:{since}", "refused", "down, and nothing moves: paused",
            f"{sight.alarm}. Nothing moves by itself: paused by {who}. When the work is done: {again}",
        )  # fmt: skip
    if isinstance(since, (int, float)) and sight.now - since >= sight.pause_limit:
        text = f"Paused by {who} since {moment(since)}. A failure would move nothing. When the work is done: {again}"
        yield Notice(f"paused:{since}", "paused", f"paused for {span(sight.now - since)}", text)


def _age(beat: Optional[Heartbeat], now: Optional[float]) -> Optional[float]:
    return None if beat is None or beat.time is None or now is None else max(0.0, now - beat.time)


def _watching(sight: Sight, record: Record, active: str) -> Iterator[Notice]:
    """Is the pair watched, could the standby take over, and does only one product run?"""
    view = sight.view
    standby = record.other(active)
    limit = max(stale_after(view.pair), UNHEARD)
    if sight.alarm.detail == UNWATCHED:
        text = "No alarm watches this pair: a failure would move nothing. Run the role failover_automation again."
        yield Notice("unwatched", "trouble", "nobody watches this pair", text)
    for name in (active, standby):
        role = "the active" if name == active else "the standby"
        lost = "its stop would need fencing" if name == active else "it could not take over"
        if sight.agents[name].no:
            text = f"{name}, {role}: {sight.agents[name]}; {lost}."
            yield Notice(f"agent {name} {role}", "trouble", f"{name}: no SSM agent", text, True)
        beat = view.beats.get(name)
        age = _age(beat, view.now)
        if age is None or age >= limit:
            heard = "never" if age is None else f"{span(age)} ago"
            text = f"{name}, {role}, was last heard {heard}: its health check does not run, or cannot reach the table."
            yield Notice(f"silent {name} {role}", "trouble", f"{name} is not heard", text, True)
    yield from _warned(sight, active, standby)
    power = view.power.get(standby)
    if power is not None and power.yes:
        text = f"{standby}, the standby, is {power.detail}: it could not take over."
        yield Notice(f"off {standby}", "trouble", f"{standby} is off", text, True)
    for label, found in view.addresses.items():
        if found.answer == UNKNOWN:
            yield Notice(f"address {label}", "trouble", "an address cannot be read", str(found), True)
    other = view.beats.get(standby)
    if (
        other is not None
        and other.time is not None
        and other.state == "running"
        and other.time > _granted(record)
    ):
        text = (
            f"{standby} said {span(_age(other, view.now))} ago that the service runs there, and {active} is the active node. "
            f"On {standby}, now: sudo /usr/local/bin/hotstandby stop"
        )
        yield Notice(f"two {standby} {record.epoch}", "trouble", f"the service runs on {standby} too", text)


def _warned(sight: Sight, active: str, standby: str) -> Iterator[Notice]:
    """What the nodes' own checks say: told before the standby is needed."""
    unready = sight.warnings.get(f"{STANDBY} {standby}")
    if unready is not None and unready.yes:
        text = (
            f"{standby}, the standby, says that it could not take over ({unready}). What is missing there: "
            f"{command('status')}"
        )
        yield Notice(f"unready {standby}", "trouble", f"{standby} could not take over", text)
    for name in (active, standby):
        broken = sight.warnings.get(f"{CHECK} {name}")
        if broken is not None and broken.yes:
            lost = "it could not take over" if name == standby else "it tells neither well nor down"
            text = (
                f"The health check on {name} cannot judge ({broken}): {lost}. On {name}: "
                "sudo /usr/local/bin/hotstandby status"
            )
            yield Notice(f"check {name}", "trouble", f"the health check on {name} is broken", text)


def of_result(result: Result, history: Sequence[Mapping[str, Any]]) -> Iterator[Notice]:
    """What people hear of one run that the history does not tell already."""
    last = history[0] if history else {}
    kept = (last.get("epoch"), last.get("outcome")) == (result.epoch, result.outcome)
    if (
        result.busy
        or result.outcome == "unchanged"
        or (result.outcome in ENDED and (kept or not result.changed))
    ):
        return
    text = result.message + (f"\nNext: {result.next}" if result.next else "")
    subject = f"failover: {result.outcome}"
    if result.outcome in ENDED:
        yield Notice(f"ended:{matter(result.message)} {result.epoch}", "ended", subject, text)
    elif result.outcome == "broken":
        yield Notice(f"broken:{result.epoch}", "broken", "broken, nobody is active", text)
    elif result.outcome == "unfinished":
        yield Notice(
            f"unfinished:{result.move}", "unfinished", f"{subject}, it is tried again each minute", text
        )
    else:
        # the first answer may come from a service that is just starting; what lasts is told
        patient = (
            result.outcome == "not_confirmed" and not result.failed
        ) or "cooling down" in result.message
        yield Notice(f"{result.outcome} {matter(result.message)}", "refused", subject, text, patient)
