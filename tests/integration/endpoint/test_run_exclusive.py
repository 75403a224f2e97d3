# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`run-exclusive` against DynamoDB: three nodes, a dead winner, a table that is away; and what it costs in calls."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY, REGION

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(program: str, endpoint: Endpoint, client: Any) -> Iterator[Begin]:
    """Starts the built command as a node; `words` follow the options that name store, region and endpoint."""
    keys = [{"AttributeName": "pair", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}]
    kinds = [{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys]
    client("dynamodb").create_table(
        TableName="jobs", KeySchema=keys, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST"
    )
    made: list[subprocess.Popen[str]] = []

    def start(node: str, *words: str) -> subprocess.Popen[str]:
        env = {
            "PATH": f"{Path(program).parent}:/usr/bin:/bin", "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret", "LC_ALL": "C.UTF-8", "HOTSTANDBY_NODE": node,
        }  # fmt: skip
        where = ["--store", "dynamodb:jobs", "--region", REGION, "--endpoint-url", endpoint.url]
        process = subprocess.Popen(
            [program, "run-exclusive", *where, *words],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()
        process.communicate()
    client("dynamodb").delete_table(TableName="jobs")


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err and "secret" not in out + err
    return process.returncode, json.loads(out.splitlines()[-1])


def test_one_of_three_runs_and_a_late_node_does_not(begin: Begin, endpoint: Endpoint, tmp_path: Path) -> None:
    words = ("--job", "nightly", "--run", "1", "--", "sh", "-c", f"echo ran >>{tmp_path}/log")
    found = [ended(part) for part in [begin(node, *words) for node in ("a", "b", "c")]]
    assert [code for code, _answer in found] == [0, 0, 0]
    assert sorted(answer["outcome"] for _code, answer in found) == ["ran", "skipped", "skipped"]
    endpoint.clear_calls()
    assert ended(begin("late", *words))[1]["outcome"] == "skipped"
    assert (tmp_path / "log").read_text() == "ran\n"
    assert [call.action for call in endpoint.calls] == ["PutItem", "GetItem"]


def test_a_run_costs_two_calls(begin: Begin, endpoint: Endpoint) -> None:
    endpoint.clear_calls()
    code, answer = ended(begin("a", "--job", "short", "--run", "1", "--", "true"))
    assert (code, answer["outcome"]) == (0, "ran")
    assert [call.action for call in endpoint.calls] == ["PutItem", "PutItem"]


def test_a_winner_that_dies_is_replaced(begin: Begin, until: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = begin(
        "a", "--job", "dies", "--run", "1", "--lease", "3", "--", "sh", "-c", f"echo up >>{log}; sleep 600"
    )
    until(log.exists, 60)
    first.kill()
    code, answer = ended(begin("b", "--job", "dies", "--run", "1", "--lease", "3", "--", "true"))
    assert (code, answer["outcome"], answer["took_over"]) == (0, "ran", "a")


def test_a_table_that_does_not_answer_runs_nothing(begin: Begin, endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.faults.down.add("dynamodb")
    code, answer = ended(
        begin("a", "--job", "x", "--run", "1", "--lease", "3", "--", "touch", str(tmp_path / "ran"))
    )
    assert (code, answer["outcome"]) == (75, "unavailable") and not (tmp_path / "ran").exists()
    endpoint.faults.clear()
    endpoint.faults.deny.add((KEY, "dynamodb:PutItem"))
    code, answer = ended(begin("a", "--job", "x", "--run", "1", "--", "touch", str(tmp_path / "ran")))
    assert (code, answer["outcome"]) == (75, "unavailable") and "right" in answer["message"]
    assert not (tmp_path / "ran").exists()
