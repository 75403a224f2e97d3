# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's loop: it gathers what watch.py judges, and lets others do what may take time. No I/O of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Protocol

from ..record import Record
from . import watch
from .watch import Called, Settings, Sight, Step

GAP = 1.0  # seconds beyond the intended wait after which this process must have stood still
TICK = 0.5  # seconds between two looks at everything at most
ASK = 2.0  # seconds between two questions to the product
RESCAN = 30.0  # seconds after which the product's processes are listed again
IDENTITY = 60.0  # seconds after which the machine is asked again who it is


@dataclass(frozen=True)
class Event:
    """Something happened. `kind`: died (a watched process ended), or the name of the work that is done with `value`.

    `began` is when the work began; `value` is None when it failed or took too long.
    """

    kind: str
    began: float = 0.0
    value: Any = None


@dataclass(frozen=True)
class Turn:
    """What one visit to the table brought. `beat` is the other node's; `ended` is when the visit was over.

    `wrote`: our own heartbeat did not fail to be written. `time` is the store's, in epoch seconds. `known`: the record was not
    asked for, because it had just been read.
    """

    record: Optional[Record]
    why: str
    beat: Optional[str]
    wrote: bool
    ended: float
    time: Optional[float] = None
    known: bool = False


@dataclass(frozen=True)
class Answered:
    """What the product said, with its processes when they were asked for; `itself`: who the machine says it is."""

    state: str
    message: str
    pids: Optional[Sequence[tuple[int, int]]] = None
    itself: Optional[bool] = None


@dataclass(frozen=True)
class Local:
    """What the node's own files say right now."""

    seen: int
    held: bool
    busy: bool
    trouble: bool


class World(Protocol):
    """The machine below the loop. Nothing here blocks but `wait`."""

    def monotonic(self) -> float:
        """This machine's clock."""

    def wait(self, seconds: float) -> Sequence[Event]:
        """Wait for events, at most that long."""

    def begin(self, work: str, **given: Any) -> bool:
        """Begin turn, read, ask, call, restart or fence; False when that kind is still at work."""

    def local(self) -> Local:
        """Read the node's files."""

    def follow(self, pids: Sequence[tuple[int, int]]) -> int:
        """Watch these processes (pid, start ticks) for their end; returns how many are watched."""

    def log(self, text: str) -> None:
        """Keep one line."""

    def alive(self, text: str) -> None:
        """Tell whoever watches this daemon that it works, and on what."""

    def current(self) -> bool:
        """Whether the program and the configuration are still those that this daemon was started with."""


class Loop:
    """One daemon."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        now = world.monotonic()
        self.sight = Sight(now, begun=now)
        self._turned = self._asked = self._scanned = self._identified = float("-inf")
        self._thawed = now
        self._watched = 0
        self._due = 0.0
        self._acting: set[str] = set()  # restart and fence that are under way

    def run(self) -> None:
        """Until the program or its configuration on disk are others: whoever started this starts the new one."""
        while self._world.current():
            self.turn()
        self._world.log("watch: the program or its configuration was replaced; this daemon ends")

    def turn(self) -> Step:
        """One wait, and what follows from it."""
        world, settings = self._world, self._settings
        before = world.monotonic()
        pause = min(self._pause(before), TICK)
        events = world.wait(pause)
        now = world.monotonic()
        # from the last look on, so that a standstill anywhere in between is seen
        gap = now - self.sight.now
        if gap > pause + GAP:
            self._thaw(now, gap)
        for event in events:
            self._take(event, now)
        local = world.local()
        self.sight = replace(
            self.sight,
            now=now,
            seen=local.seen,
            held=local.held,
            busy=local.busy or bool(self._acting),
            trouble=local.trouble,
        )
        step = watch.decide(settings, self.sight)
        self._do(step, now)
        self._routine(now)
        world.alive(step.why)
        return step

    def _pause(self, now: float) -> float:
        """Seconds until something is due."""
        return max(0.01, min(self._turned + self._rhythm(), self._asked + ASK) - now)

    def _rhythm(self) -> float:
        # who watches looks twice as often as the other one beats
        record = self.sight.record
        watches = record is not None and record.active == self._settings.other
        return self._settings.beat / 2 if watches else self._settings.beat

    # -- what came

    def _thaw(self, now: float, gap: float) -> None:
        """This process stood still: nothing that it measured before counts any more."""
        self._world.log(f"watch: stood still for {gap:.1f} s; looking at everything anew")
        self._thawed = now
        sight = self.sight
        self.sight = replace(
            sight,
            record=None,
            read=float("-inf"),
            judged=watch.Judged(),
            died=None,
            peer=sight.peer.forget(),
        )
        self._turned = self._asked = self._identified = float("-inf")

    def _take(self, event: Event, now: float) -> None:
        if event.kind == "died":
            self.sight = replace(self.sight, died=now)
            self._scanned = float("-inf")
            return
        if event.kind == "call":
            called = self.sight.called
            if called is not None and event.value != "":
                self._world.log(f"watch: the function was not reached: {event.value or 'no answer in time'}")
                self.sight = replace(self.sight, called=replace(called, failed=True))
            return
        if event.kind in ("restart", "fence"):
            self._acting.discard(event.kind)
            self._world.log(f"watch: {event.kind}: {event.value or 'no answer in time'}")
            self._asked = self._scanned = float("-inf")
            return
        if event.began < self._thawed:
            return  # it was measured before or across a standstill
        if event.kind in ("turn", "read"):
            self._turn(event)
        elif event.kind == "ask":
            self._answered(event)

    def _turn(self, event: Event) -> None:
        turn: Optional[Turn] = event.value
        sight = self.sight
        record, read = (turn.record if turn is not None else None), event.began
        if turn is not None and turn.known:
            record, read = sight.record, sight.read
        peer = sight.peer
        if event.kind == "turn":
            counts = turn is not None and turn.wrote and record is not None
            peer = (
                peer.read(turn.beat, event.began, turn.ended)
                if counts and turn is not None
                else peer.forget()
            )
        self.sight = replace(sight, record=record, read=read, peer=peer)

    def _answered(self, event: Event) -> None:
        answered: Optional[Answered] = event.value
        sight = self.sight
        if answered is None:
            # the product helper itself hangs: that is a broken check, not a hung product
            self.sight = replace(
                sight, judged=sight.judged.then("unknown", "the check gave no answer", event.began)
            )
            return
        judged = sight.judged.then(answered.state, answered.message, event.began)
        died = None if sight.died is None or event.began >= sight.died else sight.died
        itself = sight.itself if answered.itself is None else answered.itself
        called = sight.called
        if judged.state == "running" and called is not None and called.key.startswith("down"):
            called = None  # it came back: the next end is news
        ran = sight.ran or judged.state == "running"
        self.sight = replace(sight, judged=judged, died=died, itself=itself, called=called, ran=ran)
        if answered.pids is not None:
            self._watched = self._world.follow(answered.pids)
            self._scanned = event.began

    # -- what is to be done

    def _do(self, step: Step, now: float) -> None:
        world, sight = self._world, self.sight
        if step.kind == watch.WAIT:
            return
        if step.kind == watch.READ:
            world.begin("read")
        elif step.kind == watch.ASK:
            self._ask(now)
            world.begin("read")  # at once, so that a death can be told as soon as the product has said so
        elif step.kind == watch.CALL:
            seen: dict[str, Any] = (
                {"beat": step.peer.beat, "still": step.peer.still} if step.peer is not None else {}
            )
            if world.begin("call", why=step.why, **seen):
                known = sight.called
                times = known.times + 1 if known is not None and known.key == step.key else 1
                self.sight = replace(sight, called=Called(step.key, now, times))
                world.log(f"watch: calling the function: {step.why}")
        elif step.kind == watch.RESTART:
            if world.begin("restart"):
                self._acting.add("restart")
                self.sight = replace(
                    sight, restarts=(*sight.restarts, now)[-20:], judged=replace(sight.judged, state="")
                )
                world.log(f"watch: {step.why}")
        elif step.kind == watch.FENCE and world.begin("fence"):
            self._acting.add("fence")
            self.sight = replace(sight, fenced=now)
            world.log(f"watch: self-fencing: {step.why}")

    def _ask(self, now: float) -> None:
        scan = now - self._scanned >= RESCAN or not self._watched
        identify = now - self._identified >= IDENTITY or not self.sight.itself
        if self._world.begin("ask", scan=scan, identify=identify):
            self._asked = now
            if identify:
                self._identified = now

    def _routine(self, now: float) -> None:
        sight = self.sight
        if now - self._asked >= ASK:
            self._ask(now)
        if now - self._turned >= self._rhythm():
            # a clone must not speak for the node whose files it carries
            beat = sight.itself and now >= self._due
            # between two beats only the other one's can be news: the record is read once for each beat
            known = sight.record is not None and now - sight.read < self._settings.beat * 0.9
            state = sight.judged.state or "unknown"
            if self._world.begin(
                "turn", beat=beat, state=state, epoch=sight.seen, held=sight.held, known=known
            ):
                self._turned = now
                if beat:
                    self._due = now + self._settings.beat * 0.9
