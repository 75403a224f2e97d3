# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the active really down? Every row of that table, their order, and that unknown never becomes down."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import (
    Answer,
    NoAnswer,
    Reply,
    parse_answer,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.confirm import probe_evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import (
    NO,
    UNKNOWN,
    YES,
    Ask,
    Evidence,
    Signals,
    Verdict,
    ineligible,
    judge,
    restored,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record

from tests.simulation.world import PAIR

SILENT = NoAnswer("no answer in time")
ORDER = ("off", "probe", "heartbeat", "alarm")


def answer(state: str = "stopped", **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "pair": "hub-prod", "node": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa", "boot_id": "b", "action": "look",
        "move": "", "epoch": None, "state": state, "seen": 7, "floor": 0, "held": None, "detail": {},
    }  # fmt: skip
    return Answer(**{**values, **changes})


def signals(**told: str) -> Signals:
    """Signals that say what is given, and unknown for all others."""
    return Signals(**{name: Evidence(told.get(name, UNKNOWN), name, f"{name} told") for name in ORDER})


def verdict(active: Reply, known: Signals | None = None) -> Verdict:
    found = judge(active, known or Signals())
    assert isinstance(found, Verdict)
    return found


# -- rows where the active answers: nothing else is asked


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (answer("running"), "healthy", "hub-a answers that the service runs"),
        (answer("running", held={"by": "akira"}), "healthy", "runs"),
        (answer("stopped", held={"by": "akira", "reason": "patch"}), "held", "by akira (patch)"),
        (answer("stopped", held={}), "held", "by somebody (no reason given)"),
        (answer("stopped"), "down", "hub-a answers that the service is stopped"),
        (answer("hung"), "down", "hangs (no answer of the product)"),
        (answer("hung", held={"by": "akira"}), "down", "hangs"),
        (answer("unknown", detail={"message": "exit 12"}), "unknown", "cannot judge, mend it: exit 12"),
        (answer("unknown", held={"by": "akira"}), "unknown", "cannot judge"),
    ],
)
def test_an_answer_of_the_active_decides_alone(reply: Answer, kind: str, text: str) -> None:
    """Whatever all other signals say, they are not asked and do not count."""
    for said in (Signals(), signals(**dict.fromkeys(ORDER, YES)), signals(**dict.fromkeys(ORDER, NO))):
        found = verdict(reply, said)
        assert (found.kind, found.proven) == (kind, False)
        assert text in found.why


# -- rows where it does not

ROWS = [
    ({"off": YES}, "down", True, "off told"),
    ({"probe": YES}, "unknown", False, "it serves (probe: probe told): the control path broke"),
    ({"heartbeat": YES}, "down", False, "heartbeat told"),
    ({"heartbeat": NO}, "unknown", False, "heartbeat told: the control path broke"),
    ({"alarm": YES}, "down", False, "alarm told"),
    ({"alarm": NO}, "unknown", False, "alarm told: the control path broke"),
    ({}, "unknown", False, "nothing else tells whether it is down"),
]


@pytest.mark.parametrize(("told", "kind", "proven", "text"), ROWS)
def test_each_row_for_a_silent_active(told: dict[str, str], kind: str, proven: bool, text: str) -> None:
    found = verdict(SILENT, signals(**told))
    assert (found.kind, found.proven) == (kind, proven)
    assert found.why.startswith("no answer (no answer in time)") and text in found.why


def expected(told: dict[str, str]) -> str:
    """The table, written a second time."""
    if told["off"] == YES:
        return "down"
    if told["probe"] == YES:
        return "unknown"
    if told["heartbeat"] != UNKNOWN:
        return "down" if told["heartbeat"] == YES else "unknown"
    return "down" if told["alarm"] == YES else "unknown"


@pytest.mark.parametrize("answers", list(itertools.product((YES, NO, UNKNOWN), repeat=4)))
def test_the_first_row_that_matches_wins(answers: tuple[str, ...]) -> None:
    told = dict(zip(ORDER, answers))
    found = verdict(SILENT, signals(**told))
    assert found.kind == expected(told), told
    assert found.proven == (told["off"] == YES), "only EC2 proves; all other rows need a fence"
    if YES not in answers:
        assert found.kind == "unknown", "no and unknown never make it down"


def test_signals_are_asked_one_by_one_and_no_more_than_needed() -> None:
    known, asked = Signals(), []
    while isinstance(found := judge(SILENT, known), Ask):
        asked.append(found.signal)
        known = dataclasses.replace(known, **{found.signal: Evidence(UNKNOWN, found.signal)})
    assert asked == list(ORDER)
    for index, name in enumerate(ORDER):
        known = Signals(**{early: Evidence(UNKNOWN, early) for early in ORDER[:index]})
        assert judge(SILENT, known) == Ask(name)
        ends = judge(SILENT, dataclasses.replace(known, **{name: Evidence(YES, name)}))
        assert isinstance(ends, Verdict), "a yes ends the questions"


def test_an_evidence_says_its_source_and_age() -> None:
    assert str(Evidence(YES, "alarm", "is in ALARM")) == "alarm: is in ALARM"
    assert str(Evidence(NO, "heartbeat", "", 12.4)) == "heartbeat: no, 12 s old"
    for said in (YES, NO, UNKNOWN):
        found = Evidence(said, "x")
        assert (found.yes, found.no) == (said == YES, said == NO)


# -- the standby's probe


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(node="hub-b", detail={"probe": "yes"}), YES),
        (answer(node="hub-b", detail={"probe": "no"}), NO),
        (answer(node="hub-b", detail={"probe": "unknown"}), UNKNOWN),
        (answer(node="hub-b", detail={"probe": None}), UNKNOWN),
        (answer(node="hub-b", detail={"probe": True}), UNKNOWN),
        (answer(node="hub-b", detail={"probe": ["yes"]}), UNKNOWN),
        (answer(node="hub-b"), UNKNOWN),
        (SILENT, UNKNOWN),
    ],
)
def test_what_the_probe_says(reply: Reply, said: str) -> None:
    pair = parse_pair({**PAIR, "probe": {"url": "http://{node}:28080/"}})
    assert probe_evidence(pair, "hub-b", reply).answer == said
    assert probe_evidence(parse_pair(PAIR), "hub-b", reply).answer == UNKNOWN, "none is set up"


# -- a restored record


@pytest.mark.parametrize(
    ("seen", "floor", "old"), [(7, 7, False), (8, 0, True), (0, 8, True), (6, 9, True), (0, 0, False)]
)
def test_a_node_that_saw_a_later_epoch_makes_the_record_an_old_copy(seen: int, floor: int, old: bool) -> None:
    record = Record(pair="hub-prod", nodes={}, active="hub-a", epoch=7)
    for name in ("hub-a", "hub-b"):
        replies: dict[str, Reply] = {"hub-a": SILENT, "hub-b": SILENT}
        replies[name] = answer(node=name, seen=seen, floor=floor)
        why = restored(record, replies)
        assert (why is not None) == old
        if why:
            assert name in why and "restored from a backup" in why and str(max(seen, floor)) in why
    assert restored(record, {"hub-a": SILENT, "hub-b": SILENT}) is None


# -- eligible

READY = {"installed": True, "autostart": False, "mounted": True, "marker": "hub-prod", "free": 1 << 30}


def standby(state: str = "stopped", detail: dict[str, Any] | None = None, **eligible: Any) -> Answer:
    return answer(
        state, node="hub-b", detail={"eligible": {**READY, **eligible}, "processes": 0, **(detail or {})}
    )


def test_a_ready_standby_is_eligible() -> None:
    pair = parse_pair(PAIR)
    assert ineligible(pair, "hub-b", standby()) is None
    assert ineligible(pair, "hub-b", standby(autostart=None)) is None, "not known is not set"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (SILENT, "gives no answer: no answer in time"),
        (standby("running"), "already runs on hub-b"),
        (standby("hung"), "cannot tell that the service is stopped there (hung"),
        (standby("unknown"), "cannot tell that the service is stopped there (unknown"),
        (standby(detail={"processes": 3}), "processes of the service are left on hub-b"),
        (standby(detail={"processes": None}), "processes could not be counted on hub-b"),
        (answer(node="hub-b", detail={"eligible": READY}), "processes could not be counted on hub-b"),
        (standby(installed=False), "not installed"),
        (standby(installed=None), "not installed"),
        (standby(installed="yes"), "not installed"),
        (standby(autostart=True), "starts by itself"),
        (standby(mounted=False), "not mounted"),
        (standby(mounted="yes"), "not mounted"),
        (standby(marker=None), "belongs to pair 'none', not to 'hub-prod'"),
        (standby(marker="other"), "belongs to pair 'other'"),
        (standby(free=None), "has None bytes free"),
        (standby(free="lots"), "has lots bytes free"),
        (standby(free=(1 << 20) - 1), "1048576 are needed"),
        (answer(node="hub-b", detail={"processes": 0}), "not installed"),
        (answer(node="hub-b", detail={"eligible": None, "processes": 0}), "not installed"),
        (answer(node="hub-b", detail={"eligible": "yes", "processes": 0}), "not installed"),
        (answer(node="hub-b", detail={"eligible": [1, 2], "processes": 0}), "not installed"),
        (answer(node="hub-b", detail={"eligible": 7, "processes": 0}), "not installed"),
    ],
)
def test_what_makes_a_standby_ineligible(reply: Reply, text: str) -> None:
    why = ineligible(parse_pair(PAIR), "hub-b", reply)
    assert why is not None and text in why


def test_without_a_shared_folder_its_rows_do_not_count() -> None:
    raw = {key: value for key, value in PAIR.items() if key != "shared"}
    bare = standby(mounted=None, marker=None, free=None)
    assert ineligible(parse_pair(raw), "hub-b", bare) is None
    assert ineligible(parse_pair(raw), "hub-b", standby(autostart=True)) is not None


def test_an_answer_that_cannot_say_who_it_is_is_no_silence() -> None:
    """With its metadata service down a node that is well answers without its instance id: mend it, do not move it."""
    told = parse_answer(
        '{"schema":1,"pair":"hub-prod","node":"hub-a","instance_id":"","action":"look"}',
        "hub-prod",
        "hub-a",
        "i-0aaaaaaaaaaaaaaaa",
        "look",
    )
    assert isinstance(told, NoAnswer) and told.spoke
    still = Evidence("yes", "heartbeat of hub-a", "it stands still")
    verdict = judge(told, Signals(off=Evidence("no", "EC2", "running"), heartbeat=still))
    assert isinstance(verdict, Verdict) and verdict.kind == "unknown" and "instance_id" in verdict.why
