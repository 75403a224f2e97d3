# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start that is sent ahead of its grant: who gets one, what it saves, and every way in which it may not help."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.aws import client_error
from tests.simulation.world import World


class Watched(World):
    """A pair with profile fast that keeps each start that is sent: {to, epoch, timeout, active}, `active` by the record then."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"profile": "fast", **changes})
        self.starts: list[dict[str, Any]] = []
        self.refused = 0  # the number of the SendCommand that SSM throttles
        self._sends = 0
        self.steady()
        self.network.hook = self._hook

    def _hook(self, _service: str, operation: str, done: bool) -> None:
        if operation != "SendCommand" or done:
            return
        self._sends += 1
        if self._sends == self.refused:
            raise client_error("ThrottlingException", operation)
        arguments = self.network.calls[-1][2]
        given = {key: value[0] for key, value in arguments["Parameters"].items()}
        if given["Action"] == "start":
            names = [self.by_instance(one).name for one in arguments["Targets"][0]["Values"]]
            active = self.record().active
            self.starts.append(
                {
                    "to": names,
                    "epoch": int(given["Epoch"]),
                    "timeout": int(given["Timeout"]),
                    "active": active,
                }
            )

    def when(self) -> list[str | None]:
        """Whom the record named when each start was sent."""
        return [one["active"] for one in self.starts]


def test_the_start_is_on_its_way_before_the_grant_and_nothing_runs_before_it() -> None:
    world = Watched()
    world.nodes["hub-a"].stop_seconds = 4.0
    result = world.run(mode="switchover")
    assert result.outcome == "moved" and world.overlaps == 0
    (start,) = world.starts
    assert (start["to"], start["epoch"], start["active"]) == (["hub-b"], 8, None)
    # the stop's and the start's own limits together, since it waits for the one and then does the other
    assert start["timeout"] == world.pair().timeouts.stop + world.pair().timeouts.start
    assert [(name, what) for _time, name, what in world.events] == [("hub-a", "stop"), ("hub-b", "start")]


@pytest.mark.parametrize("profile", ["minute", "none"])
def test_only_profile_fast_sends_it(profile: str) -> None:
    world = Watched(profile=profile)
    assert world.run(mode="switchover").outcome == "moved"
    (start,) = world.starts
    assert (start["active"], start["timeout"]) == ("hub-b", world.pair().timeouts.start)


def test_it_saves_the_way_to_the_node() -> None:
    took = {}
    for profile in ("minute", "fast"):
        world = Watched(profile=profile)
        for node in world.nodes.values():
            node.delays = {"start": 0.8}
            node.stop_seconds = 1.0
        result = world.run(mode="switchover")
        took[profile] = result.downtime_seconds or 0.0
    assert took["minute"] - took["fast"] > 0.6


def test_a_recovery_stops_both_nodes_and_sends_none_ahead() -> None:
    world = Watched()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "UnauthorizedOperation"
    assert world.run(assume_down=True).outcome == "broken"
    world.nodes["hub-a"].frozen = False
    world.starts.clear()
    assert world.run(to="hub-b").outcome == "moved"
    assert world.when() == ["hub-b"] and world.overlaps == 0


def test_a_node_of_an_older_version_refuses_it_and_is_asked_again() -> None:
    world = Watched()
    world.nodes["hub-b"].patient = False  # it refuses what its record does not grant yet
    result = world.run(mode="switchover")
    assert result.outcome == "moved" and world.overlaps == 0
    assert world.when() == [None, "hub-b"]


def test_one_that_waited_in_vain_is_sent_again() -> None:
    world = Watched(timeouts={"stop": 5, "start": 10, "confirm": 5})
    world.nodes["hub-a"].frozen = True
    world.stop_takes = 30.0  # the fence takes longer than the order may wait
    result = world.run(assume_down=True)
    assert result.outcome == "moved" and world.overlaps == 0
    assert world.when() == [None, "hub-b"]


def test_a_switchover_whose_source_does_not_stop_gives_it_back_and_the_order_does_nothing() -> None:
    world = Watched()
    world.nodes["hub-a"].stop_ignored = True
    result = world.run(mode="switchover")
    assert result.outcome == "rolled_back" and world.record().active == "hub-a"
    # epoch 8 was granted to hub-a: hub-b's order carried that number, and is none
    assert world.record().epoch == 8 and world.nodes["hub-b"].product == "stopped" and world.overlaps == 0
    assert [one["to"] for one in world.starts] == [["hub-b"], ["hub-a"]]


def test_a_start_that_fails_is_rolled_back_once_as_ever() -> None:
    world = Watched()
    world.nodes["hub-b"].start_fails = True
    result = world.run(mode="switchover")
    assert result.outcome == "rolled_back" and world.overlaps == 0
    assert [(one["to"], one["epoch"], one["active"]) for one in world.starts] == [
        (["hub-b"], 8, None),
        (["hub-a"], 9, "hub-a"),
    ]


def test_an_ssm_that_refuses_it_costs_nothing_but_the_time() -> None:
    world = Watched()
    world.refused = 3  # look, stop, then this
    result = world.run(mode="switchover")
    assert result.outcome == "moved" and world.overlaps == 0
    assert world.when() == ["hub-b"]


def test_who_takes_the_move_up_sends_its_own() -> None:
    world = Watched()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    assert world.run(assume_down=True).outcome == "unfinished"
    world.stop_error = ""
    assert world.run(to="hub-b").outcome == "moved"
    world.clock.sleep(400)
    assert world.overlaps == 0 and world.record().epoch == 8
    assert [(name, what) for _time, name, what in world.events if what == "start"] == [("hub-b", "start")]
