# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared folder as the guard finds it: mounted, not, unknown, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import guard as guard_module
from ansible_collections.hotstandby.ops.plugins.module_utils.node import rules
from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import Config
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import StateError
from ansible_collections.hotstandby.ops.plugins.module_utils.node.rules import Asked
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair

from tests.unit.node.sim_host import SHARED, SimHost, Soon
from tests.unit.node.sim_machine import PAIR, Machine


def folder(machine: Machine) -> Any:
    return machine.do(lambda guard: guard.shared())


def test_the_shared_folder_as_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    get = Soon.get

    def noted(soon: Soon, limit: float) -> Any:
        asked.append(limit)
        return get(soon, limit)

    monkeypatch.setattr(Soon, "get", noted)
    machine = Machine()
    assert folder(machine) == rules.Shared(SHARED, mounted=True, marker="hub-prod")
    assert asked == [guard_module.FOLDER], "a dead file server never answers"
    machine.files[f"{SHARED}/.hotstandby-pair"] = " \n"
    assert folder(machine) == rules.Shared(SHARED, mounted=True, marker=None)
    del machine.files[f"{SHARED}/.hotstandby-pair"]
    assert folder(machine) == rules.Shared(SHARED, mounted=True, marker=None)
    machine.mount_points = ["/"]
    assert folder(machine) == rules.Shared(SHARED, mounted=False, marker=None)


@pytest.mark.parametrize("error", [TimeoutError("slow"), StateError("stale handle")])
def test_a_shared_folder_that_does_not_answer_has_no_marker(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_soon: Soon, _limit: float) -> None:
        raise error

    monkeypatch.setattr(Soon, "get", fail)
    machine = Machine()
    assert folder(machine) == rules.Shared(SHARED, mounted=True)
    assert (
        machine.do(lambda guard: guard.start(Asked(rules.ORDER, 7), 60)).detail["code"] == "shared_no_marker"
    )


def test_a_mount_table_that_cannot_be_read_is_unknown_not_unmounted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_host: SimHost) -> None:
        raise StateError("no /proc")

    monkeypatch.setattr(SimHost, "mounts", fail)
    machine = Machine()
    assert folder(machine) == rules.Shared(SHARED, mounted=None)
    assert (
        machine.do(lambda guard: guard.start(Asked(rules.ORDER, 7), 60)).detail["code"]
        == "shared_not_mounted"
    )


def test_a_shared_folder_behind_a_link_is_mounted_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimHost, "real_path", lambda _host, path: {SHARED: "/mnt/efs"}[path])
    machine = Machine()
    machine.mount_points = ["/", "/mnt/efs"]
    assert folder(machine) == rules.Shared(SHARED, mounted=True, marker="hub-prod")


def test_a_pair_without_a_shared_folder_has_none() -> None:
    machine = Machine()
    pair = parse_pair({key: value for key, value in PAIR.items() if key != "shared"})
    machine.config = Config(pair, pair.node("hub-a"))
    assert folder(machine) is None


@pytest.mark.parametrize("path", [SHARED, "/shared/X"])
def test_a_slash_at_the_end_of_its_path_is_no_other_folder(path: str) -> None:
    machine = Machine(shared={"path": f"{path}/"})
    machine.mount_points = ["/", path]
    machine.files = {f"{path}/.hotstandby-pair": "hub-prod\n"}
    assert folder(machine) == rules.Shared(f"{path}/", mounted=True, marker="hub-prod")
