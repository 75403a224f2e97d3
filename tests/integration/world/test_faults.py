# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes, agents and faults of the world, through the endpoint as a client sees them. Nothing is deployed here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoint import Endpoint
from sandbox.paths import Layout, SandboxError
from sandbox.world import cloud, describe, processes
from sandbox.world.faults import ACTS, KNOBS
from sandbox.world.world import World

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    layout = Layout(tmp_path_factory.mktemp("sandbox"))
    endpoint = Endpoint()
    endpoint.start()
    made = World(layout, endpoint)
    made.build()
    _table(endpoint)
    yield made
    made.end()
    endpoint.stop()
    for name in list(made.nodes):
        assert not processes.find(str(layout.state), name)


@pytest.fixture(autouse=True)
def mended(world: World) -> Iterator[None]:
    yield
    world.clear(None)
    for node in world.nodes.values():
        if not node.powered:
            cloud.set_state(node.instance_id, "running")
            world.alive(node)
        node.run(["/bin/sh", "-c", product(world, node.name, "hubstop -force")])


def client(service: str, endpoint: Endpoint) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        region_name=cloud.REGION,
        endpoint_url=endpoint.url,
        aws_access_key_id=cloud.CONTROLLER_KEY,
        aws_secret_access_key=cloud.CONTROLLER_SECRET,
        config=Config(retries={"total_max_attempts": 1}),
    )


def _table(endpoint: Endpoint) -> None:
    dynamodb = client("dynamodb", endpoint)
    dynamodb.create_table(
        TableName=cloud.TABLE,
        KeySchema=[
            {"AttributeName": "pair", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pair", "item")],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(
        TableName=cloud.TABLE, WaiterConfig={"Delay": 0.1, "MaxAttempts": 50}
    )


def product(world: World, name: str, command: str) -> str:
    """A shell line that runs a product's command on a node."""
    exe = world.nodes[name].root / "opt" / "hub" / "bin"
    return f"HULHUBETC='{world.layout.etc}' HULHUBEXE='{exe}' '{exe}'/{command}"


def send(world: World, name: str, script: str, limit: int = 30) -> str:
    """Send a script; returns the command's id."""
    answer = client("ssm", world.endpoint).send_command(
        DocumentName="AWS-RunShellScript",
        Targets=[{"Key": "InstanceIds", "Values": [world.nodes[name].instance_id]}],
        Parameters={"commands": [script], "executionTimeout": [str(limit)]},
        TimeoutSeconds=30,
    )
    return str(answer["Command"]["CommandId"])


def outcome(world: World, name: str, command_id: str, seconds: float = 10) -> dict[str, Any]:
    """The invocation once it has ended, or as it is after that many seconds."""
    ssm = client("ssm", world.endpoint)
    end = time.monotonic() + seconds
    while True:
        try:
            found: dict[str, Any] = ssm.get_command_invocation(
                CommandId=command_id, InstanceId=world.nodes[name].instance_id
            )
        except ssm.exceptions.InvocationDoesNotExist:
            found = {"Status": "Pending"}
        if (
            found["Status"] not in ("Pending", "InProgress", "Delayed", "Cancelling")
            or time.monotonic() > end
        ):
            return found
        time.sleep(0.05)


def shell(world: World, name: str, script: str, **options: Any) -> dict[str, Any]:
    return outcome(world, name, send(world, name, script, **options))


def start(world: World, name: str) -> None:
    assert shell(world, name, product(world, name, "hubcluster -start"))["Status"] == "Success"


def alive(world: World, name: str) -> bool:
    return bool(describe.status(world)["nodes"][name]["product"])


def test_scripts_run_bare_and_their_codes_return(world: World) -> None:
    done = shell(world, "hub-b", "env; echo bad >&2; exit 7")
    assert (done["Status"], done["ResponseCode"]) == ("Failed", 7)
    names = {line.split("=")[0] for line in done["StandardOutputContent"].splitlines()}
    assert names <= {"PATH", "HOME", "HOTSTANDBY_ROOT", "SANDBOX_NODE", "PWD", "OLDPWD", "SHLVL", "_"}
    assert f"HOTSTANDBY_ROOT={world.nodes['hub-b'].root}" in done["StandardOutputContent"]
    assert done["StandardErrorContent"].startswith("bad\n")


def test_several_at_once(world: World) -> None:
    begun = time.monotonic()
    ids = [send(world, "hub-a", "sleep 3") for _turn in range(3)]
    assert {outcome(world, "hub-a", one)["Status"] for one in ids} == {"Success"}
    assert time.monotonic() - begun < 9  # what one after the other would take at least


def test_time_limit_ends_the_script_and_not_the_daemons(world: World) -> None:
    script = product(world, "hub-a", "hubcluster -start") + "; sleep 77"
    done = shell(world, "hub-a", script, limit=5)
    assert done["Status"] == "TimedOut"
    assert alive(world, "hub-a")
    assert not any(b"77" in processes.command(pid) for pid in world.nodes["hub-a"].found())


def test_cancel(world: World) -> None:
    one = send(world, "hub-a", "sleep 60")
    time.sleep(0.5)
    client("ssm", world.endpoint).cancel_command(CommandId=one)
    assert outcome(world, "hub-a", one)["Status"] == "Cancelled"


def test_ec2_stop_and_start_reach_the_node(world: World) -> None:
    node = world.nodes["hub-a"]
    start(world, "hub-a")
    boot_id = (node.root / "proc/sys/kernel/random/boot_id").read_text()
    ec2 = client("ec2", world.endpoint)
    ec2.stop_instances(InstanceIds=[node.instance_id], Force=True)
    wait(lambda: cloud.state_of(node.instance_id) == "stopped")
    assert not node.found()
    ec2.start_instances(InstanceIds=[node.instance_id])
    wait(lambda: cloud.state_of(node.instance_id) == "running")
    assert shell(world, "hub-a", "echo up")["StandardOutputContent"].strip() == "up"
    assert (node.root / "proc/sys/kernel/random/boot_id").read_text() != boot_id
    assert not alive(world, "hub-a")


def wait(true: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_product_faults(world: World) -> None:
    start(world, "hub-a")
    assert world.fault("hub-a", "product-kill")["killed"] >= 1
    assert not alive(world, "hub-a")
    assert world.journal()["events"][-1]["event"] == "killed"
    world.fault("hub-a", "start-fails")
    assert shell(world, "hub-a", product(world, "hub-a", "hubcluster -start"))["ResponseCode"] == 116
    world.fault("hub-a", "clear")
    start(world, "hub-a")
    world.fault("hub-a", "stop-ignored")
    assert shell(world, "hub-a", product(world, "hub-a", "hubstop"))["ResponseCode"] == 0
    assert alive(world, "hub-a")
    world.fault("hub-a", "product-hang")
    asking = send(world, "hub-a", product(world, "hub-a", "hubcluster -status"))
    assert outcome(world, "hub-a", asking, 0.7)["Status"] == "InProgress"
    world.clear("hub-a")
    assert shell(world, "hub-a", product(world, "hub-a", "hubcluster -status"))["ResponseCode"] == 0


def test_start_stalls_freezes_the_guard_that_holds_the_lock(world: World) -> None:
    node = world.nodes["hub-b"]
    lock = node.root / "var/lib/hotstandby" / describe.PAIR / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    world.fault("hub-b", "start-stalls")
    guard = f"""echo '{{"pid": '$$', "verb": "start"}}' > '{lock}'; {product(world, "hub-b", "hubcluster -start")}; echo done"""
    one = send(world, "hub-b", guard)
    wait(lambda: describe.status(world)["nodes"]["hub-b"]["frozen"] >= 2)
    assert not alive(world, "hub-b")
    world.clear("hub-b")
    assert outcome(world, "hub-b", one)["Status"] == "Success"
    assert alive(world, "hub-b")
    lock.unlink()


def test_agent_faults(world: World) -> None:
    world.fault("hub-a", "agent-slow:1")
    begun = time.monotonic()
    assert shell(world, "hub-a", "true")["Status"] == "Success"
    assert time.monotonic() - begun >= 1
    world.clear("hub-a")
    mark = world.nodes["hub-a"].root / "tmp" / "mark"
    world.fault("hub-a", "agent-lost")
    lost = send(world, "hub-a", f"touch '{mark}'")
    wait(lambda: not world.nodes["hub-a"].agent_alive())
    world.clear("hub-a")
    assert shell(world, "hub-a", "true")["Status"] == "Success"
    assert outcome(world, "hub-a", lost, 0.2)["Status"] == "InProgress"
    assert not mark.exists()
    world.fault("hub-a", "agent-offline")
    one = send(world, "hub-a", "true")
    assert outcome(world, "hub-a", one, 0.5)["Status"] in ("Pending", "InProgress", "Undeliverable")
    assert not world.nodes["hub-a"].agent_alive()


def test_partition(world: World) -> None:
    start(world, "hub-a")
    world.fault("hub-a", "partition")
    one = send(world, "hub-a", "true")
    assert outcome(world, "hub-a", one, 1)["Status"] in ("Pending", "InProgress")
    assert alive(world, "hub-a")
    world.clear("hub-a")
    assert outcome(world, "hub-a", one)["Status"] == "Success"


def test_node_hang(world: World) -> None:
    node = world.nodes["hub-a"]
    start(world, "hub-a")
    world.fault("hub-a", "node-hang")
    assert all(processes.state_of(pid) in processes.FROZEN for pid in node.found())
    found = client("ec2", world.endpoint).describe_instance_status(InstanceIds=[node.instance_id])
    assert found["InstanceStatuses"][0]["InstanceStatus"]["Status"] == "impaired"
    assert alive(world, "hub-a")
    world.clear("hub-a")
    assert shell(world, "hub-a", "true")["Status"] == "Success"
    world.fault("hub-a", "node-hang")
    client("ec2", world.endpoint).stop_instances(InstanceIds=[node.instance_id], Force=True)
    wait(lambda: cloud.state_of(node.instance_id) == "stopped")
    assert not node.found()


def test_power_off_and_reboot(world: World) -> None:
    start(world, "hub-a")
    world.fault("hub-a", "power-off")
    node = world.nodes["hub-a"]
    assert (cloud.state_of(node.instance_id), node.found()) == ("stopped", [])
    world.clear("hub-a")
    assert cloud.state_of(node.instance_id) == "running"
    start(world, "hub-a")
    world.fault("hub-a", "reboot")
    assert not alive(world, "hub-a")
    assert shell(world, "hub-a", "true")["Status"] == "Success"


def test_unmount(world: World) -> None:
    world.fault("hub-b", "unmount")
    assert str(world.layout.shared) not in (world.nodes["hub-b"].root / "proc/mounts").read_text()
    assert shell(world, "hub-b", product(world, "hub-b", "hubcluster -start"))["ResponseCode"] == 12
    world.clear("hub-b")
    start(world, "hub-b")


def test_clone(world: World) -> None:
    (world.nodes["hub-b"].root / "etc" / "some.conf").write_text(f"root = {world.nodes['hub-b'].root}\n")
    made = world.fault("hub-b", "clone")
    assert made["instance_id"] not in (world.nodes["hub-a"].instance_id, world.nodes["hub-b"].instance_id)
    copy = world.nodes["hub-b-clone"]
    assert (copy.root / "etc" / "some.conf").read_text() == f"root = {copy.root}\n"
    start(world, "hub-b-clone")
    assert alive(world, "hub-b-clone")
    assert not alive(world, "hub-b")
    world.clear("hub-b")
    assert "hub-b-clone" not in world.nodes
    assert not copy.root.exists()


def test_record_restored(world: World) -> None:
    def item(epoch: int, active: str) -> dict[str, Any]:
        texts = {"pair": describe.PAIR, "item": "record", "state": "steady", "active": active}
        return {**{name: {"S": value} for name, value in texts.items()}, "epoch": {"N": str(epoch)}}

    for epoch, active in ((4, "hub-a"), (5, "hub-b")):
        world.write_items([item(epoch, active)])
        wait(lambda epoch=epoch: epoch in world.recorder.kept)  # type: ignore[misc]
    world.fault("aws", "record-restored")
    assert cloud.record(describe.PAIR) == item(4, "hub-a")
    world.clear("aws")
    assert cloud.record(describe.PAIR) == item(5, "hub-b")


def throttled(call: Callable[[], Any]) -> bool:
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError:
        return True
    return False


def test_aws_faults(world: World) -> None:
    from botocore.exceptions import ClientError

    ec2 = client("ec2", world.endpoint)
    world.fault("aws", "ec2-down")
    with pytest.raises(ClientError):
        ec2.describe_instances()
    world.fault("aws", "clear")
    assert ec2.describe_instances()["Reservations"]
    world.fault("aws", "throttle")
    assert sorted(throttled(ec2.describe_instances) for _turn in range(4)) == [False, False, True, True]


def test_unknown_names_are_told(world: World) -> None:
    for target, kind in (
        ("hub-c", "reboot"),
        ("hub-a", "meteor"),
        ("aws", "meteor"),
        ("hub-a", "agent-slow:x"),
    ):
        with pytest.raises(SandboxError):
            world.fault(target, kind)
    assert {"product-kill", "clone"} <= set(ACTS)
    assert "start-stalls" in KNOBS


def test_a_process_without_the_environment_is_found_by_its_program(world: World, tmp_path: Path) -> None:
    node = world.nodes["hub-a"]
    script = node.root / "usr/local/bin/sleeper"
    script.write_text("#!/bin/sh\nsleep 50\n")
    script.chmod(0o755)
    pid = os.posix_spawn(script, [str(script)], {"PATH": "/usr/bin:/bin"})
    wait(lambda: pid in node.found())
    world.dead(node)
    os.waitpid(pid, 0)
