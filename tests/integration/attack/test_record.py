# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record that is old, gone, unreadable or of another version, and a product that somebody started by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.attack.controller import Controller, Crash
from tests.integration.attack.nodes import epoch_of, order, rewrite, start_bare
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


@pytest.fixture
def spoiled(sandbox: Rig) -> Iterator[Rig]:
    """As `rig`, for a test in which a person makes two run."""
    sandbox.reset()
    yield sandbox
    sandbox.reset()


def nothing_moves(rig: Rig, runs: str, says: str) -> None:
    """Nothing starts, nothing stops, and everybody says why."""
    events = rig.events("start", "stop")
    for name in rig.names:
        if name != runs:
            assert rig.on(name, "start")["rc"] == 5
            assert rig.on(name, "boot")["rc"] == 5
    for name in rig.names:
        rig.on(name, "healthcheck")
    for mode in ("failover", "switchover"):
        result = Controller(rig, "one").move(mode=mode)
        assert result.failed and not result.changed and says in result.message, result.message
    assert rig.events("start", "stop") == events and rig.running() == [runs]


def test_a_restored_record_moves_nothing_until_deploy(rig: Rig) -> None:
    assert Controller(rig, "one").move(mode="switchover").outcome == "moved"
    new = epoch_of(rig)
    rig.torment("aws", "record-restored")
    assert epoch_of(rig) < new and rig.active() == "hub-a"
    nothing_moves(rig, "hub-b", "restored from a backup")
    told = rig.playbook("status")
    assert "restored" in told.text or "stop the service on both nodes" in told.text, told.text
    assert "hotstandby.ops.deploy" in told.result["next"]
    assert rig.on("hub-b", "stop", "--reason", "the record is old")["state"] == "stopped"
    mended = rig.begin("deploy").end()
    assert mended.rc == 0, mended.text
    assert epoch_of(rig) > new
    active = rig.active()
    if active is None:
        played = rig.failover(to="hub-b")
        assert (played.rc, played.outcome) == (0, "moved"), played.text
    else:
        assert rig.on(active, "start")["rc"] == 0
    assert rig.running() == [rig.active()]


def test_a_record_that_is_gone_moves_nothing_until_deploy(rig: Rig) -> None:
    before, pair = epoch_of(rig), rig.info["pair"]
    key = {"pair": {"S": pair["name"]}, "item": {"S": "record"}}
    rig.client("dynamodb").delete_item(TableName=pair["table"], Key=key)
    nothing_moves(rig, "hub-a", "has no record")
    told = rig.playbook("status")
    assert told.rc != 0 and "MISSING" in told.text and "hotstandby.ops.deploy" in told.text
    starts = rig.events("start")
    mended = rig.begin("deploy").end()
    assert mended.rc == 0, mended.text
    # what runs is adopted, not restarted
    assert rig.active() == "hub-a" and epoch_of(rig) > before and rig.events("start") == starts
    assert rig.running() == ["hub-a"]


def test_started_by_hand_on_the_standby(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    start_bare(rig, "hub-b")
    assert rig.running() == ["hub-b"]
    checked = rig.on("hub-b", "healthcheck")
    assert checked["detail"]["fenced"] is True, checked
    assert rig.running() == []
    assert rig.failover().outcome == "moved" and rig.running() == ["hub-b"]


def test_started_by_hand_beside_the_active(spoiled: Rig) -> None:
    rig = spoiled
    start_bare(rig, "hub-b")
    # this is the person's doing; within one check it is over
    assert rig.overlaps() == 1
    told = rig.playbook("status")
    assert "TWO NODES RUN" in told.text, told.text
    refused = rig.playbook("failover", mode="switchover")
    assert refused.outcome == "refused" and "already runs on hub-b" in refused.text, refused.text
    rig.on("hub-a", "healthcheck")
    assert sorted(rig.running()) == ["hub-a", "hub-b"]
    rig.on("hub-b", "healthcheck")
    assert rig.running() == ["hub-a"] and rig.overlaps() == 1


MOVE = {"id": "1-x", "kind": "failover", "source": "hub-a", "target": "hub-b", "step": "stop"}
NULL = {"NULL": True}
RECORDS: dict[str, dict[str, Any]] = {
    "nobody": {"active": NULL},
    "broken": {"active": NULL, "state": {"S": "broken"}},
    "moving": {
        "active": NULL,
        "state": {"S": "moving"},
        "move": {"M": {name: {"S": value} for name, value in MOVE.items()}},
    },
    "of a later version": {"schema": {"N": "99"}, "active": {"S": "hub-b"}},
    "restored": {"epoch": {"N": "0"}, "active": {"S": "hub-b"}},
    "senseless": {"epoch": {"S": "seven"}, "active": {"S": "hub-b"}},
}


@pytest.mark.parametrize("kind", [*RECORDS, "gone", "unreadable", "down"])
def test_the_rightful_one_is_never_stopped_by_a_check(rig: Rig, kind: str) -> None:
    pair = rig.info["pair"]
    if kind == "gone":
        key = {"pair": {"S": pair["name"]}, "item": {"S": "record"}}
        rig.client("dynamodb").delete_item(TableName=pair["table"], Key=key)
    elif kind == "unreadable":
        rig.torment("aws", "deny:hub-a:dynamodb:GetItem")
    elif kind == "down":
        rig.torment("aws", "dynamodb-down")
    else:
        rewrite(rig, **RECORDS[kind])
    for _time in range(2):
        checked = rig.on("hub-a", "healthcheck")
        assert not checked["detail"].get("fenced"), checked
    assert rig.running() == ["hub-a"] and rig.events("stop") == []


def test_a_move_of_another_version_of_the_core_is_taken_up(rig: Rig) -> None:
    """Fields that this version does not know are passed over; those that the older one did not write have defaults."""
    rig.torment("hub-a", "product-kill")
    with pytest.raises(Crash):
        Controller(rig, "old", lambda label: label.startswith("before SendCommand:stop")).move()
    move = rig.record()["move"]["M"]
    needed = ("id", "kind", "source", "target", "step")
    older = {name: value for name, value in move.items() if name in needed}
    rewrite(rig, move={"M": {**older, "colour": {"S": "green"}, "nested": {"M": {"deep": {"BOOL": True}}}}})
    told = Controller(rig, "nobody").status()
    assert told["readable"] and told["move"]["step"] == "stop"
    result = Controller(rig, "new").move()
    assert result.outcome == "moved" and rig.running() == ["hub-b"], result.message


def test_a_roll_back_that_dies_again_and_again(rig: Rig) -> None:
    rig.torment("hub-b", "start-fails")
    where = [
        "after UpdateItem:active+lease+move stop back",
        "after SendCommand:stop@B",
        "after UpdateItem:active+epoch+lease+move start back",
        "after SendCommand:start@A",
    ]
    epochs = [epoch_of(rig)]
    for number, point in enumerate(where):
        with pytest.raises(Crash):
            Controller(rig, f"run-{number}", point.__eq__).move(mode="switchover", to="hub-b")
        told = Controller(rig, "nobody").status()
        assert told["move"]["rollback"] and told["lease"] == f"run-{number}", told["screen"]
        epochs.append(epoch_of(rig))
    result = Controller(rig, "last").move(mode="switchover", to="hub-b")
    assert result.outcome == "rolled_back" and rig.running() == ["hub-a"] == [rig.active()], result.message
    assert epochs == sorted(epochs) and epochs[-1] > epochs[0]
    assert order(rig, "hub-b", "start", epochs[1])["detail"]["refused"]
    past = json.dumps(Controller(rig, "nobody").status()["last_move"])
    assert "rolled_back" in past and "did not start" in past
