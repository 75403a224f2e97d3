# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on by itself: alarms are evaluated, their changes become events, schedules come due, targets are invoked."""

from __future__ import annotations

import functools
import re
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .alarm_model import State, evaluate
from .cloudwatch import _aware
from .model import ACCOUNT
from .series import COMPARE, measure_queues, period_of, values_of

if TYPE_CHECKING:
    from . import Endpoint

INTERVAL = 0.2  # seconds between looks
RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours)\)")


class Ticker:
    """A thread over moto's alarms and rules.

    `minute` is how long a minute of a schedule lasts, in seconds. Events are delivered `late` seconds after they
    happened and `copies` times; 0 copies are lost ones.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._evaluated: dict[tuple[str, str], float] = {}
        self._due: dict[str, float] = {}
        self._states: dict[tuple[str, str], str] = {}
        self._measured = 0.0
        self.minute = 60.0
        self.late = 0.0
        self.copies = 1

    def start(self) -> None:
        """Tick from now on."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Tick no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None

    def forget(self) -> None:
        """Every alarm's state is as it should be, and every schedule begins anew."""
        self._evaluated.clear()
        self._states.clear()
        self._due.clear()

    def mend(self) -> None:
        """Events come once and at once again."""
        self.late, self.copies = 0.0, 1

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            for work in (self.queues, self.alarms, self.schedules, self._endpoint.groups.reconcile):
                try:
                    work(time.time())
                except Exception:
                    traceback.print_exc(file=sys.stderr)

    # -- queues

    def queues(self, now: float) -> None:
        """Put what SQS tells of its queues, once a minute."""
        from .mended import backend, regions

        if now // self.minute == self._measured or "monitoring" in self._endpoint.faults.down:
            return
        self._measured = now // self.minute
        for found in regions("sqs"):
            if found.queues:
                with self._endpoint.moto.lock("sqs"), self._endpoint.moto.lock("monitoring"):
                    measure_queues(found, backend("cloudwatch", found.region_name), now)

    # -- alarms

    def alarms(self, now: float) -> None:
        """Evaluate every alarm whose period has ended since, and send an event for each change of state.

        SetAlarmState is a change too.
        """
        from .mended import regions

        if "monitoring" in self._endpoint.faults.down:
            return
        for backend in regions("cloudwatch"):
            with self._endpoint.moto.lock("monitoring"):
                changes = [
                    found
                    for alarm in list(backend.alarms.values())
                    if (found := self._alarm(backend, alarm, now)) is not None
                ]
            for region, event in changes:
                self.deliver(region, event)

    def _alarm(self, backend: Any, alarm: Any, now: float) -> tuple[str, dict[str, Any]] | None:
        key = (backend.region_name, alarm.name)
        period = period_of(alarm)
        ended = now // period * period
        # a new alarm knows nothing until its first whole period has passed
        first = self._evaluated.setdefault(key, ended)
        before = self._states.setdefault(key, alarm.state_value)
        if ended > first:
            self._evaluated[key] = ended
            over = self._judge(backend, alarm, ended, period)
            if alarm.state_value == "ALARM":
                # for as long as it lasts, not only when it begins
                self._scale(backend.region_name, alarm, over, now)
        if alarm.state_value == before:
            return None
        self._states[key] = alarm.state_value
        self._act(backend.region_name, alarm)
        return backend.region_name, change(backend.region_name, alarm, before)

    def _act(self, region: str, alarm: Any) -> None:
        """The alarm's own actions for the state it has now: messages to a topic."""
        from .mended import regions

        kinds = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
        wanted = kinds.get(alarm.state_value, alarm.insufficient_data_actions) or []
        for arn in wanted if alarm.actions_enabled else []:
            if ":scalingPolicy:" in arn:
                continue  # see _scale
            topics = [
                backend.topics[arn]
                for backend in regions("sns")
                if backend.region_name == region and arn in backend.topics
            ]
            if not topics:
                self._endpoint.unimplemented.append(f"cloudwatch:action ({arn})")
            for topic in topics:
                topic.publish(alarm.state_reason, f'{alarm.state_value}: "{alarm.name}" in {region}')

    def _scale(self, region: str, alarm: Any, over: float, now: float) -> None:
        for arn in alarm.alarm_actions if alarm.actions_enabled else []:
            if ":scalingPolicy:" in arn and not self._endpoint.groups.execute(region, arn, over, now):
                self._endpoint.unimplemented.append(f"cloudwatch:action ({arn})")

    def _judge(self, backend: Any, alarm: Any, ended: float, period: float) -> float:
        """Evaluate; how far the last value is over the threshold."""
        count = int(alarm.evaluation_periods or 1)
        begin = ended - count * period
        values = values_of(backend, alarm, begin, count, period)
        needed = int(alarm.datapoints_to_alarm or count)
        before: State = alarm.state_value
        threshold = float(alarm.threshold)
        bad = COMPARE[alarm.comparison_operator]
        judged = [None if value is None else float(bad(value, threshold)) for value in values]
        state = evaluate(judged, 1.0, needed, alarm.treat_missing_data or "missing", before)
        if state != before:
            shown = ", ".join("-" if value is None else f"{value:g}" for value in values)
            alarm.update_state(
                f"Threshold Crossed: {needed} of the last {count} periods [{shown}]", "{}", state
            )
        known = [value for value in values if value is not None]
        return known[-1] - threshold if known else 0.0

    # -- schedules and targets

    def schedules(self, now: float) -> None:
        """Invoke what a rate() rule or a schedule is due for."""
        from .mended import regions

        self._endpoint.schedules.tick(now, self.minute)
        for backend in regions("events"):
            with self._endpoint.moto.lock("events"):
                rules = [rule for bus in backend.event_buses.values() for rule in bus.rules.values()]
            for rule in rules:
                found = RATE.fullmatch(rule.scheduled_expression or "")
                if found is None or rule.state != "ENABLED":
                    continue
                each = int(found[1]) * self.minute * (60 if found[2].startswith("hour") else 1)
                if now >= self._due.setdefault(rule.arn, now + each):
                    self._due[rule.arn] = now + each
                    self._invoke(
                        rule, _event(rule.region_name, "aws.events", "Scheduled Event", [rule.arn], {})
                    )

    def deliver(self, region: str, event: dict[str, Any]) -> None:
        """Hand an event to every rule that it matches: late, twice or never, as it was asked for."""
        from .mended import regions

        for _copy in range(self.copies):
            for backend in regions("events"):
                if backend.region_name != region:
                    continue
                with self._endpoint.moto.lock("events"):
                    rules = [
                        rule
                        for bus in backend.event_buses.values()
                        for rule in bus.rules.values()
                        if rule.state == "ENABLED"
                        and rule.event_pattern.get_pattern()
                        and rule.event_pattern.matches_event(event)
                    ]
                for rule in rules:
                    self._after(self.late, functools.partial(self._invoke, rule, event))

    @staticmethod
    def _after(seconds: float, act: Callable[[], None]) -> None:
        if seconds <= 0:
            act()
            return
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()

    def _invoke(self, rule: Any, event: dict[str, Any]) -> None:
        for target in list(rule.targets):
            if ":lambda:" in target["Arn"]:
                self._endpoint.functions.event(target["Arn"], event, "events.amazonaws.com", rule.arn)
            else:
                self._endpoint.unimplemented.append(f"events:target ({target['Arn']})")


def _event(
    region: str, source: str, kind: str, resources: list[str], detail: dict[str, Any]
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def _stamp(when: datetime) -> str:
    return _aware(when).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def change(region: str, alarm: Any, before: str) -> dict[str, Any]:
    """The event of an alarm that changed its state."""
    detail = {
        "alarmName": alarm.name,
        "configuration": {"description": alarm.description or ""},
        "previousState": {"value": before},
        "state": {
            "value": alarm.state_value,
            "reason": alarm.state_reason,
            "timestamp": _stamp(alarm.state_updated_timestamp),
        },
    }
    return _event(region, "aws.cloudwatch", "CloudWatch Alarm State Change", [alarm.alarm_arn], detail)
