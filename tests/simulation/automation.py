# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair with its automation in simulated time: health checks each minute, an alarm, and the function."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.function import Run, Settings

from .aws import START
from .world import Ssm, World

ALARM = "hotstandby-hub-prod"
TOPIC = "arn:aws:sns:ap-northeast-1:123456789012:hotstandby-hub-prod"


class Agents(Ssm):
    """Run Command, and the list of agents."""

    def describe_instance_information(self, **arguments: Any) -> Any:
        assert arguments["Filters"][0]["Key"] == "InstanceIds"
        world = self._world
        found = [
            {
                "InstanceId": node.instance_id,
                "PingStatus": "Online" if node.online else "ConnectionLost",
            }
            for node in world.nodes.values()
        ]
        return world.network.call(
            "ssm", "DescribeInstanceInformation", arguments, lambda: {"InstanceInformationList": found}
        )


class Sns:
    """A topic that keeps what was published."""

    def __init__(self, world: Automated) -> None:
        self._world = world

    def publish(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            assert arguments["TopicArn"] == TOPIC
            assert (
                len(arguments["Subject"]) <= 100 and arguments["Subject"].isascii() and arguments["Message"]
            )
            self._world.messages.append((arguments["MessageAttributes"]["kind"]["StringValue"], arguments))
            return {"MessageId": "m"}

        return self._world.network.call("sns", "Publish", arguments, act)


class Automated(World):
    """`messages` are what people got: (kind, arguments of Publish)."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.warm: dict[str, Any] = {}
        self.limit = 900.0
        self.invoked = 0

    def client(self, service: str) -> Any:
        if service == "sns":
            return Sns(self)
        return Agents(self) if service == "ssm" else super().client(service)

    def wall(self) -> float:
        return START + self.clock.now

    # -- what the nodes and CloudWatch do by themselves

    def check(self) -> None:
        """Each node that is on writes its sign of life, with what its product says."""
        store = self.ports().store
        for node in self.nodes.values():
            if node.power == "running" and not node.frozen:
                hook, self.network.hook = self.network.hook, lambda _service, _operation, _done: None
                down, self.network.down = self.network.down, set()
                denied, self.network.denied = self.network.denied, set()
                store.read()
                held = node.held is not None
                store.put_heartbeat(node.name, node.instance_id, "b", node.seen, node.product, held)
                self.network.hook, self.network.down, self.network.denied = hook, down, denied
        if self.cloudwatch.alarms:
            self.alarm(self.cloudwatch.alarms[0]["StateValue"])

    def alarm(self, state: str) -> None:
        """The alarm's state as CloudWatch would tell it."""
        self.cloudwatch.alarms = [
            {"AlarmName": ALARM, "StateValue": state, "Period": 60, "EvaluationPeriods": 5}
        ]
        stamp = datetime.datetime.fromtimestamp(self.wall(), datetime.timezone.utc)
        self.cloudwatch.points = [{"Timestamp": stamp, "Maximum": 1.0 if state == "ALARM" else 0.0}]

    def event(self, state: str = "ALARM", age: float = 0.0) -> dict[str, Any]:
        """What EventBridge sends when the alarm changes its state."""
        at = datetime.datetime.fromtimestamp(self.wall() - age, datetime.timezone.utc)
        return {
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resources": [f"arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:{ALARM}"],
            "detail": {
                "alarmName": ALARM,
                "state": {
                    "value": state,
                    "reason": "2 of 5",
                    "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
                },
            },
        }

    # -- the function

    def begin(self) -> Run:
        self.invoked += 1
        settings = Settings(self.pair(), ALARM, TOPIC, 14400.0)
        until = self.clock.monotonic() + self.limit
        return Run(
            settings, self.client, f"r{self.invoked}", lambda: until - self.clock.monotonic(), self.clock, self.wall,
            self.warm,
        )  # fmt: skip

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.begin().handle(event)

    def tick(self) -> dict[str, Any]:
        return self.invoke({"source": "aws.events", "detail-type": "Scheduled Event", "id": "t"})

    def minutes(self, count: int) -> list[dict[str, Any]]:
        """So many minutes of health checks and ticks."""
        answers = []
        for _minute in range(count):
            self.clock.sleep(60)
            self.check()
            answers.append(self.tick())
        return answers

    def kinds(self) -> list[str]:
        return [kind for kind, _arguments in self.messages]
