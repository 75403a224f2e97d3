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


def granted() -> set[str]:
    """The actions that the role's policy allows for the simulation's pair."""
    environment = jinja2.Environment(trim_blocks=True, autoescape=False)
    filters = FilterModule().filters()
    environment.filters.update({name: filters[name] for name in ("regex_replace", "to_nice_json")})
    text = environment.from_string((TEMPLATES / "policy.json.j2").read_text(encoding="utf-8")).render(
        hotstandby_pair=PAIR,
        __failover_automation_prefix="arn:aws",
        __failover_automation_here="ap-northeast-1:123456789012",
        __failover_automation_topic="arn:topic",
        __failover_automation_queue_arn="arn:queue",
        __failover_automation_log_group="/aws/lambda/x",
    )
    return {action for statement in json.loads(text)["Statement"] for action in statement["Action"]}


GRANTED = sorted(granted())


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
