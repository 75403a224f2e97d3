# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traps: something happens at the very moment at which a certain call arrives, or has been done and not yet answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .actions import Asked

HELD = 120.0  # seconds for which a call is withheld at most


@dataclass
class Trap:
    """Springs once, at the `count`-th call of `key` for "service:Action" whose body holds the text `holds`.

    `before`: when the call arrives, else when it was done and before it is answered. `act` is done then; `cut` closes
    the connection after it (a call caught before is never done), `hold` keeps the call until `release`.
    """

    key: str
    call: str
    before: bool
    act: Callable[[], object]
    name: str = ""
    count: int = 1
    holds: str = ""
    cut: bool = False
    hold: bool = False
    sprung: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "call": self.call, "sprung": self.sprung}


class Traps:
    """Those that are armed. Thread-safe."""

    def __init__(self) -> None:
        self._armed: list[Trap] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def arm(self, trap: Trap) -> None:
        """One more."""
        with self._lock:
            self._released.clear()
            self._armed.append(trap)

    def clear(self) -> None:
        """None any more; what is withheld goes on."""
        with self._lock:
            self._armed.clear()
        self.release()

    def release(self) -> None:
        """What is withheld goes on."""
        self._released.set()

    def listed(self) -> list[dict[str, Any]]:
        """Those that were armed, sprung or not."""
        with self._lock:
            return [trap.to_dict() for trap in self._armed]

    def caught(self, asked: Asked, body: bytes) -> Trap | None:
        """The trap that this call springs."""
        with self._lock:
            for trap in self._armed:
                names = (f"{asked.service}:{asked.action}", f"{asked.service}:{asked.base}")
                if trap.sprung or trap.key != asked.key or trap.call not in names:
                    continue
                if trap.holds and trap.holds.encode() not in body:
                    continue
                trap.count -= 1
                if trap.count == 0:
                    trap.sprung = True
                    return trap
        return None

    def spring(self, trap: Trap) -> bool:
        """Do it; returns whether the connection is to be cut."""
        trap.act()
        if trap.hold:
            self._released.wait(HELD)
        return trap.cut
