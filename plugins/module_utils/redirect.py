# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How clients find the active node. Each kind reads, changes, and reads back; more kinds are one class each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Protocol

from .clients import ClientMaker, explain
from .evidence import NO, UNKNOWN, YES, Evidence
from .fencing import Holding, Keep, Runner, dry_run, filled, run_agent
from .lease import LeaseLost
from .pair import Node, PairSpec
from .record import StoreError
from .redirect_aws import PrivateIp, Route53, RouteTable, TargetGroup

READS = 8  # reads after a change, before it counts as pending


class Redirect(Protocol):
    """One address. `label` names it in `pending` and on the screen."""

    label: str

    def points_to(self, node: Node) -> Evidence:
        """Whether clients are led to this node now."""

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """Whether the caller could lead clients there, asked without doing it; None where the service has no dry run."""

    def point_to(self, node: Node, keep: Keep) -> None:
        """Lead clients to this node; `keep` keeps the lease meanwhile. Raises whatever the call raises."""


class ElasticIp:
    """An Elastic IP address. AssociateAddress has no compare-and-swap: only under the lease, and read back."""

    def __init__(self, ec2: Callable[[], Any], allocation_id: str) -> None:
        self._ec2 = ec2
        self._allocation_id = allocation_id
        self.label = f"elastic_ip {allocation_id}"

    def points_to(self, node: Node) -> Evidence:
        """Read the address."""
        try:
            found = self._ec2().describe_addresses(AllocationIds=[self._allocation_id])
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "EC2 DescribeAddresses"))
        addresses = found.get("Addresses", [])
        if len(addresses) != 1:
            return Evidence(UNKNOWN, self.label, "EC2 does not list this address")
        where = addresses[0].get("InstanceId") or "nothing"
        return Evidence(YES if where == node.instance_id else NO, self.label, f"points to {where}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """A dry run of AssociateAddress."""
        return dry_run("EC2, dry run", "AssociateAddress", lambda: self._associate(node, DryRun=True))

    def point_to(self, node: Node, keep: Keep) -> None:
        """Associate it with the node, away from wherever it is."""
        self._associate(node)

    def _associate(self, node: Node, **more: Any) -> None:
        self._ec2().associate_address(
            AllocationId=self._allocation_id, InstanceId=node.instance_id, AllowReassociation=True, **more
        )


class Command:
    """A command of the user's: `command` moves the address, `check` ends with 0 when it is there and 1 when not.

    `{node}` and `{instance_id}` in the arguments are replaced. Both run where the move runs.
    """

    def __init__(
        self, command: Sequence[str], check: Sequence[str], timeout: float, runner: Runner = run_agent
    ) -> None:
        self._command = tuple(command)
        self._check = tuple(check)
        self._timeout = timeout
        self._run = runner
        self.label = f"command {self._command[0]}"

    def points_to(self, node: Node) -> Evidence:
        """Run the check."""
        rc, said = self._run(filled(self._check, _names(node)), self._timeout, lambda: None)
        answer = {0: YES, 1: NO}.get(-1 if rc is None else rc, UNKNOWN)
        return Evidence(answer, self.label, said or f"check ended with {rc}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """Nobody knows but the command itself."""
        return None

    def point_to(self, node: Node, keep: Keep) -> None:
        """Run the command. Raises RuntimeError when it does not end with 0."""
        rc, said = self._run(filled(self._command, _names(node)), self._timeout, keep)
        if rc != 0:
            raise RuntimeError(f"{self._command[0]} ended with {rc}: {said}")


def _names(node: Node) -> dict[str, str]:
    return {"node": node.name, "instance_id": node.instance_id}


def _made(pair: PairSpec, entry: Mapping[str, Any], client: ClientMaker) -> Redirect:
    def ec2() -> Any:
        return client("ec2")

    kind = entry["kind"]
    if kind == "elastic_ip":
        return ElasticIp(ec2, entry["allocation_id"])
    if kind == "private_ip":
        return PrivateIp(ec2, pair, entry["address"])
    if kind == "route_table":
        return RouteTable(ec2, entry)
    if kind == "route53":
        return Route53(lambda: client("route53"), ec2, entry)
    if kind == "target_group":
        return TargetGroup(lambda: client("elbv2"), pair, entry)
    return Command(entry["command"], entry["check"], float(entry.get("timeout", 30)))


def redirects_for(pair: PairSpec, client: ClientMaker) -> list[Redirect]:
    """The pair's addresses, in the order in which they move, each with a label of its own. `client` is asked when one is needed."""
    made: list[Redirect] = []
    labels: dict[str, int] = {}
    for entry in pair.redirect:
        made.append(_made(pair, entry, client))
        label = made[-1].label
        labels[label] = labels.get(label, 0) + 1
        if labels[label] > 1:
            made[-1].label = f"{label} ({labels[label]})"
    return made


def lead(redirect: Redirect, node: Node, holding: Holding) -> Evidence:
    """Move one address to a node under the lease, and read it back. Unknown and no both mean: still pending."""
    found = redirect.points_to(node)
    if found.yes:
        return found
    trouble = ""
    for attempt in range(3):
        holding.ready()
        try:
            redirect.point_to(node, lambda: holding.pause(0))
            trouble = ""
            break
        except (LeaseLost, StoreError):
            raise  # not this run's business any more
        except Exception as error:
            trouble = explain(error, redirect.label)
            holding.pause(0.3 * (attempt + 1))
    for attempt in range(1 if trouble else READS):
        found = redirect.points_to(node)
        if found.yes:
            return found
        holding.pause(0.1 * (attempt + 1))
    return Evidence(found.answer, redirect.label, trouble or found.detail)
