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
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import timing
from ansible_collections.hotstandby.ops.plugins.module_utils.drill import Check, Drill, lines, patience
from ansible_collections.hotstandby.ops.plugins.module_utils.lease import Holder
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import rights
from ansible_collections.hotstandby.ops.plugins.module_utils.tried import NEVER, calls

from tests.simulation.automation import ALARM, TOPIC, Automated
from tests.simulation.aws import client_error
from tests.unit.roles.test_function_rights import GRANTED

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
        self.denied: set[str] = set()  # of the function's own rights
        self.patterns = {f"{ALARM}-alarm": f"arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:{ALARM}"}
        self.older = False  # a build that answers a test event with less
        self.error = ""

    def get_function_configuration(self, **arguments: Any) -> Any:
        assert arguments == {"FunctionName": ALARM}
        if self.error:
            raise client_error(self.error, "GetFunctionConfiguration")
        if not self.there:
            raise client_error("ResourceNotFoundException", "GetFunctionConfiguration", 404)
        return {"FunctionArn": ARN, "Environment": {"Variables": self.variables}}

    def describe_rule(self, **arguments: Any) -> Any:
        name = arguments["Name"]
        cause = (
            {"EventPattern": json.dumps({"resources": [self.patterns[name]]})}
            if name in self.patterns
            else {"ScheduleExpression": "rate(1 minute)"}
        )
        return {"Arn": f"{RULE}{name[len(ALARM) :]}", "State": self.states[name], **cause}

    def list_targets_by_rule(self, **_arguments: Any) -> Any:
        return {"Targets": [{"Id": "f", "Arn": arn} for arn in self.targets]}

    def get_policy(self, **_arguments: Any) -> Any:
        statements = [
            {"Effect": "Allow", "Condition": {"ArnLike": {"AWS:SourceArn": arn}}} for arn in self.permitted
        ]
        return {"Policy": json.dumps({"Statement": statements})}

    def invoke(self, **arguments: Any) -> Any:
        network = self.world.network
        network.denied, theirs = self.denied, network.denied
        answer = self.world.invoke(json.loads(arguments["Payload"]))
        network.denied = theirs
        if self.older:
            del answer["checks"]
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

    before, events, already = world.record(), list(world.events), len(world.network.calls)
    items = {key: item for key, item in world.dynamo.items.items() if key[1] != "record"}
    checks = Drill(world.pair(), world.ports(), client, "keiko@admin/1", ALARM, writes).run()
    after = world.record()
    assert (after.active, after.epoch, after.state, after.move, after.lease) == (
        before.active, before.epoch, before.state, before.move, before.lease,
    )  # fmt: skip
    assert {key: item for key, item in world.dynamo.items.items() if key[1] != "record"} == items
    assert world.events == events and world.messages == []
    made = world.network.calls[already:]
    sent = [a["Parameters"]["Action"] for _s, operation, a in made if operation == "SendCommand"]
    assert all(action == ["look"] for action in sent) and len(sent) <= 3, "nothing but looks"
    changes = ("StopInstances", "AssociateAddress")
    assert all(a["DryRun"] is True for _s, operation, a in made if operation in changes)
    return checks


def failed(checks: list[Check]) -> list[str]:
    assert all(bool(check.mend) is check.failed for check in checks if check.result != "skipped"), checks
    return [check.name for check in checks if check.failed]


def meant(world: Automated) -> list[str]:
    """The writes whose condition can hold."""
    return [
        operation
        for _s, operation, a in world.network.calls
        if operation in ("UpdateItem", "PutItem") and a.get("ConditionExpression") != NEVER
    ]


def test_a_pair_that_is_well_passes_and_nothing_was_changed_but_the_lock() -> None:
    world, account = well()
    checks = drilled(world, account)
    assert failed(checks) == [] and len(checks) >= 18, lines(checks)
    assert meant(world) == ["UpdateItem", "UpdateItem"]


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
    assert meant(world) == []


def _wrong_node(world: Automated, _account: Account) -> None:
    world.address = world.nodes["hub-b"].instance_id


def _deny(operation: str) -> Callable[[Automated, Account], None]:
    return lambda world, account: world.network.denied.add(operation)


@pytest.mark.parametrize(
    ("trouble", "names"),
    [
        (_deny("dynamodb:GetItem"), ["record"]),
        (_deny("dynamodb:UpdateItem"), ["lock", "write"]),
        (_deny("dynamodb:PutItem"), ["write"]),
        (_deny("dynamodb:Query"), ["history"]),
        (_deny("ssm:ListCommandInvocations"), ["run command"]),
        (_deny("ec2:DescribeInstanceAttribute"), ["fence hub-a", "fence hub-b"]),
        (_deny("ec2:AssociateAddress"), ["move elastic_ip eipalloc-0123456789abcdef0"]),
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
        (lambda w, a: a.patterns.update({f"{ALARM}-alarm": "arn:aws:cloudwatch:r:1:alarm:another"}), [f"rule {ALARM}-alarm"]),
        (lambda w, a: a.patterns.update({f"{ALARM}-alarm": f"arn:aws:cloudwatch:r:1:alarm:{ALARM}-2"}), [f"rule {ALARM}-alarm"]),
        (lambda w, a: a.patterns.update({f"{ALARM}-reconcile": "x"}), [f"rule {ALARM}-reconcile"]),
        (lambda w, a: a.permitted.pop(), [f"rule {ALARM}-reconcile"]),
        (lambda w, a: a.targets.clear(), [f"rule {ALARM}-alarm", f"rule {ALARM}-reconcile"]),
        (lambda w, a: setattr(a, "subscriptions", ["PendingConfirmation"]), ["people"]),
    ],
)  # fmt: skip
def test_each_thing_that_is_broken_is_named(trouble: Any, names: list[str]) -> None:
    world, account = well()
    trouble(world, account)
    found = failed(drilled(world, account))
    assert [name for name in found if not name.startswith("function's")] == names


# what has no dry run, and why a drill may leave it out
UNTRIED = {
    "ssm:CancelCommand": "ends a command that takes too long; without it the command ends by itself",
    "ssm:GetCommandInvocation": "only for an answer that the listing had to cut",
    "cloudwatch:PutMetricData": "one figure of an ended move; no move needs it",
    "sns:Publish": "whether anybody would get it is asked of the topic",
}
MINE = sorted(
    action
    for action in rights("drill")
    if action.partition(":")[0] in ("dynamodb", "ssm", "ec2", "cloudwatch") and action not in UNTRIED
    # of other kinds of addresses, which have a test each
    and not any(word in action for word in ("Interface", "Private", "Route"))
)  # fmt: skip


@pytest.mark.parametrize("action", MINE)
def test_each_right_of_who_drills_is_tried(action: str) -> None:
    world, account = well()
    _deny(action)(world, account)
    assert failed(drilled(world, account)), action


@pytest.mark.parametrize(
    "action", [action for action in GRANTED if action.partition(":")[0] not in ("sqs", "logs")]
)
def test_each_right_of_the_function_is_tried_by_the_function(action: str) -> None:
    world, account = well()
    account.denied = {action}
    found = failed(drilled(world, account))
    if action in UNTRIED or action == "ec2:DescribeNetworkInterfaces":
        assert found == []
        return
    assert found and all(name.startswith("function's") for name in found), found


def test_an_ailing_service_is_named_once_and_asked_again_before_anybody_mends_rights() -> None:
    world, account = well()
    world.network.down = {"ec2"}
    checks = drilled(world, account)
    names = [name for name in failed(checks) if name != "function's own look"]
    address = "elastic_ip eipalloc-0123456789abcdef0"
    assert names == ["fence hub-a", "fence hub-b", address, f"move {address}"]
    assert all(check.mend.startswith("drill again") for check in checks if check.name in names)
    world, account = well()
    world.network.denied = {"ec2:DescribeAddresses"}
    (check,) = [check for check in drilled(world, account) if check.name == address]
    assert check.mend == "let the caller read this address"


def test_a_function_of_an_older_build_proves_less_and_that_is_said() -> None:
    world, account = well()
    account.older = True
    checks = drilled(world, account)
    assert failed(checks) == ["function's rights"]
    (check,) = [one for one in checks if one.failed]
    assert "older build" in check.detail and "hotstandby.ops.automation" in check.mend


@pytest.mark.parametrize("changes", [{}, {"timeouts": {"confirm": 120}}, {"profile": "fast"}])
def test_the_function_is_waited_for_while_it_waits_for_a_silent_node(changes: dict[str, Any]) -> None:
    """Else its answer is lost, it is invoked a second time, and its build is blamed."""
    world, _account = well()
    world.raw.update(changes)
    world.nodes["hub-b"].frozen = True
    began = world.clock.monotonic()
    answer = world.invoke({"hotstandby": {"action": "test", "pair": "hub-prod"}})
    took = world.clock.monotonic() - began
    assert answer["outcome"] == "test" and took > world.pair().timeouts.confirm
    assert timing(patience(world.pair()))["read_timeout"] > took + 5, "a cold start takes its time too"


def test_a_move_at_work_does_not_lose_its_lease_to_a_drill() -> None:
    """Its first steps are taken while the record is steady still."""
    world, _account = well()
    store = world.ports().store
    holder = Holder(store, world.clock, world.record(), "keiko's move", 30.0)
    holder.write()

    def renew() -> None:
        holder.keep()
        world.clock.at(5.0, renew)

    world.clock.at(5.0, renew)
    checks = Drill(world.pair(), world.ports(), world.client, "akira", ALARM).run()
    (lock,) = [check for check in checks if check.name == "lock"]
    assert (lock.result, "keiko's move" in lock.detail) == ("no", True), lock
    holder.write()  # raises LeaseLost where a drill took it


def test_a_pair_without_automation_is_no_failure_and_a_pause_is() -> None:
    world, account = well()
    world.cloudwatch.alarms, world.cloudwatch.points, account.there = [], [], False
    assert failed(drilled(world, account)) == []
    set_pause(world.ports().store, True, "akira", "storage work")
    checks = drilled(world, account)
    assert failed(checks) == ["record"] and "storage work" in checks[0].detail
    assert {"standby", "fence hub-b", "lock"} <= {check.name for check in checks}, (
        "the rest is tried all the same"
    )


def test_of_a_pair_that_is_not_steady_only_that_is_said() -> None:
    world, _account = well()
    world.ports().store.update(world.record(), state="broken", active=None)
    (check,) = Drill(world.pair(), world.ports(), world.client, "keiko", ALARM).run()
    assert "broken" in check.detail and "nothing else was tried" in check.detail and "failover" in check.mend


def test_a_pair_with_requests_lists_their_bucket() -> None:
    world, account = well()
    world.raw["requeue"] = {"bucket": "requests"}
    account.variables["HOTSTANDBY_PAIR"] = json.dumps(world.raw)
    asked: list[dict[str, Any]] = []

    class S3:
        def list_objects_v2(self, **arguments: Any) -> Any:
            asked.append(arguments)
            if len(asked) > 1:
                raise client_error("AccessDenied", "ListObjectsV2", 403)
            return {}

    for result in ("yes", "unknown"):
        (check,) = [
            one
            for one in calls(world.pair(), world.ports(), lambda name: S3() if name == "s3" else world.client(name), world.record())
            if one.name == "requests in requests"
        ]  # fmt: skip
        assert check.result == result, check
    assert asked[0] == {"Bucket": "requests", "Prefix": "processing/", "MaxKeys": 1}


def test_the_report_says_what_to_do_below_what_failed() -> None:
    world, account = well()
    world.nodes["hub-b"].eligible.update(mounted=False)
    told = lines(drilled(world, account))
    index = next(number for number, line in enumerate(told) if line.startswith("NO"))
    assert "standby" in told[index] and told[index + 1].strip().startswith("-> mend")
    assert told[-1].endswith("not well: standby") or "standby, " in told[-1]
