# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fenced node comes back as the standby: its machine is started, never the service, and no record is written."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.rejoin import Rejoin, Rejoined

from tests.simulation.world import World

FENCE = {"method": "command", "command": ["/bin/false"], "timeout": 5}


def rejoin(world: World, **given: Any) -> Rejoined:
    return Rejoin(world.pair(), world.ports(), **given).run()


def fenced(**changes: Any) -> World:
    """hub-b is active, hub-a was fenced and is off."""
    world = World(**changes).steady("hub-b", 8)
    world.nodes["hub-a"].die()
    return world


def test_the_machine_is_started_and_the_service_is_not() -> None:
    world = fenced()
    before = world.dynamo.items.copy()
    back = rejoin(world)
    assert (back.outcome, back.changed, back.failed, back.node, back.code) == (
        "rejoined", True, False, "hub-a", "",
    )  # fmt: skip
    assert [step["name"] for step in back.steps] == ["record", "power_on", "stop", "eligible"]
    assert world.events == [] and world.overlaps == 0 and world.dynamo.items == before
    assert world.network.names().count("ec2:StartInstances") == 1
    again = rejoin(world)
    assert (again.outcome, again.changed) == ("unchanged", False)
    assert world.network.names().count("ec2:StartInstances") == 1
    assert world.run(mode="switchover", to="hub-a").outcome == "moved"


def test_check_mode_says_so_and_starts_nothing() -> None:
    world = fenced()
    back = rejoin(world, check=True)
    assert (back.outcome, back.changed) == ("rejoined", True)
    assert [step["outcome"] for step in back.steps] == ["ok", "planned"]
    assert "ec2:StartInstances" not in world.network.names() and world.nodes["hub-a"].power == "stopped"


def test_a_machine_that_is_still_stopping_is_waited_for() -> None:
    world = fenced()
    world.nodes["hub-a"].power = "stopping"
    world.clock.at(20, lambda: setattr(world.nodes["hub-a"], "power", "stopped"))
    assert rejoin(world).outcome == "rejoined"


def test_a_service_that_runs_there_is_stopped_with_proof() -> None:
    world = World().steady("hub-b", 8)
    node = world.nodes["hub-a"]
    node.product = "running"
    assert rejoin(world, check=True).changed and node.product == "running"
    back = rejoin(world)
    assert (back.outcome, node.product, node.floor) == ("rejoined", "stopped", 8)
    node.product, node.stop_ignored = "running", True
    back = rejoin(world)
    assert (back.outcome, back.failed, back.code) == ("unfinished", True, "rejoin_not_stopped")
    assert world.nodes["hub-b"].product == "running"


@pytest.mark.parametrize(
    ("trouble", "given", "outcome", "code"),
    [
        (lambda w: None, {"node": "hub-b"}, "refused", "rejoin_active"),
        (lambda w: None, {"node": "hub-c"}, "refused", "no_such_node"),
        (lambda w: setattr(w, "boot_takes", 9999.0), {"wait": 30.0}, "unfinished", "rejoin_silent"),
        (lambda w: setattr(w.nodes["hub-a"], "power", "terminated"), {}, "refused", "rejoin_gone"),
        (lambda w: setattr(w, "start_error", "UnauthorizedOperation"), {}, "refused", "rejoin_power"),
        (lambda w: w.nodes["hub-a"].eligible.update(mounted=False), {}, "unfinished", "rejoin_not_eligible"),
        (lambda w: w.network.down.add("dynamodb"), {}, "unfinished", "record_unreadable"),
        (lambda w: w.network.down.add("ssm"), {}, "unfinished", "ssm_failed"),
        (lambda w: setattr(w.nodes["hub-a"], "seen", 99), {}, "refused", "restored"),
        (
            lambda w: w.raw["nodes"][0].update(instance_id="i-0cccccccccccccccc"),
            {},
            "refused",
            "other_instances",
        ),
    ],
)
def test_what_does_not_work_says_why_and_what_next(
    trouble: Any, given: dict[str, Any], outcome: str, code: str
) -> None:
    world = fenced(nodes=[dict(node) for node in World().raw["nodes"]])
    trouble(world)
    back = rejoin(world, **given)
    assert (back.outcome, back.code, back.failed) == (outcome, code, True), back.message
    assert back.next.startswith("ansible-playbook hotstandby.ops."), back
    assert world.events == [] and world.nodes["hub-b"].product == "running"


def test_without_a_named_node_the_operator_chooses() -> None:
    world = fenced()
    world.nodes["hub-b"].stop_ignored = world.nodes["hub-b"].start_fails = True
    world.nodes["hub-b"].product = "stopped"
    store = world.ports().store
    store.update(store.read(), active=None, state="broken")
    assert rejoin(world).code == "rejoin_which"
    assert rejoin(world, node="hub-a").outcome == "rejoined"


def test_a_move_under_way_wants_only_its_target_back() -> None:
    world = World().steady("hub-a", 7)
    world.nodes["hub-a"].die()
    world.stop_error = "ServiceUnavailable"
    moved = world.run(to="hub-b", assume_down=True)
    assert moved.outcome in ("unfinished", "moved")
    if moved.outcome == "unfinished":
        assert (
            rejoin(world).code == "move_unfinished" and rejoin(world, node="hub-a").code == "move_unfinished"
        )
        assert world.nodes["hub-a"].power == "stopped"


def test_a_fence_command_that_cannot_switch_on_says_so() -> None:
    world = fenced(fencing=FENCE)
    back = rejoin(world)
    assert (back.outcome, back.code) == ("refused", "rejoin_power") and "/bin/false on" in back.message
