# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three nodes that try one run, in simulated time: the real Contender, TableJobs and FolderJobs on the scheduler of det/.

Each call of the store (of the folder: each system call) and each wait of a command is an instant at which a process or
its machine can be killed or frozen, and at which the store can refuse, lose its answer, or act late. The keeper of a
command is a process of its own, as on a real node, and decides by jobs.duty. `sweep` hits every instant once.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils import jobs, jobs_dir
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import Key, Policy
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Contender, Exit, Outcome
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_store import TableJobs
from greenlet import getcurrent

from tests.simulation.det.scheduler import Killed, Owner, Proc, Scheduler

LEASE = 3.0
LONG = 4 * LEASE  # for how long somebody stands still
KEY = Key("nightly", "run-1")
STEP = 0.25  # seconds between two looks of a command at whether it was ended
DEAF = "a command that ignores SIGTERM"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
BOTH = ("crash", "off", "freeze", "stand", "term")  # what can meet any call
STORE = ("crash-after", "off-after", "stand-after", "refuse", "lost", "late")


@dataclass(frozen=True)
class Case:
    """What three nodes are told to do. `rcs` by node; a late node always ends with 0."""

    policy: Policy
    rcs: tuple[int, int, int] = (0, 0, 0)
    seconds: float = 4.0
    folder: bool = False
    deaf: bool = False
    old_lock: bool = False


CASES = {
    "one": Case(Policy(LEASE)),
    "deaf": Case(Policy(LEASE, wait=60.0), deaf=True),
    "next": Case(Policy(LEASE, after_failure="next", wait=60.0), (7, 7, 0), 1.0),
    "slots": Case(Policy(LEASE, slots=2)),
    "folder": Case(Policy(LEASE, wait=60.0), seconds=2.0, folder=True),
    "old-lock": Case(Policy(LEASE, wait=60.0), seconds=1.0, folder=True, old_lock=True),
}


class Refused(Exception):
    """The service failed; botocore's form."""

    def __init__(self, code: str = "InternalServerError", status: int = 500) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


@dataclass
class Machine(Owner):
    name: str
    procs: list[Proc] = field(default_factory=list)
    thawed: float = -1e9

    def __post_init__(self) -> None:
        super().__init__()


class World(Scheduler):
    """One schedule: `hits` is {(process, number of its call): kind}."""

    def __init__(self, case: Case, hits: dict[tuple[str, int], str] | None = None) -> None:
        super().__init__(0)
        self.case, self.hits = case, dict(hits or {})
        self.items: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.works: list[Work] = []
        self.broken: list[str] = []
        self.recorded = 0
        self.folder = tempfile.mkdtemp(prefix="hotstandby-jobs-", dir=MEMORY) if case.folder else ""
        self.number = 0

    def unique(self) -> str:
        self.number += 1
        return f"{self.number:032x}"

    def breach(self, text: str) -> None:
        self.broken.append(f"{self.now:.2f}: {text}")

    # -- faults

    def off(self, machine: Machine) -> None:
        for proc in machine.procs:
            self.kill(proc)

    def stand(self, machine: Machine) -> None:
        machine.frozen = True

        def thaw() -> None:
            machine.thawed = self.now
            self.thaw(machine)

        self.at(LONG, thaw)

    def hit(self, proc: Proc, kind: str) -> None:
        self.note(proc.name, f"call {proc.calls}", kind.upper())
        if kind.startswith("crash"):
            self.kill(proc)
        elif kind.startswith("off"):
            self.off(proc.machine)
        elif kind == "freeze":
            self.freeze(proc, LONG)
        elif kind.startswith("stand"):
            self.stand(proc.machine)
        elif kind == "term":
            proc.term_asked = True  # type: ignore[attr-defined]

    def call(self, name: str, effect: Callable[[], Any], service: bool) -> Any:
        """One call of the calling process. Answers of a service can be lost; system calls only stop."""
        task: Any = getcurrent()
        proc: Proc = task.proc
        proc.calls += 1
        kind = self.hits.get((proc.name, proc.calls), "")
        if service:
            proc.services.add(proc.calls)  # type: ignore[attr-defined]
        elif kind not in BOTH:
            kind = ""
        if kind and kind in BOTH:
            self.hit(proc, kind)
        self.sleep(proc.rng.uniform(0.001, 0.02) if service else 0.0005)
        if kind == "refuse":
            raise Refused
        if kind == "late":
            self.at(2 * LEASE, lambda: self._quietly(effect))
            raise Refused
        answer = effect()
        if kind and kind not in BOTH:
            self.hit(proc, kind)
        if service:
            self.sleep(proc.rng.uniform(0.001, 0.02))
        self.note(proc.name, name, str(answer)[:90])
        if kind == "lost":
            raise Refused
        return answer

    @staticmethod
    def _quietly(effect: Callable[[], Any]) -> None:
        try:
            effect()
        except Refused:
            pass  # nobody hears it

    # -- DynamoDB

    def get_item(self, Key: Any, **_arguments: Any) -> dict[str, Any]:
        found = self.call("GetItem", lambda: self.items.get(Key["item"]["S"]), True)
        return {} if found is None else {"Item": found}

    def put_item(self, Item: Any, ConditionExpression: str, **more: Any) -> dict[str, Any]:
        name = Item["item"]["S"]

        def effect() -> dict[str, Any]:
            found = self.items.get(name)
            if ConditionExpression.startswith("attribute_not_exists"):
                met = found is None
            else:
                met = found is not None and found["version"] == more["ExpressionAttributeValues"][":v"]
            if not met:
                raise Refused("ConditionalCheckFailedException", 400)
            self.items[name] = Item
            if "M" in Item["result"]:
                self.recorded += Item["result"]["M"]["rc"]["N"] == "0"
            return {}

        return self.call("PutItem", effect, True)

    # -- a node

    def store(self) -> Any:
        if not self.case.folder:
            return TableJobs(self, "table")
        return jobs_dir.FolderJobs(self.folder, LEASE, unique=self.unique)

    def node(self, name: str, rc: int, delay: float = 0.0) -> Proc:
        machine = Machine(name)
        proc = Proc(self, name, machine)
        proc.term_asked, proc.services = False, set()  # type: ignore[attr-defined]
        machine.procs.append(proc)

        def work() -> None:
            self.sleep(delay)
            around = Around(self, proc)
            command = Work(self, proc, rc)
            party = Contender(
                self.store(), KEY, name, self.case.policy, around, command, 1.0, unique=self.unique
            )
            self.outcomes[name] = party.run()

        self.spawn(proc, work, main=True)
        return proc

    # -- the promises

    def begun(self, work: Work) -> None:
        limit = self.case.policy.slots or 1
        if self.case.policy.once and self.recorded:
            self.breach(f"{work.name} runs after a success was recorded")
        alive = [other for other in self.works if other.runs() and other is not work]
        if len(alive) >= limit:
            self.breach(f"{work.name} runs beside {', '.join(other.name for other in alive)}")

    def stepped(self, work: Work) -> None:
        """A command is at work: beside another one only just after its machine thawed."""
        limit = self.case.policy.slots or 1
        alive = [other for other in self.works if other.runs()]
        machines = [other.wrapper.machine for other in alive]
        if len(alive) > limit and not any(self.now - machine.thawed <= STEP for machine in machines):
            self.breach(f"at work at once: {', '.join(other.name for other in alive)}")


class Around:
    def __init__(self, world: World, proc: Proc) -> None:
        self.world, self.proc = world, proc

    def monotonic(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.world.call("sleep", lambda: self.world.sleep(seconds), False)

    def stopping(self) -> bool:
        return bool(self.proc.term_asked)  # type: ignore[attr-defined]


class Work:
    """A command and its keeper."""

    def __init__(self, world: World, wrapper: Proc, rc: int) -> None:
        self.world, self.wrapper, self.rc = world, wrapper, rc
        self.name = f"{wrapper.name}'s command"
        self.exit: Exit | None = None
        self.done = self.completed = False
        self.waiters: list[Any] = []
        self.asked: float | None = None
        self.grace = 0.0
        self.told = ""
        self.proc: Proc | None = None

    def runs(self) -> bool:
        return self.proc is not None and self.proc.alive and not self.wrapper.machine.frozen

    def start(self, renewed_at: float, lease: float) -> None:
        world, machine = self.world, self.wrapper.machine
        self.at, self.lease = renewed_at, lease
        self.proc = Proc(world, self.name, machine)
        keeper = Proc(world, f"{self.name}'s keeper", machine)
        machine.procs += [self.proc, keeper]
        world.works.append(self)
        world.begun(self)
        world.spawn(self.proc, self._work, main=True)
        self.keeper = world.spawn(keeper, self._keep, main=True)
        for ending in (self.wrapper, self.proc):  # a pipe that closes, and SIGCHLD
            ending.on_end.append(lambda _proc: world.wake(self.keeper))

    def _work(self) -> None:
        end = self.world.now + self.world.case.seconds
        while self.world.now < end:
            self.world.sleep(STEP)
            self.world.stepped(self)
            if self.told == jobs.TERM and not self.world.case.deaf:
                self.code = 143
                return
        self.code, self.completed = self.rc, True

    def _keep(self) -> None:
        cut = False
        assert self.proc is not None
        while True:
            orphan = not self.wrapper.alive and self.exit is None
            due = (
                jobs.KILL
                if orphan
                else jobs.duty(self.world.now, self.at, self.lease, self.asked, self.grace)
            )
            if due and self.proc.alive:
                cut = cut or self.asked is None
                self.told = due
                if due == jobs.KILL:
                    self.world.kill(self.proc)
            if not self.proc.alive:
                break
            wait = jobs.next_duty(self.world.now, self.at, self.lease, self.asked, self.grace)
            self.world.sleep(min(wait, 1.0))
        self.exit = Exit(137 if self.proc.dead else self.code, self.world.now, cut)
        self.done = True
        for waiter in self.waiters:
            self.world.wake(waiter)

    def renewed(self, renewed_at: float) -> None:
        self.at = renewed_at
        self.world.wake(self.keeper)

    def end(self, grace: float) -> None:
        self.asked, self.grace = self.world.now, grace
        self.world.wake(self.keeper)

    def wait(self, seconds: float) -> Exit | None:
        limit = min(seconds, 0.7)  # shorter is allowed, and gives more instants
        return self.world.call("wait", lambda: self.exit if self.world.wait(self, limit) else None, False)


class Yielding:
    """`os`, with a turn for the others (and an instant for a fault) before each call."""

    CALLS = ("open", "link", "unlink", "rename", "rmdir", "listdir", "makedirs", "fsync", "lstat", "stat")

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        found = (
            getattr(os, name) if name != "fsync" else lambda _handle: None
        )  # a kill of a process loses no page
        if name not in self.CALLS:
            return found
        return lambda *given, **more: self._world.call(name, lambda: found(*given, **more), False)


def play(case: Case, hits: dict[tuple[str, int], str] | None = None, trace: bool = False) -> World:
    """Three nodes at about the same time, then late ones; returns the world with what it broke."""
    world = World(case, hits)
    if trace:
        world.trace = []
    kept = jobs_dir.os
    if case.folder:
        jobs_dir.os = Yielding(world)  # type: ignore[assignment]
    if case.old_lock:
        os.mkdir(os.path.join(world.folder, f"{KEY.job}.lock"))
    try:
        delays = (0.0, 0.0003, 0.0007) if case.folder else (0.0, 0.011, 0.03)
        first = [world.node(name, rc, delay) for name, rc, delay in zip("abc", case.rcs, delays)]
        world.run(100.0)
        for proc in first:
            if proc.alive:
                world.breach(f"{proc.name} is stuck")
        for number in range(3):
            late = world.node(f"late{number}", 0)
            world.run(world.now + 60.0)
            if late.alive:
                world.breach(f"{late.name} is stuck")
        judge(world)
    finally:
        jobs_dir.os = kept
        if world.folder:
            shutil.rmtree(world.folder)
    world.broken += [f"{type(error).__name__}: {error}" for error in world.errors]
    return world


def judge(world: World) -> None:
    """What must be true at the end."""
    policy, told = world.case.policy, world.outcomes
    well = [name for name, outcome in told.items() if outcome.outcome == "ran" and outcome.rc == 0]
    if policy.once:
        mine = [name for name in well if told[name].node == name]
        if len(mine) > 1:
            world.breach(f"a success was recorded for {', '.join(mine)}")
        last = told.get("late2")
        if last is None or not last.done or last.outcome != "skipped":
            world.breach(f"after three late nodes the run is not done: {last and last.message}")
        if last is not None and last.node in told and told[last.node].rc not in (0, None):
            world.breach(f"the run is said to be done by {last.node}, who says {told[last.node].message}")
    else:
        missed = [name for name in ("late0", "late1", "late2") if name not in well]
        if missed:
            world.breach(f"no slot for {', '.join(missed)}")
    for work in world.works:
        outcome = told.get(work.wrapper.name)
        if outcome is None:
            continue
        if outcome.outcome in ("unavailable", "skipped"):
            world.breach(f"{work.wrapper.name} says {outcome.outcome}, and its command began")
        if outcome.outcome == "lost" and outcome.exit != 75:
            world.breach(f"{work.wrapper.name} lost the lease and exits with {outcome.exit}")


def instants(case: Case) -> Iterator[tuple[str, int, str]]:
    """Every call of every process of the case without a fault, with every kind that can meet it."""
    world = play(case)
    for proc in world.procs:
        if proc.name in ("a", "b", "c"):
            for number in range(1, proc.calls + 1):
                for kind in BOTH + (STORE if number in proc.services else ()):  # type: ignore[attr-defined]
                    yield proc.name, number, kind


def sweep(case: Case, every: int = 1, first: bool = False) -> tuple[int, list[str]]:
    """(schedules, what they broke): one fault at each instant; `every` takes a share, `first` stops at the first breach."""
    done, broken = 0, []
    for index, (name, number, kind) in enumerate(instants(case)):
        if index % every:
            continue
        done += 1
        world = play(case, {(name, number): kind})
        broken += [f"{kind} at call {number} of {name}: {text}" for text in world.broken]
        if broken and first:
            break
    return done, broken


def soak(rounds: int, seed: int = 0) -> dict[str, Any]:
    """Random rounds with one to three faults at random calls of random nodes (three late nodes follow in each).

    `lost`: runs that never came to a success; `twice`: runs with two recorded successes, or begun again after one;
    `repeated`: runs whose command came to its end more than once, since who ran it first died, or stood still, before that
    was recorded; `broken`: every promise that broke.
    """
    found: dict[str, Any] = {"rounds": rounds, "lost": 0, "twice": 0, "repeated": 0, "broken": []}
    for number in range(rounds):
        draw = random.Random(f"{seed}/{number}")
        name = draw.choice(sorted(name for name, case in CASES.items() if case.policy.once))
        hits = {
            (draw.choice("abc"), draw.randint(1, 30)): draw.choice(BOTH + STORE)
            for _hit in range(draw.randint(1, 3))
        }
        world = play(CASES[name], hits)
        last = world.outcomes.get("late2")
        found["lost"] += not (last and last.done)
        found["twice"] += world.recorded > 1 or any("after a success" in text for text in world.broken)
        found["repeated"] += sum(work.completed and work.rc == 0 for work in world.works) > 1
        found["broken"] += [f"{name} {hits}: {text}" for text in world.broken]
    return found


__all__ = ["CASES", "Case", "Killed", "World", "play", "soak", "sweep"]
