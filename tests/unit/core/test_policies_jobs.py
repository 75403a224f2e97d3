# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job observer's policies: each right is one that some call needs, each call of a worker is granted, and nothing beyond its own."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.policies_jobs import (
    GRANTS,
    PARTIES,
    parse,
    policy,
)

ROOT = Path(__file__).resolve().parents[3]
NODE = ROOT / "plugins" / "module_utils" / "node"
PLACE = {
    "name": "jobs",
    "region": "ap-northeast-1",
    "account": "123456789012",
    "program": "programs/jobs/hotstandby.pyz",
}
CALL = re.compile(r"(receive|delete|change|set|complete|put|create|send|record|describe|get|list)_[a-z_]+")
CLIENTS = ("client", "self._client")


def statements(party: str, **place: str) -> dict[str, dict[str, Any]]:
    found = policy(parse({**PLACE, **place}), party)
    assert found["Version"] == "2012-10-17" and len(json.dumps(found)) < 6144
    return {statement["Sid"]: statement for statement in found["Statement"]}


def rights(party: str) -> set[str]:
    return {action for grant in GRANTS[party] for action in grant.actions}


def called() -> set[str]:
    """The rights of the calls that `consume` makes: methods of boto3's clients, and their names where they are handed on."""
    found: set[str] = set()
    for name in ("queue.py", "queue_report.py", "stay.py"):
        for one in ast.walk(ast.parse((NODE / name).read_text(encoding="utf-8"))):
            if not isinstance(one, ast.Call):
                continue
            names = [arg.value for arg in one.args[:1] if isinstance(arg, ast.Constant)]
            if (
                isinstance(one.func, ast.Attribute)
                and not isinstance(one.func.value, ast.Attribute | ast.Name)
            ) or (isinstance(one.func, ast.Attribute) and ast.unparse(one.func.value) in CLIENTS):
                names.append(one.func.attr)
            # a batch needs the right of the single call
            found |= {
                "".join(part.capitalize() for part in str(word).replace("_batch", "").split("_"))
                for word in names
                if CALL.fullmatch(str(word))
            }
    return found


def test_each_right_of_a_worker_is_used_and_each_call_is_granted() -> None:
    granted = {right.partition(":")[2] for right in rights("worker")}
    assert called() | {"GetObject"} == granted


def test_each_right_of_a_schedule_is_that_of_a_target() -> None:
    template = (ROOT / "roles" / "job_observer" / "templates" / "schedules.json.j2").read_text(
        encoding="utf-8"
    )
    for right in rights("schedule"):
        service, action = right.split(":")
        assert f"'{service}:{action[0].lower()}{action[1:]}'" in template
    assert template.count("'action': '") == len(rights("schedule"))


def test_everything_is_bound_to_the_one_observer() -> None:
    here = "ap-northeast-1:123456789012"
    worker, schedule = statements("worker"), statements("schedule")
    assert {sid: one["Resource"] for sid, one in worker.items()} == {
        "Work": f"arn:aws:sqs:{here}:jobs",
        "Log": f"arn:aws:logs:{here}:log-group:/hotstandby/jobs:*",
        "TellMetric": "*",
        "Stay": f"arn:aws:autoscaling:{here}:autoScalingGroup:*:autoScalingGroupName/jobs",
        "Program": "arn:aws:s3:::programs/jobs/hotstandby.pyz",
    }
    assert worker["TellMetric"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "HotStandby"}}
    assert schedule["Send"]["Resource"] == f"arn:aws:sqs:{here}:jobs"
    assert schedule["Dead"]["Resource"] == f"arn:aws:sqs:{here}:jobs-dead"
    for party in PARTIES:
        for one in statements(party).values():
            assert one["Effect"] == "Allow" and "*" not in "".join(one["Action"])


def test_a_program_of_the_users_image_needs_no_right_to_read_it() -> None:
    assert set(statements("worker")) - set(statements("worker", program="")) == {"Program"}


def test_china_has_its_own_names() -> None:
    found = statements("worker", region="cn-north-1", partition="aws-cn")
    assert all(one["Resource"].startswith("arn:aws-cn:") for sid, one in found.items() if sid != "TellMetric")


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "a*"), ("name", ""), ("region", "x:y"), ("account", "12"), ("program", "bucket/*"), ("program", "bucket")],
)  # fmt: skip
def test_what_would_widen_a_policy_is_refused_by_name(field: str, value: str) -> None:
    with pytest.raises(PairError, match=f"^{field}: "):
        parse({**PLACE, field: value})


def test_an_unknown_party_is_refused() -> None:
    with pytest.raises(PairError, match=r"^party: 'controller' is not one of worker, schedule"):
        policy(parse(PLACE), "controller")
