# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves a pair by itself, as far as AWS does it: the alarm, the function, the reconciler, the messages."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from ..endpoint import Caller, Endpoint
from ..endpoint.mended import regions
from ..paths import SandboxError
from . import cloud, processes

KEY, SECRET = "AKIASANDBOXFUNCTION", "sandbox-function"
PERIODS = 5  # that the alarm looks at
TICK = 5.0  # seconds that the minute of a schedule lasts
READY = 60.0  # seconds until the alarm must be OK
COOLDOWN = 3  # seconds between two failovers of a pair that is to be tormented


def tuning() -> dict[str, float]:
    """What a pair of profile fast says beside its profile; SANDBOX_HEARTBEAT and SANDBOX_RESTARTS are for who measures."""
    restarts = int(os.environ.get("SANDBOX_RESTARTS") or 0)
    beat = {"heartbeat_timeout": float(os.environ.get("SANDBOX_HEARTBEAT") or 3)}
    return {**beat, **({"local_restarts": restarts} if restarts else {})}


class Mover:
    """Begun by `begin`, once the role has run. `period` is the alarm's, in seconds; `state` marks the function's processes."""

    def __init__(self, endpoint: Endpoint, pair: str, state: str, period: int) -> None:
        self._endpoint, self._pair, self._period = endpoint, pair, period
        endpoint.keys[KEY] = Caller("function", "controller", None)
        functions = endpoint.functions
        functions.key, functions.secret = KEY, SECRET
        functions.owner = {processes.OWNER: state}

    @property
    def alarm_name(self) -> str:
        """The role's default."""
        return f"hotstandby-{self._pair}"

    def begin(self) -> dict[str, Any]:
        """Evaluate and invoke from now on; returns when the alarm is OK. SandboxError when it does not get there."""
        if self._alarm() is None:
            raise SandboxError("the role failover_automation has made no alarm")
        self._endpoint.ticker.minute = TICK
        self._fresh()
        self._endpoint.ticker.start()
        end = time.monotonic() + READY
        while self._state() != "OK":
            if time.monotonic() > end:
                raise SandboxError(f"the alarm is {self._state()}, not OK")
            time.sleep(0.1)
        return self.report()

    def hold(self) -> None:
        """Nothing is evaluated or invoked."""
        self._endpoint.ticker.stop()
        self._endpoint.functions.chill()

    def report(self) -> dict[str, Any]:
        """{alarm, runs, refused, messages, dead}: what the automation did, and what people heard."""
        functions = self._endpoint.functions
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

        now = datetime.now(timezone.utc)
        for backend in regions("cloudwatch"):
            if backend.region_name != cloud.REGION:
                continue
            with self._endpoint.moto.lock("monitoring"):
                for number in range(PERIODS + 1):
                    datum = MetricDatum(
                        "HotStandby", "Unhealthy", 0.0, [{"Name": "Pair", "Value": self._pair}],
                        now - timedelta(seconds=number * self._period), unit="Count",
                    )  # fmt: skip
                    backend.metric_data.append(datum)
                self._mend(self._alarm())
        for backend in regions("sns"):
            for topic in backend.topics.values():
                topic.sent_notifications.clear()
        self._endpoint.ticker.forget()

    def _mend(self, alarm: Any) -> None:
        """What an earlier trial left of the alarm goes; a new one waits for its first period."""
        if alarm.state_value != "INSUFFICIENT_DATA":
            alarm.update_state("sandbox reset", "{}", "OK")
