# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's own outages while the service is well, with the alarm that they raise: nothing moves, people hear of it, and it ends."""

from __future__ import annotations

import itertools

import pytest

from tests.simulation.automation import Automated
from tests.unit.core.test_function import well

SERVICES = ("dynamodb", "ssm", "cloudwatch", "ec2")
OUTAGES = [set(found) for size in (1, 2, 3, 4) for found in itertools.combinations(SERVICES, size)]


def minutes(world: Automated, count: int, state: str) -> None:
    """As nodes and CloudWatch are then: no sign of life without the table; the alarm stands, or could not be evaluated."""
    for _minute in range(count):
        world.clock.sleep(60)
        if "dynamodb" not in world.network.down:
            world.check()
        world.alarm(state)
        world.tick()


def untouched(world: Automated) -> bool:
    record = world.record()
    stops = [name for name in world.network.names() if name == "ec2:StopInstances"]
    return (record.active, record.epoch, record.state, record.move, world.events, stops) == (
        "hub-a", 7, "steady", None, [], [],
    )  # fmt: skip


@pytest.mark.parametrize("down", OUTAGES, ids=lambda down: "+".join(sorted(down)))
def test_an_outage_with_its_alarm_moves_nothing_is_told_and_ends(down: set[str]) -> None:
    """Checks that cannot read the record or put their metric leave gaps, and silence is bad news for the alarm."""
    world = well()
    world.network.down = set(down)
    world.alarm("ALARM")
    world.invoke(world.event())
    minutes(world, 5, "ALARM")
    assert untouched(world)
    assert world.messages and not {"began", "ended"} & set(world.kinds())
    # the services come back one after the other, the alarm last
    for service in sorted(down):
        world.network.down.discard(service)
        world.tick()
        minutes(world, 2, "ALARM")
        assert untouched(world), service
    minutes(world, 2, "OK")
    sent = len(world.messages)
    minutes(world, 5, "OK")
    assert untouched(world) and len(world.messages) == sent


def test_the_failure_that_comes_during_an_outage_is_moved_after_it() -> None:
    world = well()
    world.network.down = set(SERVICES)
    world.product(world.nodes["hub-a"], "stopped")
    world.events.clear()
    minutes(world, 5, "ALARM")
    assert world.events == [] and world.record().active == "hub-a"
    world.network.down = set()
    minutes(world, 1, "ALARM")
    assert world.record().active == "hub-b" and world.overlaps == 0
    assert [node for _time, node, what in world.events if what == "start"] == ["hub-b"]


def test_the_alarms_for_people_that_cannot_be_read_are_told() -> None:
    """The pair's own alarm can: a standby that could not take over would be nobody's news."""
    world = well()
    world.network.denied = {"cloudwatch:DescribeAlarms"}
    minutes(world, 4, "OK")
    assert [told["Subject"] for _kind, told in world.messages] == [
        "[trouble] hub-prod: CloudWatch cannot be asked"
    ]
    assert "DescribeAlarms: the right for this call is missing" in world.messages[0][1]["Message"]
