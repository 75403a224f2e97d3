# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine: power, files that survive it, processes that do not, an SSM agent, and HULFT-HUB as products.md says."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.answer import FAILED, dump_answer
from ansible_collections.hotstandby.ops.plugins.module_utils.node import main as program
from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import Config
from ansible_collections.hotstandby.ops.plugins.module_utils.node.guard import Guard
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.node.outcome import Outcome, failed
from ansible_collections.hotstandby.ops.plugins.module_utils.node.table import Table
from ansible_collections.hotstandby.ops.plugins.module_utils.products import product_for

from tests.simulation.det.host import EXE, SimHost
from tests.simulation.det.scheduler import Books, Owner, Proc

if TYPE_CHECKING:
    from tests.simulation.det.cloud import Invocation
    from tests.simulation.det.world import World

TABLE = 5.0  # seconds, as the node command bounds a read of the table


@dataclass
class Daemon:
    """The product's process. `epoch` is what its start was told; 0 when it was started past the guard."""

    pid: int
    epoch: int
    up: bool = False


class Job:
    """A command of the product that runs."""

    def __init__(self, pid: int, pgid: int, argv: tuple[str, ...], proc: Proc | None) -> None:
        self.pid, self.pgid, self.argv, self.proc = pid, pgid, argv, proc
        self.rc: int | None = None
        self.done = False
        self.waiters: list[Any] = []


class Machine(Owner, Books):
    """One machine. Public attributes are what faults change; `heal` puts all of them right."""

    def __init__(self, world: World, name: str, config: Config, instance_id: str) -> None:
        super().__init__()
        self.world, self.name, self.config, self.instance_id = world, name, config, instance_id
        self.rng = random.Random(f"{world.seed}/{name}")
        self.files: dict[str, str] = {}
        self.locks: dict[str, Proc] = {}
        self.procs: list[Proc] = []
        self.jobs: list[Job] = []
        self.daemons: dict[int, Daemon] = {}
        self.boots, self.power = 1, "running"
        self.powers: list[tuple[float, str]] = []  # (until when, what it was)
        self.inbox: list[Invocation] = []
        self.outbox: list[Callable[[], None]] = []
        self.numbers: dict[str, int] = {}
        self.up_since = self.held_since = -1e9
        self.seen_before = 0
        self.person = "ann"
        self.on_death: Callable[[], None] = lambda: (
            None
        )  # tells the watch daemon that a daemon of the product has ended
        self.heal()

    def heal(self) -> None:
        """What a machine is like that has no fault."""
        self.cut_out = self.cut_in = self.cut_back = (
            False  # network: no calls, no commands, no answers of commands
        )
        self.agent_down = self.agent_lost = self.agent_lies = self.agent_mute = self.agent_late = False
        self.agent_slow = self.agent_twice = 0.0
        self.deaf_since: float | None = None
        self.metadata_down = self.disk_full = self.unmounted = False
        self.start_seconds, self.stop_seconds = 2.0, 1.0
        self.status_rc: int | None = None
        self.status_hangs = self.stop_ignored = self.start_fails = False
        self.skew = 0.0  # of the wall clock

    def moment(self) -> float:
        return self.world.now

    @property
    def deaf(self) -> bool:
        """Whether commands do not reach it."""
        return self.cut_out or self.cut_in or self.agent_down or self.power != "running"

    def hear(self) -> None:
        """Something about its hearing changed: commands that waited come now."""
        if self.deaf:
            self.deaf_since = self.world.now if self.deaf_since is None else self.deaf_since
            return
        self.deaf_since = None
        inbox, self.inbox = self.inbox, []
        self.rng.shuffle(inbox)
        for invocation in inbox:
            self.world.at(
                0.5 * self.rng.random(), lambda invocation=invocation: self.world.ssm.deliver(invocation)
            )
        if not (self.cut_out or self.cut_back):
            outbox, self.outbox = self.outbox, []
            for post in outbox:
                self.world.at(0.2, post)

    def remembers(self, name: str) -> str | None:
        """One of the guard's files."""
        return self.files.get(f"/var/lib/hotstandby/hub-prod/{name}")

    # -- power

    def power_at(self, moment: float) -> str:
        """What EC2 would have said at a moment in the past."""
        for until, state in self.powers:
            if until > moment:
                return state
        return self.power

    def _power(self, state: str) -> None:
        self.powers.append((self.world.now, self.power))
        self.power = state
        self.fault(hides=True)
        self.world.note(self.name, f"power: {state}")
        self.hear()

    def stop_instance(self, seconds: float) -> None:
        """What StopInstances begins: the product lives on for a while, then everything is off."""
        if self.power == "running":
            self._power("stopping")
            self.world.at(seconds, self.off)

    def off(self) -> None:
        """Everything on it is gone, but for files."""
        if self.power == "stopped":
            return
        self.world.thaw(self)
        for proc in list(self.procs):
            self.world.kill(proc)
        for job in list(self.jobs):
            self._end_job(job, -9)
        self._gone(list(self.daemons))
        self._power("stopped")

    def on(self, seconds: float = 8.0) -> None:
        """Somebody starts the instance: it boots, and cron runs its boot command."""
        if self.power != "stopped":
            return
        self._power("pending")

        def up() -> None:
            self.boots += 1
            self.frozen = False
            self._power("running")
            self.local("boot")
            self.world.booted(self)

        self.world.at(seconds, up)

    # -- processes

    def local(self, verb: str, person: str = "", **given: Any) -> Proc:
        """cron, the boot sequence or a person at the machine runs a command."""
        self.person = person or self.person
        return self._run({"verb": verb, "action": verb, "move": "", **given})

    def command(self, invocation: Invocation) -> Proc:
        """What the document HotStandbyNode runs."""
        told = invocation.parameters
        proc = self._run(
            {
                "verb": "ssm", "action": told["Action"], "pair": told["Pair"], "move": told["Move"],
                "epoch": int(told["Epoch"]) if told["Epoch"] else None, "mode": told["Mode"],
                "timeout": float(told["Timeout"]), "active": told["Active"],
            }
        )  # fmt: skip
        proc.on_end.append(lambda ended: self.world.ssm.finished(invocation, ended))
        limit = float(told["ExecutionTimeout"])
        self.world.at(limit, lambda: self.world.ssm.out_of_time(invocation, proc))
        return proc

    def _run(self, given: dict[str, Any]) -> Proc:
        action = given["action"]
        number = self.numbers[action] = self.numbers.get(action, 0) + 1
        proc = Proc(self.world, f"{self.name}/{action}{number}", self)
        proc.verb, proc.epoch = action, given.get("epoch")
        if given.get("without_record"):
            proc.verb = "oath"
        self.procs.append(proc)
        proc.on_end.append(self.proc_ended)
        space = argparse.Namespace(
            **{"active": "", "epoch": None, "reason": "", "mode": None, "timeout": None, **given}
        )
        self.world.spawn(proc, lambda: self._work(proc, action, space), main=True)
        return proc

    def proc_ended(self, proc: Proc) -> None:
        self.procs.remove(proc)
        for path in [path for path, holder in self.locks.items() if holder is proc]:
            del self.locks[path]
        if self.world.trace is not None and proc.main is not None and isinstance(proc.main.result, tuple):
            self.world.note(proc.name, "ends", proc.main.result[1][-300:])

    def _work(self, proc: Proc, action: str, given: argparse.Namespace) -> tuple[int, str]:
        """The node command's own `main`, less reading its files and command line."""
        host = SimHost(self, proc)
        table = Table(
            self.config.pair,
            TABLE,
            lambda service, _pair, _limit: self.world.client(proc, service),
            host.monotonic,
        )
        guard = Guard(self.config, host, product_for(self.config.pair, self.config.node.name, host), table)
        who: str | None = None
        try:
            asking = host.background(host.instance_id)
            if action == "look":
                who = asking.get(3.0)
            outcome = program.act(guard, table, action, given, who)
            who = who or asking.get(3.0)
        except Terminated:
            outcome = Outcome("unknown", FAILED, {"message": f"{action} was ended by a signal"})
        except TimeoutError:
            outcome = failed("unknown", "the instance metadata did not answer in time")
        told = program.answer(self.config, guard, action, given, outcome, who or "")
        self.world.rules.answered(self, proc, told)
        return outcome.code, dump_answer(told)

    def signal(self, pid: int, pgid: int, force: bool) -> None:
        """A signal to a group that `pid` leads, or to that process alone."""
        group = pgid == pid
        for proc in [proc for proc in self.procs if (proc.pgid if group else proc.pid) == pid]:
            self.world.note(proc.name, "SIGKILL" if force else "SIGTERM")
            (self.world.kill if force else self.world.terminate)(proc)
        for job in [job for job in self.jobs if (job.pgid if group else job.pid) == pid]:
            self._end_job(job, -9)

    # -- the product

    @property
    def runs(self) -> bool:
        """Whether a process of the product lives here, frozen ones included."""
        return bool(self.daemons)

    @property
    def serves(self) -> bool:
        """Whether the product is up and at work, whatever its check says."""
        up = any(daemon.up for daemon in self.daemons.values())
        return up and self.power == "running" and not self.frozen and not self.status_hangs

    @property
    def well(self) -> bool:
        """Whether the product is up and would say so."""
        return self.serves and self.status_rc is None

    def product(self, argv: tuple[str, ...], pgid: int | None, proc: Proc | None) -> Job:
        """One of the product's commands begins."""
        pid = self.world.pid()
        job = Job(pid, pgid or pid, argv, proc)
        self.jobs.append(job)
        program_name = argv[0].rpartition("/")[2]
        if program_name == "probe":
            asked = self.world.machines[argv[1]]
            serves = asked.well and not (asked.cut_out or self.cut_out)
            self._later(job, 0.05, lambda: self._end_job(job, 0 if serves else 1))
        elif program_name == "hubcluster" and argv[1] == "-status":
            if not self.status_hangs:
                self._later(job, 0.03, lambda: self._end_job(job, self._status()))
        elif program_name == "hubcluster":
            self._start(job)
        else:
            self._stop(job, argv[1] == "-force")
        return job

    def _later(self, job: Job, seconds: float, effect: Callable[[], None]) -> None:
        def due() -> None:
            if not job.done:
                effect()

        self.world.at(seconds, due, self)

    def _end_job(self, job: Job, rc: int) -> None:
        if job.done:
            return
        job.rc, job.done = rc, True
        self.jobs.remove(job)
        for waiter in job.waiters:
            self.world.wake(waiter)

    def _status(self) -> int:
        if self.status_rc is not None:
            return self.status_rc
        return 240 if not self.daemons else 0 if any(daemon.up for daemon in self.daemons.values()) else 112

    def _start(self, job: Job) -> None:
        half = self.start_seconds * (0.3 + 0.4 * self.rng.random())
        self.world.rules.ordered_start(self, job.proc)
        if self.start_fails or self.daemons:
            self._later(job, half, lambda: self._end_job(job, 116))
            return
        pid = self.world.pid()

        def fork() -> None:
            self.daemons[pid] = Daemon(pid, self.world.rules.started(self, job.proc))
            self.world.note(self.name, "the product's daemon begins")

        def up() -> None:
            if pid in self.daemons:
                self.daemons[pid].up = True
                self.world.rules.up(self, self.daemons[pid])
                self._end_job(job, 0)
            else:
                self._end_job(job, 116)

        self._later(job, half, fork)
        self._later(job, self.start_seconds, up)

    def _stop(self, job: Job, force: bool) -> None:
        pids = list(self.daemons)
        self.world.rules.ordered_stop(self, job.proc)
        seconds = min(self.stop_seconds, 1.0) if force else self.stop_seconds

        def end() -> None:
            self._gone(pids)
            self._end_job(job, 0 if pids else 240)
            for other in [item for item in self.jobs if force and item.argv[0].endswith("hubstop")]:
                self._end_job(other, 230)  # a forced stop cancels one that still waits

        self._later(job, *((0.05, lambda: self._end_job(job, 0)) if self.stop_ignored else (seconds, end)))

    def _gone(self, pids: list[int]) -> None:
        for pid in pids:
            if self.daemons.pop(pid, None) is not None:
                self.world.note(self.name, "the product's daemon is gone")
                self.world.rules.gone()
                self.on_death()

    def kill_product(self) -> None:
        """kill -9 of every daemon."""
        self._gone(list(self.daemons))

    def bare_start(self) -> None:
        """Somebody types `hubcluster -start`, past the guard."""
        self.product((f"{EXE}/hubcluster", "-start"), None, None)
