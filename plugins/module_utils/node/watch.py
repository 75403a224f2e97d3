# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon of profile fast does at an instant, given what it knows. Pure.

All times are seconds of this node's own monotonic clock. What is not known leads to nothing but another look.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

from ..record import Record

BEAT = 1.0  # seconds between two heartbeats, less when heartbeat_timeout is short
HUNG = 3  # answers that must fail to come in a row
PACES = (3.0, 6.0, 12.0, 24.0, 48.0)  # seconds before the same thing is told again
FAILED = 1.0  # seconds before an invocation that failed is tried again
REFENCE = 5.0  # seconds between two attempts of self-fencing
RESTARTS = 3600.0  # seconds within which `local_restarts` counts
UNMOVED = 30.0  # seconds that a heartbeat which this daemon never saw move must stand still
STARTING = 30.0  # seconds that a service which this daemon never saw running gets to be started, by the boot check say
OLD = 3.0  # beats after which a record that was read is too old to act on

WAIT, READ, ASK, RESTART, CALL, FENCE = "wait", "read", "ask", "restart", "call", "fence"


@dataclass(frozen=True)
class Settings:
    """Who this is, and the numbers of its pair."""

    node: str
    other: str
    instance_id: str
    timeout: float  # heartbeat_timeout
    restarts: int = 0  # local_restarts

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats: three fit into the timeout."""
        return min(BEAT, self.timeout / 3)


@dataclass(frozen=True)
class Peer:
    """The other node's heartbeat item: since when it has been seen unchanged, at least.

    `since` is when the first read that saw it had ended, `last` when the newest such read began: it stood still from the
    one to the other, whatever the reads took. `moved`: this daemon has seen it change at least once.
    """

    beat: Optional[str] = None
    since: float = 0.0
    last: float = 0.0
    moved: bool = False

    @property
    def still(self) -> float:
        """Seconds for which it surely did not change."""
        return 0.0 if self.beat is None else max(0.0, self.last - self.since)

    def read(self, beat: Optional[str], began: float, ended: float) -> Peer:
        """With one more read; `beat` is None when it could not be read, there is none, or we could not write ours."""
        if beat is None:
            return self.forget()
        if beat != self.beat:
            return Peer(beat, ended, began, self.moved or self.beat is not None)
        return replace(self, last=began)

    def forget(self) -> Peer:
        """Nothing measured so far counts."""
        return Peer(moved=self.moved)


@dataclass(frozen=True)
class Judged:
    """The product's own answers: the last one, when it was asked, and how many in a row did not come."""

    state: str = ""  # running, stopped, hung, unknown; empty: not asked yet
    message: str = ""
    began: float = float("-inf")
    hung: int = 0

    def then(self, state: str, message: str, began: float) -> Judged:
        """With one more answer."""
        return Judged(state, message, began, self.hung + 1 if state == "hung" else 0)

    @property
    def down(self) -> bool:
        """Stopped once, or hung three times in a row."""
        return self.state == "stopped" or (self.state == "hung" and self.hung >= HUNG)


@dataclass(frozen=True)
class Called:
    """What was told last to the function, and how often. `failed`: the invocation was not accepted."""

    key: str
    at: float
    times: int
    failed: bool = False

    def due(self, key: str, now: float) -> bool:
        """Whether it is time to tell `key` (again)."""
        if key != self.key:
            return True
        pause = FAILED if self.failed else PACES[min(self.times, len(PACES)) - 1]
        return now - self.at >= pause


@dataclass(frozen=True)
class Sight:
    """What is known at `now`. `record` is None when it was not read well the last time; `read` is when that read began."""

    now: float
    begun: float = float("-inf")  # when the daemon was started
    ran: bool = False  # it has seen the service run
    itself: bool = False  # the machine says that it is the instance of the configuration
    record: Optional[Record] = None
    read: float = float("-inf")
    seen: int = 0  # the highest epoch this node knows of
    held: bool = False
    busy: bool = False  # a start, stop or fence holds the node's lock
    trouble: bool = False  # the node's own files cannot be read
    judged: Judged = field(default_factory=Judged)
    died: Optional[float] = None  # the last death of a daemon that no answer of the product has explained yet
    peer: Peer = field(default_factory=Peer)
    restarts: tuple[float, ...] = ()
    called: Optional[Called] = None
    fenced: Optional[float] = None  # when self-fencing was last tried


@dataclass(frozen=True)
class Step:
    """What to do: wait, read (the record), ask (the product), restart, call (the function) or fence (oneself)."""

    kind: str
    why: str
    key: str = ""
    peer: Optional[Peer] = None  # the heartbeat that a call is about


def decide(settings: Settings, sight: Sight) -> Step:
    """The one thing to do now. Anything in doubt is `wait`, with the reason."""
    if sight.died is not None and sight.judged.began < sight.died:
        return Step(ASK, "a daemon of the product has ended")
    if not sight.itself:
        return Step(WAIT, "this machine is not known to be this node")
    record = sight.record
    if record is None:
        return Step(WAIT, "the record is not known")
    if sight.now - sight.read > OLD * BEAT:
        return Step(READ, "the record was read too long ago")
    if record.nodes.get(settings.node) != settings.instance_id:
        return Step(WAIT, "the record means another instance")
    if sight.trouble:
        return Step(WAIT, "what this node remembers cannot be read")
    if record.epoch < sight.seen:
        return Step(WAIT, "the record was restored from a backup")
    if record.active == settings.node:
        return _active(settings, sight, record)
    if record.active == settings.other:
        return _standby(settings, sight, record)
    return Step(WAIT, "nobody is named")


def _quiet(sight: Sight, record: Record) -> str:
    """Why nothing may begin, or empty."""
    if record.paused is not None:
        return "automation is paused"
    if record.state != "steady" or record.move is not None:
        return "a move is under way"
    return "a command is at work here" if sight.busy else ""


def _active(settings: Settings, sight: Sight, record: Record) -> Step:
    judged = sight.judged
    if not judged.down:
        return Step(WAIT, f"the product: {judged.state or 'not asked yet'}")
    if sight.held:
        return Step(WAIT, "stopped on purpose")
    if not sight.ran and sight.now - sight.begun < STARTING:
        return Step(WAIT, "it may be about to be started")
    if sight.read < judged.began:
        # a move that began meanwhile may be what stopped it
        return Step(READ, "the record was read before the product was found down")
    quiet = _quiet(sight, record)
    if quiet:
        return Step(WAIT, quiet)
    key = f"down {record.epoch}"
    recent = sum(1 for at in sight.restarts if sight.now - at < RESTARTS)
    if judged.state == "stopped" and recent < settings.restarts and not _told(sight, key):
        return Step(RESTART, f"restart {recent + 1} of {settings.restarts} in place", key)
    return _call(sight, key, f"the product is {judged.state} here: {judged.message}")


def _standby(settings: Settings, sight: Sight, record: Record) -> Step:
    if sight.judged.state == "running" and record.state != "broken":
        if sight.busy or (sight.fenced is not None and sight.now - sight.fenced < REFENCE):
            return Step(WAIT, "it runs here and must not: being looked after")
        return Step(FENCE, f"it runs here, and the record names {record.active} with epoch {record.epoch}")
    peer = sight.peer
    limit = settings.timeout / 2 if peer.moved else max(UNMOVED, settings.timeout)
    if peer.still < limit:
        return Step(WAIT, f"{settings.other} is heard")
    quiet = _quiet(sight, record)
    if quiet:
        return Step(WAIT, quiet)
    key = f"still {record.epoch} {peer.beat}"
    step = _call(
        sight, key, f"the heartbeat of {settings.other} has stood still here for {peer.still:.1f} s or more"
    )
    return replace(step, peer=peer)


def _told(sight: Sight, key: str) -> bool:
    return sight.called is not None and sight.called.key == key


def _call(sight: Sight, key: str, why: str) -> Step:
    if sight.called is None or sight.called.due(key, sight.now):
        return Step(CALL, why, key)
    return Step(WAIT, f"told already: {why}")
