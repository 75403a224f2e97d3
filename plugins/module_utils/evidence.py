# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Yes, no or unknown: every question has one of three answers, with its source and age. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from .answer import Answer, NoAnswer, Reply
from .pair import PairSpec
from .record import Record

YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True)
class Evidence:
    """One answer to one question. `age` in seconds, None when it was asked just now."""

    answer: str
    source: str
    detail: str = ""
    age: Optional[float] = None

    @property
    def yes(self) -> bool:
        """Whether this says yes; unknown does not."""
        return self.answer == YES

    @property
    def no(self) -> bool:
        """Whether this says no; unknown does not."""
        return self.answer == NO

    def __str__(self) -> str:
        aged = "" if self.age is None else f", {self.age:.0f} s old"
        return f"{self.source}: {self.detail or self.answer}{aged}"


@dataclass(frozen=True)
class Verdict:
    """Is the active down? `kind` is healthy, held, down or unknown; `proven` means stopped beyond doubt."""

    kind: str
    why: str
    proven: bool = False


@dataclass(frozen=True)
class Ask:
    """The verdict needs this signal next: off, probe, heartbeat or alarm."""

    signal: str


@dataclass(frozen=True)
class Signals:
    """What is known of an active that gave no answer; None means: not asked yet.

    off: yes = EC2 says stopped or terminated of the instance in the record.
    probe: yes = the standby got the expected answer from the service.
    heartbeat: yes = it stands still while the standby itself uses the table, no = it moves and says running.
    alarm: yes = ALARM, or no datapoint for the whole window; no = the newest datapoint is fresh and well.
    """

    off: Optional[Evidence] = None
    probe: Optional[Evidence] = None
    heartbeat: Optional[Evidence] = None
    alarm: Optional[Evidence] = None


def _of_answer(answer: Answer) -> Verdict:
    name = answer.node
    if answer.state == "running":
        return Verdict("healthy", f"{name} answers that the service runs")
    if answer.state == "stopped" and answer.held is not None:
        by, reason = answer.held.get("by", "somebody"), answer.held.get("reason") or "no reason given"
        return Verdict("held", f"{name} was stopped on purpose by {by} ({reason})")
    if answer.state == "stopped":
        return Verdict("down", f"{name} answers that the service is stopped")
    if answer.state == "hung":
        return Verdict(
            "down", f"{name} answers that the service hangs ({answer.message or 'no answer of the product'})"
        )
    return Verdict(
        "unknown", f"the check on {name} cannot judge, mend it: {answer.message or 'no reason given'}"
    )


def judge(active: Reply, signals: Signals) -> Union[Verdict, Ask]:
    """Is the active really down? First match from the top; what is not listed is unknown."""
    if isinstance(active, Answer):
        return _of_answer(active)
    if active.spoke:  # not itself, or unable to tell: a broken check, and no silence
        return Verdict(
            "unknown", f"what answers there cannot show that it is the active, mend it: {active.why}"
        )
    silent = f"no answer ({active.why})"
    if signals.off is None:
        return Ask("off")
    if signals.off.yes:
        return Verdict("down", f"{silent}; {signals.off}", proven=True)
    if signals.probe is None:
        return Ask("probe")
    if signals.probe.yes:
        return Verdict("unknown", f"{silent}, but it serves ({signals.probe}): the control path broke")
    if signals.heartbeat is None:
        return Ask("heartbeat")
    if signals.heartbeat.yes:
        return Verdict("down", f"{silent}; {signals.heartbeat}")
    if signals.heartbeat.no:
        return Verdict("unknown", f"{silent}, but {signals.heartbeat}: the control path broke")
    if signals.alarm is None:
        return Ask("alarm")
    if signals.alarm.yes:
        return Verdict("down", f"{silent}; {signals.alarm}")
    if signals.alarm.no:
        return Verdict("unknown", f"{silent}, but {signals.alarm}: the control path broke")
    told = "; ".join(
        str(item) for item in (signals.off, signals.probe, signals.heartbeat, signals.alarm) if item.detail
    )
    return Verdict("unknown", f"{silent}, and nothing else tells whether it is down ({told})")


def restored(record: Record, replies: dict[str, Reply]) -> Optional[str]:
    """Why the record must be an old copy, or None: a node has seen a later epoch than the record carries."""
    for name, reply in replies.items():
        if isinstance(reply, Answer) and max(reply.seen, reply.floor) > record.epoch:
            return (
                f"{name} has seen epoch {max(reply.seen, reply.floor)}, the record says {record.epoch}: the record was "
                "restored from a backup; stop the service on both nodes, then run deploy"
            )
    return None


def left_over(reply: Answer) -> str:
    """What is wrong with the processes of a node that says stopped: some are left, or nobody could count them."""
    counted = reply.detail.get("processes")
    if not counted:
        return "the service's processes could not be counted"
    named = reply.detail.get("left")
    return f"processes of the service are left {named}" if named else "processes of the service are left"


def ineligible(pair: PairSpec, name: str, reply: Reply) -> Optional[str]:
    """Why the standby cannot take over, or None. `reply` is its answer to `look`."""
    if isinstance(reply, NoAnswer):
        return f"{name} gives no answer: {reply.why}"
    told = reply.detail.get("eligible")
    found: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    if reply.state == "running":
        return f"the service already runs on {name}, which is not the active node: stop it there first"
    if reply.state != "stopped":
        return f"{name} cannot tell that the service is stopped there ({reply.state}: {reply.message})"
    if reply.detail.get("processes") != 0:
        return f"{left_over(reply)} on {name}"
    if reply.detail.get("record") in ("unreadable", "missing"):
        return f"{name} cannot read the record, and would refuse to start: {reply.detail.get('record_why') or 'no reason'}"
    if found.get("unready"):
        return f"{name} is not ready: {found['unready']}"
    if found.get("installed") is not True:
        return f"the product is not installed on {name}"
    if found.get("autostart") is True:
        return f"the product starts by itself on {name}: disable its autostart, or run deploy"
    if pair.shared is None:
        return None
    where = f"{pair.shared.path} on {name}"
    if found.get("mounted") is not True:
        return f"the shared folder is not mounted: {where}"
    if found.get("marker") != pair.name:
        return f"the shared folder {where} belongs to pair '{found.get('marker') or 'none'}', not to '{pair.name}'"
    free = found.get("free")
    if not isinstance(free, int) or free < pair.shared.min_free:
        return f"the shared folder {where} has {free} bytes free, {pair.shared.min_free} are needed"
    return None
