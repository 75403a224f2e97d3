# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights of the Lambda function, as role failover_automation writes them, against what the function really calls.

Each action is denied in turn: nothing is started in doubt, somebody hears of it, and once it is given the pair is well again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible.plugins.filter.core import FilterModule
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import policy

from tests.simulation.automation import Automated
from tests.simulation.world import PAIR
from tests.unit.core.test_function import killed, silent, well

TEMPLATES = Path(__file__).parents[3] / "roles" / "failover_automation" / "templates"
# what nothing in the simulation calls: Lambda itself does, or only another kind of pair does, and why
ELSEWHERE = {
    "sqs:SendMessage": "Lambda, with the function's role, for events that failed for good",
    "logs:CreateLogStream": "Lambda",
    "logs:PutLogEvents": "Lambda",
    "ssm:GetCommandInvocation": "only for an answer that the listing had to cut",
    "ec2:DescribeInstanceAttribute": "only before a switchover; the function's move is a failover",
    "ec2:DescribeNetworkInterfaces": "only with a private_ip",
}
SERVICES = {"monitoring": "cloudwatch"}


def statements(**changes: Any) -> list[dict[str, Any]]:
    """What the role's policy says for the simulation's pair, or one with these changes."""
    environment = jinja2.Environment(trim_blocks=True, autoescape=False)
    filters = FilterModule().filters()
    environment.filters.update({name: filters[name] for name in ("regex_replace", "to_nice_json")})
    text = environment.from_string((TEMPLATES / "policy.json.j2").read_text(encoding="utf-8")).render(
        hotstandby_pair={**PAIR, **changes},
        __failover_automation_prefix="arn:aws",
        __failover_automation_here="ap-northeast-1:123456789012",
        __failover_automation_topic="arn:topic",
        __failover_automation_queue_arn="arn:queue",
        __failover_automation_log_group="/aws/lambda/x",
    )
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def granted(found: list[dict[str, Any]]) -> dict[str, set[str]]:
    """{action: the resources that it may be done to}"""
    where: dict[str, set[str]] = {}
    for statement in found:
        on = statement["Resource"]
        for action in statement["Action"]:
            where.setdefault(action, set()).update([on] if isinstance(on, str) else on)
    return where


GRANTED = sorted(granted(statements()))
GROUP = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/hub/0123456789abcdef"
SHAPES: list[dict[str, Any]] = [
    {},
    {"profile": "fast"},
    {"requeue": {"bucket": "orders", "source_prefix": "taken"}},
    {"redirect": [{"kind": "private_ip", "address": "10.0.0.10"}]},
    {"redirect": [{"kind": "route53", "zone_id": "Z0123456789", "record": "hub.example.internal"}]},
    {"redirect": [{"kind": "target_group", "target_group_arn": GROUP}]},
    {
        "redirect": [
            {"kind": "route_table", "route_table_id": "rtb-0123456789abcdef0", "destination": "10.99.0.1/32"}
        ]
    },
    {"fencing": {"method": "none"}, "redirect": []},
]
# what the function does beside moving: it tells people, looks at the alarms for them, and Lambda acts in its name
ITS_OWN = {
    "sns:Publish",
    "sqs:SendMessage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "cloudwatch:DescribeAlarms",
}
NOT_ITS = {
    "ssm:CancelCommand",
    "ec2:StartInstances",
}  # it powers nothing on, and its commands end by their own limits


@pytest.mark.parametrize("changes", SHAPES)
def test_the_function_may_what_who_moves_may_for_every_kind_of_pair(changes: dict[str, Any]) -> None:
    """Two places say it, the role's template and the collection's data: they may not drift apart."""
    pair = parse_pair({**PAIR, **changes})
    mine, moves = (
        granted(statements(**changes)),
        granted(policy(pair, "controller", "123456789012")["Statement"]),
    )
    for action in ITS_OWN:
        assert mine.pop(action)
    for action in NOT_ITS & set(moves):
        del moves[action]
    spared = {"ec2:DescribeAddresses", "ec2:DescribeNetworkInterfaces"}  # read rights that every function has
    assert set(moves) <= set(mine) and set(mine) - set(moves) <= spared, set(mine) ^ set(moves)
    assert {action: mine[action] for action in moves} == moves


def called(world: Automated) -> set[str]:
    found = {
        f"{SERVICES.get(service, service)}:{operation}" for service, operation, _given in world.network.calls
    }
    return {"sns:Publish" if name.startswith("sns") else name for name in found}


def test_the_function_calls_what_it_may_and_may_what_it_calls() -> None:
    seen: set[str] = set()
    for make in (killed, silent, well):
        world = make()
        world.network.calls.clear()
        world.invoke(world.event())
        world.alarm("OK")
        world.minutes(2)
        seen |= called(world)
    lonely = well()  # an alarm that is OK, and a node that gives no answer: the datapoints are asked
    lonely.nodes["hub-a"].frozen = True
    lonely.network.calls.clear()
    lonely.invoke(lonely.event())
    seen |= called(lonely)
    assert seen <= set(GRANTED), f"not allowed: {sorted(seen - set(GRANTED))}"
    unused = set(GRANTED) - seen - set(ELSEWHERE)
    assert not unused, f"allowed for nothing: {sorted(unused)}"


@pytest.mark.parametrize("action", [action for action in GRANTED if action not in ELSEWHERE])
@pytest.mark.parametrize("make", [killed, silent])
def test_each_right_denied_in_turn(action: str, make: Any) -> None:
    world = make()
    service, _colon, operation = action.partition(":")
    world.network.denied = {f"{service}:{operation}"}
    answer = world.invoke(world.event())
    answers = [answer, *world.minutes(3)]
    assert world.overlaps == 0 and all(isinstance(one, dict) for one in answers)
    record = world.record()
    if record.active != "hub-b" or record.pending:
        # it did not get there: people hear of it, or, when that is the very thing denied, the log says so
        heard = world.messages if action != "sns:Publish" else [one["log"] for one in answers if one["log"]]
        assert heard, answers
    if action == "sns:Publish":
        assert any("SNS" in line for one in answers for line in one["log"])
    world.network.denied = set()
    world.minutes(8)
    record = world.record()
    assert (record.active, record.state, record.pending) == ("hub-b", "steady", ()), answers
    assert [node for _time, node, what in world.events if what == "start"][
        -1
    ] == "hub-b" and world.overlaps == 0
