# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as data: what each party may do, and nothing more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import GRANTS, policy, rights

from tests.simulation.world import World

PAIR: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"etc": "/shared/hub/etc", "exe": "/opt/hub/bin"},
    "nodes": [
        {"name": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"},
        {"name": "hub-b", "instance_id": "i-0bbbbbbbbbbbbbbbb"},
    ],
    "fencing": {"method": "ec2_stop"},
    "redirect": [{"kind": "elastic_ip", "allocation_id": "eipalloc-0123456789abcdef0"}],
}


def statements(party: str, **pair: Any) -> dict[str, dict[str, Any]]:
    found = policy(parse_pair({**PAIR, **pair}), party, "123456789012")
    assert found["Version"] == "2012-10-17"
    return {statement["Sid"]: statement for statement in found["Statement"]}


@pytest.mark.parametrize("party", GRANTS)
def test_a_policy_is_a_document_that_iam_takes(party: str) -> None:
    found = statements(party)
    # each statement has its own name
    wanted = [grant for grant in GRANTS[party] if grant.needs in ("", "ec2_stop", "elastic_ip")]
    assert len(found) == len(wanted)
    assert len(json.dumps(list(found.values()))) < 6144  # the size that a managed policy may have
    for statement in found.values():
        assert statement["Effect"] == "Allow" and statement["Action"]
        assert "*" not in "".join(statement["Action"])


def test_a_node_stops_no_instance_and_orders_nobody() -> None:
    own = {"dynamodb:GetItem", "dynamodb:PutItem", "cloudwatch:PutMetricData"}
    assert rights("node") == own | {"lambda:InvokeFunction"}
    assert {action for one in statements("node").values() for action in one["Action"]} == own


def test_a_node_of_profile_fast_may_call_its_pairs_function_and_no_other() -> None:
    found = statements("node", profile="fast")["CallFunction"]
    assert found["Action"] == ["lambda:InvokeFunction"]
    assert found["Resource"] == ["arn:aws:lambda:ap-northeast-1:123456789012:function:hotstandby-hub-prod"]


def test_a_node_puts_the_published_metric_only_where_it_is_chosen() -> None:
    assert "TellPublished" not in statements("node")
    found = statements("node", published_metric=True)["TellPublished"]
    assert found["Condition"] == {"StringEquals": {"cloudwatch:namespace": "MyApp"}}


def test_a_pair_with_requests_moves_them_and_nothing_beside_them() -> None:
    found = statements("controller", requeue={"bucket": "orders", "target_prefix": "again"})
    assert found["ListRequests"]["Resource"] == ["arn:aws:s3:::orders"]
    assert found["TakeRequests"]["Resource"] == ["arn:aws:s3:::orders/processing/*"]
    assert found["PutRequests"]["Resource"] == ["arn:aws:s3:::orders/again/*"]
    assert "s3:DeleteObject" not in found["PutRequests"]["Action"]


# the right that a call of S3 needs, where it has another name; a copy is told by its source and its target
S3_RIGHTS = {"ListObjectsV2": "ListBucket", "HeadObject": "GetObject", "DeleteObjects": "DeleteObject"}


def test_who_moves_may_what_a_move_calls() -> None:
    """Every kind of end of a move, and every signal that is asked for on the way."""
    seen: set[str] = set()
    requests = {"bucket": "requests"}
    for trouble in ("killed", "frozen", "frozen and the alarm is OK", "well"):
        world = World(requeue=requests).steady()
        world.s3.put("processing/1-request.json", b"{}")
        if trouble == "killed":
            world.product(world.nodes["hub-a"], "stopped")
        world.nodes["hub-a"].frozen = trouble.startswith("frozen")
        state = "OK" if trouble.endswith("OK") else "ALARM"
        world.cloudwatch.alarms = [
            {"AlarmName": "it", "StateValue": state, "Period": 60, "EvaluationPeriods": 5}
        ]
        world.run(mode="switchover" if trouble == "well" else "failover")
        seen |= set(world.network.names())
        seen |= {f"s3:{S3_RIGHTS.get(name, name)}" for name, _given in world.s3.calls if name != "CopyObject"}
    assert {"cloudwatch:GetMetricStatistics", "s3:ListBucket", "ec2:StopInstances"} <= seen, seen
    given = policy(parse_pair({**PAIR, "requeue": requests}), "controller")["Statement"]
    allowed = {action for statement in given for action in statement["Action"]}
    assert seen <= allowed, f"not allowed: {sorted(seen - allowed)}"


def test_who_looks_changes_nothing() -> None:
    writes = [
        right
        for right in rights("viewer")
        if not right.partition(":")[2].startswith(("Get", "List", "Query"))
    ]
    assert writes == ["ssm:SendCommand"]  # the node answers `look`; what it may be asked is the document's


def test_writes_are_bound_to_what_is_meant() -> None:
    found = statements("controller")
    assert found["Fence"]["Resource"] == [
        "arn:aws:ec2:ap-northeast-1:123456789012:instance/i-0aaaaaaaaaaaaaaaa",
        "arn:aws:ec2:ap-northeast-1:123456789012:instance/i-0bbbbbbbbbbbbbbbb",
    ]
    assert found["WriteRecord"]["Resource"] == [
        "arn:aws:dynamodb:ap-northeast-1:123456789012:table/hotstandby"
    ]
    assert found["WriteRecord"]["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["hub-prod"]}
    }
    assert "arn:aws:ssm:ap-northeast-1:123456789012:document/HotStandbyNode" in found["AskNodes"]["Resource"]
    address = "arn:aws:ec2:ap-northeast-1:123456789012:elastic-ip/eipalloc-0123456789abcdef0"
    assert address in found["MoveAddress"]["Resource"]
    assert found["TellMetric"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "HotStandby"}}


def test_only_what_the_pair_needs() -> None:
    found = statements("controller", redirect=[], fencing={"method": "command", "command": ["fence_ipmilan"]})
    assert not {"Fence", "MoveAddress", "KnowAddress"} & set(found)
    managed = [{"name": "hub-a", "instance_id": "mi-0aaaaaaaaaaaaaaaa"}, PAIR["nodes"][1]]
    asked = statements("viewer", nodes=managed, redirect=[], fencing={"method": "none"})["AskNodes"]
    assert (
        "arn:aws:ssm:ap-northeast-1:123456789012:managed-instance/mi-0aaaaaaaaaaaaaaaa" in asked["Resource"]
    )


def test_every_kind_of_address_has_its_rights() -> None:
    arn = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/hub/0123456789abcdef"
    found = statements(
        "controller",
        redirect=[
            {"kind": "private_ip", "address": "10.0.0.10"},
            {"kind": "route_table", "route_table_id": "rtb-0123456789abcdef0", "destination": "10.99.0.1/32"},
            {"kind": "route53", "zone_id": "Z0123456789", "record": "hub.example.internal"},
            {"kind": "target_group", "target_group_arn": arn},
        ],
    )
    assert found["MoveName"]["Resource"] == ["arn:aws:route53:::hostedzone/Z0123456789"]
    assert found["MoveTarget"]["Resource"] == [arn]
    assert [one.rpartition("/")[2] for one in found["MoveRoute"]["Resource"]] == ["rtb-0123456789abcdef0"]
    assert "MovePrivateAddress" in found and "MoveAddress" not in found


def test_an_unknown_party_is_named() -> None:
    with pytest.raises(PairError, match="party: 'boss' is not one of controller, viewer"):
        policy(parse_pair(PAIR), "boss")
