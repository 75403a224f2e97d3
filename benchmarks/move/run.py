# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover on the sandbox, counted and timed, beside the published way of two send_command calls in the same run.

Usage: python benchmarks/move/run.py [--rounds 5] [--latency 20] [--daemon] [--out FILE]; needs `make setup`. --daemon: the
nodes run `hotstandby watch`, which answers their commands; it may not call the function, so that this move is the only one. "product" is the time
in the product's own commands (status, stop, start), as the nodes themselves measured it: of two nodes asked at once, the
longer one counts. Everything is shown with an SSM agent that answers at once, and with one that takes 0.5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AGENTS = (0.0, 0.5)  # seconds an SSM agent takes before it runs a command
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections")]

import boto3  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import client_config  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition  # noqa: E402


def sandbox(state: str, *words: str) -> Any:
    """One command of the sandbox; returns its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words, "--state", state],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def client(info: dict[str, Any], service: str, lease: float) -> Any:
    """A client with the operator's keys."""
    env = info["env"]
    session = boto3.session.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    return session.client(
        service, region_name=info["region"], endpoint_url=info["endpoint_url"], config=client_config(lease)
    )


class Listening:
    """An SSM client that notes what the nodes say of the product's own time; everything goes to the real one."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.spent: dict[str, float] = {}  # seconds by command id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_command_invocations(self, **arguments: Any) -> Any:
        found = self._client.list_command_invocations(**arguments)
        for item in found["CommandInvocations"]:
            for plugin in item.get("CommandPlugins", []):
                try:
                    detail = json.loads(plugin.get("Output") or "{}").get("detail", {})
                except ValueError:
                    continue
                known = self.spent.get(arguments["CommandId"], 0.0)
                self.spent[arguments["CommandId"]] = max(known, detail.get("product_seconds", 0.0))
        return found


def calls(info: dict[str, Any]) -> list[str]:
    """The operator's calls since the reset, as service:action."""
    with urllib.request.urlopen(f"{info['endpoint_url']}/_sandbox/calls", timeout=20) as answer:
        found = json.loads(answer.read())
    logged = found["calls"] if isinstance(found, dict) else found
    mine = info["env"]["AWS_ACCESS_KEY_ID"]
    return [f"{call['service']}:{call['action']}" for call in logged if call["key"] == mine]


def fresh(state: str, agent: float) -> dict[str, Any]:
    """A pair at rest whose agents take `agent` seconds before they run a command."""
    info: dict[str, Any] = sandbox(state, "reset")
    for node in info["nodes"] if agent else ():
        sandbox(state, "fault", node, f"agent-slow:{agent}")
    if info["pair"]["profile"] == "fast":
        for node in info["nodes"]:
            sandbox(state, "fault", "aws", f"deny:{node}:lambda:Invoke")
            until_listens(Path(info["nodes"][node]["root"]) / "run" / "hotstandby")
    return info


def until_listens(folder: Path) -> None:
    """Wait until a node's daemon has made its socket."""
    end = time.monotonic() + 60
    while not list(folder.glob("*.sock")):
        if time.monotonic() > end:
            raise SystemExit(f"no daemon listens in {folder}")
        time.sleep(0.05)


def ours(state: str, agent: float) -> dict[str, Any]:
    """One failover of a killed product, in this process."""
    info = fresh(state, agent)
    pair = parse_pair(info["pair"])
    made = {name: client(info, name, pair.lease) for name in ("dynamodb", "ssm", "ec2", "cloudwatch")}
    made["ssm"] = listening = Listening(made["ssm"])
    ports = ports_for(pair, made.__getitem__)
    sandbox(state, "fault", "hub-a", "product-kill")
    before = len(calls(info))
    began = time.monotonic()
    result = Transition(pair, ports, Request(by="benchmark", owner="benchmark", reason="benchmark")).run()
    seconds = time.monotonic() - began
    used = calls(info)[before:]
    journal = sandbox(state, "journal")
    if result.outcome != "moved":
        raise SystemExit(f"{result.outcome}: {result.message}")
    polls = (
        used.count("ssm:ListCommandInvocations") - 4
    )  # the first poll of each of the four questions counts
    return {
        "seconds": seconds,
        "product": sum(listening.spent.values()),
        "calls": len(used),
        "calls_without_polls": len(used) - max(0, polls),
        "steps": {step["name"]: step["seconds"] for step in result.steps},
        "overlaps": journal["overlaps"],
    }


def playbook(state: str) -> float:
    """Wall seconds of the same failover by `ansible-playbook hotstandby.ops.failover`."""
    info = fresh(state, 0.0)
    sandbox(state, "fault", "hub-a", "product-kill")
    env = {
        **os.environ,
        **info["env"],
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        info["inventory"],
        "hotstandby.ops.failover",
    ]
    began = time.monotonic()
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - began


def published(state: str, agent: float) -> dict[str, Any]:
    """Stop the active and at once start the standby, as the published function does: two calls, nothing proven."""
    info = fresh(state, agent)
    ssm = client(info, "ssm", 30)
    nodes = info["nodes"]
    product = info["pair"]["product"]
    began = time.monotonic()
    ids = []
    for node, command in zip(nodes, ("hubstop", "hubcluster -start"), strict=True):
        exe = next(item for item in info["pair"]["nodes"] if item["name"] == node)["product"]["exe"]
        line = f"HULHUBETC={product['etc']} HULHUBEXE={exe} {exe}/{command}"
        sent = ssm.send_command(
            InstanceIds=[nodes[node]["instance_id"]],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": [line]},
        )
        ids.append((sent["Command"]["CommandId"], nodes[node]["instance_id"]))
    sent_after = time.monotonic() - began
    while any(_status(ssm, *item) in ("Pending", "InProgress", "Delayed") for item in ids):
        time.sleep(0.05)
    return {
        "seconds": time.monotonic() - began,
        "sent": sent_after,
        "calls": 2,
        "overlaps": sandbox(state, "journal")["overlaps"],
    }


def _status(ssm: Any, command_id: str, instance_id: str) -> str:
    found = ssm.list_command_invocations(CommandId=command_id, InstanceId=instance_id)["CommandInvocations"]
    return str(found[0]["Status"]) if found else "Pending"


def main() -> None:
    """Print a table; write all figures as JSON with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=int, default=20, help="milliseconds for each AWS call")
    parser.add_argument("--daemon", action="store_true", help="with the daemon of profile fast on both nodes")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as state:
        profile = ["--automation", "fast"] if asked.daemon else []
        sandbox(state, "up", "--latency", str(asked.latency), *profile)
        try:
            found = {
                agent: {
                    "ours": [ours(state, agent) for _round in range(asked.rounds)],
                    "published": [published(state, agent) for _round in range(asked.rounds)],
                }
                for agent in AGENTS
            }
            walls = [playbook(state) for _round in range(asked.rounds)]
        finally:
            sandbox(state, "down")
    print(f"median of {asked.rounds} rounds, {asked.latency} ms latency, stand-in start and stop of 0 s")
    for agent, rows in found.items():
        show(agent, rows["ours"], rows["published"])
    alone = statistics.median(row["seconds"] for row in found[0.0]["ours"])
    wall = statistics.median(walls)
    print(f"\nthe playbook: {wall:.2f} s, {wall - alone:.2f} s more than the move in process")
    if asked.out:
        asked.out.write_text(
            json.dumps({"latency_ms": asked.latency, "agents": found, "playbook": walls}, indent=1)
        )


def show(agent: float, mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """One table: both ways, then the steps of ours."""
    print(f"\nSSM agent answers {f'after {agent} s' if agent else 'at once'}")
    print(f"{'':26}{'seconds':>8}{'product':>9}{'besides':>9}{'calls':>7}{'two at once':>13}  proven")
    for name, rows, proven in (
        ("hotstandby.ops failover", mine, "source stopped, target running twice, address read back"),
        ("two send_command calls", theirs, "nothing: neither the stop, nor that it came before the start"),
    ):
        seconds = statistics.median(row["seconds"] for row in rows)
        count = statistics.median(row.get("calls_without_polls", row["calls"]) for row in rows)
        product, besides = "", ""
        if "product" in rows[0]:
            product = f"{statistics.median(row['product'] for row in rows):.2f}"
            besides = f"{statistics.median(row['seconds'] - row['product'] for row in rows):.2f}"
        overlaps = sum(row["overlaps"] for row in rows)
        print(f"{name:26}{seconds:8.2f}{product:>9}{besides:>9}{count:7.0f}{overlaps:13d}  {proven}")
    print("steps of ours (median seconds)")
    for step in mine[0]["steps"]:
        print(f"  {step:10}{statistics.median(row['steps'].get(step, 0.0) for row in mine):8.3f}")


if __name__ == "__main__":
    main()
