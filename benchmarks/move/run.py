# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover on the sandbox, counted and timed, beside the published way of two send_command calls in the same run.

Usage: python benchmarks/move/run.py [--rounds 5] [--latency 20] [--out FILE]; needs `make setup`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
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


def calls(info: dict[str, Any]) -> list[str]:
    """The operator's calls since the reset, as service:action."""
    with urllib.request.urlopen(f"{info['endpoint_url']}/_sandbox/calls", timeout=20) as answer:
        found = json.loads(answer.read())
    logged = found["calls"] if isinstance(found, dict) else found
    mine = info["env"]["AWS_ACCESS_KEY_ID"]
    return [f"{call['service']}:{call['action']}" for call in logged if call["key"] == mine]


def ours(state: str) -> dict[str, Any]:
    """One failover of a killed product, in this process."""
    info = sandbox(state, "reset")
    pair = parse_pair(info["pair"])
    made = {name: client(info, name, pair.lease) for name in ("dynamodb", "ssm", "ec2", "cloudwatch")}
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
        "calls": len(used),
        "calls_without_polls": len(used) - max(0, polls),
        "steps": {step["name"]: step["seconds"] for step in result.steps},
        "overlaps": journal["overlaps"],
    }


def published(state: str) -> dict[str, Any]:
    """Stop the active and at once start the standby, as the published function does: two calls, nothing proven."""
    info = sandbox(state, "reset")
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
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as state:
        sandbox(state, "up", "--latency", str(asked.latency))
        try:
            mine = [ours(state) for _round in range(asked.rounds)]
            theirs = [published(state) for _round in range(asked.rounds)]
        finally:
            sandbox(state, "down")
    print(f"median of {asked.rounds} rounds, {asked.latency} ms latency, stand-in start and stop of 0 s")
    print(f"{'':28}{'seconds':>9}{'calls':>7}{'two at once':>13}  proven")
    for name, rows, proven in (
        ("hotstandby.ops failover", mine, "source stopped, target running twice, address read back"),
        ("two send_command calls", theirs, "nothing: neither the stop, nor that it came before the start"),
    ):
        seconds = statistics.median(row["seconds"] for row in rows)
        count = statistics.median(row.get("calls_without_polls", row["calls"]) for row in rows)
        print(f"{name:28}{seconds:9.2f}{count:7.0f}{sum(row['overlaps'] for row in rows):13d}  {proven}")
    print("\nsteps of ours (median seconds)")
    for step in mine[0]["steps"]:
        print(f"  {step:10}{statistics.median(row['steps'].get(step, 0.0) for row in mine):8.3f}")
    if asked.out:
        asked.out.write_text(
            json.dumps({"ours": mine, "published": theirs, "latency_ms": asked.latency}, indent=1)
        )


if __name__ == "__main__":
    main()
