# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of a service that nobody here wrote: the distribution's nginx. Its first day, its bad day, and its last one.

The tests build on each other, in this order, on the hosts that test_pair.py leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts.rig import HostRig, Played

UNIT = "nginx.service"
PREPARED = "/shared/hub/web/prepared"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/hotstandby.conf"


class Web:
    """The pair of nginx on the rig's hosts."""

    def __init__(self, rig: HostRig) -> None:
        self.rig = rig
        self.hub = rig.info["pair"]
        # timeouts, endpoint and nodes are those of the hosts
        given: dict[str, Any] = {
            **self.hub,
            "name": "web-hosts",
            "service": "systemd",
            "product": {"unit": UNIT},
        }
        rig.info = {**rig.info, "pair": given}
        self.extra = rig.state / "web.json"
        # what it serves lies on the shared folder
        page = "root /shared/hub/web;"
        for node in rig.names:
            rig.shell(node, "mkdir", "-p", "/shared/hub/web")
            rig.shell(
                node, "sed", "-i", f"s|root /var/www/html;|{page}|", "/etc/nginx/sites-available/default"
            )
        rig.shell("hub-a", "sh", "-c", "echo written by hub-a >/shared/hub/web/index.html")
        # and like many a database it prepares its data before it starts
        rig.shell("hub-a", "truncate", "-s", "0", PREPARED)
        own = f"[Service]\nExecStartPre=/bin/sh -c 'hostname >>{PREPARED}'\n"
        for node in rig.names:
            folder = f"/etc/systemd/system/{UNIT}.d"
            rig.shell(node, "sh", "-c", f'mkdir -p {folder} && printf "%b" "$0" >{folder}/a-own.conf', own)
            rig.shell(node, "systemctl", "daemon-reload")
        self.extra.write_text(json.dumps({"hotstandby_pair": given}))

    def play(self, name: str, *arguments: str, **extra: Any) -> Played:
        return self.rig.playbook(name, f"-e@{self.extra}", *arguments, **extra)

    def unit(self, node: str) -> tuple[str, str]:
        """(ActiveState, UnitFileState)."""
        found = self.rig.shown(node, UNIT, "ActiveState", "UnitFileState")
        return found["ActiveState"], found["UnitFileState"]

    def pid(self, node: str) -> str:
        return self.rig.shown(node, UNIT, "MainPID")["MainPID"]

    def served(self, node: str) -> str:
        """What a client gets there."""
        asked = "import urllib.request as r; print(r.urlopen('http://127.0.0.1/').read().decode())"
        return self.rig.shell(node, "python3", "-c", asked).strip()

    def prepared(self) -> list[str]:
        """Who prepared the data for a start, in their order."""
        return self.rig.shell("hub-a", "cat", PREPARED).split()

    def active(self) -> list[str]:
        return [node for node in self.rig.names if self.unit(node)[0] == "active"]


@pytest.fixture(scope="module")
def web(hosts: HostRig) -> Iterator[Web]:
    if hosts.has("hub-a", "/etc/hotstandby/pair.json"):
        running = hosts.running()
        played = hosts.playbook("remove")
        assert played.rc == 0, played.text
        # the service stays as it is, and nothing of ours is left
        assert hosts.running() == running
        for node in hosts.names:
            left = hosts.shell(
                node, "find", "/etc", "/usr/local", "/var/lib", "/var/log", "-name", "*hotstandby*"
            )
            assert left == "", left
            hosts.fault(node, "product-kill")
    info = hosts.info
    for node in hosts.names:
        hosts.shell(node, "systemctl", "enable", UNIT)
    hosts.shell("hub-a", "systemctl", "start", UNIT)
    yield Web(hosts)
    hosts.info = info


def test_a_running_service_is_adopted_without_a_restart(web: Web) -> None:
    before = web.pid("hub-a")
    played = web.play("deploy")
    assert played.rc == 0, played.text
    assert "hub-a is named with epoch 1, where the service runs" in played.text
    assert web.pid("hub-a") == before != "0"
    assert [web.unit(node) for node in web.rig.names] == [("active", "disabled"), ("inactive", "disabled")]


def test_the_standby_does_not_start_it_by_hand(web: Web) -> None:
    before = web.prepared()
    said = web.rig.shell("hub-b", "systemctl", "start", UNIT)
    assert "failed" in said
    assert web.active() == ["hub-a"]
    # nothing of the unit ran, what it does before its start included
    assert web.prepared() == before == []
    said = web.rig.shell("hub-b", "journalctl", "-u", UNIT, "-o", "cat")
    assert "not hub-b" in said, said


def test_it_moves_when_it_dies_and_stays_away_after_a_boot(web: Web) -> None:
    web.rig.fault("hub-a", "product-kill")
    # nothing restarts it behind the record's back
    web.rig.until(lambda: web.unit("hub-a")[0] == "failed")
    played = web.play("failover", reason="died")
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert web.active() == ["hub-b"] and web.served("hub-b") == "written by hub-a"
    assert web.prepared() == ["hub-b"]
    web.rig.fault("hub-a", "reboot")
    web.rig.until(lambda: web.rig.asked_at_boot("hub-a"))
    assert web.active() == ["hub-b"]


def test_it_goes_home(web: Web) -> None:
    web.rig.until(lambda: web.rig.answering() == web.rig.names)
    played = web.play("switchback", reason="home")
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert web.active() == ["hub-a"]


def test_the_last_day_puts_back_what_was_found(web: Web) -> None:
    before = web.pid("hub-a")
    told = web.play("remove", "--check", "--diff")
    assert told.rc == 0, told.text
    assert web.rig.has("hub-a", DROP_IN) and web.rig.active() == "hub-a"  # check mode changes nothing
    played = web.play("remove")
    assert played.rc == 0, played.text
    # both were found enabled, so both are again: that is said
    assert "WARNING: nginx.service starts at boot on hub-a and on hub-b" in played.text, played.text
    assert web.pid("hub-a") == before
    assert [web.unit(node) for node in web.rig.names] == [("active", "enabled"), ("inactive", "enabled")]
    for node in web.rig.names:
        assert not web.rig.has(node, DROP_IN) and not web.rig.has(node, "/usr/local/bin/hotstandby")
    again = web.play("remove")
    assert again.rc == 0 and "has no record" in again.text, again.text
