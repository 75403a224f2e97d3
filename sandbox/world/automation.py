# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves a sandbox's pair by itself: the mover, and health checks on both nodes."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from . import processes
from .mover import PERIODS, Mover
from .node import SandboxNode

if TYPE_CHECKING:
    from .world import World

__all__ = ["PERIOD", "PERIODS", "Automation"]

PERIOD = 5  # seconds between health checks; a real pair's minute


class Automation(Mover):
    """Begun by `begin`, once the role has run. Health checks start at whole periods, as cron does at whole minutes."""

    def __init__(self, world: World) -> None:
        super().__init__(world.endpoint, world.name, str(world.layout.state), PERIOD)
        self._world = world
        self._ended = threading.Event()
        self._going = threading.Event()
        self._thread: threading.Thread | None = None
        self._checks: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self) -> dict[str, Any]:
        """Check too."""
        self._going.set()
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
        self._thread.start()
        return super().begin()

    def hold(self) -> None:
        """Nothing is checked, evaluated or invoked: the pair is being made anew."""
        self._going.clear()
        super().hold()
        self._kill()

    def resume(self) -> None:
        """The pair is well: go on from an alarm that is OK."""
        if self._thread is None:
            return
        self._fresh()
        self._endpoint.ticker.start()
        self._going.set()

    def end(self) -> None:
        """No more of it."""
        self._ended.set()
        self.hold()

    # -- health checks

    def _run(self) -> None:
        while not self._ended.is_set():
            left = PERIOD - time.time() % PERIOD
            if self._ended.wait(left) or not self._going.is_set():
                continue
            for node in list(self._world.nodes.values()):
                self._check(node)

    def _check(self, node: SandboxNode) -> None:
        """One check, one process at most: what hangs is killed before the next begins."""
        last = self._checks.pop(node.name, None)
        if last is not None and last.poll() is None and "node-hang" not in node.faults:
            processes.kill_pids([last.pid])
            last.wait()
        with node.lock:
            if not node.powered or "node-hang" in node.faults or not node.command().exists():
                return
            log = node.root / "var" / "log" / "healthcheck.log"
            with log.open("ab") as output:
                self._checks[node.name] = node.spawn([str(node.command()), "healthcheck"], output)

    def _kill(self) -> None:
        for process in self._checks.values():
            if process.poll() is None:
                processes.kill_pids([process.pid])
            process.wait()
        self._checks.clear()
