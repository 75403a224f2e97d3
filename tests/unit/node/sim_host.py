# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host of one simulated process: every operation is a step at which the machine can freeze or kill it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import StateError, Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process, Ran
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Heartbeat, Record

if TYPE_CHECKING:
    from tests.unit.node.sim_machine import Machine

EXE, SHARED = "/opt/hub/bin", "/shared/hub"
FOLDER = "/var/lib/hotstandby/hub-prod"


class Killed(BaseException):
    """SIGKILL: the thread unwinds, and nothing it does on the way has an effect."""


@dataclass
class Task:
    """One guard's process."""

    pid: int
    pgid: int
    name: str
    wake: float = 0.0
    at: str = "begin"
    freeze_at: str = ""
    frozen: bool = False
    dead: bool = False
    done: bool = False
    term: bool = False
    result: Any = None
    error: BaseException | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Soon:
    """Work that is done when it is asked for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def get(self, limit: float) -> Any:
        """See Pending."""
        return self.work()


class SimStore:
    """The table as this node reads it."""

    def __init__(self, machine: Machine, host: SimHost) -> None:
        self.machine, self.host = machine, host

    def prepare(self) -> None:
        """Nothing to load."""

    def read(self) -> Record:
        """The record, or the error that the test set."""
        self.host.step("read-record")
        if isinstance(self.machine.record, Exception):
            raise self.machine.record
        return self.machine.record

    def heartbeat(self, node: str) -> Heartbeat | None:
        """A heartbeat that the test set."""
        self.host.step("read-heartbeat")
        return self.machine.beats.get(node)

    def beat(
        self, node: str, instance_id: str, boot_id: str, epoch: int, state: str, held: bool = False
    ) -> None:
        """Write one."""
        self.host.step("beat")
        self.machine.beats[node] = Heartbeat(
            node, instance_id, boot_id, epoch, state, str(self.machine.now), None, held
        )


class SimHost:
    """A machine as one of its processes sees it. Each operation is a step at which the process can be stopped."""

    def __init__(self, machine: Machine, task: Task) -> None:
        self.machine, self.task = machine, task

    def step(self, at: str, wake: float | None = None) -> None:
        """Hand the baton back; go on at `wake`."""
        task = self.task
        if task.dead:
            raise Killed
        task.at, task.wake = at, self.machine.now if wake is None else wake
        self.machine._back.release()
        task.go.acquire()
        if task.dead:
            raise Killed
        if task.term:
            task.term = False
            raise Terminated

    def monotonic(self) -> float:
        return self.machine.now

    def time(self) -> float:
        return 1_700_000_000 + self.machine.now

    def sleep(self, seconds: float) -> None:
        self.step("sleep", self.machine.now + max(seconds, 0.0))

    def boot_id(self) -> str:
        return "boot-1"

    def uptime(self) -> float | None:
        return self.machine.now

    def instance_id(self) -> str | None:
        self.step("instance-id")
        return self.machine.instance

    def me(self) -> Process:
        return Process(self.task.pid, self.task.pgid, self.task.pid * 10, "/usr/bin/python3", ("hotstandby",))

    def own_group(self) -> None:
        self.task.pgid = self.task.pid

    def try_lock(self, path: str) -> Any | None:
        self.step("lock")
        if path in self.machine.broken:
            raise StateError(f"{path}: no space left")
        if path in self.machine.locks:
            return None
        self.machine.locks[path] = self.task
        self.machine.files.setdefault(path, "")
        return path

    def unlock(self, handle: Any) -> None:
        if not self.task.dead:
            self.machine.locks.pop(handle, None)

    def write_locked(self, handle: Any, text: str) -> None:
        self.step("sign")
        assert self.machine.locks[handle] is self.task
        self.machine.files[handle] = text

    def read(self, path: str) -> str | None:
        self.step(f"read {path.rpartition('/')[2]}")
        return self.machine.files.get(path)

    def write(self, path: str, text: str) -> None:
        self.step(f"write {path.rpartition('/')[2]}")
        if path in self.machine.broken:
            raise StateError(f"{path}: no space left")
        assert self.machine.locks.get(f"{FOLDER}/lock") is self.task, "written without the lock"
        self.machine.files[path] = text

    def remove(self, path: str) -> None:
        self.step(f"remove {path.rpartition('/')[2]}")
        self.machine.files.pop(path, None)

    def started(self, pid: int) -> int | None:
        alive = any(task.pid == pid and not task.done and not task.dead for task in self.machine.tasks)
        return pid * 10 if alive else None

    def end(self, pid: int, pgid: int, force: bool) -> None:
        self.machine.kill(pid, pgid, force)

    def mounts(self) -> Sequence[str]:
        return self.machine.mount_points

    def free(self, path: str) -> int | None:
        return 1 << 30

    def background(self, work: Callable[[], Any]) -> Soon:
        return Soon(work)

    def on_terminal(self) -> bool:
        return self.machine.terminal

    def user(self) -> str:
        return "ann"

    def log(self, text: str) -> None:
        self.machine.lines.append(text)

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        group: str = "new",
    ) -> Ran:
        words = tuple(argv)
        assert env == {"HULHUBEXE": EXE, "HULHUBETC": f"{SHARED}/etc"}
        self.step(f"run {words[0].rpartition('/')[2]} {words[1]}")
        machine, begun = self.machine, self.machine.now
        job = machine.command(words, self.task.pgid if group == "own" else None)
        try:
            while job.rc is None and machine.now < begun + limit:
                ends = [time for time, _effect in job.events[-1:]]
                self.step("wait", min([begun + limit, *ends]))
        except Terminated:
            if group != "left":
                machine.kill(job.pid, 0, force=True)
            raise
        if job.rc is None and group != "left":
            machine.kill(job.pid, 0, force=True)
            job.rc = None
            return Ran(None, "", machine.now - begun)
        return Ran(job.rc, "said", machine.now - begun, left=job.rc is None)

    def processes(self) -> list[Process]:
        self.step("processes")
        found = [Process(pid, pid, pid, "/bin/hub", (f"{EXE}/hubd",)) for pid in self.machine.daemons]
        found += [Process(job.pid, job.pgid, job.pid, "/bin/sh", job.argv) for job in self.machine.jobs]
        return [*found, *self.machine.strays]

    def cgroup_pids(self, path: str) -> list[int]:
        return []

    def real_path(self, path: str) -> str:
        return path

    def is_program(self, path: str) -> bool:
        return path.startswith(EXE)
