# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault to the product up on the other node, on the sandbox with profile fast; nobody types anything.

Usage: python benchmarks/rto/run.py [--rounds 7] [--latency 20] [--heartbeat 3] [--agent 0] [--case NAME]... [--out FILE];
needs `make setup`. The product takes 1.0 s to start and to stop, as a stand-in; up is when its start has taken that long.
The daemon's own cost (CPU, memory of all its processes) is measured on the same pair at rest.
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

import boto3

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = 1.0  # seconds that the stand-in takes to start, and to stop
LONG = 120.0
REST = 30.0  # seconds over which the daemon's cost is measured
FAULTS = {"kill -9": "product-kill", "node frozen": "node-hang", "power off": "power-off"}
GRACEFUL = "graceful move"


class Sandbox:
    """One pair with its daemons and its function."""

    def __init__(self, state: str, latency: int, heartbeat: float) -> None:
        env = {**os.environ, "SANDBOX_HEARTBEAT": str(heartbeat)}
        argv = ["up", "--automation", "fast", "--latency", str(latency), "--state", state]
        self._state = state
        self.info = self._run(argv, env)
        self.nodes = list(self.info["nodes"])
        self._table = boto3.client(
            "dynamodb",
            region_name=self.info["region"],
            endpoint_url=self.info["endpoint_url"],
            aws_access_key_id=self.info["env"]["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.info["env"]["AWS_SECRET_ACCESS_KEY"],
        )

    @staticmethod
    def _run(argv: list[str], env: dict[str, str] | None = None) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", *argv],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    def ask(self, verb: str, **payload: Any) -> Any:
        url = f"{self.info['endpoint_url']}/_sandbox/world-{verb}"
        with urllib.request.urlopen(url, json.dumps(payload).encode(), timeout=60) as answer:
            found = json.loads(answer.read())
        if "error" in found:
            raise SystemExit(found["error"])
        return found["answer"]

    def until(self, what: Any) -> Any:
        end = time.monotonic() + LONG
        while not (found := what()):
            if time.monotonic() > end:
                raise SystemExit("it did not happen")
            time.sleep(0.1)
        return found

    def fresh(self, agent: float) -> None:
        """A pair at rest, the product as slow as it is meant, a function that has run once, as it does each minute."""
        self.ask("reset")
        for node in self.nodes:
            knobs = Path(self.info["nodes"][node]["root"]) / "var" / "sandbox" / "knobs.json"
            knobs.write_text(
                json.dumps({"start_seconds": PRODUCT, "stop_seconds": PRODUCT, "power_seconds": PRODUCT})
            )
            if agent:
                self.ask("fault", target=node, kind=f"agent-slow:{agent}")
        self.until(lambda: len(self.ask("automation")["runs"]) >= 2)
        for node in self.nodes:  # whoever watches has seen the other one beat by then
            seen: set[str] = set()
            self.until(lambda node=node, seen=seen: seen.add(self.beat(node)) or len(seen) > 4)

    def beat(self, node: str) -> str:
        """A node's heartbeat as it is now."""
        pair = self.info["pair"]
        key = {"pair": {"S": pair["name"]}, "item": {"S": f"heartbeat#{node}"}}
        found = self._table.get_item(TableName=pair["table"], Key=key, ConsistentRead=True)
        return str(found.get("Item", {}).get("beat", {}).get("S", ""))

    def started(self, since: float) -> float | None:
        """When the product began to start on the second node."""
        events = self.ask("journal")["events"]
        found = [
            e["time"]
            for e in events
            if (e["node"], e["event"]) == (self.nodes[1], "start") and e["time"] > since
        ]
        return found[0] if found else None

    def address(self) -> bool:
        return bool(self.ask("status")["address"] == self.info["nodes"][self.nodes[1]]["instance_id"])

    def down(self) -> None:
        self._run(["down", "--state", self._state])


def once(sandbox: Sandbox, case: str, agent: float) -> dict[str, float]:
    """One round: seconds to the product up, and to the address moved."""
    sandbox.fresh(agent)
    moving = None
    began = time.time()
    if case == GRACEFUL:
        moving = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("graceful.py")), json.dumps(sandbox.info)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        began = float(moving.stdout.readline()) if moving.stdout else began
    else:
        sandbox.ask("fault", target=sandbox.nodes[0], kind=FAULTS[case])
    up = sandbox.until(lambda: sandbox.started(began)) + PRODUCT - began
    sandbox.until(sandbox.address)
    seconds = time.time() - began
    if moving is not None and moving.wait(LONG):
        raise SystemExit("the graceful move failed")
    return {"up": up, "address": seconds, "overlaps": sandbox.ask("journal")["overlaps"]}


def cost(sandbox: Sandbox) -> dict[str, dict[str, float]]:
    """{node: {cpu: per cent of one CPU, pss and largest rss in MB}} of all processes of its daemon, at rest."""
    sandbox.fresh(0.0)
    found = {}
    for node in sandbox.nodes:
        root = str(sandbox.info["nodes"][node]["root"])
        before, at = ticks(root), time.monotonic()
        time.sleep(REST)
        spent = (ticks(root) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - at)
        pss = [memory(pid, "Pss:") for pid in daemons(root)]
        rss = [memory(pid, "Rss:") for pid in daemons(root)]
        found[node] = {"cpu": 100 * spent, "pss": sum(pss) / 1024, "rss": max(rss) / 1024}
    return found


def daemons(root: str) -> list[int]:
    """The pids of a node's daemon and its helpers."""
    found = []
    for name in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0") if name.isdigit() else []
        except OSError:
            continue
        if f"{root}/usr/local/lib/hotstandby/hotstandby.pyz".encode() in words and b"watch" in words:
            found.append(int(name))
    return found


def ticks(root: str) -> int:
    """CPU ticks that they have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in daemons(root)]
    return sum(int(item[11]) + int(item[12]) for item in fields)


def memory(pid: int, key: str) -> int:
    """Kilobytes of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def main() -> None:
    """Print a table; write every round as JSON with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--latency", type=int, default=20, help="milliseconds for each AWS call")
    parser.add_argument("--heartbeat", type=float, default=3.0, help="heartbeat_timeout of the pair")
    parser.add_argument(
        "--agent", type=float, default=0.0, help="seconds an SSM agent takes before it runs a command"
    )
    parser.add_argument("--case", action="append", choices=[*FAULTS, GRACEFUL])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    cases = asked.case or [*FAULTS, GRACEFUL]
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as state:
        sandbox = Sandbox(state, asked.latency, asked.heartbeat)
        try:
            rounds = {
                case: [once(sandbox, case, asked.agent) for _round in range(asked.rounds)] for case in cases
            }
            costs = cost(sandbox)
        finally:
            sandbox.down()
    print(f"median (largest) of {asked.rounds} rounds in seconds, {asked.latency} ms latency, agent {asked.agent} s, "
          f"heartbeat_timeout {asked.heartbeat}, product {PRODUCT} s, fence {PRODUCT} s")  # fmt: skip
    print(f"{'':16}{'product up':>16}{'address':>16}{'two at once':>13}")
    for case, rows in rounds.items():
        cells = [[row[key] for row in rows] for key in ("up", "address")]
        texts = [f"{statistics.median(cell):.2f} ({max(cell):.2f})" for cell in cells]
        print(f"{case:16}{texts[0]:>16}{texts[1]:>16}{sum(row['overlaps'] for row in rows):13.0f}")
    for node, row in costs.items():
        print(
            f"daemon on {node}: {row['cpu']:.2f} % of one CPU, {row['pss']:.0f} MB in all (largest RSS {row['rss']:.0f})"
        )
    if asked.out:
        asked.out.write_text(
            json.dumps({"asked": {**vars(asked), "out": None}, "rounds": rounds, "costs": costs}, indent=1)
        )


if __name__ == "__main__":
    main()
