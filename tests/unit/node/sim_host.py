# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in simulated time: several guards on it as steppable processes, with HULFT-HUB behaving as products.md says.

Each guard runs in a thread, but only one at a time: every operation of its host hands the baton back to the machine, which
decides who goes on. So a guard can be frozen or killed between any two operations, and nothing depends on real time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import Config
from ansible_collections.hotstandby.ops.plugins.module_utils.node.guard import Guard
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import StateError, Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.products import product_for
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process, Ran
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Heartbeat, Record

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
EXE, SHARED = "/opt/hub/bin", "/shared/hub"
FOLDER = "/var/lib/hotstandby/hub-prod"
PAIR: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"etc": f"{SHARED}/etc", "exe": EXE},
    "nodes": [{"name": "hub-a", "instance_id": A}, {"name": "hub-b", "instance_id": B}],
    "shared": {"path": SHARED, "min_free": "1MiB"},
}


class Killed(BaseException):
    """SIGKILL: the thread unwinds, and nothing it does on the way has an effect."""


@dataclass
class Job:
    """A command of the product. `events` are (time, effect) still to come; `rc` is set by the last effect."""

    pid: int
    pgid: int
    argv: tuple[str, ...]
    events: list[tuple[float, Callable[[], int | None]]]
    rc: int | None = None
    frozen: bool = False


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


class Machine:
    """One node. Public attributes are set by tests."""

    def __init__(self, node: str = "hub-a", **changes: Any) -> None:
        pair = parse_pair({**PAIR, **changes})
        self.config = Config(pair, pair.node(node))
        self.now = 1000.0
        self.instance: str | None = self.config.node.instance_id
        self.record: Record | Exception = Record("hub-prod", {"hub-a": A, "hub-b": B}, node, 7)
        self.beats: dict[str, Heartbeat] = {}
        self.files: dict[str, str] = {f"{SHARED}/.hotstandby-pair": "hub-prod\n"}
        self.mount_points = ["/", SHARED]
        self.broken: set[str] = set()  # files that cannot be written
        self.terminal = False
        self.lines: list[str] = []
        self.signals: list[tuple[int, bool]] = []
        # the product
        self.daemons: dict[int, bool] = {}  # pid -> up
        self.start_seconds, self.stop_seconds = 2.0, 1.0
        self.status_rc: int | None = None
        self.status_hangs = self.stop_ignored = self.start_fails = False
        self.strays: list[Process] = []
        self.starts = 0  # orders to start that the product got
        self.tasks: list[Task] = []
        self.jobs: list[Job] = []
        self.locks: dict[str, Task] = {}
        self.random: random.Random | None = None
        self._next = 100
        self._back = threading.Semaphore(0)

    def pid(self) -> int:
        """A pid that was never used."""
        self._next += 1
        return self._next

    @property
    def runs(self) -> bool:
        """Whether a daemon lives."""
        return bool(self.daemons)

    def run_product(self) -> None:
        """It runs, whoever started it."""
        self.daemons[self.pid()] = True

    def remember(self, **values: Any) -> None:
        """Write the guard's files: seen, floor, held."""
        for name, value in values.items():
            self.files[f"{FOLDER}/{name}"] = f"{value}\n"

    def memory(self, name: str) -> str | None:
        """One of the guard's files."""
        text = self.files.get(f"{FOLDER}/{name}")
        return None if text is None else text.strip()

    # -- tasks

    def begin(self, work: Callable[[Guard], Any], name: str = "guard", freeze_at: str = "") -> Task:
        """A guard's process begins; it goes on when the machine runs."""
        pid = self.pid()
        task = Task(pid, 1, name, wake=self.now, freeze_at=freeze_at)
        host = SimHost(self, task)
        guard = Guard(
            self.config,
            host,
            product_for(self.config.pair, self.config.node.name, host),
            SimStore(self, host),
        )

        def body() -> None:
            task.go.acquire()
            try:
                if not task.dead:
                    task.result = work(guard)
            except (Killed, Terminated) as error:
                task.error = error
            except BaseException as error:
                task.error = error
            task.done = True
            self._gone(task)
            self._back.release()

        threading.Thread(target=body, daemon=True).start()
        self.tasks.append(task)
        return task

    def do(self, work: Callable[[Guard], Any]) -> Any:
        """Run one guard to its end."""
        task = self.begin(work)
        self.run(until=task)
        if task.error is not None:
            raise task.error
        return task.result

    def _gone(self, task: Task) -> None:
        for path in [path for path, holder in self.locks.items() if holder is task]:
            del self.locks[path]

    def run(self, seconds: float = 10_000.0, until: Task | None = None) -> None:
        """Let time pass until everything stands still, `until` is done, or `seconds` have gone by."""
        end = self.now + seconds
        for _ in range(200_000):
            if until is not None and until.done:
                return
            ready: list[tuple[float, int, Any]] = [
                (task.wake, index, task)
                for index, task in enumerate(self.tasks)
                if not task.done and (not task.frozen or task.dead)
            ]
            ready += [(job.events[0][0], -1, job) for job in self.jobs if job.events and not job.frozen]
            if not ready:
                return
            first = min(ready, key=lambda item: item[:2])
            if self.random is not None:
                first = self.random.choice([item for item in ready if item[0] <= max(first[0], self.now)])
            if first[0] > end:
                self.now = end
                return
            self.now = max(self.now, first[0])
            self._advance(first[2])
        raise AssertionError("the machine never comes to rest")

    def _advance(self, item: Any) -> None:
        if isinstance(item, Job):
            _time, effect = item.events.pop(0)
            item.rc = effect()
            if not item.events:
                self.jobs.remove(item)
            return
        if item.freeze_at and item.at == item.freeze_at and not item.dead:
            item.freeze_at, item.frozen = "", True
            return
        item.go.release()
        self._back.acquire()

    def thaw(self, task: Task) -> None:
        """SIGCONT."""
        task.frozen, task.wake = False, self.now

    def kill(self, pid: int, pgid: int, force: bool) -> None:
        """A signal to a group, or to a process."""
        self.signals.append((pid, force))

        def hit(found: Any) -> bool:
            return bool(found.pgid == pid if pgid == pid else found.pid == pid)

        for task in self.tasks:
            if not task.done and hit(task):
                task.term = True
                if force:
                    task.dead = True
                    self._gone(task)
                if not task.frozen or force:
                    task.wake = self.now
        for job in [job for job in self.jobs if hit(job) and (force or not job.frozen)]:
            self.jobs.remove(job)
            job.events.clear()
            job.rc = -9

    # -- the product

    def command(self, argv: tuple[str, ...], pgid: int | None) -> Job:
        """One of the product's commands begins."""
        pid = self.pid()
        job = Job(pid, pgid or pid, argv, [])
        program = argv[0].rpartition("/")[2]
        if program == "hubcluster" and argv[1] == "-status":
            job.events = [] if self.status_hangs else [(self.now + 0.05, self._status)]
        elif program == "hubcluster":
            self.starts += 1
            job.events = self._start()
        else:
            pids = list(self.daemons)
            job.events = [
                (self.now + (0.05 if self.stop_ignored else self.stop_seconds), lambda: self._stop(pids))
            ]
        self.jobs.append(job)
        return job

    def _status(self) -> int:
        if self.status_rc is not None:
            return self.status_rc
        return 240 if not self.daemons else 0 if any(self.daemons.values()) else 112

    def _start(self) -> list[tuple[float, Callable[[], int | None]]]:
        half = self.start_seconds / 2
        if self.start_fails or self.daemons:
            return [(self.now + half, lambda: 116)]
        pid = self.pid()

        def fork() -> None:
            self.daemons[pid] = False

        def up() -> int:
            self.daemons[pid] = True
            return 0

        return [(self.now + half, fork), (self.now + 2 * half, up)]

    def _stop(self, pids: list[int]) -> int:
        if not self.stop_ignored:
            for pid in pids:
                self.daemons.pop(pid, None)
        return 0 if pids else 240


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

    def beat(self, node: str, instance_id: str, boot_id: str, epoch: int, state: str) -> None:
        """Write one."""
        self.host.step("beat")
        self.machine.beats[node] = Heartbeat(
            node, instance_id, boot_id, epoch, state, str(self.machine.now), None
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
