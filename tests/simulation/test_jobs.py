# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exactly one of three nodes, killed, frozen, refused or cut off at every instant; and faults planted that must be caught."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import jobs as core
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Contender
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_store import TableJobs

from tests.simulation import jobs

# how many instants one is taken of; all of them with HOTSTANDBY_EVERY=1
SHARE = {"one": 1, "deaf": 3, "next": 2, "slots": 3, "folder": 2, "old-lock": 5}
EVERY = os.environ.get("HOTSTANDBY_EVERY", "")


@pytest.mark.parametrize("name", sorted(SHARE))
def test_every_instant(name: str) -> None:
    schedules, broken = jobs.sweep(jobs.CASES[name], int(EVERY or SHARE[name]))
    assert schedules > 150 and not broken


def test_random_rounds_lose_nothing_and_run_nothing_twice_to_success() -> None:
    found = jobs.soak(int(os.environ.get("HOTSTANDBY_ROUNDS", "1000")))
    assert (found["lost"], found["twice"], found["broken"]) == (0, 0, [])


def test_without_a_fault_one_runs_and_the_others_skip() -> None:
    world = jobs.play(jobs.CASES["one"])
    told = {name: (outcome.outcome, outcome.exit) for name, outcome in world.outcomes.items()}
    assert sorted(told[name] for name in "abc") == [("ran", 0), ("skipped", 0), ("skipped", 0)]
    assert len(world.works) == 1 and not world.broken


def test_a_machine_that_stood_still_after_its_claim_does_not_begin() -> None:
    (winner,) = (work.wrapper.name for work in jobs.play(jobs.CASES["one"]).works)
    world = jobs.play(jobs.CASES["one"], {(winner, 1): "stand-after"})
    assert world.outcomes[winner].outcome == "lost" and not world.broken
    assert winner not in [work.wrapper.name for work in world.works]


def test_a_frozen_machine_is_refused_its_result_and_told_how_long_it_overlapped() -> None:
    case = dataclasses.replace(jobs.CASES["one"], policy=core.Policy(jobs.LEASE, wait=60.0))
    (winner,) = (work.wrapper.name for work in jobs.play(case).works)
    world = jobs.play(case, {(winner, 3): "stand"})
    outcome = world.outcomes[winner]
    assert (outcome.outcome, outcome.exit) == ("lost", 75) and outcome.overlap > 0
    assert "beside its successor" in outcome.message and not world.broken
    (other,) = (name for name in "abc" if world.outcomes[name].outcome == "ran")
    assert world.outcomes[other].took_over == winner


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is never waited for."""
    real = core.look

    def look(watch: core.Watch, run: core.Run | None, now: float) -> core.Watch:
        found = real(watch, run, now)
        return core.Watch({token: (version, -1e9) for token, (version, _since) in found.seen.items()})

    monkeypatch.setattr(core, "look", look)


def lost_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused write counts as made."""
    monkeypatch.setattr(TableJobs, "_settle", lambda *_arguments: None)


def no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ends a command whose lease is not renewed."""
    real = core.duty
    monkeypatch.setattr(
        core,
        "duty",
        lambda now, _at, _lease, asked=None, grace=0.0: real(now, now, 1e9, asked, grace),
    )


def after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late node does not look whether the run is done."""
    real = core.decide

    def decide(policy: Any, run: Any, *rest: Any, **more: Any) -> Any:
        return real(policy, run and dataclasses.replace(run, result=None), *rest, **more)

    monkeypatch.setattr(core, "decide", decide)


def late_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was replaced writes its result all the same."""

    def change(self: Any, make: Callable[[Any], Any]) -> None:
        while True:
            try:
                after = make(self._run)
                self._store.write(self._run, after)
                self._run = after
                return
            except core.JobConflict:
                self._run = self._store.read(self._key)

    monkeypatch.setattr(Contender, "_change", change)


def failure_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`next` gives nothing on."""
    real = core.ended
    monkeypatch.setattr(
        core,
        "ended",
        lambda run, policy, *rest: real(run, dataclasses.replace(policy, after_failure="stop"), *rest),
    )


def never_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead holder keeps its slot."""
    real = core.look
    monkeypatch.setattr(
        core,
        "look",
        lambda watch, run, now: core.Watch(
            {slot.token: (slot.version, now) for slot in real and run.slots} if run else {}
        ),
    )


def link_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose link(2) is not exclusive."""
    real = jobs.Yielding.__getattr__

    def found(self: Any, name: str) -> Any:
        if name != "link":
            return real(self, name)
        return lambda one, two: self._world.call("link", lambda: os.replace(one, two), False)

    monkeypatch.setattr(jobs.Yielding, "__getattr__", found)


PLANTED: dict[Callable[[pytest.MonkeyPatch], None], tuple[str, ...]] = {
    at_once: ("one", "slots"),
    lost_condition: ("one",),
    no_keeper: ("deaf",),
    after_the_end: ("one",),
    late_result: ("deaf",),
    failure_is_the_end: ("next",),
    never_over: ("one",),
    link_replaces: ("folder",),
}


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        pytest.param(plant, name, id=f"{plant.__name__}-{name}")
        for plant, names in PLANTED.items()
        for name in names
    ],
)
def test_a_planted_fault_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    _schedules, broken = jobs.sweep(jobs.CASES[name], first=True)
    assert broken, f"nobody noticed: {plant.__doc__}"
