# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status when little can be read, and the reported faults O5, O6, O11 and O12 through the real command lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.attack.controller import Controller, commanded
from tests.integration.attack.nodes import rewrite
from tests.integration.pair.rig import BIN, Rig

pytestmark = pytest.mark.sandbox


def read_rights_only(rig: Rig) -> None:
    """All that would change something, commands to nodes included."""
    rig.torment(
        "aws",
        *(
            f"deny:controller:{action}"
            for action in (
                "ssm:SendCommand",
                "dynamodb:UpdateItem",
                "dynamodb:PutItem",
                "ec2:StopInstances",
                "ec2:AssociateAddress",
                "cloudwatch:PutMetricData",
            )
        ),
    )


def test_status_with_read_rights_shows_the_last_heartbeat(rig: Rig) -> None:
    for name in rig.names:
        rig.on(name, "healthcheck")
    read_rights_only(rig)
    told = rig.playbook("status")
    assert told.rc == 0 and told.result["active"] == "hub-a", told.text
    assert "SendCommand" in told.text and "right" in told.text
    for name, state in (("hub-a", "running"), ("hub-b", "stopped")):
        node = told.result["nodes"][name]
        assert (node["state"], node["source"], node["heartbeat_state"]) == ("unknown", "heartbeat", state)
    quiet = rig.playbook("status", ask_nodes="false")
    assert quiet.rc == 0 and quiet.result["notes"] == [], quiet.text


def test_status_of_a_move_at_work(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    rig.trap("ssm:SendCommand", "stop", run="frozen", holds='["start"]')
    frozen = rig.begin("failover", env={"SANDBOX_RUN": f"{rig.state}:frozen"}, by="akira", reason="crash")
    try:
        rig.until(rig.sprung)
        for rights in ("all", "read"):
            if rights == "read":
                read_rights_only(rig)
            told = rig.playbook("status")
            assert told.rc == 0 and told.result["state"] == "moving", told.text
            move = told.result["move"]
            assert (move["step"], move["by"], move["reason"]) == ("start", "akira", "crash")
            assert told.result["lease"].startswith("akira@") and "wait: a move is at work" in told.text
            assert commanded(told.result["next"]) == {"to": "hub-b"} and len(told.result["screen"]) <= 20
        rig.torment("aws", "clear")
        rig.ask("release", run="frozen")
        done = frozen.end(60)
    finally:
        rig.ask("release", run="frozen")
        frozen.process.kill()
    # nobody took its lease meanwhile
    assert (done.rc, done.outcome) == (0, "moved"), done.text


@pytest.mark.parametrize("how", ["denied", "down", "senseless", "schema"])
def test_status_of_a_record_that_cannot_be_read(rig: Rig, how: str) -> None:
    if how == "denied":
        rig.torment("aws", "deny:controller:dynamodb:GetItem")
    elif how == "down":
        rig.torment("aws", "dynamodb-down")
    else:
        rewrite(rig, **({"epoch": {"S": "seven"}} if how == "senseless" else {"schema": {"N": "99"}}))
    told = rig.playbook("status")
    assert told.rc != 0 and told.result["readable"] is False and told.result["active"] is None, told.text
    assert "UNREADABLE" in told.text and told.result["state"] == "unknown"
    # what the nodes say is shown all the same
    assert told.result["nodes"]["hub-a"]["state"] == "running"
    assert told.result["nodes"]["hub-b"]["state"] == "stopped"
    result = Controller(rig, "one").move()
    assert result.outcome == "refused" and not result.changed and rig.running() == ["hub-a"]


def ad_hoc(
    rig: Rig, node: str, module: str, arguments: dict[str, Any], *more: str
) -> subprocess.CompletedProcess[str]:
    """One module on one node."""
    return subprocess.run(
        [
            str(BIN / "ansible"),
            node,
            "-i",
            rig.info["inventory"],
            "-m",
            f"hotstandby.ops.{module}",
            "-a",
            json.dumps(arguments),
            *more,
        ],
        cwd=rig.state,
        env={**rig.env, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_o5_check_mode_reports_down_and_starts_nothing(rig: Rig) -> None:
    rig.torment("hub-a", "product-kill")
    root = Path(rig.info["nodes"]["hub-a"]["root"])
    exe, etc = str(root / "opt/hub/bin"), rig.info["pair"]["product"]["etc"]
    told = ad_hoc(rig, "hub-a", "hub_status", {"exe": exe, "etc": etc}, "--check")
    assert '"rc": 240' in told.stdout and '"running": false' in told.stdout, told.stdout + told.stderr
    own = {
        "config": str(root / "etc/hotstandby/pair.json"),
        "command": str(root / "usr/local/bin/hotstandby"),
    }
    given = {"state": "started", "exe": exe, "etc": etc, **own}
    would = ad_hoc(rig, "hub-a", "hub_service", given, "--check")
    assert '"changed": true' in would.stdout, would.stdout + would.stderr
    plan = rig.failover("--check")
    assert plan.rc == 0 and plan.result["changed"] is True and "stopped" in json.dumps(plan.result["steps"])
    assert [node for node, _event in rig.events("start", "start-failed", "refused")] == ["hub-a"]
    assert rig.running() == [] and rig.active() == "hub-a"


def test_o6_no_secret_in_any_output_of_a_failure(rig: Rig) -> None:
    secret = "DUMMY-s3cr3t-DUMMY"
    rig.torment("aws", "deny:controller:dynamodb:UpdateItem")
    rig.torment("hub-a", "product-kill")
    loop = [
        {
            "hosts": "hotstandby",
            "gather_facts": False,
            "tasks": [
                {
                    "hotstandby.ops.ssm_failover": {
                        "pair": "{{ hotstandby_pair }}",
                        "access_key": "AKIASANDBOXCONTROLLER",
                        "secret_key": "{{ lookup('ansible.builtin.env', 'HIDDEN') }}",
                        "to": "{{ item }}",
                    },
                    "loop": ["hub-b", "hub-a"],
                    "run_once": True,
                    "delegate_to": "localhost",
                }
            ],
        }
    ]
    book = rig.state / "loop.json"
    book.write_text(json.dumps(loop))
    by_environment = ["hotstandby.ops.failover"]
    by_option = [str(book)]
    for words in (by_environment, by_option):
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", rig.info["inventory"], *words, "-vvvv", "--diff"],
            cwd=rig.state,
            env={**rig.env, "AWS_SECRET_ACCESS_KEY": secret, "HIDDEN": secret},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        text = done.stdout + done.stderr
        assert done.returncode != 0 and "UpdateItem" in text and "Traceback" not in text, text
        assert secret not in text
    for path in rig.state.rglob("*"):
        if path.is_file() and path != book:
            assert secret.encode() not in path.read_bytes(), path


def test_o11_a_check_in_crons_environment_puts_one_datapoint(rig: Rig) -> None:
    for node, name in (("hub-a", "Unhealthy"), ("hub-b", "StandbyReady")):
        root = Path(rig.info["nodes"][node]["root"])
        before = len(puts(rig, node))
        mark = [f"{key}={value}" for key, value in rig.node_env(node).items()]
        done = subprocess.run(
            [
                "env",
                "-i",
                "PATH=/usr/bin:/bin",
                "HOME=/",
                *mark,
                str(root / "usr/local/bin/hub_healthcheck.sh"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["detail"]["metric"].startswith(f"{name}="), answer
        assert len(puts(rig, node)) == before + 1
    found = rig.client("cloudwatch").list_metrics(Namespace="HotStandby", MetricName="Unhealthy")["Metrics"]
    assert len(found) == 1


def puts(rig: Rig, node: str) -> list[dict[str, Any]]:
    """A node's own PutMetricData calls."""
    calls = rig._control("calls")["calls"]
    return [call for call in calls if call["caller"] == node and call["action"] == "PutMetricData"]


def test_o12_a_late_and_long_answer_is_judged_by_its_end(rig: Rig) -> None:
    """30,000 characters come before the last word, and SSM knows nothing of the command at first."""
    rig.ask("ssm", hidden_calls=2, hidden_seconds=30, hidden_listings=2)
    try:
        run = ad_hoc(
            rig,
            "localhost",
            "ssm_run",
            {
                "instance_id": rig.info["nodes"]["hub-a"]["instance_id"],
                "commands": ["head -c 30000 /dev/zero | tr '\\0' x", "echo", "echo last", "exit 7"],
                "region": rig.info["region"],
                "endpoint_url": rig.info["endpoint_url"],
            },
            "-c",
            "local",
        )
        assert '"rc": 7' in run.stdout and '"status": "Failed"' in run.stdout, run.stdout + run.stderr
        for name in rig.names:
            noisy(rig, name)
        rig.torment("hub-a", "product-kill")
        rig.trap("ssm:SendCommand", "slow:controller:0", holds='["start"]')
        played = rig.failover()
    finally:
        rig.ask("ssm", hidden_calls=1, hidden_seconds=1, hidden_listings=0)
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert rig.sprung() and rig.running() == ["hub-b"]
    steps = played.steps()
    assert steps.index("stop") < steps.index("promote") < steps.index("start")


def noisy(rig: Rig, node: str) -> None:
    """The product's commands write 30,000 characters before their last word."""
    for name in ("hubcluster", "hubstop"):
        path = Path(rig.info["nodes"][node]["root"], "opt/hub/bin", name)
        real = path.rename(path.with_name(f"real-{name}"))
        path.write_text(f"#!/bin/sh\nhead -c 30000 /dev/zero | tr '\\0' x; echo\nexec '{real}' \"$@\"\n")
        path.chmod(0o755)
