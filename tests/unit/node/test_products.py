# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the products' exit codes and texts mean, code by code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Process, ProductError, Ran
from ansible_collections.hotstandby.ops.plugins.module_utils.products.hub import (
    Hub,
    explain_status,
    judge_status,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.products.systemd import (
    Systemd,
    judge_unit,
    parse_show,
)


class Runner:
    """Answers each command from a table; knows some processes."""

    def __init__(self, *processes: Process, groups: dict[str, list[int]] | None = None) -> None:
        self.ran: list[tuple[Any, ...]] = []
        self.answer = Ran(0, "", 0.1)
        self.found, self.groups = list(processes), groups or {}

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        group: str = "new",
    ) -> Ran:
        self.ran.append((list(argv), env, user, group))
        return self.answer

    def processes(self) -> list[Process]:
        return self.found

    def cgroup_pids(self, path: str) -> list[int]:
        return self.groups.get(path, [])

    def real_path(self, path: str) -> str:
        return path.replace("/opt/hub", "/real/hub")

    def is_program(self, path: str) -> bool:
        return path.endswith("hubcluster")


def process(pid: int, exe: str, *argv: str) -> Process:
    return Process(pid, pid, 1, exe, argv)


HUNG, UNKNOWN = (100, 112, 113, 114), (12, 102, 250, 116, 230, 1, 127, -9)


@pytest.mark.parametrize(
    ("rc", "state"),
    [(0, "running"), (240, "stopped"), *((rc, "hung") for rc in HUNG), *((rc, "unknown") for rc in UNKNOWN)],
)
def test_hub_codes(rc: int, state: str) -> None:
    assert judge_status(rc, False) == state
    assert judge_status(rc, True) == "hung"
    assert explain_status(rc, 5)


@pytest.mark.parametrize("rc", [12, 102, 250])
def test_a_broken_check_is_called_so(rc: int) -> None:
    assert "the check is broken" in explain_status(rc, 5)


def test_no_code_is_hung() -> None:
    assert judge_status(None, False) == "hung"


def test_hub_commands_carry_environment_and_user() -> None:
    runner = Runner()
    hub = Hub("/opt/hub/bin", "/shared/etc", runner, "hulft")
    env = {"HULHUBEXE": "/opt/hub/bin", "HULHUBETC": "/shared/etc"}
    hub.status(3)
    hub.status(90)
    hub.start(5)
    hub.stop("normal", 5)
    hub.stop("force", 5)
    assert runner.ran == [
        (["/opt/hub/bin/hubcluster", "-status", "-timeout", "10"], env, "hulft", "new"),
        (["/opt/hub/bin/hubcluster", "-status", "-timeout", "60"], env, "hulft", "new"),
        (["/opt/hub/bin/hubcluster", "-start"], env, "hulft", "own"),
        (["/opt/hub/bin/hubstop", "-normal"], env, "hulft", "left"),
        (["/opt/hub/bin/hubstop", "-force"], env, "hulft", "left"),
    ]
    assert not hub.installed() and hub.autostart() is None


def test_what_counts_as_a_process_of_the_product() -> None:
    ours = [
        process(1, "/real/hub/bin/hubd", "hubd"),
        process(2, "/usr/bin/python3", "python3", "-S", "-E", "/opt/hub/bin/hubmgrd"),
        process(3, "/real/hub/bin/hubd (deleted)", "renamed"),
        process(4, "", "/real/hub/bin/hubd"),
        process(5, "/bin/sh", "sh", "/opt/hub/bin/hubcluster", "-start"),
    ]
    others = [
        process(10, "/opt/hub-b/bin/hubd", "/opt/hub-b/bin/hubd"),
        process(11, "/opt/hub/bin-old/hubd", "/opt/hub/bin-old/hubd"),
        process(12, "/bin/sh", "sh", "/opt/hub/bin/hubcluster", "-status", "-timeout", "10"),
        process(13, "/real/hub/bin/hubstop", "/opt/hub/bin/hubstop", "-normal"),
        process(14, "/bin/cat", "cat", "/shared/etc/x"),
    ]
    hub = Hub("/opt/hub/bin/", "/shared/etc", Runner(*ours, *others))
    assert [item.pid for item in hub.leftovers()] == [1, 2, 3, 4, 5]
    assert hub.stopping()
    assert not Hub(
        "/opt/hub/bin", "/e", Runner(process(13, "/usr/bin/hubstop", "/usr/bin/hubstop"))
    ).stopping()


def shown(active: str, sub: str = "x", load: str = "loaded", **more: str) -> dict[str, str]:
    return {"LoadState": load, "ActiveState": active, "SubState": sub, **more}


@pytest.mark.parametrize(
    ("values", "left", "state"),
    [
        (shown("active", "running"), 3, "running"),
        (shown("reloading"), 3, "running"),
        (shown("deactivating", "stop-sigterm", Result="success", MainPID="7"), 3, "running"),
        # it was killed, or it ended by itself: who only ends what it left does not serve
        (shown("deactivating", "stop-sigterm", Result="signal", MainPID="0"), 3, "unknown"),
        (shown("deactivating", "stop-sigterm", Result="watchdog", MainPID="7"), 3, "unknown"),
        (shown("deactivating", "stop-post", Result="success", MainPID="0"), 1, "unknown"),
        (shown("inactive", "dead"), 0, "stopped"),
        (shown("failed", "failed"), 0, "stopped"),
        (shown("failed", "failed"), 1, "unknown"),
        (shown("activating", "auto-restart"), 0, "unknown"),
        (shown("activating", "start"), 1, "unknown"),
        (shown("maintenance"), 0, "unknown"),
        (shown("inactive", "dead", "not-found"), 0, "unknown"),
        ({}, 0, "unknown"),
    ],
)
def test_unit_states(values: dict[str, str], left: int, state: str) -> None:
    assert judge_unit(values, left).state == state


def test_show_is_parsed_by_its_first_equals_sign() -> None:
    assert parse_show("A=b=c\n\nnoise\nB=\n") == {"A": "b=c", "B": ""}


def show(active: str, group: str = "", enabled: str = "disabled") -> Ran:
    text = (
        f"LoadState=loaded\nActiveState={active}\nSubState=x\nControlGroup={group}\nUnitFileState={enabled}\n"
    )
    return Ran(0, text, 0.1)


def test_unit_leftovers_are_those_of_the_control_group() -> None:
    runner = Runner(
        process(1, "/x"), process(2, "/y"), groups={"/system.slice/web.service": [1], "/a/b": [2, 9]}
    )
    unit = Systemd("web.service", runner)
    runner.answer = show("inactive")
    assert [item.pid for item in unit.leftovers()] == [1] and unit.status(5).state == "stopped"
    runner.answer = show("failed", "/a/b")
    assert [item.pid for item in unit.leftovers()] == [1, 2] and unit.status(5).state == "unknown"


@pytest.mark.parametrize("answer", [Ran(1, "boom", 0.1), Ran(None, "", 5), Ran(0, "nothing", 0.1)])
def test_a_silent_systemd_is_a_broken_check(answer: Ran) -> None:
    runner = Runner()
    runner.answer = answer
    unit = Systemd("web.service", runner)
    assert unit.status(5).state == "unknown" and unit.autostart() is None and not unit.installed()
    for ask in (unit.leftovers, unit.stopping):
        with pytest.raises(ProductError):
            ask()


def test_unit_autostart_and_stop() -> None:
    runner = Runner()
    unit = Systemd("web.service", runner)
    for enabled, answer in (("enabled", True), ("disabled", False), ("static", False), ("indirect", None)):
        runner.answer = show("inactive", enabled=enabled)
        assert unit.autostart() is answer
    runner.answer = show("deactivating")
    assert unit.stopping() and unit.installed()
    runner.ran.clear()
    unit.start(5)
    unit.stop("normal", 5)
    unit.stop("force", 5)
    assert [words[0][1] for words in runner.ran] == ["start", "stop", "stop", "kill"]
    assert runner.ran[0][3] == "own"
