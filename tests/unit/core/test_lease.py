# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding the record: by its version alone, and by this run's own clock alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.lease import (
    Holder,
    LeaseHeld,
    LeaseLost,
    free_lease,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.record import RecordUnreadable
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore
from botocore.exceptions import ReadTimeoutError

from tests.simulation.aws import Clock
from tests.simulation.world import World

LEASE = 30.0


def pair() -> tuple[World, RecordStore]:
    world = World().steady()
    return world, world.ports().store


def holder(world: World, store: RecordStore, owner: str = "keiko@a/1") -> Holder:
    return Holder(store, world.clock, store.read(), owner, LEASE)


def version(world: World) -> str:
    lease = world.record().lease
    assert lease is not None
    return lease.version


def writes(world: World) -> int:
    return world.network.names().count("dynamodb:UpdateItem")


# -- a contender


def test_a_free_record_is_free_at_once() -> None:
    world, store = pair()
    record = store.read()
    assert free_lease(store, record, world.clock) is record
    assert world.clock.now < 1


def test_a_dead_holder_is_waited_for_a_whole_unchanged_lease_and_no_longer() -> None:
    world, store = pair()
    holder(world, store, "akira@b/2").write()
    world.clock.sleep(1000)  # how old the lease is by anybody's clock does not count
    began = world.clock.now
    free_lease(store, store.read(), world.clock)
    assert LEASE <= world.clock.now - began < LEASE + 4


def test_the_leases_own_seconds_count_not_the_contenders() -> None:
    world, store = pair()
    Holder(store, world.clock, store.read(), "akira@b/2", 90).write()
    began = world.clock.now
    free_lease(store, store.read(), world.clock)
    assert world.clock.now - began >= 90


@pytest.mark.parametrize("moment", [0.5, 15.0, 29.5])
def test_one_renewal_within_the_lease_ends_the_wait(moment: float) -> None:
    world, store = pair()
    other = holder(world, store, "akira@b/2")
    other.write()
    world.clock.at(moment, lambda: other.write() and None)
    began = world.clock.now
    with pytest.raises(LeaseHeld, match="akira@b/2"):
        free_lease(store, store.read(), world.clock)
    assert moment <= world.clock.now - began < moment + 4, "it does not wait to the end"


def test_a_holder_that_lets_go_meanwhile_leaves_it_free() -> None:
    world, store = pair()
    other = holder(world, store, "akira@b/2")
    other.write()
    world.clock.at(5, lambda: other.release(times={"x": 1}) and None)
    record = free_lease(store, store.read(), world.clock)
    assert record.lease is None and record.times["x"] == 1, "what it left is what is seen"
    assert world.clock.now < 10


def test_another_contender_that_was_faster_holds_it() -> None:
    world, store = pair()
    holder(world, store, "dead@c/3").write()

    def take() -> None:
        record = store.read()
        Holder(store, world.clock, record, "akira@b/2", LEASE).write()

    world.clock.at(28, take)
    with pytest.raises(LeaseHeld, match="akira@b/2"):
        free_lease(store, store.read(), world.clock)


def test_two_contenders_at_the_same_instant_have_one_winner() -> None:
    world, store = pair()
    holder(world, store, "dead@c/3").write()
    record = free_lease(store, store.read(), world.clock)
    first = Holder(store, world.clock, record, "akira@b/2", LEASE)
    second = Holder(store, world.clock, record, "keiko@a/1", LEASE)
    first.write()
    with pytest.raises(LeaseHeld, match="akira@b/2"):
        second.write()
    assert not second.held and world.record().lease == first.record.lease


def test_a_store_that_cannot_be_read_while_waiting_is_unknown() -> None:
    world, store = pair()
    holder(world, store, "akira@b/2").write()
    record = store.read()
    world.network.down = {"dynamodb"}
    with pytest.raises(RecordUnreadable):
        free_lease(store, record, world.clock)


# -- the holder


def test_every_write_is_a_renewal() -> None:
    world, store = pair()
    mine = holder(world, store)
    seen = set()
    for number in range(3):
        mine.write(pending=(str(number),))
        seen.add(version(world))
        assert world.record().lease == mine.record.lease and world.record().pending == (str(number),)
    assert len(seen) == 3
    mine.release(pending=())
    assert world.record().lease is None and not mine.held


def test_keep_renews_after_a_third_and_not_before() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.keep()
    assert writes(world) == 0, "nothing is held, nothing is kept"
    mine.write()
    before = version(world)
    world.clock.sleep(LEASE / 3 - 1)
    mine.keep()
    assert version(world) == before
    world.clock.sleep(1.1)
    mine.keep()
    assert version(world) != before


def test_a_long_pause_renews_on_the_way() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    began = world.clock.now
    mine.pause(100)
    assert 100 <= world.clock.now - began < 101
    assert 7 <= writes(world) <= 12
    assert world.clock.now - mine._renewed <= LEASE * 2 / 3
    mine.pause(0)
    mine.pause(-1)


def test_ready_renews_what_is_older_than_a_third() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    count = writes(world)
    mine.ready()
    assert writes(world) == count, "a fresh one needs no call"
    world.clock.sleep(LEASE / 2)
    mine.ready()
    assert writes(world) == count + 1


def test_ready_without_a_lease_never_passes() -> None:
    world, store = pair()
    with pytest.raises(RecordUnreadable):
        holder(world, store).ready()
    mine = holder(world, store)
    mine.write()
    mine.release()
    with pytest.raises(RecordUnreadable):
        mine.ready()


def test_a_renewal_counts_from_before_its_call() -> None:
    """A write that took long may have stood for long already when its answer came."""
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    world.clock.sleep(LEASE / 2)
    slow = iter([21.0, 0.0, 0.0])
    world.network.hook = lambda _service, _operation, done: (
        world.clock.sleep(next(slow, 0.0)) if done else None
    )
    count = writes(world)
    mine.ready()
    assert writes(world) == count + 2, "the first renewal was stale when it was answered"


def test_a_store_too_slow_for_the_lease_lets_nothing_pass() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    world.network.latency = LEASE * 0.7
    world.clock.sleep(LEASE / 2)
    count = writes(world)
    with pytest.raises(RecordUnreadable, match="too slowly"):
        mine.ready()
    assert writes(world) - count <= 3


def test_a_holder_that_slept_finds_it_lost_and_changes_nothing() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    world.clock.sleep(500)
    other = Holder(store, world.clock, free_lease(store, store.read(), world.clock), "akira@b/2", LEASE)
    other.write(epoch=9, active="hub-b")
    after = world.record()
    for act in (mine.keep, mine.ready, lambda: mine.write(active=None), lambda: mine.release(active=None)):
        mine.held = True
        with pytest.raises(LeaseLost, match="akira@b/2"):
            act()
        assert not mine.held
        assert world.record() == after


def test_a_holder_that_slept_while_nobody_came_goes_on() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    world.clock.sleep(500)
    mine.ready()
    assert mine.held and world.record().lease == mine.record.lease


def test_a_lease_lost_once_is_not_taken_again_by_keep() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    store.update(store.read(), lease=None, epoch=8)
    with pytest.raises(LeaseLost):
        mine.write()
    mine.keep()
    with pytest.raises(RecordUnreadable):
        mine.ready()


@pytest.mark.parametrize("change", [{"epoch": 8}, {"state": "broken", "active": None}, {"lease": None}])
def test_any_change_by_another_is_a_loss(change: dict[str, Any]) -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    store.update(store.read(), **change)
    with pytest.raises(LeaseLost):
        mine.write(active="hub-b")


def test_a_store_that_fails_once_loses_no_lease() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    world.network.down = {"dynamodb"}
    with pytest.raises(RecordUnreadable):
        mine.write(pending=("x",))
    world.network.down = set()
    assert mine.held
    mine.write(pending=("y",))
    assert world.record().pending == ("y",)


def unanswered(world: World) -> None:
    """The next write comes true; from then on nothing is answered."""
    down: list[bool] = []

    def hook(_service: str, operation: str, done: bool) -> None:
        if down or (done and operation == "UpdateItem"):
            down.append(True)
            raise ReadTimeoutError(endpoint_url="https://dynamodb.invalid")

    world.network.hook = hook


def well(world: World) -> None:
    world.network.hook = lambda _service, _operation, _done: None


def test_a_write_that_was_not_answered_is_known_again_as_ours() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    unanswered(world)
    with pytest.raises(RecordUnreadable):
        mine.write(pending=("eipalloc-1",))
    with pytest.raises(RecordUnreadable):
        mine.ready()
    well(world)
    before = writes(world)
    mine.ready()
    assert mine.record == store.read() and mine.record.pending == ("eipalloc-1",) and writes(world) == before
    mine.write(pending=())
    assert store.read().pending == () and mine.held


def test_a_write_that_was_not_answered_and_a_taker_is_a_loss() -> None:
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    unanswered(world)
    with pytest.raises(RecordUnreadable):
        mine.write(pending=("eipalloc-1",))
    well(world)
    world.clock.sleep(1000)
    holder(world, store, "akira@b/2").write()
    with pytest.raises(LeaseLost, match="akira"):
        mine.write()


def test_a_pause_by_somebody_between_read_and_take_stops_a_new_holder() -> None:
    world, store = pair()
    mine = holder(world, store)
    store.update(store.read(), paused={"by": "akira", "reason": "storage"})
    with pytest.raises(LeaseHeld):
        mine.write(move=None)
    assert world.record().lease is None


# -- the promise itself


class Loose(Clock):
    """A second machine's clock over the same time: it started elsewhere."""

    def __init__(self, real: Clock, offset: float) -> None:
        super().__init__()
        self._real, self._offset = real, offset

    def monotonic(self) -> float:
        return self._real.now + self._offset

    def sleep(self, seconds: float) -> None:
        self._real.sleep(seconds)


@pytest.mark.parametrize("offset", [-1e6, 0.0, 5e8])
def test_nobody_takes_over_within_a_lease_of_ready_whatever_the_clocks_say(offset: float) -> None:
    """What a holder does after ready() is bounded to the last third of its lease."""
    world, store = pair()
    mine = holder(world, store)
    mine.write()
    mine.ready()
    ready_at = world.clock.now
    taken: list[float] = []

    def contend() -> None:
        clock = Loose(world.clock, offset)
        other = RecordStore(world.dynamo, "hotstandby", "hub-prod", clock.monotonic)
        record = other.read()
        theirs = Holder(other, clock, free_lease(other, record, clock), "akira@b/2", LEASE)
        theirs.write()
        theirs.ready()
        taken.append(world.clock.now)

    world.clock.at(0.01, contend)
    world.clock.sleep(1)
    assert taken and taken[0] - ready_at >= LEASE
    with pytest.raises(LeaseLost):
        mine.write()
