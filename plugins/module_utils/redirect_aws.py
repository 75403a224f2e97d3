# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's own ways beside an Elastic IP: a secondary private address, a route, a name in Route 53, a target group.

Each reads both nodes' sides, so that an address on two nodes, or on none, is never taken for one that has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

from .clients import explain
from .evidence import NO, UNKNOWN, YES, Evidence
from .fencing import NOT_LISTED, Keep, dry_run
from .pair import Node, PairSpec

Client = Callable[[], Any]
GOING = ("draining", "unused")  # states of a target that gets no new connections
COMMENT = "hotstandby.ops"


class PrivateIp:
    """A secondary private address, moved between the primary interfaces of the two nodes (one subnet).

    The system on each node must carry the address beside its own, or be told by its network's configuration.
    """

    def __init__(self, ec2: Client, pair: PairSpec, address: str) -> None:
        self._ec2 = ec2
        self._ids = [node.instance_id for node in pair.nodes]
        self._address = address
        self.label = f"private_ip {address}"

    def points_to(self, node: Node) -> Evidence:
        """Read both nodes' interfaces."""
        try:
            interfaces = self._interfaces(self._ids)
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "EC2 DescribeNetworkInterfaces"))
        holders = sorted({owner for owner, item in interfaces if self._address in _addresses(item)})
        if len(holders) > 1:
            return Evidence(UNKNOWN, self.label, f"is on both nodes: {', '.join(holders)}")
        where = holders[0] if holders else "neither node"
        return Evidence(YES if holders == [node.instance_id] else NO, self.label, f"is on {where}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """AssignPrivateIpAddresses has no dry run."""
        return None

    def point_to(self, node: Node, keep: Keep) -> None:
        """Assign it to the node's primary interface, away from wherever it is. Raises RuntimeError without one."""
        found = [item for _owner, item in self._interfaces([node.instance_id]) if _index(item) == 0]
        if len(found) != 1:
            raise RuntimeError(f"EC2 lists no primary network interface of {node.instance_id}")
        self._ec2().assign_private_ip_addresses(
            NetworkInterfaceId=found[0]["NetworkInterfaceId"],
            PrivateIpAddresses=[self._address],
            AllowReassignment=True,
        )

    def _interfaces(self, ids: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
        """(instance id, interface) of all interfaces of these instances."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        arguments: dict[str, Any] = {"Filters": [{"Name": "attachment.instance-id", "Values": ids}]}
        while True:
            page = self._ec2().describe_network_interfaces(**arguments)
            for item in page.get("NetworkInterfaces", []):
                owner = (item.get("Attachment") or {}).get("InstanceId")
                if owner in ids:
                    found.append((owner, item))
            if not page.get("NextToken"):
                return found
            arguments["NextToken"] = page["NextToken"]


def _addresses(interface: Mapping[str, Any]) -> list[Any]:
    return [item.get("PrivateIpAddress") for item in interface.get("PrivateIpAddresses") or []]


def _index(interface: Mapping[str, Any]) -> Any:
    return (interface.get("Attachment") or {}).get("DeviceIndex")


class RouteTable:
    """A route of one table, usually to an address outside of the network (10.99.0.1/32), that leads to the active node.

    It works across zones. Both nodes carry the address, and their interfaces' source/destination check is off.
    """

    def __init__(self, ec2: Client, entry: Mapping[str, Any]) -> None:
        self._ec2 = ec2
        self._table, self._destination = str(entry["route_table_id"]), str(entry["destination"])
        self.label = f"route_table {self._table} {self._destination}"

    def points_to(self, node: Node) -> Evidence:
        """Read the table. A route to a stopped instance (blackhole) leads to it all the same."""
        try:
            route = self._route()
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "EC2 DescribeRouteTables"))
        if route is None:
            return Evidence(NO, self.label, "there is no such route")
        where = route.get("InstanceId")
        if not where:
            return Evidence(UNKNOWN, self.label, "the route leads to something that is no instance")
        return Evidence(YES if where == node.instance_id else NO, self.label, f"leads to {where}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """A dry run of ReplaceRoute, or of CreateRoute while there is none."""
        try:
            route = self._route()
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "EC2 DescribeRouteTables"))
        call = "CreateRoute" if route is None else "ReplaceRoute"
        return dry_run("EC2, dry run", call, lambda: self._write(route, node, DryRun=True))

    def point_to(self, node: Node, keep: Keep) -> None:
        """Replace the route, or make it. Raises RuntimeError when it leads to something else than an instance."""
        route = self._route()
        if route is not None and not route.get("InstanceId"):
            raise RuntimeError("the route leads to something that is no instance")  # not ours to write over
        keep()
        self._write(route, node)

    def _write(self, route: Optional[Mapping[str, Any]], node: Node, **more: Any) -> None:
        write = self._ec2().create_route if route is None else self._ec2().replace_route
        write(
            RouteTableId=self._table,
            DestinationCidrBlock=self._destination,
            InstanceId=node.instance_id,
            **more,
        )

    def _route(self) -> Optional[Mapping[str, Any]]:
        found = self._ec2().describe_route_tables(RouteTableIds=[self._table])
        for table in found.get("RouteTables", []):
            for route in table.get("Routes", []):
                if route.get("DestinationCidrBlock") == self._destination:
                    return dict(route)
        return None


class Route53:
    """A simple A record that names the active node's private (or public) address.

    Clients follow when their resolvers' copies are older than `ttl` seconds; Route 53's control plane lives in one
    region: prefer an address or a target group where a failure must be left within seconds.
    """

    def __init__(self, route53: Client, ec2: Client, entry: Mapping[str, Any]) -> None:
        self._route53 = route53
        self._ec2 = ec2
        self._zone = str(entry["zone_id"])
        self._record = str(entry["record"]).rstrip(".").lower()
        self._ttl = int(entry.get("ttl", 10))
        self._which = "PublicIpAddress" if entry.get("address") == "public" else "PrivateIpAddress"
        self.label = f"route53 {self._record}"

    def points_to(self, node: Node) -> Evidence:
        """Read the record set and the node's address."""
        try:
            wanted = self._address(node)
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "EC2 DescribeInstances"))
        try:
            page = self._route53().list_resource_record_sets(
                HostedZoneId=self._zone, StartRecordName=self._record, StartRecordType="A", MaxItems="1"
            )
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "Route 53 ListResourceRecordSets"))
        found = [item for item in page.get("ResourceRecordSets", []) if self._is_ours(item)]
        if not found:
            return Evidence(NO, self.label, "there is no such record")
        trouble = self._not_simple(found[0])
        if trouble:
            return Evidence(UNKNOWN, self.label, trouble)
        values = sorted(str(item["Value"]) for item in found[0].get("ResourceRecords", []))
        if wanted is None:
            return Evidence(
                UNKNOWN, self.label, f"names {', '.join(values)}; {node.instance_id} has no address"
            )
        return Evidence(YES if values == [wanted] else NO, self.label, f"names {', '.join(values)}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """Route 53 has no dry run."""
        return None

    def point_to(self, node: Node, keep: Keep) -> None:
        """Write the record. Raises RuntimeError when the node has no address, or the record is another kind of thing."""
        wanted = self._address(node)
        if wanted is None:
            raise RuntimeError(f"EC2 lists no {self._which} of {node.instance_id}")
        found = self.points_to(node)
        if found.answer == UNKNOWN:
            raise RuntimeError(found.detail)  # never written over something that is not ours
        keep()
        record = {
            "Name": self._record,
            "Type": "A",
            "TTL": self._ttl,
            "ResourceRecords": [{"Value": wanted}],
        }
        self._route53().change_resource_record_sets(
            HostedZoneId=self._zone,
            ChangeBatch={"Comment": COMMENT, "Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
        )

    def _address(self, node: Node) -> Optional[str]:
        found = self._ec2().describe_instances(InstanceIds=[node.instance_id])
        for group in found.get("Reservations", []):
            for instance in group.get("Instances", []):
                if instance.get("InstanceId") == node.instance_id:
                    return instance.get(self._which) or None
        raise RuntimeError(NOT_LISTED)

    def _is_ours(self, item: Mapping[str, Any]) -> bool:
        return item.get("Type") == "A" and str(item.get("Name", "")).rstrip(".").lower() == self._record

    @staticmethod
    def _not_simple(item: Mapping[str, Any]) -> str:
        """Why this record set is none that may be written over; empty when it is a simple one."""
        if item.get("SetIdentifier"):
            return "the record has a routing policy (SetIdentifier): it must be a simple one"
        return "the record is an alias: it must be a simple one" if item.get("AliasTarget") else ""


class TargetGroup:
    """A load balancer's target group (of instances) that holds the active node alone.

    A target group that holds both nodes and asks `hotstandby serve` (GET /active) needs no redirect at all.
    """

    def __init__(self, elbv2: Client, pair: PairSpec, entry: Mapping[str, Any]) -> None:
        self._elbv2 = elbv2
        self._ids = [node.instance_id for node in pair.nodes]
        self._arn = str(entry["target_group_arn"])
        self._port = entry.get("port")
        self.label = f"target_group {self._arn.rpartition(':targetgroup/')[2].partition('/')[0]}"

    def points_to(self, node: Node) -> Evidence:
        """Read the targets; only the two nodes count."""
        try:
            targets = self._targets()
        except Exception as error:
            return Evidence(UNKNOWN, self.label, explain(error, "ELB DescribeTargetHealth"))
        serving = sorted({ident for ident, _port, state in targets if state not in GOING})
        told = ", ".join(f"{ident} {state}" for ident, _port, state in targets) or "neither node"
        return Evidence(YES if serving == [node.instance_id] else NO, self.label, f"holds {told}")

    def may_point_to(self, node: Node) -> Optional[Evidence]:
        """Load balancers have no dry run."""
        return None

    def point_to(self, node: Node, keep: Keep) -> None:
        """Register the node, then deregister the other one, which is proven stopped by now."""
        target = {"Id": node.instance_id, **({"Port": self._port} if self._port else {})}
        self._elbv2().register_targets(TargetGroupArn=self._arn, Targets=[target])
        others = [
            {"Id": ident, **({"Port": port} if port else {})}
            for ident, port, state in self._targets()
            if ident != node.instance_id and state not in GOING
        ]
        if others:
            keep()
            self._elbv2().deregister_targets(TargetGroupArn=self._arn, Targets=others)

    def _targets(self) -> list[tuple[str, Any, str]]:
        """(instance id, port, state of health) of those targets that are nodes of this pair."""
        found = self._elbv2().describe_target_health(TargetGroupArn=self._arn)
        return [
            (item["Target"]["Id"], item["Target"].get("Port"), str(item.get("TargetHealth", {}).get("State")))
            for item in found.get("TargetHealthDescriptions", [])
            if item["Target"]["Id"] in self._ids
        ]
