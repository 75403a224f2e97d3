# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a node has an exit from every state."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.enroll import EnrollError, Enrolment
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import NOT_LISTED, instance_state

from tests.simulation.aws import client_error
from tests.simulation.world import World

NEW = "i-0cccccccccccccccc"


def replace(world: World, given_up: str = "") -> Any:
    """`deploy` with another instance as hub-b."""
    old = world.raw
    world.raw = {**old, "nodes": [old["nodes"][0], {"name": "hub-b", "instance_id": NEW}]}
    try:
        return Enrolment(world.pair(), world.ports(), "keiko", given_up).run()
    finally:
        world.raw = old


def test_a_broken_pair_is_finished_with_the_old_inventory_and_not_in_a_circle() -> None:
    world = World().steady()
    store = world.ports().store
    store.update(store.read(), state="broken", active=None)
    with pytest.raises(EnrollError) as told:
        replace(world)
    for text in ("the inventory name i-0bbbbbbbbbbbbbbbb as hub-b", "failover -e to=hub-a", "then deploy"):
        assert text in str(told.value)
    world.product(world.nodes["hub-b"], "stopped")
    world.nodes["hub-b"].online = False
    world.stop_error = "InvalidInstanceID.NotFound"
    assert world.run(to="hub-a").outcome == "broken"
    done = world.run(to="hub-a", allow_unfenced=True, reason="the instance is gone")
    assert (done.outcome, world.record().state) == ("moved", "steady")


@pytest.mark.parametrize("code", ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"])
def test_an_instance_that_ec2_does_not_know_is_not_listed(code: str) -> None:
    class Ec2:
        def describe_instances(self, **arguments: Any) -> Any:
            raise client_error(code, "DescribeInstances")

    found = instance_state(Ec2(), "mi-0123456789abcdef0")
    assert (found.answer, found.detail) == ("unknown", NOT_LISTED)
