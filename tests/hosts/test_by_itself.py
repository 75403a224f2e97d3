# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two systemd hosts on which nobody types anything: profile fast, the daemons as units, the function as role makes it.

Kill, freeze, network cut and power loss; the stand-ins' own journal is the judge. A pair of its own, beside the other tests'.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.hosts.podman import why_not
from tests.hosts.rig import LONG, HostRig

ROUNDS = int(os.environ.get("HOTSTANDBY_ROUNDS", "3"))
SEED = os.environ.get("HOTSTANDBY_SEED", "")
FAULTS = ("product-kill", "freeze", "cut", "power-off")
WATCH = "hotstandby-watch.service"
SERVE = "hotstandby-serve.service"


@pytest.fixture(scope="module")
def moving() -> Iterator[HostRig]:
    why = why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(f"no hosts: {why}")
    if why:
        pytest.skip(f"NOT RUN: no hosts: {why}")
    if os.environ.get("HOTSTANDBY_MOVING"):  # somebody has brought them up and will take them away
        yield HostRig(Path(os.environ["HOTSTANDBY_MOVING"]), "--automation", "fast")
        return
    state = Path(tempfile.mkdtemp(prefix="hotstandby-moving-"))
    rig = None
    try:
        rig = HostRig(state, "--automation", "fast")
        yield rig
    finally:
        if rig is not None:
            rig.down()
        shutil.rmtree(state, ignore_errors=True)


def other(node: str) -> str:
    return "hub-b" if node == "hub-a" else "hub-a"


def steady(rig: HostRig) -> str | None:
    """The node that runs the service as the record says, while nothing moves."""
    record = rig.record()
    active: str | None = record["active"].get("S")
    well = record["state"]["S"] == "steady" and "NULL" in record["move"] and rig.running() == [active]
    return active if well else None


def beat(rig: HostRig, node: str) -> str:
    pair = rig.info["pair"]
    key = {"pair": {"S": pair["name"]}, "item": {"S": f"heartbeat#{node}"}}
    item = (
        rig.client("dynamodb").get_item(TableName=pair["table"], Key=key, ConsistentRead=True).get("Item", {})
    )
    return str(item.get("beat", {}).get("S", ""))


def watched(rig: HostRig) -> None:
    """Both daemons have been seen to beat, and both agents answer."""
    for node in rig.names:
        seen: set[str] = set()
        rig.until(lambda node=node, seen=seen: seen.add(beat(rig, node)) or len(seen) > 4)
    rig.until(lambda: rig.answering() == rig.names)


def sub_state(rig: HostRig, node: str, unit: str) -> str:
    """systemd's word for it; empty while the host has none."""
    return rig.shown(node, unit, "SubState").get("SubState", "")


def restarts(rig: HostRig, node: str) -> int:
    """How often systemd has started the daemon again."""
    return int(rig.shown(node, WATCH, "NRestarts").get("NRestarts") or -1)


def active_of(rig: HostRig, node: str) -> str:
    """What `hotstandby serve` tells a load balancer."""
    return rig.shell(
        node, "python3", "-c",
        "import urllib.request as u, urllib.error as e\n"
        "try: print(u.urlopen('http://127.0.0.1:8008/active', timeout=5).status)\n"
        "except e.HTTPError as error: print(error.code)",
    ).strip()  # fmt: skip


def test_the_daemon_is_a_unit_that_systemd_watches_over(moving: HostRig) -> None:
    for node in moving.names:
        moving.until(lambda node=node: sub_state(moving, node, WATCH) == "running")
        found = moving.shown(node, WATCH, "Type", "WatchdogUSec", "UnitFileState", "StatusText", "SubState")
        assert (found["Type"], found["SubState"], found["UnitFileState"]) == ("notify", "running", "enabled")
        assert found["WatchdogUSec"] == "20s" and found["StatusText"]
        assert moving.shell(node, "stat", "-c", "%a", "/run/hotstandby").strip() == "700"


def test_a_daemon_that_dies_or_hangs_is_started_again_and_the_service_does_not_notice(
    moving: HostRig,
) -> None:
    moving.until(lambda: steady(moving))
    active = steady(moving)
    assert active is not None
    began = len(moving.journal()["events"])
    for signal in ("KILL", "STOP"):
        before = moving.shown(active, WATCH, "MainPID", "NRestarts")
        moving.shell(active, "kill", f"-{signal}", before["MainPID"])
        # a stopped one sends no word any more: the watchdog ends it
        moving.until(lambda before=before: restarts(moving, active) > int(before["NRestarts"]))
        moving.until(lambda: sub_state(moving, active, WATCH) == "running")
        assert moving.running() == [active]
    watched(moving)
    assert steady(moving) == active
    assert len(moving.journal()["events"]) == began, "neither stopped nor started"


def test_a_load_balancer_is_told_who_is_active(moving: HostRig) -> None:
    active = steady(moving)
    assert active is not None
    for node, code in ((active, "200"), (other(active), "503")):
        assert moving.shown(node, SERVE, "SubState", "UnitFileState") == {
            "SubState": "running",
            "UnitFileState": "enabled",
        }
        moving.until(lambda node=node, code=code: active_of(moving, node) == code)


def ended(rig: HostRig) -> int:
    """How often people heard that a move has ended."""
    return sum(message["kind"] == "ended" for message in rig.ask("automation")["messages"])


def test_rounds_of_trouble_with_nobody_at_the_keys(moving: HostRig) -> None:
    seed = SEED or str(random.randrange(10**6))
    chance = random.Random(seed)
    kinds = chance.sample(FAULTS, len(FAULTS))
    history: list[tuple[str, str]] = []
    already, told_before = len(moving.journal()["events"]), ended(moving)
    for number in range(ROUNDS):
        kind = kinds[number] if number < len(kinds) else chance.choice(FAULTS)
        moving.until(lambda: steady(moving))
        old = steady(moving)
        assert old is not None
        watched(moving)
        history.append((kind, old))
        told = f"seed {seed}: {history}"
        moving.ask("fault", target=old, kind=kind)
        moving.until(lambda old=old: steady(moving) == other(old), 2 * LONG)
        assert moving.journal()["overlaps"] == 0, told
        assert moving.status()["address"] == moving.info["nodes"][other(old)]["instance_id"], told
        # the one thing that people do: a host is given back its power and its cable
        moving.ask("fault", target=old, kind="clear")
        moving.until(lambda old=old: sub_state(moving, old, WATCH) == "running")
        watched(moving)
        assert steady(moving) == other(old), told
    journal = moving.journal()
    assert journal["overlaps"] == 0, journal
    starts = [event["node"] for event in journal["events"][already:] if event["event"] == "start"]
    assert len(starts) == ROUNDS, (seed, history, journal)
    report = moving.ask("automation")
    assert report["refused"] == [] and report["dead"] == [] and all(run["ok"] for run in report["runs"])
    assert moving.status()["unimplemented"] == []
    assert ended(moving) == told_before + ROUNDS
