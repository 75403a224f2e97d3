# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of a start, by its refusal; and what a start leaves behind."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Heartbeat,
    RecordMissing,
    RecordUnreadable,
    SchemaMismatch,
)

from tests.unit.node.sim_host import FOLDER, SHARED
from tests.unit.node.sim_machine import A, B, Machine

ORDER = Asked(rules.ORDER, 7)
PERSON, BOOT, OATH, ASK = Asked(rules.PERSON), Asked(rules.BOOT), Asked(rules.OATH), Asked(rules.ASK)
LOCK = f"{FOLDER}/lock"
HELD = json.dumps({"by": "ann", "reason": "patch", "time": 1})


def start(machine: Machine, asked: Asked = ORDER, limit: float = 60, reason: str = "") -> Any:
    return machine.do(lambda guard: guard.start(asked, limit, reason))


def code(outcome: Any) -> str:
    assert outcome.code == 5 and outcome.detail["refused"] is True
    return str(outcome.detail["code"])


def change(machine: Machine, **changes: Any) -> None:
    machine.record = dataclasses.replace(machine.record, **changes)  # type: ignore[type-var]


@pytest.mark.parametrize("asked", [ORDER, PERSON, BOOT])
def test_a_start_that_is_meant_runs_and_is_remembered(asked: Asked) -> None:
    machine = Machine()
    outcome = start(machine, asked)
    assert (outcome.state, outcome.code, outcome.detail["already"]) == ("running", 0, False)
    assert machine.runs and machine.memory("seen") == "7" and machine.memory("floor") is None
    assert not machine.locks and machine.memory("lock") == ""


CASES: dict[str, Any] = {
    "not_active": lambda machine: change(machine, active="hub-b"),
    "wrong_instance": lambda machine: change(machine, nodes={"hub-a": "i-0cccccccccccccccc", "hub-b": B}),
    "wrong_epoch": lambda machine: change(machine, epoch=8),
    "restored": lambda machine: machine.remember(seen=9),
    "epoch_floor": lambda machine: machine.remember(floor=7),
    "state_unreadable": lambda machine: machine.remember(seen="what?"),
    "record_unreadable": lambda machine: setattr(machine, "record", RecordUnreadable("no answer")),
    "record_missing": lambda machine: setattr(machine, "record", RecordMissing("none")),
    "schema": lambda machine: setattr(machine, "record", SchemaMismatch("schema 9")),
    "instance_unknown": lambda machine: setattr(machine, "instance", None),
    "shared_not_mounted": lambda machine: machine.mount_points.remove(SHARED),
    "shared_other_pair": lambda machine: machine.files.update({f"{SHARED}/.hotstandby-pair": "other\n"}),
    "shared_no_marker": lambda machine: machine.files.pop(f"{SHARED}/.hotstandby-pair"),
    "held": lambda machine: machine.remember(held=HELD, seen=7),
    "state_not_written": lambda machine: machine.broken.add(f"{FOLDER}/seen"),
}


@pytest.mark.parametrize("word", CASES)
def test_each_rule_refuses_and_starts_nothing(word: str) -> None:
    machine = Machine()
    CASES[word](machine)
    before = machine.memory("seen")
    assert code(start(machine)) == word
    assert machine.starts == 0 and machine.memory("seen") == before and not machine.locks


@pytest.mark.parametrize("word", [word for word in CASES if word != "state_not_written"])
def test_may_start_asks_the_same_without_the_lock(word: str) -> None:
    machine = Machine()
    CASES[word](machine)
    outcome = machine.do(lambda guard: guard.may_start(Asked(rules.ASK, 7)))
    assert code(outcome) == word and f"{FOLDER}/lock" not in machine.files


def test_nobody_named_is_not_active() -> None:
    machine = Machine()
    change(machine, active=None, state="broken")
    assert code(start(machine, PERSON)) == "not_active"


def test_a_clone_is_not_what_the_record_means() -> None:
    machine = Machine()
    machine.instance = "i-0dddddddddddddddd"
    assert code(start(machine)) == "wrong_instance"


def test_an_epoch_older_than_seen_is_refused_even_if_the_record_were_blind() -> None:
    facts = rules.Facts("hub-prod", "hub-a", A, A, memory=Machine().do(lambda guard: guard.state.recall()))
    facts = dataclasses.replace(facts, memory=dataclasses.replace(facts.memory, seen=8))
    assert rules._remembered(ORDER, facts, 7).code == "later_epoch_seen"


def test_a_repeated_start_is_well_and_orders_nothing() -> None:
    machine = Machine()
    start(machine)
    again = start(machine)
    assert (again.state, again.code, again.detail["already"], machine.starts) == ("running", 0, True, 1)


@pytest.mark.parametrize(
    ("asked", "seen", "starts"),
    [
        (ORDER, 7, False),
        (ORDER, 6, True),
        (PERSON, 7, True),
        (BOOT, 7, False),
        (BOOT, 6, False),
        (ASK, 7, False),
    ],
)
def test_held_ends_with_a_person_or_a_new_epoch_only(asked: Asked, seen: int, starts: bool) -> None:
    machine = Machine()
    machine.remember(held=HELD, seen=seen)
    outcome = machine.do(lambda guard: guard.may_start(asked)) if asked == ASK else start(machine, asked)
    assert (outcome.code == 0) is starts and machine.runs is starts
    assert (machine.memory("held") is None) is starts


def test_a_damaged_held_still_holds() -> None:
    machine = Machine()
    machine.remember(held="{", seen=7)
    assert code(start(machine)) == "held"


def test_boot_refuses_while_the_other_node_has_seen_more_than_the_record() -> None:
    machine = Machine()
    machine.beats["hub-b"] = Heartbeat("hub-b", B, "x", 8, "stopped", "1", None)
    assert code(start(machine, BOOT)) == "peer_later"
    assert start(machine, ORDER).code == 0
    machine.daemons.clear()
    machine.beats["hub-b"] = Heartbeat("hub-b", B, "x", 7, "stopped", "1", None)
    assert start(machine, BOOT).code == 0


@pytest.mark.parametrize("asked", [PERSON, ASK])
def test_nobody_starts_by_an_old_record_while_the_other_node_has_seen_more(asked: Asked) -> None:
    machine = Machine()  # fenced at epoch 7, so that nothing here tells of the grant to the other node
    machine.beats["hub-b"] = Heartbeat("hub-b", B, "x", 8, "running", "1", None)
    outcome = machine.do(lambda guard: guard.may_start(asked)) if asked == ASK else start(machine, asked)
    assert (code(outcome), machine.starts) == ("peer_later", 0)
    assert "deploy" in outcome.detail["message"]


def test_boot_waits_for_network_and_mounts() -> None:
    machine = Machine()
    machine.instance, machine.mount_points = None, ["/"]
    machine.record = RecordUnreadable("no route")
    good = Machine().record
    task = machine.begin(lambda guard: guard.boot(60))
    machine.run(40)
    machine.instance = A
    machine.run(20)
    machine.record = good
    machine.run(20)
    assert not task.done and machine.starts == 0
    machine.mount_points.append(SHARED)
    machine.run()
    assert task.result.state == "running"


def test_boot_gives_up_in_the_end_and_never_waits_for_a_verdict() -> None:
    machine = Machine()
    machine.record = RecordUnreadable("no route")
    began = machine.now
    assert code(machine.do(lambda guard: guard.boot(60, wait=100))) == "record_unreadable"
    assert 100 <= machine.now - began < 120
    machine.record = RecordMissing("none")
    began = machine.now
    assert code(machine.do(lambda guard: guard.boot(60))) == "record_missing"
    assert machine.now - began < 5


def test_without_record_takes_a_terminal_a_reason_and_itself() -> None:
    machine = Machine()
    machine.record = RecordUnreadable("gone")
    assert code(start(machine, OATH, reason="dynamodb is gone")) == "no_terminal"
    machine.terminal = True
    assert code(start(machine, OATH)) == "no_reason"
    machine.instance = "i-0dddddddddddddddd"
    assert code(start(machine, OATH, reason="x")) == "wrong_instance"
    machine.instance = A
    machine.remember(held=HELD, seen=7)
    assert start(machine, OATH, reason="dynamodb is gone").state == "running"
    assert any("dynamodb is gone" in line and "ann" in line for line in machine.lines)
    assert machine.memory("held") is None


def test_may_start_yields_to_a_start_under_oath_only_while_it_works() -> None:
    machine = Machine()
    machine.record = RecordUnreadable("gone")
    machine.terminal = True
    oath = machine.begin(lambda guard: guard.start(OATH, 60, "gone"), freeze_at="run hubcluster -start")
    machine.run(5)
    assert oath.frozen
    assert machine.do(lambda guard: guard.may_start(ASK)).code == 0
    name = machine.files[LOCK]
    held = machine.locks.pop(LOCK)
    assert machine.do(lambda guard: guard.may_start(ASK)).code == 5  # a name alone is no lock
    machine.locks[LOCK], machine.files[LOCK] = held, name
    machine.thaw(oath)
    machine.run()
    assert machine.do(lambda guard: guard.may_start(ASK)).code == 5


def test_may_start_yields_to_no_other_start() -> None:
    machine = Machine()
    task = machine.begin(lambda guard: guard.start(ORDER, 60), freeze_at="run hubcluster -start")
    machine.run(5)
    machine.record = RecordUnreadable("gone")
    assert task.frozen and code(machine.do(lambda guard: guard.may_start(ASK))) == "record_unreadable"


def test_a_stop_under_way_is_waited_for_although_the_product_says_running() -> None:
    machine = Machine()
    machine.run_product()
    machine.stop_seconds = 20
    machine.command(("/opt/hub/bin/hubstop", "-normal"), None)
    outcome = start(machine)
    assert outcome.state == "running" and outcome.detail["already"] is False and machine.starts == 1
    assert outcome.detail["seconds"] >= 20


def test_a_stop_that_never_ends_means_no_start() -> None:
    machine = Machine()
    machine.run_product()
    machine.stop_seconds = 500
    machine.command(("/opt/hub/bin/hubstop", "-normal"), None)
    outcome = start(machine, limit=30)
    assert (outcome.state, outcome.code, machine.starts) == ("unknown", 4, 0)
    assert outcome.detail["still_stopping"] is True, "a move that gives the product back waits for this"


def test_a_failed_start_says_so() -> None:
    machine = Machine()
    machine.start_fails = True
    outcome = start(machine)
    assert (outcome.state, outcome.code) == ("stopped", 1) and "exit code 116" in outcome.detail["message"]
    assert machine.memory("seen") == "7"


def test_a_start_that_takes_too_long_is_ended() -> None:
    machine = Machine()
    machine.start_seconds = 300
    outcome = start(machine, limit=30)
    assert outcome.code in (1, 4) and not machine.jobs and not machine.runs


def test_a_start_waits_for_the_lock_and_gives_up() -> None:
    machine = Machine()
    first = machine.begin(lambda guard: guard.start(ORDER, 60), freeze_at="read-record")
    machine.run(1)
    assert code(start(machine, limit=10)) == "lock_busy"
    machine.thaw(first)
    machine.run()
    assert first.result.state == "running"


def test_a_start_behind_a_long_stop_says_that_it_waits_for_one() -> None:
    machine = Machine()
    machine.run_product()
    machine.stop_seconds = 500
    stop = machine.begin(lambda guard: guard.stop(6, "normal", 300))
    machine.run(5)
    outcome = start(machine, limit=10)
    assert (code(outcome), outcome.detail["still_stopping"]) == ("lock_busy", True)
    assert not stop.done and machine.starts == 0


def test_a_signal_ends_the_product_start_too_and_leaves_no_lock() -> None:
    machine = Machine()
    machine.start_seconds = 20
    task = machine.begin(lambda guard: guard.start(ORDER, 60))
    machine.run(5)
    machine.kill(task.pid, 0, force=False)
    machine.run()
    assert isinstance(task.error, Terminated) and task.result is None
    assert not machine.locks and not machine.jobs and not machine.runs
