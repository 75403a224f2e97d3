# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair halfway through an upgrade: this build beside an older one, each made and installed by its own sources.

`older.tar.xz` holds the older sources (hack/checks/older.py makes it). Its own deploy installs its nodes' command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.report import describe_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition

from sandbox.world import processes
from tests.integration.automation.fast import LONG, beat, beats, moved
from tests.integration.pair.rig import ROOT, Rig

pytestmark = pytest.mark.sandbox
OLDER = Path(__file__).with_name("older.tar.xz")
FUNCTION = "hotstandby-hub-sandbox"
OLD, NEW = "old", "new"
INSTALLED = ("usr/local/lib/hotstandby", "usr/local/bin", "etc/hotstandby")  # what deploy writes on a node


class Builds:
    """Both builds of a sandbox's pair, to be put on its nodes and into its function while the pair is at work."""

    def __init__(self, rig: Rig, place: Path) -> None:
        self.rig, self.place = rig, place
        self.collections = place / "collections"
        source = self.collections / "ansible_collections" / "hotstandby" / "ops"
        with tarfile.open(OLDER) as archive:
            archive.extractall(source, filter="data")
        self._keep(NEW)
        done = rig.playbook("deploy", env=self.older)
        assert done.rc == 0, done.text
        self._keep(OLD)
        self.zips = {OLD: self._zip(source, OLD), NEW: self._zip(ROOT, NEW)}
        assert self.zips[OLD] != self.zips[NEW]

    @property
    def older(self) -> dict[str, str]:
        """The environment of a controller of the older build."""
        return {"ANSIBLE_COLLECTIONS_PATH": str(self.collections)}

    def _keep(self, build: str) -> None:
        for node in self.rig.names:
            for name in INSTALLED:
                shutil.copytree(self._root(node) / name, self.place / build / node / name)

    def _root(self, node: str) -> Path:
        return Path(self.rig.info["nodes"][node]["root"])

    def _zip(self, source: Path, build: str) -> bytes:
        target = self.place / f"{build}.zip"
        words = [sys.executable, str(source / "hack" / "build_zipapp.py"), str(target), "--function"]
        subprocess.run(words, check=True, timeout=120)
        return target.read_bytes()

    def put_function(self, build: str) -> None:
        """Give the function this build's code."""
        client = self.rig.client("lambda")
        client.update_function_code(FunctionName=FUNCTION, ZipFile=self.zips[build])

    def put_node(self, node: str, build: str) -> None:
        """Put this build's files on a node, one after the other as deploy does; its daemon is started anew."""
        for name in INSTALLED:
            kept, live = self.place / build / node / name, self._root(node) / name
            for path in live.iterdir():
                if not (kept / path.name).exists():
                    path.unlink()
            for path in kept.iterdir():
                beside = live / f".{path.name}.new"
                shutil.copy2(path, beside)
                os.replace(beside, live / path.name)
        for pid in processes.find(str(self.rig.state), node):
            if b"watch" in processes.command(pid):
                os.kill(pid, processes.KILL)


@pytest.fixture(scope="module")
def builds() -> Iterator[Builds]:
    state = Path(os.path.realpath(tempfile.mkdtemp(prefix="hotstandby-")))
    place = Path(tempfile.mkdtemp(prefix="hotstandby-builds-"))
    rig = Rig(state, "--automation", "fast")
    try:
        yield Builds(rig, place)
    finally:
        rig.down()
        shutil.rmtree(state, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def halfway(builds: Builds, function: str, nodes: dict[str, str]) -> Rig:
    """A pair that is at work while these builds are put on it. The older one's heartbeat has no `held`."""
    rig = builds.rig
    rig.reset()
    builds.put_function(function)
    for node, build in nodes.items():
        if build != NEW:
            builds.put_node(node, build)
    for node, build in nodes.items():
        rig.until(lambda node=node, build=build: ("held" in beat(rig, node)) is (build == NEW), LONG)
    beats(rig, *rig.names)
    return rig


def switchover(rig: Rig, to: str) -> Result:
    """By this build's core, as an operator; whoever holds the pair at that moment is waited for."""
    pair = parse_pair(rig.info["pair"])
    results: list[Result] = []

    def done() -> bool:
        request = Request(mode="switchover", to=to, by="tester", owner=f"tester {len(results)}")
        results.append(Transition(pair, ports_for(pair, rig.client), request).run())
        return not results[-1].busy

    rig.until(done, LONG)
    return results[-1]


def accepted(rig: Rig) -> None:
    """The function finds nothing to do and nothing to tell, the alarm is OK, and this build's status knows both nodes."""
    event = {"hotstandby": {"action": "test", "pair": rig.info["pair"]["name"], "id": "1"}}
    answer = rig.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
    said = json.loads(answer["Payload"].read())
    assert (said["outcome"], said["would"], said["notices"]) == ("test", "none", {}), said
    rig.until(lambda: rig.ask("automation")["alarm"] == "OK", LONG)
    pair = parse_pair(rig.info["pair"])
    found = describe_pair(pair, ports_for(pair, rig.client), True)
    nodes = {name: (about["source"], about["state"]) for name, about in found["nodes"].items()}
    assert nodes == {"hub-a": ("answer", "running"), "hub-b": ("answer", "stopped")}, found
    assert (found["trouble"], found["notes"], found["next"]) == ("", [], "nothing"), found


MIXES = {
    "old function, new nodes": (OLD, NEW, NEW),
    "new function, old nodes": (NEW, OLD, OLD),
    "new function, old active": (NEW, OLD, NEW),
    "new function, old standby": (NEW, NEW, OLD),
    "old function, old active": (OLD, OLD, NEW),
    "old function, old standby": (OLD, NEW, OLD),
}


@pytest.mark.parametrize("mix", MIXES)
def test_halfway(mix: str, builds: Builds) -> None:
    function, first, second = MIXES[mix]
    rig = halfway(builds, function, {"hub-a": first, "hub-b": second})
    assert rig.events("start", "stop") == [("hub-a", "start")], "an upgrade touches no service"
    accepted(rig)
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: moved(rig, "hub-b"), LONG)
    result = switchover(rig, "hub-a")
    assert result.outcome == "moved", result.message
    assert moved(rig, "hub-a")
    starts = ["hub-a", "hub-b", "hub-a"]
    if first == second:
        # what the standby has seen of a heartbeat travels with its call, in this build only
        beats(rig, *rig.names)
        rig.torment("hub-a", "node-hang")
        rig.until(lambda: moved(rig, "hub-b"), LONG)
        assert rig.power("hub-a") == "stopped"
        starts.append("hub-b")
    assert [node for node, _event in rig.events("start")] == starts
    journal, seen = rig.journal(), rig.ask("automation")
    assert journal["overlaps"] == 0, journal
    assert all(run["ok"] for run in seen["runs"]) and seen["dead"] == [] and seen["refused"] == [], seen
    assert rig.status()["unimplemented"] == []


def test_an_older_controller_moves_a_newer_pair(builds: Builds) -> None:
    rig = halfway(builds, NEW, {"hub-a": NEW, "hub-b": NEW})
    done = rig.failover("-emode=switchover", env=builds.older)
    assert done.rc == 0 and done.outcome == "moved", done.text
    assert moved(rig, "hub-b") and rig.overlaps() == 0
