# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hub_status: what the product's exit codes mean, and what is a failure of the question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def product(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Writes a `hubcluster` with this body; returns the module's arguments."""

    def write(body: str) -> dict[str, Any]:
        exe, etc = tmp_path / "the bin", tmp_path / "etc"
        exe.mkdir()
        etc.mkdir()
        for name in ("hubcluster", "hubstop"):
            program = exe / name
            program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            program.chmod(0o755)
        return {"exe": str(exe), "etc": str(etc)}

    return write


@pytest.mark.parametrize(
    ("rc", "state"),
    [
        (0, "running"),
        (240, "stopped"),
        (100, "hung"),
        (112, "hung"),
        (113, "hung"),
        (114, "hung"),
        (116, "unknown"),
        (230, "unknown"),
        (1, "unknown"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_an_exit_code_is_an_answer(
    run_module: RunModule, product: Callable[[str], dict[str, Any]], rc: int, state: str, check: bool
) -> None:
    result = run_module("hub_status", check=check, **product(f"echo said; exit {rc}"))
    assert not result.get("failed")
    assert (result["state"], result["running"], result["rc"]) == (state, rc == 0, rc)
    assert result["changed"] is False
    assert result["stdout"] == "said\n"
    assert 0 <= result["seconds"] < 5


@pytest.mark.parametrize(("rc", "word"), [(12, "environment"), (102, "arguments"), (250, "rights")])
def test_a_broken_check_fails_and_names_what_is_wrong(
    run_module: RunModule, product: Callable[[str], dict[str, Any]], rc: int, word: str
) -> None:
    result = run_module("hub_status", **product(f"echo no good >&2; exit {rc}"))
    assert result["failed"]
    assert word in result["msg"] and str(rc) in result["msg"] and "no good" in result["msg"]


def test_a_silent_product_is_ended_with_its_children_and_is_hung(
    run_module: RunModule, product: Callable[[str], dict[str, Any]]
) -> None:
    result = run_module("hub_status", timeout=1, **product("sleep 60 & sleep 60"))
    assert (result["state"], result["running"], result["rc"]) == ("hung", False, None)
    assert result["seconds"] < 5


def test_the_command_gets_its_environment_and_arguments(
    run_module: RunModule, product: Callable[[str], dict[str, Any]]
) -> None:
    given = product('echo "$*|$HULHUBEXE|$HULHUBETC"')
    result = run_module("hub_status", timeout=20, **given)
    assert result["stdout"].strip() == f"-status -timeout 20|{given['exe']}|{given['etc']}"


def test_a_missing_product_fails(run_module: RunModule, tmp_path: Path) -> None:
    result = run_module("hub_status", exe=str(tmp_path), etc=str(tmp_path))
    assert (
        result["failed"]
        and result["msg"]
        == f"exe: {tmp_path}/hubcluster is not an executable file on this host (see docs/runbook.md#bad_option)"
    )


@pytest.mark.parametrize("timeout", [0, 61])
def test_a_timeout_the_product_would_refuse(run_module: RunModule, tmp_path: Path, timeout: int) -> None:
    result = run_module("hub_status", exe=str(tmp_path), etc=str(tmp_path), timeout=timeout)
    assert result["failed"] and result["msg"].startswith("timeout: ")


def test_a_user_who_does_not_exist(run_module: RunModule, product: Callable[[str], dict[str, Any]]) -> None:
    result = run_module("hub_status", user="no-such-user", **product("exit 0"))
    assert result["failed"] and result["msg"].startswith("user: ")
