# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a standby's copy of the data is, where each node has folders of its own. Pure.

The standby keeps a note of its own: when it was last found or made equal to which node, and how much differed when last
looked at. Its ages are differences of that node's own clock. Not known is neither old nor young.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from .answer import Answer, Reply
from .pair import PairSpec


@dataclass(frozen=True)
class Note:
    """Node `source` as seen from here. Epoch seconds: `equal` when both were last equal, `looked` when compared; `drift` entries."""

    source: str
    equal: Optional[float]
    looked: float
    drift: int

    def text(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self)) + "\n"


def parse_note(text: Optional[str]) -> Optional[Note]:
    """The note of a file's text; None for no file, or one that nobody can read: then nothing is known."""
    try:
        raw = json.loads(text or "")
        source, equal, looked, drift = (raw[key] for key in ("source", "equal", "looked", "drift"))
        numbers = [looked, drift, *([] if equal is None else [equal])]
        if not isinstance(source, str) or any(isinstance(item, bool) for item in numbers):
            return None
        return Note(source, None if equal is None else float(equal), float(looked), int(drift))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def noted(earlier: Optional[Note], source: str, begun: float, drift: int) -> Note:
    """After a copy or a comparison that began at `begun`. One that found a difference makes nothing younger."""
    if drift == 0:
        return Note(source, begun, begun, 0)
    known = earlier.equal if earlier is not None and earlier.source == source else None
    return Note(source, known, begun, drift)


def told(note: Optional[Note], made_by: Optional[str], now: float) -> dict[str, Any]:
    """What a node tells of its copy: {source, age, looked, drift}, ages in seconds and None where they are not known.

    `made_by` is who made the data here. Data of its own, or of another node than the note is about, have no age.
    """
    if note is None or made_by != note.source:
        return {"source": made_by, "age": None, "looked": None, "drift": None}

    def age(at: Optional[float]) -> Optional[int]:
        # from a clock that was set back
        return None if at is None or at > now else round(now - at)

    return {
        "source": note.source,
        "age": age(note.equal),
        "looked": age(note.looked),
        "drift": note.drift,
    }


def copied(reply: Optional[Reply]) -> Mapping[str, Any]:
    """What an answer tells of the node's copy; empty where the product has none."""
    found = reply.detail.get("eligible") if isinstance(reply, Answer) else None
    sync = found.get("sync") if isinstance(found, Mapping) else None
    return sync if isinstance(sync, Mapping) else {}


def age_of(active: str, sync: Mapping[str, Any]) -> Optional[float]:
    """Seconds since that copy was equal to the active node's data; None when nobody knows."""
    age = sync.get("age")
    known = sync.get("source") == active and isinstance(age, (int, float)) and not isinstance(age, bool)
    return age if known else None


def words(active: str, sync: Mapping[str, Any]) -> str:
    """One short text for people; empty where the product has no copies."""
    if not sync:
        return ""
    age, drift = age_of(active, sync), sync.get("drift")
    text = (
        f"nobody knows how old its data are compared with {active}'s"
        if age is None
        else f"its data were equal to {active}'s {span(age)} ago"
    )
    if isinstance(drift, int) and drift > 0 and sync.get("source") == active:
        text += f", {drift} entries differed when last compared"
    return text


def too_old(pair: PairSpec, active: str, reply: Optional[Reply]) -> str:
    """Why that standby's data are too old for a planned move, or nobody knows; empty when they are not, or it is not asked."""
    limit, sync = pair.max_sync_age, copied(reply)
    if limit is None or not sync:
        return ""
    age = age_of(active, sync)
    if age is not None and age <= limit:
        return ""
    return f"{words(active, sync)}, max_sync_age is {span(limit)}"


def span(seconds: Optional[float]) -> str:
    """A duration for people."""
    if seconds is None:
        return "unknown"
    whole = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
