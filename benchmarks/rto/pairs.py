# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pairs that run.py measures: the sandbox's nodes (processes) and the systemd hosts (podman), asked in one way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]
LONG = 120.0
PRODUCT = 1.0  # seconds that the stand-in takes to start, and to stop; and EC2 to stop an instance
KNOBS = {"start_seconds": PRODUCT, "stop_seconds": PRODUCT, "power_seconds": PRODUCT}
BEATS = 4  # of each node that are seen before a fault: whoever watches has seen the other one beat by then


def until(what: Any, seconds: float = LONG) -> Any:
    """Wait for a truth; returns it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise SystemExit("it did not happen")
        time.sleep(0.05)
    return found


class Pair:
    """One pair with its daemons and its function; `module` is what brings it up."""

    module = ""
    faults: dict[str, str] = {}

    def __init__(self, state: str, latency: int, heartbeat: float, restarts: int = 0) -> None:
        env = {**os.environ, "SANDBOX_HEARTBEAT": str(heartbeat), "SANDBOX_RESTARTS": str(restarts)}
        self.restarts = restarts  # local_restarts
        self._state = state
        self.info = self._run("up", "--automation", "fast", "--latency", str(latency), env=env)
        self.nodes = list(self.info["nodes"])
        self._table = boto3.client(
            "dynamodb",
            region_name=self.info["region"],
            endpoint_url=self.info["endpoint_url"],
            aws_access_key_id=self.info["env"]["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.info["env"]["AWS_SECRET_ACCESS_KEY"],
        )

    def _run(self, *words: str, env: dict[str, str] | None = None) -> Any:
        argv = [sys.executable, "-m", self.module, *words, "--state", self._state]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    def ask(self, verb: str, **payload: Any) -> Any:
        """One question to whoever holds the pair."""
        url = f"{self.info['endpoint_url']}/_sandbox/world-{verb}"
        with urllib.request.urlopen(url, json.dumps(payload).encode(), timeout=LONG) as answer:
            found = json.loads(answer.read())
        if "error" in found:
            raise SystemExit(found["error"])
        return found["answer"]

    def down(self) -> None:
        """Away with it."""
        self._run("down")

    def item(self, name: str) -> dict[str, Any]:
        """An item of the pair, typed as DynamoDB has it; empty when there is none."""
        pair = self.info["pair"]
        key = {"pair": {"S": pair["name"]}, "item": {"S": name}}
        found = self._table.get_item(TableName=pair["table"], Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))

    def active(self) -> str:
        """The node that the record names while nothing moves; else empty."""
        record = self.item("record")
        steady = record["state"]["S"] == "steady" and record["move"].get("NULL")
        return str(record["active"].get("S", "")) if steady else ""

    def beating(self) -> None:
        """Wait until both nodes have been seen to beat."""
        for node in self.nodes:
            seen: set[str] = set()
            until(lambda node=node, seen=seen: seen.add(self.beat(node)) or len(seen) > BEATS)

    def beat(self, node: str) -> str:
        """A node's heartbeat as it is now."""
        return str(self.item(f"heartbeat#{node}").get("beat", {}).get("S", ""))

    def other(self, node: str) -> str:
        """The other node."""
        return next(name for name in self.nodes if name != node)

    def started(self, node: str, since: float) -> float | None:
        """When the product began to start on that node."""
        found = [
            event["time"]
            for event in self.ask("journal")["events"]
            if (event["node"], event["event"]) == (node, "start") and event["time"] > since
        ]
        return found[0] if found else None

    def address(self, node: str) -> bool:
        """Whether the pair's address leads to that node."""
        return bool(self.ask("status")["address"] == self.info["nodes"][node]["instance_id"])

    def own_runs(self) -> list[dict[str, Any]]:
        """The function's runs that a daemon asked for, each known once it has ended."""
        return [run for run in self.ask("automation")["runs"] if run["event"] == "own"]

    def history(self) -> list[dict[str, Any]]:
        """The newest move's steps, as the history keeps them: {name, seconds, outcome, detail}."""
        pair = self.info["pair"]
        found = self._table.query(
            TableName=pair["table"],
            KeyConditionExpression="#p = :p AND begins_with(#i, :m)",
            ExpressionAttributeNames={"#p": "pair", "#i": "item"},
            ExpressionAttributeValues={":p": {"S": pair["name"]}, ":m": {"S": "move#"}},
            ScanIndexForward=False,
            Limit=1,
        )["Items"]
        steps = found[0]["steps"]["L"] if found else []
        return [
            {
                key: next(iter(value.values())) if key != "seconds" else float(value["N"])
                for key, value in step["M"].items()
            }
            for step in steps
        ]

    def fresh(self, agent: float) -> str:
        """A pair at rest, the product as slow as it is meant, a function that is warm; returns the active node."""
        raise NotImplementedError

    def pids(self, node: str) -> list[int]:
        """The processes of a node's daemon, as this machine numbers them."""
        raise NotImplementedError


def watching(pid: str, program: str) -> bool:
    """Whether that process is the daemon of the program, or one of its helpers."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return program.encode() in words and b"watch" in words


class Sandbox(Pair):
    """Nodes that are processes; made anew for each round."""

    module = "sandbox"
    faults = {"kill -9": "product-kill", "node frozen": "node-hang", "power off": "power-off"}

    def fresh(self, agent: float) -> str:
        self.ask("reset")
        for node in self.nodes:
            knobs = Path(self.info["nodes"][node]["root"]) / "var" / "sandbox" / "knobs.json"
            knobs.write_text(json.dumps(KNOBS))
            if agent:
                self.ask("fault", target=node, kind=f"agent-slow:{agent}")
        until(lambda: len(self.ask("automation")["runs"]) >= 2)
        self.beating()
        return self.nodes[0]

    def pids(self, node: str) -> list[int]:
        program = f"{self.info['nodes'][node]['root']}/usr/local/lib/hotstandby/hotstandby.pyz"
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and watching(name, program)]


class Hosts(Pair):
    """systemd hosts; the pair goes to and fro, and what a round broke is mended before the next."""

    module = "sandbox.hosts"
    faults = {"kill -9": "product-kill", "node frozen": "freeze", "power off": "power-off"}

    def fresh(self, agent: float) -> str:
        until(self.active)
        for node in self.nodes:
            self.ask("fault", target=node, kind="clear")
            folder = Path(self._state) / "nodes" / node / "var" / "sandbox"
            (folder / "knobs.json").write_text(json.dumps(KNOBS))
            (folder / "agent.json").write_text(json.dumps({"slow": agent}))
        until(lambda: self.ask("automation")["runs"])
        self.beating()
        time.sleep(float(self.info["pair"]["cooldown"]))
        active = str(until(self.active))
        if not self.ask("status")["hosts"][active]["product"]:
            raise SystemExit(f"{active} is named and runs nothing")
        return active

    def pids(self, node: str) -> list[int]:
        container = self.info["nodes"][node]["container"]
        env = {**os.environ, **self.info["env"]}
        argv = ["podman", "container", "inspect", "-f", "{{.State.Pid}}", container]
        first = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()
        space = os.readlink(f"/proc/{first}/ns/pid")
        found = []
        for name in os.listdir("/proc"):
            try:
                inside = name.isdigit() and os.readlink(f"/proc/{name}/ns/pid") == space
            except OSError:
                continue
            if inside and watching(name, "/usr/local/lib/hotstandby/hotstandby.pyz"):
                found.append(int(name))
        return found
