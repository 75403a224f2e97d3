# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that dies, sleeps, or loses an answer at each of its calls; whatever then comes finds its way out."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Result
from botocore.exceptions import ReadTimeoutError

from tests.simulation.aws import Crash
from tests.simulation.watch import Watch
from tests.simulation.world import World

FINE = ("moved", "rolled_back", "not_confirmed", "unchanged")


def killed() -> World:
    world = World().steady()
    world.product(world.nodes["hub-a"], "stopped")
    world.events.clear()
    return world


def silent() -> World:
    """The source takes commands and never answers; its product runs on."""
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    return world


def well() -> World:
    return World().steady()


def slow_stop() -> World:
    world = World(timeouts={"stop": 8}).steady()
    world.nodes["hub-a"].stop_seconds = 1000
    return world


def bad_target() -> World:
    world = World().steady()
    world.nodes["hub-b"].start_fails = True
    return world


def late_start() -> World:
    """The start reaches its node long after everybody has given it up."""
    world = World(timeouts={"start": 8, "stop": 8, "verify": 8}).steady()
    world.nodes["hub-b"].delays = {"start": 200}
    return world


def late_stop() -> World:
    """So does the stop; by then the source was fenced, or runs again with a later epoch."""
    world = World(timeouts={"stop": 8}, stop={"then": "force"}).steady()
    world.nodes["hub-a"].delays = {"stop": 200}
    return world


def bad_target_of_a_dead_source() -> World:
    world = killed()
    world.nodes["hub-b"].start_fails = True
    return world


def broken() -> World:
    world = silent()
    world.stop_error = "UnauthorizedOperation"
    assert world.run(assume_down=True).outcome == "broken"
    world.stop_error = ""
    world.nodes["hub-a"].frozen = False
    return world


# name: world, what the first run asks, what whoever comes after it asks, how the first ends undisturbed
SCENES: dict[str, tuple[Callable[[], World], dict[str, Any], dict[str, Any], str]] = {
    "failover": (killed, {}, {}, "moved"),
    "failover with a fence": (silent, {"assume_down": True}, {"assume_down": True, "to": "hub-b"}, "moved"),
    "switchover": (well, {"mode": "switchover"}, {}, "moved"),
    "roll back before the grant": (slow_stop, {"mode": "switchover"}, {}, "rolled_back"),
    "roll back after the grant": (bad_target, {"mode": "switchover"}, {}, "rolled_back"),
    "roll back of a failover": (bad_target_of_a_dead_source, {}, {}, "rolled_back"),
    "a start that comes late": (late_start, {"mode": "switchover"}, {}, "rolled_back"),
    "a stop that comes late": (late_stop, {"mode": "switchover"}, {}, "moved"),
    "out of broken": (broken, {"to": "hub-b"}, {"to": "hub-b"}, "moved"),
}


def scene(name: str) -> tuple[World, Watch, dict[str, Any], dict[str, Any]]:
    make, first, then, _end = SCENES[name]
    world = make()
    return world, Watch(world), first, then


def moments(name: str) -> list[int]:
    world, watch, first, _then = scene(name)
    world.run(**first)
    return watch.telling()


MOMENTS = [(name, moment) for name in SCENES for moment in moments(name)]
SOME = random.Random(7).sample(MOMENTS, 80)


def finish(world: World, watch: Watch, then: dict[str, Any], runs: int = 3) -> Result:
    """Others come after it, until the pair is at rest; returns the last result."""
    for number in range(runs):
        result = world.run(**{"by": f"akira{number}", "owner": f"akira{number}@b/{number}", **then})
        watch.check()
        if result.outcome in FINE and world.record().state == "steady" and len(watch.products()) == 1:
            break
    world.clock.sleep(1000)  # commands that are still under way arrive
    watch.check()
    record = world.record()
    assert result.outcome in FINE, f"{watch.what}: {result.outcome}: {result.message}"
    assert (record.state, record.move, record.lease) == ("steady", None, None), watch.what
    assert watch.products() == [record.active], f"{watch.what}: {result.message}"
    return result


@pytest.mark.parametrize("name", list(SCENES))
def test_a_run_that_nobody_disturbs(name: str) -> None:
    world, watch, first, then = scene(name)
    result = world.run(**first)
    watch.check()
    assert result.outcome == SCENES[name][3], result.message
    finish(world, watch, then)


def test_the_scenes_have_as_many_calls_as_they_should() -> None:
    assert len(MOMENTS) > 300


@pytest.mark.parametrize("name", list(SCENES))
def test_a_run_that_dies_at_any_call_is_finished_by_the_next(name: str) -> None:
    for moment in [moment for scene_name, moment in MOMENTS if scene_name == name]:
        world, watch, first, then = scene(name)
        watch.at = moment

        def die() -> None:
            raise Crash

        watch.trouble = die
        with pytest.raises(Crash):
            world.run(**first)
        watch.check()
        granted = world.record().active is not None or world.record().state == "moving"
        began = world.clock.now
        result = world.run(by="akira", owner="akira@b/9", **then)
        watch.check()
        if not granted and name == "out of broken":
            assert result.outcome in ("moved", "broken"), f"{watch.what}: {result.message}"
        else:
            assert result.outcome in FINE, f"{watch.what}: {result.outcome}: {result.message}"
            assert world.record().state == "steady", watch.what
        assert world.clock.now - began < 700, "the wait for the lease, and one move"
        finish(world, watch, then)


@pytest.mark.parametrize("name", list(SCENES))
def test_a_run_that_sleeps_at_any_call_while_another_finishes_changes_nothing_more(name: str) -> None:
    """It wakes after the other is done; a call that it was about to make still goes out."""
    for moment in [moment for scene_name, moment in MOMENTS if scene_name == name]:
        world, watch, first, then = scene(name)
        watch.at = moment
        after: list[Any] = []

        def other(world: World, then: dict[str, Any], after: list[Any]) -> None:
            world.run(by="akira", owner="akira@b/9", **then)
            after.append(world.record())

        watch.trouble = functools.partial(other, world, then, after)
        result = world.run(**first)
        watch.check()
        assert after, "the other run was there"
        if world.record() != after[0]:
            # it woke before anything was under way, or found the pair at rest and went on by the rules
            assert result.outcome in (*FINE, "refused", "unfinished", "degraded", "broken"), result.message
        # a stop that was late by more than a lease may have powered the active off: then that is seen and mended
        for node in world.nodes.values():
            if node.power == "stopped" and node.name == world.record().active:
                node.power, node.online, node.frozen = "running", True, False
        world.nodes["hub-b"].start_fails = False
        finish(world, watch, {"to": world.record().active or "hub-b"} if name == "out of broken" else then)


@pytest.mark.parametrize(("name", "moment"), SOME)
def test_one_lost_answer_at_any_call_ends_well(name: str, moment: int) -> None:
    world, watch, first, then = scene(name)
    watch.at = moment

    def lose() -> None:
        raise ReadTimeoutError(endpoint_url="https://aws.example.invalid")

    watch.trouble = lose
    result = world.run(**first)
    watch.check()
    assert result.outcome in (*FINE, "refused", "unfinished", "degraded", "broken"), result.message
    if result.outcome not in FINE:
        assert result.failed and (result.next or "lease" in result.message or result.outcome == "refused")
    finish(world, watch, {**then, "to": "hub-b"} if world.record().state == "broken" else then)


@pytest.mark.parametrize(("name", "moment"), SOME[:25])
@pytest.mark.parametrize("service", ["dynamodb", "ssm", "ec2"])
def test_an_api_that_goes_down_at_any_call_and_comes_back(name: str, moment: int, service: str) -> None:
    world, watch, first, then = scene(name)
    watch.at = moment
    watch.trouble = lambda: world.network.down.add(service)
    result = world.run(**first)
    watch.check()
    assert result.outcome in (*FINE, "refused", "unfinished", "degraded", "broken"), result.message
    world.clock.sleep(50)
    world.network.down.clear()
    finish(world, watch, {**then, "to": "hub-b"} if world.record().state == "broken" else then)


def test_three_crashes_in_a_row_anywhere() -> None:
    """Whoever comes may die as well."""
    dice = random.Random(11)
    for _round in range(50):
        world, watch, first, then = scene(dice.choice(list(SCENES)))
        asked = first
        for _death in range(3):
            watch.at = watch.moments + dice.randrange(40)

            def die() -> None:
                raise Crash

            watch.trouble = die
            try:
                world.run(**asked)
            except Crash:
                watch.check()
            asked = {**then, "by": "akira", "owner": f"akira@b/{dice.random()}"}
        watch.at = -1
        for node in world.nodes.values():
            node.start_fails = False
        finish(world, watch, {**then, "to": "hub-b"} if world.record().state == "broken" else then, runs=4)
