# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook killed, frozen or run twice, through the real command lines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.attack.controller import commanded
from tests.integration.pair.rig import Rig, Run

pytestmark = pytest.mark.sandbox

POINTS = [
    # what is killed at, what the record then says: (state, the move's step or nothing)
    ({"call": "dynamodb:UpdateItem", "count": 1, "when": "after"}, "steady", "confirm"),
    ({"call": "dynamodb:UpdateItem", "holds": '"moving"', "when": "after"}, "moving", "stop"),
    ({"call": "ssm:SendCommand", "holds": '["stop"]', "when": "before"}, "moving", "stop"),
    ({"call": "ssm:SendCommand", "holds": '["stop"]', "when": "after"}, "moving", "stop"),
    ({"call": "ssm:SendCommand", "holds": '["start"]', "when": "before"}, "moving", "start"),
    ({"call": "ssm:SendCommand", "holds": '["start"]', "when": "after"}, "moving", "start"),
    ({"call": "ec2:AssociateAddress", "when": "before"}, "moving", "start"),
    ({"call": "dynamodb:PutItem", "when": "after"}, "moving", "start"),
]


def marked(rig: Rig, name: str, run: str, **extra: Any) -> Run:
    return rig.begin(name, env={"SANDBOX_RUN": f"{rig.state}:{run}"}, **extra)


def history(rig: Rig) -> list[dict[str, Any]]:
    """The history items as they stand."""
    pair = rig.info["pair"]
    found: list[dict[str, Any]] = rig.client("dynamodb").query(
        TableName=pair["table"],
        KeyConditionExpression="pair = :p AND begins_with(#i, :m)",
        ExpressionAttributeNames={"#i": "item"},
        ExpressionAttributeValues={":p": {"S": pair["name"]}, ":m": {"S": "move#"}},
    )["Items"]
    return found


@pytest.mark.parametrize(("point", "state", "step"), POINTS, ids=lambda value: str(value)[:60])
def test_a_killed_playbook_is_finished_by_the_same_again(
    rig: Rig, point: dict[str, Any], state: str, step: str
) -> None:
    rig.torment("hub-a", "product-kill")
    before = int(rig.record()["epoch"]["N"])
    rig.trap(act="kill", run="doomed", **point)
    killed = marked(rig, "failover", "doomed").end()
    assert killed.rc == -9 and killed.result == {}
    rig.until(rig.sprung)
    told = rig.playbook("status")
    result = told.result
    assert (result["state"], result["move"]["step"]) == (state, step), told.text
    assert result["active"] == ({"confirm": "hub-a", "stop": None, "start": "hub-b"}[step]), told.text
    assert result["lease"] and result["lease"] in told.text
    if state == "moving":
        assert commanded(result["next"]) == {"to": "hub-b"}, told.text
    finished = rig.failover()
    assert (finished.rc, finished.outcome) == (0, "moved"), finished.text
    record = rig.record()
    assert record["state"]["S"] == "steady" and int(record["epoch"]["N"]) > before
    assert rig.running() == ["hub-b"] and rig.active() == "hub-b"


def test_of_two_at_once_one_acts(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    both = [rig.begin("failover", by="akira"), rig.begin("failover", by="keiko")]
    played = [one.end() for one in both]
    outcomes = sorted(one.outcome for one in played)
    # on a busy machine the slower one may come when the other has finished: then it finds the new active well
    assert outcomes in (["moved", "refused"], ["moved", "not_confirmed"]), [one.text for one in played]
    if outcomes[1] == "refused":
        refused = next(one for one in played if one.outcome == "refused")
        winner = "keiko" if refused is played[0] else "akira"
        assert f"{winner}@" in refused.text, refused.text
    assert rig.running() == ["hub-b"]
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b"]


def test_a_second_one_is_refused_and_names_the_holder(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    rig.torment("hub-b", "agent-slow:2")
    first = rig.begin("failover", by="akira")
    rig.until(lambda: "M" in rig.record()["lease"])
    second = rig.failover(by="keiko")
    assert (second.rc != 0, second.outcome, second.result["changed"]) == (True, "refused", False), second.text
    assert "akira@" in second.text
    told = rig.playbook("status")
    assert ("akira@" in told.text and "wait: a move is at work" in told.text) or told.result["lease"] is None
    done = first.end()
    assert (done.rc, done.outcome) == (0, "moved"), done.text
    assert rig.running() == ["hub-b"]


FROZEN = [
    # the call in flight when the holder freezes: it is served only when the holder thaws
    ({"call": "dynamodb:UpdateItem", "count": 1}, "refused"),
    ({"call": "dynamodb:UpdateItem", "holds": '"moving"'}, "refused"),
    ({"call": "ssm:SendCommand", "holds": '["stop"]'}, "refused"),
    ({"call": "ssm:SendCommand", "holds": '["start"]'}, "refused"),
]


@pytest.mark.parametrize(("point", "outcome"), FROZEN, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("act", ["hold", "stop"])
def test_a_frozen_holder_changes_nothing_when_it_thaws(
    rig: Rig, point: dict[str, Any], outcome: str, act: str
) -> None:
    rig.torment("hub-a", "product-kill")
    rig.trap(act=act, run="frozen", **point)
    frozen = marked(rig, "failover", "frozen", by="akira")
    try:
        rig.until(rig.sprung)
        second = rig.failover(by="keiko")
        assert (second.rc, second.outcome) == (0, "moved"), second.text
        before, starts, past = rig.record(), rig.events("start", "stop"), history(rig)
        rig.ask("release", run="frozen")
        thawed = frozen.end(60)
    finally:
        rig.ask("release", run="frozen")
        frozen.process.kill()
    assert (thawed.rc != 0, thawed.outcome) == (True, outcome), thawed.text
    assert "keiko" in thawed.text or "lease" in thawed.text or "changed by" in thawed.text, thawed.text
    after = rig.record()
    assert {key: after[key] for key in ("active", "epoch", "state", "move", "lease")} == {
        key: before[key] for key in ("active", "epoch", "state", "move", "lease")
    }
    assert rig.running() == ["hub-b"] and rig.events("start", "stop") == starts
    assert history(rig) == past


@pytest.mark.parametrize("call", ["ssm:SendCommand", "ec2:AssociateAddress"])
def test_a_frozen_holder_of_a_move_that_was_undone(rig: Rig, call: str) -> None:
    """The late call of a move to hub-b comes when the service is at home on hub-a again."""
    holds = {"holds": '["start"]'} if call.startswith("ssm") else {}
    rig.torment("hub-a", "product-kill")
    rig.trap(call, "hold", run="frozen", **holds)
    frozen = marked(rig, "failover", "frozen", by="akira")
    try:
        rig.until(rig.sprung)
        assert rig.failover(by="keiko").outcome == "moved"
        home = rig.playbook("switchback", by="keiko")
        assert home.outcome == "moved", home.text
        rig.ask("release", run="frozen")
        thawed = frozen.end(60)
    finally:
        rig.ask("release", run="frozen")
        frozen.process.kill()
    assert (thawed.rc != 0, thawed.outcome) == (True, "refused"), thawed.text
    assert rig.running() == ["hub-a"] and rig.active() == "hub-a"
    # EC2 cannot tell that a call is late: the address may have gone, and status says which command fetches it
    told = rig.playbook("status").result
    strayed = call.startswith("ec2")
    assert commanded(told["next"]) == ({"to": "hub-a"} if strayed else {}), told["screen"]
    fetched = rig.failover(to="hub-a")
    assert (fetched.rc, fetched.outcome) == (0, "moved" if strayed else "unchanged"), fetched.text
    address = rig.client("ec2").describe_addresses()["Addresses"][0]["InstanceId"]
    assert address == rig.info["nodes"]["hub-a"]["instance_id"] and rig.events("stop") != []
