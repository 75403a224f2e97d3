# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's day: a fenced node comes back, the service is stopped and started on purpose, a pause is remembered."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.integration.pair.rig import BIN, Played, Rig

pytestmark = pytest.mark.sandbox


def typed(rig: Rig, command: str) -> subprocess.CompletedProcess[str]:
    """The next command of a message, as somebody copies it into a shell."""
    words = shlex.split(command)
    assert words[0] == "ansible-playbook", command
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=rig.state, env=rig.env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def next_of(played: Played) -> str:
    """What the message says to type, checked to be its last words."""
    text = str(played.result["next"])
    assert played.result["msg"].endswith(f"Next: {text}")
    return text


def test_from_the_fence_to_the_standby_and_home(rig: Rig) -> None:
    rig.torment("hub-a", "node-hang")
    moved = rig.failover(assume_down=True)
    assert moved.outcome == "moved" and rig.power("hub-a") == "stopped"
    epoch = rig.record()["epoch"]
    planned = rig.playbook("rejoin", "--check")
    assert planned.rc == 0 and [step["outcome"] for step in planned.result["steps"]] == ["ok", "planned"]
    assert rig.power("hub-a") == "stopped"
    back = rig.playbook("rejoin")
    assert back.rc == 0 and (back.outcome, back.result["node"]) == ("rejoined", "hub-a"), back.text
    assert rig.power("hub-a") == "running" and rig.running() == ["hub-b"]
    assert rig.record()["epoch"] == epoch
    again = rig.playbook("rejoin")
    assert again.outcome == "unchanged" and again.result["changed"] is False
    assert rig.playbook("switchback").outcome == "moved" and rig.running() == ["hub-a"]


def test_a_planned_stop_lasts_until_the_planned_start(rig: Rig) -> None:
    planned = rig.playbook("stop", "--check", reason="patch")
    assert planned.rc == 0 and planned.result["changed"] and rig.running() == ["hub-a"], planned.text
    stopped = rig.playbook("stop", "-e", json.dumps({"reason": "patch of the driver", "by": "keiko"}))
    assert stopped.rc == 0 and stopped.result["changed"] and rig.running() == [], stopped.text
    held = stopped.result["held"]
    assert (held["by"], held["reason"]) == ("keiko", "patch of the driver")
    assert rig.playbook("stop", reason="again").result["changed"] is False
    # neither a reboot nor a failover starts or moves it
    rig.torment("hub-a", "reboot")
    rig.until(lambda: "hub-a" in rig.answering())
    kept = rig.failover()
    assert kept.rc == 0 and (kept.outcome, kept.result["code"]) == ("not_confirmed", "active_held"), kept.text
    assert rig.running() == []
    told = rig.playbook("status")
    assert told.result["next"].startswith("when the work is done: ansible-playbook hotstandby.ops.start -i ")
    started = rig.playbook("start")
    assert started.rc == 0 and started.result["changed"] and rig.running() == ["hub-a"], started.text
    assert rig.playbook("start").result["changed"] is False


def test_a_pause_that_lasts_is_loud(rig: Rig) -> None:
    rig.playbook("maintenance", state="paused", reason="disk", by="keiko")
    quiet = rig.playbook("status")
    assert quiet.result["reminders"] == [] and "WARNING]: PAUSED" not in quiet.text
    loud = rig.playbook("status", remind_after=0)
    assert "PAUSED FOR" in loud.text and "by keiko (disk)" in loud.result["reminders"][0]
    assert any("PAUSED FOR" in line for line in loud.result["screen"])
    command = loud.result["reminders"][0].partition("When the work is done: ")[2]
    assert typed(rig, command).returncode == 0
    assert rig.playbook("status", remind_after=0).result["reminders"] == []


def test_the_next_command_can_be_typed_as_it_stands(rig: Rig) -> None:
    rig.torment("hub-a", "agent-offline")
    silent = rig.failover()
    assert silent.rc != 0 and silent.result["code"] == "not_confirmed_unknown", silent.text
    assert silent.result["help"] == "docs/runbook.md#not_confirmed_unknown"
    assert "docs/runbook.md#not_confirmed_unknown" in silent.text
    done = typed(rig, next_of(silent))
    assert done.returncode == 0 and "hub-b is active" in done.stdout, done.stdout
    assert rig.active() == "hub-b" and rig.running() == ["hub-b"]


def test_a_forced_stop_lists_the_transfers_that_it_cut(rig: Rig) -> None:
    knobs = Path(rig.info["nodes"]["hub-a"]["root"]) / "var/sandbox/knobs.json"
    knobs.write_text(json.dumps({"transfer_seconds": 300, "jitter": False}))
    rig.until(lambda: rig.on("hub-a", "status")["state"] == "running")
    # the product reads its own settings when its manager changes; a start anew reads them at once
    rig.on("hub-a", "stop", "--mode", "force")
    assert rig.on("hub-a", "start")["state"] == "running"
    answer = rig.on("hub-a", "stop", "--mode", "force", "--reason", "patch")
    assert answer["state"] == "stopped" and "650" in " ".join(answer["detail"]["transfers_cut"]), answer
    assert rig.on("hub-a", "start")["state"] == "running"


def test_a_value_that_was_cut_at_the_blank_is_refused_unless_it_is_a_reason(rig: Rig) -> None:
    rig.clear_calls()
    played = rig.playbook("failover", "-e", "to=hub b")
    assert played.rc != 0 and "cut_at_blank" in played.text and "'b'" in played.text, played.text
    assert rig.fresh_calls() == []
    paused = rig.playbook("maintenance", "-e", "state=paused", "-e", "reason=two words")
    assert paused.rc == 0 and "two words" in paused.text, paused.text
    assert rig.record()["paused"]["M"]["reason"]["S"] == "two words"


def test_a_stop_does_not_connect_to_an_active_that_gives_no_answer(rig: Rig) -> None:
    rig.torment("hub-a", "agent-offline")
    played = rig.playbook("stop", reason="patch")
    assert played.rc != 0 and "active_silent" in played.text and rig.running() == ["hub-a"], played.text


def test_the_day_without_a_control_plane_as_the_runbook_has_it(rig: Rig) -> None:
    rig.torment("hub-a", "power-off")
    rig.torment("aws", "dynamodb-down", "ssm-down", "ec2-down")
    refused = rig.on("hub-b", "start")
    assert (refused["rc"], refused["detail"]["code"]) == (5, "record_unreadable")
    assert "start --without-record --reason TEXT" in refused["detail"]["message"]
    nobody = rig.on("hub-b", "start", "--without-record", "--reason", "hub-a: power pulled by keiko")
    assert nobody["detail"]["code"] == "no_terminal", nobody
    ours, theirs = pty.openpty()
    try:
        started = rig.on(
            "hub-b", "start", "--without-record", "--reason", "hub-a: power pulled by keiko", stdin=theirs
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert started["state"] == "running" and "keep hub-a off" in started["detail"]["message"], started
    rig.torment("aws", "clear")
    assert rig.active() == "hub-a" and rig.running() == ["hub-b"]
    assert rig.on("hub-b", "stop", "--reason", "back under the record")["state"] == "stopped"
    moved = rig.failover(to="hub-b")
    assert moved.outcome == "moved" and rig.running() == ["hub-b"], moved.text
    assert rig.playbook("rejoin").outcome == "rejoined" and rig.running() == ["hub-b"]
