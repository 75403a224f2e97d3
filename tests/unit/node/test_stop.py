# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop: whom it ends, whom it waits for, what it remembers, and that it never says stopped without proof."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import Terminated
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process

from tests.unit.node.sim_host import EXE, FOLDER, Killed, Task
from tests.unit.node.sim_machine import Machine

LOCK = f"{FOLDER}/lock"


def running() -> Machine:
    machine = Machine()
    machine.run_product()
    machine.remember(seen=7)
    return machine


def stop(machine: Machine, epoch: int | None = 7, limit: float = 60, mode: str = "normal") -> Any:
    return machine.do(lambda guard: guard.stop(epoch, mode, limit, "patch"))


def starting(machine: Machine, at: str, epoch: int | None = 7) -> Task:
    who = rules.PERSON if epoch is None else rules.ORDER
    task = machine.begin(lambda guard: guard.start(Asked(who, epoch), 60), "start", freeze_at=at)
    machine.run(30)
    assert task.frozen
    # it leads its own group, so that ending the group ends what it began
    assert at == "sign" or json.loads(machine.files[LOCK])["pgid"] == task.pid
    return task


def test_a_stop_is_proven_and_raises_the_floor() -> None:
    machine = running()
    began = machine.now
    outcome = stop(machine)
    assert (outcome.state, outcome.code) == ("stopped", 0) and not machine.runs
    assert machine.now - began < machine.stop_seconds + 1
    assert machine.memory("floor") == "7" and machine.memory("held") is None and machine.memory("lock") == ""
    assert "no process" in outcome.detail["proof"] and outcome.detail["still_stopping"] is False


def test_the_floor_is_never_lowered() -> None:
    machine = running()
    machine.remember(floor=9)
    assert stop(machine, 8).state == "stopped"
    assert machine.memory("floor") == "9"


def test_the_floor_stands_before_the_product_is_stopped() -> None:
    machine = running()
    task = machine.begin(lambda guard: guard.stop(7, "normal", 60), freeze_at="run hubstop -normal")
    machine.run(20)
    assert task.frozen and machine.memory("floor") == "7" and machine.runs


def test_it_is_ordered_even_if_status_says_stopped() -> None:
    machine = Machine()
    machine.status_rc = 240
    machine.run_product()
    assert stop(machine).state == "stopped" and not machine.runs


def test_a_stop_after_a_later_epoch_is_refused() -> None:
    machine = running()
    outcome = stop(machine, 6)
    assert (outcome.code, outcome.detail["code"]) == (5, "later_epoch_seen")
    assert machine.runs and machine.memory("floor") is None and LOCK not in machine.files


def test_it_looks_again_under_the_lock() -> None:
    machine = running()
    machine.remember(seen=6)
    task = machine.begin(lambda guard: guard.stop(6, "normal", 60), freeze_at="lock")
    machine.run(5)
    machine.remember(seen=7)
    machine.thaw(task)
    machine.run()
    assert task.result.detail["code"] == "later_epoch_seen" and machine.runs


# between reading the record and starting; before anything was read; while the product starts
@pytest.mark.parametrize(
    "at", ["read-record", "write seen", "run hubcluster -status", "run hubcluster -start", "wait"]
)
@pytest.mark.parametrize("epoch", [7, None])
def test_a_frozen_start_is_ended_and_nothing_comes_up_later(at: str, epoch: int | None) -> None:
    machine = Machine()
    machine.start_seconds = 10
    start = starting(machine, at, epoch)
    began = machine.now
    outcome = stop(machine)
    assert (outcome.state, outcome.code) == ("stopped", 0) and not machine.runs
    assert machine.now - began < 12
    assert (start.pid, False) in machine.signals and (start.pid, True) in machine.signals
    machine.thaw(start)
    machine.run()
    assert isinstance(start.error, Killed) and not machine.runs and machine.memory("floor") == "7"


def test_a_start_frozen_before_it_could_sign_is_doubt_and_never_proof() -> None:
    machine = Machine()
    start = starting(machine, "sign")
    outcome = stop(machine, limit=10)
    assert (outcome.state, outcome.detail["code"]) == ("unknown", "lock_busy") and not start.done


def test_a_start_that_can_still_hear_is_asked_politely() -> None:
    machine = Machine()
    machine.start_seconds = 20
    start = machine.begin(lambda guard: guard.start(Asked(rules.ORDER, 7), 60))
    machine.run(3)
    assert stop(machine).state == "stopped"
    assert isinstance(start.error, Terminated) and machine.signals[0] == (start.pid, False)
    assert (start.pid, True) not in machine.signals


def test_a_start_in_mid_start_is_ended_with_its_daemons() -> None:
    machine = Machine()
    machine.start_seconds = 20
    machine.begin(lambda guard: guard.start(Asked(rules.ORDER, 7), 60))
    machine.run(15)
    assert machine.runs  # forked, not up: detached daemons outlive the group
    assert stop(machine).state == "stopped" and not machine.runs


def test_a_start_with_a_later_epoch_makes_it_refuse() -> None:
    machine = Machine()
    machine.record = dataclasses.replace(machine.record, epoch=8)  # type: ignore[type-var]
    start = starting(machine, "write seen", 8)
    outcome = stop(machine, 7)
    assert (outcome.code, outcome.detail["code"]) == (5, "later_epoch_seen") and not machine.signals
    machine.thaw(start)
    machine.run()
    assert start.result.state == "running"


def test_a_person_start_that_turns_out_later_makes_it_refuse() -> None:
    machine = Machine()
    machine.record = dataclasses.replace(machine.record, epoch=8)  # type: ignore[type-var]
    start = starting(machine, "read-record", None)
    task = machine.begin(lambda guard: guard.stop(7, "normal", 60))
    machine.run(1)
    machine.thaw(start)
    machine.run()
    assert task.result.detail["code"] == "later_epoch_seen" and start.result.state == "running"


@pytest.mark.parametrize("mode", ["normal", "force"])
def test_another_stop_is_waited_for_and_never_ended(mode: str) -> None:
    machine = running()
    machine.stop_seconds = 15
    first = machine.begin(lambda guard: guard.stop(7, "normal", 60))
    machine.run(2)
    second = stop(machine, mode=mode)
    assert first.result.state == second.state == "stopped" and not machine.signals


def test_it_gives_up_on_a_lock_that_does_not_come_free() -> None:
    machine = running()
    first = machine.begin(lambda guard: guard.stop(7, "normal", 60), freeze_at="run hubstop -normal")
    machine.run(2)
    outcome = stop(machine, limit=10)
    assert (outcome.state, outcome.code, outcome.detail["code"]) == ("unknown", 5, "lock_busy")
    assert outcome.detail["still_stopping"] is True and not machine.signals and not first.done


def test_a_reused_pid_is_never_killed() -> None:
    machine = Machine()
    victim = starting(machine, "read-record")
    holder = json.loads(machine.files[LOCK])
    machine.files[LOCK] = json.dumps({**holder, "started": holder["started"] - 1})
    outcome = stop(machine, limit=10)
    assert outcome.detail["code"] == "lock_busy" and not machine.signals and not victim.dead


def test_a_person_stop_waits_sets_held_and_no_floor() -> None:
    machine = Machine()
    start = starting(machine, "run hubcluster -start")
    task = machine.begin(lambda guard: guard.stop(None, "normal", 60, "patch"))
    machine.run(20)
    assert not task.done and not machine.signals
    machine.thaw(start)
    machine.run()
    assert start.result.state == "running" and task.result.state == "stopped"
    held = json.loads(machine.memory("held") or "")
    assert (
        (held["by"], held["reason"]) == ("ann", "patch") and held["time"] and machine.memory("floor") is None
    )


def test_a_slow_stop_is_told_as_such_and_goes_on() -> None:
    machine = running()
    machine.stop_seconds = 100
    began = machine.now
    outcome = stop(machine, limit=20)
    assert (outcome.state, outcome.code, outcome.detail["still_stopping"]) == ("running", 1, True)
    assert machine.now - began <= 21 and machine.jobs
    machine.run()
    assert not machine.runs


def test_force_does_not_wait_for_a_normal_stop() -> None:
    machine = running()
    machine.stop_seconds = 100
    stop(machine, limit=20)
    machine.stop_seconds = 1
    assert (
        stop(machine, limit=20, mode="force").state == "unknown"
    )  # the first hubstop still runs: no proof yet
    machine.jobs.clear()
    assert stop(machine, limit=20, mode="force").state == "stopped"


def test_a_product_that_ignores_the_stop_is_given_up_soon() -> None:
    machine = running()
    machine.stop_ignored = True
    began = machine.now
    outcome = stop(machine, limit=120)
    assert (outcome.state, outcome.detail["still_stopping"]) == ("running", False)
    assert machine.now - began < 15


@pytest.mark.parametrize(("rc", "state"), [(12, "unknown"), (112, "hung"), (230, "unknown")])
def test_without_a_clear_status_there_is_no_proof(rc: int, state: str) -> None:
    machine = running()
    machine.status_rc = rc
    outcome = stop(machine, limit=120)
    assert (outcome.state, outcome.code) == (state, 4) and not machine.runs


def test_a_process_that_is_left_refutes_the_stop() -> None:
    machine = running()
    machine.strays = [Process(9, 9, 9, f"{EXE}/hubmgrd (deleted)", ("x",))]
    outcome = stop(machine, limit=20)
    assert (outcome.state, outcome.code, outcome.detail["processes"]) == ("unknown", 4, 1)


@pytest.mark.parametrize("argv", [("/bin/sh", f"{EXE}/hubcluster", "-status"), ("vi", "/etc/hub")])
def test_a_question_of_somebody_else_is_no_process_of_the_product(argv: tuple[str, ...]) -> None:
    machine = running()
    machine.strays = [Process(9, 9, 9, "/bin/sh", argv)]
    assert stop(machine).state == "stopped"


def test_a_stop_whose_floor_cannot_be_written_is_no_proof() -> None:
    machine = running()
    machine.broken.add(f"{FOLDER}/floor")
    outcome = stop(machine)
    assert outcome.state == "unknown" and outcome.code == 4 and not machine.runs


def test_a_stop_without_a_lock_stops_nothing_and_proves_nothing() -> None:
    machine = running()
    machine.broken.add(LOCK)
    assert stop(machine).state == "unknown" and machine.runs


def test_an_old_start_after_the_stop_is_refused() -> None:
    machine = running()
    stop(machine)
    outcome = machine.do(lambda guard: guard.start(Asked(rules.ORDER, 7), 60))
    assert outcome.detail["code"] == "epoch_floor" and not machine.runs


@pytest.mark.parametrize("seed", range(150))
def test_whatever_the_order_a_proven_stop_is_final(seed: int) -> None:
    """Starts and stops of one epoch, frozen, killed and interleaved at random: once a stop is proven nothing comes up."""
    dice = random.Random(seed)
    machine = Machine()
    machine.random = dice
    machine.start_seconds, machine.stop_seconds = dice.choice([0.1, 3, 9]), dice.choice([0.1, 4])
    if dice.random() < 0.4:
        machine.run_product()
    points = ["lock", "sign", "read-record", "write seen", "run hubcluster -start", "wait", "instance-id", ""]
    frozen_at = [dice.choice(points) for _turn in range(dice.randint(1, 3))]
    starts = [
        machine.begin(
            lambda guard: guard.start(Asked(*dice.choice([(rules.ORDER, 7), (rules.PERSON, None)])), 60),
            freeze_at=at,
        )
        for at in frozen_at
    ]
    machine.run(dice.choice([0, 0.05, 1, 4]))
    # a move withdraws the permission before it stops
    machine.record = dataclasses.replace(machine.record, active=None, state="broken")  # type: ignore[type-var]
    stops = [machine.begin(lambda guard: guard.stop(7, "normal", 60)) for _turn in range(dice.randint(1, 2))]
    proven = False
    for _turn in range(400):
        machine.run(0.5)
        for task in starts:
            if task.frozen and dice.random() < 0.02:
                machine.thaw(task)
        for task in [
            task for task in stops if task.done and task.error is None and task.result.state == "stopped"
        ]:
            proven = True
            assert task.result.code == 0
        assert not (proven and machine.runs), "it runs after a proven stop"
    for task in starts:
        machine.thaw(task)
    machine.run()
    # one that froze before it could say who it is cannot be ended: then there was doubt, and the move fences
    assert proven or "sign" in frozen_at
    assert not (proven and machine.runs)
