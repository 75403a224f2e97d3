# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exactly one of several nodes: what a run's record is, and what each party may do next. Pure: no I/O, no clock.

A run is named by a job and an ID. Its record says who holds it (a slot each, with a lease), how it ended, who failed and
whose lease ran out. A slot is renewed by changing its version; a contender takes a slot over only after it has itself seen
the same version for the slot's whole lease. No two machines' wall clocks are compared. A semaphore is the same record with
more slots and no end.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional

SCHEMA = 1
KEPT = 20  # failures and take-overs that a record remembers
JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RUN = re.compile(r"[\x21-\x7e]{1,200}")
NODE = re.compile(r"[\x21-\x7e]{1,100}")
SEMAPHORE = "the semaphore"  # the run of a record that never ends; no user's ID has blanks
STOP, NEXT = "stop", "next"
TERM, KILL = "term", "kill"
SHORTEST, LONGEST = 1.0, 3600.0  # seconds of a lease


class JobError(ValueError):
    """An option makes no sense; one line that names it."""


class JobStoreError(Exception):
    """The store did not answer, or not with sense: unknown, so nothing is run."""


class JobNotMounted(JobStoreError):
    """The shared folder is not mounted here, or that is not known: a lock on it would be this node's alone."""


class JobConflict(Exception):
    """Somebody else changed the record since it was read. `found` is what stands there now, where that is known."""

    def __init__(self, found: Optional[Run] = None) -> None:
        super().__init__()
        self.found = found


@dataclass(frozen=True)
class Key:
    """Which run."""

    job: str
    run: str


@dataclass(frozen=True)
class Slot:
    """Who holds a run. `version` changes with each renewal; `seconds` is the lease. No `node`: a lock of the old kind."""

    node: str
    token: str
    version: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit code, and how many seconds it took by its own node's clock."""

    node: str
    token: str
    rc: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """The record. `version` changes with each write. `result` is the end of the run: nobody runs it again."""

    key: Key
    version: str
    slots: tuple[Slot, ...] = ()
    result: Optional[Result] = None
    failures: tuple[Result, ...] = ()
    replaced: tuple[str, ...] = ()

    def slot(self, token: str) -> Optional[Slot]:
        """The slot that a token holds."""
        return next((slot for slot in self.slots if slot.token == token), None)


@dataclass(frozen=True)
class Policy:
    """What a caller wants. `lease` and `wait` in seconds; `wait` None: an exclusive run does not wait for another's
    result, a semaphore waits for as long as it takes. `slots` makes a semaphore: so many at once, and each caller runs."""

    lease: float = 30.0
    slots: Optional[int] = None
    after_failure: str = STOP
    wait: Optional[float] = None

    @property
    def once(self) -> bool:
        """Whether a success ends the run for everybody."""
        return self.slots is None


def check_policy(policy: Policy) -> Policy:
    """The same policy. Raises JobError."""
    if not SHORTEST <= policy.lease <= LONGEST:
        raise JobError(f"lease: {policy.lease:g} is outside {SHORTEST:g} to {LONGEST:g} seconds")
    if policy.slots is not None and not 1 <= policy.slots <= 100:
        raise JobError(f"slots: {policy.slots} is outside 1 to 100")
    if policy.after_failure not in (STOP, NEXT):
        raise JobError(f"after_failure: '{policy.after_failure}' is neither stop nor next")
    if policy.wait is not None and not (policy.wait >= 0 and math.isfinite(policy.wait)):
        raise JobError(f"wait: {policy.wait} is not a number of seconds")
    return policy


def make_key(job: str, run: str) -> Key:
    """The key of a run. Raises JobError."""
    if not JOB.fullmatch(job):
        raise JobError(
            f"job: {job[:80]!r} is not a name of at most 100 letters, digits, dots, dashes and underscores"
        )
    if not RUN.fullmatch(run):
        raise JobError(
            f"run: {run[:80]!r} is not an ID of 1 to 200 printable ASCII characters without blanks"
        )
    return Key(job, run)


def tick_id(now: float, every: float) -> str:
    """The run of the schedule tick that a node is in, by its own clock: each node was started by that same clock.

    `now` in epoch seconds, `every` the schedule's period in seconds. Raises JobError.
    """
    if not 1 <= every <= 366 * 86400:
        raise JobError(f"every: {every:g} is not a period of 1 second to a year")
    start = datetime.datetime.fromtimestamp(now // every * every, datetime.timezone.utc)
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")


# -- what a contender does


@dataclass(frozen=True)
class Watch:
    """What a contender has seen: {token: (version, since)} by its own clock. `renewed`: the last seen to be alive."""

    seen: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    renewed: Optional[Slot] = None


def look(watch: Watch, run: Optional[Run], now: float) -> Watch:
    """The watch after one more reading."""
    slots = () if run is None else run.slots
    seen: dict[str, tuple[str, float]] = {}
    renewed = watch.renewed
    for slot in slots:
        before = watch.seen.get(slot.token)
        if before is not None and before[0] == slot.version:
            seen[slot.token] = before
            continue
        if before is not None:
            renewed = slot
        seen[slot.token] = (slot.version, now)
    if renewed is not None and renewed.token not in seen:
        renewed = None
    return Watch(seen, renewed)


@dataclass(frozen=True)
class Claim:
    """Take a free slot, or that of `over`, whose lease has run out."""

    over: Optional[Slot] = None


@dataclass(frozen=True)
class Ended:
    """The run has its result."""

    result: Result


@dataclass(frozen=True)
class Held:
    """Somebody else holds it and is alive, and the caller does not wait, or has waited long enough."""

    by: Slot


@dataclass(frozen=True)
class Again:
    """Nothing is decided; read again in so many seconds."""

    seconds: float


def decide(
    policy: Policy, run: Optional[Run], watch: Watch, now: float, until: float, mine: bool = True
) -> Any:
    """Claim, Ended, Held or Again. `until` is the end of the caller's patience by its clock (without one: infinity).

    `mine` False: the caller has failed at this run already and only waits for how it ends.
    """
    if run is not None and run.result is not None and policy.once:
        return Ended(run.result)
    slots = () if run is None else run.slots
    free = len(slots) < (policy.slots or 1)
    left = math.inf
    if mine:
        if free:
            return Claim()
        for slot in slots:
            rest = watch.seen[slot.token][1] + slot.seconds - now
            if rest < 0:
                return Claim(slot)
            left = min(left, rest)
    if now >= until:
        return Held(slots[0] if slots else Slot("nobody", "", "", 0))
    if policy.once and policy.wait is None and watch.renewed is not None:
        return Held(watch.renewed)
    poll = min([1.0, *(max(slot.seconds / 10, 0.05) for slot in slots)])
    return Again(max(0.01, min(poll, left + 0.01, until - now)))


# -- what becomes of a record; each returns the record to write


def claimed(key: Key, run: Optional[Run], slot: Slot, over: Optional[Slot], version: str) -> Run:
    """The record with one more holder."""
    before = run or Run(key, "")
    slots = tuple(other for other in before.slots if over is None or other.token != over.token)
    gone = () if over is None else (over.node or "a lock without an owner",)
    return replace(before, version=version, slots=(*slots, slot), replaced=(*before.replaced, *gone)[-KEPT:])


def renewed(run: Run, token: str, version: str) -> Run:
    """The record with that holder's lease renewed."""
    slots = tuple(replace(slot, version=version) if slot.token == token else slot for slot in run.slots)
    return replace(run, version=version, slots=slots)


def ended(run: Run, policy: Policy, result: Result, interrupted: bool, version: str) -> Run:
    """The record after its holder's command. `interrupted`: it was ended from outside, which is nobody's failure."""
    slots = tuple(slot for slot in run.slots if slot.token != result.token)
    final = policy.once and (result.rc == 0 or (policy.after_failure == STOP and not interrupted))
    failures = run.failures if final or result.rc == 0 else (*run.failures, result)[-KEPT:]
    return replace(
        run, version=version, slots=slots, result=result if final else run.result, failures=failures
    )


def settled(run: Optional[Run], token: str) -> bool:
    """Whether the record already tells that token's end (a write whose answer was lost)."""
    if run is None:
        return False
    told = (run.result, *run.failures)
    return any(result is not None and result.token == token for result in told)


def given_up(before: Run, found: Optional[Run], node: str) -> bool:
    """Whether a slot that is gone was given up by its own holder's write, whose answer was lost, and not taken over.

    `before` is what the holder knew last. A semaphore remembers no result; it does remember whom it replaced.
    """
    return found is not None and found.replaced.count(node) <= before.replaced.count(node)


# -- what the keeper of a command does


def duty(
    now: float, renewed_at: float, lease: float, asked: Optional[float] = None, grace: float = 0.0
) -> str:
    """ "" (let it run), "term" or "kill", for a command whose lease was last renewed at `renewed_at`.

    SIGTERM after two thirds of the lease without a renewal, SIGKILL after five sixths: over before anybody else begins.
    A keeper that wakes after the whole lease (it was frozen) kills at once. `asked`: since when the command is to end,
    with `grace` seconds between the two signals.
    """
    age = now - renewed_at
    if age >= lease * 5 / 6:
        return KILL
    if asked is not None and now - asked >= grace:
        return KILL
    if asked is not None or age >= lease * 2 / 3:
        return TERM
    return ""


def next_duty(
    now: float, renewed_at: float, lease: float, asked: Optional[float] = None, grace: float = 0.0
) -> float:
    """Seconds until `duty` may say something else; infinity when it never will."""
    moments = [renewed_at + lease * 2 / 3, renewed_at + lease * 5 / 6]
    if asked is not None:
        moments.append(asked + grace)
    ahead = [moment - now for moment in moments if moment > now]
    return min(ahead, default=math.inf)


def overlap(ended_at: float, renewed_at: float, lease: float) -> float:
    """For at most so many seconds the command ran beside its successor: what a lease cannot rule out for a frozen node."""
    return max(0.0, ended_at - renewed_at - lease)


# -- as the stores keep it


def dump_run(run: Run) -> dict[str, Any]:
    """Plain values."""
    return {
        "schema": SCHEMA,
        "job": run.key.job,
        "run": run.key.run,
        "version": run.version,
        "slots": [vars(slot).copy() for slot in run.slots],
        "result": None if run.result is None else vars(run.result).copy(),
        "failures": [vars(result).copy() for result in run.failures],
        "replaced": list(run.replaced),
    }


def _slot(raw: Mapping[str, Any]) -> Slot:
    return Slot(str(raw["node"]), str(raw["token"]), str(raw["version"]), float(raw["seconds"]))


def _result(raw: Mapping[str, Any]) -> Result:
    return Result(str(raw["node"]), str(raw["token"]), int(raw["rc"]), float(raw["seconds"]))


def parse_run(key: Key, raw: Any) -> Run:
    """What a store holds. Raises JobStoreError: a record that makes no sense is unknown, never free."""
    if not isinstance(raw, Mapping):
        raise JobStoreError(f"the record of {key.job} {key.run} makes no sense")
    if raw.get("schema") != SCHEMA:
        raise JobStoreError(
            f"the record of {key.job} {key.run} has schema {str(raw.get('schema'))[:20]}, this version reads {SCHEMA}"
        )
    try:
        if (raw["job"], raw["run"]) != (key.job, key.run):
            raise ValueError("another run")
        result = raw["result"]
        return Run(
            key,
            str(raw["version"]),
            tuple(_slot(item) for item in raw["slots"]),
            None if result is None else _result(result),
            tuple(_result(item) for item in raw["failures"]),
            tuple(str(item) for item in raw["replaced"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JobStoreError(f"the record of {key.job} {key.run} makes no sense ({error})") from None
