# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses: read first, moved only when needed, under the lease, and read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import Evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.lease import LeaseLost
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import Node, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.redirect import (
    READS,
    Command,
    ElasticIp,
    lead,
    redirects_for,
)
from botocore.exceptions import EndpointConnectionError

from tests.simulation.aws import Clock, client_error
from tests.simulation.world import PAIR, World

A, B = Node("hub-a", "i-0aaaaaaaaaaaaaaaa"), Node("hub-b", "i-0bbbbbbbbbbbbbbbb")
LABEL = "elastic_ip eipalloc-0123456789abcdef0"


class Hold:
    def __init__(self) -> None:
        self.clock = Clock()
        self.readied = 0
        self.trouble: Exception | None = None

    def ready(self) -> None:
        self.readied += 1
        if self.trouble:
            raise self.trouble

    def pause(self, seconds: float) -> None:
        self.clock.sleep(seconds)


class Ec2:
    """One address. `reads` are what the next readings say before the truth is told."""

    def __init__(self, where: str | None = A.instance_id) -> None:
        self.where = where
        self.reads: list[Any] = []
        self.errors: list[Exception] = []
        self.writes = 0

    def describe_addresses(self, **arguments: Any) -> Any:
        assert arguments == {"AllocationIds": ["eipalloc-0123456789abcdef0"]}
        said = self.reads.pop(0) if self.reads else self.where
        if isinstance(said, Exception):
            raise said
        return {"Addresses": said if isinstance(said, list) else [{"InstanceId": said} if said else {}]}

    def associate_address(self, **arguments: Any) -> Any:
        assert arguments["AllowReassociation"] is True
        assert arguments["AllocationId"] == "eipalloc-0123456789abcdef0"
        self.writes += 1
        if self.errors:
            raise self.errors.pop(0)
        self.where = arguments["InstanceId"]
        return {}


def moved(ec2: Ec2, node: Node = B) -> tuple[Evidence, Hold]:
    hold = Hold()
    return lead(ElasticIp(lambda: ec2, "eipalloc-0123456789abcdef0"), node, hold), hold


def test_an_address_is_moved_and_read_back() -> None:
    ec2 = Ec2()
    found, hold = moved(ec2)
    assert (found.answer, found.source, found.detail) == ("yes", LABEL, f"points to {B.instance_id}")
    assert (ec2.where, ec2.writes, hold.readied) == (B.instance_id, 1, 1)
    assert hold.clock.now == 0, "no wait where none is needed"


def test_an_address_that_is_there_already_is_not_touched() -> None:
    ec2 = Ec2(B.instance_id)
    found, hold = moved(ec2)
    assert found.yes and (ec2.writes, hold.readied) == (0, 0)


def test_an_address_that_is_nowhere_is_moved() -> None:
    ec2 = Ec2(None)
    assert moved(ec2)[0].yes and ec2.writes == 1


@pytest.mark.parametrize(
    "first", [EndpointConnectionError(endpoint_url="x"), [], [{}, {}]], ids=["error", "none", "two"]
)
def test_an_address_that_cannot_be_read_at_first_is_moved_and_proven(first: Any) -> None:
    ec2 = Ec2()
    ec2.reads = [first]
    found, _hold = moved(ec2)
    assert found.yes and ec2.writes == 1


def test_a_read_back_that_is_an_old_one_is_read_again() -> None:
    ec2 = Ec2()
    ec2.reads = [A.instance_id] * 5
    found, hold = moved(ec2)
    assert found.yes and ec2.writes == 1 and 0.5 < hold.clock.now < 3


def test_an_address_that_does_not_follow_is_pending() -> None:
    ec2 = Ec2()
    ec2.reads = [A.instance_id] * (READS + 5)
    found, hold = moved(ec2)
    assert (found.answer, found.detail) == ("no", f"points to {A.instance_id}")
    assert hold.clock.now < 5


def test_a_read_back_that_fails_is_unknown() -> None:
    ec2 = Ec2()
    ec2.reads = [A.instance_id, *([EndpointConnectionError(endpoint_url="x")] * READS)]
    found, _hold = moved(ec2)
    assert found.answer == "unknown" and "DescribeAddresses" in found.detail
    ec2 = Ec2()
    ec2.reads = [A.instance_id, *([[]] * READS)]
    found, _hold = moved(ec2)
    assert (found.answer, found.detail) == ("unknown", "EC2 does not list this address")


def test_an_error_is_tried_three_times() -> None:
    error = client_error("InternalError", "AssociateAddress", 500)
    ec2 = Ec2()
    ec2.errors = [error, error]
    found, hold = moved(ec2)
    assert found.yes and (ec2.writes, hold.readied) == (3, 3)
    ec2 = Ec2()
    ec2.errors = [error] * 9
    found, _hold = moved(ec2)
    assert (found.answer, ec2.writes) == ("no", 3) and "InternalError" in found.detail


def test_an_error_whose_change_went_through_is_found_by_the_reading() -> None:
    ec2 = Ec2()

    def late(**arguments: Any) -> Any:
        ec2.writes += 1
        ec2.where = arguments["InstanceId"]
        raise EndpointConnectionError(endpoint_url="x")

    ec2.associate_address = late  # type: ignore[method-assign]
    assert moved(ec2)[0].yes


def test_a_lease_that_is_lost_while_an_address_moves_is_no_error_of_the_address() -> None:
    class Slow:
        label, tries = "command slow", 0

        def points_to(self, node: Node) -> Evidence:
            return Evidence("no", self.label)

        def point_to(self, node: Node, keep: Callable[[], None]) -> None:
            self.tries += 1
            keep()

    class Lost(Hold):
        def pause(self, seconds: float) -> None:
            raise LeaseLost("akira@other/1 took over")

    slow = Slow()
    with pytest.raises(LeaseLost):
        lead(slow, B, Lost())
    assert slow.tries == 1


def test_a_lost_lease_moves_nothing() -> None:
    ec2, hold = Ec2(), Hold()
    hold.trouble = LeaseLost("akira took it")
    with pytest.raises(LeaseLost):
        lead(ElasticIp(lambda: ec2, "eipalloc-0123456789abcdef0"), B, hold)
    assert ec2.writes == 0


# -- a command of the user's

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def make(text: str) -> str:
        path = tmp_path / f"script_{len(list(tmp_path.iterdir()))}"
        path.write_text(f"#!/bin/sh\nHERE={tmp_path}\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


MOVE = "echo move >> $HERE/moves; echo $1 > $HERE/where"
CHECK = '[ "$(cat $HERE/where 2>/dev/null)" = $1 ]'


def test_a_command_moves_and_its_check_reads(script: Script, tmp_path: Path) -> None:
    command = Command([script(MOVE), "{node}"], [script(CHECK), "{node}"], 10)
    hold = Hold()
    assert command.points_to(A).no
    found = lead(command, A, hold)
    assert found.yes and hold.readied == 1 and (tmp_path / "where").read_text() == "hub-a\n"
    assert lead(command, A, hold).yes
    assert (tmp_path / "moves").read_text().splitlines() == ["move"], "already there: no second one"
    assert command.points_to(B).no
    assert found.source.startswith("command ")


def test_both_names_are_filled_in(script: Script, tmp_path: Path) -> None:
    argv = [script('echo "$@" > $HERE/argv'), "{node}", "x={instance_id}", "{other}"]
    Command(argv, ["/bin/true"], 5).point_to(A, lambda: None)
    assert (tmp_path / "argv").read_text() == "hub-a x=i-0aaaaaaaaaaaaaaaa {other}\n"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("exit 0", "yes"),
        ("exit 1", "no"),
        ("exit 2", "unknown"),
        ("echo why >&2; exit 1", "no"),
        ("kill -9 $$", "unknown"),
    ],
)
def test_what_a_check_says(script: Script, text: str, answer: str) -> None:
    assert Command(["/bin/true"], [script(text)], 5).points_to(A).answer == answer


def test_a_check_that_is_missing_or_hangs_is_unknown(script: Script, tmp_path: Path) -> None:
    missing = Command(["/bin/true"], [str(tmp_path / "none")], 5).points_to(A)
    assert missing.answer == "unknown" and "No such file" in missing.detail
    began = time.monotonic()
    assert Command(["/bin/true"], [script("exec sleep 60")], 0.3).points_to(A).answer == "unknown"
    assert time.monotonic() - began < 40


def test_a_command_that_fails_says_how(script: Script) -> None:
    command = Command([script("echo no route >&2; exit 4")], ["/bin/false"], 5)
    with pytest.raises(RuntimeError, match="ended with 4: no route"):
        command.point_to(A, lambda: None)
    found = lead(command, A, Hold())
    assert found.no and "no route" in found.detail


def test_the_lease_is_kept_while_a_command_moves_the_address(script: Script) -> None:
    kept: list[int] = []
    Command([script("sleep 1.2")], ["/bin/true"], 5).point_to(A, lambda: kept.append(1))
    assert kept


# -- the pair's list


def test_a_pairs_addresses_in_their_order_each_with_a_label_of_its_own() -> None:
    """`pending` and the screen know an address by its label alone."""
    command = {"kind": "command", "command": ["/bin/move", "1"], "check": ["/bin/check"]}
    raw = [
        *PAIR["redirect"],
        command,
        {**command, "command": ["/bin/move", "2"], "timeout": 3},
        *PAIR["redirect"],
    ]
    labels = [item.label for item in redirects_for(parse_pair({**PAIR, "redirect": raw}), lambda: None)]
    assert labels[:2] == [LABEL, "command /bin/move"]
    assert (
        len(set(labels)) == 4 and labels[2].startswith("command /bin/move ") and labels[3].startswith(LABEL)
    )


def test_two_addresses_of_which_one_stays_behind() -> None:
    """The one that moved is not touched again when the other is paid."""
    entries = [*PAIR["redirect"], {"kind": "command", "command": ["/bin/false"], "check": ["/bin/false"]}]
    world = World(redirect=entries).steady()
    world.product(world.nodes["hub-a"], "stopped")
    result = world.run()
    assert (result.outcome, result.pending) == ("degraded", ("command /bin/false",))
    assert world.address == B.instance_id
    world.network.calls.clear()
    assert world.run(to="hub-b").outcome == "degraded"
    assert "ec2:AssociateAddress" not in world.network.names()
