# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record on three DynamoDBs: what is written is read, and what was read must still be so when it is written."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Conflict,
    Lease,
    RecordMissing,
    RecordUnreadable,
    SchemaMismatch,
    StoreError,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore, to_item

from tests.integration.store.records import MOVE, NODES, fresh


def test_what_is_written_is_read(store: RecordStore) -> None:
    with pytest.raises(RecordMissing, match="run deploy"):
        store.read()
    made = fresh(store)
    assert store.read() == made
    log = ({"name": "confirm", "outcome": "ok", "seconds": 0.25, "detail": "日本語 too"},)
    lease = store.new_lease("keiko@admin/1", 30.0)
    moving = store.update(
        made, lease=lease, state="moving", active=None, move=dataclasses.replace(MOVE, log=log)
    )
    assert store.read() == moving
    assert store.read().move == dataclasses.replace(MOVE, log=log) and store.read().lease == lease
    paused = {"by": "akira", "reason": "storage", "time": 1790000001.0}
    done = store.update(
        moving, lease=None, state="steady", active="hub-b", epoch=8, move=None, pending=("x",), paused=paused
    )
    assert store.read() == done and store.read().lease is None


def test_a_record_is_made_once(store: RecordStore) -> None:
    fresh(store)
    assert fresh(store).epoch == 7, "the same again is what stands there"
    with pytest.raises(Conflict):
        fresh(store, epoch=9)
    assert store.read().epoch == 7


@pytest.mark.parametrize(
    "meanwhile",
    [{"epoch": 8}, {"state": "broken", "active": None}, {"lease": Lease("akira", "v", 30.0)}],
    ids=["epoch", "state", "lease"],
)
def test_a_write_on_an_old_reading_is_lost(store: RecordStore, meanwhile: dict[str, Any]) -> None:
    old = fresh(store)
    now = store.update(old, **meanwhile)
    with pytest.raises(Conflict):
        store.update(old, active="hub-b", lease=store.new_lease("late", 30))
    assert store.read() == now


def test_a_pause_that_came_in_between_stops_a_new_lease(store: RecordStore) -> None:
    old = fresh(store)
    store.update(old, paused={"by": "akira", "reason": "storage"})
    with pytest.raises(Conflict):
        store.update(old, lease=store.new_lease("keiko", 30), move=MOVE)
    assert store.read().move is None


def test_a_pause_is_written_while_a_move_holds_the_lease(store: RecordStore) -> None:
    held = store.update(fresh(store), lease=store.new_lease("keiko", 30))
    paused = store.update(held, paused={"by": "akira", "reason": "storage"})
    assert store.read() == paused and paused.lease == held.lease
    assert store.update(paused, paused=None).paused is None


def test_a_held_lease_is_renewed_only_by_who_saw_it(store: RecordStore) -> None:
    held = store.update(fresh(store), lease=store.new_lease("keiko", 30))
    renewed = store.update(held, lease=store.new_lease("keiko", 30))
    with pytest.raises(Conflict, match="keiko"):
        store.update(held, lease=store.new_lease("akira", 30))
    assert store.read() == renewed


def test_heartbeats_carry_the_epoch_and_the_tables_own_time(store: RecordStore) -> None:
    assert store.heartbeat("hub-a") is None and store.now() is not None
    store.put_heartbeat("hub-a", NODES["hub-a"], "boot", 7, "running")
    first = store.heartbeat("hub-a")
    store.put_heartbeat("hub-a", NODES["hub-a"], "boot", 8, "stopped")
    second = store.heartbeat("hub-a")
    assert first is not None and second is not None and first.beat != second.beat
    assert (second.epoch, second.state, second.instance_id) == (8, "stopped", NODES["hub-a"])
    assert second.time is not None and abs(second.time - (store.now() or 0)) < 5


def test_history_is_newest_first_and_written_over_itself(store: RecordStore) -> None:
    for began in (100.0, 1790000000.0, 2000.0):
        store.put_history("m", began, {"id": f"m{began:.0f}", "steps": [{"seconds": 0.1}]})
    store.put_history("m", 1790000000.0, {"id": "again"})
    assert [item["id"] for item in store.history(2)] == ["again", "m2000"]
    assert len(store.history(10)) == 3


def test_who_ended_earlier_does_not_write_over_the_history_of_who_ended_later(store: RecordStore) -> None:
    """A holder that stood still in the middle of this write goes on after its successor has finished the move."""
    store.put_history("m", 1000.0, {"id": "m", "outcome": "unfinished", "ended": 1010.0})
    store.put_history("m", 1000.0, {"id": "m", "outcome": "moved", "ended": 1060.5})
    with pytest.raises(StoreError, match="a later holder has written this move's history already"):
        store.put_history("m", 1000.0, {"id": "m", "outcome": "unfinished", "ended": 1040.0})
    assert [item["outcome"] for item in store.history(9)] == ["moved"]
    # the same second, read by two parties
    store.put_history("m", 1000.0, {"id": "m", "outcome": "degraded", "ended": 1060.0})
    assert [item["outcome"] for item in store.history(9)] == ["degraded"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"schema": 2}, SchemaMismatch),
        ({"schema": None}, RecordUnreadable),
        ({"epoch": "seven"}, RecordUnreadable),
        ({"active": "hub-c"}, RecordUnreadable),
        ({"state": "odd"}, RecordUnreadable),
        ({"nodes": {"hub-a": "i-1"}}, RecordUnreadable),
        ({"lease": {"owner": "x"}}, RecordUnreadable),
        ({"state": "moving"}, RecordUnreadable),
        ({"move": {"id": "x"}}, RecordUnreadable),
        ({"pending": 7}, RecordUnreadable),
        ({"times": "now"}, RecordUnreadable),
    ],
)
def test_an_item_that_makes_no_sense_is_unknown(
    store: RecordStore, client: Any, change: dict[str, Any], error: type[Exception]
) -> None:
    fresh(store)
    values = {
        "pair": store.pair, "item": "record", "schema": 1, "nodes": NODES, "active": "hub-a", "epoch": 7,
        "state": "steady", "move": None, "lease": None, "paused": None, "pending": [], "times": {}, **change,
    }  # fmt: skip
    client.put_item(TableName="hotstandby", Item=to_item(values))
    with pytest.raises(error):
        store.read()


def test_a_table_that_is_not_there_is_named(client: Any) -> None:
    with pytest.raises(RecordUnreadable, match="there is no table 'elsewhere'"):
        RecordStore(client, "elsewhere", "p").read()
