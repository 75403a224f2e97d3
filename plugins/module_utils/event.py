# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What invoked the function: an alarm's change of state, the reconciler's tick, the watch of a node, or a test. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .checks import shown

FRESH = 300.0  # seconds; an older event only makes the function look
AHEAD = 120.0  # seconds that another machine's clock may be ahead
OWN = "hotstandby"  # the key of what this collection itself sends


def function_name(pair: str) -> str:
    """The Lambda function of a pair, as role failover_automation names it by default."""
    return f"hotstandby-{pair}"


@dataclass(frozen=True)
class Event:
    """`kind`: alarm (went to ALARM), watch (a node saw silence), tick (look), test (look, do nothing) or unknown.

    `key` knows it again: alarm ARN + transition time. `time` in epoch seconds, None when it carries none. `beat` is the
    heartbeat that a watch has seen unchanged for `still` seconds, empty when it called for something else.
    """

    kind: str
    key: str = ""
    time: Optional[float] = None
    why: str = ""
    beat: str = ""
    still: float = 0.0


def _seconds(value: Any) -> Optional[float]:
    """CloudWatch writes 2026-01-02T03:04:05.678+0000, EventBridge 2026-01-02T03:04:05Z."""
    if not isinstance(value, str):
        return None
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(?:Z|\+00:?00)", value)
    if not found:
        return None
    try:
        at = datetime.datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return at.replace(tzinfo=datetime.timezone.utc).timestamp() + float(found.group(2) or 0)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def read_event(raw: Any, pair: str, alarm: str) -> Event:
    """Tell what an invocation means for this pair. `alarm` is the name of the pair's own alarm. Never raises."""
    event = _map(raw)
    own = event.get(OWN)
    if own is not None:
        return _own(_map(own), pair)
    if event.get("source") == "aws.cloudwatch":
        return _alarm(event, alarm)
    if event.get("source") == "aws.events" and event.get("detail-type") == "Scheduled Event":
        return Event(
            "tick", key=shown(event.get("id", "")), time=_seconds(event.get("time")), why="the reconciler"
        )
    return Event("unknown", why=f"an event from '{shown(event.get('source'))}' means nothing here")


def _own(own: Mapping[str, Any], pair: str) -> Event:
    action = own.get("action")
    if own.get("pair") != pair:
        return Event("unknown", why=f"it is about pair '{shown(own.get('pair'))}'")
    if action in ("test", "tick"):
        return Event(str(action), key=shown(own.get("id", "")), why=f"a {action} by hand")
    if action == "watch":
        time = own.get("time")
        known = isinstance(time, (int, float)) and not isinstance(time, bool)
        still = own.get("still")
        seen = isinstance(still, (int, float)) and not isinstance(still, bool) and 0 <= still < float("inf")
        told = f"the watch on {shown(own.get('node'))} says: {shown(own.get('evidence'))}"
        return Event(
            "watch",
            key=f"watch {shown(own.get('id'))}",
            time=float(time) if known and time is not None else None,
            why=told,
            beat=shown(own.get("beat") or "") if seen else "",
            still=float(still) if seen and still is not None else 0.0,
        )
    return Event("unknown", why=f"no such action: '{shown(action)}'")


def _alarm(event: Mapping[str, Any], alarm: str) -> Event:
    """Both forms in which an alarm tells: through EventBridge, and as the alarm's own action."""
    through, direct = _map(event.get("detail")), _map(event.get("alarmData"))
    told = through or direct
    name = told.get("alarmName")
    arns = event.get("resources")
    arn = event.get("alarmArn") or (arns[0] if isinstance(arns, list) and arns else "")
    state = _map(told.get("state"))
    time = _seconds(state.get("timestamp")) or _seconds(event.get("time"))
    key = f"{shown(arn or name)} {shown(state.get('timestamp') or event.get('time'))}"
    if name != alarm:
        return Event("unknown", key=key, why=f"alarm '{shown(name)}' is not this pair's")
    if state.get("value") != "ALARM":
        return Event("tick", key=key, time=time, why=f"the alarm went to {shown(state.get('value'))}")
    return Event(
        "alarm",
        key=key,
        time=time,
        why=f"{name} went to ALARM: {shown(state.get('reason') or 'no reason given')}",
    )


def fresh(event: Event, now: float, known: bool) -> Optional[str]:
    """None when this event may start a failover itself; else why it only makes the function look.

    `now` in epoch seconds, `known` whether this key was seen before.
    """
    if event.kind not in ("alarm", "watch"):
        return "it asks to look"
    if known:
        return "it came before"
    if event.time is None:
        return "it does not say when"
    if not -AHEAD <= now - event.time <= FRESH:
        return f"it is {now - event.time:.0f} s old"
    return None
