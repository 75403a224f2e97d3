# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair on two systemd hosts on its bad days. Deploy, kill, failover, rejoin and home again are Molecule's scenario pair.

The tests build on each other, in this order; the stand-ins' own journal is the judge of all of them.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.hosts.rig import HostRig

ROUNDS = int(os.environ.get("HOTSTANDBY_ROUNDS", "3"))
SEED = os.environ.get("HOTSTANDBY_SEED", "")
FAULTS = ("product-kill", "freeze", "cut", "power-off")


@pytest.fixture
def pair(hosts: HostRig) -> HostRig:
    """The hosts, deployed."""
    if not hosts.has("hub-a", "/etc/hotstandby/pair.json"):
        played = hosts.deploy()
        assert played.rc == 0, played.text
    return hosts


def started(pair: HostRig) -> str:
    """Have the service running where the record says, and return that node."""
    active = pair.active()
    assert active is not None
    if pair.running() != [active]:
        answer = pair.shell(active, "hotstandby", "start")
        assert pair.running() == [active], answer
    return active


def other(node: str) -> str:
    return "hub-b" if node == "hub-a" else "hub-a"


def test_the_product_runs_as_its_own_user(pair: HostRig) -> None:
    active = started(pair)
    users = pair.shell(active, "ps", "-C", "hubd,hubmgrd,python3", "-o", "user:20=,args=")
    daemons = [line for line in users.splitlines() if "/opt/hub/bin/hub" in line]
    assert daemons, users
    assert all(line.startswith("hulft ") for line in daemons), users


def test_the_active_host_starts_the_service_when_it_boots(pair: HostRig) -> None:
    active = started(pair)
    pair.fault(active, "reboot")
    pair.until(lambda: pair.running() == [active])
    pair.until(lambda: pair.asked_at_boot(active))
    # the daemons that the boot check started live on after it
    assert pair.running() == [active]


def test_rounds_of_torment(pair: HostRig) -> None:
    """Kill, freeze, cut and power loss in turn and at random; each is followed by a failover and a repaired host."""
    seed = SEED or str(random.randrange(10**6))
    chance = random.Random(seed)
    kinds = chance.sample(FAULTS, len(FAULTS))
    history = []
    for number in range(ROUNDS):
        kind = kinds[number] if number < len(kinds) else chance.choice(FAULTS)
        old = started(pair)
        pair.fault(old, kind)
        # what is only silent may be healthy behind a cut cable: the operator knows better, the fence proves it
        played = pair.failover(reason=kind, assume_down=kind in ("freeze", "cut"))
        history.append((kind, old, played.outcome))
        told = f"seed {seed}: {history}"
        assert played.rc == 0, f"{told}\n{played.text}"
        assert played.outcome == "moved", f"{told}\n{played.text}"
        assert pair.running() == [other(old)], told
        if pair.power(old) != "running":
            pair.power_on(old)
        pair.fault(old, "clear")
        pair.until(lambda: pair.answering() == pair.names)
        assert pair.running() == [other(old)], told
        journal = pair.journal()
        assert journal["overlaps"] == 0, f"{told}\n{journal}"
