# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health check, self-fencing and look, in a simulated machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import check, look, rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.guard import Guard
from ansible_collections.hotstandby.ops.plugins.module_utils.node.state import Memory
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Record,
    RecordMissing,
    RecordUnreadable,
    SchemaMismatch,
)

from tests.unit.node.sim_host import FOLDER, SHARED
from tests.unit.node.sim_machine import A, B, Machine

Points = list[tuple[str, float, dict[str, str]]]


def checked(machine: Machine) -> tuple[Any, Points]:
    points: Points = []

    def work(guard: Guard) -> Any:
        store: Any = guard.store
        return check.healthcheck(guard, store, lambda name, value, dims: points.append((name, value, dims)))

    return machine.do(work), points


def other(machine: Machine, **changes: Any) -> Machine:
    """The record names the other node."""
    machine.record = dataclasses.replace(machine.record, active="hub-b", **changes)  # type: ignore[type-var]
    return machine


def ran(machine: Machine) -> Machine:
    machine.run_product()
    machine.remember(seen=7)
    return machine


def test_the_active_node_puts_one_verdict_and_beats() -> None:
    outcome, points = checked(ran(machine := Machine()))
    assert (outcome.state, outcome.code) == ("running", 0)
    assert points == [("Unhealthy", 0.0, {"Pair": "hub-prod"})]
    beat = machine.beats["hub-a"]
    assert (beat.instance_id, beat.boot_id, beat.epoch, beat.state) == (A, "boot-1", 7, "running")


@pytest.mark.parametrize(("rc", "state"), [(240, "stopped"), (100, "hung"), (112, "hung")])
def test_an_active_that_is_down_says_unhealthy(rc: int, state: str) -> None:
    machine = Machine()
    machine.status_rc = rc
    outcome, points = checked(machine)
    assert outcome.state == state and points == [("Unhealthy", 1.0, {"Pair": "hub-prod"})]


@pytest.mark.parametrize(("runs", "value"), [(True, 0.0), (False, 1.0)])
def test_the_published_metric_is_put_beside_ours_where_it_is_chosen(runs: bool, value: float) -> None:
    """MyApp/Alive is 0 when alive, has no dimension, and only who is named puts it."""
    machine = Machine(published_metric=True)
    if runs:
        ran(machine)
    assert checked(machine)[1] == [("Unhealthy", value, {"Pair": "hub-prod"}), ("Alive", value, {})]
    standby = other(Machine(published_metric=True))
    assert [name for name, _value, _dimensions in checked(standby)[1]] == ["StandbyReady"]
    unknown = ran(Machine(published_metric=True))
    unknown.status_rc = 12
    assert [name for name, _value, _dimensions in checked(unknown)[1]] == ["CheckBroken"]


def test_a_published_metric_that_cannot_be_put_leaves_ours_alone() -> None:
    machine = ran(Machine(published_metric=True))

    def put(name: str, *_point: Any) -> None:
        if name == "Alive":
            raise RuntimeError("denied")

    outcome = machine.do(lambda guard: check.healthcheck(guard, guard.store, put))  # type: ignore[arg-type]
    assert (
        outcome.detail["metric"] == "Unhealthy=0" and "MyApp/Alive was not put" in outcome.detail["message"]
    )


def _no_record(machine: Machine) -> None:
    machine.record = RecordUnreadable("no answer")


def _unknown(machine: Machine) -> None:
    machine.status_rc = 12


def _no_instance(machine: Machine) -> None:
    machine.instance = None


def _clone(machine: Machine) -> None:
    machine.instance = "i-0dddddddddddddddd"


def _replaced(machine: Machine) -> None:
    machine.record = dataclasses.replace(machine.record, nodes={"hub-a": "i-0cccccccccccccccc", "hub-b": B})  # type: ignore[type-var]


@pytest.mark.parametrize("fault", [_no_record, _unknown, _no_instance, _clone, _replaced])
def test_a_check_that_cannot_judge_gives_no_verdict(fault: Callable[[Machine], None]) -> None:
    machine = ran(Machine())
    fault(machine)
    _outcome, points = checked(machine)
    assert points == [("CheckBroken", 1.0, {"Pair": "hub-prod", "Node": "hub-a"})]
    assert ("hub-a" in machine.beats) is (fault not in (_no_instance, _clone)) and machine.runs


def test_nobody_named_means_no_verdict() -> None:
    machine = ran(Machine())
    machine.record = dataclasses.replace(machine.record, active=None, state="broken")  # type: ignore[type-var]
    _outcome, points = checked(machine)
    assert points == [] and machine.runs


def test_the_standby_says_whether_it_is_ready() -> None:
    machine = other(Machine())
    outcome, points = checked(machine)
    assert outcome.code == 3 and points == [("StandbyReady", 1.0, {"Pair": "hub-prod", "Node": "hub-a"})]
    machine.mount_points.remove(SHARED)
    assert checked(machine)[1][0][:2] == ("StandbyReady", 0.0)


@pytest.mark.parametrize(
    ("sync", "put"),
    [
        ({"source": "hub-b", "age": 90, "drift": 2}, {"SyncAge": 90.0, "SyncDrift": 2.0}),
        ({"source": "hub-b", "age": None, "drift": 2}, {"SyncDrift": 2.0}),
        ({"source": "hub-c", "age": 90, "drift": 2}, {}),
        ({}, {}),
    ],
)
def test_the_standby_says_how_old_its_copy_is_where_that_is_limited(
    monkeypatch: pytest.MonkeyPatch, sync: dict[str, Any], put: dict[str, float]
) -> None:
    real = check.eligibility
    monkeypatch.setattr(
        check, "eligibility", lambda guard: {**real(guard), **({"sync": sync} if sync else {})}
    )
    outcome, points = checked(other(Machine(max_sync_age=60)))
    assert points[0][:2] == ("StandbyReady", 1.0)
    assert {name: value for name, value, _dims in points[1:]} == put
    assert all(dims == {"Pair": "hub-prod", "Node": "hub-a"} for _name, _value, dims in points)
    assert ("nobody knows how old" in outcome.detail["message"]) is (bool(sync) and "SyncAge" not in put)
    # neither the active node nor a pair without a limit says anything of it
    assert [name for name, _value, _dims in checked(ran(Machine(max_sync_age=60)))[1]] == ["Unhealthy"]
    assert [name for name, _value, _dims in checked(other(Machine()))[1]] == ["StandbyReady"]


def test_a_product_on_the_standby_is_stopped_under_the_lock() -> None:
    machine = other(ran(Machine()), epoch=8)
    outcome, points = checked(machine)
    assert not machine.runs and outcome.detail["fenced"] is True and outcome.state == "stopped"
    assert points[0][:2] == ("StandbyReady", 1.0) and not machine.locks
    assert any("self-fencing" in line for line in machine.lines)


def _moving(machine: Machine) -> None:
    machine.record = dataclasses.replace(machine.record, active=None)  # type: ignore[type-var]


def _restored(machine: Machine) -> None:
    machine.remember(seen=9)


def _missing(machine: Machine) -> None:
    machine.record = RecordMissing("none")


def _schema(machine: Machine) -> None:
    machine.record = SchemaMismatch("schema 9")


def _damaged(machine: Machine) -> None:
    machine.remember(seen="?")


@pytest.mark.parametrize("fault", [_no_record, _missing, _schema, _moving, _restored, _damaged])
def test_nothing_else_is_a_reason_to_stop(fault: Callable[[Machine], None]) -> None:
    machine = other(ran(Machine()))
    fault(machine)
    checked(machine)
    assert machine.runs and machine.do(lambda guard: guard.self_fence(30)) is None and machine.runs


def test_a_broken_record_is_no_reason_whoever_it_names() -> None:
    record = Record("hub-prod", {"hub-a": A, "hub-b": B}, "hub-b", 7, state="broken")
    assert not rules.must_fence("hub-a", record, Memory(7)).allowed


def test_self_fencing_reads_the_record_again_under_the_lock() -> None:
    machine = other(ran(Machine()))
    task = machine.begin(lambda guard: guard.self_fence(30), freeze_at="lock")
    machine.run(1)
    machine.record = dataclasses.replace(machine.record, active="hub-a", epoch=8)  # type: ignore[type-var]
    machine.thaw(task)
    machine.run()
    assert task.result is None and machine.runs


def test_self_fencing_leaves_a_busy_lock_alone() -> None:
    machine = other(ran(Machine()))
    task = machine.begin(lambda guard: guard.stop(7, "normal", 60), freeze_at="run hubstop -normal")
    machine.run(1)
    assert machine.do(lambda guard: guard.self_fence(30)) is None and not task.done


def test_one_check_at_a_time() -> None:
    machine = ran(Machine())
    points: Points = []

    def work(guard: Any) -> Any:
        return check.healthcheck(guard, guard.store, lambda *point: points.append(point))

    first = machine.begin(work, freeze_at="run hubcluster -status")
    machine.run(5)
    outcome = machine.do(work)
    assert outcome.code == 0 and "another check" in outcome.detail["message"] and not points
    machine.thaw(first)
    machine.run()
    assert len(points) == 1


def test_a_metric_that_cannot_be_put_changes_no_verdict() -> None:
    machine = ran(Machine())

    def put(*_point: Any) -> None:
        raise TimeoutError

    outcome = machine.do(lambda guard: check.healthcheck(guard, guard.store, put))  # type: ignore[arg-type]
    assert (outcome.state, outcome.code) == ("running", 0) and "not put" in outcome.detail["message"]


def test_look_tells_everything() -> None:
    machine = other(Machine())
    outcome = machine.do(lambda guard: look.look(guard, A, 20))
    detail = outcome.detail
    assert (outcome.state, outcome.code, detail["record_epoch"], detail["record_active"]) == (
        "stopped",
        3,
        7,
        "hub-b",
    )
    assert detail["eligible"] == {
        "installed": True, "autostart": None, "mounted": True, "marker": "hub-prod", "free": 1 << 30,
        "config_pair": "hub-prod",
    }  # fmt: skip
    assert detail["processes"] == 0 and detail["probe"] is None and detail["record"] == "read"
    assert machine.files.get(f"{FOLDER}/lock") is None


def test_look_of_a_machine_that_is_not_itself_knows_nothing() -> None:
    outcome = Machine().do(lambda guard: look.look(guard, "i-0dddddddddddddddd", 20))
    assert outcome.state == "unknown" and "not itself" in outcome.detail["message"]


@pytest.mark.parametrize(
    ("error", "word"), [(RecordMissing("none"), "missing"), (RecordUnreadable("no"), "unreadable")]
)
def test_look_without_a_record_still_answers(error: Exception, word: str) -> None:
    machine = Machine()
    machine.record = error
    outcome = machine.do(lambda guard: look.look(guard, A, 20))
    assert outcome.state == "stopped" and outcome.detail["record"] == word


def test_hung_takes_three_in_a_row_within_the_limit() -> None:
    machine = ran(Machine())
    machine.status_hangs = True
    began = machine.now
    outcome = machine.do(lambda guard: look.status(guard, 15))
    assert (outcome.state, outcome.code, outcome.detail["attempts"]) == ("hung", 4, 3)
    assert outcome.detail["processes"] > 0
    assert 14 < machine.now - began < 16


def test_a_status_without_an_answer_tells_that_no_process_is_left() -> None:
    machine = Machine()
    machine.status_hangs = True
    outcome = machine.do(lambda guard: look.status(guard, 15))
    assert (outcome.state, outcome.detail["processes"]) == ("hung", 0)


def test_one_answer_in_three_is_an_answer() -> None:
    machine = ran(Machine())
    machine.status_rc = 112
    task = machine.begin(lambda guard: look.status(guard, 15))
    machine.run(0.5)
    machine.status_rc = None
    machine.run()
    assert (task.result.state, task.result.detail["attempts"]) == ("running", 2)


def test_the_standby_probes_the_active_when_asked() -> None:
    asked: list[Any] = []

    class Runner:
        def run(self, argv: Any, limit: float, **_more: Any) -> Any:
            asked.append(list(argv))
            return type("Ran", (), {"rc": len(asked) - 1})()

    runner: Any = Runner()
    assert look.probe({"command": ["ask", "{node}:80"]}, "hub-b", runner, 5) == "yes"
    assert look.probe({"command": ["ask", "x"]}, "hub-b", runner, 5) == "no"
    assert asked[0] == ["ask", "hub-b:80"]
    assert look.probe({"url": "http://127.0.0.1:1/"}, "hub-b", runner, 1) == "no"
    assert look.probe({"url": "http://[::1/"}, "hub-b", runner, 1) == "unknown"
