# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told, and when they were told it already. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

KINDS = ("began", "ended", "refused", "broken", "paused", "unfinished", "trouble")
ONCE = ("began:", "ended:")  # what happened once is told once; what lasts is told again
REPEAT = 3600.0  # seconds until a matter that lasts is told again
PATIENCE = 90.0  # seconds that a hiccup may last before anybody hears of it
KEPT = 40  # keys that are remembered; the item stays small


@dataclass(frozen=True)
class Notice:
    """One message. The same `key` is the same matter; a `patient` one is told only when it lasts."""

    key: str
    kind: str
    subject: str
    text: str
    patient: bool = False


@dataclass(frozen=True)
class Memory:
    """What the function remembers between runs: {key: time told}, {key: time first seen}, keys of events seen."""

    told: Mapping[str, float] = field(default_factory=dict)
    suspects: Mapping[str, float] = field(default_factory=dict)
    events: tuple[str, ...] = ()


def read_memory(item: Optional[Mapping[str, Any]]) -> Memory:
    """From the table's item. What makes no sense is forgotten: it only costs a message twice."""
    raw = item or {}

    def times(name: str) -> dict[str, float]:
        found = raw.get(name)
        if not isinstance(found, Mapping):
            return {}
        return {
            str(key): float(value)
            for key, value in found.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }

    events = raw.get("events")
    return Memory(
        times("told"), times("suspects"), tuple(map(str, events)) if isinstance(events, list) else ()
    )


def matter(text: str) -> str:
    """A text as a key: the numbers in it change, the matter does not."""
    return re.sub(r"[0-9]+(\.[0-9]+)?", "#", text)[:120]


def due(notices: Iterable[Notice], memory: Memory, now: float) -> tuple[list[Notice], Memory]:
    """Which of the notices are to be sent now, and the memory without them: `told` adds those that were sent.

    What is no matter any more is forgotten, so that it is told anew when it comes again.
    """
    current = {notice.key: notice for notice in notices}
    suspects = {key: memory.suspects.get(key, now) for key, notice in current.items() if notice.patient}
    send = []
    for key, notice in current.items():
        if notice.patient and now - suspects[key] < PATIENCE:
            continue
        last = memory.told.get(key)
        if last is None or (not key.startswith(ONCE) and now - last >= REPEAT):
            send.append(notice)
    kept = {key: at for key, at in memory.told.items() if key in current or key.startswith(ONCE)}
    newest = sorted(kept, key=lambda key: kept[key])[-KEPT:]
    return send, Memory({key: kept[key] for key in newest}, suspects, memory.events)


def told(memory: Memory, sent: Iterable[Notice], now: float) -> Memory:
    """The memory after these were sent."""
    return Memory({**memory.told, **{notice.key: now for notice in sent}}, memory.suspects, memory.events)


def met(memory: Memory, key: str) -> Memory:
    """The memory after this event."""
    if not key or key in memory.events:
        return memory
    return Memory(memory.told, memory.suspects, (*memory.events, key)[-KEPT:])
