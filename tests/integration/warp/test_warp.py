# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of ASTERIA Warp in separate folders: deployed, copied, moved away and back, by the collection's own playbooks."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pair.rig import Rig

OWN = ("system/license/warp-a.key", "system/license/warp-b.key", "system/conf/server.xconf")
APART = (".hotstandby-data", "log")


class Warp(Rig):
    """The sandbox with ASTERIA Warp."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, "--product", "asteria_warp")
        nodes = self.info["pair"]["nodes"]
        self.data = {node["name"]: Path(node["product"]["data_dir"]) for node in nodes}
        self.homes = {node["name"]: Path(node["product"]["install_dir"]) for node in nodes}

    def write(self, node: str, name: str, text: str) -> None:
        path = self.data[node] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def files(self, node: str, own: bool = False) -> dict[str, bytes]:
        """{path: content} of the node's own files, or of all others that have to be equal."""
        found = {}
        for root in (self.data[node], self.homes[node]):
            for path in root.rglob("*"):
                short = str(path.relative_to(root))
                mine = root == self.data[node] and short in OWN
                if path.is_file() and mine is own and path.relative_to(root).parts[0] not in APART:
                    found[short] = path.read_bytes()
        return found

    def marker(self, node: str) -> tuple[str, int]:
        raw: dict[str, Any] = json.loads((self.data[node] / ".hotstandby-data").read_text())
        return raw["node"], raw["epoch"]

    def running(self) -> list[str]:
        return [name for name, node in self.status()["nodes"].items() if node["product"]]


@pytest.fixture(scope="module")
def pair() -> Iterator[Warp]:
    state = Path(tempfile.mkdtemp(prefix="hotstandby-"))
    made = Warp(state)
    yield made
    journal = made.journal()
    made.down()
    shutil.rmtree(state, ignore_errors=True)
    assert journal["overlaps"] == 0
    # no node ever ran with another one's identity
    assert not [event for event in journal["events"] if event["event"] in ("wrong-identity", "start-failed")]


def test_the_standby_gets_everything_but_who_it_is(pair: Warp) -> None:
    own = pair.files("warp-b", own=True)
    pair.write("warp-a", "home/app/新しい flow.xml", "<flow/>")
    pair.write("warp-b", "home/stale.xml", "to go")
    (pair.homes["warp-a"] / "server" / "lib" / "patch.jar").write_text("a patch")
    plan = pair.playbook("sync", "--check")
    assert plan.rc == 0 and plan.result["changed"] and plan.result["downtime_seconds"] == 0
    assert pair.files("warp-a") != pair.files("warp-b") and pair.events("stop") == []
    done = pair.playbook("sync", reason="patch")
    assert done.rc == 0 and done.result["changed"] and done.result["active"] == "warp-a", done.text
    # nearly all of it was copied while it ran
    assert (
        done.result["first"]["files"] >= 2
        and done.result["first"]["deleted"] == 1
        and done.result["files"] == 0
    )
    assert done.result["first"]["changes"] == plan.result["changes"] and done.result["downtime_seconds"] > 0
    assert pair.files("warp-a") == pair.files("warp-b") and pair.files("warp-b", own=True) == own
    assert pair.running() == ["warp-a"] and pair.events("start", "stop")[-2:] == [
        ("warp-a", "stop"),
        ("warp-a", "start"),
    ]
    assert pair.marker("warp-b") == pair.marker("warp-a") == ("warp-a", 1)
    again = pair.playbook("sync", compare="true")
    assert again.rc == 0 and again.result["drift"] == 0 and again.result["changed"] is False, again.text
    assert again.result["downtime_seconds"] == 0 and pair.events("stop") == [("warp-a", "stop")]


def test_the_service_is_started_again_when_the_copy_fails(pair: Warp) -> None:
    system = pair.data["warp-b"] / "system"
    system.rename(pair.state / "away")
    system.symlink_to(pair.state / "away")
    failed = pair.playbook("sync", live="false")
    assert failed.rc != 0 and "system is a link" in failed.text
    system.unlink()
    (pair.state / "away").rename(system)
    assert pair.running() == ["warp-a"] and pair.events("start", "stop")[-1] == ("warp-a", "start")


def test_the_service_is_started_again_when_the_standby_cannot_be_reached_any_more(pair: Warp) -> None:
    # from the moment on at which the active node has been stopped
    gone = pair.state / "gone.json"
    tmp = "{{ '/dev/null/x' if hotstandby_since is defined and inventory_hostname == 'warp-b' else '~/.ansible/tmp' }}"
    gone.write_text(json.dumps({"ansible_remote_tmp": tmp}))
    stops = len(pair.events("stop"))
    failed = pair.playbook("sync", f"-e@{gone}", live="false")
    assert failed.rc != 0 and "/dev/null/x" in failed.text, failed.text
    assert len(pair.events("stop")) == stops + 1, failed.text
    assert pair.running() == ["warp-a"] and pair.events("start", "stop")[-1] == ("warp-a", "start")


def test_a_service_that_did_not_stop_is_not_left_as_one_that_was_stopped_on_purpose(pair: Warp) -> None:
    short = pair.state / "short.json"
    timeouts = {**pair.info["pair"]["timeouts"], "stop": 2, "start": 10}
    short.write_text(json.dumps({"hotstandby_pair": {**pair.info["pair"], "timeouts": timeouts}}))
    knobs = Path(pair.info["nodes"]["warp-a"]["root"], "var/sandbox/knobs.json")
    before = knobs.read_text() if knobs.exists() else "{}"
    knobs.write_text(json.dumps({**json.loads(before), "stop_ignored": True}))
    try:
        failed = pair.playbook("sync", f"-e@{short}", live="false")
    finally:
        knobs.write_text(before)
    assert failed.rc != 0 and "stop failed" in failed.text, failed.text
    # held, no automation would move it any more
    assert pair.running() == ["warp-a"] and pair.on("warp-a", "status")["held"] is None, failed.text


def test_it_moves_to_the_standby_and_back_with_its_data(pair: Warp) -> None:
    pair.fault("warp-a", "product-kill")
    moved = pair.failover()
    assert moved.rc == 0 and moved.outcome == "moved", moved.text
    assert pair.running() == ["warp-b"]
    node, epoch = pair.marker("warp-b")
    assert node == "warp-b" and epoch > 1 and pair.marker("warp-a") == ("warp-a", 1)
    pair.write("warp-b", "home/app/made-on-b.xml", "<flow/>")
    # a's data are of before the move: no planned move before they are copied
    limited = pair.state / "limited.json"
    limited.write_text(json.dumps({"hotstandby_pair": {**pair.info["pair"], "max_sync_age": 3600}}))
    stale = pair.playbook("switchback", f"-e@{limited}")
    assert stale.rc != 0 and stale.outcome == "refused" and "nobody knows how old its data are" in stale.text
    assert pair.running() == ["warp-b"]
    # the other way now, without being told
    back = pair.playbook("rejoin", sync="true")
    assert back.rc == 0 and back.result["active"] == "warp-b", back.text
    assert pair.files("warp-a") == pair.files("warp-b") and pair.marker("warp-a") == ("warp-b", epoch)
    own = pair.files("warp-a", own=True)
    home = pair.playbook("switchback", f"-e@{limited}")
    assert home.rc == 0 and pair.running() == ["warp-a"], home.text
    assert pair.marker("warp-a") == ("warp-a", epoch + 1) and pair.files("warp-a", own=True) == own


def test_the_standby_is_built_as_the_guide_says(pair: Warp) -> None:
    pair.write("warp-b", "home/only-here.xml", "to go")
    own = pair.files("warp-b", own=True)
    built = pair.playbook("warp_build", source="warp-a")
    assert built.rc == 0 and "the standby was built from warp-a" in built.text, built.text
    assert pair.files("warp-a") == pair.files("warp-b") and pair.files("warp-b", own=True) == own
    assert pair.running() == ["warp-a"] and pair.marker("warp-b") == pair.marker("warp-a")
    for node in ("warp-a", "warp-b"):
        backups = Path(f"{pair.data[node]}.hotstandby-backup")
        assert [path for path in backups.glob("*/data/home") if path.is_dir()], node
    # a copy that fails leaves no stopped service behind
    system = pair.data["warp-b"] / "system"
    system.rename(pair.state / "away")
    system.symlink_to(pair.state / "away")
    failed = pair.playbook("warp_build", source="warp-a")
    system.unlink()
    (pair.state / "away").rename(system)
    assert failed.rc != 0 and "system is a link" in failed.text, failed.text
    assert pair.running() == ["warp-a"] and pair.events("start", "stop")[-1] == ("warp-a", "start")
    refused = pair.playbook("warp_build", source="nobody")
    assert refused.rc != 0 and "nobody has to be one of them" in refused.text and pair.running() == ["warp-a"]
