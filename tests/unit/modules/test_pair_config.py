# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pair_config: bad pairs are refused with one line that names the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

RunModule = Callable[..., dict[str, Any]]


def test_a_node_gets_its_configuration(run_module: RunModule, pair: dict[str, Any]) -> None:
    result = run_module("pair_config", pair=pair, node="hub-b", root="/tmp/x")
    assert result["config"] == {
        "schema": 1,
        "node": "hub-b",
        "root": "/tmp/x",
        "metadata_url": None,
        "pair": pair,
    }
    assert result["product"] == {"etc": "/shared/hub/etc", "exe": "/opt/hub-b/bin"}
    assert result["other"] == "hub-a"
    assert result["changed"] is False


def test_a_node_gets_no_command_that_may_carry_a_password(
    run_module: RunModule, pair: dict[str, Any]
) -> None:
    fencing = {"method": "command", "command": ["fence_ipmilan", "--password=secret"], "timeout": 60}
    address = {"kind": "elastic_ip", "allocation_id": "eipalloc-0123456789abcdef0"}
    moving = {"kind": "command", "command": ["dns", "--key=secret"], "check": ["dig"]}
    given = {**pair, "fencing": fencing, "redirect": [address, moving]}
    written = run_module("pair_config", pair=given, node="hub-b")["config"]["pair"]
    assert "secret" not in str(written) and written["redirect"] == [address]
    assert run_module("pair_config", pair=written, node="hub-b")["config"]["pair"] == written


def test_without_a_node_only_the_pair_is_checked(run_module: RunModule, pair: dict[str, Any]) -> None:
    assert run_module("pair_config", pair=pair)["config"] is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"nodes": [{"name": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"}]}, "nodes"),
        ({"nodes": []}, "nodes"),
        ({"nodes": [{"name": f"n{n}", "instance_id": f"i-0aaaaaaaaaaaaaaa{n}"} for n in range(3)]}, "nodes"),
        (
            {"nodes": [{"name": name, "instance_id": "i-0aaaaaaaaaaaaaaaa"} for name in ("a", "b")]},
            "instance_id",
        ),
        ({"name": ""}, "name"),
        ({"lease": "soon"}, "lease"),
        ({"timeouts": {"stop": 781}}, "timeouts.stop"),
        ({"region": "Tokyo"}, "region"),
    ],
)
def test_a_bad_pair(run_module: RunModule, pair: dict[str, Any], change: dict[str, Any], key: str) -> None:
    result = run_module("pair_config", pair={**pair, **change})
    assert result["failed"]
    assert result["msg"].startswith("hotstandby_pair.") and key in result["msg"]


def test_a_node_of_no_pair(run_module: RunModule, pair: dict[str, Any]) -> None:
    result = run_module("pair_config", pair=pair, node="web-1")
    assert result["failed"] and "web-1" in result["msg"]
