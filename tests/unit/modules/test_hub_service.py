# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hub_service: through the guard on a node of a pair, by the product's own commands elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import _hub_service

RunModule = Callable[..., dict[str, Any]]

# a product whose state is a file; start and stop answer at once and the daemons follow a moment later
HUBCLUSTER = """
case $1 in
-status) [ -e "$HULHUBETC/up" ] && exit 0; exit 240 ;;
-start) echo start >>"$HULHUBETC/calls"; [ -e "$HULHUBETC/broken" ] && { echo no licence >&2; exit 1; }
        touch "$HULHUBETC/up" ;;
esac
"""
HUBSTOP = """
echo "stop $1" >>"$HULHUBETC/calls"
[ -e "$HULHUBETC/stubborn" ] || rm -f "$HULHUBETC/up"
"""


def script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}", encoding="utf-8")
    path.chmod(0o755)


class Node:
    """A node with a product, and if asked a guard that answers as it is told."""

    def __init__(self, root: Path) -> None:
        self.root, self.etc = root, root / "etc"
        self.etc.mkdir()
        script(root / "bin" / "hubcluster", HUBCLUSTER)
        script(root / "bin" / "hubstop", HUBSTOP)
        self.given: dict[str, Any] = {
            "exe": str(root / "bin"),
            "etc": str(self.etc),
            "config": str(root / "pair.json"),
            "command": str(root / "hotstandby"),
            "timeout": 2,
        }

    def calls(self) -> list[str]:
        path = self.etc / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def guard(self, **answers: tuple[int, str, dict[str, Any]]) -> None:
        """Install a guard with these answers by verb: (exit code, state, detail)."""
        (self.root / "pair.json").write_text("{}", encoding="utf-8")
        cases = [f'echo "$*" >>{self.etc}/calls', "case $1 in"]
        for verb, (rc, state, detail) in answers.items():
            answer = json.dumps({"schema": 1, "state": state, "detail": {"message": "", **detail}})
            cases.append(f"{verb}) echo noise; echo '{answer}'; exit {rc} ;;")
        script(self.root / "hotstandby", "\n".join([*cases, "esac", ""]))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(_hub_service, "PACE", 0.05)
    return Node(tmp_path)


def test_it_is_started_and_stopped_once(run_module: RunModule, node: Node) -> None:
    plan = run_module("hub_service", check=True, state="started", **node.given)
    assert (plan["changed"], plan["state"], node.calls()) == (True, "stopped", [])
    made = run_module("hub_service", state="started", **node.given)
    assert (made["changed"], made["state"], made["guarded"]) == (True, "running", False)
    assert made["diff"] == plan["diff"] == {"before": {"state": "stopped"}, "after": {"state": "running"}}
    assert not run_module("hub_service", state="started", **node.given)["changed"]
    stopped = run_module("hub_service", state="stopped", mode="force", **node.given)
    assert (stopped["changed"], stopped["state"]) == (True, "stopped")
    assert not run_module("hub_service", state="stopped", **node.given)["changed"]
    assert node.calls() == ["start", "stop -force"]


def test_a_stop_that_says_success_is_not_believed(run_module: RunModule, node: Node) -> None:
    (node.etc / "up").touch()
    (node.etc / "stubborn").touch()
    result = run_module("hub_service", state="stopped", **node.given)
    assert result["failed"] and result["state"] == "running" and "not stopped within 2 s" in result["msg"]


def test_processes_that_are_left_are_not_stopped(run_module: RunModule, node: Node) -> None:
    script(node.root / "bin" / "hubd", "sleep 60\n")
    daemon = subprocess.Popen([node.root / "bin" / "hubd"], start_new_session=True)
    try:
        result = run_module("hub_service", state="stopped", **node.given)
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
    assert result["failed"] and f"processes left: {daemon.pid}" in result["msg"]
    assert node.calls() == ["stop -normal"]


def test_a_failed_start_says_what_the_product_said(run_module: RunModule, node: Node) -> None:
    (node.etc / "broken").touch()
    result = run_module("hub_service", state="started", **node.given)
    assert result["failed"] and "hubcluster -start ended with 1 and says: no licence" in result["msg"]


def test_a_node_of_a_pair_goes_through_the_guard(run_module: RunModule, node: Node) -> None:
    node.guard(status=(3, "stopped", {"processes": 0}), start=(0, "running", {}))
    result = run_module("hub_service", state="started", **node.given)
    assert (result["changed"], result["state"], result["guarded"]) == (True, "running", True)
    assert node.calls()[0] == "status" and node.calls()[1].startswith("start ")


def test_a_persons_stop_carries_its_reason(run_module: RunModule, node: Node) -> None:
    node.guard(status=(0, "running", {}), stop=(0, "stopped", {"processes": 0}))
    assert run_module("hub_service", state="stopped", reason="new disk", **node.given)["state"] == "stopped"
    assert "--reason new disk" in node.calls()[1]


def test_transfers_that_a_forced_stop_cut_are_listed(run_module: RunModule, node: Node) -> None:
    told = "transfer 17 to TOKYO ended with 650"
    script(
        node.root / "bin" / "hubstop", f"{HUBSTOP}[ $1 = -force ] && echo '{told}'; echo 6500 files; exit 0"
    )
    run_module("hub_service", state="started", **node.given)
    assert run_module("hub_service", state="stopped", mode="force", **node.given)["transfers_cut"] == [told]
    run_module("hub_service", state="started", **node.given)
    assert run_module("hub_service", state="stopped", **node.given)["transfers_cut"] == []
    node.guard(status=(0, "running", {}), stop=(0, "stopped", {"processes": 0, "transfers_cut": [told]}))
    assert run_module("hub_service", state="stopped", mode="force", **node.given)["transfers_cut"] == [told]


def test_the_guards_no_is_told(run_module: RunModule, node: Node) -> None:
    detail = {"refused": True, "code": "not_active", "message": "hub-b is the active node"}
    node.guard(status=(3, "stopped", {"processes": 0}), start=(5, "stopped", detail))
    result = run_module("hub_service", state="started", **node.given)
    assert result["failed"] and result["msg"].startswith("start refused: hub-b is the active node (see docs/")
    assert result["answer"]["detail"]["code"] == "not_active"


def test_a_stop_without_proof_fails(run_module: RunModule, node: Node) -> None:
    node.guard(status=(0, "running", {}), stop=(4, "unknown", {"message": "2 processes are left"}))
    result = run_module("hub_service", state="stopped", **node.given)
    assert result["failed"] and "2 processes are left" in result["msg"]


def test_a_pair_without_its_command_fails(run_module: RunModule, node: Node) -> None:
    (node.root / "pair.json").write_text("{}", encoding="utf-8")
    result = run_module("hub_service", state="started", **node.given)
    assert result["failed"] and result["msg"].startswith("command: ")
    assert node.calls() == []
