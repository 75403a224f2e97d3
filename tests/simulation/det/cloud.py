# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSM Run Command and EC2 in all their moods: late, twice, never, out of order, lying, slow and stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.aws import client_error
from tests.simulation.det.scheduler import Killed, Proc

if TYPE_CHECKING:
    from tests.simulation.det.machine import Machine
    from tests.simulation.det.world import World

UNLISTED = 60.0  # seconds without its agent after which SSM leaves an instance out


class Invocation:
    """One command on one machine."""

    def __init__(
        self, command_id: str, machine: Machine, parameters: dict[str, str], sent: float, limit: float
    ) -> None:
        self.command_id, self.machine, self.parameters = command_id, machine, parameters
        self.sent, self.limit = sent, limit
        self.status = self.details = "Pending"
        self.output, self.rc = "", -1
        self.visible = sent
        self.runs = 0

    @property
    def ended(self) -> bool:
        return self.status not in ("Pending", "InProgress", "Delayed", "Cancelling")

    def become(self, status: str, details: str = "") -> None:
        self.status, self.details = status, details or status


class Ssm:
    """The service: what was sent, and what became of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.commands: dict[str, dict[str, Invocation]] = {}

    def send(self, proc: Proc, arguments: dict[str, Any]) -> str:
        world = self.world
        assert arguments["DocumentName"] == "HotStandbyNode" and arguments["TimeoutSeconds"] >= 30
        command_id = f"c-{len(self.commands)}"
        parameters = {key: value[0] for key, value in arguments["Parameters"].items()}
        if parameters["Action"] in ("start", "stop"):
            world.rules.outside(proc, f"orders a {parameters['Action']}")
        found = self.commands[command_id] = {}
        for instance_id in arguments["Targets"][0]["Values"]:
            machine = world.by_instance(instance_id)
            if machine is None or (
                machine.deaf_since is not None and world.now - machine.deaf_since > UNLISTED
            ):
                continue
            invocation = Invocation(command_id, machine, parameters, world.now, arguments["TimeoutSeconds"])
            invocation.visible = world.now + proc.rng.random() * 0.3
            found[instance_id] = invocation
            delay = 0.02 + 0.1 * proc.rng.random() + machine.agent_slow * proc.rng.random()
            world.at(delay, lambda invocation=invocation: self.deliver(invocation))
            world.at(invocation.limit, lambda invocation=invocation: self._undelivered(invocation))
        return command_id

    def _undelivered(self, invocation: Invocation) -> None:
        if invocation.status == "Pending":
            invocation.become("TimedOut", "DeliveryTimedOut")

    def deliver(self, invocation: Invocation, again: bool = False) -> None:
        """The agent gets it now, or whenever it listens again."""
        machine, world = invocation.machine, self.world
        if machine.deaf:
            if invocation not in machine.inbox:
                machine.inbox.append(invocation)
            return
        if machine.frozen:
            machine.parked.append((lambda: self.deliver(invocation, again), machine, -1))
            return
        late = world.now - invocation.sent > invocation.limit
        if (late and not (machine.agent_late or again)) or (invocation.runs and not again):
            return  # SSM usually keeps its word, and each command runs once
        invocation.runs += 1
        if not invocation.ended:
            invocation.become("InProgress")
        machine.command(invocation)
        if machine.agent_twice and not again:
            world.at(machine.agent_twice, lambda: self.deliver(invocation, True))

    def finished(self, invocation: Invocation, proc: Proc) -> None:
        """The script has ended; the agent tells SSM, when it lives and gets through."""
        machine = invocation.machine
        if machine.agent_lost or invocation.ended:
            return
        main = proc.main
        code, output = main.result if main is not None and isinstance(main.result, tuple) else (137, "")

        def post() -> None:
            if invocation.ended:
                return
            if machine.cut_out or machine.cut_back or machine.power != "running":
                machine.outbox.append(post)
                return
            invocation.rc, invocation.output = code, "" if machine.agent_mute else output
            invocation.become("Success" if code == 0 or machine.agent_lies else "Failed")

        self.world.at(0.01 + 0.05 * proc.rng.random() + machine.agent_slow * proc.rng.random(), post)

    def out_of_time(self, invocation: Invocation, proc: Proc) -> None:
        """executionTimeout: the script's process group is killed; daemons that left it live on."""
        if proc.alive and not invocation.ended:
            invocation.become("TimedOut", "ExecutionTimedOut")
            invocation.machine.signal(proc.pid, proc.pgid, True)


class SsmClient:
    """One process's client."""

    def __init__(self, world: World, proc: Proc) -> None:
        self.world, self.proc = world, proc

    def send_command(self, **arguments: Any) -> Any:
        parameters = arguments["Parameters"]
        about = f" {parameters['Action'][0]} epoch={parameters['Epoch'][0]}"
        return self.world.network.call(
            self.proc, "ssm", "SendCommand",
            lambda: {"Command": {"CommandId": self.world.ssm.send(self.proc, arguments)}}, about,
        )  # fmt: skip

    def describe_instance_information(self, **_arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            now = self.world.now
            found = []
            for item in self.world.machines.values():
                lost = item.deaf_since is not None and now - item.deaf_since > UNLISTED
                found.append(
                    {"InstanceId": item.instance_id, "PingStatus": "ConnectionLost" if lost else "Online"}
                )
            return {"InstanceInformationList": found}

        return self.world.network.call(self.proc, "ssm", "DescribeInstanceInformation", act)

    def list_command_invocations(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            found = [
                {
                    "InstanceId": instance_id, "Status": item.status, "StatusDetails": item.details,
                    "CommandPlugins": [{"Output": item.output[:2500], "ResponseCode": item.rc}],
                }
                for instance_id, item in self.world.ssm.commands[arguments["CommandId"]].items()
                if self.world.now >= item.visible
            ]  # fmt: skip
            return {"CommandInvocations": found}

        return self.world.network.call(
            self.proc, "ssm", "ListCommandInvocations", act, f" {arguments['CommandId']}"
        )

    def get_command_invocation(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            item = self.world.ssm.commands[arguments["CommandId"]].get(arguments["InstanceId"])
            if item is None or self.world.now < item.visible:
                raise client_error("InvocationDoesNotExist", "GetCommandInvocation")
            return {
                "Status": item.status, "StatusDetails": item.details, "ResponseCode": item.rc,
                "StandardOutputContent": item.output[:24000], "StandardErrorContent": "",
            }  # fmt: skip

        return self.world.network.call(self.proc, "ssm", "GetCommandInvocation", act)


class Ec2Client:
    """One process's client."""

    def __init__(self, world: World, proc: Proc) -> None:
        self.world, self.proc = world, proc

    def _call(self, operation: str, act: Callable[[], Any], about: str = "") -> Any:
        return self.world.network.call(self.proc, "ec2", operation, act, about)

    def _machine(self, instance_id: str, operation: str) -> Machine:
        machine = self.world.by_instance(instance_id)
        if machine is None:
            raise client_error("InvalidInstanceID.NotFound", operation)
        return machine

    def describe_instances(self, **arguments: Any) -> Any:
        asked = arguments["InstanceIds"][0]

        def act() -> dict[str, Any]:
            machine = self._machine(asked, "DescribeInstances")
            age = self.world.ec2_stale * self.proc.rng.random() if self.world.ec2_stale else 0.0
            state = machine.power_at(self.world.now - age)
            return {"Reservations": [{"Instances": [{"InstanceId": asked, "State": {"Name": state}}]}]}

        return self._call("DescribeInstances", act, f" {asked[2:5]}")

    def describe_instance_attribute(self, **_arguments: Any) -> Any:
        return self._call("DescribeInstanceAttribute", lambda: {"DisableApiStop": {"Value": False}})

    def stop_instances(self, **arguments: Any) -> Any:
        asked = arguments["InstanceIds"][0]

        def act() -> dict[str, Any]:
            machine = self._machine(asked, "StopInstances")
            if self.world.ec2_refuses:
                raise client_error(self.world.ec2_refuses, "StopInstances")
            if arguments.get("DryRun"):
                raise client_error("DryRunOperation", "StopInstances", 412)
            if machine.power == "pending":
                raise client_error("IncorrectInstanceState", "StopInstances")
            self.world.rules.powered_off(machine, self.proc)
            machine.stop_instance(self.world.ec2_stop_seconds)
            return {"StoppingInstances": [{"CurrentState": {"Name": machine.power}}]}

        return self._call("StopInstances", act, f" {asked[2:5]}{' dry' if arguments.get('DryRun') else ''}")

    def describe_addresses(self, **_arguments: Any) -> Any:
        return self._call("DescribeAddresses", lambda: {"Addresses": [{"InstanceId": self.world.address}]})

    def associate_address(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self.world.rules.outside(self.proc, "moves the address")
            self.world.address = arguments["InstanceId"]
            return {}

        return self._call("AssociateAddress", act, f" {arguments['InstanceId'][2:5]}")


__all__ = ["Ec2Client", "Invocation", "Killed", "Ssm", "SsmClient"]
