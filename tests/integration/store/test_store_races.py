# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that are lost, and threads that race, on three DynamoDBs."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
import uuid
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.lease import (
    Holder,
    LeaseHeld,
    LeaseLost,
    free_lease,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Conflict,
    Record,
    RecordMissing,
    RecordUnreadable,
    StoreError,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore

from tests.integration.store.records import MOVE, NODES, fresh


class Deaf:
    """A client whose UpdateItem goes through `times` times and whose answer is lost."""

    def __init__(self, client: Any, times: int = 1, through: bool = True) -> None:
        self._client, self._times, self._through = client, times, through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_item(self, **arguments: Any) -> Any:
        if self._times:
            self._times -= 1
            if self._through:
                self._client.update_item(**arguments)
            raise ConnectionError("the answer was lost")
        return self._client.update_item(**arguments)


def test_a_lost_answer_is_settled_by_reading(store: RecordStore, client: Any) -> None:
    record = fresh(store)
    deaf = RecordStore(Deaf(client), "hotstandby", store.pair)
    held = deaf.update(record, lease=deaf.new_lease("keiko", 30), move=MOVE, state="moving", active=None)
    assert store.read() == held
    lost = RecordStore(Deaf(client, through=False), "hotstandby", store.pair)
    with pytest.raises(RecordUnreadable):
        lost.update(held, lease=lost.new_lease("keiko", 30), active="hub-b")
    assert store.read() == held, "a write that never arrived is not taken for one that did"


class Lossy:
    """A client whose calls of one method go through, or not, and are never answered."""

    def __init__(self, client: Any, method: str, through: bool) -> None:
        self._client, self._method, self._through = client, method, through

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._method:
            return real

        def call(**arguments: Any) -> Any:
            if self._through:
                real(**arguments)
            raise ConnectionError("the answer was lost")

        return call


@pytest.mark.parametrize("through", [True, False])
def test_a_lost_answer_to_making_a_record_is_found_by_making_it_again(
    store: RecordStore, client: Any, through: bool
) -> None:
    lossy = RecordStore(Lossy(client, "put_item", through), "hotstandby", store.pair)
    with pytest.raises(RecordUnreadable):
        fresh(lossy)
    assert fresh(store) == store.read()


def test_a_release_whose_answer_was_lost_has_let_go(store: RecordStore, client: Any) -> None:
    held = store.update(fresh(store), lease=store.new_lease("keiko", 30), move=MOVE)
    lossy = RecordStore(Lossy(client, "update_item", True), "hotstandby", store.pair)
    done = lossy.update(held, lease=None, move=None, times={"moved": 1.25, "move": "m1"})
    assert done == store.read() and done.lease is None


def test_a_lost_answer_after_which_another_was_faster_is_no_success(store: RecordStore, client: Any) -> None:
    record = fresh(store)

    class Faster(Lossy):
        def __getattr__(self, name: str) -> Any:
            if name == "update_item":
                current = store.read()
                store.update(current, lease=store.new_lease("akira", 30))
            return super().__getattr__(name)

    for through in (True, False):
        lossy = RecordStore(Faster(client, "update_item", through), "hotstandby", store.pair)
        with pytest.raises((Conflict, RecordUnreadable)):
            lossy.update(record, lease=lossy.new_lease("keiko", 30), active="hub-b")
        after = store.read()
        assert (after.active, after.lease and after.lease.owner) == ("hub-a", "akira")
        record = store.update(after, lease=None)


@pytest.mark.parametrize("method", ["get_item", "query", "put_item"])
def test_what_cannot_be_read_or_written_is_unknown(store: RecordStore, client: Any, method: str) -> None:
    fresh(store)
    lossy = RecordStore(Lossy(client, method, False), "hotstandby", store.pair)
    calls: dict[str, list[Any]] = {
        "get_item": [lossy.read, lambda: lossy.heartbeat("hub-a")],
        "query": [lossy.history],
        "put_item": [
            lambda: lossy.put_heartbeat("hub-a", "i", "b", 7, "running"),
            lambda: lossy.put_history("m", 1.0, {}),
        ],
    }
    for call in calls[method]:
        with pytest.raises(StoreError, match="the answer was lost"):
            call()


def test_the_time_is_the_stores_own_and_goes_on_by_this_clock(client: Any) -> None:
    class Ticking:
        now = 50.0

        def __call__(self) -> float:
            return self.now

    clock = Ticking()
    store = RecordStore(client, "hotstandby", f"pair-{uuid.uuid4().hex[:8]}", clock)
    assert store.now() is None, "no answer was heard yet"
    with pytest.raises(RecordMissing):
        store.read()
    first = store.now()
    assert first is not None and first > 1_700_000_000
    clock.now += 90.5
    assert store.now() == first + 90.5
    clock.now -= 500  # a clock that went back takes nothing away
    assert store.now() == first


def test_pairs_of_one_table_do_not_see_each_other(store: RecordStore, client: Any) -> None:
    other = RecordStore(client, "hotstandby", f"{store.pair}-b")
    made = fresh(store)
    store.put_heartbeat("hub-a", NODES["hub-a"], "b", 7, "running")
    store.put_history("m", 1.0, {"id": "m"})
    assert other.heartbeat("hub-a") is None and other.history(9) == []
    with pytest.raises(RecordMissing):
        other.read()
    fresh(other, epoch=99)
    assert store.read() == made


def race(count: int, run: Any) -> None:
    barrier = threading.Barrier(count)

    def started(number: int) -> None:
        barrier.wait()
        run(number)

    threads = [threading.Thread(target=started, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_eight_contenders_have_one_winner(served: Any) -> None:
    for _round in range(12):
        record = dataclasses.replace(fresh(RecordStore(served, "hotstandby", f"race-{uuid.uuid4().hex}")))
        won: list[str] = []

        def contend(name: str, record: Record, won: list[str]) -> None:
            mine = RecordStore(served, "hotstandby", record.pair)
            try:
                mine.update(record, lease=mine.new_lease(name, 30))
                won.append(name)
            except Conflict:
                pass

        threads = [threading.Thread(target=contend, args=(f"c{number}", record, won)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, won
        held = RecordStore(served, "hotstandby", record.pair).read().lease
        assert held is not None and held.owner == won[0]


def test_eight_who_take_over_a_dead_lease_have_one_winner_and_the_dead_wakes_to_nothing(served: Any) -> None:
    """Whole holders: they wait for the lease, take it, and make a grant; the epoch grows by one."""
    clock: Any = time
    for _round in range(2):
        store = RecordStore(served, "hotstandby", f"race-{uuid.uuid4().hex}")
        dead = Holder(store, clock, fresh(store), "dead", 1.0)
        dead.write(state="moving", active=None, move=MOVE)
        granted: list[str] = []

        def contend(number: int, pair: str, granted: list[str]) -> None:
            mine = RecordStore(served, "hotstandby", pair)
            try:
                record = free_lease(mine, mine.read(), clock)
                holder = Holder(mine, clock, record, f"c{number}", 20.0)
                holder.write(move=dataclasses.replace(MOVE, resumes=1))
                holder.ready()
                holder.write(active="hub-b", epoch=record.epoch + 1)
                granted.append(f"c{number}")
            except (LeaseHeld, LeaseLost):
                pass

        race(8, functools.partial(contend, pair=store.pair, granted=granted))
        after = store.read()
        assert len(granted) == 1, granted
        assert (after.epoch, after.active, after.lease and after.lease.owner) == (8, "hub-b", granted[0])
        with pytest.raises(LeaseLost):
            dead.write(active="hub-a", epoch=8)
        assert store.read() == after


def test_eight_who_make_a_record_make_one(served: Any) -> None:
    pair = f"race-{uuid.uuid4().hex}"
    made: list[int] = []

    def make(number: int) -> None:
        try:
            made.append(fresh(RecordStore(served, "hotstandby", pair), epoch=10 + number).epoch)
        except Conflict:
            pass

    race(8, make)
    assert [RecordStore(served, "hotstandby", pair).read().epoch] == made
