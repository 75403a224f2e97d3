# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair's last day: the record goes once, and only while every node that would be connected to can be."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record, RecordMissing
from ansible_collections.hotstandby.ops.plugins.module_utils.retire import RetireError, Retirement

from tests.simulation.world import World


def retire(world: World, **given: Any) -> Record | None:
    return Retirement(world.pair(), world.ports(), **given).run()


def refused(world: World, **given: Any) -> tuple[str, str]:
    """(code, text) of a refusal that changed nothing."""
    before = world.dynamo.items.copy()
    with pytest.raises(RetireError) as caught:
        retire(world, **given)
    assert world.dynamo.items == before and world.events == []
    return caught.value.code, str(caught.value)


def test_the_record_goes_once_and_the_service_stays() -> None:
    world = World().steady("hub-a", 8)
    planned = retire(world, check=True)
    assert planned is not None and world.ports().store.read() == planned
    gone = retire(world)
    assert gone is not None and (gone.active, gone.epoch) == ("hub-a", 8)
    with pytest.raises(RecordMissing):
        world.ports().store.read()
    assert retire(world) is None and world.events == [] and world.nodes["hub-a"].product == "running"


def test_a_node_that_is_off_is_refused_and_so_it_is_not_connected_to() -> None:
    world = World().steady("hub-b", 8)
    world.nodes["hub-a"].die()
    code, text = refused(world)
    assert code == "remove_silent" and "hub-a gives no answer" in text and "stopped" in text
    assert text.endswith(
        "Next: ansible-playbook hotstandby.ops.rejoin -e node=hub-a, then remove the pair; or, when that machine is gone for "
        "good: ansible-playbook hotstandby.ops.remove -e without=hub-a"
    )
    gone = retire(world, without="hub-a")
    assert gone is not None and gone.active == "hub-b"


def test_a_silent_active_is_no_machine_to_be_given_up() -> None:
    world = World().steady("hub-a", 8)
    world.nodes["hub-a"].online = False
    code, text = refused(world)
    assert code == "remove_silent" and text.endswith("Next: ansible-playbook hotstandby.ops.status")
    code, text = refused(world, without="hub-a")
    assert code == "remove_active" and "ansible-playbook hotstandby.ops.failover -e to=hub-b" in text


def test_a_name_that_is_none() -> None:
    code, text = refused(World().steady("hub-a", 8), without="hub-c")
    assert code == "no_such_node" and text.startswith("without: ") and "hub-c" in text


def test_a_pair_in_the_middle_of_something_says_how_to_finish() -> None:
    world = World().steady("hub-a", 8)
    world.nodes["hub-a"].die()
    world.nodes["hub-b"].start_fails = True
    world.run(mode="failover", assume_down=True)
    state = world.ports().store.read().state
    code, text = refused(world)
    assert state != "steady" and f"the pair is {state}" in text
    assert code == ("broken" if state == "broken" else "move_unfinished")
