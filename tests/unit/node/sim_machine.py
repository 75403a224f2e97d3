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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import Config
from ansible_collections.hotstandby.ops.plugins.module_utils.node.guard import Guard
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.products import product_for
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Heartbeat, Record

from tests.unit.node.sim_host import EXE, FOLDER, SHARED, SimHost, SimStore, Task

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
PAIR: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"etc": f"{SHARED}/etc", "exe": EXE},
    "nodes": [{"name": "hub-a", "instance_id": A}, {"name": "hub-b", "instance_id": B}],
    "shared": {"path": SHARED, "min_free": "1MiB"},
}


@dataclass
class Job:
    """A command of the product. `events` are (time, effect) still to come; `rc` is set by the last effect."""

    pid: int
    pgid: int
    argv: tuple[str, ...]
    events: list[tuple[float, Callable[[], int | None]]]
    rc: int | None = None
    frozen: bool = False


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
        for _turn in range(200_000):
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
