# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guards killed at every point of a start and a stop, stalled guards, clones, and commands that come too late."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.attack.controller import Controller
from tests.integration.attack.nodes import (
    GuardKiller,
    answered,
    epoch_of,
    holder,
    knobs,
    memory,
    order,
    runs,
    send,
)
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def well(rig: Rig) -> None:
    """Steady, and the product runs where the record says, only there."""
    record = rig.record()
    assert record["state"]["S"] == "steady" and "NULL" in record["move"] and "NULL" in record["lease"]
    assert rig.running() == [record["active"]["S"]]


@pytest.mark.parametrize("point", ["signed", "seen", "starting"])
@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_the_starting_guard_is_killed(rig: Rig, mode: str, point: str) -> None:
    if mode == "failover":
        rig.torment("hub-a", "product-kill")
    if point != "signed":
        knobs(rig, "hub-b", start_seconds=3)
    old = memory(rig, "hub-b", "seen")

    def at(label: str) -> bool:
        # its read of the record is withheld: it has signed, and has seen nothing yet
        if point == "signed" and label == "before SendCommand:start@B":
            rig.trap("dynamodb:GetItem", "hold", who="hub-b", run="nobody")
        return False

    def ready() -> bool:
        if point == "signed":
            traps = rig.ask("traps")["traps"]
            return bool(traps) and all(trap["sprung"] for trap in traps)
        if memory(rig, "hub-b", "seen") == old:
            return False
        return point == "seen" or runs(rig, "hub-b", "hubd")

    with GuardKiller(rig, "hub-b", "start", ready) as killer:
        result = Controller(rig, "one", at).move(mode=mode, to="hub-b")
    rig.ask("release", run="nobody")
    assert killer.killed
    assert (killer.found["seen"] == old.strip()) is (point == "signed")
    # whatever had begun to start is found or stopped: the move went on there, or turned back
    assert result.outcome in ("moved", "rolled_back"), result.message
    well(rig)
    assert rig.active() == ("hub-b" if result.outcome == "moved" else "hub-a")


@pytest.mark.parametrize("point", ["signed", "floor", "stopping"])
@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_the_stopping_guard_is_killed(rig: Rig, mode: str, point: str) -> None:
    # the product would stop for far longer than the guard is looked for: only a kill ends this stop
    stop = 60
    if mode == "failover":
        rig.torment("hub-a", "product-hang")
    knobs(rig, "hub-a", stop_seconds=stop, status_hangs=mode == "failover")
    old = memory(rig, "hub-a", "floor")

    def ready() -> bool:
        if point == "signed":
            return True
        if memory(rig, "hub-a", "floor") == old:
            return False
        return point == "floor" or runs(rig, "hub-a", "hubstop")

    timeouts = {**rig.info["pair"]["timeouts"], "stop": stop}
    with GuardKiller(rig, "hub-a", "stop", ready) as killer:
        result = Controller(rig, "one", timeouts=timeouts).move(mode=mode, to="hub-b")
    assert killer.killed
    assert point == "signed" or killer.found["floor"] != old.strip()
    # nobody answered that it is stopped, so it was fenced
    assert result.outcome == "moved" and "fence" in [step["name"] for step in result.steps], result.message
    assert rig.power("hub-a") == "stopped"
    well(rig)


def test_a_stalled_start_is_ended_and_never_wakes(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    rig.torment("hub-b", "start-stalls")
    timeouts = {**rig.info["pair"]["timeouts"], "start": 2}
    result = Controller(rig, "one", timeouts=timeouts).move()
    assert result.outcome == "rolled_back" and rig.active() == "hub-a", result.message
    rig.torment("hub-b", "clear")
    time.sleep(1)
    well(rig)
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-a"]


def test_a_stalled_start_whose_node_is_cut_off_is_fenced(rig: Rig) -> None:
    """The guard stalls between its read and the start, and its agent is gone: the plug is pulled before all else."""
    rig.torment("hub-a", "product-kill")
    rig.torment("hub-b", "start-stalls")
    timeouts = {**rig.info["pair"]["timeouts"], "start": 2, "confirm": 2}

    def at(label: str) -> bool:
        if label == "before UpdateItem:active+lease+move stop back":
            rig.torment("hub-b", "agent-offline")
        return False

    result = Controller(rig, "one", at, timeouts=timeouts).move()
    assert result.outcome == "rolled_back" and rig.power("hub-b") == "stopped", result.message
    rig.torment("hub-b", "clear")
    time.sleep(0.5)
    well(rig)


def test_a_late_stop_is_waited_for(rig: Rig) -> None:
    def at(label: str) -> bool:
        if label == "before SendCommand:stop@A":
            rig.torment("hub-a", "agent-slow:4")
        return False

    timeouts = {**rig.info["pair"]["timeouts"], "confirm": 2}
    result = Controller(rig, "one", at, timeouts=timeouts).move(mode="switchover")
    assert result.outcome == "moved", result.message
    well(rig)


def test_a_start_that_comes_when_the_move_has_turned_back(rig: Rig) -> None:
    sent = 0.0

    def at(label: str) -> bool:
        nonlocal sent
        if label == "before SendCommand:start@B":
            rig.torment("hub-b", "agent-slow:30")
        if label == "after SendCommand:start@B":
            sent = time.monotonic()
            time.sleep(0.4)  # it is with the agent now
        if label == "before SendCommand:stop@B":
            rig.torment("hub-b", "agent-slow:0")
        return False

    timeouts = {**rig.info["pair"]["timeouts"], "start": 1, "confirm": 1}
    result = Controller(rig, "one", at, timeouts=timeouts).move(mode="switchover")
    assert result.outcome == "rolled_back", result.message
    assert rig.power("hub-b") == "running" and time.monotonic() - sent < 30
    time.sleep(sent + 31.5 - time.monotonic())
    well(rig)
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-a"]


def test_orders_of_an_old_move_are_refused(rig: Rig) -> None:
    old = epoch_of(rig)
    assert Controller(rig, "one").move(mode="switchover").outcome == "moved"
    new = epoch_of(rig)
    started = order(rig, "hub-a", "start", old)
    assert started["detail"]["refused"] and started["state"] == "stopped", started
    started = order(rig, "hub-a", "start", new)
    assert started["detail"]["code"] == "not_active", started
    started = order(rig, "hub-b", "start", old)
    assert started["detail"]["code"] == "wrong_epoch" and started["state"] == "running", started
    stopped = order(rig, "hub-b", "stop", old)
    assert stopped["detail"]["code"] == "later_epoch_seen" and stopped["state"] == "running", stopped
    # a stop must carry an epoch, whatever else
    stopped = order(rig, "hub-b", "stop", None)
    assert stopped["detail"]["code"] == "no_epoch", stopped
    well(rig)


@pytest.mark.parametrize("late", ["stop", "start"])
def test_an_old_order_that_meets_the_rightful_start(rig: Rig, late: str) -> None:
    old, sent = epoch_of(rig), ""
    knobs(rig, "hub-b", start_seconds=2)

    def at(label: str) -> bool:
        nonlocal sent
        if label == "after ListCommandInvocations:start@B" and not sent:
            rig.until(lambda: (holder(rig, "hub-b", "start").get("epoch") or 0) > old)
            sent = send(rig, "hub-b", late, old)
        return False

    result = Controller(rig, "one", at).move(mode="switchover")
    assert result.outcome == "moved" and sent, result.message
    answer = answered(rig, "hub-b", sent)
    assert answer["detail"]["refused"], answer
    assert answer["detail"]["code"] == ("later_epoch_seen" if late == "stop" else "wrong_epoch"), answer
    well(rig)
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b"]


def test_a_clone_starts_nothing(rig: Rig) -> None:
    found: dict[str, Any] = rig.ask("fault", target="hub-a", kind="clone")
    clone = found["clone"]
    rig.info["nodes"][clone] = {"instance_id": found["instance_id"], "root": found["root"]}
    try:
        time.sleep(1)
        answer = rig.on(clone, "start")
        assert answer["rc"] == 5 and answer["detail"]["code"] == "wrong_instance", answer
        answer = rig.on(clone, "boot")
        assert answer["rc"] == 5, answer
        rig.on(clone, "healthcheck")
        well(rig)
        assert Controller(rig, "one").move(mode="switchover").outcome == "moved"
        assert rig.on(clone, "start")["rc"] == 5
        well(rig)
        assert Controller(rig, "two").move(mode="switchover").outcome == "moved"
        assert rig.on(clone, "start")["rc"] == 5
        well(rig)
    finally:
        del rig.info["nodes"][clone]
        rig.torment("hub-a", "clear")
