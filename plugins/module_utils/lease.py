# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding the record: a lease renewed inline, watched by its version alone. No thread, no wall clock."""

from __future__ import annotations

from typing import Any, Protocol

from .record import Conflict, Lease, Record, RecordUnreadable
from .store import RecordStore


class Clock(Protocol):
    """Seconds that only grow, and waiting. Handed in, so that a simulation can own time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class LeaseHeld(Exception):
    """Another run holds the record and is alive; the text names it."""

    code = "lease_held"


class LeaseLost(Exception):
    """This run stood still for so long that another took over; it must change nothing more."""

    code = "lease_lost"


def free_lease(store: RecordStore, record: Record, clock: Clock) -> Record:
    """Wait until nobody alive holds the record; returns it as it then is.

    A holder counts as gone only after its version stood still for its whole lease, seen by this run's own clock.
    Raises LeaseHeld at the first renewal.
    """
    watched = record.lease
    since = clock.monotonic()
    while record.lease is not None:
        if watched is None or record.lease.version != watched.version:
            raise LeaseHeld(
                f"another run holds the pair and is at work: {record.lease.owner}. Let it finish; if it is dead, the same "
                "command takes over once its lease has run out"
            )
        left = since + watched.seconds - clock.monotonic()
        if left < 0:
            return record
        clock.sleep(min(max(watched.seconds / 10, 0.1), left + 0.01))
        record = store.read()
    return record


class Holder:
    """The lease of one run. `record` is what this run last wrote or read."""

    def __init__(self, store: RecordStore, clock: Clock, record: Record, owner: str, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._seconds = seconds
        self._renewed = float("-inf")
        self._doubt = ""  # version of a lease of ours whose write was not answered
        self.held = False
        self.record = record

    def _lease(self) -> Lease:
        return self._store.new_lease(self._owner, self._seconds)

    def write(self, **changes: Any) -> Record:
        """Change the record and renew the lease in the same write. Raises LeaseLost, StoreError."""
        self._settle()
        before, lease = self._clock.monotonic(), self._lease()
        try:
            self.record = self._store.update(self.record, lease=lease, **changes)
        except RecordUnreadable:
            self._doubt = lease.version
            raise
        except Conflict as error:
            if not self.held:
                raise LeaseHeld(str(error)) from error
            self.held = False
            raise LeaseLost(f"{error}; this run stopped and changed nothing more") from error
        self._renewed = before
        self._doubt = ""
        self.held = True
        return self.record

    def _settle(self) -> None:
        """After a write that was not answered: what stands there now may be ours. Raises StoreError."""
        if not self._doubt:
            return
        current = self._store.read()
        if current.lease is not None and current.lease.version == self._doubt:
            self.record = current

    def keep(self) -> None:
        """Renew when a third of the lease has passed; called in every wait loop and before every change."""
        if self.held and self._clock.monotonic() - self._renewed > self._seconds / 3:
            self.write()

    def ready(self) -> None:
        """Before an outside call that changes something: the renewal must be younger than two thirds of the lease.

        Afterwards `record` is what stands in the table, also where an earlier write was not answered.

        Raises LeaseLost, or RecordUnreadable when the store is too slow to hold a lease at all.
        """
        self._settle()
        for _attempt in range(3):
            self.keep()
            if self.held and self._clock.monotonic() - self._renewed < self._seconds * 2 / 3:
                return
        raise RecordUnreadable("the table answers too slowly to hold the lease: nothing more is changed")

    def pause(self, seconds: float) -> None:
        """Sleep, renewing as needed."""
        until = self._clock.monotonic() + seconds
        while True:
            self.keep()
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._clock.sleep(min(left, max(self._seconds / 6, 0.05)))

    def release(self, **changes: Any) -> Record:
        """Change the record and let go of it. Raises LeaseLost, StoreError."""
        self._settle()
        try:
            self.record = self._store.update(self.record, lease=None, **changes)
        except Conflict as error:
            self.held = False
            raise LeaseLost(f"{error}; this run stopped and changed nothing more") from error
        self.held = False
        return self.record
