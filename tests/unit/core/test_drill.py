# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill over a simulated world: all well, each thing broken in turn, and nothing ever moved."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.drill import Check, Drill, lines
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import rights

from tests.simulation.automation import ALARM, TOPIC, Automated
from tests.simulation.aws import client_error

ARN = f"arn:aws:lambda:ap-northeast-1:123456789012:function:{ALARM}"
RULE = f"arn:aws:events:ap-northeast-1:123456789012:rule/{ALARM}"


class Account:
    """The function, its rules and its topic."""

    def __init__(self, world: Automated) -> None:
        self.world = world
        self.there = True
        self.states = {f"{ALARM}-alarm": "ENABLED", f"{ALARM}-reconcile": "ENABLED"}
        self.targets = [ARN]
        self.permitted = [f"{RULE}-alarm", f"{RULE}-reconcile"]
        self.variables = {"HOTSTANDBY_PAIR": json.dumps(world.raw), "HOTSTANDBY_TOPIC": TOPIC}
        self.subscriptions = ["arn:1"]
        self.error = ""

    def get_function_configuration(self, **arguments: Any) -> Any:
        assert arguments == {"FunctionName": ALARM}
        if self.error:
            raise client_error(self.error, "GetFunctionConfiguration")
        if not self.there:
            raise client_error("ResourceNotFoundException", "GetFunctionConfiguration", 404)
        return {"FunctionArn": ARN, "Environment": {"Variables": self.variables}}

    def describe_rule(self, **arguments: Any) -> Any:
        return {"Arn": f"{RULE}{arguments['Name'][len(ALARM) :]}", "State": self.states[arguments["Name"]]}

    def list_targets_by_rule(self, **_arguments: Any) -> Any:
        return {"Targets": [{"Id": "f", "Arn": arn} for arn in self.targets]}

    def get_policy(self, **_arguments: Any) -> Any:
        statements = [
            {"Effect": "Allow", "Condition": {"ArnLike": {"AWS:SourceArn": arn}}} for arn in self.permitted
        ]
        return {"Policy": json.dumps({"Statement": statements})}

    def invoke(self, **arguments: Any) -> Any:
        answer = self.world.invoke(json.loads(arguments["Payload"]))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}

    def list_subscriptions_by_topic(self, **_arguments: Any) -> Any:
        return {"Subscriptions": [{"SubscriptionArn": arn} for arn in self.subscriptions]}


def well() -> tuple[Automated, Account]:
    world = Automated()
    world.steady()
    for node in world.nodes.values():
        node.detail = {"record": "read"}
    world.check()
    world.alarm("OK")
    world.network.calls.clear()
    return world, Account(world)


def drilled(world: Automated, account: Account, writes: bool = True) -> list[Check]:
    def client(service: str) -> Any:
        return account if service in ("lambda", "events", "sns") else world.client(service)

    before, events = world.record(), list(world.events)
    checks = Drill(world.pair(), world.ports(), client, "keiko@admin/1", ALARM, writes).run()
    after = world.record()
    assert (after.active, after.epoch, after.state, after.move, after.lease) == (
        before.active, before.epoch, before.state, before.move, before.lease,
    )  # fmt: skip
    assert world.events == events and world.messages == []
    sent = [
        a["Parameters"]["Action"] for _s, operation, a in world.network.calls if operation == "SendCommand"
    ]
    assert all(action == ["look"] for action in sent) and len(sent) <= 2, "nothing but looks"
    stops = [a for _s, operation, a in world.network.calls if operation == "StopInstances"]
    assert all(a["DryRun"] is True for a in stops)
    return checks


def failed(checks: list[Check]) -> list[str]:
    assert all(bool(check.mend) is check.failed for check in checks if check.result != "skipped"), checks
    return [check.name for check in checks if check.failed]


def test_a_pair_that_is_well_passes_and_nothing_was_changed_but_the_lock() -> None:
    world, account = well()
    checks = drilled(world, account)
    assert failed(checks) == [] and len(checks) >= 18, lines(checks)
    writes = [
        operation for _s, operation, _a in world.network.calls if operation in ("UpdateItem", "PutItem")
    ]
    assert writes == ["UpdateItem", "UpdateItem"]


class Asked:
    """Hands every call on, and keeps its name as IAM calls it."""

    def __init__(self, client: Any, service: str, seen: set[str]) -> None:
        self._client, self._service, self._seen = client, service, seen

    def __getattr__(self, name: str) -> Any:
        right = {"invoke": "InvokeFunction"}.get(name, name.title().replace("_", ""))
        self._seen.add(f"{self._service}:{right}")
        return getattr(self._client, name)


def test_who_drills_may_what_the_drill_calls() -> None:
    world, account = well()
    seen: set[str] = set()

    def client(service: str) -> Any:
        mine = service in ("lambda", "events", "sns")
        return Asked(account, service, seen) if mine else world.client(service)

    checks = Drill(world.pair(), world.ports(), client, "keiko@admin/1", ALARM).run()
    assert failed(checks) == []
    # the function's own look is made with the function's rights, not with the caller's
    seen |= {name for name in world.network.names() if name != "cloudwatch:DescribeAlarms"}
    assert seen <= rights("drill"), sorted(seen - rights("drill"))
    own = rights("drill") - rights("controller")
    assert own <= seen, f"allowed for nothing: {sorted(own - seen)}"


def test_check_mode_writes_nothing_at_all() -> None:
    world, account = well()
    checks = drilled(world, account, writes=False)
    assert failed(checks) == [] and [check.name for check in checks if check.result == "skipped"] == ["lock"]
    assert not [
        operation for _s, operation, _a in world.network.calls if operation in ("UpdateItem", "PutItem")
    ]


def _wrong_node(world: Automated, _account: Account) -> None:
    world.address = world.nodes["hub-b"].instance_id


def _deny(operation: str) -> Callable[[Automated, Account], None]:
    return lambda world, account: world.network.denied.add(operation)


@pytest.mark.parametrize(
    ("trouble", "names"),
    [
        (_deny("dynamodb:GetItem"), ["record"]),
        (_deny("dynamodb:UpdateItem"), ["lock"]),
        (_deny("dynamodb:DescribeTable"), ["table"]),
        (_deny("ssm:SendCommand"), ["run command"]),
        (_deny("ec2:DescribeInstances"), ["fence hub-a", "fence hub-b"]),
        (_deny("ec2:DescribeAddresses"), ["elastic_ip eipalloc-0123456789abcdef0"]),
        (_deny("cloudwatch:DescribeAlarmsForMetric"), ["alarm"]),
        (lambda w, a: setattr(w, "stop_error", "UnauthorizedOperation"), ["fence hub-a", "fence hub-b"]),
        (lambda w, a: w.dynamo.replicas.append({"RegionName": "eu-west-1"}), ["table"]),
        (lambda w, a: setattr(w.nodes["hub-b"], "online", False), ["run command hub-b", "standby", "agent hub-b"]),
        (lambda w, a: w.nodes["hub-b"].eligible.update(mounted=False), ["standby"]),
        (lambda w, a: w.nodes["hub-a"].detail.update(record="unreadable"), ["record from hub-a"]),
        (lambda w, a: setattr(w.nodes["hub-a"], "product", "stopped"), ["service"]),
        (lambda w, a: w.alarm("ALARM"), ["alarm"]),
        (_wrong_node, ["elastic_ip eipalloc-0123456789abcdef0"]),
        (lambda w, a: setattr(a, "there", False), ["function"]),
        (lambda w, a: setattr(a, "error", "AccessDeniedException"), ["function"]),
        (lambda w, a: a.variables.update(HOTSTANDBY_PAIR="{}"), ["function"]),
        (lambda w, a: a.states.update({f"{ALARM}-alarm": "DISABLED"}), [f"rule {ALARM}-alarm"]),
        (lambda w, a: a.permitted.pop(), [f"rule {ALARM}-reconcile"]),
        (lambda w, a: a.targets.clear(), [f"rule {ALARM}-alarm", f"rule {ALARM}-reconcile"]),
        (lambda w, a: setattr(a, "subscriptions", ["PendingConfirmation"]), ["people"]),
    ],
)  # fmt: skip
def test_each_thing_that_is_broken_is_named(trouble: Any, names: list[str]) -> None:
    world, account = well()
    trouble(world, account)
    found = failed(drilled(world, account))
    assert [name for name in found if name != "function's own look"] == names


def test_a_pair_without_automation_is_no_failure_and_a_pause_is() -> None:
    world, account = well()
    world.cloudwatch.alarms, world.cloudwatch.points, account.there = [], [], False
    assert failed(drilled(world, account)) == []
    set_pause(world.ports().store, True, "akira", "storage work")
    checks = drilled(world, account)
    assert failed(checks) == ["record"] and "storage work" in checks[0].detail


def test_the_report_says_what_to_do_below_what_failed() -> None:
    world, account = well()
    world.nodes["hub-b"].eligible.update(mounted=False)
    told = lines(drilled(world, account))
    index = next(number for number, line in enumerate(told) if line.startswith("NO"))
    assert "standby" in told[index] and told[index + 1].strip().startswith("-> mend")
