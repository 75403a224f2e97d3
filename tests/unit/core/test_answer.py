# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is an answer of that node, and what is nothing; and that an answer always fits into one line of SSM's output."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import (
    LIMIT,
    Answer,
    NoAnswer,
    Reply,
    dump_answer,
    parse_answer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD: dict[str, Any] = {
    "schema": 1, "pair": "hub-prod", "node": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa", "boot_id": "b-1",
    "action": "look", "move": "m-1", "epoch": 7, "state": "running", "seen": 7, "floor": 6,
    "held": {"by": "akira", "reason": "patch", "time": 1}, "detail": {"message": "well", "eligible": {"free": 1}},
}  # fmt: skip


def read(text: str, action: str = "look") -> Reply:
    return parse_answer(text, "hub-prod", "hub-a", "i-0aaaaaaaaaaaaaaaa", action)


def line(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def without(key: str) -> str:
    return json.dumps({name: value for name, value in GOOD.items() if name != key})


def test_a_whole_answer() -> None:
    found = read(line())
    assert isinstance(found, Answer)
    assert {item.name: getattr(found, item.name) for item in dataclasses.fields(found)} == GOOD
    assert (found.refused, found.message) == (False, "well")
    assert isinstance(read(line(epoch=None, held=None)), Answer)
    assert isinstance(read(line(), action=""), Answer), "without an action any is taken"


@pytest.mark.parametrize(
    "text",
    [
        "noise\n" * 6000 + line(),
        "x" * 30_000 + "\n" + line(),
        line(state="stopped") + "\n" + line(),
        line() + "\n\n  \n",
        "  " + line() + "\r\n",
        '{"broken\n' + line(),
    ],
    ids=["lines", "one-line", "earlier", "blank", "crlf", "json"],
)
def test_the_last_line_counts(text: str) -> None:
    found = read(text)
    assert isinstance(found, Answer) and found.state == "running"


BAD = {
    "empty": ("", "it printed nothing"),
    "blank": (" \n\t\n", "it printed nothing"),
    "noise after": (line() + "\nbye", "last line is not an answer"),
    "not JSON": ("sh: hotstandby: not found", "not an answer: 'sh: hotstandby: not found'"),
    "a list": ("[1]", "last line is not an answer"),
    "a text": ('"running"', "last line is not an answer"),
    "null": ("null", "last line is not an answer"),
    "a number": ("7", "last line is not an answer"),
    "deep": ("[" * 100_000, "last line is not an answer"),
    "deep objects": ('{"a":' * 100_000, "last line is not an answer"),
    "digits": ("9" * 10_000, "last line is not an answer"),
    "two on a line": (line() + line(), "last line is not an answer"),
    "nul": ("\0" * 10, "last line is not an answer"),
    "schema 2": (line(schema=2), "it speaks schema 2, this version speaks 1: run deploy"),
    "schema text": (line(schema="1"), "it speaks schema 1"),
    "no schema": (without("schema"), "it speaks schema None"),
    "other pair": (line(pair="hub-test"), "names pair 'hub-test', expected 'hub-prod'"),
    "other node": (line(node="hub-b"), "names node 'hub-b', expected 'hub-a'"),
    "a clone": (line(instance_id="i-0cccccccccccccccc"), "names instance_id 'i-0cccccccccccccccc'"),
    "no pair": (without("pair"), "names pair 'None'"),
    "no node": (without("node"), "names node 'None'"),
    "no instance": (without("instance_id"), "names instance_id 'None'"),
    "a name of many lines": (line(pair="a\nb" * 500), "names pair 'a"),
    "other action": (line(action="stop"), "the answer is to 'stop', asked was 'look'"),
    "no action": (without("action"), "the answer is to 'None'"),
    "odd state": (line(state="RUNNING"), "lacks a state, seen or floor"),
    "list state": (line(state=["running"]), "lacks a state, seen or floor"),
    "no state": (without("state"), "lacks a state, seen or floor"),
    "no seen": (without("seen"), "lacks a state, seen or floor"),
    "no floor": (without("floor"), "lacks a state, seen or floor"),
    "text seen": (line(seen="7"), "lacks a state, seen or floor"),
    "boolean seen": (line(seen=True), "lacks a state, seen or floor"),
    "fraction": (line(floor=1.5), "lacks a state, seen or floor"),
    "text epoch": (line(epoch="7"), "lacks a state, seen or floor"),
    "NaN": (line(seen=float("nan")), "lacks a state, seen or floor"),
    "no detail": (without("detail"), "lacks its detail"),
    "list detail": (line(detail=[]), "lacks its detail"),
    "text held": (line(held="akira"), "lacks its detail"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_anything_else_is_no_answer(name: str) -> None:
    text, why = BAD[name]
    found = read(text)
    assert isinstance(found, NoAnswer)
    assert why in found.why
    assert len(found.why.splitlines()) == 1 and len(found.why) < 300
    assert found.reached


@pytest.mark.parametrize("cut", [1, 2, 40, 120, 2300])
def test_a_truncated_answer_is_no_answer(cut: int) -> None:
    whole = line(detail={"message": "x" * 3000})
    assert isinstance(read(whole[:-cut]), NoAnswer)
    assert isinstance(read(whole[cut:]), NoAnswer)


@settings(max_examples=100)
@given(st.text(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(list(GOOD)),
    lambda inner: st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=13) | st.lists(inner, max_size=3),
    max_leaves=20,
).map(json.dumps))  # fmt: skip
def test_no_text_raises_or_passes_for_an_answer(text: str) -> None:
    assert isinstance(read(text), NoAnswer)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(list(GOOD)), st.none() | st.integers() | st.text(max_size=4) | st.lists(st.none())
                       | st.dictionaries(st.text(max_size=3), st.text(max_size=3))))  # fmt: skip
def test_an_answer_with_odd_values_never_raises(changes: dict[str, Any]) -> None:
    found = read(line(**changes))
    if isinstance(found, Answer):
        assert (found.pair, found.node, found.instance_id) == ("hub-prod", "hub-a", "i-0aaaaaaaaaaaaaaaa")
        assert isinstance(found.message, str) and isinstance(found.refused, bool)


# -- made by a node

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
TEXTS = st.text(max_size=40) | st.text(min_size=1, max_size=9).map(lambda text: text * 300)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**18), 10**18) | st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.dictionaries(st.text(max_size=20), inner, max_size=4) | st.lists(inner, max_size=4),
    max_leaves=6,
)  # fmt: skip
ANSWERS = st.builds(
    Answer,
    pair=NAMES,
    node=NAMES,
    instance_id=st.just("i-0aaaaaaaaaaaaaaaa"),
    boot_id=st.uuids().map(str),
    action=st.sampled_from(["look", "start", "stop", "healthcheck"]),
    move=st.from_regex(r"\A[A-Za-z0-9._-]{0,64}\Z"),
    epoch=st.none() | st.integers(0, 10**18),
    state=st.sampled_from(["running", "stopped", "hung", "unknown"]),
    seen=st.integers(0, 10**18),
    floor=st.integers(0, 10**18),
    held=st.none() | st.dictionaries(st.sampled_from(["by", "reason", "time"]), VALUES),
    detail=st.fixed_dictionaries(
        {},
        optional={
            "refused": st.booleans(),
            **dict.fromkeys(("message", "code", "still_stopping", "eligible", "proof", "attempts", "probe"), VALUES),
        },
    ),
)  # fmt: skip


@settings(max_examples=80)
@given(ANSWERS)
def test_an_answer_fits_and_is_read_back(answer: Answer) -> None:
    text = dump_answer(answer)
    assert len(text.encode()) <= LIMIT and len(text.splitlines()) == 1 and text.isascii()
    found = parse_answer(text, answer.pair, answer.node, answer.instance_id, answer.action)
    assert isinstance(found, Answer), found
    for name in ("move", "epoch", "state", "seen", "floor", "boot_id", "refused"):
        assert getattr(found, name) == getattr(answer, name), name
    assert (found.held is None) == (answer.held is None), "held is a fact, only its texts may be cut"


def test_a_short_answer_is_kept_as_it_is() -> None:
    answer = read(line())
    assert isinstance(answer, Answer)
    assert read(dump_answer(answer)) == answer


def test_a_long_message_is_cut_and_the_rest_kept() -> None:
    answer = read(line(detail={"message": "y" * 20_000, "eligible": {"free": 1, "marker": "hub-prod"}}))
    assert isinstance(answer, Answer)
    found = read(dump_answer(answer))
    assert isinstance(found, Answer)
    assert found.detail["eligible"] == {"free": 1, "marker": "hub-prod"}
    assert found.message.startswith("yyy") and len(found.message) <= 600
