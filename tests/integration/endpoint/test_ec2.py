# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power of instances, status checks, stop protection, the address."""

from __future__ import annotations

import threading
from typing import Any

import pytest


def state(client: Any, instance_id: str) -> str:
    answer = client("ec2").describe_instances(InstanceIds=[instance_id])
    return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])


class Hypervisor:
    """Takes as long as the test wants."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.done = threading.Event()
        self.fails = False

    def _act(self, *what: Any) -> None:
        self.told.append(what)
        if self.fails:
            raise RuntimeError("the plug is stuck (this trace belongs to a test)")
        assert self.done.wait(5)

    def on_stop(self, instance_id: str, force: bool) -> None:
        self._act("stop", instance_id, force)

    def on_start(self, instance_id: str) -> None:
        self._act("start", instance_id)

    def on_reboot(self, instance_id: str) -> None:
        self._act("reboot", instance_id)

    def on_terminate(self, instance_id: str) -> None:
        self._act("terminate", instance_id)


@pytest.fixture
def hypervisor(endpoint: Any) -> Hypervisor:
    made = Hypervisor()
    endpoint.hypervisor = made
    return made


def test_stop_and_start_take_their_time(
    client: Any, instance: str, hypervisor: Hypervisor, until: Any
) -> None:
    ec2 = client("ec2")
    answer = ec2.stop_instances(InstanceIds=[instance], Force=True)["StoppingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("running", "stopping")
    until(lambda: hypervisor.told)
    assert state(client, instance) == "stopping"
    again = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert (again["PreviousState"]["Name"], again["CurrentState"]["Name"]) == ("stopping", "stopping")
    hypervisor.done.set()
    until(lambda: state(client, instance) == "stopped")
    assert hypervisor.told == [("stop", instance, True)]
    again = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert (again["PreviousState"]["Name"], again["CurrentState"]["Name"]) == ("stopped", "stopped")
    hypervisor.done.clear()
    answer = ec2.start_instances(InstanceIds=[instance])["StartingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("stopped", "pending")
    until(lambda: len(hypervisor.told) == 2)
    assert state(client, instance) == "pending"
    hypervisor.done.set()
    until(lambda: state(client, instance) == "running")


def test_what_cannot_be_stopped_stays_stopping(
    client: Any, code: Any, instance: str, hypervisor: Hypervisor, until: Any, capfd: Any
) -> None:
    hypervisor.fails = True
    client("ec2").stop_instances(InstanceIds=[instance])
    until(lambda: hypervisor.told)
    assert state(client, instance) == "stopping"
    assert code(client("ec2").start_instances, InstanceIds=[instance]) == "IncorrectInstanceState"
    until(lambda: "the plug is stuck" in capfd.readouterr().err)


def test_reboot_and_terminate(
    client: Any, code: Any, instance: str, hypervisor: Hypervisor, until: Any
) -> None:
    ec2 = client("ec2")
    hypervisor.done.set()
    ec2.reboot_instances(InstanceIds=[instance])
    until(lambda: hypervisor.told == [("reboot", instance)])
    assert state(client, instance) == "running"
    hypervisor.done.clear()
    answer = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert answer["CurrentState"]["Name"] == "shutting-down"
    assert state(client, instance) == "shutting-down"
    hypervisor.done.set()
    until(lambda: state(client, instance) == "terminated")
    for call in (ec2.stop_instances, ec2.start_instances, ec2.reboot_instances):
        assert code(call, InstanceIds=[instance]) == "IncorrectInstanceState"


def test_unknown_instances(client: Any, code: Any, instance: str) -> None:
    ec2 = client("ec2")
    for call in (
        ec2.stop_instances,
        ec2.start_instances,
        ec2.describe_instances,
        ec2.describe_instance_status,
    ):
        assert code(call, InstanceIds=[instance, "i-0aaaaaaaaaaaaaaaa"]) == "InvalidInstanceID.NotFound"
        assert code(call, InstanceIds=["i-xyz"]) == "InvalidInstanceID.Malformed"
    assert state(client, instance) == "running"


def test_dry_run(endpoint: Any, client: Any, code: Any, instance: str) -> None:
    stop = client("ec2").stop_instances
    assert code(stop, InstanceIds=[instance], DryRun=True) == "DryRunOperation"
    call = endpoint.calls[-1]
    assert (call.action, call.write, call.target) == ("StopInstances:DryRun", False, instance)
    assert state(client, instance) == "running"
    endpoint.faults.deny.add((call.key, "ec2:StopInstances"))
    assert code(stop, InstanceIds=[instance], DryRun=True) == "UnauthorizedOperation"
    endpoint.faults.deny.clear()
    stop(InstanceIds=[instance])
    assert endpoint.calls[-1].write is True


def test_stop_protection(client: Any, code: Any, instance: str) -> None:
    ec2 = client("ec2")

    def protected() -> bool:
        answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="disableApiStop")
        return bool(answer["DisableApiStop"]["Value"])

    assert protected() is False
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
    assert protected() is True
    assert code(ec2.stop_instances, InstanceIds=[instance]) == "OperationNotPermitted"
    assert state(client, instance) == "running"
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    ec2.stop_instances(InstanceIds=[instance])


def test_status_checks(endpoint: Any, client: Any, instance: str, until: Any) -> None:
    def checks() -> list[str]:
        found = client("ec2").describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
        return [one["InstanceStatus"]["Status"] for one in found]

    assert checks() == ["ok"]
    endpoint.status_checks[instance] = "impaired"
    assert checks() == ["impaired"]
    client("ec2").stop_instances(InstanceIds=[instance])
    assert checks() == []
    until(lambda: state(client, instance) == "stopped")


def test_a_stale_view(endpoint: Any, client: Any, instance: str, until: Any) -> None:
    client("ec2").stop_instances(InstanceIds=[instance])
    until(lambda: state(client, instance) == "stopped")
    endpoint.faults.stale_ec2 = True
    assert state(client, instance) == "stopping"
    named = {"Name": "instance-state-name", "Values": ["stopped"]}
    assert client("ec2").describe_instances(InstanceIds=[instance], Filters=[named])["Reservations"] == []
    endpoint.faults.stale_ec2 = False
    assert state(client, instance) == "stopped"


def test_the_address(client: Any, code: Any) -> None:
    ec2 = client("ec2")
    answer = ec2.run_instances(ImageId="ami-12345678", MinCount=2, MaxCount=2)
    first, second = (one["InstanceId"] for one in answer["Instances"])
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]

    def where() -> Any:
        return ec2.describe_addresses(AllocationIds=[address])["Addresses"][0].get("InstanceId")

    assert not where()
    ec2.associate_address(AllocationId=address, InstanceId=first)
    assert where() == first
    ec2.associate_address(AllocationId=address, InstanceId=first)
    refused = code(ec2.associate_address, AllocationId=address, InstanceId=second)
    assert refused == "Resource.AlreadyAssociated"
    assert (
        code(ec2.associate_address, AllocationId=address, InstanceId=second, AllowReassociation=False)
        == refused
    )
    assert where() == first
    ec2.associate_address(AllocationId=address, InstanceId=second, AllowReassociation=True)
    assert where() == second
    shown = ec2.describe_instances(InstanceIds=[first])["Reservations"][0]["Instances"][0]
    public = ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]["PublicIp"]
    assert shown.get("PublicIpAddress") != public
    assert (
        code(ec2.associate_address, AllocationId="eipalloc-0", InstanceId=second)
        == "InvalidAllocationID.NotFound"
    )
    assert code(ec2.associate_address, AllocationId=address, InstanceId="i-0aaaaaaaaaaaaaaaa") == (
        "InvalidInstanceID.NotFound"
    )


def test_the_address_stays_on_a_stopped_instance(client: Any, instance: str, until: Any) -> None:
    ec2 = client("ec2")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=instance)
    ec2.stop_instances(InstanceIds=[instance])
    until(lambda: state(client, instance) == "stopped")
    assert ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]["InstanceId"] == instance
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: state(client, instance) == "terminated")
    assert not ec2.describe_addresses(AllocationIds=[address])["Addresses"][0].get("InstanceId")
