# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault to the product up on the other node, with profile fast; nobody types anything.

Usage: python benchmarks/rto/run.py [--on sandbox|hosts] [--rounds 7] [--latency 20] [--heartbeat 3] [--agent 0]... [--case NAME]...
[--in-place] [--steps] [--state DIR] [--out FILE]; needs `make setup`, and for hosts root and podman. The product takes 1.0 s to start and to stop, as a
stand-in, and EC2 1.0 s to stop an instance; up is when the start has taken that long. Each --agent is one table: the seconds that
an SSM agent takes before it runs a command. The daemon's own cost (CPU, memory of all its processes) is measured at rest.
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
from pathlib import Path
from typing import Any

from pairs import LONG, PRODUCT, Hosts, Pair, Sandbox, until

MOST_RESTARTS = 10  # what local_restarts may be
REST = 30.0  # seconds over which the daemon's cost is measured
GRACEFUL = "graceful move"
# medians of seven rounds, fault to product up, measured on the same kind of hosts with the same stand-in and fencing
PACEMAKER = {
    "kill -9": "5.52 (monitor each 10 s), 1.54 (each 1 s)",
    "node frozen": "8.94, 4.13 (token 1000)",
    "power off": "8.66",
    GRACEFUL: "2.11 (floor 2.00)",
}


def once(pair: Pair, case: str, agent: float) -> dict[str, Any]:
    """One round: seconds to the product up and to the address moved, and where they went."""
    source = pair.fresh(agent)
    target = source if pair.restarts else pair.other(source)
    overlaps = pair.ask("journal")["overlaps"]
    moving = None
    began = time.time()
    if case == GRACEFUL:
        moving = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("graceful.py")), json.dumps(pair.info)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        began = float(moving.stdout.readline()) if moving.stdout else began
    else:
        began = pair.ask("fault", target=source, kind=pair.faults[case]).get("at", began)
    up = until(lambda: pair.started(target, began)) + PRODUCT - began
    until(lambda: pair.address(target))
    seconds = time.time() - began
    if moving is not None and moving.wait(LONG):
        raise SystemExit("the graceful move failed")
    until(pair.active)
    called = 0.0 if case == GRACEFUL or pair.restarts else until(lambda: calls(pair, began))[0] - began
    steps = {} if pair.restarts else {step["name"]: step["seconds"] for step in pair.history()}
    found = pair.ask("journal")["overlaps"] - (overlaps if isinstance(pair, Hosts) else 0)
    return {"up": up, "address": seconds, "overlaps": found, "steps": {"called after": called, **steps}}


def calls(pair: Pair, since: float) -> list[float]:
    """When the function began to work on what a daemon told it."""
    return [run["began"] for run in pair.own_runs() if run["began"] > since]


def cost(pair: Pair) -> dict[str, dict[str, float]]:
    """{node: {cpu: per cent of one CPU, pss and largest rss in MB}} of all processes of its daemon, at rest."""
    pair.fresh(0.0)
    pids = {node: pair.pids(node) for node in pair.nodes}
    before, at = {node: ticks(pids[node]) for node in pids}, time.monotonic()
    time.sleep(REST)
    spent = time.monotonic() - at
    found = {}
    for node, its in pids.items():
        used = (ticks(its) - before[node]) / os.sysconf("SC_CLK_TCK") / spent
        pss, rss = [memory(pid, "Pss:") for pid in its], [memory(pid, "Rss:") for pid in its]
        found[node] = {"cpu": 100 * used, "pss": sum(pss) / 1024, "rss": max(rss) / 1024}
    return found


def ticks(pids: list[int]) -> int:
    """CPU ticks that these have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(item[11]) + int(item[12]) for item in fields)


def memory(pid: int, key: str) -> int:
    """Kilobytes of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def show(title: str, rounds: dict[str, list[dict[str, Any]]], steps: bool) -> None:
    """One table."""
    print(title)
    print(f"{'':16}{'product up':>16}{'address':>16}{'two at once':>13}   Pacemaker/Corosync, product up")
    for case, rows in rounds.items():
        cells = [[row[key] for row in rows] for key in ("up", "address")]
        texts = [f"{statistics.median(cell):.2f} ({max(cell):.2f})" for cell in cells]
        overlaps = sum(row["overlaps"] for row in rows)
        print(f"{case:16}{texts[0]:>16}{texts[1]:>16}{overlaps:13.0f}   {PACEMAKER[case]}")
    for case, rows in rounds.items() if steps else ():
        names = dict.fromkeys(name for row in rows for name in row["steps"])
        medians = {name: statistics.median(row["steps"].get(name, 0.0) for row in rows) for name in names}
        print(f"  {case}: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in medians.items()))
    print(flush=True)


def main() -> None:
    """Print the tables; write every round as JSON with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("sandbox", "hosts"), default="sandbox")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--latency", type=int, default=20, help="milliseconds for each AWS call")
    parser.add_argument("--heartbeat", type=float, default=3.0, help="heartbeat_timeout of the pair")
    parser.add_argument(
        "--agent", type=float, action="append", help="seconds of an SSM agent; one table each"
    )
    parser.add_argument("--case", action="append", choices=list(PACEMAKER))
    parser.add_argument("--steps", action="store_true", help="show where the seconds went")
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="kill -9 with local_restarts: it is started again where it was",
    )
    parser.add_argument("--state", help="a pair that is up already (with --automation fast) and stays up")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    # so often within an hour a daemon starts its service again; a node that is gone cannot
    restarts = MOST_RESTARTS if asked.in_place else 0
    cases = ["kill -9"] if asked.in_place else asked.case or list(PACEMAKER)
    agents = asked.agent or [0.0]
    if restarts and asked.rounds * len(agents) > restarts:
        parser.error(f"--in-place: at most {restarts} rounds in all")
    tables: dict[float, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as own:
        state = asked.state or own
        pair = {"sandbox": Sandbox, "hosts": Hosts}[asked.on](state, asked.latency, asked.heartbeat, restarts)
        try:
            for agent in agents:
                tables[agent] = {
                    case: [once(pair, case, agent) for _round in range(asked.rounds)] for case in cases
                }
                show(
                    f"{asked.on}: median (largest) of {asked.rounds} rounds in seconds, {asked.latency} ms latency, "
                    f"agent {agent} s, heartbeat_timeout {asked.heartbeat}, product {PRODUCT} s, fence {PRODUCT} s"
                    + (", started again in place" if restarts else ""),
                    tables[agent],
                    asked.steps,
                )
            costs = cost(pair)
        finally:
            if not asked.state:
                pair.down()
    for node, row in costs.items():
        print(
            f"daemon on {node}: {row['cpu']:.2f} % of one CPU, {row['pss']:.0f} MB in all (largest RSS {row['rss']:.0f})"
        )
    if asked.out:
        asked.out.write_text(json.dumps({"rounds": tables, "costs": costs}, indent=1))


if __name__ == "__main__":
    main()
