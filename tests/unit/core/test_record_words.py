# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exactly is wrong with an item, and the edges of what is right."""

from __future__ import annotations

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
    parse_heartbeat,
    parse_record,
    plain,
)

NODES = {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}
MOVE = Move(id="m-1", kind="failover", source="hub-a", target="hub-b", step="stop")
ITEM: dict[str, Any] = {
    "schema": 1,
    "nodes": NODES,
    "active": None,
    "epoch": 7,
    "state": "moving",
    "move": plain(MOVE),
}


def item(**changes: Any) -> dict[str, Any]:
    return {**ITEM, **changes}


def move(**changes: Any) -> dict[str, Any]:
    return item(move={**ITEM["move"], **changes})


WRONG: list[tuple[dict[str, Any], str]] = [
    (item(schema="1"), "it has no schema"),
    (item(schema=True), "it has no schema"),
    (item(nodes={"hub-a": "i"}), "nodes is not a map of two"),
    (item(nodes={"hub-a": "i", "hub-b": 7}), "nodes is not a map of two"),
    (item(nodes=[1, 2]), "nodes is not a map of two"),
    (item(epoch=-1), "epoch is not a number"),
    (item(epoch=True), "epoch is not a number"),
    (item(active="hub-c"), "active is 'hub-c'"),
    (item(active=["hub-a"]), "active is '"),
    (item(state="resting"), "state is 'resting'"),
    (item(state="broken", active="hub-a", move=None), "state is broken with an active node and no move"),
    (item(active="hub-a", move=None), "state is moving with an active node and no move"),
    (item(move=None), "state is moving and there is no move"),
    (item(paused="yes"), "paused is not a map"),
    (item(pending=7), "pending is not a list of texts"),
    (item(pending=["x", 7]), "pending is not a list of texts"),
    (item(times="now"), "times is not a map"),
    (item(move="m-1"), "move is not a map"),
    (item(move={"id": "m-1"}), "move lacks a field"),
    (move(kind="wish"), "move is at 'wish/stop'"),
    (move(step="dance"), "move is at 'failover/dance'"),
    (move(target="hub-c"), "move goes from 'hub-a' to 'hub-c'"),
    (move(source="hub-b"), "move goes from 'hub-b' to 'hub-b'"),
    (item(lease={"owner": "x"}), "lease lacks a field"),
    (item(lease={"owner": "x", "version": "v", "seconds": 0}), "lease is for 0.0 s"),
    (item(lease={"owner": "x", "version": "v", "seconds": 3600.5}), "lease is for 3600.5 s"),
    *[(move(**{name: 7}), "a field of move is of another kind")
      for name in ("id", "reason", "by", "unfenced", "why", "rollback", "fenced", "assumed")],
    *[(move(**{name: value}), "a field of move is of another kind")
      for name in ("resumes", "tries") for value in (-1, "1", True, 1.5)],
    *[(move(began=value), "a field of move is of another kind") for value in ("x", True, 1e15, -1e15)],
    (move(log=[{}, 7]), "a field of move is of another kind"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "what"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_is_named(raw: dict[str, Any], what: str) -> None:
    with pytest.raises(RecordUnreadable) as caught:
        parse_record("hub-prod", raw)
    assert str(caught.value).startswith(f"the record of pair 'hub-prod' makes no sense: {what}")


def test_another_schema_says_what_to_do() -> None:
    for schema in (0, 2):
        with pytest.raises(SchemaMismatch) as caught:
            parse_record("hub-prod", item(schema=schema))
        assert str(caught.value) == (
            f"the record of pair 'hub-prod' has schema {schema}, this version reads 1 to 1: "
            "install a matching version"
        )


def test_the_least_item_is_a_record_with_nothing_else() -> None:
    assert parse_record("hub-prod", ITEM) == Record("hub-prod", NODES, None, 7, "moving", 1, MOVE)
    steady = item(
        state="steady", active="hub-b", epoch=0, move=None, pending=None, times=None, lease=None, paused=None
    )
    found = parse_record("hub-prod", steady)
    assert found == Record("hub-prod", NODES, "hub-b", 0)
    assert (found.pending, found.times, found.paused, found.lease, found.move) == ((), {}, None, None, None)


def test_everything_that_an_item_may_carry_is_kept() -> None:
    raw = item(pending=["a", "b"], times={"moved": 1}, paused={"by": "akira"},
               lease={"owner": 7, "version": 8, "seconds": "3600"})  # fmt: skip
    found = parse_record("hub-prod", raw)
    assert found.pending == ("a", "b") and found.times == {"moved": 1} and found.paused == {"by": "akira"}
    assert found.lease == Lease("7", "8", 3600.0)


@pytest.mark.parametrize("seconds", [0.001, 1, 3600])
def test_any_lease_up_to_an_hour_is_one(seconds: float) -> None:
    found = parse_record("hub-prod", item(lease={"owner": "x", "version": "v", "seconds": seconds})).lease
    assert found == Lease("x", "v", float(seconds))


@pytest.mark.parametrize("state", ["broken", "moving"])
def test_nobody_is_named_or_a_move_says_why(state: str) -> None:
    assert parse_record("hub-prod", item(state=state, active="hub-a")).active == "hub-a"
    assert parse_record("hub-prod", item(state=state)).active is None
    assert parse_record("hub-prod", item(state="broken", move=None)).move is None


def test_the_edges_of_a_move_are_inside() -> None:
    raw = move(resumes=0, tries=3, began=-9.9e14, log=({"name": "stop"},), rollback=True, colour="red")
    found = parse_record("hub-prod", raw).move
    assert found == dataclasses.replace(MOVE, tries=3, began=-9.9e14, log=({"name": "stop"},), rollback=True)
    for kind in ("failover", "switchover", "recovery"):
        for step in ("confirm", "stop", "fence", "start"):
            found = parse_record("hub-prod", move(kind=kind, step=step)).move
            assert found is not None and (found.kind, found.step) == (kind, step)
    without = {key: value for key, value in ITEM["move"].items() if key != "log"}
    assert parse_record("hub-prod", item(move=without)).move == MOVE


def test_the_way_back_exchanges_the_nodes_and_forgets_what_was_about_the_source() -> None:
    there = dataclasses.replace(
        MOVE,
        fenced=True,
        unfenced="plug pulled",
        tries=2,
        resumes=3,
        reason="patch",
        by="keiko",
        why="old",
        began=1.0,
    )
    back = there.swapped(step="start", why="it failed")
    assert back == Move(id="m-1", kind="failover", source="hub-b", target="hub-a", step="start", reason="patch",
                        by="keiko", rollback=True, why="it failed", began=1.0)  # fmt: skip
    assert there.swapped(tries=1).tries == 1


def test_the_other_node() -> None:
    record = Record("hub-prod", NODES, None, 7)
    assert (record.other("hub-a"), record.other("hub-b")) == ("hub-b", "hub-a")


# -- heartbeats

BEAT = {
    "node": "hub-a",
    "instance_id": "i",
    "boot_id": "b",
    "epoch": 7,
    "state": "running",
    "beat": "1",
    "time": 12,
}


def test_a_heartbeat_is_read_whatever_its_numbers_are_written_as() -> None:
    assert parse_heartbeat(BEAT) == Heartbeat("hub-a", "i", "b", 7, "running", "1", 12.0)
    found = parse_heartbeat(
        {**BEAT, "epoch": "7", "beat": 3, "node": 1, "instance_id": 2, "boot_id": 3, "state": 4}
    )
    assert found == Heartbeat("1", "2", "3", 7, "4", "3", 12.0)


def test_a_heartbeat_may_have_no_time() -> None:
    for raw in ({**BEAT, "time": None}, {key: value for key, value in BEAT.items() if key != "time"}):
        assert parse_heartbeat(raw) == Heartbeat("hub-a", "i", "b", 7, "running", "1", None)


def test_a_heartbeat_without_a_field_or_with_an_odd_time_tells_nothing() -> None:
    for name in ("node", "instance_id", "boot_id", "epoch", "state", "beat"):
        assert parse_heartbeat({key: value for key, value in BEAT.items() if key != name}) is None
    for time in ("12", True, 1e15, [1]):
        assert parse_heartbeat({**BEAT, "time": time}) is None
    for epoch in ("x", None, float("inf")):
        assert parse_heartbeat({**BEAT, "epoch": epoch}) is None


def test_plain_values_hold_no_tuple_and_no_class() -> None:
    lease = Lease("keiko", "v1", 30.0)
    assert plain(lease) == {"owner": "keiko", "version": "v1", "seconds": 30.0}
    assert plain({1: (lease, [(2,)])}) == {"1": [plain(lease), [[2]]]}
    assert plain(Lease) is Lease and plain("x") == "x" and plain(None) is None
