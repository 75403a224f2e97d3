# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and refusals in full: each names its node, its source and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer, NoAnswer, Reply
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import (
    NO,
    UNKNOWN,
    YES,
    Evidence,
    Signals,
    Verdict,
    ineligible,
    judge,
    left_over,
    restored,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record

from tests.simulation.world import PAIR

SILENT = NoAnswer("lost")


def answer(state: str, node: str = "hub-a", **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "pair": "hub-prod", "node": node, "instance_id": "i-0aaaaaaaaaaaaaaaa", "boot_id": "b", "action": "look",
        "move": "", "epoch": None, "state": state, "seen": 7, "floor": 0, "held": None, "detail": {},
    }  # fmt: skip
    return Answer(**{**values, **changes})


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (answer("running"), Verdict("healthy", "hub-a answers that the service runs")),
        (answer("stopped"), Verdict("down", "hub-a answers that the service is stopped")),
        (answer("stopped", held={"by": "akira", "reason": "patch"}),
         Verdict("held", "hub-a was stopped on purpose by akira (patch)")),
        (answer("stopped", held={}), Verdict("held", "hub-a was stopped on purpose by somebody (no reason given)")),
        (answer("hung"), Verdict("down", "hub-a answers that the service hangs (no answer of the product)")),
        (answer("hung", detail={"message": "rc 112"}), Verdict("down", "hub-a answers that the service hangs (rc 112)")),
        (answer("unknown"), Verdict("unknown", "the check on hub-a cannot judge, mend it: no reason given")),
        (answer("unknown", detail={"message": "rc 12"}),
         Verdict("unknown", "the check on hub-a cannot judge, mend it: rc 12")),
    ],
)  # fmt: skip
def test_what_an_answer_means(reply: Reply, verdict: Verdict) -> None:
    assert judge(reply, Signals()) == verdict


def said(name: str, word: str) -> Evidence:
    return Evidence(word, name, f"{name} {word}")


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ([YES], Verdict("down", "no answer (lost); off: off yes", proven=True)),
        ([NO, YES], Verdict("unknown", "no answer (lost), but it serves (probe: probe yes): the control path broke")),
        ([NO, NO, YES], Verdict("down", "no answer (lost); heartbeat: heartbeat yes")),
        ([NO, NO, NO], Verdict("unknown", "no answer (lost), but heartbeat: heartbeat no: the control path broke")),
        ([NO, NO, UNKNOWN, YES], Verdict("down", "no answer (lost); alarm: alarm yes")),
        ([NO, NO, UNKNOWN, NO], Verdict("unknown", "no answer (lost), but alarm: alarm no: the control path broke")),
        ([NO, NO, UNKNOWN, UNKNOWN], Verdict("unknown", "no answer (lost), and nothing else tells whether it is down "
         "(off: off no; probe: probe no; heartbeat: heartbeat unknown; alarm: alarm unknown)")),
    ],
)  # fmt: skip
def test_what_the_signals_mean(words: list[str], verdict: Verdict) -> None:
    names = ("off", "probe", "heartbeat", "alarm")
    known = Signals(**{name: said(name, word) for name, word in zip(names, words)})
    assert judge(SILENT, known) == verdict


def test_a_signal_that_has_nothing_to_say_is_left_out() -> None:
    quiet = Evidence(UNKNOWN, "x")
    found = judge(SILENT, Signals(said("off", NO), quiet, quiet, quiet))
    assert found == Verdict(
        "unknown", "no answer (lost), and nothing else tells whether it is down (off: off no)"
    )


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (Evidence(YES, "alarm", "is in ALARM"), "alarm: is in ALARM"),
        (Evidence(YES, "alarm", "is in ALARM", 3.6), "alarm: is in ALARM, 4 s old"),
        (Evidence(NO, "heartbeat"), "heartbeat: no"),
        (Evidence(NO, "heartbeat", "", 0.0), "heartbeat: no, 0 s old"),
    ],
)
def test_evidence_in_words(evidence: Evidence, text: str) -> None:
    assert str(evidence) == text


def test_a_restored_record_is_told_with_both_epochs() -> None:
    record = Record("hub-prod", {"hub-a": "i", "hub-b": "j"}, "hub-a", 7)
    replies: dict[str, Reply] = {"hub-a": SILENT, "hub-b": answer("stopped", "hub-b", seen=8, floor=9)}
    assert restored(record, replies) == (
        "hub-b has seen epoch 9, the record says 7: the record was restored from a backup; "
        "stop the service on both nodes, then run deploy"
    )
    assert restored(record, {"hub-b": answer("stopped", "hub-b", seen=7, floor=7)}) is None


READY = {"installed": True, "autostart": False, "mounted": True, "marker": "hub-prod", "free": 1 << 20}


def standby(state: str = "stopped", detail: dict[str, Any] | None = None, **eligible: Any) -> Answer:
    return answer(
        state, "hub-b", detail={"eligible": {**READY, **eligible}, "processes": 0, **(detail or {})}
    )


LEFT = "processes of the service are left"
UNCOUNTED = "the service's processes could not be counted"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (SILENT, "hub-b gives no answer: lost"),
        (standby("running"), "the service already runs on hub-b, which is not the active node: stop it there first"),
        (standby("hung", {"message": "rc 112"}),
         "hub-b cannot tell that the service is stopped there (hung: rc 112)"),
        (standby(detail={"processes": 2}), f"{LEFT} on hub-b"),
        (standby(detail={"processes": None}), f"{UNCOUNTED} on hub-b"),
        (standby(detail={"record": "unreadable", "record_why": "no route"}),
         "hub-b cannot read the record, and would refuse to start: no route"),
        (standby(detail={"record": "missing"}),
         "hub-b cannot read the record, and would refuse to start: no reason"),
        (standby(installed=False), "the product is not installed on hub-b"),
        (standby(installed=False, unready="the copy has not ended"), "hub-b is not ready: the copy has not ended"),
        (standby(autostart=True), "the product starts by itself on hub-b: disable its autostart, or run deploy"),
        (standby(mounted=False), "the shared folder is not mounted: /shared/hub on hub-b"),
        (standby(marker="other"), "the shared folder /shared/hub on hub-b belongs to pair 'other', not to 'hub-prod'"),
        (standby(marker=None), "the shared folder /shared/hub on hub-b belongs to pair 'none', not to 'hub-prod'"),
        (standby(free=(1 << 20) - 1), "the shared folder /shared/hub on hub-b has 1048575 bytes free, 1048576 are needed"),
        (standby(free="lots"), "the shared folder /shared/hub on hub-b has lots bytes free, 1048576 are needed"),
        (standby(), None),
        (standby(detail={"record": "read"}), None),
    ],
)  # fmt: skip
def test_why_a_standby_cannot_take_over(reply: Reply, why: str | None) -> None:
    assert ineligible(parse_pair(PAIR), "hub-b", reply) == why


@pytest.mark.parametrize(
    ("counted", "text"), [(3, LEFT), (1, LEFT), (0, UNCOUNTED), (None, UNCOUNTED)]
)  # fmt: skip
def test_processes_that_are_left_or_not_counted(counted: int | None, text: str) -> None:
    assert left_over(answer("stopped", detail={"processes": counted})) == text
    assert left_over(answer("stopped")) == UNCOUNTED


def test_processes_that_are_left_are_told_by_the_names_that_the_node_gives() -> None:
    named = "(pid 4711 hulserver, 4712 java)"
    assert left_over(answer("stopped", detail={"processes": 2, "left": named})) == f"{LEFT} {named}"
    assert left_over(answer("stopped", detail={"processes": 2, "left": ""})) == LEFT
    assert left_over(answer("stopped", detail={"processes": 0, "left": named})) == UNCOUNTED
