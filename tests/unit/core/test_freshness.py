# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a standby's copy is: known, not known, and what a planned move makes of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer
from ansible_collections.hotstandby.ops.plugins.module_utils.confirm import Looked, eligible
from ansible_collections.hotstandby.ops.plugins.module_utils.freshness import (
    Note,
    noted,
    parse_note,
    told,
    too_old,
    words,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Ended
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import PairSpec, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Move, Record

NODES = [
    {"name": "warp-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"},
    {"name": "warp-b", "instance_id": "i-0bbbbbbbbbbbbbbbb"},
]
DAY = 86400


def pair(**more: Any) -> PairSpec:
    return parse_pair({
        "name": "p", "region": "us-east-1", "table": "hotstandby", "service": "asteria_warp", "nodes": NODES,
        "product": {"install_dir": "/opt/asteria", "data_dir": "/data/asteria"}, **more,
    })  # fmt: skip


def standby(**sync: Any) -> Answer:
    told_by = {"installed": True, "autostart": None, **({"sync": sync} if sync else {})}
    return Answer(
        "p", "warp-b", NODES[1]["instance_id"], "boot", "look", "", None, "stopped", 1, 1, None,
        {"eligible": told_by, "processes": 0},
    )  # fmt: skip


def test_a_comparison_that_found_a_difference_makes_nothing_younger() -> None:
    first = noted(None, "warp-a", 1000.0, 0)
    assert first == Note("warp-a", 1000.0, 1000.0, 0)
    second = noted(first, "warp-a", 2000.0, 7)
    assert second == Note("warp-a", 1000.0, 2000.0, 7)
    assert noted(second, "warp-a", 3000.0, 0).equal == 3000.0
    # of another node nothing was known before
    assert noted(second, "warp-b", 3000.0, 1).equal is None
    for note in (first, second, noted(None, "warp-a", 1.0, 3)):
        assert parse_note(note.text()) == note


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "7", '{"source": 7, "equal": 1, "looked": 1, "drift": 0}', '{"source": "warp-a"}',
     '{"source": "warp-a", "equal": true, "looked": 1, "drift": 0}',
     '{"source": "warp-a", "equal": "x", "looked": 1, "drift": 0}'],
)  # fmt: skip
def test_a_note_that_nobody_can_read_says_nothing(text: str | None) -> None:
    assert parse_note(text) is None
    assert told(parse_note(text), "warp-a", 5.0)["age"] is None


def test_a_node_tells_an_age_only_of_the_data_that_are_there() -> None:
    note = Note("warp-a", 1000.0, 1500.0, 2)
    assert told(note, "warp-a", 2000.0) == {"source": "warp-a", "age": 1000, "looked": 500, "drift": 2}
    # it has been active itself since, or its data have no marker
    for made_by in ("warp-b", None):
        assert told(note, made_by, 2000.0) == {"source": made_by, "age": None, "looked": None, "drift": None}
    # its clock was set back
    assert told(note, "warp-a", 900.0)["age"] is None


@pytest.mark.parametrize(
    ("sync", "why"),
    [
        ({"source": "warp-a", "age": DAY, "looked": 5, "drift": 3}, ""),
        ({"source": "warp-a", "age": 3 * DAY, "looked": 5, "drift": 3}, "equal to warp-a's 3 d ago, 3 entries differed"),
        ({"source": "warp-a", "age": None, "looked": 5, "drift": 3}, "nobody knows how old its data are compared with warp-a's"),
        ({"source": "warp-b", "age": 1, "looked": 1, "drift": 0}, "nobody knows how old"),
        ({"source": None, "age": None, "looked": None, "drift": None}, "nobody knows how old"),
        ({"source": "warp-a", "age": True, "looked": 1, "drift": 0}, "nobody knows how old"),
        ({"source": "warp-a", "age": "5", "looked": 1, "drift": 0}, "nobody knows how old"),
    ],
)  # fmt: skip
def test_old_and_not_known_are_two_answers_and_neither_is_young(sync: dict[str, Any], why: str) -> None:
    found = too_old(pair(max_sync_age=DAY), "warp-a", standby(**sync))
    assert (found == "") is (why == "") and why in found
    # nobody asked
    assert too_old(pair(), "warp-a", standby(**sync)) == "" and words("warp-a", sync)


def test_a_product_without_copies_is_not_judged() -> None:
    assert too_old(pair(max_sync_age=1), "warp-a", standby()) == "" and words("warp-a", {}) == ""


def moving(kind: str) -> Record:
    move = Move("m", kind, "warp-a", "warp-b", "eligible")
    return Record("p", {n["name"]: n["instance_id"] for n in NODES}, "warp-a", 1, "moving", move=move)


def looked(reply: Answer) -> Looked:
    return Looked({"warp-b": reply}, None, None)


@pytest.mark.parametrize("age", [2 * DAY + 1, None])
def test_a_switchover_is_refused_or_warned_and_a_failover_goes_on(age: int | None) -> None:
    reply = standby(source="warp-a", age=age, looked=age, drift=1)
    strict = pair(max_sync_age=DAY)
    with pytest.raises(Ended) as refused:
        eligible(strict, moving("switchover"), looked(reply))
    assert refused.value.outcome == "refused" and refused.value.code == "standby_stale"
    assert "hotstandby.ops.sync" in str(refused.value.next) and "Nothing was stopped" in refused.value.message
    for given, kind in ((strict, "failover"), (pair(max_sync_age=DAY, sync_too_old="warn"), "switchover")):
        detail = eligible(given, moving(kind), looked(reply))
        # the history says which data the target has
        assert "stopped and ready; " in detail and "max_sync_age is 24 h" in detail
    young = dataclasses.replace(
        reply, detail={**reply.detail, **standby(source="warp-a", age=5, drift=0).detail}
    )
    assert eligible(strict, moving("switchover"), looked(young)).endswith("equal to warp-a's 5 s ago")
