# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a pause stops and whom it does not, and that neither pause nor move loses the other's writes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import (
    ATTEMPTS,
    MaintenanceError,
    Paused,
    set_pause,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.record import RecordMissing, RecordUnreadable

from tests.simulation.world import World


def pause(world: World, by: str = "akira", reason: str = "storage", **more: Any) -> Paused:
    return set_pause(world.ports().store, True, by, reason, **more)


def resume(world: World, by: str = "akira", **more: Any) -> Paused:
    return set_pause(world.ports().store, False, by, "", **more)


@pytest.mark.parametrize("reason", ["", " ", "\n\t"])
def test_a_pause_needs_a_reason_and_a_resume_none(reason: str) -> None:
    world = World().steady()
    with pytest.raises(MaintenanceError, match="reason: a pause needs one"):
        pause(world, reason=reason)
    assert world.network.calls == [], "asked before anything is read"
    assert not resume(world).changed


def test_who_why_and_since_when() -> None:
    world = World().steady()
    world.clock.sleep(100)
    told = pause(world)
    kept = world.record().paused
    assert kept is not None and (kept["by"], kept["reason"]) == ("akira", "storage")
    assert kept["time"] == pytest.approx(1_790_000_100, abs=2)
    assert (told.changed, told.before, told.after) == (True, None, kept)
    ended = resume(world, "keiko")
    assert (ended.changed, ended.before, ended.after) == (True, kept, None)
    assert world.record().paused is None


def test_ones_own_pause_may_get_another_reason_and_somebody_elses_not() -> None:
    world = World().steady()
    pause(world)
    assert pause(world, reason="network").before is not None
    assert (world.record().paused or {})["reason"] == "network"
    with pytest.raises(MaintenanceError, match=r"already paused by akira \(network\): resume that first"):
        pause(world, by="keiko")
    assert (world.record().paused or {})["by"] == "akira"


@pytest.mark.parametrize("paused", [True, False])
def test_check_mode_tells_and_writes_nothing(paused: bool) -> None:
    world = World().steady()
    if not paused:
        pause(world)
    before = world.record()
    world.network.calls.clear()
    told = pause(world, check=True) if paused else resume(world, check=True)
    assert told.changed and (told.after is None) != paused
    assert world.record() == before
    assert "dynamodb:UpdateItem" not in world.network.names()


@pytest.mark.parametrize(("down", "error"), [(set(), RecordMissing), ({"dynamodb"}, RecordUnreadable)])
def test_without_a_record_there_is_nothing_to_pause(down: set[str], error: type[Exception]) -> None:
    world = World()
    world.network.down = down
    with pytest.raises(error):
        pause(world)
    assert world.dynamo.items == {}


# -- whom it stops


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({"automation": True, "by": ""}, "refused"),
        ({"automation": True, "by": "akira"}, "refused"),
        ({"by": "keiko"}, "refused"),
        ({"by": "akira"}, "moved"),
        ({"by": "keiko", "mode": "switchover"}, "refused"),
    ],
)
def test_a_new_move_under_a_pause(request_: dict[str, Any], outcome: str) -> None:
    world = World().steady()
    if request_.get("mode") != "switchover":
        world.product(world.nodes["hub-a"], "stopped")
        world.events.clear()
    pause(world)
    result = world.run(**request_)
    assert result.outcome == outcome, result.message
    if outcome == "refused":
        assert "paused by akira: storage" in result.message and result.next.endswith("state=resumed")
        assert world.events == [] and world.record().lease is None
    resume(world)
    assert world.run(**{**request_, "to": "hub-b", "automation": False}).outcome in ("moved", "unchanged")


def test_a_pause_stops_no_move_in_flight() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    assert world.run(assume_down=True).outcome == "unfinished"
    pause(world)
    world.stop_error = ""
    assert world.run(automation=True).outcome == "moved"
    assert (world.record().paused or {})["by"] == "akira", "and is still there afterwards"


def test_a_pause_in_the_middle_of_a_move_is_kept_and_the_move_goes_on() -> None:
    """At each write of the record in turn."""
    for moment in itertools.count():
        world = World().steady()
        world.product(world.nodes["hub-a"], "stopped")
        counted = itertools.count()

        def between(
            _service: str,
            operation: str,
            done: bool,
            world: World = world,
            at: int = moment,
            counted: Any = counted,
        ) -> None:
            if operation == "UpdateItem" and done and next(counted) == at:
                world.network.hook = lambda _service, _operation, _done: None
                pause(world)

        world.network.hook = between
        result = world.run()
        if world.record().paused is None:
            assert moment >= 3
            return
        assert result.outcome == "moved", f"paused after write {moment}: {result.message}"
        assert (world.record().state, world.record().lease) == ("steady", None)


def test_a_pause_beside_a_move_that_renews_all_the_time_gives_up_in_the_end() -> None:
    world = World().steady()
    store = world.ports().store
    held = store.update(store.read(), lease=store.new_lease("keiko", 30))

    def renew(_service: str, operation: str, done: bool) -> None:
        nonlocal held
        if operation == "UpdateItem" and not done:
            world.network.hook, hook = (lambda _service, _operation, _done: None), world.network.hook
            held = store.update(held, lease=store.new_lease("keiko", 30))
            world.network.hook = hook

    world.network.hook = renew
    world.network.calls.clear()
    with pytest.raises(MaintenanceError, match="changes all the time"):
        pause(world)
    assert world.network.names().count("dynamodb:GetItem") <= 3 * ATTEMPTS
    assert world.record().lease == held.lease
