# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member of a target group, against a strict double of ELB: what is waited for, what is refused, what is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.members import Group, MemberError

ARN = "arn:aws:elasticloadbalancing:r:1:targetgroup/warp/1"


class Elb:
    """Targets drain for `drain` looks, and become healthy after `rise` looks. Time goes by in sleeps."""

    def __init__(self, *healthy: str, drain: int = 2, rise: int = 2) -> None:
        self.drain, self.rise, self.now = drain, rise, 0.0
        self.states: dict[tuple[str, int], list[str]] = {(name, 80): ["healthy"] for name in healthy}
        self.writes: list[tuple[str, str]] = []
        self.rival = ""  # taken out by somebody else at the same moment

    def describe_target_health(self, TargetGroupArn: str) -> dict[str, Any]:
        assert TargetGroupArn == ARN
        listed = []
        for (ident, port), states in list(self.states.items()):
            if states[0] == "gone":
                del self.states[ident, port]
                continue
            health = {"State": states[0], **({"Reason": states[0]} if "." in states[0] else {})}
            if "." in states[0]:
                health["State"] = "unused"
            listed.append({"Target": {"Id": ident, "Port": port}, "TargetHealth": health})
            if len(states) > 1:
                states.pop(0)
        return {"TargetHealthDescriptions": listed}

    def deregister_targets(self, TargetGroupArn: str, Targets: list[dict[str, Any]]) -> None:
        for item in Targets:
            self.writes.append(("out", item["Id"]))
            self.states[item["Id"], item["Port"]] = ["draining"] * self.drain + ["gone"]
        if self.rival:
            self.states[self.rival, 80] = ["draining"] * 9

    def register_targets(self, TargetGroupArn: str, Targets: list[dict[str, Any]]) -> None:
        for item in Targets:
            self.writes.append(("in", item["Id"]))
            self.states[item["Id"], item.get("Port", 80)] = ["initial"] * self.rise + ["healthy"]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def group(self) -> Group:
        return Group(self, ARN, lambda: self.now, self.sleep)


def test_it_is_drained_before_it_counts_as_out_and_healthy_before_it_counts_as_in() -> None:
    elb = Elb("a", "b", drain=4, rise=3)
    told = elb.group().leave("a", None, 1, 60)
    assert (told.changed, told.states, told.others) == (True, (), ("b",)) and elb.now == 8.0
    assert not elb.group().leave("a", 80, 1, 60).changed
    told = elb.group().join("a", 80, 60)
    assert (told.changed, told.states) == (True, ("healthy",)) and elb.writes == [("out", "a"), ("in", "a")]
    assert not elb.group().join("a", None, 60).changed and len(elb.writes) == 2


def test_check_mode_writes_nothing_and_waits_for_nothing() -> None:
    elb = Elb("a", "b")
    assert elb.group().leave("a", None, 1, 60, check=True).changed
    assert not elb.group().join("a", None, 60, check=True).changed
    assert elb.group().join("c", None, 60, check=True).changed
    assert elb.writes == [] and elb.now == 0


def test_the_last_healthy_one_is_not_taken_out_even_when_two_are_at_once() -> None:
    elb = Elb("a")
    elb.states["b", 80] = ["unhealthy"]
    with pytest.raises(MemberError, match=r"0 other healthy targets .none., 1 are needed") as found:
        elb.group().leave("a", None, 1, 60)
    assert elb.writes == [] and found.value.code == "member_too_few"
    elb = Elb("a", "b")
    elb.rival = "b"
    with pytest.raises(MemberError, match="It was put back at once"):
        elb.group().leave("a", None, 1, 60)
    assert elb.writes == [("out", "a"), ("in", "a")]
    assert Elb("a").group().leave("a", None, 0, 60).changed


def test_what_does_not_come_is_told_in_time() -> None:
    elb = Elb("a", "b", drain=1000)
    with pytest.raises(MemberError, match="still drains after 30 s") as found:
        elb.group().leave("a", None, 1, 30)
    assert elb.now == 30 and found.value.code == "member_draining"
    # it is out already: waiting goes on, whoever else is healthy
    elb.states["b", 80] = ["unhealthy"]
    with pytest.raises(MemberError, match="still drains"):
        elb.group().leave("a", None, 1, 30)
    # and may be put back while it drains
    assert elb.group().join("a", 80, 30).changed
    elb = Elb(rise=1000)
    with pytest.raises(MemberError, match="in the group and initial after 10 s"):
        elb.group().join("a", None, 10)
    elb.states["a", 80] = ["Target.NotInUse"]
    with pytest.raises(MemberError, match="no load balancer uses this group"):
        elb.group().join("a", None, 10)
