# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, and who goes on next. Every process is a greenlet; every operation of the outside world is a point at which another
one may go on, and at which its process can be frozen or killed. Nothing depends on real time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import Terminated
from greenlet import getcurrent, greenlet

TURN = 200.0  # seconds after which who stands still for another one goes on all the same


class Killed(BaseException):
    """SIGKILL: the process unwinds, and nothing that it does on the way has an effect."""


class Owner:
    """What can be frozen: a process or a machine. Its due events wait until it thaws."""

    def __init__(self) -> None:
        self.frozen = False
        self.parked: list[tuple[Any, ...]] = []


class Books:
    """What is wrong with a machine, or with AWS, and when that last changed. `hid` counts what may hide a node that is well."""

    ill = hidden = 0
    touched = hid = -1e9
    now: float

    def fault(self, hides: bool, change: int = 0) -> None:
        """A fault begins (1), ends (-1), or hits once (0)."""
        self.ill += change
        self.touched = self.moment()
        if hides:
            self.hidden += change
            self.hid = self.moment()

    def moment(self) -> float:
        return self.now


class Proc(Owner):
    """One process: a controller, or a command on a machine. `calls` counts its operations, at which faults are aimed."""

    def __init__(self, world: Scheduler, name: str, machine: Any = None) -> None:
        super().__init__()
        self.world, self.name, self.machine = world, name, machine
        self.pid = self.pgid = world.pid()
        self.calls = 0
        self.dead = self.done = self.term = False
        self.stalled = False  # whether its present call was held up between its decision and the service
        self.began = world.now
        self.verb, self.epoch = "", None  # what a node's command was told to do
        self.rng = random.Random(f"{world.seed}/{name}")
        self.main: Task | None = None
        self.tasks: list[Task] = []
        self.on_end: list[Callable[[Proc], None]] = []

    @property
    def alive(self) -> bool:
        return not (self.dead or self.done)


class Task(greenlet):
    """One thread of a process. Done when `done`; its end is announced to `waiters`."""

    def __init__(self, world: Scheduler, proc: Proc, work: Callable[[], Any]) -> None:
        super().__init__(self._body, parent=world.hub)
        self.world, self.proc, self.work = world, proc, work
        self.token = 0
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiters: list[Task] = []

    def _body(self, *_arguments: Any) -> None:
        try:
            if not self.proc.dead:
                self.result = self.work()
        except BaseException as error:  # whatever it is, it is the outcome of this thread
            self.error = error
        if isinstance(self.error, Exception) and self.proc.main is self:
            self.world.errors.append(self.error)
        self.done = True
        for waiter in self.waiters:
            self.world.wake(waiter)
        if self.proc.main is self:
            self.world.ended(self.proc)


class Scheduler(Books):
    """Simulated seconds. `trace` is None, or a list of (time, actor, call, answer)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.hub = getcurrent()
        self.procs: list[Proc] = []
        self.trace: list[tuple[float, str, str, str]] | None = None
        self._heap: list[tuple[Any, ...]] = []
        self._count = 0
        self._pids = 100
        self.turns = 0
        self.takers: set[str] = set()  # processes that take turns: one goes on while the other stands still
        self.yielded: list[Proc] = []
        self.errors: list[Exception] = []  # what no process should ever end with

    def pid(self) -> int:
        self._pids += 1
        return self._pids

    def note(self, actor: str, call: str, answer: str = "") -> None:
        """One line of the timeline."""
        if self.trace is not None:
            self.trace.append((self.now, actor, call, answer))

    # -- events

    def at(self, delay: float, event: Callable[[], None], owner: Owner | None = None) -> None:
        """Run `event` in `delay` seconds, or when its owner has thawed."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, event, owner, -1))

    def wake(self, task: Task, delay: float = 0.0) -> None:
        """Let a waiting thread go on; whatever it waited for before is forgotten then."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, task, task.proc, task.token))

    def spawn(self, proc: Proc, work: Callable[[], Any], main: bool = False) -> Task:
        task = Task(self, proc, work)
        proc.tasks.append(task)
        if main:
            proc.main = task
            self.procs.append(proc)
        self.wake(task)
        return task

    def sleep(self, seconds: float) -> None:
        """The calling thread waits. Raises Killed or Terminated when its process got a signal."""
        task: Any = getcurrent()
        proc = task.proc
        if proc.dead:
            raise Killed
        self.wake(task, seconds)
        self.hub.switch()
        if proc.dead:
            raise Killed
        if proc.term and proc.main is task:
            proc.term = False
            raise Terminated

    def wait(self, other: Any, seconds: float) -> bool:
        """Wait until `other` (with `done` and `waiters`) is done, at most `seconds`; whether it is."""
        if not other.done:
            other.waiters.append(getcurrent())
            self.sleep(max(seconds, 0.0))
        return bool(other.done)

    # -- signals

    def ended(self, proc: Proc) -> None:
        proc.done = True
        if proc.name in self.takers:
            self.next_turn(None)
        for hook in proc.on_end:
            hook(proc)
        proc.on_end = []

    def kill(self, proc: Proc) -> None:
        """SIGKILL."""
        if not proc.alive:
            return
        proc.dead = True
        self.note(proc.name, "KILLED")
        self.ended(proc)
        self.thaw(proc)
        for task in proc.tasks:
            if not task.done:
                self.wake(task)

    def terminate(self, proc: Proc) -> None:
        """SIGTERM."""
        if proc.alive:
            proc.term = True
            if proc.main is not None:
                self.wake(proc.main)

    def freeze(self, owner: Owner, seconds: float | None = None) -> None:
        """SIGSTOP, or a whole machine that stands still; thawed after `seconds`."""
        owner.frozen = True
        if seconds is not None:
            self.at(seconds, lambda: self.thaw(owner))

    def next_turn(self, proc: Proc | None) -> None:
        """`proc` stands still (None: has ended) and whoever stood still before it goes on."""
        before, self.yielded = self.yielded, [proc] if proc is not None else []
        for other in before:
            self.thaw(other)
        if proc is not None:
            self.note(proc.name, "the other one's turn")
            self.freeze(proc, TURN)

    def thaw(self, owner: Owner) -> None:
        owner.frozen = False
        parked, owner.parked = owner.parked, []
        for event in parked:
            self._count += 1
            heapq.heappush(self._heap, (self.now, self._count, *event))

    # -- the loop

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until `until`, or until `stop` says so (asked at each turn)."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            due, _number, what, owner, token = heapq.heappop(heap)
            if token >= 0 and (token != what.token or what.done):
                continue
            if owner is not None:
                if owner.frozen:
                    owner.parked.append((what, owner, token))
                    continue
                machine = owner.machine if token >= 0 else None
                if machine is not None and machine.frozen and not owner.dead:
                    machine.parked.append((what, owner, token))
                    continue
            if due > self.now:
                self.now = due
            self.turns += 1
            if token >= 0:
                what.token += 1
                what.switch()
            else:
                what()
            if stop():
                return
        self.now = max(self.now, until) if not stop() else self.now
