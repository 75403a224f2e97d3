# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""warp_status and warp_service on the stand-in: a real main process with children, a pid file, and fsctrl's text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import _hub_service

from sandbox.standins.journal import Journal
from sandbox.standins.warp.install import install, licence
from sandbox.world.processes import find, kill

RunModule = Callable[..., dict[str, Any]]


class Node:
    """A host with nothing on it but the stand-in."""

    def __init__(self, state: Path, name: str = "warp-a") -> None:
        self.state, self.name, self.root = state, name, state / "nodes" / name
        self.install, self.data = install(self.root, name, state, state / "journal")
        self.given: dict[str, Any] = {
            "install_dir": str(self.install),
            "data_dir": str(self.data),
            "timeout": 60,
        }
        self.service = {**self.given, "config": str(state / "none.json"), "timeout": 30}

    def knobs(self, **knobs: Any) -> None:
        (self.root / "var" / "sandbox" / "knobs.json").write_text(json.dumps(knobs))

    def control(self, *words: str) -> None:
        subprocess.run([self.install / "server/bin/fsctrl", *words], check=False, capture_output=True)

    @property
    def pid_file(self) -> Path:
        return self.data / "log" / "flowsvc.pid"

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def events(self) -> list[str]:
        return [event["event"] for event in Journal(str(self.state / "journal")).read()["events"]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(_hub_service, "PACE", 0.05)
    node = Node(tmp_path)
    yield node
    kill(str(tmp_path), node.name)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_is_started_and_stopped_once(run_module: RunModule, node: Node) -> None:
    down = run_module("warp_status", **node.given)
    assert (down["running"], down["state"], down["pid"], down["changed"]) == (False, "stopped", None, False)
    plan = run_module("warp_service", check=True, state="started", **node.service)
    assert (plan["changed"], plan["state"], node.events()) == (True, "stopped", [])
    made = run_module("warp_service", state="started", required_services=["http"], **node.service)
    assert (made["changed"], made["state"], made["guarded"]) == (True, "running", False)
    up = run_module("warp_status", **node.given)
    assert (up["running"], up["state"], up["pid"]) == (True, "running", node.pid())
    assert up["services"] == {"http": "running", "scheduler": "running"}
    assert not run_module("warp_service", state="started", **node.service)["changed"]
    stopped = run_module("warp_service", state="stopped", **node.service)
    assert (stopped["changed"], stopped["state"]) == (True, "stopped")
    assert not run_module("warp_service", state="stopped", **node.service)["changed"]
    assert node.events() == ["start", "stop"] and find(str(node.state), node.name) == []


def test_children_are_never_judged_and_a_dead_main_process_is_down(run_module: RunModule, node: Node) -> None:
    node.knobs(orphans=True)
    run_module("warp_service", state="started", **node.service)
    main = node.pid()
    children = [pid for pid in find(str(node.state), node.name) if pid != main]
    os.kill(children[0], signal.SIGKILL)
    assert run_module("warp_status", **node.given)["state"] == "running"
    until(lambda: len(find(str(node.state), node.name)) == 3)
    os.kill(main, signal.SIGKILL)
    until(lambda: main not in find(str(node.state), node.name))
    found = run_module("warp_status", **node.given)
    assert (found["state"], found["pid"]) == ("stopped", None) and "others are left" in found["msg"]
    # the stop is proven by processes: the orphans go too
    stopped = run_module("warp_service", state="stopped", **node.service)
    assert stopped["changed"] is False and stopped["state"] == "stopped"
    assert find(str(node.state), node.name) == []


def test_a_stop_that_is_ignored_is_not_believed(run_module: RunModule, node: Node) -> None:
    run_module("warp_service", state="started", **node.service)
    node.knobs(stop_ignored=True)
    refused = run_module("warp_service", state="stopped", **{**node.service, "timeout": 1})
    assert refused["failed"] and refused["state"] == "running" and "processes left" in refused["msg"]
    forced = run_module("warp_service", state="stopped", mode="force", **node.service)
    assert (forced["changed"], forced["state"]) == (True, "stopped")
    assert node.events() == ["start", "killed"]


def test_a_frozen_or_silent_service_is_hung(run_module: RunModule, node: Node) -> None:
    run_module("warp_service", state="started", **node.service)
    node.knobs(status_hangs=True)
    assert run_module("warp_status", **{**node.given, "timeout": 1})["state"] == "hung"
    node.knobs()
    os.kill(node.pid(), signal.SIGSTOP)
    assert run_module("warp_status", **node.given)["state"] == "hung"
    os.kill(node.pid(), signal.SIGCONT)
    assert run_module("warp_status", **node.given)["state"] == "running"
    node.control("stop", "http")
    until(lambda: run_module("warp_status", **node.given)["services"]["http"] == "stopped")
    assert run_module("warp_status", **node.given)["running"] is True
    assert run_module("warp_status", required_services=["http"], **node.given)["state"] == "hung"
    assert run_module("warp_status", required_services=["ftp"], **node.given)["state"] == "unknown"


def test_a_strangers_pid_in_the_file_is_not_believed(run_module: RunModule, node: Node) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        node.pid_file.write_text(f"{stranger.pid}\n")
        assert run_module("warp_status", **node.given)["state"] == "stopped"
        assert run_module("warp_service", state="stopped", mode="force", **node.service)["changed"] is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    run_module("warp_service", state="started", **node.service)
    os.utime(node.pid_file, (1, 1))  # written long before that process began: somebody else's by chance
    found = run_module("warp_status", **node.given)
    assert (found["running"], found["state"], found["pid"]) == (False, "unknown", None)


def test_an_expired_licence_stops_the_service_and_another_nodes_does_not_count(
    run_module: RunModule, node: Node
) -> None:
    run_module("warp_service", state="started", **node.service)
    key = node.data / "system" / "license" / "warp-a.key"
    key.write_text(licence("warp-a", time.time() - 1))
    until(lambda: run_module("warp_status", **node.given)["state"] == "stopped")
    assert "expired: the flow service stops" in (node.data / "log" / "FlowService.log").read_text()
    assert run_module("warp_service", state="started", **{**node.service, "timeout": 1})["failed"]
    until(lambda: node.events() == ["start", "stop", "start-failed"])
    key.write_text(licence("warp-b", time.time() + 999))
    assert run_module("warp_service", state="started", **{**node.service, "timeout": 1})["failed"]
    until(lambda: node.events() == ["start", "stop", "start-failed", "start-failed"])


def test_what_is_refused(run_module: RunModule, node: Node, tmp_path: Path) -> None:
    nowhere = run_module("warp_status", **{**node.given, "data_dir": str(tmp_path / "gone")})
    assert nowhere["failed"] and nowhere["msg"].startswith("data_dir: ")
    other = run_module("warp_status", **{**node.given, "install_dir": str(tmp_path)})
    assert other["failed"] and other["msg"].startswith("install_dir: ")
    assert run_module("warp_status", **{**node.given, "timeout": 0})["msg"].startswith("timeout: ")
    assert "status_pattern" in run_module("warp_status", status_pattern="(", **node.given)["msg"]
    assert "timeout: " in run_module("warp_service", state="started", **{**node.service, "timeout": 0})["msg"]


def test_a_node_of_a_pair_goes_through_the_guard(run_module: RunModule, node: Node, tmp_path: Path) -> None:
    guard = tmp_path / "hotstandby"
    answer = json.dumps(
        {"state": "stopped", "detail": {"message": "hub-b is active", "code": "not_active", "processes": 0}}
    )
    guard.write_text(f"#!/bin/sh\necho '{answer}'\n[ $1 = status ] && exit 3\nexit 5\n")
    guard.chmod(0o755)
    (tmp_path / "pair.json").write_text("{}")
    given = {**node.given, "config": str(tmp_path / "pair.json"), "command": str(guard)}
    refused = run_module("warp_service", state="started", **given)
    assert refused["failed"] and refused["msg"].startswith("start refused: hub-b is active")
    assert node.events() == []


def test_one_that_is_on_its_way_down_does_not_count_as_started(
    run_module: RunModule, node: Node, tmp_path: Path
) -> None:
    guard, log = tmp_path / "hotstandby", tmp_path / "log"
    (tmp_path / "pair.json").write_text("{}")
    given = {**node.given, "config": str(tmp_path / "pair.json"), "command": str(guard)}
    # what a guard says of a stop under way, or of one that was ordered on purpose, is asked for again
    for held, detail, verbs in (
        (None, {}, ["status"]), (None, {"stopping": True}, ["status", "start"]), ({"by": "x"}, {}, ["status", "start"]),
    ):  # fmt: skip
        answer = json.dumps({"state": "running", "held": held, "detail": detail})
        guard.write_text(f"#!/bin/sh\necho $1 >> {log}\necho '{answer}'\n")
        guard.chmod(0o755)
        log.write_text("")
        told = run_module("warp_service", state="started", **given)
        assert told["state"] == "running" and log.read_text().split() == verbs, (held, detail)
        assert told["changed"] == (len(verbs) > 1)
