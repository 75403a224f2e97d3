# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a pair that is well moves for nothing while both hosts have no CPU and no disk to spare.

The pair's timeouts are those that it has as shipped. At the end, the load still on, the product is killed: a pair that had only
gone to sleep would not have moved falsely either.

Usage: python benchmarks/rto/loaded.py [--seconds 3600] [--heartbeat 3]; needs `make setup`, root and podman. Exits 1 when it moved
for nothing, or did not move in the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pairs import PRODUCT, Hosts, until

# as many as there are CPUs, in each host, so that nobody ever finds an idle one; and a queue at the disk that is never empty
BURN = "while :; do :; done"
WRITE = "while :; do dd if=/dev/zero of=/var/tmp/load-{} bs=4M count=32 oflag=direct 2>/dev/null; done"
WRITERS = 4


def burden(pair: Hosts) -> None:
    """Load both hosts from inside; it ends with them."""
    env = {**os.environ, **pair.info["env"]}
    for node in pair.nodes:
        for script in [BURN] * (os.cpu_count() or 1) + [WRITE.format(number) for number in range(WRITERS)]:
            argv = ["podman", "exec", "-d", pair.info["nodes"][node]["container"], "sh", "-c", script]
            subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)


def spent() -> tuple[float, float]:
    """Seconds since the start of the machine: that its CPUs were idle or waited for a disk, and that its busiest disk was busy."""
    cpu = Path("/proc/stat").read_text().splitlines()[0].split()
    idle = (int(cpu[4]) + int(cpu[5])) / os.sysconf("SC_CLK_TCK")
    disks = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    return idle, max(int(fields[12]) for fields in disks) / 1000


def moved(pair: Hosts, epoch: int) -> int:
    """Moves that have been granted since that epoch."""
    return int(pair.item("record")["epoch"]["N"]) - epoch


def endure(pair: Hosts, seconds: float, epoch: int) -> str:
    """Wait that long, with a line for each minute; returns how loaded the machine was."""
    began, loads, before = time.monotonic(), [], spent()
    while (gone := time.monotonic() - began) < seconds:
        time.sleep(min(60.0, seconds - gone))
        loads.append(os.getloadavg()[0])
        gone = time.monotonic() - began
        print(
            f"{gone:5.0f} s: load {loads[-1]:.1f}, moves {moved(pair, epoch)}, "
            f"two at once {pair.ask('journal')['overlaps']}, calls of the function by the daemons {len(pair.own_runs())}",
            flush=True,
        )
    idle, busy = (after - first for after, first in zip(spent(), before, strict=True))
    used = 100 - 100 * idle / gone / (os.cpu_count() or 1)
    return f"CPUs {used:.0f} % and disk {100 * busy / gone:.0f} % busy, load {sum(loads) / len(loads):.1f}"


def real(pair: Hosts, active: str) -> float:
    """Kill the product; returns the seconds until it was up on the other node."""
    began = float(pair.ask("fault", target=active, kind=pair.faults["kill -9"])["at"])
    return float(until(lambda: pair.started(pair.other(active), began))) + PRODUCT - began


def main() -> int:
    """Print what happened; returns 1 when the pair moved and was not meant to, 0 when it did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--heartbeat", type=float, default=3.0)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_how: sys.exit(143))  # the hosts are taken down all the same
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as state:
        pair = Hosts(state, 20, asked.heartbeat)
        try:
            active = pair.fresh(0.0)
            epoch = int(pair.item("record")["epoch"]["N"])
            burden(pair)
            load = endure(pair, asked.seconds, epoch)
            record, journal = pair.item("record"), pair.ask("journal")
            false, outcomes = (
                moved(pair, epoch),
                [str((run["result"] or {}).get("outcome")) for run in pair.own_runs()],
            )
            print(
                f"{asked.seconds:.0f} s, heartbeat_timeout {asked.heartbeat}, {os.cpu_count()} CPUs, {load}: false moves {false}, "
                f"two at once {journal['overlaps']}, active {record['active'].get('S')} (was {active}), "
                f"calls of the function by the daemons {len(outcomes)} {outcomes}",
                flush=True,
            )
            if not false:
                print(
                    f"then the product was killed, under the same load: up on the other node after {real(pair, active):.1f} s"
                )
        finally:
            pair.down()
    return 1 if false else 0


if __name__ == "__main__":
    raise SystemExit(main())
