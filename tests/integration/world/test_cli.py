# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's contract: JSON, spellings, reset and down. A stand-in for `deploy` keeps it quick."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import cli, control
from sandbox.paths import Layout, read_json
from sandbox.world import processes

NODE_COMMAND = """#!/bin/sh
export HULHUBETC='{etc}' HULHUBEXE='{root}/opt/hub/bin'
case "$1" in
start) exec "$HULHUBEXE/hubcluster" -start ;;
boot) echo booted > '{root}/var/log/booted' ;;
esac
"""


def fake_deploy(layout: Layout, env: dict[str, str]) -> None:
    """What deploy leaves behind, as far as the sandbox itself needs it."""
    import boto3

    for name in ("hub-a", "hub-b"):
        root = layout.root(name)
        command = root / "usr" / "local" / "bin" / "hotstandby"
        command.write_text(NODE_COMMAND.format(root=root, etc=layout.etc))
        command.chmod(0o755)
    (layout.shared / ".hotstandby-pair").write_text("hub-sandbox\n")
    dynamodb = boto3.client(
        "dynamodb",
        region_name=env["AWS_REGION"],
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    dynamodb.create_table(
        TableName="hotstandby",
        KeySchema=[
            {"AttributeName": "pair", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pair", "item")],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(
        TableName="hotstandby", WaiterConfig={"Delay": 0.1, "MaxAttempts": 50}
    )
    texts = {"pair": "hub-sandbox", "item": "record", "state": "steady", "active": "hub-a"}
    item = {**{name: {"S": value} for name, value in texts.items()}, "epoch": {"N": "1"}}
    dynamodb.put_item(TableName="hotstandby", Item=item)


Sandbox = Callable[..., Any]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cli") / "state"
    patch = pytest.MonkeyPatch()
    patch.setattr(control, "deploy", fake_deploy)
    yield path
    cli.main(["down", "--state", str(path)])
    patch.undo()


@pytest.fixture
def sandbox(state: Path, capsys: pytest.CaptureFixture[str]) -> Sandbox:
    def run(*arguments: str, fails: bool = False) -> Any:
        full = list(arguments) if "--state" in arguments else [*arguments, "--state", str(state)]
        code = cli.main(full)
        out, err = capsys.readouterr()
        if fails:
            assert (code, out) == (1, "")
            assert len(err.strip().splitlines()) == 1
            return err
        assert code == 0, err
        return json.loads(out)

    if not control.alive(Layout(state)):
        run("up")
    return run


def test_up_says_what_there_is(sandbox: Sandbox, state: Path) -> None:
    told = sandbox("up")
    assert set(told) == {"endpoint_url", "region", "inventory", "pair", "shared_dir", "env", "nodes"}
    assert set(told["nodes"]) == {"hub-a", "hub-b"}
    assert told["nodes"]["hub-a"]["root"] == str(state / "nodes" / "hub-a")
    assert told["env"]["AWS_ENDPOINT_URL"] == told["endpoint_url"] == told["pair"]["endpoint_url"]
    assert told["pair"]["lease"] == 2
    now = sandbox("status")
    assert (now["nodes"]["hub-a"]["product"], now["nodes"]["hub-b"]["product"]) == (True, False)
    assert now["address"] == told["nodes"]["hub-a"]["instance_id"]
    assert now["record"]["epoch"] == 1


def test_the_pair_is_one(sandbox: Sandbox) -> None:
    from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair

    pair = parse_pair(sandbox("up")["pair"])
    assert pair.product_of("hub-b")["exe"].endswith("nodes/hub-b/opt/hub/bin")


def test_every_spelling_of_a_fault(sandbox: Sandbox, state: Path) -> None:
    place = ["--state", str(state)]
    for words in (["fault", *place, "hub-b", "partition"], ["fault", "hub-b", "partition", *place]):
        assert sandbox(*words) == {"target": "hub-b", "fault": "partition"}
        assert sandbox("status")["nodes"]["hub-b"]["faults"] == ["partition"]
        sandbox("fault", "hub-b", "clear")
        assert sandbox("status")["nodes"]["hub-b"]["faults"] == []
    sandbox("fault", "aws", "ec2-down")
    assert sandbox("status")["aws_faults"] == ["ec2-down"]
    sandbox("fault", "aws", "clear")
    sandbox("fault", "aws", "throttle")
    sandbox("fault", "hub-a", "agent-offline")
    assert sandbox("clear") == {"cleared": "all"}
    now = sandbox("status")
    assert now["aws_faults"] == []
    assert now["nodes"]["hub-a"]["agent"]
    assert "meteor" in sandbox("fault", "hub-a", "meteor", fails=True)
    assert "hub-z" in sandbox("clear", "hub-z", fails=True)


def test_reset_gives_a_fresh_pair(sandbox: Sandbox, state: Path) -> None:
    before = sandbox("up")
    sandbox("fault", "hub-a", "clone")
    sandbox("fault", "hub-a", "power-off")
    sandbox("fault", "aws", "dynamodb-down")
    sandbox("fault", "hub-b", "start-fails")
    (state / "nodes" / "hub-b" / "etc" / "rubbish").write_text("x")
    (state / "shared" / "hub" / "rubbish").write_text("x")
    assert sandbox("reset") == before
    now = sandbox("status")
    assert sorted(now["nodes"]) == ["hub-a", "hub-b"]
    for name, node in now["nodes"].items():
        assert (node["ec2"], node["agent"], node["faults"]) == ("running", True, [])
        assert node["product"] == (name == "hub-a")
    assert now["aws_faults"] == []
    assert not (state / "nodes" / "hub-b" / "etc" / "rubbish").exists()
    assert not (state / "shared" / "hub" / "rubbish").exists()
    journal = sandbox("journal")
    assert [event["event"] for event in journal["events"]] == ["start"]
    assert journal["overlaps"] == 0
    assert journal["earlier"]["resets"] >= 1


def test_boot_asks_the_node_command(sandbox: Sandbox, state: Path) -> None:
    sandbox("fault", "hub-b", "reboot")
    booted = state / "nodes" / "hub-b" / "var" / "log" / "booted"
    end = time.monotonic() + 5
    while not booted.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    sandbox("reset")


def test_a_half_made_one_is_cleaned(sandbox: Sandbox, state: Path) -> None:
    layout = Layout(state)
    # the daemon dies without a word and leaves its nodes behind
    daemon = read_json(layout.daemon)
    processes.kill_pids([daemon["pid"]])
    assert control.remaining(layout)
    sandbox("up")
    assert read_json(layout.daemon)["pid"] != daemon["pid"]
    assert sandbox("status")["nodes"]["hub-a"]["product"]


def test_what_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    assert "not empty" in sandbox("up", "--state", str(tmp_path), fails=True)
    assert (tmp_path / "mine").read_text() == "precious"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_down_leaves_nothing(sandbox: Sandbox, state: Path) -> None:
    layout = Layout(state)
    assert len(control.remaining(layout)) >= 5
    assert sandbox("down")["left"] == 0
    assert control.remaining(layout) == []
    assert "no sandbox runs" in sandbox("status", fails=True)
    assert sandbox("down")["down"]
