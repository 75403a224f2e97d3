# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redirect kinds beside an Elastic IP, through boto3 and the local AWS."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import _pair_store
from ansible_collections.hotstandby.ops.plugins.module_utils.node.serve import Server, Standing
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record
from ansible_collections.hotstandby.ops.plugins.module_utils.redirect import Redirect, lead, redirects_for
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore
from botocore.exceptions import ClientError

from tests.integration.endpoint.conftest import NUMBERS
from tests.simulation.aws import Clock
from tests.simulation.world import PAIR

Client = Callable[[str], Any]


class Hold:
    def __init__(self) -> None:
        self.clock = Clock()

    def ready(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        self.clock.sleep(seconds)


@pytest.fixture
def two(client: Client) -> Iterator[tuple[str, str]]:
    ec2 = client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2, SubnetId=subnet)["Instances"]
    ids = made[0]["InstanceId"], made[1]["InstanceId"]
    yield ids
    ec2.terminate_instances(InstanceIds=list(ids))


def made(client: Client, two: tuple[str, str], entry: dict[str, Any]) -> tuple[Any, Redirect]:
    nodes = [{"name": name, "instance_id": ident} for name, ident in zip(("hub-a", "hub-b"), two)]
    pair = parse_pair({**PAIR, "nodes": nodes, "redirect": [entry]})
    return pair, redirects_for(pair, client)[0]


def there_and_back(pair: Any, redirect: Redirect) -> None:
    first, second = pair.nodes
    tried = redirect.may_point_to(first)
    assert tried is None or tried.yes, tried
    assert redirect.points_to(first).no, "a dry run moves nothing"
    for here, there in ((first, second), (second, first), (first, second)):
        assert lead(redirect, here, Hold()).yes
        assert redirect.points_to(there).no


def test_an_elastic_address_is_on_one_node_at_a_time(client: Client, two: tuple[str, str]) -> None:
    allocation = client("ec2").allocate_address(Domain="vpc")["AllocationId"]
    pair, redirect = made(client, two, {"kind": "elastic_ip", "allocation_id": allocation})
    assert redirect.may_point_to(pair.nodes[0]) is not None
    there_and_back(pair, redirect)
    client("ec2").release_address(AllocationId=allocation)


def interface(client: Client, ident: str) -> dict[str, Any]:
    found = client("ec2").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [ident]}]
    )["NetworkInterfaces"]
    assert len(found) == 1
    return dict(found[0])


def test_a_private_address_is_on_one_node_at_a_time(client: Client, two: tuple[str, str]) -> None:
    ec2 = client("ec2")
    subnet = ec2.describe_subnets(SubnetIds=[interface(client, two[0])["SubnetId"]])["Subnets"][0]
    address = subnet["CidrBlock"].rpartition(".")[0] + ".250"
    pair, redirect = made(client, two, {"kind": "private_ip", "address": address})
    assert redirect.points_to(pair.nodes[0]).no, "it is on neither yet"
    there_and_back(pair, redirect)
    holders = [
        ident
        for ident in two
        if address in [item["PrivateIpAddress"] for item in interface(client, ident)["PrivateIpAddresses"]]
    ]
    assert holders == [two[0]]
    with pytest.raises(ClientError, match="reassignment is not allowed"):
        ec2.assign_private_ip_addresses(
            NetworkInterfaceId=interface(client, two[1])["NetworkInterfaceId"], PrivateIpAddresses=[address]
        )
    pair, redirect = made(client, two, {"kind": "private_ip", "address": "192.0.2.1"})
    found = lead(redirect, pair.nodes[0], Hold())
    assert found.no and "subnet" in found.detail


def test_a_route_leads_to_one_node_at_a_time(client: Client, two: tuple[str, str]) -> None:
    ec2 = client("ec2")
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    table = ec2.create_route_table(VpcId=network)["RouteTable"]["RouteTableId"]
    entry = {"kind": "route_table", "route_table_id": table, "destination": "10.99.0.1/32"}
    pair, redirect = made(client, two, entry)
    assert redirect.points_to(pair.nodes[0]).no, "there is no route yet"
    there_and_back(pair, redirect)
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert [
        route.get("InstanceId") for route in routes if route["DestinationCidrBlock"] == "10.99.0.1/32"
    ] == [two[0]]


def test_a_name_follows_the_active(client: Client, two: tuple[str, str]) -> None:
    zone = client("route53").create_hosted_zone(Name="example.internal", CallerReference=two[0])["HostedZone"]
    ident = zone["Id"].rpartition("/")[2]
    pair, redirect = made(
        client, two, {"kind": "route53", "zone_id": ident, "record": "hub.example.internal", "ttl": 7}
    )
    there_and_back(pair, redirect)
    found = client("route53").list_resource_record_sets(
        HostedZoneId=ident, StartRecordName="hub.example.internal", StartRecordType="A", MaxItems="1"
    )["ResourceRecordSets"][0]
    assert (found["TTL"], [item["Value"] for item in found["ResourceRecords"]]) == (
        7,
        [interface(client, two[0])["PrivateIpAddress"]],
    )


def test_a_target_group_holds_the_active_alone_and_asks_it(client: Client, two: tuple[str, str]) -> None:
    status = [200]

    class Active(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/active" else 404)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Active)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    elb = client("elbv2")
    vpc = client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    group = elb.create_target_group(
        Name="hub", Protocol="HTTP", Port=8080, VpcId=vpc, HealthCheckPath="/active", TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    entry = {"kind": "target_group", "target_group_arn": group, "port": server.server_port}
    pair, redirect = made(client, two, entry)
    try:
        there_and_back(pair, redirect)
        assert "healthy" in redirect.points_to(pair.nodes[0]).detail
        status[0] = 503
        assert "unhealthy" in redirect.points_to(pair.nodes[0]).detail
    finally:
        server.shutdown()
        server.server_close()
        elb.delete_target_group(TargetGroupArn=group)


def test_a_target_group_that_holds_both_nodes_follows_what_they_serve(
    client: Client, two: tuple[str, str]
) -> None:
    """No redirect at all: each node's own GET /active is the group's check, and the record decides."""
    table = f"serve-{next(NUMBERS)}"
    _pair_store.ensure_table(
        client("dynamodb"), _pair_store.Wanted(table, True, False, False, 10.0), check=False
    )
    names = dict(zip(("hub-a", "hub-b"), two))
    store = RecordStore(client("dynamodb"), table, "p")
    store.create(Record("p", names, "hub-a", 1))
    standing = {
        name: Standing(store.read, lambda: False, lambda ident=ident: ident, time.monotonic, name, 60.0)
        for name, ident in names.items()
    }
    servers = {name: Server(("127.0.0.1", 0), one.answer) for name, one in standing.items()}
    over = threading.Event()
    threads = [
        threading.Thread(target=server.run, args=(over.is_set,), daemon=True) for server in servers.values()
    ]
    elb = client("elbv2")
    vpc = client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    group = elb.create_target_group(
        Name="both", Protocol="HTTP", Port=8080, VpcId=vpc, HealthCheckPath="/active", TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    targets = [{"Id": names[name], "Port": server.port} for name, server in servers.items()]
    elb.register_targets(TargetGroupArn=group, Targets=targets)

    def healthy() -> list[str]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        well = [item["Target"]["Id"] for item in found if item["TargetHealth"]["State"] == "healthy"]
        return [name for name, ident in names.items() if ident in well]

    try:
        for thread in threads:
            thread.start()
        assert healthy() == [], "nobody has read the record yet"
        record = store.read()
        for active in ("hub-a", "hub-b", None):
            record = store.update(
                record, active=active, epoch=record.epoch + 1, state="steady" if active else "broken"
            )
            for one in standing.values():
                one.look()
            assert healthy() == ([active] if active else [])
    finally:
        over.set()
        for thread in threads:
            thread.join(10)
        elb.delete_target_group(TargetGroupArn=group)
