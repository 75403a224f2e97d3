# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DynamoDB and CloudWatch: conditional writes, strong and eventual reads, datapoints and the alarm on them."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.simulation.aws import START, demand

if TYPE_CHECKING:
    from tests.simulation.det.scheduler import Proc
    from tests.simulation.det.world import World

Item = dict[str, Any]


class FastSerializer:
    """boto3's TypeSerializer for what a record holds, twenty times as fast; a test compares the two."""

    def serialize(self, value: Any) -> Item:
        kind = type(value)
        if kind is str:
            return {"S": value}
        if value is None:
            return {"NULL": True}
        if kind is bool:
            return {"BOOL": value}
        if kind is int or kind is Decimal:
            return {"N": str(value)}
        if kind is dict:
            return {"M": {key: self.serialize(item) for key, item in value.items()}}
        if kind is list:
            return {"L": [self.serialize(item) for item in value]}
        raise TypeError(f"an item cannot hold {kind}")


class FastDeserializer:
    """boto3's TypeDeserializer, likewise."""

    def deserialize(self, value: Item) -> Any:
        ((kind, inner),) = value.items()
        if kind in ("S", "BOOL"):
            return inner
        if kind == "N":
            return Decimal(inner)
        if kind == "NULL":
            return None
        if kind == "M":
            return {key: self.deserialize(item) for key, item in inner.items()}
        return [self.deserialize(item) for item in inner]


@functools.lru_cache(maxsize=512)
def assignments(text: str) -> tuple[tuple[str, str], ...]:
    """An UpdateExpression as pairs of name and value."""
    if not text.startswith("SET "):
        raise AssertionError(f"an update that this table does not know: {text}")
    return tuple(
        (name, value) for name, _eq, value in (part.partition(" = ") for part in text[4:].split(", "))
    )


class Table:
    """The items. `before` keeps old versions of the record, which an eventually consistent read may return."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.items: dict[tuple[str, str], Item] = {}
        self.before: list[tuple[float, Item]] = []

    def put(self, key: tuple[str, str], item: Item, by: str) -> None:
        if key[1] == "record":
            self.before.append((self.world.now, self.items.get(key, item)))
            self.items[key] = item
            self.world.rules.written(item, by)
            return
        if key[1].startswith("move#"):
            self.world.rules.history(item, by)
        self.items[key] = item

    def stale(self, key: tuple[str, str], age: float) -> Item | None:
        """The record as it was `age` seconds ago."""
        if key[1] == "record":
            for until, item in self.before:
                if until > self.world.now - age:
                    return item
        return self.items.get(key)


class DynamoClient:
    """One process's client."""

    def __init__(self, world: World, proc: Proc) -> None:
        self.world, self.proc, self.table = world, proc, world.table

    def _call(self, operation: str, act: Callable[[], Any], about: str = "") -> Any:
        return self.world.network.call(self.proc, "dynamodb", operation, act, about)

    def get_item(self, **arguments: Any) -> Any:
        key = arguments["Key"]["pair"]["S"], arguments["Key"]["item"]["S"]

        def act() -> Item:
            if arguments.get("ConsistentRead") is True:
                found = self.table.items.get(key)
            else:
                found = self.table.stale(key, 60 * self.proc.rng.random())
            return {"Item": found} if found else {}

        return self._call("GetItem", act, f" {key[1]}")

    def put_item(self, **arguments: Any) -> Any:
        item = arguments["Item"]
        key = item["pair"]["S"], item["item"]["S"]

        def act() -> Item:
            demand("PutItem", self.table.items.get(key, {}), arguments)
            self.table.put(key, item, self.proc.name)
            return {}

        return self._call("PutItem", act, f" {key[1]}")

    def update_item(self, **arguments: Any) -> Any:
        key = arguments["Key"]["pair"]["S"], arguments["Key"]["item"]["S"]
        names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
        sets = assignments(arguments["UpdateExpression"])

        def act() -> Item:
            item = self.table.items.get(key, {})
            demand("UpdateItem", item, arguments)
            self.table.put(
                key, {**item, **{names[name]: values[value] for name, value in sets}}, self.proc.name
            )
            return {}

        about = ""
        if self.world.trace is not None:
            told = {names[name]: values[value] for name, value in sets}
            about = " " + ", ".join(_told(name, value) for name, value in told.items())
        return self._call("UpdateItem", act, about)

    def query(self, **arguments: Any) -> Any:
        values = arguments["ExpressionAttributeValues"]
        pair, prefix = values[":p"]["S"], values[":prefix"]["S"]

        def act() -> Item:
            keys = [key for key in self.table.items if key[0] == pair and key[1].startswith(prefix)]
            kept = sorted(keys, reverse=True)[: arguments["Limit"]]
            return {"Items": [self.table.items[key] for key in kept]}

        return self._call("Query", act)

    def describe_table(self, **_arguments: Any) -> Any:
        return self._call("DescribeTable", lambda: {"Table": {"Replicas": []}})


def _told(name: str, value: Item) -> str:
    if name == "lease":
        held = value.get("M")
        return f"lease of {held['owner']['S']}/{held['version']['S'][:4]}" if held else "no lease"
    if name == "move" and "M" in value:
        move = value["M"]
        return f"move {move['source']['S']}->{move['target']['S']} at {move['step']['S']}"
    inner = next(iter(value.values()))
    return f"{name}={None if 'NULL' in value else str(inner)[:60]}"


class Metrics:
    """Datapoints of HotStandby/Unhealthy, and the alarm: bad or missing in two of the last three minutes."""

    PERIOD, WINDOW = 60, 3

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    def alarm(self, now: float) -> str:
        minute = int(now // self.PERIOD)
        bad = 0
        for number in range(minute - self.WINDOW, minute):
            values = [value for at, value in self.points[-12:] if int(at // self.PERIOD) == number]
            bad += not values or max(values) > 0
        return "ALARM" if bad >= 2 else "OK"


class CloudwatchClient:
    """One process's client."""

    def __init__(self, world: World, proc: Proc) -> None:
        self.world, self.proc = world, proc

    def _call(self, operation: str, act: Callable[[], Any], about: str = "") -> Any:
        return self.world.network.call(self.proc, "cloudwatch", operation, act, about)

    def put_metric_data(self, **arguments: Any) -> Any:
        def act() -> Item:
            for point in arguments["MetricData"]:
                if point["MetricName"] == "Unhealthy":
                    self.world.metrics.points.append((self.world.now, point["Value"]))
            return {}

        data = arguments["MetricData"][0]
        return self._call("PutMetricData", act, f" {data['MetricName']}={data['Value']:.0f}")

    def describe_alarms(self, **_arguments: Any) -> Any:
        return self._call("DescribeAlarms", lambda: {"MetricAlarms": []})

    def describe_alarms_for_metric(self, **_arguments: Any) -> Any:
        def act() -> Item:
            metrics = self.world.metrics
            alarm = {
                "AlarmName": "hub", "StateValue": metrics.alarm(self.world.now),
                "Period": metrics.PERIOD, "EvaluationPeriods": metrics.WINDOW,
            }  # fmt: skip
            return {"MetricAlarms": [alarm] if self.world.alarmed else []}

        return self._call("DescribeAlarmsForMetric", act)

    def get_metric_statistics(self, **_arguments: Any) -> Any:
        def act() -> Item:
            utc = datetime.timezone.utc
            return {
                "Datapoints": [
                    {
                        "Timestamp": datetime.datetime.fromtimestamp(START + at // 60 * 60, utc),
                        "Maximum": value,
                    }
                    for at, value in self.world.metrics.points[-6:]
                ]
            }

        return self._call("GetMetricStatistics", act)
