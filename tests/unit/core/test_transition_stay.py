# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing to move: who is active stays, and addresses that are pending or strayed are brought back."""

from __future__ import annotations

import pytest

from tests.simulation.world import World
from tests.unit.core.move_log import ADDRESS, AGAIN, TO_A, WELL, Seen, dead, told

# -- already there


def test_who_is_active_and_well_stays() -> None:
    world = World().steady()
    seen = Seen(world)
    result = world.run(to="hub-a")
    assert told(result) == [("acquire", "ok", "hub-a is the active node already"), ("confirm", "ok", WELL)]
    assert (result.outcome, result.failed, result.changed) == ("unchanged", False, False)
    assert (result.message, result.next) == ("hub-a is active and well (epoch 7)", "")
    assert seen.sent == [("look", "a", False, "", "normal", "20", "hub-a")] and seen.writes == []


@pytest.mark.parametrize(
    ("state", "online", "why"),
    [("stopped", True, "stopped, exit 240"), ("hung", True, "hung, exit 240"),
     ("running", False, "its SSM agent is not registered or not online")],
)  # fmt: skip
def test_who_is_active_and_not_well_is_not_confirmed(state: str, online: bool, why: str) -> None:
    world = World().steady()
    node = world.nodes["hub-a"]
    node.product, node.online, node.detail = state, online, {"message": "exit 240"}
    seen = Seen(world)
    result = world.run(to="hub-a")
    message = f"hub-a is the active node already, but not known to be well: {why}. Nothing was changed"
    assert (result.outcome, result.failed, result.changed) == ("not_confirmed", True, False)
    assert (result.message, result.next) == (message, f"{AGAIN}hub-b")
    assert told(result)[1:] == [("confirm", "not_confirmed", message)] and seen.writes == []
    assert result.code == "already_active_not_well"


def test_a_silent_active_is_waited_for_as_long_as_confirm_says() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    result = world.run(to="hub-a")
    assert result.outcome == "not_confirmed" and 23 <= result.steps[1]["seconds"] < 24.5


# -- addresses


def test_an_address_that_strayed_is_brought_back() -> None:
    world = World().steady()
    world.address = None
    seen = Seen(world)
    result = world.run(to="hub-a")
    assert told(result)[2:] == [("redirect", "ok", TO_A), ("settle", "ok", "")]
    assert (result.outcome, result.failed, result.changed) == ("moved", False, True)
    assert (result.message, result.next) == ("the addresses now point to the active node", "")
    assert seen.writes == [("steady", "hub-a", 7, "", True), ("steady", "hub-a", 7, "", False)]
    assert world.address == "i-0aaaaaaaaaaaaaaaa" and world.record().pending == ()


def test_check_mode_says_which_address_would_be_brought_back() -> None:
    world = World().steady()
    world.address = None
    seen = Seen(world)
    result = world.run(to="hub-a", check=True)
    assert told(result)[2:] == [("redirect", "planned", ""), ("settle", "planned", "")]
    assert (result.outcome, result.failed, result.changed) == ("moved", False, True)
    assert result.message == f"{ADDRESS} would be pointed at the active"
    assert seen.writes == [] and world.address is None


TWO = [{"kind": "elastic_ip", "allocation_id": f"eipalloc-{number}123456789abcdef0"} for number in (0, 1)]
OTHER = ADDRESS.replace("-0", "-1")


def test_every_pending_address_is_named_and_only_those_are_moved() -> None:
    world = World(redirect=TWO).steady()
    store = world.ports().store
    store.update(store.read(), pending=(ADDRESS,))
    calls = world.network.calls
    calls.clear()
    world.run(to="hub-a")
    described = [call[2]["AllocationIds"][0] for call in calls if call[1] == "DescribeAddresses"]
    assert described.count("eipalloc-1123456789abcdef0") == 1, "looked at, well, and left alone"
    assert world.record().pending == ()
    world.address, world.address_error = None, "UnauthorizedOperation"
    result = world.run(to="hub-a")
    text = f"the service is up on hub-a, but not yet pointed there: {ADDRESS}, {OTHER}. Run this again"
    assert (result.outcome, result.failed, result.changed) == ("degraded", True, True)
    assert (result.message, result.next, result.pending) == (text, f"{AGAIN}hub-a", (ADDRESS, OTHER))
    step = result.steps[-2]
    assert (step["name"], step["outcome"]) == ("redirect", "pending") and f"; {OTHER}: " in step["detail"]
    assert result.code == "address_pending"
    assert world.run(to="hub-a", check=True).message == f"{ADDRESS}, {OTHER} would be pointed at the active"


def test_a_move_whose_address_stays_behind_is_degraded() -> None:
    world = dead(World().steady())
    world.address_error = "UnauthorizedOperation"
    result = world.run()
    text = f"the service is up on hub-b, but not yet pointed there: {ADDRESS}. Run this again"
    assert (result.outcome, result.message, result.next) == ("degraded", text, f"{AGAIN}hub-b")
    assert result.pending == world.record().pending == (ADDRESS,)
    assert [point["Dimensions"][1]["Value"] for point in world.cloudwatch.put] == ["degraded"]


def test_a_healthy_active_is_paid_what_is_pending_and_nothing_else_is_touched() -> None:
    world = World(redirect=TWO).steady()
    store = world.ports().store
    store.update(store.read(), pending=(OTHER,))
    world.network.calls.clear()
    result = world.run()
    assert (result.outcome, result.changed, world.record().pending) == ("moved", True, ())
    described = [
        call[2]["AllocationIds"][0] for call in world.network.calls if call[1] == "DescribeAddresses"
    ]
    assert described == ["eipalloc-1123456789abcdef0"]


def test_only_who_meets_another_run_is_told_that_the_pair_is_busy() -> None:
    world = World().steady()
    assert world.run(to="hub-a").busy is False
    store = world.ports().store
    holder = store.update(store.read(), lease=store.new_lease("akira@other/1", 30))
    world.clock.at(10, lambda: store.update(holder, lease=store.new_lease("akira@other/1", 30)))
    met = world.run(to="hub-a")
    assert (met.busy, met.code) == (True, "lease_held")
