# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Past moves as people read them."""

from __future__ import annotations

from ansible_collections.hotstandby.ops.plugins.module_utils.history import WIDTH, timeline, timelines

from tests.simulation.world import World


def test_a_move_is_told_with_every_step_and_its_evidence() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.run(assume_down=True, reason="smoke in the room")
    lines = timelines(world.ports().store.history(5))
    text = "\n".join(lines)
    assert "failover hub-a -> hub-b: MOVED, down for" in lines[0] and "epoch 8, active hub-b" in lines[0]
    for word in (
        "smoke in the room",
        "assume_down was given by keiko",
        "fence",
        "is off (EC2 DescribeInstances",
    ):
        assert word in text
    assert max(map(len, lines)) <= WIDTH


def test_an_oath_stands_out_and_an_odd_item_does_no_harm() -> None:
    told = timeline({"unfenced": "plug pulled", "steps": [{"name": "stop"}], "outcome": "moved"})
    assert any("UNFENCED: plug pulled" in line for line in told)
    assert timelines([]) == ["no move was ever recorded"]


def test_newest_first() -> None:
    world = World().steady()
    world.run()
    world.clock.sleep(5)
    world.run(mode="switchover")
    kept = [move["outcome"] for move in world.ports().store.history(5)]
    assert kept == ["moved", "not_confirmed"]


def test_a_move_that_ends_broken_after_its_grant_names_nobody() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.nodes["hub-b"].start_fails = True
    assert world.run(assume_down=True).outcome == "broken"
    told = world.ports().store.history(1)[0]
    assert (told["outcome"], told["active"]) == ("broken", None) and world.record().active is None
