# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon of profile fast decides, over a simulated machine: its loop, and time that passes only when it waits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node.watch import Settings
from ansible_collections.hotstandby.ops.plugins.module_utils.node.watch_loop import (
    Answered,
    Event,
    Local,
    Loop,
    Turn,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Move, Record

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
RECORD = Record(pair="hub-prod", nodes={"hub-a": A, "hub-b": B}, active="hub-a", epoch=7, state="steady")
MOVE = Move(id="m", kind="switchover", source="hub-a", target="hub-b", step="stop")
CALLS = 0.04  # seconds that a visit to the table takes


class Machine:
    """A node's machine. Everything that the loop begins is noted in `begun`, and its result comes a little later."""

    def __init__(self, node: str = "hub-a", **settings: Any) -> None:
        ids = {"hub-a": A, "hub-b": B}
        other = "hub-b" if node == "hub-a" else "hub-a"
        self.now = 100.0
        self.record: Record | None = RECORD
        self.table_works = True
        self.beat = 0  # of the other node; changes in its rhythm while it beats
        self.beats = True
        self.state = "running" if node == "hub-a" else "stopped"
        self.itself: bool | None = True
        self.local_state = Local(seen=7, held=False, busy=False, trouble=False)
        self.begun: list[tuple[float, str, dict[str, Any]]] = []
        self.logs: list[str] = []
        self.deaths = 0
        self.jump = 0.0  # the machine stands still for so long at the next wait
        self.accepts = ""  # what the function's invocation comes to
        self.restarted: Callable[[], str] = lambda: "running: started"
        self._pending: list[tuple[float, Callable[[], Event]]] = []
        about = Settings(node, other, ids[node], **{"timeout": 3.0, **settings})
        self.rhythm = about.beat
        self.loop = Loop(about, self)

    # -- the world of the loop

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> Sequence[Event]:
        due = min([at for at, _event in self._pending], default=self.now + seconds)
        self._pass(min(max(due - self.now, 0.0), seconds))
        if self.jump:
            self.now, self.jump = self.now + self.jump, 0.0
        ready = [event() for at, event in self._pending if at <= self.now]
        self._pending = [(at, event) for at, event in self._pending if at > self.now]
        if self.deaths:
            self.deaths = 0
            ready.append(Event("died"))
        return ready

    def _pass(self, seconds: float) -> None:
        before, self.now = int(self.now / self.rhythm), self.now + seconds
        if self.beats and int(self.now / self.rhythm) != before:
            self.beat += 1

    def begin(self, work: str, **given: Any) -> bool:
        name = "turn" if work == "read" else work
        if any(getattr(event, "work", "") == name for _at, event in self._pending):
            return False
        self.begun.append((self.now, work, given))
        began = self.now

        def done() -> Event:
            return Event(work, began, self._result(work, given))

        done.work = name  # type: ignore[attr-defined]
        self._pending.append((self.now + CALLS, done))
        return True

    def _result(self, work: str, given: dict[str, Any]) -> Any:
        if work in ("turn", "read"):
            known = bool(given.get("known"))
            record = self.record if self.table_works and not known else None
            seen = f"beat {self.beat}" if self.table_works and work == "turn" else None
            return Turn(record, "", seen, self.table_works, self.now, known=known)
        if work == "ask":
            return Answered(self.state, "said so", [(1, 1)] if given["scan"] else None, self.itself)
        if work == "call":
            return self.accepts
        return self.restarted() if work == "restart" else "stopped: it is stopped"

    def local(self) -> Local:
        return self.local_state

    def follow(self, pids: Sequence[tuple[int, int]]) -> int:
        return len(pids)

    def log(self, text: str) -> None:
        self.logs.append(text)

    def alive(self, text: str) -> None:
        pass

    def current(self) -> bool:
        return True

    # -- what a test does

    def run(self, seconds: float) -> Machine:
        """Let so much time pass."""
        end = self.now + seconds
        while self.now < end:
            self.loop.turn()
        return self

    def did(self, work: str) -> list[float]:
        """When the loop began this kind of work."""
        return [at for at, name, _given in self.begun if name == work]

    @property
    def acts(self) -> list[str]:
        """Everything but looking."""
        return [work for _at, work, _given in self.begun if work in ("call", "restart", "fence")]

    def kill(self) -> None:
        """The product dies, all of it."""
        self.state, self.deaths = "stopped", 1


def set_record(machine: Machine, **changes: Any) -> None:
    machine.record = dataclasses.replace(RECORD, **changes)


def set_local(machine: Machine, **changes: Any) -> None:
    machine.local_state = dataclasses.replace(machine.local_state, **changes)


# -- the active


def test_a_pair_that_is_well_only_beats_and_asks() -> None:
    for node in ("hub-a", "hub-b"):
        machine = Machine(node).run(60)
        beats = [given for _at, work, given in machine.begun if work == "turn" and given["beat"]]
        assert machine.acts == [] and 55 <= len(beats) <= 65, node
        assert 25 <= len(machine.did("ask")) <= 35


@pytest.mark.parametrize("timeout", [3.0, 1.0])
def test_who_watches_looks_twice_for_each_beat_and_reads_the_record_once(timeout: float) -> None:
    """Each call to the table is CPU on both nodes, all day."""
    machine = Machine("hub-b", timeout=timeout).run(30)
    turns = [given for _at, work, given in machine.begun if work == "turn"]
    beats = 30 / machine.rhythm
    assert beats * 1.7 < len(turns) < beats * 2.1
    assert beats * 0.8 < sum(not given["known"] for given in turns) < beats * 1.1


def test_a_record_that_cannot_be_read_is_asked_for_each_time() -> None:
    machine = Machine("hub-b").run(10)
    machine.table_works = False
    machine.run(2)
    machine.begun.clear()
    machine.run(10)
    turns = [given for _at, work, given in machine.begun if work == "turn"]
    assert turns and not any(given["known"] for given in turns)


def test_a_death_is_told_once_the_product_says_so_and_the_record_was_read_after_it() -> None:
    machine = Machine().run(10)
    died = machine.now
    machine.kill()
    machine.run(1)
    assert machine.acts == ["call"]
    called = machine.did("call")[0]
    assert called - died < 0.5
    assert [at for at in machine.did("ask") if died <= at < called]
    assert [at for at in machine.did("read") + machine.did("turn") if died < at < called]


def test_a_death_that_the_product_mends_itself_moves_nothing() -> None:
    machine = Machine().run(10)
    machine.deaths = 1
    machine.run(30)
    assert machine.acts == []


def test_no_answer_three_times_in_a_row_is_told_and_twice_is_not() -> None:
    machine = Machine().run(10)
    machine.state = "hung"
    machine.run(3.9)
    assert machine.acts == []
    machine.run(4)
    assert set(machine.acts) == {"call"}


@pytest.mark.parametrize(
    "why",
    ["held", "busy", "paused", "moving", "nobody", "restored", "unknown", "trouble", "stranger", "broken"],
)
def test_what_forbids_to_tell(why: str) -> None:
    machine = Machine().run(10)
    if why in ("held", "busy", "trouble"):
        set_local(machine, **{why: True})
    elif why == "restored":
        set_local(machine, seen=9)
    elif why == "paused":
        set_record(machine, paused={"by": "ada", "reason": "patch"})
    elif why == "moving":
        set_record(machine, state="moving", move=MOVE)
    elif why == "nobody":
        set_record(machine, state="moving", move=MOVE, active=None)
    elif why == "broken":
        set_record(machine, state="broken", active=None)
    elif why == "stranger":
        set_record(machine, nodes={"hub-a": "i-0ccccccccccccccccc", "hub-b": B})
    machine.kill()
    if why == "unknown":
        machine.state = "unknown"
    machine.run(60)
    assert machine.acts == []


def test_a_service_that_is_about_to_be_started_is_not_given_up() -> None:
    machine = Machine()
    machine.state = "stopped"
    machine.run(25)
    assert machine.acts == []
    machine.run(10)
    assert set(machine.acts) == {"call"}


def test_what_was_due_under_a_pause_happens_when_it_ends() -> None:
    machine = Machine().run(10)
    set_record(machine, paused={"by": "ada", "reason": "patch"})
    machine.kill()
    machine.run(30)
    set_record(machine)
    machine.run(2)
    assert machine.acts == ["call"]


def test_a_switchover_that_stops_the_product_is_not_told() -> None:
    """The record that was read before the product was found stopped still names this node."""
    machine = Machine().run(10)
    set_record(machine, state="moving", move=MOVE, active=None)
    machine.kill()
    machine.run(20)
    assert machine.acts == []


def test_the_same_is_told_again_ever_more_slowly_and_a_failed_call_soon() -> None:
    machine = Machine().run(10)
    machine.kill()
    machine.run(120)
    gaps = [
        later - before for before, later in zip(machine.did("call"), machine.did("call")[1:], strict=False)
    ]
    assert len(gaps) >= 4 and gaps == sorted(gaps)
    other = Machine().run(10)
    other.accepts = "Lambda Invoke: no answer"
    other.kill()
    other.run(4)
    assert 3 <= len(other.did("call")) <= 5


def test_local_restarts_come_first_and_are_counted() -> None:
    machine = Machine(restarts=2).run(10)
    machine.restarted = lambda: "stopped: the start failed"
    machine.kill()
    machine.run(10)
    assert machine.acts[:3] == ["restart", "restart", "call"]
    well = Machine(restarts=1).run(10)

    def up() -> str:
        well.state = "running"
        return "running: started"

    well.restarted = up
    well.kill()
    well.run(60)
    assert well.acts == ["restart"]
    well.kill()
    well.run(2)
    assert well.acts == ["restart", "call"]  # the second within the hour


def test_a_held_or_hung_product_is_not_restarted() -> None:
    machine = Machine(restarts=3).run(10)
    set_local(machine, held=True)
    machine.kill()
    machine.run(10)
    assert machine.acts == []
    hung = Machine(restarts=3).run(10)
    hung.state = "hung"
    hung.run(10)
    assert "restart" not in hung.acts and "call" in hung.acts


# -- the standby


def test_silence_is_told_after_half_the_timeout() -> None:
    for timeout, least, most in ((3.0, 1.5, 3.0), (1.0, 0.5, 2.0)):
        machine = Machine("hub-b", timeout=timeout).run(10)
        machine.beats = False
        silent = machine.now
        machine.run(5)
        assert machine.acts and set(machine.acts) == {"call"}
        assert least <= machine.did("call")[0] - silent <= most, timeout
        # the function need not wait again for what was seen here
        told = next(given for _at, work, given in machine.begun if work == "call")
        assert told["beat"] and timeout / 2 <= told["still"] <= most


def test_beats_that_come_are_never_told() -> None:
    assert Machine("hub-b", timeout=3.0).run(600).acts == []


def test_a_table_that_fails_for_both_moves_nothing() -> None:
    """Nor does it when it comes back: what stood still meanwhile was not seen."""
    machine = Machine("hub-b").run(10)
    machine.table_works = machine.beats = False
    machine.run(60)
    assert machine.acts == []
    machine.table_works = True
    machine.run(1.2)
    machine.beats = True
    machine.run(30)
    assert machine.acts == []


def test_a_standstill_of_our_own_makes_everything_unknown() -> None:
    machine = Machine("hub-b").run(10)
    machine.jump = 40.0  # the other node beat on meanwhile, but not since
    machine.beats = False
    machine.loop.turn()
    assert machine.loop.sight.record is None and machine.loop.sight.peer.still == 0
    thawed = machine.now
    machine.run(1.4)
    assert machine.acts == []
    machine.run(3)
    assert machine.did("call")[0] - thawed >= 1.5
    active = Machine().run(10)
    active.kill()
    active.jump = 40.0
    active.loop.turn()
    assert active.acts == [] and "stood still" in " ".join(active.logs)


def test_a_heartbeat_that_was_never_seen_to_move_must_stand_still_for_long() -> None:
    machine = Machine("hub-b")
    machine.beats = False
    machine.run(20)
    assert machine.acts == []
    machine.run(20)
    assert "call" in machine.acts


@pytest.mark.parametrize("why", ["paused", "moving", "broken", "restored", "stranger", "nobody"])
def test_what_forbids_the_standby_to_tell(why: str) -> None:
    machine = Machine("hub-b").run(10)
    if why == "restored":
        set_local(machine, seen=9)
    elif why == "stranger":
        machine.itself = False
        machine.run(70)
    else:
        changes: dict[str, Any] = {
            "paused": {"paused": {"by": "ada", "reason": "patch"}},
            "moving": {"state": "moving", "move": MOVE},
            "broken": {"state": "broken"},
            "nobody": {"state": "moving", "active": None},
        }[why]
        set_record(machine, **changes)
    machine.beats = False
    machine.run(30)
    assert machine.acts == []


def test_a_product_that_runs_on_the_standby_is_fenced_and_nothing_else_is() -> None:
    machine = Machine("hub-b").run(10)
    machine.state = "running"
    machine.run(3)
    assert machine.acts == ["fence"]
    machine.run(12)
    assert set(machine.acts) == {"fence"} and len(machine.acts) <= 4  # again, and not at each look
    for changes in ({"active": None, "state": "moving"}, {"state": "broken"}):
        other = Machine("hub-b").run(10)
        set_record(other, **changes)
        other.state = "running"
        other.run(20)
        assert other.acts == []
    old = Machine("hub-b").run(10)
    set_local(old, seen=9)
    old.state = "running"
    old.run(20)
    assert old.acts == []


def test_a_clone_neither_beats_nor_acts() -> None:
    for who in (False, None):
        machine = Machine()
        machine.itself = who
        machine.run(30)
        machine.kill()
        machine.run(30)
        assert machine.acts == []
        assert not [given for _at, work, given in machine.begun if work == "turn" and given["beat"]]
