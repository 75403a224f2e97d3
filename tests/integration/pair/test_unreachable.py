# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old active node is gone: no playbook hangs on it, and none connects to it but deploy, which says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.integration.pair.rig import ROOT, Rig

pytestmark = pytest.mark.sandbox
# how each is called, and whether it can succeed while one node is off; deploy has to reach both
CALLS: dict[str, tuple[dict[str, str], bool]] = {
    "failover": ({}, True),
    "status": ({}, True),
    "history": ({}, True),
    "maintenance": ({"state": "resumed"}, True),
    "switchback": ({}, False),
    "stop": ({"reason": "patch"}, True),
    "start": ({}, True),
    "rejoin": ({"wait": "1"}, False),
    "remove": ({}, False),
    "drill": ({}, False),
    "plan": ({}, True),
    "report": ({"moves": "1", "report_dir": "pages"}, True),
    "requeue": ({"bucket": "none-such"}, False),
    "automation": ({"failover_automation_state": "absent"}, True),
}


@contextmanager
def tarpit() -> Iterator[tuple[int, list[int]]]:
    """A port that takes connections and never answers: (port, one entry for each connection)."""
    met: list[int] = []
    kept: list[socket.socket] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                kept.append(server.accept()[0])
            except OSError:
                return
            met.append(1)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1], met
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for each in kept:
            each.close()


def test_every_playbook_with_the_old_active_off(rig: Rig) -> None:
    # these work on every node, and say which one they cannot reach
    assert {*CALLS, "deploy", "rundeck_server", "sync", "warp_build", "warp_rollout"} == {
        path.stem for path in (ROOT / "playbooks").glob("*.yml")
    }
    rig.torment("hub-a", "power-off")
    assert rig.failover().outcome == "moved"
    with tarpit() as (port, met):
        content = yaml.safe_load(Path(rig.info["inventory"]).read_text(encoding="utf-8"))
        content["hotstandby"]["hosts"]["hub-a"].update(
            ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=port
        )
        path = rig.state / "one-away.yml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        before = rig.info["inventory"]
        rig.info["inventory"] = str(path)
        try:
            # fencing by EC2 is denied to rejoin, so that hub-a stays off
            rig.torment("aws", "deny:controller:ec2:StartInstances")
            for name, (given, well) in CALLS.items():
                played = rig.playbook(name, **given)
                assert (played.rc == 0) is well, f"{name}: {played.text}"
                assert met == [], f"{name} connected to the node that is off"
            assert rig.running() == ["hub-b"]
            # a relative folder is meant from where the operator stands
            assert (rig.state / "pages" / "index.html").exists()
            gone = rig.playbook("remove", without="hub-a")
            assert gone.rc == 0 and met == [] and rig.running() == ["hub-b"], gone.text
        finally:
            rig.info["inventory"] = before


def test_deploy_says_that_a_node_cannot_be_reached_and_touches_nothing(rig: Rig) -> None:
    content = yaml.safe_load(Path(rig.info["inventory"]).read_text(encoding="utf-8"))
    content["hotstandby"]["hosts"]["hub-a"].update(
        ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1
    )
    path = rig.state / "gone.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    before = rig.info["inventory"]
    rig.info["inventory"] = str(path)
    epoch = rig.record()["epoch"]
    try:
        played = rig.playbook("deploy")
    finally:
        rig.info["inventory"] = before
    assert played.rc != 0 and "hub-a" in played.text and "UNREACHABLE" in played.text, played.text
    assert rig.running() == ["hub-a"] and rig.record()["epoch"] == epoch
