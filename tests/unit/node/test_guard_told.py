# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard says, signs and logs, and when exactly it gives up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import guard as guard_module
from ansible_collections.hotstandby.ops.plugins.module_utils.node import rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    RecordMissing,
    RecordUnreadable,
    SchemaMismatch,
)

from tests.unit.node.sim_host import FOLDER, SimStore, Task
from tests.unit.node.sim_machine import Machine

ORDER = Asked(rules.ORDER, 7)
PERSON, BOOT, OATH, ASK = Asked(rules.PERSON), Asked(rules.BOOT), Asked(rules.OATH), Asked(rules.ASK)
LOCK = f"{FOLDER}/lock"
LOOK = ". Let it end, then say this again; to look at it:"


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls at halves of a second: sums of these are exact."""
    monkeypatch.setattr(guard_module, "POLL", 0.5)


def start(machine: Machine, asked: Asked = ORDER, limit: float = 60, reason: str = "") -> Any:
    return machine.do(lambda guard: guard.start(asked, limit, reason))


def stop(
    machine: Machine, epoch: int | None = 7, mode: str = "normal", limit: float = 60, reason: str = ""
) -> Any:
    return machine.do(lambda guard: guard.stop(epoch, mode, limit, reason))


def frozen(machine: Machine, work: Callable[[Any], Any], at: str) -> Task:
    task = machine.begin(work, freeze_at=at)
    machine.run(30)
    assert task.frozen
    return task


def signed(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.files[LOCK])
    return found


# -- who holds the lock


@pytest.mark.parametrize(
    ("asked", "epoch", "oath"),
    [(ORDER, 7, False), (PERSON, None, False), (BOOT, None, False), (OATH, None, True)],
)
def test_a_start_signs_the_lock_before_it_asks_anything(asked: Asked, epoch: int | None, oath: bool) -> None:
    machine = Machine()
    machine.terminal = True
    at = "instance-id"
    task = frozen(machine, lambda guard: guard.start(asked, 60, "gone"), at)
    assert signed(machine) == {"pid": task.pid, "pgid": task.pid, "verb": "start", "epoch": epoch, "oath": oath,
                               "started": task.pid * 10, "boot": "boot-1"}  # fmt: skip


def test_a_start_signs_the_epoch_that_it_was_granted_before_it_is_remembered() -> None:
    machine = Machine()
    task = frozen(machine, lambda guard: guard.start(PERSON, 60), "write seen")
    assert (signed(machine)["verb"], signed(machine)["epoch"]) == ("start", 7)
    assert not task.done and machine.memory("seen") is None


@pytest.mark.parametrize("epoch", [7, None])
def test_a_stop_signs_the_lock(epoch: int | None) -> None:
    machine = Machine()
    machine.run_product()
    frozen(machine, lambda guard: guard.stop(epoch, "normal", 60), "run hubstop -normal")
    assert (signed(machine)["verb"], signed(machine)["epoch"]) == ("stop", epoch)


def test_a_self_fencing_signs_the_lock_and_forces() -> None:
    machine = Machine()
    machine.run_product()
    machine.record = dataclasses.replace(machine.record, active="hub-b", epoch=8)  # type: ignore[type-var]
    task = frozen(machine, lambda guard: guard.self_fence(30), "run hubstop -force")
    assert (signed(machine)["verb"], signed(machine)["epoch"]) == ("fence", None)
    machine.thaw(task)
    machine.run()
    assert task.result.state == "stopped" and machine.memory("lock") == "" and not machine.locks
    assert machine.lines == ["self-fencing: the record names hub-b with epoch 8"]


def test_a_self_fencing_takes_no_longer_than_it_may() -> None:
    machine = Machine()
    machine.run_product()
    machine.stop_seconds = 500
    machine.record = dataclasses.replace(machine.record, active="hub-b", epoch=8)  # type: ignore[type-var]
    began = machine.now
    outcome = machine.do(lambda guard: guard.self_fence(30))
    assert outcome.state == "running" and 25 <= machine.now - began <= 31


# -- a lock that is busy


def test_a_start_says_who_held_the_lock() -> None:
    machine = Machine()
    first = frozen(machine, lambda guard: guard.start(ORDER, 60), "read-record")
    outcome = start(machine, limit=10)
    assert (outcome.state, outcome.code) == ("unknown", 5)
    assert outcome.detail == {"message": f"start (pid {first.pid}, epoch 7) held the lock for 10 s{LOOK} ps -fp {first.pid}",
                              "refused": True, "code": "lock_busy", "help": "docs/runbook.md#lock_busy", "still_stopping": False}  # fmt: skip


def test_a_stop_says_that_it_waited_for_a_stop() -> None:
    machine = Machine()
    machine.run_product()
    first = frozen(machine, lambda guard: guard.stop(6, "normal", 60), "run hubstop -normal")
    outcome = stop(machine, limit=4)
    assert outcome.detail == {"message": f"stop (pid {first.pid}, epoch 6) held the lock for 4 s{LOOK} ps -fp {first.pid}",
                              "refused": True, "code": "lock_busy", "help": "docs/runbook.md#lock_busy", "still_stopping": True}  # fmt: skip
    assert start(machine, limit=4).detail["still_stopping"] is True


def test_a_holder_without_a_name_is_another_command() -> None:
    machine = Machine()
    frozen(machine, lambda guard: guard.start(ORDER, 60), "sign")
    for outcome in (start(machine, limit=2), stop(machine, limit=2)):
        assert outcome.detail["message"] == f"another command held the lock for 2 s{LOOK} fuser -v {LOCK}"
        assert outcome.detail["still_stopping"] is False


@pytest.mark.parametrize(
    "work", [lambda guard: guard.start(ORDER, 2), lambda guard: guard.stop(None, "normal", 2)]
)
def test_who_waits_for_the_lock_gives_up_on_time_not_a_look_later(work: Callable[[Any], Any]) -> None:
    machine = Machine()
    frozen(machine, lambda guard: guard.start(ORDER, 60), "read-record")
    began = machine.now
    assert machine.do(work).detail["code"] == "lock_busy"
    assert machine.now - began == 2.0


# -- how a start in the way is ended


@pytest.mark.parametrize(
    ("asked", "at", "term", "kill"), [(ORDER, "read-record", 0.0, 2.0), (PERSON, "read-record", 2.0, 4.0),
                                      (OATH, "run hubcluster -start", 0.0, 2.0)]
)  # fmt: skip
def test_a_start_is_asked_to_end_and_two_seconds_later_killed(
    asked: Asked, at: str, term: float, kill: float
) -> None:
    machine = Machine()
    machine.terminal = True
    victim = frozen(machine, lambda guard: guard.start(asked, 600, "gone"), at)
    machine.lines.clear()
    began = machine.now
    times: list[tuple[float, int, int, bool]] = []
    hit = machine.kill

    def noted(pid: int, pgid: int, force: bool) -> None:
        times.append((machine.now - began, pid, pgid, force))
        hit(pid, pgid, force)

    machine.kill = noted  # type: ignore[method-assign]
    assert stop(machine, 7).state == "stopped"
    mine = [entry for entry in times if entry[1] == victim.pid]
    assert mine == [(term, victim.pid, victim.pid, False), (kill, victim.pid, victim.pid, True)]
    ended = f"ending the start of pid {victim.pid} for a stop with epoch 7"
    assert machine.lines == [ended, ended, "stop (epoch 7, normal)"]


@pytest.mark.parametrize(("asked", "wait"), [(ORDER, 0.0), (PERSON, 2.0)])
def test_each_start_in_the_way_gets_its_own_time(asked: Asked, wait: float) -> None:
    machine = Machine()
    first = frozen(machine, lambda guard: guard.start(asked, 600), "read-record")
    second = machine.begin(lambda guard: guard.start(asked, 600), freeze_at="read-record")
    machine.run(3)
    times: list[tuple[int, float, bool]] = []
    hit = machine.kill

    def noted(pid: int, pgid: int, force: bool) -> None:
        times.append((pid, machine.now, force))
        hit(pid, pgid, force)

    machine.kill = noted  # type: ignore[method-assign]
    assert stop(machine, 7).state == "stopped"
    for victim in (first, second):
        mine = [(now, force) for pid, now, force in times if pid == victim.pid]
        assert [force for _now, force in mine] == [False, True], "asked first, each of them"
        assert mine[1][0] - mine[0][0] == 2.0
    assert times[2][1] - times[1][1] >= wait, "and time to tell its epoch"


def test_a_start_with_a_later_epoch_is_named_in_the_refusal() -> None:
    machine = Machine()
    machine.record = dataclasses.replace(machine.record, epoch=8)  # type: ignore[type-var]
    frozen(machine, lambda guard: guard.start(Asked(rules.ORDER, 8), 60), "write seen")
    outcome = stop(machine, 7)
    assert (outcome.state, outcome.code) == ("unknown", 5)
    assert outcome.detail == {"message": "a start with epoch 8 is under way; the stop carries 7", "refused": True,
                              "code": "later_epoch_seen", "help": "docs/runbook.md#later_epoch_seen"}  # fmt: skip


# -- what is said


def test_a_start_logs_what_it_did() -> None:
    machine = Machine()
    start(machine)
    start(machine, PERSON)
    machine.remember(floor=7)
    outcome = start(machine)
    assert machine.lines == ["start (order) with epoch 7", "start (person) with epoch 7",
                             f"start (order) refused: {outcome.detail['message']}"]  # fmt: skip
    assert (outcome.state, outcome.detail["code"]) == ("running", "epoch_floor"), "a refusal says what runs"
    machine = Machine()
    machine.do(lambda guard: guard.boot(60))
    assert machine.lines == ["start (boot) with epoch 7"]


def test_a_stop_logs_what_it_did() -> None:
    machine = Machine()
    machine.run_product()
    stop(machine, None, reason="patch")
    stop(machine, 7, mode="force")
    assert machine.lines == ["stop (person, normal)", "stop (epoch 7, force)"]
    machine.run_product()
    machine.remember(seen=8)
    outcome = stop(machine, 7)
    assert (outcome.state, outcome.detail["code"]) == ("running", "later_epoch_seen"), (
        "a refusal says what runs"
    )


def test_a_start_without_the_record_says_what_it_takes_and_what_comes_next() -> None:
    machine = Machine()
    machine.record = RecordUnreadable("gone")
    outcome = start(machine, OATH, reason="x")
    assert (
        outcome.detail["message"]
        == "a start without the record takes a person at a terminal: log in and type it"
    )
    machine.terminal = True
    for reason in ("", "  "):
        refusal = start(machine, OATH, reason=reason)
        assert (refusal.detail["code"], refusal.detail["message"]) == (
            "no_reason",
            "a start without the record needs --reason 'TEXT': how you know that the other node is off",
        )
    assert machine.lines == [] and LOCK not in machine.files
    outcome = start(machine, OATH, reason="dynamodb is gone")
    assert outcome.detail["message"] == (
        "running without the record: keep hub-b off. When the record is back and names hub-b: here sudo "
        "/usr/local/bin/hotstandby stop, then on the controller ansible-playbook hotstandby.ops.failover -e to=hub-a"
    )
    assert outcome.detail["already"] is False and "seconds" in outcome.detail, "nothing else is lost"
    assert machine.lines == ["start without record by ann: dynamodb is gone", "start (oath) with epoch None"]
    assert machine.memory("seen") is None


def test_nobody_need_give_a_reason_but_who_starts_without_the_record() -> None:
    machine = Machine()
    machine.terminal = True
    assert machine.do(lambda guard: guard.start(OATH, 60)).detail["code"] == "no_reason"
    machine.run_product()
    assert machine.do(lambda guard: guard.stop(None, "normal", 60)).state == "stopped"
    assert json.loads(machine.memory("held") or "")["reason"] == ""


def test_a_failed_start_without_the_record_is_not_told_as_running() -> None:
    machine = Machine()
    machine.terminal = machine.start_fails = True
    outcome = start(machine, OATH, reason="gone")
    assert outcome.state == "stopped" and "without the record" not in outcome.detail["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(RecordUnreadable("no answer"), "record_unreadable"), (RecordMissing("there is none"), "record_missing"),
     (SchemaMismatch("schema 9"), "schema")],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_told_as_it_is(error: Exception, code: str) -> None:
    machine = Machine()
    machine.record = error
    for asked in (ORDER, BOOT, ASK):
        outcome = machine.do(lambda guard: guard.may_start(ASK)) if asked is ASK else start(machine, asked)
        assert (outcome.detail["code"], outcome.detail["message"]) == (code, str(error))
    hint = "; if the other node is surely off: sudo /usr/local/bin/hotstandby start --without-record --reason TEXT"
    message = start(machine, PERSON).detail["message"]
    assert message == str(error) + (hint if code == "record_unreadable" else ""), (
        "only a person is told the way out"
    )


def test_a_heartbeat_that_cannot_be_read_is_no_start_but_a_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_store: SimStore, node: str) -> None:
        raise RecordUnreadable(f"no heartbeat of {node}")

    monkeypatch.setattr(SimStore, "heartbeat", fail)
    machine = Machine()
    for asked in (BOOT, ASK):
        outcome = machine.do(lambda guard: guard.may_start(ASK)) if asked is ASK else start(machine, asked)
        assert (outcome.detail["code"], outcome.detail["message"]) == (
            "record_unreadable",
            "no heartbeat of hub-b",
        )
    assert start(machine, PERSON).detail["message"].startswith("no heartbeat of hub-b; if the other node")
    assert machine.starts == 0 and start(machine, ORDER).state == "running"


def test_may_start_says_which_epoch_is_granted() -> None:
    machine = Machine()
    outcome = machine.do(lambda guard: guard.may_start(ASK))
    assert (outcome.state, outcome.code) == ("unknown", 0)
    assert outcome.detail == {"message": "it may be started", "granted": 7}
    machine.remember(floor=7)
    refusal = machine.do(lambda guard: guard.may_start(ASK))
    assert (refusal.state, refusal.code, refusal.detail["code"]) == ("unknown", 5, "epoch_floor")


def test_may_start_believes_in_no_oath_while_the_lock_cannot_be_tried() -> None:
    machine = Machine()
    machine.record, machine.terminal = RecordUnreadable("gone"), True
    frozen(machine, lambda guard: guard.start(OATH, 600, "gone"), "run hubcluster -start")
    assert machine.do(lambda guard: guard.may_start(ASK)).code == 0
    machine.broken.add(LOCK)
    assert machine.do(lambda guard: guard.may_start(ASK)).code == 5


def test_boot_gives_up_on_time_not_a_try_later() -> None:
    machine = Machine()
    machine.record = RecordUnreadable("no route")
    began = machine.now
    machine.do(lambda guard: guard.boot(60, wait=0.05))  # which is what its first try takes
    assert len(machine.lines) == 1 and machine.now - began == pytest.approx(0.05)


def test_a_state_that_cannot_be_written_is_told_with_its_file() -> None:
    machine = Machine()
    machine.broken.add(f"{FOLDER}/seen")
    outcome = start(machine)
    assert outcome.detail["message"] == f"{FOLDER}/seen: no space left: nothing was started"
    machine = Machine()
    machine.run_product()
    machine.broken.add(LOCK)
    outcome = stop(machine)
    assert (outcome.state, outcome.code) == ("unknown", 4)
    assert outcome.detail == {
        "message": f"{LOCK}: no space left: the lock cannot be taken",
        "code": "state_not_written",
        "help": "docs/runbook.md#state_not_written",
        "still_stopping": False,
    }


@pytest.mark.parametrize(("epoch", "name"), [(7, "floor"), (None, "held")])
def test_a_stop_that_cannot_be_made_to_last_keeps_everything_but_the_proof(
    epoch: int | None, name: str
) -> None:
    machine = Machine()
    machine.run_product()
    machine.broken.add(f"{FOLDER}/{name}")
    outcome = stop(machine, epoch)
    assert (outcome.state, outcome.code) == ("unknown", 4)
    assert outcome.detail == {
        "message": f"it is stopped, but that cannot be made to last: {FOLDER}/{name}: no space left",
        "code": "state_not_written", "help": "docs/runbook.md#state_not_written",
        "processes": 0, "still_stopping": False, "rc": 0,
    }  # fmt: skip


def test_a_stop_that_fails_anyway_is_told_as_that_not_by_its_file() -> None:
    machine = Machine()
    machine.run_product()
    machine.stop_ignored = True
    machine.broken.add(f"{FOLDER}/floor")
    outcome = stop(machine, limit=20)
    assert outcome.state == "running" and "made to last" not in outcome.detail["message"]
