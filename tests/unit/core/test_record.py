# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever an item holds, it is read as a record that makes sense, or refused as unknown; never anything else."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Heartbeat,
    Lease,
    Move,
    Record,
    RecordUnreadable,
    SchemaMismatch,
    StoreError,
    parse_heartbeat,
    parse_record,
    plain,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.store import from_item, to_item
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.world import World

MOVE = Move(
    id="m-1", kind="failover", source="hub-a", target="hub-b", step="fence", reason="it died", by="keiko",
    resumes=1, began=1.5, log=({"name": "stop", "outcome": "doubt", "seconds": 0.25, "detail": "x"},),
)  # fmt: skip
RECORD = Record(
    pair="hub-prod", nodes={"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}, active=None, epoch=7,
    state="moving", move=MOVE, pending=("elastic_ip x",), lease=Lease("keiko@a/1", "v1", 30.0),
    paused={"by": "akira", "reason": "storage", "time": 1}, times={"moved": None, "active_since": 12.25},
)  # fmt: skip
GOOD: dict[str, Any] = plain(RECORD)
GONE = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(GOOD)
    at = raw
    *way, last = path.split(".")
    for part in way:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return raw


def test_what_is_written_is_read() -> None:
    assert parse_record("hub-prod", GOOD) == RECORD
    assert parse_record("hub-prod", from_item(to_item(GOOD))) == RECORD
    least = Record(pair="hub-prod", nodes=RECORD.nodes, active="hub-a", epoch=0)
    assert parse_record("hub-prod", from_item(to_item(plain(least)))) == least


def test_what_a_later_version_adds_is_left_out() -> None:
    raw = changed("colour", "red")
    raw["move"]["mood"] = "good"
    assert parse_record("hub-prod", raw) == RECORD


@pytest.mark.parametrize("schema", [0, 2, 99, -1])
def test_another_schema_is_told_as_such(schema: int) -> None:
    with pytest.raises(SchemaMismatch, match=f"has schema {schema}, this version reads 1 to 1"):
        parse_record("hub-prod", changed("schema", schema))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", GONE), ("schema", "1"), ("schema", None), ("schema", 1.5), ("schema", True),
        ("nodes", GONE), ("nodes", {}), ("nodes", {"hub-a": "i"}), ("nodes", ["hub-a", "hub-b"]),
        ("nodes", {"hub-a": "i", "hub-b": 7}), ("nodes", {"hub-a": "i", "hub-b": "j", "hub-c": "k"}),
        ("epoch", GONE), ("epoch", "7"), ("epoch", -1), ("epoch", 7.5), ("epoch", True), ("epoch", None),
        ("active", GONE), ("active", "hub-c"), ("active", ""), ("active", ["hub-a"]), ("active", {}), ("active", 7),
        ("state", GONE), ("state", "resting"), ("state", None), ("state", ["moving"]),
        ("move", None), ("move", "m-1"), ("move", {}), ("move", []),
        ("move.kind", "wish"), ("move.kind", ["failover"]), ("move.step", "dance"), ("move.step", None),
        ("move.source", "hub-b"), ("move.source", ["hub-a"]), ("move.target", "hub-c"), ("move.target", GONE),
        ("move.id", GONE), ("move.id", 7), ("move.resumes", "1"), ("move.resumes", None), ("move.tries", [1]),
        ("move.resumes", 1.5), ("move.log", 7), ("move.log", "text"), ("move.log", [7]), ("move.rollback", "no"),
        ("move.fenced", 1), ("move.unfenced", True), ("move.assumed", None), ("move.began", "yesterday"),
        ("lease", "keiko"), ("lease", {}), ("lease", {"owner": "x", "version": "v"}), ("lease", []),
        ("lease.seconds", "soon"), ("lease.seconds", None), ("lease.seconds", 0), ("lease.seconds", -30),
        ("lease.seconds", "nan"), ("lease.seconds", "inf"), ("lease.seconds", 10**9),
        ("paused", "yes"), ("paused", True), ("paused", ["akira"]),
        ("pending", 7), ("pending", "elastic_ip"), ("pending", [7]), ("pending", {"a": 1}),
        ("times", "now"), ("times", 7), ("times", ["a"]),
    ],
)  # fmt: skip
def test_an_item_that_makes_no_sense_is_unknown(path: str, value: Any) -> None:
    with pytest.raises(RecordUnreadable, match="the record of pair 'hub-prod' makes no sense") as caught:
        parse_record("hub-prod", changed(path, value))
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 300


def test_an_active_node_without_a_move_is_no_broken_or_moving_pair() -> None:
    for state in ("moving", "broken"):
        with pytest.raises(RecordUnreadable):
            parse_record("hub-prod", {**changed("active", "hub-a"), "state": state, "move": None})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["hub-a", "hub-b", "moving", "broken", "steady", "fence", "switchover"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*GOOD, *GOOD["move"], "owner", "version", "seconds"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def sensible(record: Record) -> None:
    """What every user of a record takes for granted."""
    assert record.active in (None, *record.nodes) and record.epoch >= 0 and len(record.nodes) == 2
    if record.move is not None:
        assert {record.move.source, record.move.target} == set(record.nodes)
        assert record.move.resumes + record.move.tries >= 0 and dataclasses.replace(record.move, resumes=1)
        assert all(isinstance(step, dict) for step in record.move.log)
    if record.lease is not None:
        assert 0 < record.lease.seconds < 86400
    if record.paused:
        assert record.paused.get("by", "") is not NotImplemented
    assert all(isinstance(label, str) for label in record.pending)
    assert not record.times or record.times.get("x") is None


@settings(max_examples=120)
@given(
    st.dictionaries(st.sampled_from(sorted(GOOD)), JUNK, max_size=3),
    st.dictionaries(st.sampled_from(sorted(GOOD["move"])), JUNK, max_size=3),
)
def test_any_item_is_read_or_unknown(top: dict[str, Any], move: dict[str, Any]) -> None:
    raw = copy.deepcopy(GOOD)
    raw["move"].update(move)
    raw.update(top)
    try:
        record = parse_record("hub-prod", raw)
    except StoreError as error:
        assert len(str(error).splitlines()) == 1
    else:
        sensible(record)


@settings(max_examples=40)
@given(JUNK)
def test_any_heartbeat_is_read_or_tells_nothing(junk: Any) -> None:
    good = {
        "node": "hub-a",
        "instance_id": "i",
        "boot_id": "b",
        "epoch": 7,
        "state": "running",
        "beat": "1",
        "time": 1,
    }
    assert parse_heartbeat(good) == Heartbeat("hub-a", "i", "b", 7, "running", "1", 1.0)
    for key in good:
        found = parse_heartbeat({**good, key: junk})
        assert found is None or isinstance(found.epoch, int)
        assert found is None or found.time is None or abs(found.time) < 1e300
    assert parse_heartbeat(junk if isinstance(junk, dict) else {}) is None


def test_a_move_over_an_item_that_makes_no_sense_touches_nothing() -> None:
    for path, value in (("pending", 7), ("move.resumes", "1"), ("lease.seconds", 0), ("active", ["hub-a"])):
        world = World().steady()
        world.dynamo.items[("hub-prod", "record")] = to_item({**changed(path, value), "item": "record"})
        before = copy.deepcopy(world.dynamo.items)
        result = world.run(to="hub-b")
        assert (result.outcome, result.changed) == ("refused", False), path
        assert world.dynamo.items == before and world.events == []
