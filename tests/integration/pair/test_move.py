# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job through the real command lines. The stand-ins' journal says whether two ran, not our own report."""

from __future__ import annotations

import json

import pytest

from tests.integration.pair.rig import READS, Rig

pytestmark = pytest.mark.sandbox


def test_kill_failover_and_home_again(rig: Rig) -> None:
    assert rig.active() == "hub-a" and rig.running() == ["hub-a"]
    rig.fault("hub-a", "product-kill")
    moved = rig.failover(reason="it died")
    assert (moved.rc, moved.outcome) == (0, "moved"), moved.text
    result = moved.result
    assert (result["active"], result["previous"], result["changed"], result["pending"]) == (
        "hub-b",
        "hub-a",
        True,
        [],
    )
    assert result["downtime_seconds"] > 0
    assert rig.running() == ["hub-b"] and rig.active() == "hub-b"
    address = rig.client("ec2").describe_addresses()["Addresses"][0]
    assert address["InstanceId"] == rig.info["nodes"]["hub-b"]["instance_id"]
    home = rig.playbook("switchback")
    assert (home.rc, home.outcome, home.result["active"]) == (0, "moved", "hub-a"), home.text
    assert rig.running() == ["hub-a"]
    again = rig.playbook("switchback")
    assert (again.rc, again.outcome, again.result["changed"]) == (0, "unchanged", False)
    told = rig.playbook("history")
    assert told.rc == 0 and told.text.count("MOVED") == 2 and "hubcluster says stopped" in told.text
    starts = rig.events("start")
    assert [node for node, _event in starts] == ["hub-a", "hub-b", "hub-a"]


def test_a_healthy_active_is_left_alone(rig: Rig) -> None:
    played = rig.failover()
    assert (played.rc, played.outcome, played.result["changed"]) == (0, "not_confirmed", False)
    assert rig.running() == ["hub-a"] and rig.events("stop") == []


def test_check_mode_makes_no_write_call_and_plans_what_the_run_does(rig: Rig) -> None:
    rig.fault("hub-a", "product-kill")
    rig.clear_calls()
    plan = rig.failover("--check", "--diff")
    assert plan.rc == 0, plan.text
    writes = [call for call in rig.fresh_calls() if call["write"]]
    assert writes == [], writes
    assert all(call["action"].startswith(READS) for call in rig.fresh_calls())
    assert rig.running() == [] and rig.active() == "hub-a"
    moved = rig.failover()
    assert plan.steps() == moved.steps()
    assert (plan.result["active"], plan.result["epoch"]) == (moved.result["active"], moved.result["epoch"])


def test_held_by_a_person_is_no_failover(rig: Rig) -> None:
    stopped = rig.on("hub-a", "stop", "--reason", "patch night")
    assert (stopped["rc"], stopped["state"]) == (0, "stopped")
    played = rig.failover()
    assert (played.rc, played.outcome) == (0, "not_confirmed"), played.text
    assert "patch night" in played.text and rig.running() == []


@pytest.mark.parametrize("kind", ["agent-offline", "partition", "node-hang"])
def test_an_unreachable_active_with_nothing_else_known_moves_nothing(rig: Rig, kind: str) -> None:
    rig.fault("hub-a", kind)
    played = rig.failover()
    assert (played.rc != 0, played.outcome) == (True, "not_confirmed"), played.text
    assert "assume_down=true" in played.text
    assert "hub-b" not in rig.running() and rig.active() == "hub-a" and rig.power("hub-a") == "running"


def test_a_start_that_fails_rolls_back(rig: Rig) -> None:
    rig.fault("hub-b", "start-fails")
    played = rig.failover(mode="switchover")
    assert (played.rc != 0, played.outcome) == (True, "rolled_back"), played.text
    assert rig.running() == ["hub-a"] and rig.active() == "hub-a"


@pytest.mark.parametrize("kind", ["agent-offline", "unmount"])
def test_a_standby_that_cannot_take_over_stops_nothing(rig: Rig, kind: str) -> None:
    rig.fault("hub-b", kind)
    played = rig.failover(mode="switchover")
    assert (played.rc != 0, played.outcome) == (True, "refused"), played.text
    assert "hub-b" in played.text and "Nothing was stopped" in played.text
    assert rig.running() == ["hub-a"] and rig.events("stop") == []


def test_a_rebooted_active_starts_again_by_itself(rig: Rig) -> None:
    rig.fault("hub-a", "reboot")
    rig.until(lambda: rig.running() == ["hub-a"])


def test_strings_of_false_mean_false(rig: Rig) -> None:
    rig.fault("hub-a", "agent-offline")
    played = rig.failover(assume_down="false", allow_unfenced="False")
    assert (played.rc != 0, played.outcome) == (True, "not_confirmed")


def test_status_fits_on_one_screen_and_names_the_next_step(rig: Rig) -> None:
    played = rig.playbook("status")
    assert played.rc == 0
    for word in ("hub-a", "epoch", "Paused", "Next", "nothing"):
        assert word in played.text
    rig.fault("hub-a", "product-kill")
    told = rig.playbook("status")
    assert "ansible-playbook hotstandby.ops.failover" in told.text
    assert len(told.text.splitlines()) <= 40


def test_a_pause_refuses_others_with_its_reason(rig: Rig) -> None:
    assert (
        rig.playbook(
            "maintenance", "-e", json.dumps({"state": "paused", "reason": "storage work", "by": "akira"})
        ).rc
        == 0
    )
    rig.fault("hub-a", "product-kill")
    played = rig.failover(by="keiko")
    assert (played.rc != 0, played.outcome) == (True, "refused")
    assert "akira" in played.text and "storage work" in played.text
    assert rig.playbook("maintenance", "-e", "state=resumed").rc == 0
    assert rig.failover(by="keiko").outcome == "moved"
