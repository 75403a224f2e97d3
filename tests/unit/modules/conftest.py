# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as ansible does, in this process: arguments in, JSON out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

BASE = "ansible_collections.hotstandby.ops.plugins.modules"
RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    """`run_module(name, check=False, **arguments)` returns what the module printed; `failed` tells how it ended."""

    def run(name: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        module = importlib.import_module(f"{BASE}.{name}")
        # an action plugin would set these two
        given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        assert (ended.value.code != 0) == bool(result.get("failed"))
        assert "Traceback" not in json.dumps(result)
        assert "\n" not in str(result.get("msg", ""))
        return result

    return run


@pytest.fixture
def pair() -> dict[str, Any]:
    """A pair in which everything is right."""
    return {
        "name": "hub-test",
        "region": "us-east-1",
        "table": "hotstandby",
        "service": "hulft_hub",
        "product": {"etc": "/shared/hub/etc", "exe": "/opt/hub/bin"},
        "nodes": [
            {"name": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"},
            {"name": "hub-b", "instance_id": "i-0bbbbbbbbbbbbbbbb", "product": {"exe": "/opt/hub-b/bin"}},
        ],
    }
