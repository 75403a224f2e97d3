# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run waits for: written by the module side, shown by the callback."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ansible_collections.hotstandby.ops.plugins.callback.progress import Watcher
from ansible_collections.hotstandby.ops.plugins.module_utils.move import ORDER, Request
from ansible_collections.hotstandby.ops.plugins.module_utils.progress import silent, to_file, waits
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition

from tests.simulation.world import World


def test_each_step_of_a_move_is_written_before_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    world = World().steady()
    ports = dataclasses.replace(world.ports(), progress=to_file(str(path)))
    moved = Transition(world.pair(), ports, Request(mode="switchover", by="keiko", owner="keiko")).run()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [step["name"] for step in moved.steps]
    (stop,) = (line for line in lines if line["step"] == "stop")
    assert stop == {"step": "stop", "waits_for": "hub-a to stop the service, with proof", "limit": 120}


def test_every_step_says_something() -> None:
    pair = World().pair()
    assert all(waits(step, pair, "a", "b")[0] for step in ORDER)


def test_a_file_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    to_file(str(tmp_path / "none" / "progress"))("stop", "it", 1.0)
    assert to_file(None) is silent and to_file("") is silent


def test_the_watcher_shows_each_step_once_and_then_how_long_it_waits() -> None:
    watcher = Watcher(5)
    line = json.dumps({"step": "stop", "waits_for": "hub-a", "limit": 120})
    assert watcher.still(0) == [] and watcher.feed(line, 1) == []
    assert watcher.feed("\nno json\n[]\n", 2) == ["stop: waiting for hub-a, at most 120 s"]
    assert watcher.still(6) == [] and watcher.still(7) == ["stop: still waiting for hub-a, 5 s"]
    assert watcher.still(8) == [] and watcher.still(12) == ["stop: still waiting for hub-a, 10 s"]
    watcher.end()
    assert watcher.still(99) == []
