# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether EC2 could fence: the exact questions, and each answer with its source."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import NO, UNKNOWN, YES, Evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import Ec2Fence
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import Node

from tests.simulation.aws import client_error

NODE = Node("hub-a", "i-0aaaaaaaaaaaaaaaa")
SOURCE = "EC2 checks of i-0aaaaaaaaaaaaaaaa"
ONE = {"Reservations": [{"Instances": [{"InstanceId": NODE.instance_id}]}]}
MAY = client_error("DryRunOperation", "StopInstances", 412)


class Ec2:
    """Answers each of the three questions as told, and notes them."""

    def __init__(self, found: Any = None, attribute: Any = None, dry: Any = MAY) -> None:
        self.told = {
            "found": ONE if found is None else found,
            "attribute": {} if attribute is None else attribute,
            "dry": dry,
        }
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def _say(self, name: str, arguments: dict[str, Any]) -> Any:
        self.calls.append((name, arguments))
        if isinstance(self.told[name], Exception):
            raise self.told[name]
        return self.told[name]

    def describe_instances(self, **arguments: Any) -> Any:
        return self._say("found", arguments)

    def describe_instance_attribute(self, **arguments: Any) -> Any:
        return self._say("attribute", arguments)

    def stop_instances(self, **arguments: Any) -> Any:
        return self._say("dry", arguments)


def able(ec2: Ec2) -> Evidence:
    return Ec2Fence(lambda: ec2, 60).can_work(NODE)


def test_the_three_questions_are_about_this_instance_and_stop_nothing() -> None:
    ec2 = Ec2()
    assert able(ec2) == Evidence(YES, SOURCE, "StopInstances is allowed")
    assert ec2.calls == [
        ("found", {"InstanceIds": [NODE.instance_id]}),
        ("attribute", {"InstanceId": NODE.instance_id, "Attribute": "disableApiStop"}),
        ("dry", {"InstanceIds": [NODE.instance_id], "Force": True, "DryRun": True}),
    ]


@pytest.mark.parametrize(
    "found", [{}, {"Reservations": []}, {"Reservations": [{}]}, {"Reservations": [{"Instances": []}]}]
)
def test_an_instance_that_is_not_listed_is_unknown(found: Any) -> None:
    ec2 = Ec2(found)
    assert able(ec2) == Evidence(UNKNOWN, SOURCE, "EC2 does not list this instance")
    assert len(ec2.calls) == 1, "nothing more is asked"


def test_an_instance_that_would_be_replaced_is_told_with_its_obstacle() -> None:
    found = {"Reservations": [{"Instances": [{"InstanceLifecycle": "spot"}]}]}
    assert able(Ec2(found)) == Evidence(NO, SOURCE, "it is a Spot instance")


@pytest.mark.parametrize("attribute", [{}, {"DisableApiStop": {}}, {"DisableApiStop": {"Value": False}}])
def test_without_stop_protection_it_may_be_stopped(attribute: Any) -> None:
    assert able(Ec2(attribute=attribute)).yes


def test_stop_protection_is_told() -> None:
    found = able(Ec2(attribute={"DisableApiStop": {"Value": True}}))
    assert found == Evidence(NO, SOURCE, "stop protection is on (disableApiStop)")


@pytest.mark.parametrize("which", ["found", "attribute"])
def test_a_question_that_fails_is_no_where_it_always_will_and_unknown_else(which: str) -> None:
    for code, answer in (
        ("UnauthorizedOperation", NO),
        ("InvalidInstanceID.Malformed", NO),
        ("InternalError", UNKNOWN),
    ):
        found = able(Ec2(**{which: client_error(code, "Describe")}))
        assert (found.answer, found.source) == (answer, SOURCE)
        assert found.detail.startswith("EC2: ") and code in found.detail


def test_a_dry_run_that_fails_says_that_it_was_one() -> None:
    for code, answer in (("UnauthorizedOperation", NO), ("InternalError", UNKNOWN)):
        found = able(Ec2(dry=client_error(code, "StopInstances")))
        assert (found.answer, found.source) == (answer, SOURCE)
        assert found.detail.startswith("EC2 StopInstances (dry run): ") and code in found.detail
    assert able(Ec2(dry={})) == Evidence(UNKNOWN, SOURCE, "the dry run gave no answer")
