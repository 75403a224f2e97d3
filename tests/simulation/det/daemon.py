# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch daemon of profile fast as an actor: its own loop and its own pieces of work, on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.clients import explain
from ansible_collections.hotstandby.ops.plugins.module_utils.node import watch_real
from ansible_collections.hotstandby.ops.plugins.module_utils.node.check import FENCE
from ansible_collections.hotstandby.ops.plugins.module_utils.node.guard import Guard
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import BOOT, Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.node.table import Table
from ansible_collections.hotstandby.ops.plugins.module_utils.node.watch import Settings
from ansible_collections.hotstandby.ops.plugins.module_utils.node.watch_loop import Event, Local, Loop
from ansible_collections.hotstandby.ops.plugins.module_utils.products import product_for

from tests.simulation.aws import START
from tests.simulation.det.function import function
from tests.simulation.det.host import SimHost
from tests.simulation.det.scheduler import Proc

if TYPE_CHECKING:
    from tests.simulation.det.machine import Machine
    from tests.simulation.det.world import World

AGAIN = 1.0  # seconds after which systemd starts a daemon again that has ended
# what each piece of work counts as: a start in place is asked as the boot is, self-fencing as the health check
VERBS = {"restart": "boot", "fence": "healthcheck"}


class Bell:
    """What a sleeping daemon waits for."""

    done = False

    def __init__(self) -> None:
        self.waiters: list[Any] = []


class Work:
    """One piece of work under way, in a process of its own."""

    def __init__(self, proc: Proc, began: float, until: float) -> None:
        self.proc, self.began, self.until = proc, began, until


class DaemonWorld:
    """See watch_loop.World."""

    def __init__(self, machine: Machine, proc: Proc, host: SimHost) -> None:
        self.machine, self.world, self.proc, self.host = machine, machine.world, proc, host
        self._table = Table(
            machine.config.pair, watch_real.TABLE, lambda *_words: self._client("dynamodb"), host.monotonic
        )
        self._guard = self._guard_for(host)
        timeouts = machine.config.pair.timeouts
        self._limits = {
            "turn": 4 * watch_real.TABLE + watch_real.SLACK,
            "ask": timeouts.confirm + watch_real.SLACK,
            "call": watch_real.INVOKE + watch_real.SLACK,
            "restart": timeouts.start + 6 * watch_real.SLACK,
            "fence": FENCE + 6 * watch_real.SLACK,
        }
        self._working: dict[str, tuple[str, Work]] = {}
        self._watched: set[int] = set()
        self._bell = Bell()
        self._numbers: dict[str, int] = {}

    def _client(self, service: str) -> Any:
        from greenlet import getcurrent

        return self.world.client(getcurrent().proc, service)

    def _guard_for(self, host: SimHost) -> Guard:
        config = self.machine.config
        return Guard(config, host, product_for(config.pair, config.node.name, host), self._table)

    # -- World

    def monotonic(self) -> float:
        return self.world.now

    def ring(self) -> None:
        """Something happened that the daemon waits for."""
        for waiter in self._bell.waiters:
            self.world.wake(waiter)

    def wait(self, seconds: float) -> Sequence[Event]:
        found = self._found()
        if not found:
            self._bell = Bell()
            self.machine.on_death = self.ring
            self.world.wait(self._bell, seconds)
            found = self._found()
        return found

    def _found(self) -> list[Event]:
        gone = {pid for pid in self._watched if pid not in self.machine.daemons}
        self._watched -= gone
        found = [Event("died")] if gone else []
        for name, (kind, work) in list(self._working.items()):
            task = work.proc.main
            if work.proc.alive and self.world.now < work.until:
                continue
            ended = task is not None and task.done and task.error is None and not work.proc.dead
            found.append(Event(kind, work.began, task.result if ended and task is not None else None))
            self.world.kill(work.proc)
            del self._working[name]
        return found

    def begin(self, work: str, **given: Any) -> bool:
        name = "turn" if work == "read" else work
        if name in self._working:
            return False
        if name == "turn":
            given["whole"] = work == "turn"
        number = self.machine.numbers[name] = self.machine.numbers.get(name, 0) + 1
        proc = Proc(self.world, f"{self.machine.name}/{name}{number}", self.machine)
        proc.verb = VERBS.get(name, name)
        host = SimHost(self.machine, proc)
        guard = self._guard_for(host)
        todo: dict[str, Callable[[], Any]] = {
            "turn": lambda: watch_real.visit(guard, self._table, given),
            "ask": lambda: watch_real.ask(guard, given),
            "call": lambda: self._call(proc, given),
            "restart": lambda: watch_real.said(
                guard.start(Asked(BOOT), float(self.machine.config.pair.timeouts.start))
            ),
            "fence": lambda: watch_real.said(guard.self_fence(FENCE)),
        }
        self._working[name] = work, Work(proc, self.world.now, self.world.now + self._limits[name])
        self.machine.procs.append(proc)
        proc.on_end.append(self.machine.proc_ended)
        proc.on_end.append(lambda _proc: self.ring())
        self.world.spawn(proc, todo[name], main=True)
        return True

    def _call(self, proc: Proc, given: dict[str, Any]) -> str:
        """An asynchronous invocation: taken at once, carried out a little later, now and then twice."""
        world = self.world
        event = {
            "action": "watch", "pair": world.pair.name, "node": self.machine.name, "id": proc.name,
            "time": START + world.now, "evidence": given["why"],
            **{key: given[key] for key in ("beat", "still") if key in given},
        }  # fmt: skip

        def act() -> dict[str, Any]:
            world.rules.called(self.machine)
            for delay in (0.05, 20.0) if proc.rng.random() < 0.1 else (0.05,):
                name = f"lambda{next(world.controllers)}"
                world.at(
                    delay + 0.2 * proc.rng.random(),
                    lambda name=name: function(world, name, {"hotstandby": event}, 900.0),
                )
            return {}

        try:
            world.network.call(proc, "lambda", "Invoke", act)
        except Exception as error:
            return explain(error, "Lambda Invoke")
        return ""

    def local(self) -> Local:
        memory, holder = self._guard.state.recall(), self._guard.state.holder()
        return Local(
            seen=max(memory.seen, memory.floor),
            held=memory.held is not None,
            busy=holder is not None,
            trouble=bool(memory.trouble),
        )

    def follow(self, pids: Sequence[tuple[int, int]]) -> int:
        self._watched = {pid for pid, _started in pids}
        return len(self._watched)

    def log(self, text: str) -> None:
        self.host.log(text)

    def alive(self, text: str) -> None:
        pass

    def current(self) -> bool:
        return True

    def end(self) -> None:
        """The daemon has gone: its helpers go with it, and a start in place that was begun goes on."""
        for name, (_kind, work) in self._working.items():
            if name not in ("restart", "fence"):
                self.world.kill(work.proc)


def begin(machine: Machine) -> None:
    """systemd starts the daemon."""
    world = machine.world
    number = machine.numbers["watch"] = machine.numbers.get("watch", 0) + 1
    proc = Proc(world, f"{machine.name}/watch{number}", machine)
    proc.verb = "watch"
    config = machine.config
    settings = Settings(
        config.node.name,
        config.other.name,
        config.node.instance_id,
        config.pair.heartbeat_timeout,
        config.pair.local_restarts,
    )
    below = DaemonWorld(machine, proc, SimHost(machine, proc))
    machine.procs.append(proc)
    boots = machine.boots

    def ended(_proc: Proc) -> None:
        machine.on_death = lambda: None
        below.end()
        # a reboot starts its own
        world.at(AGAIN, lambda: begin(machine) if alive() else None, machine)

    def alive() -> bool:
        return machine.power == "running" and machine.boots == boots

    proc.on_end += [machine.proc_ended, ended]
    world.spawn(proc, lambda: Loop(settings, below).run(), main=True)


def everywhere(world: World) -> None:
    """Each node has its daemon, from now on and after each boot."""
    world.with_daemons = True
    for machine in world.machines.values():
        begin(machine)
