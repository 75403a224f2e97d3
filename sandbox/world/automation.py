# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves a sandbox's pair by itself: health checks on both nodes, the alarm, the function, the reconciler."""

from __future__ import annotations

import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ..endpoint import Caller
from ..endpoint.mended import regions
from ..paths import SandboxError
from . import cloud, processes
from .node import SandboxNode

if TYPE_CHECKING:
    from .world import World

KEY, SECRET = "AKIASANDBOXFUNCTION", "sandbox-function"
PERIOD = 5  # seconds between health checks; a real pair's minute
PERIODS = 5  # that the alarm looks at
TICK = 5.0  # seconds that the minute of a schedule lasts
COOLDOWN = 3  # seconds
READY = 60.0  # seconds until the alarm must be OK


class Automation:
    """Begun by `begin`, once the role has run. Health checks start at whole periods, as cron does at whole minutes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ended = threading.Event()
        self._going = threading.Event()
        self._thread: threading.Thread | None = None
        self._checks: dict[str, subprocess.Popen[bytes]] = {}
        world.endpoint.keys[KEY] = Caller("function", "controller", None)
        functions = world.endpoint.functions
        functions.key, functions.secret = KEY, SECRET
        functions.owner = {processes.OWNER: str(world.layout.state)}

    @property
    def alarm_name(self) -> str:
        """The role's default."""
        return f"hotstandby-{self._world.pair['name']}"

    def begin(self) -> dict[str, Any]:
        """Check, evaluate and invoke from now on; returns when the alarm is OK. SandboxError when it does not get there."""
        if self._alarm() is None:
            raise SandboxError("the role failover_automation has made no alarm")
        self._world.endpoint.ticker.minute = TICK
        self._fresh()
        self._going.set()
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
        self._thread.start()
        self._world.endpoint.ticker.start()
        end = time.monotonic() + READY
        while self._state() != "OK":
            if time.monotonic() > end:
                raise SandboxError(f"the alarm is {self._state()}, not OK")
            time.sleep(0.1)
        return self.report()

    def hold(self) -> None:
        """Nothing is checked, evaluated or invoked: the pair is being made anew."""
        self._going.clear()
        endpoint = self._world.endpoint
        endpoint.ticker.stop()
        endpoint.functions.chill()
        self._kill()

    def resume(self) -> None:
        """The pair is well: go on from an alarm that is OK."""
        if self._thread is None:
            return
        self._fresh()
        self._world.endpoint.ticker.start()
        self._going.set()

    def end(self) -> None:
        """No more of it."""
        self._ended.set()
        self.hold()

    def report(self) -> dict[str, Any]:
        """{alarm, runs, refused, messages, dead}: what the automation did, and what people heard."""
        functions = self._world.endpoint.functions
        messages = [
            {"subject": sent[2], "text": sent[1], "kind": (sent[3] or {}).get("kind", {}).get("Value", "")}
            for backend in regions("sns")
            for topic in backend.topics.values()
            for sent in topic.sent_notifications
        ]
        dead = [
            message.body
            for backend in regions("sqs")
            for queue in backend.queues.values()
            for message in queue._messages
        ]
        return {
            "alarm": self._state(),
            "runs": functions.runs(),
            "refused": list(functions.refused),
            "messages": messages,
            "dead": dead,
        }

    # -- the alarm

    def _alarm(self) -> Any:
        for backend in regions("cloudwatch"):
            if self.alarm_name in backend.alarms:
                return backend.alarms[self.alarm_name]
        return None

    def _state(self) -> str:
        alarm = self._alarm()
        return "missing" if alarm is None else str(alarm.state_value)

    def _fresh(self) -> None:
        """A history of good checks, and nobody has heard of anything."""
        from moto.cloudwatch.models import MetricDatum

        name, now = self._world.pair["name"], datetime.now(timezone.utc)
        for backend in regions("cloudwatch"):
            if backend.region_name != cloud.REGION:
                continue
            with self._world.endpoint.moto.lock("monitoring"):
                for number in range(PERIODS + 1):
                    datum = MetricDatum(
                        "HotStandby", "Unhealthy", 0.0, [{"Name": "Pair", "Value": name}],
                        now - timedelta(seconds=number * PERIOD), unit="Count",
                    )  # fmt: skip
                    backend.metric_data.append(datum)
                alarm = self._alarm()
                if alarm.state_value != "INSUFFICIENT_DATA":
                    alarm.update_state("sandbox reset", "{}", "OK")
        for backend in regions("sns"):
            for topic in backend.topics.values():
                topic.sent_notifications.clear()
        self._world.endpoint.ticker.forget()

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
