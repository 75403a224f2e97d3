# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen stays one screen whatever stands in the record, and its next step is exact in every state."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.report import (
    describe_pair,
    moment,
    screen,
    span,
)

from tests.simulation.world import World

PLAY = "ansible-playbook hotstandby.ops."
LONG = "the storage team asked for it, again and again\n\tand \u2028 sent a long letter " * 40


def shown(world: World, **given: Any) -> dict[str, Any]:
    found = describe_pair(world.pair(), world.ports(), **given)
    assert len(found["screen"]) <= 24, found["screen"]
    for line in found["screen"]:
        assert len(line.splitlines()) == 1 and line.isprintable(), line
    for line in found["screen"][:-1]:
        assert len(line) <= 120, line
    assert found["screen"][-1] == f"Next    {found['next']}"
    return found


def exact(world: World) -> str:
    return str(shown(world)["next"])


def stop(world: World, name: str = "hub-a") -> None:
    world.product(world.nodes[name], "stopped")


# -- the exact next step


def test_fine() -> None:
    found = shown(World().steady())
    assert found["next"] == "nothing"
    assert max(len(line) for line in found["screen"]) <= 120


@pytest.mark.parametrize("state", ["stopped", "hung"])
def test_the_active_is_down(state: str) -> None:
    world = World().steady()
    world.nodes["hub-a"].product = state
    assert exact(world).startswith(f"{PLAY}failover, or on hub-a: sudo ")


def test_the_check_on_the_active_is_broken() -> None:
    world = World().steady()
    world.nodes["hub-a"].product = "unknown"
    world.nodes["hub-a"].detail["message"] = "exit 12: environment"
    assert exact(world) == "mend the check on hub-a: exit 12: environment"


def test_the_service_runs_where_it_must_not() -> None:
    world = World().steady()
    stop(world)
    world.nodes["hub-b"].product = "running"
    assert exact(world).startswith("the service runs on hub-b, which is not the active node: there, sudo ")


def test_two_run() -> None:
    world = World().steady(active="hub-b")
    world.nodes["hub-a"].product = "running"
    assert exact(world).startswith("TWO NODES RUN THE SERVICE: on hub-a, now: sudo ")


def broken(world: World) -> None:
    world.nodes["hub-a"].frozen = True
    world.stop_error = "UnauthorizedOperation"
    assert world.run(assume_down=True).outcome == "broken"
    world.nodes["hub-a"].frozen = False


def test_broken_names_both_choices_and_each_leads_out() -> None:
    for name in ("hub-a", "hub-b"):
        world = World().steady()
        broken(world)
        told = exact(world)
        wanted = f"{PLAY}failover -e to={name}"
        assert f"'{wanted}'" in told
        world.stop_error = ""
        words = shlex.split(wanted)
        assert words[:2] == ["ansible-playbook", "hotstandby.ops.failover"]
        assert world.run(**dict(word.split("=", 1) for word in words if "=" in word)).outcome == "moved"
        assert exact(world) in ("nothing", "nothing ") or name == "hub-b"


def test_moving_with_nobody_at_work_and_with_somebody() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    world.run(assume_down=True)
    assert exact(world) == f"finish the move: {PLAY}failover -e to=hub-b"
    store = world.ports().store
    store.update(store.read(), lease=store.new_lease("akira@b/2", 30))
    told = exact(world)
    assert told.startswith("wait: a move is at work (akira@b/2); if that run died: ")
    assert told.endswith(f"{PLAY}failover -e to=hub-b")


def test_the_age_of_a_standbys_copy() -> None:
    world = World().steady()
    assert shown(world)["nodes"]["hub-b"]["sync"] is None
    sync = {"source": "hub-a", "age": 7200, "looked": 60, "drift": 3}
    world.nodes["hub-b"].eligible["sync"] = sync
    found = shown(world)
    assert found["nodes"]["hub-b"]["sync"] == sync and exact(world) == "nothing"
    line = next(line for line in found["screen"] if "hub-b" in line and "standby" in line)
    assert "its data were equal to hub-a's 2 h ago" in " ".join(" ".join(found["screen"]).split()), line
    world.raw = {**world.raw, "max_sync_age": 3600}
    told = exact(world)
    assert told.startswith("copy the data to the standby, its data were") and told.endswith(f"{PLAY}sync")
    # a planned move ends before anything is stopped, a failover does not
    ended = world.run(mode="switchover")
    assert (ended.outcome, ended.code) == ("refused", "standby_stale") and world.nodes[
        "hub-a"
    ].product == "running"
    world.nodes["hub-a"].product = "stopped"
    moved = world.run()
    assert moved.outcome == "moved"
    detail = next(step["detail"] for step in moved.steps if step["name"] == "eligible")
    assert "2 h ago" in detail and "max_sync_age" in detail


def test_missing_and_unreadable() -> None:
    assert exact(World()) == f"create the record: {PLAY}deploy"
    world = World().steady()
    world.network.down = {"dynamodb"}
    assert exact(world).startswith("mend the way to the table (above)")
    world = World().steady()
    world.dynamo.items[("hub-prod", "record")]["schema"] = {"N": "99"}
    found = shown(world)
    assert not found["readable"] and "schema 99" in found["trouble"]


def test_another_inventory() -> None:
    world = World().steady()
    nodes = [world.raw["nodes"][0], {"name": "hub-b", "instance_id": "i-0cccccccccccccccc"}]
    world.raw = {**world.raw, "nodes": nodes}
    world.nodes["hub-b"].instance_id = "i-0cccccccccccccccc"
    assert exact(world) == f"the inventory names other instances than the record: {PLAY}deploy"


def test_an_address_that_points_elsewhere() -> None:
    world = World().steady()
    world.address = "i-0bbbbbbbbbbbbbbbb"
    assert exact(world) == f"point the address at hub-a: {PLAY}failover -e to=hub-a"
    assert world.run(to="hub-a").outcome == "moved"
    assert world.address == "i-0aaaaaaaaaaaaaaaa" and world.run(to="hub-a").outcome == "unchanged"


def test_an_address_that_cannot_be_read() -> None:
    world = World().steady()
    world.network.denied.add("ec2:DescribeAddresses")
    assert exact(world).startswith("look at elastic_ip eipalloc-")


def test_a_standby_that_is_silent() -> None:
    world = World().steady()
    world.nodes["hub-b"].online = False
    assert exact(world).startswith("mend the standby, it could not take over: hub-b gives no answer")


# -- one screen


def pause(world: World, text: str) -> None:
    set_pause(world.ports().store, True, text[:400], text)


def hold(world: World, text: str) -> None:
    stop(world)
    world.nodes["hub-a"].held = {"by": text[:30], "reason": text[:500], "time": 1}


def break_with(world: World, text: str) -> None:
    store = world.ports().store
    store.update(store.read(), state="broken", active=None, times={"why": text})


def move_for(world: World, text: str) -> None:
    stop(world)
    world.address_error = "InternalError"
    world.run(reason=text)


def say(world: World, text: str) -> None:
    for node in world.nodes.values():
        node.product = "unknown"
        node.detail["message"] = text[:800]


def all_at_once(world: World, text: str) -> None:
    move_for(world, text)
    pause(world, text)
    say(world, text)


@pytest.mark.parametrize("make", [pause, hold, break_with, move_for, say, all_at_once])
@pytest.mark.parametrize("text", ["short", LONG, "x" * 5000], ids=["short", "long", "unbroken"])
def test_a_long_text_of_many_lines_leaves_it_one_screen(
    make: Callable[[World, str], None], text: str
) -> None:
    world = World().steady()
    make(world, text)
    found = shown(world)
    assert any(text[:5] in line for line in found["screen"]) or make is move_for


@pytest.mark.parametrize(
    "services", [{"ssm"}, {"ec2"}, {"dynamodb"}, {"ssm", "ec2", "dynamodb", "cloudwatch"}]
)
def test_whatever_api_is_down_it_shows_what_it_can(services: set[str]) -> None:
    world = World().steady()
    world.network.down = services
    found = shown(world)
    assert found["next"] and "hub-a" in "\n".join(found["screen"])


@pytest.mark.parametrize(
    "right",
    ["ssm:SendCommand", "ssm:ListCommandInvocations", "ec2:DescribeAddresses", "ec2:DescribeInstances",
     "dynamodb:Query", "dynamodb:GetItem", "dynamodb:DescribeTable"],
)  # fmt: skip
def test_a_missing_right_costs_only_what_it_is_for(right: str) -> None:
    world = World().steady()
    world.nodes["hub-b"].online = False
    world.network.denied = {right}
    found = shown(world)
    if right not in ("dynamodb:DescribeTable", "ec2:DescribeInstances"):
        assert "the right for this call is missing" in "\n".join(found["screen"])
    writes = {"UpdateItem", "PutItem", "StopInstances", "AssociateAddress"}
    assert not writes & {name.split(":")[1] for name in world.network.names()}


def test_many_addresses_and_notes_still_fit() -> None:
    entries = [
        {"kind": "command", "command": [f"/bin/move-{number}"], "check": ["/bin/false", "x" * 300]}
        for number in range(30)
    ]
    world = World(redirect=entries).steady()
    shown(world)


def test_history_of_odd_items_is_shown_or_left_out() -> None:
    world = World().steady()
    for number, odd in enumerate(
        [{}, {"ended": "yesterday"}, {"kind": None, "downtime_seconds": "9", "by": 7}]
    ):
        world.ports().store.put_history("m-1", 1_790_000_000.0 + number, odd)
        shown(world)


def test_the_data_beside_the_screen() -> None:
    world = World().steady()
    world.nodes["hub-b"].online = False
    found = shown(world)
    assert (found["readable"], found["active"], found["epoch"], found["state"]) == (
        True,
        "hub-a",
        7,
        "steady",
    )
    a, b = found["nodes"]["hub-a"], found["nodes"]["hub-b"]
    assert (a["state"], a["source"], a["seen"], a["power"]) == ("running", "answer", 7, None)
    assert (b["state"], b["source"], b["power"]) == ("unknown", "none", "running")
    assert found["addresses"]["elastic_ip eipalloc-0123456789abcdef0"]["answer"] == "yes"
    assert screen.__doc__


# -- words for times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
     (172800, "2 d"), (-5, "0 s")],
)  # fmt: skip
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("odd", [None, "x", [], float("nan"), float("inf"), 10**30, -(10**30)])
def test_a_moment_that_is_none(odd: Any) -> None:
    assert moment(odd) == "unknown"
    assert moment(0) == "1970-01-01 00:00:00 UTC"
