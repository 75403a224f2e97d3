# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a pair that is well moves for nothing while both hosts have no CPU and no disk to spare.

The pair's timeouts are those that it has as shipped.

Usage: python benchmarks/rto/loaded.py [--seconds 3600] [--heartbeat 3]; needs `make setup`, root and podman. Exits 1 when it moved.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time

from pairs import Hosts

# as many as there are CPUs, twice, so that nobody ever finds an idle one; and a disk that is never done
BURN = "while :; do :; done"
WRITE = "while :; do dd if=/dev/zero of=/var/tmp/load bs=1M count=64 oflag=dsync 2>/dev/null; done"


def burden(pair: Hosts) -> None:
    """Load both hosts from inside; it ends with them."""
    env = {**os.environ, **pair.info["env"]}
    for node in pair.nodes:
        for script in [BURN] * (os.cpu_count() or 1) + [WRITE]:
            argv = ["podman", "exec", "-d", pair.info["nodes"][node]["container"], "sh", "-c", script]
            subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Print what happened; returns 1 when the pair moved, 0 when it did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--heartbeat", type=float, default=3.0)
    asked = parser.parse_args()
    os.environ["SANDBOX_CONFIRM"] = "20"
    with tempfile.TemporaryDirectory(prefix="hotstandby-") as state:
        pair = Hosts(state, 20, asked.heartbeat)
        try:
            active = pair.fresh(0.0)
            epoch = pair.item("record")["epoch"]["N"]
            burden(pair)
            began, loads = time.monotonic(), []
            while time.monotonic() - began < asked.seconds:
                time.sleep(min(10.0, asked.seconds))
                loads.append(os.getloadavg()[0])
            record, journal = pair.item("record"), pair.ask("journal")
            runs = [run for run in pair.ask("automation")["runs"] if run["event"] == "own"]
        finally:
            pair.down()
    moves = int(record["epoch"]["N"]) - int(epoch)
    outcomes = [str(run["result"].get("outcome")) for run in runs if isinstance(run["result"], dict)]
    print(
        f"{asked.seconds:.0f} s, heartbeat_timeout {asked.heartbeat}, {os.cpu_count()} CPUs, load "
        f"{sum(loads) / len(loads):.1f} on average: false moves {moves}, two at once {journal['overlaps']}, "
        f"active {record['active'].get('S')} (was {active}), calls of the function by the daemons {len(runs)} {outcomes}"
    )
    return 1 if moves else 0


if __name__ == "__main__":
    raise SystemExit(main())
