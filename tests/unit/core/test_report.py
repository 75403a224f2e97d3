# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One screen for the operator: what is shown, and the exact next thing to do, in every state of a pair. Pause and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import MaintenanceError, set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.report import describe_pair

from tests.simulation.world import World

FAILOVER = "ansible-playbook hotstandby.ops.failover"
WRITES = {"dynamodb:UpdateItem", "dynamodb:PutItem", "ec2:StopInstances", "ec2:AssociateAddress"}


def shown(world: World, **given: Any) -> dict[str, Any]:
    world.network.calls.clear()
    found = describe_pair(world.pair(), world.ports(), **given)
    assert len(found["screen"]) <= 24 and all("\n" not in line for line in found["screen"])
    assert not WRITES & set(world.network.names()), "a look changes nothing"
    assert found["screen"][-1] == f"Next    {found['next']}"
    return found


def dead(world: World) -> None:
    world.product(world.nodes["hub-a"], "stopped")


def held(world: World) -> None:
    dead(world)
    world.nodes["hub-a"].held = {"by": "akira", "reason": "patch", "time": 1}


def broken(world: World) -> None:
    world.nodes["hub-a"].frozen = True
    world.stop_error = "UnauthorizedOperation"
    assert world.run(assume_down=True).outcome == "broken"
    world.nodes["hub-a"].frozen = False


def unfinished(world: World) -> None:
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    assert world.run(assume_down=True).outcome == "unfinished"


def pending(world: World) -> None:
    dead(world)
    world.address_error = "InternalError"
    assert world.run().outcome == "degraded"


def both(world: World) -> None:
    world.nodes["hub-b"].product = "running"


def silent(world: World) -> None:
    world.nodes["hub-a"].online = False


def paused(world: World) -> None:
    set_pause(world.ports().store, True, "akira", "storage work")


def restored(world: World) -> None:
    world.nodes["hub-b"].seen = 12


@pytest.mark.parametrize(
    ("state", "next_", "words"),
    [
        (lambda world: None, "nothing", ["Active  hub-a since", "epoch 7, steady", "Paused  no", "running"]),
        (dead, FAILOVER, ["stopped, answered now"]),
        (held, "hotstandby start", ["stopped on purpose by akira: patch"]),
        (silent, f"'{FAILOVER}' asks further", ["unknown", "EC2 says running"]),
        (broken, f"{FAILOVER} -e to=hub-b", ["Active  NOBODY", "Broken"]),
        (
            unfinished,
            f"finish the move: {FAILOVER} -e to=hub-b",
            ["at step fence", "nobody is at work on it"],
        ),
        (pending, f"{FAILOVER} -e to=hub-b", ["Pending elastic_ip", "degraded"]),
        (both, "TWO NODES RUN THE SERVICE: on hub-b", []),
        (paused, "hotstandby.ops.maintenance -e state=resumed", ["Paused  by akira", "storage work"]),
        (restored, "stop the service on both nodes, then", []),
        (
            lambda world: world.nodes["hub-b"].eligible.update(mounted=False),
            "mend the standby",
            ["not mounted"],
        ),
    ],
)
def test_every_state_has_its_screen_and_its_next_step(
    state: Callable[[World], None], next_: str, words: list[str]
) -> None:
    world = World().steady()
    state(world)
    found = shown(world)
    assert next_ in found["next"], found["next"]
    text = "\n".join(found["screen"])
    for word in words:
        assert word in text, text


def test_a_missing_record_is_said_and_not_made() -> None:
    found = shown(World())
    assert (found["readable"], found["active"]) == (False, None)
    assert "MISSING" in "\n".join(found["screen"]) and "hotstandby.ops.deploy" in found["next"]


def test_an_unreadable_record_is_unknown_and_the_nodes_are_shown_all_the_same() -> None:
    world = World().steady()
    world.network.down.add("dynamodb")
    found = shown(world)
    text = "\n".join(found["screen"])
    assert found["readable"] is False and found["state"] == "unknown" and "UNREADABLE" in text
    assert "hub-a" in text and "running, answered now" in text


def test_without_the_right_to_ask_the_last_heartbeats_are_shown() -> None:
    world = World().steady()
    store = world.ports().store
    store.read()  # as a health check does before it beats: the time is the table's own
    store.put_heartbeat("hub-a", world.nodes["hub-a"].instance_id, "b", 7, "running")
    world.clock.sleep(90)
    world.network.denied.add("ssm:SendCommand")
    found = shown(world)
    text = "\n".join(found["screen"])
    assert "last heartbeat 90 s ago said running" in text and "right for this call is missing" in text
    assert found["nodes"]["hub-a"]["state"] == "unknown", "an old heartbeat is no answer"


def test_a_move_at_work_names_its_holder() -> None:
    world = World().steady()
    unfinished(world)
    store = world.ports().store
    store.update(store.read(), lease=store.new_lease("akira@admin/9", 30))
    found = shown(world, ask_nodes=False)
    assert "akira@admin/9" in found["next"] and found["lease"] == "akira@admin/9"
    assert found["move"]["step"] == "fence" and "ssm:SendCommand" not in world.network.names()


# -- pause and resume


def test_pause_and_resume() -> None:
    store = World().steady().ports().store
    with pytest.raises(MaintenanceError, match="reason"):
        set_pause(store, True, "akira", " ")
    done = set_pause(store, True, "akira", "storage")
    assert done.changed and store.read().paused == done.after
    assert not set_pause(store, True, "akira", "storage").changed
    with pytest.raises(MaintenanceError, match="already paused by akira"):
        set_pause(store, True, "keiko", "mine")
    assert set_pause(store, False, "keiko", "").changed and store.read().paused is None
    assert not set_pause(store, False, "keiko", "").changed


def test_a_pause_in_check_mode_writes_nothing() -> None:
    world = World().steady()
    done = set_pause(world.ports().store, True, "akira", "storage", check=True)
    assert done.changed and world.record().paused is None


def test_a_pause_waits_for_no_move_and_disturbs_none() -> None:
    world = World().steady()
    store = world.ports().store
    held_by = store.update(store.read(), lease=store.new_lease("keiko", 30))
    assert set_pause(store, True, "akira", "storage").changed
    assert world.record().lease == held_by.lease
