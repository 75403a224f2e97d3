# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an alarm looks at: its metric, or a sum of several, period by period; and the numbers that SQS tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from .cloudwatch import _aware, _dimensions

SUM = re.compile(r"[a-z]\w*( \+ [a-z]\w*)*")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def period_of(alarm: Any) -> float:
    """Seconds."""
    stats = [query.metric_stat for query in alarm.metric_data_queries or () if query.metric_stat]
    return float(stats[0].period if stats else alarm.period or 60)


def values_of(backend: Any, alarm: Any, begin: float, count: int, period: float) -> list[float | None]:
    """The alarm's values of so many periods, the oldest first; None is a period without a datapoint. Raises NotImplementedError."""
    queries = alarm.metric_data_queries or []
    if not queries:
        return _series(backend, alarm, alarm.statistic, alarm.dimensions, begin, count, period)
    found = {
        query.id: _series(
            backend,
            query.metric_stat.metric,
            query.metric_stat.stat,
            query.metric_stat.metric.dimensions,
            begin,
            count,
            period,
        )
        for query in queries
        if query.metric_stat
    }
    told = next(query for query in queries if str(query.return_data).lower() == "true")
    if not told.expression:
        return found[told.id]
    if not SUM.fullmatch(told.expression):
        raise NotImplementedError(f"metric math: {told.expression}")
    return total([found[name] for name in told.expression.split(" + ")])


def total(series: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The sum, period by period; what is missing in one is missing in the sum."""
    return [
        None if None in values else sum(value for value in values if value is not None)
        for values in zip(*series, strict=True)
    ]


def _series(
    backend: Any, metric: Any, statistic: str, dimensions: Any, begin: float, count: int, period: float
) -> list[float | None]:
    wanted = _dimensions(dimensions)
    parts: list[list[float]] = [[] for _period in range(count)]
    for datum in backend.metric_data:
        if (datum.namespace, datum.name) != (metric.namespace, metric.metric_name):
            continue
        at = _aware(datum.timestamp).timestamp()
        if begin <= at < begin + count * period and _dimensions(datum.dimensions) == wanted:
            parts[int((at - begin) // period)].append(datum.value)
    return [_picked(part, statistic) if part else None for part in parts]


def _picked(part: list[float], statistic: str) -> float:
    found = {
        "Minimum": min(part),
        "Sum": sum(part),
        "SampleCount": len(part),
        "Average": sum(part) / len(part),
    }
    return float(found.get(statistic, max(part)))


def measure_queues(queues: Any, metrics: Any, now: float) -> None:
    """Put the numbers that SQS puts each minute for each queue, into that region's metrics."""
    for queue in list(queues.queues.values()):
        messages = list(queue._messages)
        waiting = [one for one in messages if one.visible and not one.delayed]
        ages = [now - one.sent_timestamp / 1000 for one in messages]
        for name, value in (
            ("ApproximateNumberOfMessagesVisible", len(waiting)),
            ("ApproximateNumberOfMessagesNotVisible", sum(not one.visible for one in messages)),
            ("ApproximateAgeOfOldestMessage", max(ages, default=0.0)),
        ):
            metrics.put_metric_data(
                "AWS/SQS",
                [
                    {
                        "MetricName": name,
                        "Dimensions": [{"Name": "QueueName", "Value": queue.name}],
                        "Value": float(value),
                        "Timestamp": datetime.fromtimestamp(now, timezone.utc),
                        "Unit": "Count",
                    }
                ],
            )
