# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudWatch as it is: a new alarm knows nothing yet, and a metric is its name *and* its dimensions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Endpoint

RETENTION = timedelta(hours=3)  # of single datapoints; enough for any test
FUTURE = timedelta(hours=2)
PAST = timedelta(days=14)


def mend(_endpoint: Endpoint) -> None:
    """Replace what moto does wrong."""
    from moto.cloudwatch.exceptions import CloudWatchException
    from moto.cloudwatch.models import Alarm, CloudWatchBackend, Statistics
    from moto.cloudwatch.responses import CloudWatchResponse
    from moto.core.responses import ActionResult

    if hasattr(Alarm, "sandbox_mended"):
        return
    Alarm.sandbox_mended = True
    new_alarm, put_alarm, put_data = (
        Alarm.__init__,
        CloudWatchBackend.put_metric_alarm,
        CloudWatchBackend.put_metric_data,
    )

    def alarm_init(alarm: Any, *args: Any, **kwargs: Any) -> None:
        new_alarm(alarm, *args, **kwargs)
        alarm.state_value = "INSUFFICIENT_DATA"
        alarm.state_reason = "Unchecked: Initial alarm creation"

    def put_metric_alarm(backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        before = backend.alarms.get(name)
        alarm = put_alarm(backend, name, *args, **kwargs)
        if before is not None:  # changing an alarm leaves its state as it is
            for field in (
                "state_value",
                "state_reason",
                "state_reason_data",
                "state_updated_timestamp",
                "history",
            ):
                setattr(alarm, field, getattr(before, field))
        return alarm

    def put_metric_data(backend: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        now = datetime.now(timezone.utc)
        for datum in metric_data:
            when = _aware(datum.get("Timestamp") or now)
            if not now - PAST <= when <= now + FUTURE:
                raise CloudWatchException(
                    "InvalidParameterValue",
                    "The value for parameter MetricData.member.1.Timestamp is out of range.",
                )
        put_data(backend, namespace, metric_data)
        # a health check each second for hours must not fill the memory
        if len(backend.metric_data) > 20_000:
            backend.metric_data = [
                datum for datum in backend.metric_data if _aware(datum.timestamp) > now - RETENTION
            ]

    def get_metric_statistics(
        backend: Any,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict[str, str]],
        unit: str | None = None,
    ) -> list[Any]:
        start, end = _aware(start_time), _aware(end_time)
        if start >= end:
            raise CloudWatchException(
                "InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime."
            )
        if period < 1 or (period not in (1, 5, 10, 20, 30) and period % 60):
            raise CloudWatchException(
                "InvalidParameterValue", "The parameter Period must be a multiple of 60."
            )
        # whole periods, as AWS cuts them: the start is rounded down
        first = datetime.fromtimestamp(start.timestamp() // period * period, timezone.utc)
        wanted = _dimensions(dimensions)
        buckets: dict[float, Any] = {}
        for datum in backend.metric_data:
            when = _aware(datum.timestamp)
            if datum.namespace != namespace or datum.name != metric_name or not first <= when < end:
                continue
            if _dimensions(datum.dimensions) != wanted or (unit and datum.unit != unit):
                continue
            at = when.timestamp() // period * period
            if at not in buckets:
                buckets[at] = Statistics(stats, datetime.fromtimestamp(at, timezone.utc))
            buckets[at].metric_data.append(datum)
            buckets[at].unit = datum.unit or "None"
        return [buckets[at] for at in sorted(buckets)]

    def describe_alarms_for_metric(response: Any) -> Any:
        name, namespace = response._get_param("MetricName"), response._get_param("Namespace")
        wanted = _dimensions(response._get_param("Dimensions", []))
        found = [
            alarm
            for alarm in response.cloudwatch_backend.describe_alarms()
            if alarm.metric_name == name
            and alarm.namespace == namespace
            and _dimensions(alarm.dimensions) == wanted
        ]
        return ActionResult({"MetricAlarms": found})

    def set_alarm_state(backend: Any, name: str, reason: str, reason_data: str, state: str) -> None:
        if name not in backend.alarms:
            raise CloudWatchException("ResourceNotFound", f"Unknown alarm: {name}")
        if state not in ("OK", "ALARM", "INSUFFICIENT_DATA"):
            raise CloudWatchException(
                "ValidationError", f"Value '{state}' at 'stateValue' failed to satisfy constraint"
            )
        backend.alarms[name].update_state(reason, reason_data, state)

    Alarm.__init__ = alarm_init
    CloudWatchBackend.put_metric_alarm = put_metric_alarm
    CloudWatchBackend.put_metric_data = put_metric_data
    CloudWatchBackend.get_metric_statistics = get_metric_statistics
    CloudWatchBackend.set_alarm_state = set_alarm_state
    CloudWatchResponse.describe_alarms_for_metric = describe_alarms_for_metric


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _dimensions(given: Any) -> frozenset[tuple[str, str]]:
    """Of a request (dicts) or of moto's own objects."""
    return frozenset(
        (one["Name"], one["Value"]) if isinstance(one, dict) else (one.name, one.value) for one in given or ()
    )
