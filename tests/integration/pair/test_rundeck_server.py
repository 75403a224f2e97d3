# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rundeck_server on the sandbox's nodes: no pair with a database each, and project files only from the active node.

The pair is the sandbox's own, told of as a unit: its deploy is not played here, what stands before and after it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.pair.rig import Played, Rig, Run

pytestmark = pytest.mark.sandbox
URL = "jdbc:mysql://db.example.internal/rundeck?password=hunter2"
CONFIG = "etc/rundeck/rundeck-config.properties"


class Rundeck:
    """Two servers' files, and their pair."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.roots = {name: Path(rig.info["nodes"][name]["root"]) for name in rig.names}
        content = yaml.safe_load(Path(rig.info["inventory"]).read_text(encoding="utf-8"))
        pair = content["hotstandby"]["vars"]["hotstandby_pair"]
        pair.update(service="systemd", product={"unit": "rundeckd.service"})
        for node in pair["nodes"]:
            node.pop("product", None)
        self.inventory = rig.state / "rundeck.yml"
        self.inventory.write_text(yaml.safe_dump(content), encoding="utf-8")
        for name in self.roots:
            self.database(name, URL)
            self.write(name, "demo/project.properties", f"project.name=demo of {name}")

    def database(self, node: str, url: str | None) -> None:
        path = self.roots[node] / CONFIG
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"dataSource.url={url}\n" if url else ""
        path.write_text(f"{line}dataSource.password=hunter3\n", encoding="utf-8")

    def write(self, node: str, name: str, text: str) -> None:
        path = self.roots[node] / "var/rundeck/projects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def files(self, node: str) -> dict[str, str]:
        top = self.roots[node] / "var/rundeck/projects"
        return {
            str(path.relative_to(top)): path.read_text(encoding="utf-8")
            for path in top.rglob("*")
            if path.is_file()
        }

    def replaced(self, node: str) -> list[str]:
        top = self.roots[node] / "var/lib/hotstandby-rundeck"
        return sorted(path.read_text(encoding="utf-8") for path in top.rglob("*") if path.is_file())

    def begin(self, *arguments: str, env: dict[str, str] | None = None) -> Run:
        before, self.rig.info["inventory"] = self.rig.info["inventory"], str(self.inventory)
        try:
            return self.rig.begin("rundeck_server", *arguments, env=env)
        finally:
            self.rig.info["inventory"] = before

    def play(self, *arguments: str) -> Played:
        return self.begin(*arguments).end()

    def sync(self, *arguments: str) -> Played:
        return self.play("--tags", "database,sync", *arguments)


@pytest.fixture
def rundeck(rig: Rig) -> Iterator[Rundeck]:
    made = Rundeck(rig)
    yield made
    for root in made.roots.values():
        for path in ("etc/rundeck", "var/rundeck", "var/lib/hotstandby-rundeck"):
            for each in sorted((root / path).rglob("*"), reverse=True):
                each.unlink() if not each.is_dir() else each.rmdir()


def test_a_database_for_each_is_refused_before_anything_is_made(rundeck: Rundeck) -> None:
    rig = rundeck.rig
    rundeck.database("hub-a", "jdbc:h2:file:/var/lib/rundeck/data/rundeckdb")
    (rundeck.roots["hub-b"] / CONFIG).unlink()
    settings = {root: (root / "etc/hotstandby/pair.json").read_bytes() for root in rundeck.roots.values()}
    files = {name: rundeck.files(name) for name in rundeck.roots}
    rig.clear_calls()
    played = rundeck.play("-vvvv")
    said = " ".join(played.text.split())
    assert played.rc != 0 and "hub-a: dataSource.url is jdbc:h2:file:" in said, played.text
    # of the other nothing is known, and that is told apart
    assert (
        f"{CONFIG} cannot be read, so which database it works on is not known" in said and "hub-b: " in said
    )
    assert "runbook.md#rundeck_database" in said and "hunter" not in played.text
    rundeck.database("hub-a", URL)
    rundeck.database("hub-b", URL.replace("db.", "other."))
    played = rundeck.play("-vvvv")
    said = " ".join(played.text.split())
    assert played.rc != 0 and "jdbc:mysql://other.example.internal/rundeck on hub-b" in said, played.text
    assert "hunter" not in played.text
    assert rig.fresh_calls() == [] and {name: rundeck.files(name) for name in rundeck.roots} == files
    assert settings == {
        root: (root / "etc/hotstandby/pair.json").read_bytes() for root in rundeck.roots.values()
    }


def test_a_pair_of_another_service_is_refused(rundeck: Rundeck) -> None:
    played = rundeck.rig.playbook("rundeck_server")
    assert played.rc != 0 and "Rundeck needs service: systemd" in " ".join(played.text.split()), played.text


def test_files_go_from_the_active_node_to_the_other_whichever_that_is(rundeck: Rundeck) -> None:
    rundeck.write("hub-a", "demo/acl one.aclpolicy", "by: group")
    rundeck.write("hub-b", "gone/project.properties", "of the standby alone")
    before = rundeck.files("hub-b")
    planned = rundeck.sync("--check")
    assert planned.rc == 0 and "changed=1" in planned.text and rundeck.files("hub-b") == before, planned.text
    first = rundeck.files("hub-a")
    played = rundeck.sync()
    assert played.rc == 0, played.text
    alone = {"gone/project.properties": "of the standby alone"}
    assert rundeck.files("hub-b") == {**first, **alone} and rundeck.files("hub-a") == first
    assert rundeck.replaced("hub-b") == ["project.name=demo of hub-b"] and rundeck.replaced("hub-a") == []
    again = rundeck.sync()
    assert again.rc == 0 and "changed=1" not in again.text, again.text
    # what the standby has alone goes when that is wanted, and is kept
    played = rundeck.sync("-e", "rundeck_server_delete=true")
    assert played.rc == 0 and rundeck.files("hub-b") == first, played.text
    assert rundeck.replaced("hub-b") == ["of the standby alone", "project.name=demo of hub-b"]
    # after a move it is the other way round
    assert rundeck.rig.failover(mode="switchover").outcome == "moved"
    rundeck.write("hub-b", "demo/project.properties", "changed where it runs")
    second = rundeck.files("hub-b")
    played = rundeck.sync()
    assert played.rc == 0 and rundeck.files("hub-a") == second == rundeck.files("hub-b"), played.text


@pytest.mark.parametrize(
    ("target", "kind", "said"),
    [("aws", "dynamodb-down", ""), ("hub-a", "agent-offline", "is active and gives no answer")],
)
def test_nothing_is_copied_while_it_is_not_known_who_is_active(
    rundeck: Rundeck, target: str, kind: str, said: str
) -> None:
    before = {name: rundeck.files(name) for name in rundeck.roots}
    rundeck.rig.torment(target, kind)
    played = rundeck.sync()
    rundeck.rig.torment(target, "clear")
    assert played.rc != 0 and said in " ".join(played.text.split()), played.text
    assert "Copy the project directories" not in played.text
    assert {name: rundeck.files(name) for name in rundeck.roots} == before


def test_a_move_while_the_files_are_copied_is_told(rundeck: Rundeck) -> None:
    rig = rundeck.rig
    rig.clear_calls()
    assert rundeck.sync().rc == 0
    # the record is read before the copy, where the nodes are asked too, and after it
    actions = [call["action"].partition(":")[0] for call in rig.fresh_calls()]
    asked = len(actions) - actions[::-1].index("SendCommand")
    reads = actions[:asked].count("GetItem")
    assert 0 < reads < actions.count("GetItem"), actions
    rundeck.write("hub-a", "demo/project.properties", "of the node that was active")
    rig.trap("dynamodb:GetItem", "hold", count=reads + 1, run="frozen")
    copying = rundeck.begin("--tags", "sync", env={"SANDBOX_RUN": f"{rig.state}:frozen"})
    try:
        rig.until(rig.sprung, 60)
        assert rig.failover(mode="switchover").outcome == "moved"
        rig.ask("release", run="frozen")
        played = copying.end()
    finally:
        rig.ask("release", run="frozen")
        copying.process.kill()
    said = " ".join(played.text.split())
    assert played.rc != 0 and "the service moved from hub-a to hub-b" in said, played.text
    assert "runbook.md#rundeck_moved" in said and rundeck.replaced("hub-b") != []
