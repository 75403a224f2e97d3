# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long run is waiting for, appended to a file: a module cannot show it itself, the callback `progress` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Optional

from .pair import PairSpec

VARIABLE = "HOTSTANDBY_PROGRESS"  # the file's path, in the environment of modules that run on the controller
Progress = Callable[[str, str, Optional[float]], None]


def silent(step: str, waits_for: str, limit: Optional[float]) -> None:
    """Nobody watches."""


def to_file(path: Optional[str]) -> Progress:
    """Append one JSON line {step, waits_for, limit} for each step that begins; a file that cannot be written costs nothing.

    `limit` is in seconds; None when the step has none of its own.
    """
    if not path:
        return silent

    def append(step: str, waits_for: str, limit: Optional[float]) -> None:
        line = json.dumps({"step": step, "waits_for": waits_for, "limit": limit}) + "\n"
        try:
            with open(path, "a", encoding="utf-8") as handle:
                handle.write(line)
        except OSError:
            pass  # showing progress must never end a move

    return append


def waits(step: str, pair: PairSpec, source: str, target: str) -> tuple[str, Optional[float]]:
    """What a step of a move waits for, and for how many seconds at most."""
    times = pair.timeouts
    known: dict[str, tuple[str, Optional[float]]] = {
        "acquire": ("the record and its lease", pair.lease),
        "confirm": ("the answers of both nodes", times.confirm),
        "stop": (f"{source} to stop the service, with proof", times.stop),
        "fence": (f"proof that {source} is off", pair.fencing.timeout),
        "start": (f"{target} to start the service", times.start),
        "verify": (f"{target} to say once more that it runs", times.verify),
        "redirect": (f"the addresses to point to {target}", None),
    }
    return known.get(step, ("the record", None))
