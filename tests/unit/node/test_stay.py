# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's protection from scale-in: on before the first job, off when idle, tried again, and no work waits for it for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import stay as module
from ansible_collections.hotstandby.ops.plugins.module_utils.node.stay import Stay


class Group:
    """Auto Scaling. `failing` counts the calls that fail next; `hangs` is how long a call takes."""

    def __init__(self) -> None:
        self.failing, self.hangs = 0, 0.0
        self.asked: list[tuple[str, Any]] = []

    def _call(self, name: str, what: Any) -> None:
        time.sleep(self.hangs)
        if self.failing:
            self.failing -= 1
            raise OSError("ValidationError: the instance is not in InService")
        self.asked.append((name, what))

    def set_instance_protection(
        self, AutoScalingGroupName: str, InstanceIds: list[str], ProtectedFromScaleIn: bool
    ) -> None:
        assert (AutoScalingGroupName, InstanceIds) == ("jobs", ["i-1"])
        self._call("protect", ProtectedFromScaleIn)

    def complete_lifecycle_action(self, **given: str) -> None:
        assert given == {
            "AutoScalingGroupName": "jobs", "InstanceId": "i-1", "LifecycleHookName": "hand-back",
            "LifecycleActionResult": "CONTINUE",
        }  # fmt: skip
        self._call("complete", None)


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stay(group: Group, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Stay:
    monkeypatch.setattr(module, "AGAIN", 0.02)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    made = Stay("jobs", "hand-back", lambda: group, lambda: "i-1", said.append)
    made.begin()
    return made


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_is_on_before_the_first_job_and_off_when_nothing_is_left(group: Group, stay: Stay) -> None:
    stay.busy()
    assert group.asked == [("protect", True)]
    for _message in range(1000):
        stay.busy()
    assert len(group.asked) == 1
    stay.idle()
    stay.idle()
    until(lambda: len(group.asked) == 2)
    stay.busy()
    stay.end(leaving=False)
    assert group.asked == [("protect", on) for on in (True, False, True, False)]


def test_what_an_earlier_worker_left_on_goes_when_idle(group: Group, stay: Stay) -> None:
    stay.idle()
    until(lambda: group.asked == [("protect", False)])
    stay.end(leaving=False)
    assert group.asked == [("protect", False)]


def test_what_fails_is_told_once_and_tried_again(group: Group, stay: Stay, said: list[str]) -> None:
    group.failing = 3
    stay.busy()
    assert group.asked == [("protect", True)]
    assert len(said) == 1 and "SetInstanceProtection" in said[0] and "the work goes on" in said[0]


def test_a_group_that_does_not_answer_holds_no_work_up(group: Group, stay: Stay) -> None:
    group.hangs = 1.5
    stay.busy()
    stay.busy()
    assert group.asked == []
    until(lambda: group.asked == [("protect", True)])


def test_an_instance_that_its_group_ends_is_let_go(group: Group, stay: Stay) -> None:
    stay.busy()
    stay.end(leaving=True)
    assert group.asked == [("protect", True), ("complete", None)]


def test_who_ends_does_not_try_again(group: Group, stay: Stay, said: list[str]) -> None:
    stay.busy()
    group.failing = 5
    stay.end(leaving=True)
    assert (group.failing, len(said)) == (4, 1) and group.asked == [("protect", True)]


def test_without_an_instance_nothing_is_asked(group: Group, said: list[str]) -> None:
    alone = Stay("jobs", "hand-back", lambda: group, lambda: None, said.append)
    alone.begin()
    alone.end(leaving=False)
    assert group.asked == [] and "which instance this is" in said[0]
