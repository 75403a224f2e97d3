# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause and resume: who, why, since when. Stops new automatic moves; never a move in flight or the guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .record import Conflict, Record
from .runbook import command
from .store import RecordStore

ATTEMPTS = 8  # a move renews its lease meanwhile; each renewal costs one attempt


class MaintenanceError(Exception):
    """The pause was not changed; the text says why on one line, `code` is its heading in the runbook."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Paused:
    """The pause before and after; None where there is none."""

    changed: bool
    before: Optional[Mapping[str, Any]]
    after: Optional[Mapping[str, Any]]
    record: Record


def set_pause(store: RecordStore, paused: bool, by: str, reason: str, check: bool = False) -> Paused:
    """Pause or resume. Raises MaintenanceError, StoreError.

    Pausing needs a reason, and never replaces somebody else's pause; anybody may resume.
    """
    if paused and not reason.strip():
        raise MaintenanceError(
            "reason: a pause needs one, it is shown to everyone who meets it: -e \"reason='TEXT'\"",
            code="pause_needs_reason",
        )
    for _attempt in range(ATTEMPTS):
        record = store.read()
        before = record.paused
        after: Optional[dict[str, Any]] = (
            {"by": by, "reason": reason, "time": store.now()} if paused else None
        )
        if paused and before is not None:
            if before.get("by") != by:
                raise MaintenanceError(
                    f"already paused by {before.get('by')} ({before.get('reason')}): resume that first. Next: "
                    + command("maintenance", state="resumed"),
                    code="paused",
                )
            if before.get("reason") == reason:
                return Paused(False, before, before, record)
        if before is None and after is None:
            return Paused(False, None, None, record)
        if check:
            return Paused(True, before, after, record)
        try:
            return Paused(True, before, after, store.update(record, paused=after))
        except Conflict:
            continue
    raise MaintenanceError(
        "the record changes all the time (a move is under way): run this again", code="record_busy"
    )
