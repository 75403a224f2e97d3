# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An order to start that comes before its grant: it waits, and starts with that grant or with none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Move, Record, RecordUnreadable

from tests.unit.node.sim_host import Task
from tests.unit.node.sim_machine import A, B, Machine

AHEAD = Asked(rules.ORDER, 8)
MOVE = Move(id="m1", kind="switchover", source="hub-b", target="hub-a", step="stop")
UNDER_WAY = Record("hub-prod", {"hub-a": A, "hub-b": B}, None, 7, state="moving", move=MOVE)
GRANTED = dataclasses.replace(UNDER_WAY, active="hub-a", epoch=8)
START, STOP = 180.0, 120.0  # the timeouts that are shipped


def waiting(
    record: Any = UNDER_WAY, asked: Asked = AHEAD, limit: float = STOP + START
) -> tuple[Machine, Task]:
    """A node whose order has waited for three seconds."""
    machine = Machine()
    machine.record = record
    task = machine.begin(lambda guard: guard.start(asked, limit))
    machine.run(3.0)
    return machine, task


def ended(machine: Machine, task: Task) -> Any:
    machine.run(until=task)
    assert task.error is None and not machine.locks
    return task.result


def refusal(machine: Machine, task: Task) -> str:
    outcome = ended(machine, task)
    assert outcome.code == 5 and machine.starts == 0 and machine.memory("seen") is None
    return str(outcome.detail["code"])


def test_it_starts_with_the_grant_and_holds_no_lock_before() -> None:
    machine, task = waiting()
    assert not task.done and not machine.locks and machine.starts == 0
    granted_at = machine.now
    machine.record = GRANTED
    outcome = ended(machine, task)
    assert (outcome.state, outcome.code, outcome.detail["already"]) == ("running", 0, False)
    assert machine.memory("seen") == "8" and machine.starts == 1
    # found within a twentieth of what it had waited, and what a start takes
    assert machine.now - granted_at < machine.start_seconds + 0.7


def test_it_gets_the_whole_time_of_a_start_after_a_grant_that_came_late() -> None:
    machine, task = waiting()
    machine.start_seconds = 170.0
    machine.run(STOP - 5.0)
    machine.record = GRANTED
    assert ended(machine, task).state == "running"


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("not_active", dataclasses.replace(GRANTED, active="hub-b")),  # given back with the same number
        ("not_active", dataclasses.replace(UNDER_WAY, state="broken", move=None)),
        ("not_active", dataclasses.replace(UNDER_WAY, epoch=8)),  # granted and taken away again
        ("not_active", dataclasses.replace(UNDER_WAY, move=dataclasses.replace(MOVE, target="hub-b"))),
        ("wrong_epoch", dataclasses.replace(GRANTED, epoch=9)),
        ("wrong_instance", dataclasses.replace(GRANTED, nodes={"hub-a": "i-0cccccccccccccccc", "hub-b": B})),
    ],
)  # fmt: skip
def test_any_other_end_of_the_move_refuses_it_at_once(word: str, becomes: Record) -> None:
    machine, task = waiting()
    began = machine.now
    machine.record = becomes
    assert refusal(machine, task) == word
    assert machine.now - began < 2.0


def test_without_a_grant_it_is_refused_with_time_left_for_nothing() -> None:
    machine, task = waiting()
    assert refusal(machine, task) == "not_yet"
    assert 1000.0 + STOP <= machine.now < 1000.0 + STOP + 2.0
    assert "failover" in task.result.detail["message"] and "to=hub-a" in task.result.detail["message"]


@pytest.mark.parametrize(
    "asked", [Asked(rules.ORDER, 9), Asked(rules.PERSON), Asked(rules.BOOT), Asked(rules.ORDER, 7)]
)
def test_nothing_else_waits(asked: Asked) -> None:
    machine, task = waiting(asked=asked)
    assert task.done and refusal(machine, task) == "not_active"


def test_an_order_with_the_time_of_a_start_only_does_not_wait() -> None:
    machine, task = waiting(limit=START)
    assert task.done and refusal(machine, task) == "not_yet"


@pytest.mark.parametrize(
    "during",
    [
        lambda machine: machine.remember(floor=8),  # a stop of that very epoch came by
        lambda machine: machine.remember(seen=9),
        lambda machine: setattr(machine, "instance", None),
        lambda machine: machine.mount_points.remove("/shared/hub"),
    ],
)
def test_every_rule_is_asked_again_with_the_grant(during: Callable[[Machine], Any]) -> None:
    machine, task = waiting()
    during(machine)
    machine.record = GRANTED
    outcome = ended(machine, task)
    assert outcome.code == 5 and machine.starts == 0


def test_a_record_that_cannot_be_read_for_a_while_is_read_again() -> None:
    machine, task = waiting()
    machine.record = RecordUnreadable("no answer")
    machine.run(20.0)
    assert not task.done and machine.starts == 0
    machine.record = GRANTED
    assert ended(machine, task).state == "running"


def test_a_record_that_cannot_be_read_any_more_is_no_grant() -> None:
    machine, task = waiting()
    machine.record = RecordUnreadable("no answer")
    assert refusal(machine, task) == "record_unreadable"


def test_a_stop_meanwhile_is_not_held_up_and_a_stop_of_that_epoch_ends_it() -> None:
    machine, task = waiting()
    stopped = machine.do(lambda guard: guard.stop(8, "normal", 60))
    assert stopped.state == "stopped" and machine.now < 1010.0
    machine.record = GRANTED
    assert ended(machine, task).detail["code"] == "epoch_floor" and machine.starts == 0


def test_two_orders_start_it_once() -> None:
    machine, task = waiting()
    other = machine.begin(lambda guard: guard.start(AHEAD, STOP + START))
    machine.run(1.0)
    machine.record = GRANTED
    machine.run(until=task)
    machine.run(until=other)
    assert machine.starts == 1 and {task.result.state, other.result.state} == {"running"}


def test_one_that_dies_while_it_waits_leaves_nothing() -> None:
    machine, task = waiting()
    machine.kill(task.pid, task.pid, True)
    machine.record = GRANTED
    assert machine.do(lambda guard: guard.start(AHEAD, START)).state == "running"
    assert machine.starts == 1
