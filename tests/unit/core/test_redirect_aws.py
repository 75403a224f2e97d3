# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private address, a name in Route 53, a target group: read on both nodes, moved under the lease, read back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.evidence import Evidence
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import PairError, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.redirect import lead, redirects_for
from botocore.exceptions import EndpointConnectionError

from tests.simulation.aws import Clock, client_error
from tests.simulation.world import PAIR

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
ARN = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/hub/0123456789abcdef"
ENTRIES: dict[str, dict[str, Any]] = {
    "private_ip": {"kind": "private_ip", "address": "10.0.0.10"},
    "route_table": {
        "kind": "route_table",
        "route_table_id": "rtb-0123456789abcdef0",
        "destination": "10.99.0.1/32",
    },
    "route53": {"kind": "route53", "zone_id": "Z1", "record": "Hub.example.internal", "ttl": 5},
    "target_group": {"kind": "target_group", "target_group_arn": ARN},
}
DOWN = EndpointConnectionError(endpoint_url="x")


class Hold:
    def __init__(self) -> None:
        self.clock = Clock()
        self.readied = 0

    def ready(self) -> None:
        self.readied += 1

    def pause(self, seconds: float) -> None:
        self.clock.sleep(seconds)


class Aws:
    """All three services in one; every write is counted."""

    def __init__(self) -> None:
        self.holders = [A]  # instances that carry the secondary address
        self.addresses: dict[str, str | None] = {A: "10.0.0.1", B: "10.0.0.2"}
        self.route: dict[str, str] | None = {"InstanceId": A}
        self.record: dict[str, Any] | None = {
            "Name": "hub.example.internal.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "10.0.0.1"}],
        }  # fmt: skip
        self.targets: dict[str, str] = {A: "healthy", "i-0cccccccccccccccc": "healthy"}
        self.writes: list[str] = []
        self.reading: Exception | None = None
        self.writing: Exception | None = None

    def _read(self) -> None:
        if self.reading:
            raise self.reading

    def _write(self, name: str) -> None:
        self.writes.append(name)
        if self.writing:
            raise self.writing

    def describe_network_interfaces(self, **arguments: Any) -> Any:
        self._read()
        assert arguments["Filters"][0]["Name"] == "attachment.instance-id"
        return {
            "NetworkInterfaces": [
                {
                    "NetworkInterfaceId": f"eni-{ident}",
                    "Attachment": {"InstanceId": ident, "DeviceIndex": 0},
                    "PrivateIpAddresses": [
                        {"PrivateIpAddress": self.addresses[ident]},
                        *([{"PrivateIpAddress": "10.0.0.10"}] if ident in self.holders else []),
                    ],
                }
                for ident in arguments["Filters"][0]["Values"]
            ]
        }

    def assign_private_ip_addresses(self, **arguments: Any) -> None:
        self._write("assign")
        assert arguments["AllowReassignment"] is True and arguments["PrivateIpAddresses"] == ["10.0.0.10"]
        self.holders = [arguments["NetworkInterfaceId"][4:]]

    def describe_route_tables(self, **arguments: Any) -> Any:
        self._read()
        assert arguments == {"RouteTableIds": ["rtb-0123456789abcdef0"]}
        routes = [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}]
        if self.route is not None:
            routes.append({"DestinationCidrBlock": "10.99.0.1/32", **self.route})
        return {"RouteTables": [{"Routes": routes}]}

    def _dry(self, name: str, arguments: dict[str, Any]) -> None:
        if arguments.get("DryRun"):
            raise self.writing or client_error("DryRunOperation", name, 412)

    def replace_route(self, **arguments: Any) -> None:
        self._dry("ReplaceRoute", arguments)
        self._write("replace")
        assert self.route is not None, "there is nothing to replace"
        self._routed(arguments)

    def create_route(self, **arguments: Any) -> None:
        self._dry("CreateRoute", arguments)
        self._write("create")
        assert self.route is None, "RouteAlreadyExists"
        self._routed(arguments)

    def _routed(self, arguments: dict[str, Any]) -> None:
        assert (arguments["RouteTableId"], arguments["DestinationCidrBlock"]) == (
            "rtb-0123456789abcdef0",
            "10.99.0.1/32",
        )
        self.route = {"InstanceId": arguments["InstanceId"]}

    def describe_instances(self, **arguments: Any) -> Any:
        self._read()
        ident = arguments["InstanceIds"][0]
        found = {"InstanceId": ident, "PrivateIpAddress": self.addresses[ident]}
        return {"Reservations": [{"Instances": [found]}]}

    def list_resource_record_sets(self, **arguments: Any) -> Any:
        self._read()
        assert (arguments["HostedZoneId"], arguments["StartRecordName"]) == ("Z1", "hub.example.internal")
        other = {"Name": "z.example.internal.", "Type": "A", "ResourceRecords": [{"Value": "10.0.0.2"}]}
        return {"ResourceRecordSets": [self.record or other]}

    def change_resource_record_sets(self, **arguments: Any) -> None:
        self._write("change")
        (change,) = arguments["ChangeBatch"]["Changes"]
        assert change["Action"] == "UPSERT" and change["ResourceRecordSet"]["TTL"] == 5
        self.record = {**change["ResourceRecordSet"], "Name": "hub.example.internal."}

    def describe_target_health(self, **arguments: Any) -> Any:
        self._read()
        assert arguments == {"TargetGroupArn": ARN}
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": ident, "Port": 80}, "TargetHealth": {"State": state}}
                for ident, state in self.targets.items()
            ]
        }

    def register_targets(self, **arguments: Any) -> None:
        self._write("register")
        self.targets[arguments["Targets"][0]["Id"]] = "initial"

    def deregister_targets(self, **arguments: Any) -> None:
        self._write("deregister")
        for target in arguments["Targets"]:
            self.targets[target["Id"]] = "draining"


def moved(aws: Aws, kind: str) -> tuple[Evidence, Hold]:
    pair = parse_pair({**PAIR, "redirect": [ENTRIES[kind]]})
    hold = Hold()
    (redirect,) = redirects_for(pair, lambda _service: aws)
    assert redirect.label.startswith(kind)
    return lead(redirect, pair.node("hub-b"), hold), hold


@pytest.mark.parametrize("kind", ENTRIES)
def test_it_is_moved_read_back_and_not_touched_again(kind: str) -> None:
    aws = Aws()
    found, hold = moved(aws, kind)
    assert found.yes and hold.readied == 1, found
    writes = list(aws.writes)
    assert writes and moved(aws, kind)[0].yes and aws.writes == writes
    assert aws.targets["i-0cccccccccccccccc"] == "healthy", "what is none of the pair's is left alone"


@pytest.mark.parametrize("kind", ENTRIES)
def test_what_cannot_be_read_is_unknown_and_what_is_refused_is_pending(kind: str) -> None:
    aws = Aws()
    aws.reading = DOWN
    found, _hold = moved(aws, kind)
    assert found.answer == "unknown" and "endpoint" in found.detail.lower()
    aws = Aws()
    aws.writing = client_error("AccessDenied", "It")
    found, hold = moved(aws, kind)
    assert found.answer == "no" and "right for this call is missing" in found.detail and hold.readied == 3


@pytest.mark.parametrize(
    ("route", "denied", "answer", "told"),
    [
        ({"InstanceId": A}, None, "yes", "ReplaceRoute is allowed"),
        (None, None, "yes", "CreateRoute is allowed"),
        ({"InstanceId": A}, "UnauthorizedOperation", "no", "right for this call is missing"),
        ({"InstanceId": A}, "InternalError", "unknown", "ReplaceRoute"),
    ],
)
def test_a_route_is_tried_by_a_dry_run(route: Any, denied: str | None, answer: str, told: str) -> None:
    aws = Aws()
    aws.route, before = route, route
    aws.writing = client_error(denied, "ReplaceRoute") if denied else None
    (redirect,) = redirects_for(
        parse_pair({**PAIR, "redirect": [ENTRIES["route_table"]]}), lambda _service: aws
    )
    found = redirect.may_point_to(parse_pair(PAIR).node("hub-b"))
    assert found is not None and found.answer == answer and told in found.detail, found
    assert aws.writes == [] and aws.route == before
    aws.reading = DOWN
    found = redirect.may_point_to(parse_pair(PAIR).node("hub-b"))
    assert found is not None and found.answer == "unknown" and "endpoint" in found.detail.lower()


@pytest.mark.parametrize("kind", ["private_ip", "route53", "target_group"])
def test_what_has_no_dry_run_is_not_tried(kind: str) -> None:
    aws = Aws()
    (redirect,) = redirects_for(parse_pair({**PAIR, "redirect": [ENTRIES[kind]]}), lambda _service: aws)
    assert redirect.may_point_to(parse_pair(PAIR).node("hub-b")) is None and aws.writes == []


def test_an_address_on_both_nodes_or_on_none() -> None:
    aws = Aws()
    aws.holders = [A, B]
    pair = parse_pair({**PAIR, "redirect": [ENTRIES["private_ip"]]})
    (redirect,) = redirects_for(pair, lambda _service: aws)
    assert redirect.points_to(pair.node("hub-b")).answer == "unknown"
    aws.holders = []
    assert redirect.points_to(pair.node("hub-b")).answer == "no"


def test_a_route_that_is_not_there_is_made() -> None:
    aws = Aws()
    aws.route = None
    found, _hold = moved(aws, "route_table")
    assert found.yes and aws.writes == ["create"]


def test_a_route_to_something_else_is_never_written_over() -> None:
    aws = Aws()
    aws.route = {"NatGatewayId": "nat-1"}
    found, _hold = moved(aws, "route_table")
    assert found.answer == "unknown" and "no instance" in found.detail and aws.writes == []


@pytest.mark.parametrize("more", [{"SetIdentifier": "a"}, {"AliasTarget": {"DNSName": "x"}}])
def test_a_record_that_is_no_simple_one_is_never_written_over(more: dict[str, Any]) -> None:
    aws = Aws()
    assert aws.record is not None
    aws.record.update(more)
    found, _hold = moved(aws, "route53")
    assert found.answer == "unknown" and "simple" in found.detail and aws.writes == []


def test_a_record_that_is_not_there_yet_is_made() -> None:
    aws = Aws()
    aws.record = None
    assert moved(aws, "route53")[0].yes and aws.writes == ["change"]


def test_a_node_without_an_address_cannot_be_named() -> None:
    aws = Aws()
    aws.addresses[B] = None
    found, _hold = moved(aws, "route53")
    assert found.answer == "unknown" and aws.writes == []


def test_a_group_with_both_nodes_is_not_moved_yet() -> None:
    aws = Aws()
    aws.targets[B] = "healthy"
    found, _hold = moved(aws, "target_group")
    assert found.yes and aws.targets[A] == "draining"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"kind": "private_ip"}, "redirect[0].address: is missing"),
        ({"kind": "private_ip", "address": "10.0.0.256"}, "redirect[0].address: '10.0.0.256' is not"),
        ({"kind": "private_ip", "address": "10.0.0"}, "redirect[0].address"),
        ({"kind": "private_ip", "address": "10.0.0.1.2"}, "redirect[0].address"),
        ({**ENTRIES["route53"], "zone_id": "/hostedzone/Z1"}, "redirect[0].zone_id"),
        ({**ENTRIES["route53"], "record": "no dots"}, "redirect[0].record"),
        ({**ENTRIES["route53"], "ttl": -1}, "redirect[0].ttl: -1 is outside 0 to 86400"),
        ({**ENTRIES["route53"], "address": "ipv6"}, "redirect[0].address"),
        ({"kind": "target_group", "target_group_arn": "hub"}, "redirect[0].target_group_arn"),
        ({**ENTRIES["target_group"], "port": 0}, "redirect[0].port: 0 is outside 1 to 65535"),
    ],
)
def test_what_is_wrong_is_named(entry: dict[str, Any], text: str) -> None:
    with pytest.raises(PairError) as caught:
        parse_pair({**PAIR, "redirect": [entry]})
    assert text in str(caught.value) and "\n" not in str(caught.value)
