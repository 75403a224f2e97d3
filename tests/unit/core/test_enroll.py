# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record is made from what really runs, mended when it was restored, and changed for a replaced node."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.enroll import Enrolled, EnrollError, Enrolment

from tests.simulation.world import World

NEW = "i-0cccccccccccccccc"


def enroll(world: World, **given: Any) -> Enrolled:
    return Enrolment(world.pair(), world.ports(), "keiko", **given).run()


def empty(running: tuple[str, ...] = ("hub-a",)) -> World:
    world = World()
    for name in running:
        world.nodes[name].product = "running"
    return world


def items(world: World) -> set[str]:
    return {item for _pair, item in world.dynamo.items}


def test_a_running_service_is_adopted_where_it_runs_and_not_touched() -> None:
    world = empty(("hub-b",))
    world.nodes["hub-a"].seen, world.nodes["hub-b"].floor = 4, 6
    made = enroll(world)
    assert (made.action, made.changed, made.record.active, made.record.epoch) == ("created", True, "hub-b", 7)
    assert world.record() == made.record and world.events == []


def test_when_nothing_runs_the_preferred_node_may() -> None:
    world = empty(())
    assert enroll(world).record.active == "hub-a" and world.nodes["hub-a"].product == "stopped"


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (lambda world: world.product(world.nodes["hub-b"], "running"), "runs on both nodes"),
        (lambda world: setattr(world.nodes["hub-b"], "online", False), "hub-b gives no answer"),
        (lambda world: setattr(world.nodes["hub-b"], "product", "hung"), "hub-b cannot tell"),
        (lambda world: world.nodes["hub-b"].eligible.update(marker="other"), "belongs to pair 'other'"),
        (lambda world: world.nodes["hub-b"].detail.update(processes=2), "processes of the service are left"),
        (lambda world: world.nodes["hub-b"].detail.update(processes=None), "hub-b"),
        (lambda world: setattr(world.dynamo, "replicas", [{"RegionName": "us-east-1"}]), "replicas"),
        (lambda world: world.network.denied.add("dynamodb:DescribeTable"), "DescribeTable"),
        (lambda world: world.network.down.add("ssm"), "SSM SendCommand"),
    ],
)
def test_what_is_not_certain_makes_no_record(trouble: Any, says: str) -> None:
    world = empty()
    trouble(world)
    with pytest.raises(EnrollError, match=says):
        enroll(world)
    assert "record" not in items(world)


def test_again_is_unchanged_and_asks_nobody_to_change() -> None:
    world = World().steady()
    assert enroll(world).action == "unchanged"
    assert not {"dynamodb:UpdateItem", "dynamodb:PutItem"} & set(world.network.names())


def test_check_mode_writes_nothing() -> None:
    world = empty()
    made = enroll(world, check=True)
    assert (made.action, made.record.active) == ("created", "hub-a") and items(world) == set()


def test_a_restored_record_is_mended_only_when_both_are_stopped() -> None:
    world = World().steady(epoch=7)
    world.nodes["hub-b"].seen = 9
    with pytest.raises(EnrollError, match="the service runs on hub-a"):
        enroll(world)
    world.product(world.nodes["hub-a"], "stopped")
    mended = enroll(world)
    assert (mended.action, mended.record.epoch, mended.record.active) == ("mended", 10, "hub-a")
    assert world.record().lease is None and world.record().epoch == 10
    assert enroll(world).action == "unchanged"


def replaced(active: str = "hub-a", power: str = "stopped") -> World:
    """hub-b's machine is another one now; the old instance is still asked for by its id."""
    world = World().steady(active=active)
    world.raw = {**world.raw, "nodes": [world.raw["nodes"][0], {"name": "hub-b", "instance_id": NEW}]}
    world.gone[world.nodes["hub-b"].instance_id] = power
    world.nodes["hub-b"].instance_id = NEW
    return world


def test_a_standby_is_replaced_once_the_old_one_is_proven_off() -> None:
    world = replaced()
    done = enroll(world)
    assert (done.action, done.record.epoch, world.record().nodes["hub-b"]) == ("replaced", 8, NEW)
    assert world.record().active == "hub-a" and world.record().lease is None


@pytest.mark.parametrize("power", ["running", "stopping", "pending"])
def test_an_old_standby_that_may_run_is_not_replaced(power: str) -> None:
    world = replaced(power=power)
    with pytest.raises(EnrollError, match="not proven off"):
        enroll(world)
    assert world.record().nodes["hub-b"] != NEW


def test_an_instance_that_is_gone_is_given_up_only_with_a_reason() -> None:
    world = replaced(power="")
    with pytest.raises(EnrollError, match="allow_unfenced"):
        enroll(world)
    done = enroll(world, given_up="the account was cleaned")
    assert done.action == "replaced" and "the account was cleaned" in str(world.record().times)


def test_the_active_node_is_not_replaced() -> None:
    world = World().steady(active="hub-b")
    world.raw = {**world.raw, "nodes": [world.raw["nodes"][0], {"name": "hub-b", "instance_id": NEW}]}
    with pytest.raises(EnrollError, match="move the service away"):
        enroll(world)
