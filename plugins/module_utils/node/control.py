# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the product up and down, and proving it. The caller holds the lock and has asked the rules."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from ..products.base import Cutting, Lasting, Process, Product, ProductError, Ran, Status
from .host import Host
from .outcome import Outcome, done, failed

ANSWER = 10.0  # seconds a status may take within a start or a stop
TRIES = 3  # no answer this often in a row is hung; a stop is ordered at most this often
SETTLE = 2.0  # seconds that the product gets to obey before it is asked again
PAUSE = 0.25
CUTS = 10  # transfers that an answer lists
NAMED = 5  # processes that a message names
RESERVE = 3.0  # seconds of a stop's limit that are kept for the proof


def named(left: list[Process]) -> str:
    """The first processes by pid and program, for whoever has to look at them; empty for none."""
    if not left:
        return ""
    words = [f"{item.pid} {os.path.basename(item.exe or (item.argv or ('?',))[0])}" for item in left[:NAMED]]
    more = ", ..." if len(left) > NAMED else ""
    return f" (pid {', '.join(words)}{more})"


def bounded(cut: list[str]) -> list[str]:
    """As many of the transfers that were cut as an answer can carry."""
    more = [f"and {len(cut) - CUTS} more"] if len(cut) > CUTS else []
    return [text[:80] for text in cut[:CUTS]] + more


@dataclass(frozen=True)
class Control:
    """One product on one host. Times in seconds; deadlines by the host's monotonic clock."""

    host: Host
    product: Product

    def ask(self, limit: float) -> Status:
        """The product's status once; never raises."""
        try:
            return self.product.status(max(limit, 1.0))
        except ProductError as error:
            return Status("unknown", f"the check is broken: {error}")

    def ask_patiently(self, limit: float) -> tuple[Status, int]:
        """The status, and how often it was asked: hung only after no answer three times in a row, each within a third."""
        third = limit / TRIES
        for attempt in range(1, TRIES + 1):
            begun = self.host.monotonic()
            status = self.ask(third)
            if status.state != "hung" or attempt == TRIES:
                return status, attempt
            self.host.sleep(min(1.0, third - (self.host.monotonic() - begun)))
        raise AssertionError("unreachable")

    def leftovers(self) -> Optional[list[Process]]:
        """The product's processes; None when that cannot be told."""
        try:
            return self.product.leftovers()
        except ProductError:
            return None

    def count(self) -> Optional[int]:
        """How many processes of the product there are; None when that cannot be told."""
        left = self.leftovers()
        return None if left is None else len(left)

    def stopping(self) -> Optional[bool]:
        """Whether a stop of the product is under way; None when that cannot be told."""
        try:
            return self.product.stopping()
        except ProductError:
            return None

    def _surely_down(self) -> bool:
        """Whether nothing of it can be up, so that asking the product itself would only cost downtime."""
        try:
            lasts = isinstance(self.product, Lasting) and self.product.lasts()
            return not lasts and not self.product.leftovers()
        except ProductError:
            return False

    def _left(self, deadline: float) -> float:
        return deadline - self.host.monotonic()

    # -- up

    def up(self, deadline: float) -> Outcome:
        """Start and wait until it runs; a stop under way is waited for first, "running" being no answer meanwhile."""
        begun = self.host.monotonic()
        while (under_way := self.stopping()) is not False:
            if self._left(deadline) <= 0:
                why = "still stopping" if under_way else "not known to have stopped stopping"
                text = f"the product is {why}: it was not started"
                return failed(
                    "unknown", text, code="still_draining", already=False, still_stopping=bool(under_way)
                )
            self.host.sleep(PAUSE)
        if self._surely_down():
            status = Status("stopped", "no process of it is there")
        else:
            status = self.ask(min(ANSWER, self._left(deadline)))
        if status.state == "running":
            return done(
                "running", f"it runs already: {status.message}", already=True, seconds=self._since(begun)
            )
        try:
            ran = self.product.start(max(self._left(deadline), 1.0))
        except ProductError as error:
            return failed(
                status.state,
                f"the start failed: {error}",
                code="start_failed",
                already=False,
                seconds=self._since(begun),
            )
        status = self._until_up(ran, deadline)
        if status.state == "running":
            return done("running", f"started: {status.message}", already=False, seconds=self._since(begun))
        how = f"exit code {ran.rc}" if ran.rc is not None else "it took too long and was ended"
        said = f": {ran.said}" if ran.said else ""
        return failed(
            status.state,
            f"the start failed ({how}){said}; {status.message}",
            code="start_failed",
            already=False,
            seconds=self._since(begun),
        )

    def _since(self, begun: float) -> float:
        return round(self.host.monotonic() - begun, 2)

    def _until_up(self, ran: Ran, deadline: float) -> Status:
        """The status once it is running, or clearly will not be."""
        # a start that claims success gets until the deadline while it hangs, a short while when it is down
        end = min(deadline, self.host.monotonic() + (ANSWER if ran.rc == 0 else 0.0))
        while True:
            status = self.ask(min(ANSWER, self._left(deadline)))
            limit = deadline if ran.rc == 0 and status.state == "hung" else end
            if status.state == "running" or self.host.monotonic() >= limit:
                return status
            self.host.sleep(PAUSE)

    # -- down

    def down(self, mode: str, deadline: float) -> Outcome:
        """Stop, even if it says stopped, and prove it: status stopped and no process left. Never "stopped" otherwise."""
        orders, doubts, rc = 0, 0, None
        cut: list[str] = []
        trouble = ""
        ordered = self.host.monotonic()
        while True:
            under_way = self.stopping()
            due = orders == 0 or self.host.monotonic() - ordered >= SETTLE
            if due and orders < TRIES and (not under_way or (orders == 0 and mode == "force")):
                trouble, rc, told = self._order(mode, deadline)
                cut += told
                ordered, orders = self.host.monotonic(), orders + 1
            status = self.ask(min(ANSWER, self._left(deadline)))
            left = self.leftovers()
            under_way = self.stopping()
            if status.state == "stopped" and left == [] and under_way is False and self.count() == 0:
                proof = f"{status.message}; no process of it is left"
                found = {"transfers_cut": bounded(cut)} if cut else {}
                return done(
                    "stopped", "stopped", proof=proof, processes=0, still_stopping=False, rc=rc, **found
                )
            doubts = doubts + 1 if status.state in ("hung", "unknown") else 0
            late = self._left(deadline) <= 0
            tired = orders >= TRIES and self.host.monotonic() - ordered >= SETTLE
            # it neither obeys nor is about to: waiting longer proves nothing
            idle = not under_way and (tired or doubts >= TRIES) and status.state != "stopped"
            if late or idle:
                return self._unproven(status, left, under_way, rc, trouble, late)
            # a stop under way ends by itself: it is not asked less often for being neither up nor stopped
            patient = doubts and not under_way
            self.host.sleep(min(SETTLE, max(self._left(deadline), PAUSE)) if patient else PAUSE)

    def _order(self, mode: str, deadline: float) -> tuple[str, Optional[int], list[str]]:
        """(what went wrong, exit code, transfers that were cut)."""
        limit = self._left(deadline)
        try:
            ran = self.product.stop(mode, max(limit - min(RESERVE, limit / 2), 0.5))
        except ProductError as error:
            return str(error), None, []
        cut = self.product.transfers_cut(ran.output) if isinstance(self.product, Cutting) else []
        return (ran.said if ran.rc else ""), ran.rc, cut

    @staticmethod
    def _unproven(
        status: Status,
        left: Optional[list[Process]],
        under_way: Optional[bool],
        rc: Optional[int],
        trouble: str,
        late: bool,
    ) -> Outcome:
        """An answer that is no proof, and says what is missing."""
        draining = bool(under_way) or (late and status.state == "stopped")
        what = "it still stops" if draining else "it does not stop"
        rest = (
            "its processes cannot be counted"
            if left is None
            else f"{len(left)} of its processes are left{named(left)}"
        )
        message = f"{what}: {status.message}; {rest}" + (f"; {trouble}" if trouble else "")
        state = "unknown" if status.state == "stopped" else status.state
        code = "still_draining" if draining else "not_stopped"
        return failed(
            state,
            message,
            code=code,
            processes=None if left is None else len(left),
            still_stopping=draining,
            rc=rc,
        )
