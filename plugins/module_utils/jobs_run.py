# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One caller's part in a run: contend, hold the lease while the command runs, record how it ended. All I/O is handed in."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional, Protocol

from . import jobs
from .jobs import Claim, Ended, Held, JobConflict, JobStoreError, Key, Policy, Result, Run, Slot, Watch

TEMPFAIL = 75  # EX_TEMPFAIL: nothing was done, or nothing is known; try again later
PERSIST = 60.0  # seconds for which a finished command's result is offered to a store that does not answer


class JobStore(Protocol):
    """Where records are. Both raise JobStoreError."""

    def read(self, key: Key) -> Optional[Run]:
        """The record as it is now; None when there is none."""

    def write(self, before: Optional[Run], after: Run) -> None:
        """Replace `before` (None: there is no record) by `after`. Raises JobConflict when it is no longer `before`."""


class Around(Protocol):
    """Time, and whether the caller was told to end."""

    def monotonic(self) -> float:
        """Seconds that only grow, those during which the machine was suspended too."""

    def sleep(self, seconds: float) -> None:
        """Wait; shorter when told to end."""

    def stopping(self) -> bool:
        """Whether SIGTERM, a spot notice or the like asked for an end."""


@dataclass(frozen=True)
class Exit:
    """A command's end: exit code (128 + number of the signal that ended it), when by the keeper's clock, and whether
    the keeper ended it because the lease was not renewed in time."""

    rc: int
    at: float
    cut: bool = False


class Command(Protocol):
    """A command in a process group of its own, under a keeper that ends it when its lease is not renewed in time and
    when the caller dies."""

    def start(self, renewed_at: float, lease: float) -> None:
        """Begin it."""

    def renewed(self, renewed_at: float) -> None:
        """The lease was renewed at that moment."""

    def wait(self, seconds: float) -> Optional[Exit]:
        """Its end, waited for at most so long; returns early when the caller is told to end."""

    def end(self, grace: float) -> None:
        """SIGTERM to the group now, SIGKILL after `grace` seconds; the end is still to be waited for."""


@dataclass(frozen=True)
class Outcome:
    """How it went. `outcome`: ran (here), skipped (somebody else ran or runs it), busy (waited in vain), lost (the lease
    was lost while it ran here), interrupted, unrecorded (it ran, and the store could not be told), unavailable (the store
    did not answer, nothing was run). `exit` is what the caller exits with, `rc` the command's own code.
    """

    outcome: str
    exit: int
    message: str
    key: Key
    node: str = ""
    rc: Optional[int] = None
    seconds: float = 0.0
    took_over: str = ""
    overlap: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the run is known to have succeeded, wherever."""
        return self.rc == 0 and self.outcome in ("ran", "skipped")


class _Lost(Exception):
    """The record does not name this caller any more."""


def _number() -> str:
    return uuid.uuid4().hex


class Contender:
    """One try of one node at one run."""

    def __init__(
        self,
        store: JobStore,
        key: Key,
        node: str,
        policy: Policy,
        around: Around,
        command: Command,
        grace: float = 10.0,
        unique: Callable[[], str] = _number,
    ) -> None:
        self._store, self._node, self._policy = store, node, jobs.check_policy(policy)
        self._key = key if policy.once else replace(key, run=jobs.SEMAPHORE)
        self._asked = key
        self._around, self._command, self._grace, self._unique = around, command, grace, unique
        self._token = unique()
        self._run: Optional[Run] = None
        self._renewed_at = -math.inf
        self._took_over = ""

    def _outcome(self, outcome: str, exit: int, message: str, **more: Any) -> Outcome:
        return Outcome(outcome, exit, message, self._asked, **more)

    def run(self) -> Outcome:
        """To the end. Never raises but for what the command's start raises."""
        begun = self._around.monotonic()
        patience = self._policy.wait
        until = math.inf if patience is None else begun + patience
        try:
            other = self._contend(until)
        except JobStoreError as error:
            return self._outcome("unavailable", TEMPFAIL, f"not run, the store does not answer: {error}")
        if other is not None:
            return other
        outcome = self._work()
        waits = self._policy.once and self._policy.after_failure == jobs.NEXT and patience is not None
        if outcome.outcome == "ran" and outcome.rc and waits and not self._around.stopping():
            return self._hand_on(outcome, until)
        return outcome

    # -- before

    def _contend(self, until: float) -> Optional[Outcome]:
        """None once the run is ours."""
        watch = Watch()
        run: Optional[Run] = None
        look_first = met = False
        told: Optional[Run] = None  # what a refused claim found
        while True:
            if self._around.stopping():
                return self._outcome("interrupted", TEMPFAIL, "ended while it waited; nothing was run here")
            # the first try is made blindly: most often nobody else has begun, and that costs one call
            if look_first:
                try:
                    run, told = told or self._store.read(self._key), None
                except JobStoreError:
                    if not met or self._policy.wait is None or self._around.monotonic() >= until:
                        raise
                    self._around.sleep(min(1.0, self._policy.lease / 10))
                    continue
                met = True
                if run is not None and run.slot(self._token) is not None:
                    self._run = run  # our own claim, whose answer was lost
                    return None
            now = self._around.monotonic()
            watch = jobs.look(watch, run, now)
            step = jobs.decide(self._policy, run, watch, now, until)
            look_first = True
            if isinstance(step, Claim):
                try:
                    self._claim(run, step.over)
                    return None
                except JobConflict as error:
                    told = error.found
                continue
            if isinstance(step, (Ended, Held)):
                return self._not_mine(step)
            self._around.sleep(step.seconds)

    def _claim(self, run: Optional[Run], over: Optional[Slot]) -> None:
        now = self._around.monotonic()
        slot = Slot(self._node, self._token, self._unique(), self._policy.lease)
        after = jobs.claimed(self._key, run, slot, over, self._unique())
        self._renewed_at = now
        self._took_over = "" if over is None else (over.node or "a lock without an owner")
        self._store.write(run, after)
        self._run = after

    def _not_mine(self, step: Any) -> Outcome:
        waited = self._policy.wait is not None
        if isinstance(step, Ended):
            found = step.result
            failed = f" and failed there with {found.rc}" if found.rc else ""
            return self._outcome(
                "skipped",
                found.rc if waited else 0,
                f"skipped: ran on {found.node}{failed}",
                node=found.node,
                rc=found.rc,
            )
        by = step.by.node or "somebody without a name"
        if self._policy.once and not waited:
            return self._outcome("skipped", 0, f"skipped: runs on {by}", node=by)
        what = "it still runs" if self._policy.once else "no slot is free; one holder is"
        where = f" on {by}" if self._policy.once else f" {by}"
        return self._outcome(
            "busy", TEMPFAIL, f"waited {self._policy.wait:g} s in vain: {what}{where}", node=by
        )

    # -- while it runs

    def _change(self, make: Callable[[Run], Run], leaves: bool = False) -> None:
        """Write a change of the record while we hold a slot in it, or give it up. Raises _Lost, JobStoreError."""
        while True:
            if self._run is None:
                raise _Lost
            after = make(self._run)
            try:
                self._store.write(self._run, after)
            except JobConflict as error:
                found = error.found or self._store.read(self._key)
                if jobs.settled(found, self._token):
                    return
                if found is None or found.slot(self._token) is None:
                    if leaves and not self._policy.once and jobs.given_up(self._run, found, self._node):
                        return
                    raise _Lost from None
                self._run = found
                continue
            self._run = after
            return

    def _renew(self) -> float:
        """The moment from which the lease counts. Raises _Lost, JobStoreError."""
        now = self._around.monotonic()
        self._change(lambda run: jobs.renewed(run, self._token, self._unique()))
        self._renewed_at = now
        return now

    def _work(self) -> Outcome:
        lease, around, command = self._policy.lease, self._around, self._command
        if around.monotonic() - self._renewed_at >= lease / 3:
            # the store was slow, or we stood still since we claimed: is it still ours?
            try:
                self._renew()
            except _Lost:
                return self._outcome(
                    "lost",
                    TEMPFAIL,
                    "the lease was lost before the command began: it was not run",
                    node=self._node,
                )
            except JobStoreError as error:
                return self._outcome(
                    "unavailable", TEMPFAIL, f"not run, the store does not answer any more: {error}"
                )
        begun = around.monotonic()
        command.start(self._renewed_at, lease)
        tried = self._renewed_at
        lost = asked = False
        while True:
            left = tried + lease / 3 - around.monotonic()
            found = command.wait(max(0.0, min(left, lease / 3)))
            if found is not None:
                break
            if around.stopping() and not asked:
                asked = True
                command.end(self._grace)
            now = around.monotonic()
            if lost or now - tried < lease / 3:
                continue
            try:
                tried = self._renew()
                command.renewed(tried)
            except JobStoreError:
                tried = (
                    around.monotonic() - lease / 4
                )  # again in a twelfth; the keeper knows when it is too late
            except _Lost:
                lost = True
                command.end(min(1.0, lease / 6))
        seconds = max(0.0, found.at - begun)
        if lost:
            return self._lost(found, seconds)
        return self._record(found, seconds, asked)

    def _lost(self, found: Exit, seconds: float) -> Outcome:
        beside = jobs.overlap(found.at, self._renewed_at, self._policy.lease)
        text = "the lease was lost and taken over: the command was ended and its result refused"
        if found.rc == 0:
            text = "the lease was lost and taken over while the command ran to its end: its result is refused"
        if beside:
            text += f"; it ran beside its successor for at most {beside:.1f} s"
        return self._outcome(
            "lost",
            TEMPFAIL,
            text,
            node=self._node,
            rc=found.rc,
            seconds=seconds,
            took_over=self._took_over,
            overlap=beside,
        )

    # -- after

    def _record(self, found: Exit, seconds: float, asked: bool) -> Outcome:
        result = Result(self._node, self._token, found.rc, round(seconds, 3))
        begun, why = self._around.monotonic(), ""
        # ended from outside, by a signal or for want of a renewal: nobody's failure, and somebody else may run it
        given_back = (asked or found.cut) and found.rc != 0
        while True:
            try:
                self._change(
                    lambda run: jobs.ended(run, self._policy, result, given_back, self._unique()), leaves=True
                )
                break
            except _Lost:
                return self._lost(found, seconds)
            except JobStoreError as error:
                why = str(error)
            if self._around.monotonic() - begun > max(PERSIST, self._policy.lease):
                return self._unrecorded(found, seconds, why)
            self._around.sleep(min(1.0, self._policy.lease / 12))
        told = {"node": self._node, "rc": found.rc, "seconds": seconds, "took_over": self._took_over}
        after = f", taken over from {self._took_over}" if self._took_over else ""
        if found.cut and found.rc:
            text = f"ended here: the lease could not be renewed in time{after}"
            return self._outcome("interrupted", TEMPFAIL, text, **told)
        if given_back:
            text = f"ended here from outside; the run is free again{after}"
            return self._outcome("interrupted", TEMPFAIL, text, **told)
        text = f"ran here: exit code {found.rc}{after}"
        return self._outcome("ran", found.rc, text, **told)

    def _unrecorded(self, found: Exit, seconds: float, why: str) -> Outcome:
        return self._outcome(
            "unrecorded",
            TEMPFAIL,
            f"ran here with exit code {found.rc}, which the store could not be told; another node may run it again: {why}",
            node=self._node,
            rc=found.rc,
            seconds=seconds,
            took_over=self._took_over,
        )

    def _hand_on(self, own: Outcome, until: float) -> Outcome:
        """After a failure here that gave the run to the next: how it ends in the time that is left, if it does."""
        watch = Watch()
        while not self._around.stopping():
            try:
                run = self._store.read(self._key)
            except JobStoreError:
                return own
            now = self._around.monotonic()
            watch = jobs.look(watch, run, now)
            step = jobs.decide(self._policy, run, watch, now, until, mine=False)
            if isinstance(step, Ended):
                text = f"failed here with {own.rc}; ran on {step.result.node} with exit code {step.result.rc}"
                return replace(
                    own, exit=step.result.rc, rc=step.result.rc, node=step.result.node, message=text
                )
            if isinstance(step, Held):
                break
            self._around.sleep(step.seconds)
        return own
