# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host of one simulated process: what RealHost is on a real machine. Each operation is a scheduling point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import StateError, Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process, Ran

if TYPE_CHECKING:
    from tests.simulation.det.machine import Machine
    from tests.simulation.det.scheduler import Proc, Task

EXE, SHARED = "/opt/hub/bin", "/shared/hub"


class Beside:
    """Something that was begun beside the main work."""

    def __init__(self, host: SimHost, task: Task) -> None:
        self.host, self.task = host, task

    def get(self, limit: float) -> Any:
        """See Pending."""
        if not self.host.world.wait(self.task, limit):
            raise TimeoutError
        if self.task.error is not None:
            raise self.task.error
        return self.task.result


class SimHost:
    """A machine as one of its processes sees it."""

    def __init__(self, machine: Machine, proc: Proc) -> None:
        self.machine, self.proc, self.world = machine, proc, machine.world

    def step(self, about: str, answer: str = "") -> None:
        """A scheduling point; a fault may be aimed at it."""
        proc, world = self.proc, self.world
        fault = world.faults_at.get((proc.name, proc.calls))
        proc.calls += 1
        if world.watching is not None:
            world.watching(proc, f"host:{about}")
        if world.trace is not None:
            world.note(proc.name, about, answer)
        if fault is not None:
            self.machine.fault(hides=True)
            if fault[0].startswith("crash"):
                world.kill(proc)
            elif fault[0] == "yield":
                world.next_turn(proc)
            elif fault[0].startswith("freeze"):
                world.note(proc.name, f"frozen for {fault[1]:.1f} s")
                world.freeze(proc, fault[1])
        world.sleep(0.002 * proc.rng.random())

    # -- clock, identity

    def monotonic(self) -> float:
        return self.world.now

    def time(self) -> float:
        return 1_700_000_000 + self.world.now + self.machine.skew

    def sleep(self, seconds: float) -> None:
        self.world.sleep(max(seconds, 0.0))

    def boot_id(self) -> str:
        return f"boot-{self.machine.boots}"

    def uptime(self) -> float | None:
        return self.world.now

    def instance_id(self) -> str | None:
        self.world.sleep(1.0 if self.machine.metadata_down else 0.004)
        return None if self.machine.metadata_down else self.machine.instance_id

    def me(self) -> Process:
        return Process(self.proc.pid, self.proc.pgid, self.proc.pid * 10, "/usr/bin/python3", ("hotstandby",))

    def own_group(self) -> None:
        self.proc.pgid = self.proc.pid

    # -- lock and files

    def try_lock(self, path: str) -> Any | None:
        self.step("try the lock")
        machine = self.machine
        if path in machine.locks:
            return None
        machine.locks[path] = self.proc
        machine.files.setdefault(path, "")
        return path

    def unlock(self, handle: Any) -> None:
        if self.machine.locks.get(handle) is self.proc:
            del self.machine.locks[handle]

    def write_locked(self, handle: Any, text: str) -> None:
        if not self.proc.dead:
            self.machine.files[handle] = text

    def read(self, path: str) -> str | None:
        if path.startswith(SHARED):
            self.world.sleep(0.002)
            return self.world.shared.get(path)
        return self.machine.files.get(path)

    def write(self, path: str, text: str) -> None:
        self.step(f"write {path.rpartition('/')[2]} {text.strip()[:60]}")
        if self.machine.disk_full:
            raise StateError(f"{path}: no space left on device")
        self.world.rules.file(self.machine, path, text, self.proc)
        self.machine.files[path] = text

    def remove(self, path: str) -> None:
        self.step(f"remove {path.rpartition('/')[2]}")
        self.world.rules.file(self.machine, path, None, self.proc)
        self.machine.files.pop(path, None)

    def mounts(self) -> Sequence[str]:
        return ["/"] if self.machine.unmounted else ["/", SHARED]

    def free(self, path: str) -> int | None:
        return 1 << 30

    # -- processes

    def started(self, pid: int) -> int | None:
        return pid * 10 if any(proc.pid == pid for proc in self.machine.procs) else None

    def end(self, pid: int, pgid: int, force: bool) -> None:
        self.machine.signal(pid, pgid, force)

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        group: str = "new",
    ) -> Ran:
        machine, world, words = self.machine, self.world, tuple(argv)
        self.step(" ".join([words[0].rpartition("/")[2], *words[1:2]]))
        begun = world.now
        job = machine.product(words, self.proc.pgid if group == "own" else None, self.proc)
        try:
            while not job.done and world.now < begun + limit:
                world.wait(job, begun + limit - world.now)
        except Terminated:
            if group != "left":
                machine.signal(job.pid, 0, True)
            raise
        if not job.done and group != "left":
            machine.signal(job.pid, 0, True)
            return Ran(None, "", world.now - begun)
        if words[1:2] != ("-status",) or world.trace is not None:
            world.note(self.proc.name, f"{words[0].rpartition('/')[2]} {words[1]}", f"rc {job.rc}")
        return Ran(job.rc, "said", world.now - begun, left=not job.done)

    def processes(self) -> list[Process]:
        self.step("processes", f"{len(self.machine.daemons)} daemon(s)")
        machine = self.machine
        found = [Process(pid, pid, pid, "/bin/hub", (f"{EXE}/hubd",)) for pid in machine.daemons]
        return found + [Process(job.pid, job.pgid, job.pid, "/bin/sh", job.argv) for job in machine.jobs]

    def cgroup_pids(self, path: str) -> list[int]:
        return []

    def real_path(self, path: str) -> str:
        return path

    def is_program(self, path: str) -> bool:
        return path.startswith(EXE)

    # -- the rest

    def background(self, work: Callable[[], Any]) -> Beside:
        return Beside(self, self.world.spawn(self.proc, work))

    def on_terminal(self) -> bool:
        return True

    def user(self) -> str:
        return self.machine.person

    def log(self, text: str) -> None:
        if self.world.trace is not None:
            self.world.note(self.proc.name, f"log: {text}")
