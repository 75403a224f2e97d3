# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS as the core meets it: clients with the methods of boto3's, over simulated time. Strict: unknown calls fail."""

from __future__ import annotations

import copy
import heapq
import itertools
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from tests.simulation.conditions import Invalid, Item, holds

START = 1_790_000_000.0  # epoch seconds at which a simulated world begins


def client_error(code: str, operation: str, status: int = 400) -> ClientError:
    """An error in botocore's form."""
    response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)  # type: ignore[arg-type]


def demand(operation: str, item: Item, arguments: Mapping[str, Any]) -> None:
    """What a conditional write asks of the item that stands there, {} for none; the errors of DynamoDB where it does not hold."""
    try:
        held = "ConditionExpression" not in arguments or holds(
            arguments["ConditionExpression"], item, arguments
        )
    except Invalid as error:
        raise client_error("ValidationException", operation) from error
    if not held:
        raise client_error("ConditionalCheckFailedException", operation)


class Clock:
    """Time that passes only when somebody waits; due events run in their order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def at(self, delay: float, event: Callable[[], None]) -> None:
        """Run `event` when `delay` seconds have passed."""
        heapq.heappush(self._events, (self.now + delay, next(self._count), event))

    def sleep(self, seconds: float) -> None:
        until = self.now + max(seconds, 0.0)
        while self._events and self._events[0][0] <= until:
            due, _number, event = heapq.heappop(self._events)
            self.now = max(self.now, due)
            event()
        self.now = max(self.now, until)


class Crash(BaseException):
    """The caller dies here; nothing of it runs on."""


class Network:
    """Every call passes here: counted, delayed, refused, or the end of its caller."""

    def __init__(self, clock: Clock, latency: float = 0.02) -> None:
        self.clock = clock
        self.latency = latency
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.down: set[str] = set()
        self.denied: set[str] = set()
        self.hook: Callable[[str, str, bool], None] = lambda _service, _operation, _done: None

    def call(self, service: str, operation: str, arguments: dict[str, Any], act: Callable[[], Any]) -> Any:
        self.calls.append((service, operation, arguments))
        self.clock.sleep(self.latency)
        self.hook(service, operation, False)
        if service in self.down:
            raise EndpointConnectionError(endpoint_url=f"https://{service}.example.invalid")
        if f"{service}:{operation}" in self.denied:
            raise client_error("AccessDeniedException", operation)
        answer = act()
        self.hook(service, operation, True)
        if isinstance(answer, dict):
            date = formatdate(START + self.clock.now, usegmt=True)
            answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}
        return answer

    def names(self) -> list[str]:
        """The calls so far as service:operation."""
        return [f"{service}:{operation}" for service, operation, _arguments in self.calls]


class Dynamo:
    """One table in memory, with the conditions that the store uses. Anything else is an error of the test."""

    def __init__(self, network: Network, table: str) -> None:
        self._network = network
        self._table = table
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.replicas: list[dict[str, str]] = []

    def _check(self, operation: str, arguments: dict[str, Any]) -> None:
        if arguments["TableName"] != self._table:
            raise client_error("ResourceNotFoundException", operation)

    @staticmethod
    def _key(key: dict[str, Any]) -> tuple[str, str]:
        return key["pair"]["S"], key["item"]["S"]

    def get_item(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("GetItem", arguments)
            assert arguments["ConsistentRead"] is True, "a read that decides must be strongly consistent"
            found = self.items.get(self._key(arguments["Key"]))
            return {"Item": copy.deepcopy(found)} if found else {}

        return self._network.call("dynamodb", "GetItem", arguments, act)

    def put_item(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("PutItem", arguments)
            key = self._key(arguments["Item"])
            demand("PutItem", self.items.get(key, {}), arguments)
            self.items[key] = copy.deepcopy(arguments["Item"])
            return {}

        return self._network.call("dynamodb", "PutItem", arguments, act)

    def query(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("Query", arguments)
            values = arguments["ExpressionAttributeValues"]
            pair, prefix = values[":p"]["S"], values[":prefix"]["S"]
            keys = sorted(
                (key for key in self.items if key[0] == pair and key[1].startswith(prefix)), reverse=True
            )
            return {"Items": [copy.deepcopy(self.items[key]) for key in keys[: arguments["Limit"]]]}

        return self._network.call("dynamodb", "Query", arguments, act)

    def describe_table(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("DescribeTable", arguments)
            return {"Table": {"TableName": self._table, "Replicas": self.replicas}}

        return self._network.call("dynamodb", "DescribeTable", arguments, act)

    def update_item(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("UpdateItem", arguments)
            key = self._key(arguments["Key"])
            item = self.items.get(key, {})
            names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
            demand("UpdateItem", item, arguments)
            assert arguments["UpdateExpression"].startswith("SET ")
            for part in arguments["UpdateExpression"][4:].split(", "):
                name, value = part.split(" = ")
                item[names[name]] = copy.deepcopy(values[value])
            self.items[key] = item
            return {}

        return self._network.call("dynamodb", "UpdateItem", arguments, act)

    def delete_item(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._check("DeleteItem", arguments)
            key = self._key(arguments["Key"])
            demand("DeleteItem", self.items.get(key, {}), arguments)
            self.items.pop(key, None)
            return {}

        return self._network.call("dynamodb", "DeleteItem", arguments, act)


class Cloudwatch:
    """Alarms and datapoints put by hand."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.alarms: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.put: list[dict[str, Any]] = []
        self.warnings: list[dict[str, Any]] = []  # the alarms for people, beside the pair's own

    def describe_alarms_for_metric(self, **arguments: Any) -> Any:
        assert (arguments["Namespace"], arguments["MetricName"]) == ("HotStandby", "Unhealthy")
        return self._network.call(
            "cloudwatch", "DescribeAlarmsForMetric", arguments, lambda: {"MetricAlarms": self.alarms}
        )

    def describe_alarms(self, **arguments: Any) -> Any:
        found = [alarm for alarm in self.warnings if alarm["AlarmName"] in arguments["AlarmNames"]]
        return self._network.call("cloudwatch", "DescribeAlarms", arguments, lambda: {"MetricAlarms": found})

    def get_metric_statistics(self, **arguments: Any) -> Any:
        return self._network.call(
            "cloudwatch", "GetMetricStatistics", arguments, lambda: {"Datapoints": self.points}
        )

    def put_metric_data(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self.put += arguments["MetricData"]
            return {}

        return self._network.call("cloudwatch", "PutMetricData", arguments, act)
