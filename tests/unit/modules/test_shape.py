# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, modules and playbooks keep the shape that their readers rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
# without a default: nothing when it is not given
UNSET = {"hotstandby_pair", "warp_rollout_install_dir", "warp_rollout_data_dir"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_documents_what_it_takes(role: str) -> None:
    options = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml")
    needed = {name for name, option in options.items() if option.get("required")}
    assert set(options) - UNSET - needed == set(defaults)
    for name, option in options.items():
        if "default" in option:
            assert defaults[name] == option["default"], name
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert [name for name in options if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_connects_to_nobody_it_need_not(playbook: Path) -> None:
    for play in load(playbook):
        if "ansible.builtin.import_playbook" in play:
            continue
        assert play["strategy"] == "ansible.builtin.linear" and play["gather_facts"] is False
        if play["hosts"] == "localhost":
            # what concerns no pair runs here, and nowhere else
            assert play["connection"] == "local" and play["become"] is False
            continue
        assert play["hosts"] == "{{ hotstandby_group | default('hotstandby') }}"
        # with several nodes at a time each ends its turn; all others stop together
        assert play["any_errors_fatal"] is ("serial" not in play)
        for task in flat(play["tasks"]):
            if "hotstandby.ops.pair_service" in task:
                # only to the active node, which has just answered
                assert task["when"].endswith("== hotstandby_now.active"), task["name"]
            elif "ansible.builtin.include_role" not in task:
                # on each task, since a block's run_once ends early when the first host has failed before
                assert task["run_once"] is True and task["delegate_to"] == "localhost", task["name"]


def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for task in tasks:
        inner = [*task.get("block", []), *task.get("rescue", []), *task.get("always", [])]
        found += flat(inner) if inner else [task]
    return found


def test_no_group_vars_override_the_user() -> None:
    assert not list((ROOT / "playbooks").glob("*_vars")) and not list((ROOT / "inventory").glob("*_vars"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_thin(module: str) -> None:
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    code = text.rpartition('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 150


def test_modules_that_speak_to_aws_are_in_the_action_group() -> None:
    group = load(ROOT / "meta" / "runtime.yml")["action_groups"]["aws"]
    named = {entry for entry in group if isinstance(entry, str)}
    speaking = {
        name for name in MODULES if "attributes.aws" in (ROOT / f"plugins/modules/{name}.py").read_text()
    }
    assert named == speaking
