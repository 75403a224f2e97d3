# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssm_run: what it refuses before anything is sent, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import CommandError, Outcome
from ansible_collections.hotstandby.ops.plugins.modules import ssm_run

RunModule = Callable[..., dict[str, Any]]
GIVEN = {"instance_id": "i-0aaaaaaaaaaaaaaaa", "region": "us-east-1", "access_key": "a", "secret_key": "b"}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Lets the command end so; returns what was sent."""

    def prepare(status: str = "Success", rc: int | None = 0, error: str = "") -> list[Any]:
        sent: list[Any] = []

        def run(_client: Any, _clock: Any, *rest: Any) -> Outcome:
            sent.append(rest)
            if error:
                raise CommandError(error, passing=False)
            return Outcome("c-1", rest[2], status, status, rc, "out", "err", 1.5)

        monkeypatch.setattr(ssm_run, "run", run)
        return sent

    return prepare


def test_commands_become_the_shell_document(run_module: RunModule, ended: Callable[..., list[Any]]) -> None:
    sent = ended()
    result = run_module("ssm_run", commands=["set -e", "df -h"], execution_timeout=30, **GIVEN)
    wanted = {"commands": ["set -e", "df -h"], "executionTimeout": ["30"]}
    assert sent == [("AWS-RunShellScript", wanted, "i-0aaaaaaaaaaaaaaaa", 60, 30)]
    assert (result["status"], result["rc"], result["stdout"], result["changed"]) == (
        "Success",
        0,
        "out",
        True,
    )
    assert result["seconds"] == 1.5 and result["command_id"] == "c-1"


def test_parameters_are_lists_of_strings(run_module: RunModule, ended: Callable[..., list[Any]]) -> None:
    sent = ended()
    run_module("ssm_run", document="HotStandbyNode", parameters={"Action": "look", "Epoch": 7}, **GIVEN)
    assert sent[0][:2] == ("HotStandbyNode", {"Action": ["look"], "Epoch": ["7"]})


def test_check_mode_sends_nothing(run_module: RunModule, ended: Callable[..., list[Any]]) -> None:
    sent = ended()
    assert run_module("ssm_run", check=True, commands=["true"], **GIVEN)["changed"]
    assert sent == []


@pytest.mark.parametrize(
    ("status", "rc"), [("Failed", 3), ("TimedOut", None), ("Cancelled", None), ("Success", 1)]
)
def test_a_bad_end_fails_with_all_that_is_known(
    run_module: RunModule, ended: Callable[..., list[Any]], status: str, rc: int | None
) -> None:
    ended(status, rc)
    result = run_module("ssm_run", commands=["false"], **GIVEN)
    assert result["failed"] and status in result["msg"] and result["rc"] == rc and result["stderr"] == "err"


def test_an_error_of_ssm_is_one_line(run_module: RunModule, ended: Callable[..., list[Any]]) -> None:
    ended(error="SSM SendCommand: not for you")
    result = run_module("ssm_run", commands=["true"], **GIVEN)
    # ansible masks a letter of the reference, since this test's secret is one letter
    assert result["msg"].startswith("SSM SendCommand: not for you") and result["code"] == "ssm_failed"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({}, "commands"),
        ({"commands": []}, "commands"),
        ({"commands": ["true"], "document": "HotStandbyNode"}, "commands"),
        ({"commands": ["true"], "delivery_timeout": 29}, "delivery_timeout"),
        ({"commands": ["true"], "execution_timeout": 4}, "execution_timeout"),
        ({"commands": ["true"], "execution_timeout": 172801}, "execution_timeout"),
    ],
)
def test_what_is_refused(
    run_module: RunModule, ended: Callable[..., list[Any]], change: dict[str, Any], key: str
) -> None:
    sent = ended()
    result = run_module("ssm_run", **change, **GIVEN)
    assert result["failed"] and result["msg"].startswith(f"{key}: ") and sent == []
