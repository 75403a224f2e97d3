# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator of profile fast against the daemon's own loop over simulated time."""

from __future__ import annotations

import random

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.filter.plan import plan
from ansible_collections.hotstandby.ops.plugins.module_utils.odds_fast import (
    Beating,
    beating,
    calls_a_day,
    event_lost,
    node_lost,
    product_dead,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair

from tests.simulation.world import PAIR
from tests.unit.node.test_watch import CALLS, Machine

FAST = {**PAIR, "profile": "fast"}
TICK = 0.05  # seconds that the loop's own waits may add


def rhythm(timeout: float) -> Beating:
    """As the simulated machine has it: its visits to the table take CALLS, and nothing delays the call."""
    found = beating(parse_pair({**FAST, "heartbeat_timeout": timeout}), delay=0.0)
    return Beating(found.timeout, found.beat, CALLS, 0.0)


@pytest.mark.parametrize("timeout", [1.0, 3.0, 10.0])
def test_a_silent_node_is_called_for_when_the_loop_does(timeout: float) -> None:
    watch = rhythm(timeout)
    times = []
    for number in range(40):
        machine = Machine("hub-b", timeout=timeout).run(10 + watch.beat * number / 40)
        machine.beats, silent = False, machine.now
        machine.run(timeout + 3)
        times.append(machine.did("call")[0] - silent)
    # the second half of the timeout is the function's
    told = node_lost(watch)
    assert told.least - timeout / 2 - TICK <= min(times) and max(times) <= told.most - timeout / 2 + TICK
    assert max(times) - min(times) > watch.beat / 3, "the moments are not all the same one"
    assert min(times) < told.typical - timeout / 2 < max(times)


def test_a_death_is_called_for_at_once_and_a_lost_call_again() -> None:
    watch = rhythm(3.0)
    machine = Machine("hub-a").run(10.3)
    machine.kill()
    died = machine.now
    machine.run(10)
    first, second = machine.did("call")[:2]
    wait = 0.5  # seconds; a real machine's wait ends with the death, a simulated one's does not
    assert -TICK <= first - died - product_dead(watch).most <= wait + TICK
    assert -TICK <= second - died - event_lost(watch).most <= 2 * wait + TICK


class Lossy(Machine):
    """Each heartbeat of the other node is missing with this chance."""

    def __init__(self, bad: float, timeout: float) -> None:
        super().__init__("hub-b", timeout=timeout)
        self.bad, self.dice = bad, random.Random(7)

    def _pass(self, seconds: float) -> None:
        before = self.beat
        super()._pass(seconds)
        if self.beat != before and self.dice.random() < self.bad:
            self.beat = before


@pytest.mark.parametrize(("timeout", "bad"), [(3.0, 0.1), (3.0, 0.3), (10.0, 0.5)])
def test_calls_for_nothing_happen_as_often_as_in_the_loop(timeout: float, bad: float) -> None:
    watch, seconds = rhythm(timeout), 20_000.0
    machine = Lossy(bad, timeout).run(seconds)
    called = {given["beat"] for _at, work, given in machine.begun if work == "call"}
    expected = calls_a_day(watch, bad) * seconds / 86400
    assert expected > 20 and 0.7 * expected <= len(called) <= 1.3 * expected, (len(called), expected)


def test_the_filter_knows_both_ways_of_a_fast_pair() -> None:
    found = plan(FAST, bad=0.001)
    assert found["node_lost"]["most"] < 6 and found["product_dead"]["most"] < 2
    assert found["alarm"]["product_dead"]["least"] > 100, "the alarm is still there when the daemons are not"
    assert found["false_alarms_a_day"] == pytest.approx(calls_a_day(beating(parse_pair(FAST)), 0.001))
    assert any("heartbeats" in line for line in found["lines"])
    assert all(len(line) <= 160 for line in found["lines"])
    quick = plan({**FAST, "heartbeat_timeout": 1})
    assert quick["node_lost"]["most"] < found["node_lost"]["least"]
    assert plan(FAST, bad=0)["days_between_false_alarms"] is None


def test_a_pair_that_nobody_watches_has_nothing_to_calculate() -> None:
    with pytest.raises(AnsibleFilterError, match=r"hotstandby_pair\.profile: 'none'"):
        plan({**PAIR, "profile": "none"})
    with pytest.raises(AnsibleFilterError, match="datapoints: 6 of 5"):
        plan(FAST, datapoints=6)
    with pytest.raises(AnsibleFilterError, match="delay: -1 s"):
        plan(FAST, delay=-1)
