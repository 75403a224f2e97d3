# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of a pair at one look: record, both nodes, addresses, last move, and what to do next."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .answer import Answer, NoAnswer, Reply
from .confirm import glance
from .evidence import UNKNOWN, Evidence, ineligible, restored
from .freshness import copied, span, too_old, words
from .pair import PairSpec
from .ports import Ports
from .record import Heartbeat, Record, RecordMissing, StoreError
from .run_command import CommandError
from .runbook import code_of, command, help_for

WIDTH, HEIGHT = 120, 24  # columns and lines of one screen
REMIND = 8 * 3600.0  # seconds after which a pause, or a stop on purpose, may have been forgotten


@dataclass(frozen=True)
class View:
    """What was found; `trouble` says why the record is None. Times in epoch seconds of the store's clock."""

    pair: PairSpec
    record: Optional[Record]
    trouble: str
    missing: bool
    replies: Mapping[str, Reply]
    beats: Mapping[str, Optional[Heartbeat]]
    power: Mapping[str, Evidence]
    addresses: Mapping[str, Evidence]
    history: Sequence[Mapping[str, Any]]
    now: Optional[float]
    notes: tuple[str, ...] = field(default_factory=tuple)
    code: str = ""
    remind_after: float = REMIND


def gather(
    pair: PairSpec, ports: Ports, ask_nodes: bool = True, moves: int = 1, remind_after: float = REMIND
) -> View:
    """Read everything that rights allow, and the last `moves` moves; what cannot be had is unknown and noted. Changes nothing."""
    record: Optional[Record] = None
    trouble, code, missing, notes = "", "", False, []
    try:
        record = ports.store.read()
    except StoreError as error:
        trouble, code, missing = str(error), code_of(error), isinstance(error, RecordMissing)
    names = [node.name for node in pair.nodes]
    replies: dict[str, Reply] = {name: NoAnswer("not asked") for name in names}
    active = record.active if record and record.active in names else None
    if ask_nodes:
        try:
            replies = glance(pair, ports, names, active or "")
        except CommandError as error:
            replies = {name: NoAnswer("could not be asked") for name in names}
            notes.append(f"the nodes could not be asked: {error}")
    beats: dict[str, Optional[Heartbeat]] = dict.fromkeys(names)
    history: Sequence[Mapping[str, Any]] = ()
    if record is not None:
        try:
            beats = {name: ports.store.heartbeat(name) for name in names}
            history = ports.store.history(max(1, moves))
        except StoreError as error:
            notes.append(str(error))
    silent = [node for node in pair.nodes if isinstance(replies[node.name], NoAnswer)]
    power = {node.name: ports.instance(node.instance_id) for node in silent}
    addresses = {}
    if active:
        addresses = {item.label: item.points_to(pair.node(active)) for item in ports.redirects}
    return View(
        pair,
        record,
        trouble,
        missing,
        replies,
        beats,
        power,
        addresses,
        history,
        ports.store.now(),
        tuple(notes),
        code,
        remind_after,
    )


def moment(value: Any) -> str:
    """Epoch seconds for people, in UTC."""
    if not isinstance(value, (int, float)):
        return "unknown"
    try:
        at = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):  # no moment that a calendar knows
        return "unknown"
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _since(view: View, value: Any) -> str:
    if not isinstance(value, (int, float)):
        return "unknown"
    ago = None if view.now is None else view.now - value
    return f"{moment(value)} ({span(ago)} ago)"


def reminders(view: View) -> list[str]:
    """What lasts for so long that it may have been forgotten: a pause, a stop on purpose. One line each."""
    found = []
    paused = view.record.paused if view.record else None
    if paused and _lasts(view, paused.get("time")):
        found.append(
            f"PAUSED FOR {_ago(view, paused.get('time'))} by {paused.get('by')} ({paused.get('reason')}): nothing moves by itself. "
            f"When the work is done: {command('maintenance', state='resumed')}"
        )
    active = view.record.active if view.record else None
    reply = view.replies.get(active or "")
    if isinstance(reply, Answer) and reply.held is not None and _lasts(view, reply.held.get("time")):
        found.append(
            f"STOPPED ON PURPOSE FOR {_ago(view, reply.held.get('time'))} on {active} by {reply.held.get('by')} "
            f"({reply.held.get('reason')}): nothing starts it by itself. When the work is done: {command('start')}"
        )
    return [_line(text) for text in found]


def _ago(view: View, since: Any) -> str:
    return (
        span(view.now - since)
        if view.now is not None and isinstance(since, (int, float))
        else "an unknown time"
    )


def _lasts(view: View, since: Any) -> bool:
    return view.now is not None and isinstance(since, (int, float)) and view.now - since >= view.remind_after


def node_facts(view: View, name: str) -> dict[str, Any]:
    """One node as data: state, source of that knowledge, its age in seconds, and what it lacks."""
    reply, beat = view.replies[name], view.beats.get(name)
    facts: dict[str, Any] = {
        "instance_id": view.pair.node(name).instance_id,
        "state": "unknown",
        "source": "none",
        "age": None,
        "detail": "",
        "seen": None,
        "held": None,
        "sync": None,
        "power": view.power[name].detail if name in view.power else None,
    }
    if isinstance(reply, Answer):
        facts.update(state=reply.state, source="answer", age=0, seen=reply.seen, detail=reply.message)
        facts["held"] = None if reply.held is None else dict(reply.held)
        facts["sync"] = dict(copied(reply)) or None
        return facts
    facts["detail"] = reply.why
    if beat is not None:
        age = None if beat.time is None or view.now is None else max(0, round(view.now - beat.time))
        facts.update(source="heartbeat", age=age, seen=beat.epoch, heartbeat_state=beat.state)
    return facts


def _line(text: str) -> str:
    """Text of people and of nodes as one line."""
    return "".join(char if char.isprintable() else " " for char in text)


def next_step(view: View) -> str:
    """The exact next thing to do, for a person who was just woken: one line, never cut."""
    return _line(_next(view))


def _next(view: View) -> str:
    record, pair = view.record, view.pair
    if record is None:
        if view.missing:
            return f"create the record: {command('deploy')}"
        return "mend the way to the table (above); until then nothing starts, stops or moves by itself"
    if dict(record.nodes) != pair.instance_ids():
        return f"the inventory names other instances than the record: {command('deploy')}"
    if restored(record, dict(view.replies)):
        return f"stop the service on both nodes, then {command('deploy')}"
    running = [
        name for name, reply in view.replies.items() if isinstance(reply, Answer) and reply.state == "running"
    ]
    if len(running) == 2 and record.active:
        other = record.other(record.active)
        return f"TWO NODES RUN THE SERVICE: on {other}, now: sudo /usr/local/bin/hotstandby stop"
    if record.state == "broken":
        choices = "' or '".join(command("failover", to=name) for name in sorted(record.nodes))
        return f"choose the node that shall run: '{choices}'"
    if record.state == "moving" and record.move is not None:
        if record.lease is not None:
            return f"wait: a move is at work ({record.lease.owner}); if that run died: {command('failover', to=record.move.target)}"
        return f"finish the move: {command('failover', to=record.move.target)}"
    if record.active is None:
        return f"name a node: {command('failover', to=pair.nodes[0].name)}"
    return _steady_step(view, record, record.active, running)


def _steady_step(view: View, record: Record, active: str, running: list[str]) -> str:
    other = record.other(active)
    reply = view.replies[active]
    if running == [other]:
        return f"the service runs on {other}, which is not the active node: there, sudo /usr/local/bin/hotstandby stop"
    if isinstance(reply, NoAnswer):
        return f"look at {active}; '{command('failover')}' asks further, and moves only with proof"
    if reply.state == "stopped" and reply.held is not None:
        return f"when the work is done: {command('start')} (or there: sudo /usr/local/bin/hotstandby start)"
    if reply.state in ("stopped", "hung"):
        return f"{command('failover')}, or on {active}: sudo /usr/local/bin/hotstandby start"
    if reply.state == "unknown":
        return f"mend the check on {active}: {reply.message}"
    strayed = [label for label, found in view.addresses.items() if found.no]
    if record.pending or strayed:
        return f"point the address at {active}: {command('failover', to=active)}"
    unknown = [label for label, found in view.addresses.items() if not found.yes]
    if unknown:
        return f"look at {', '.join(unknown)}: it is not known to point to {active}"
    why = ineligible(view.pair, other, view.replies[other])
    if why:
        return f"mend the standby, it could not take over: {why}"
    old = too_old(view.pair, active, view.replies[other])
    if old:
        return f"copy the data to the standby, {old}: {command('sync')}"
    if record.paused:
        return f"when the work is done: {command('maintenance', state='resumed')}"
    return "nothing"


def screen(view: View) -> list[str]:
    """One screen of text: at most HEIGHT lines of WIDTH columns; only the last, what to do next, may be longer."""
    record, pair = view.record, view.pair
    lines = [f"Pair    {pair.name} ({pair.service}, {pair.region}, table {pair.table})"]
    if record is None:
        lines.append(f"Record  {'MISSING' if view.missing else 'UNREADABLE'}: {view.trouble}")
    else:
        who = record.active or "NOBODY"
        since = f" since {_since(view, record.times.get('active_since'))}" if record.active else ""
        lines.append(f"Active  {who}{since}, epoch {record.epoch}, {record.state}")
        if record.state == "broken":
            lines.append(f"Broken  {record.times.get('why') or 'no reason was kept'}")
        if record.move is not None:
            move = record.move
            held = f"held by {record.lease.owner}" if record.lease else "nobody is at work on it"
            back = ", rolling back" if move.rollback else ""
            lines.append(
                f"Move    {move.kind} {move.source} -> {move.target} at step {move.step}{back}; {held}"
            )
        paused = record.paused
        lines.append(
            f"Paused  by {paused.get('by')} since {_since(view, paused.get('time'))}: {paused.get('reason')}"
            if paused
            else "Paused  no"
        )
    lines.append("Nodes")
    lines += ["  " + _node_line(view, node.name) for node in pair.nodes]
    for label, found in view.addresses.items():
        lines.append(f"Address {found if found.answer != UNKNOWN else f'{label}: unknown, {found.detail}'}")
    if record is not None and record.pending:
        lines.append(f"Pending {', '.join(record.pending)}")
    if view.history:
        lines.append(f"Last    {_last_line(view.history[0])}")
    lines += [f"Note    {note}" for note in view.notes]
    lines += [f"!!      {text}" for text in reminders(view)]
    fitted = [part for line in lines for part in _fitted(line)]
    if len(fitted) > HEIGHT - 1:
        fitted = [*fitted[: HEIGHT - 2], f"...     {len(fitted) - HEIGHT + 2} more lines"]
    return [*fitted, f"Next    {next_step(view)}"]


def _fitted(line: str) -> list[str]:
    return textwrap.wrap(
        _line(line), WIDTH, subsequent_indent=" " * 8, max_lines=3, placeholder=" ...", break_on_hyphens=False
    )


def _node_line(view: View, name: str) -> str:
    facts = node_facts(view, name)
    role = ""
    if view.record is not None and view.record.active:
        role = "active " if view.record.active == name else "standby"
    text = f"{name} ({facts['instance_id']}) {role} "
    if facts["source"] == "answer":
        text += f"{facts['state']}, answered now, has seen epoch {facts['seen']}"
        if facts["held"]:
            held = facts["held"]
            text += f"; stopped on purpose by {held.get('by')}: {held.get('reason')} ({_ago(view, held.get('time'))} ago)"
        elif facts["state"] not in ("running", "stopped"):
            text += f"; {facts['detail']}"
        age = (
            words(view.record.active, facts["sync"] or {})
            if role == "standby" and view.record and view.record.active
            else ""
        )
        return f"{text}; {age}" if age else text
    text += f"unknown: {facts['detail']}"
    if facts["source"] == "heartbeat":
        text += f"; last heartbeat {span(facts['age'])} ago said {facts['heartbeat_state']}"
    if facts["power"]:
        text += f"; EC2 says {facts['power']}"
    return text


def _last_line(last: Mapping[str, Any]) -> str:
    down = last.get("downtime_seconds")
    spent = f", down {down:.1f} s" if isinstance(down, (int, float)) else ""
    return (
        f"{last.get('kind')} {last.get('source')} -> {last.get('target')} {last.get('outcome')} at "
        f"{moment(last.get('ended'))}{spent}; by {last.get('by') or 'unknown'}"
        + (f": {last.get('reason')}" if last.get("reason") else "")
    )


def describe_pair(
    pair: PairSpec, ports: Ports, ask_nodes: bool = True, moves: int = 1, remind_after: float = REMIND
) -> dict[str, Any]:
    """Everything as data, with `screen` (lines of text), `next` (what to do) and the last `moves` moves."""
    view = gather(pair, ports, ask_nodes, moves, remind_after)
    record = view.record
    return {
        "readable": record is not None,
        "trouble": view.trouble,
        "code": view.code,
        "help": help_for(view.code),
        "reminders": reminders(view),
        "active": record.active if record else None,
        "epoch": record.epoch if record else None,
        "state": record.state if record else "unknown",
        "paused": dict(record.paused) if record and record.paused else None,
        "pending": list(record.pending) if record else [],
        "move": None
        if record is None or record.move is None
        else {
            key: getattr(record.move, key)
            for key in ("id", "kind", "source", "target", "step", "rollback", "by", "reason")
        },
        "lease": record.lease.owner if record and record.lease else None,
        "times": dict(record.times) if record else {},
        "nodes": {node.name: node_facts(view, node.name) for node in pair.nodes},
        "addresses": {
            label: {"answer": found.answer, "detail": found.detail} for label, found in view.addresses.items()
        },
        "last_move": dict(view.history[0]) if view.history else None,
        "history": [dict(move) for move in view.history],
        "notes": list(view.notes),
        "screen": screen(view),
        "next": next_step(view),
    }
