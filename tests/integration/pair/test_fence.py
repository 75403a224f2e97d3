# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof when the node itself gives none: fenced first, then started; unfinished or broken when that cannot be."""

from __future__ import annotations

import pytest

from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def test_stop_ignored_is_fenced_before_the_start(rig: Rig) -> None:
    rig.fault("hub-a", "product-hang")
    rig.fault("hub-a", "stop-ignored")
    moved = rig.failover()
    assert (moved.rc, moved.outcome) == (0, "moved"), moved.text
    assert "fence" in moved.steps() and rig.power("hub-a") == "stopped"
    assert rig.running() == ["hub-b"]


def test_fencing_without_an_api_is_unfinished_and_the_same_command_finishes(rig: Rig) -> None:
    rig.fault("hub-a", "node-hang")
    rig.fault("aws", "ec2-down")
    first = rig.failover(assume_down="true")
    assert (first.rc != 0, first.outcome) == (True, "unfinished"), first.text
    assert rig.active() is None and "hub-b" not in rig.running()
    rig.fault("aws", "clear")
    second = rig.failover(assume_down="true")
    assert (second.rc, second.outcome) == (0, "moved"), second.text
    assert rig.running() == ["hub-b"] and rig.power("hub-a") == "stopped"


def test_fencing_refused_for_good_is_broken_and_to_leads_out(rig: Rig) -> None:
    instance = rig.info["nodes"]["hub-a"]["instance_id"]
    rig.client("ec2").modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
    rig.fault("hub-a", "node-hang")
    played = rig.failover(assume_down="true")
    assert (played.rc != 0, played.outcome) == (True, "broken"), played.text
    assert "hotstandby.ops.failover -e to=hub-b" in played.text
    assert rig.active() is None and "hub-b" not in rig.running()
    rig.client("ec2").modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    out = rig.failover(to="hub-b")
    assert (out.rc, out.outcome) == (0, "moved"), out.text
    assert rig.running() == ["hub-b"]


def test_a_fenced_node_that_boots_again_starts_nothing(rig: Rig) -> None:
    rig.fault("hub-a", "node-hang")
    assert rig.failover(assume_down="true").outcome == "moved"
    rig.client("ec2").start_instances(InstanceIds=[rig.info["nodes"]["hub-a"]["instance_id"]])
    rig.until(lambda: rig.power("hub-a") == "running")
    rig.until(lambda: "hub-a" in rig.answering())
    assert rig.running() == ["hub-b"]
    assert [node for node, _event in rig.events("start")] == ["hub-a", "hub-b"]


def test_assume_down_fences_first(rig: Rig) -> None:
    rig.fault("hub-a", "partition")
    played = rig.failover(assume_down="true")
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    steps = played.steps()
    assert steps.index("fence") < steps.index("promote") and rig.power("hub-a") == "stopped"
    assert rig.running() == ["hub-b"]


def test_power_off_is_proven(rig: Rig) -> None:
    rig.fault("hub-a", "power-off")
    played = rig.failover()
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert rig.running() == ["hub-b"]


def test_a_command_that_never_ends_is_fenced(rig: Rig) -> None:
    rig.fault("hub-a", "product-kill")
    rig.fault("hub-a", "agent-lost")
    played = rig.failover(assume_down="true")
    assert (played.rc, played.outcome) == (0, "moved"), played.text
    assert rig.power("hub-a") == "stopped" and rig.running() == ["hub-b"]
