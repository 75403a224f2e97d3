# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated table judges a condition as dynalite does, and refuses what it refuses; moto lets too much pass."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import error_code
from ansible_collections.hotstandby.ops.plugins.module_utils.store import LATER

from tests.simulation.aws import Clock, Dynamo, Network
from tests.simulation.conditions import Invalid, holds

KEY = {"pair": {"S": "conditions"}, "item": {"S": "one"}}
LOST, REFUSED, DONE = "ConditionalCheckFailedException", "ValidationException", None
NULL = {":nulltype": {"S": "NULL"}}
ENDED = {":ended": {"N": "10"}, **NULL}
FREE = "(attribute_not_exists(#ended) OR attribute_type(#ended, :nulltype))"
# (item that stands there, condition, values, outcome)
CASES: dict[str, tuple[dict[str, Any] | None, str, dict[str, Any], str | None]] = {
    "no item": (None, LATER, ENDED, DONE),
    "no attribute": ({}, LATER, ENDED, DONE),
    "null": ({"ended": {"NULL": True}}, LATER, ENDED, DONE),
    "earlier": ({"ended": {"N": "9.5"}}, LATER, ENDED, DONE),
    "the same": ({"ended": {"N": "10.0"}}, LATER, ENDED, DONE),
    "later": ({"ended": {"N": "10.000001"}}, LATER, ENDED, LOST),
    "a longer number is not a later text": ({"ended": {"N": "9"}}, LATER, ENDED, DONE),
    "another type": ({"ended": {"S": "1"}}, LATER, ENDED, LOST),
    "text": ({"ended": {"S": "9"}}, "#ended <= :ended", {":ended": {"S": "10"}}, LOST),
    "text in order": ({"ended": {"S": "10"}}, "#ended <= :ended", {":ended": {"S": "9"}}, DONE),
    "equal numbers": ({"ended": {"N": "10.0"}}, "#ended = :ended", {":ended": {"N": "10"}}, DONE),
    "nothing equals nothing": ({}, "#ended = :ended", {":ended": {"NULL": True}}, LOST),
    "null equals null": ({"ended": {"NULL": True}}, "#ended = :ended", {":ended": {"NULL": True}}, DONE),
    "exists": ({"ended": {"NULL": True}}, "attribute_exists(#ended)", {}, DONE),
    "exists not": (None, "attribute_exists(#ended)", {}, LOST),
    # AND before OR: the first alone is enough
    "and before or": (
        {"ended": {"N": "1"}},
        "attribute_exists(#ended) OR #ended = :a AND #ended = :b",
        {":a": {"N": "2"}, ":b": {"N": "3"}},
        DONE,
    ),
    "parentheses": (
        {"ended": {"N": "1"}},
        "(attribute_exists(#ended) OR #ended = :a) AND #ended = :b",
        {":a": {"N": "2"}, ":b": {"N": "3"}},
        LOST,
    ),
    "parentheses around all": ({}, FREE, NULL, DONE),
    "redundant parentheses": ({}, f"({FREE})", NULL, REFUSED),
    "a value that is not used": ({}, "attribute_not_exists(#ended)", NULL, REFUSED),
    "a value that is not given": ({}, LATER, NULL, REFUSED),
    "no name of a type": (None, FREE, {":nulltype": {"S": "NOTHING"}}, REFUSED),
    "a type that is no text": (None, FREE, {":nulltype": {"N": "1"}}, REFUSED),
}


@pytest.fixture(params=["simulated", pytest.param("dynalite", marks=pytest.mark.dynalite)])
def strict(request: pytest.FixtureRequest) -> Any:
    if request.param == "simulated":
        return Dynamo(Network(Clock(), 0.0), "hotstandby")
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("case", CASES)
def test_a_condition(case: str, strict: Any) -> None:
    item, condition, values, outcome = CASES[case]
    strict.delete_item(TableName="hotstandby", Key=KEY)
    if item is not None:
        strict.put_item(TableName="hotstandby", Item={**KEY, **item})
    given = {"ExpressionAttributeValues": values} if values else {}
    found = None
    try:
        strict.put_item(
            TableName="hotstandby",
            Item={**KEY, "written": {"BOOL": True}},
            ConditionExpression=condition,
            ExpressionAttributeNames={"#ended": "ended"},
            **given,
        )
    except Exception as error:
        found = error_code(error)
    assert found == outcome


@pytest.mark.parametrize("text", ["#a <> :b", "size(#a) = :b", "a = :b", "#a = b", "#a = :b)", "NOT #a = :b"])
def test_what_the_simulated_table_does_not_know_fails_the_test(text: str) -> None:
    with pytest.raises(AssertionError):
        holds(
            text,
            {},
            {
                "ConditionExpression": text,
                "ExpressionAttributeNames": {"#a": "a"} if "#a" in text else {},
                "ExpressionAttributeValues": {":b": {"N": "1"}} if ":b" in text else {},
            },
        )


def test_what_has_no_order_is_refused() -> None:
    """So says DynamoDB; dynalite lets it pass."""
    given = {**NULL, ":ended": {"BOOL": True}}
    with pytest.raises(Invalid, match="<= compares no BOOL"):
        holds(
            LATER,
            {},
            {
                "ConditionExpression": LATER,
                "ExpressionAttributeNames": {"#ended": "ended"},
                "ExpressionAttributeValues": given,
            },
        )
