# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair in simulated time: two nodes behind SSM and EC2, on one shared folder that notices two writers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import PairSpec, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import Ports, ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition

from .aws import START, Clock, Cloudwatch, Dynamo, Network, client_error
from .s3 import S3

PAIR: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"etc": "/shared/hub/etc", "exe": "/opt/hub/bin"},
    "nodes": [
        {"name": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"},
        {"name": "hub-b", "instance_id": "i-0bbbbbbbbbbbbbbbb"},
    ],
    "shared": {"path": "/shared/hub", "min_free": "1MiB"},
    "redirect": [{"kind": "elastic_ip", "allocation_id": "eipalloc-0123456789abcdef0"}],
}


class Node:
    """One node: a product, a guard that keeps the rules of epochs, and an agent. Settings are public, set by tests."""

    def __init__(self, world: World, name: str, instance_id: str) -> None:
        self.world, self.name, self.instance_id = world, name, instance_id
        self.product = "stopped"
        self.seen = self.floor = 0
        self.held: dict[str, Any] | None = None
        self.online = True  # SSM lists it
        self.frozen = False  # commands are taken and never answered
        self.power = "running"
        self.delay = 0.05  # seconds until a command runs
        self.delays: dict[str, float] = {}  # the same for single actions
        self.start_seconds = self.stop_seconds = 0.0
        self.look_seconds = 0.0
        self.stop_ignored = self.start_fails = False
        self.eligible: dict[str, Any] = {
            "installed": True, "autostart": False, "mounted": True, "marker": "hub-prod", "free": 1 << 40,
        }  # fmt: skip
        self.detail: dict[str, Any] = {}
        self.force_only = False
        self.patient = True  # an order that was sent ahead waits for its grant; an older version refuses it

    def die(self) -> None:
        """Power is gone."""
        self.product = "stopped" if self.product == "running" else self.product
        self.power, self.online = "stopped", False

    def act(self, parameters: dict[str, str]) -> tuple[str, dict[str, Any], float]:
        """What the guard answers: state, detail, seconds it takes."""
        action = parameters["Action"]
        epoch = int(parameters["Epoch"] or 0)
        if action == "stop":
            return self._stop(epoch, parameters)
        if action == "start":
            return self._start(epoch)
        if action == "look":
            return self.product, {"eligible": self.eligible, "processes": 0, **self.detail}, self.look_seconds
        return self.product, {**self.detail}, 0.0

    def _stop(self, epoch: int, parameters: dict[str, str]) -> tuple[str, dict[str, Any], float]:
        if self.seen > epoch:
            return (
                self.product,
                {"refused": True, "code": "later_epoch_seen", "message": "a later epoch was seen"},
                0.0,
            )
        self.floor = max(self.floor, epoch)
        limit = float(parameters["Timeout"])
        if self.stop_ignored:
            return self.product, {"message": "daemons are left", "still_stopping": False}, 0.1
        if self.force_only and parameters["Mode"] != "force":
            return "running", {"message": "transfers run", "still_stopping": True}, limit
        if self.stop_seconds > limit:
            return "running", {"message": "it still stops", "still_stopping": True}, limit
        self.world.product(self, "stopped")
        return "stopped", {"proof": "status 240, no process left"}, self.stop_seconds

    def awaits(self, parameters: dict[str, str]) -> bool:
        """Whether this start was sent ahead of its grant, and waits for it; not longer than leaves it the time of a start."""
        if parameters["Action"] != "start" or not self.patient:
            return False
        record = self.world.record()
        move = record.move
        if record.active is not None or move is None:
            return False
        return move.target == self.name and int(parameters["Epoch"]) == record.epoch + 1

    def _start(self, epoch: int) -> tuple[str, dict[str, Any], float]:
        record = self.world.record()
        if record.active != self.name or record.epoch != epoch or epoch <= self.floor or epoch < self.seen:
            return (
                self.product,
                {"refused": True, "code": "not_active", "message": "not the active node"},
                0.0,
            )
        self.seen = epoch
        if self.start_fails:
            return "stopped", {"message": "the product did not start"}, 0.1
        self.world.product(self, "running")
        return "running", {"message": "started"}, self.start_seconds


class World:
    """Time, AWS and two nodes. `overlaps` counts the instants at which both products ran."""

    def __init__(self, latency: float = 0.02, **changes: Any) -> None:
        self.raw = {**PAIR, **changes}
        self.clock = Clock()
        self.network = Network(self.clock, latency)
        self.dynamo = Dynamo(self.network, self.raw["table"])
        self.cloudwatch = Cloudwatch(self.network)
        self.s3 = S3()
        self.nodes = {
            item["name"]: Node(self, item["name"], item["instance_id"]) for item in self.raw["nodes"]
        }
        self.address: str | None = self.nodes["hub-a"].instance_id
        self.stop_takes = 5.0
        self.gone: dict[
            str, str
        ] = {}  # instances that were nodes once, and their state; empty: not listed any more
        self.stop_error = self.start_error = ""
        self.boot_takes = 40.0
        self.address_error = ""
        self.overlaps = 0
        self.events: list[tuple[float, str, str]] = []
        self._commands: dict[str, dict[str, dict[str, Any]]] = {}
        self.random = 0

    # -- the world's own truth

    def product(self, node: Node, state: str) -> None:
        """A product changes; two at once are counted by the shared folder itself."""
        if state == "running" and any(
            other.product == "running" for other in self.nodes.values() if other is not node
        ):
            self.overlaps += 1
        if node.product != state:
            self.events.append((self.clock.now, node.name, "start" if state == "running" else "stop"))
        node.product = state

    def steady(self, active: str = "hub-a", epoch: int = 7) -> World:
        """A pair at rest: `active` runs with `epoch`."""
        nodes = {name: node.instance_id for name, node in self.nodes.items()}
        now = START
        self.ports().store.create(
            Record(
                pair=self.raw["name"], nodes=nodes, active=active, epoch=epoch, times={"active_since": now}
            )
        )
        node = self.nodes[active]
        self.product(node, "running")
        node.seen = epoch
        self.network.calls.clear()
        self.events.clear()
        return self

    def record(self) -> Record:
        """The record as it stands, outside of the network."""
        from ansible_collections.hotstandby.ops.plugins.module_utils.record import parse_record
        from ansible_collections.hotstandby.ops.plugins.module_utils.store import from_item

        return parse_record(self.raw["name"], from_item(self.dynamo.items[(self.raw["name"], "record")]))

    # -- what a caller gets

    def pair(self) -> PairSpec:
        return parse_pair(self.raw)

    def client(self, service: str) -> Any:
        return {
            "dynamodb": self.dynamo, "cloudwatch": self.cloudwatch, "ssm": Ssm(self), "ec2": Ec2(self), "s3": self.s3,
        }[service]  # fmt: skip

    def ports(self) -> Ports:
        return ports_for(self.pair(), self.client, self.clock)

    def run(self, **request: Any) -> Result:
        """One run of the transition by an operator."""
        self.random += 1
        asked = Request(**{"by": "keiko", "owner": f"keiko@admin/{self.random}", **request})
        return Transition(self.pair(), self.ports(), asked).run()

    def by_instance(self, instance_id: str) -> Node:
        return next(node for node in self.nodes.values() if node.instance_id == instance_id)


class Ssm:
    """Run Command: delivered after the node's delay, answered by its guard; Targets leave out who is not online."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send_command(self, **arguments: Any) -> Any:
        world = self._world

        def act() -> dict[str, Any]:
            command_id = f"command-{len(world._commands)}"
            assert arguments["DocumentName"] == "HotStandbyNode" and arguments["TimeoutSeconds"] >= 30
            parameters = {key: value[0] for key, value in arguments["Parameters"].items()}
            world._commands[command_id] = {}
            for instance_id in arguments["Targets"][0]["Values"]:
                node = world.by_instance(instance_id)
                if node.online:
                    self._deliver(command_id, node, parameters)
            return {"Command": {"CommandId": command_id}}

        return world.network.call("ssm", "SendCommand", arguments, act)

    def _deliver(self, command_id: str, node: Node, parameters: dict[str, str]) -> None:
        world = self._world
        item: dict[str, Any] = {
            "InstanceId": node.instance_id,
            "Status": "Pending",
            "StatusDetails": "Pending",
        }
        world._commands[command_id][node.instance_id] = item

        sent, patience = world.clock.now, float(parameters["Timeout"]) - world.pair().timeouts.start

        def begin() -> None:
            if node.frozen or node.power != "running":
                return
            item.update(Status="InProgress", StatusDetails="InProgress")
            if node.awaits(parameters) and world.clock.now - sent < patience:
                world.clock.at(0.05, begin)
                return
            state, detail, seconds = node.act(parameters)

            def end() -> None:
                answer = {
                    "schema": 1, "pair": world.raw["name"], "node": node.name, "instance_id": node.instance_id,
                    "boot_id": "b", "action": parameters["Action"], "move": parameters["Move"],
                    "epoch": int(parameters["Epoch"]) if parameters["Epoch"] else None, "state": state,
                    "seen": node.seen, "floor": node.floor, "held": node.held, "detail": detail,
                }  # fmt: skip
                status = "Success" if state == "running" else "Failed"
                item.update(Status=status, StatusDetails=status, Output=json.dumps(answer))

            world.clock.at(seconds, end)

        world.clock.at(node.delays.get(parameters["Action"], node.delay), begin)

    def list_command_invocations(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            found = self._world._commands[arguments["CommandId"]].values()
            return {
                "CommandInvocations": [
                    {
                        "InstanceId": item["InstanceId"], "Status": item["Status"],
                        "StatusDetails": item["StatusDetails"],
                        "CommandPlugins": [{"Output": item.get("Output", ""), "ResponseCode": 0}],
                    }
                    for item in found
                ]
            }  # fmt: skip

        return self._world.network.call("ssm", "ListCommandInvocations", arguments, act)

    def get_command_invocation(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            item = self._world._commands[arguments["CommandId"]][arguments["InstanceId"]]
            return {**item, "StandardOutputContent": item.get("Output", "")}

        return self._world.network.call("ssm", "GetCommandInvocation", arguments, act)


class Ec2:
    """Instances that take a while to stop, and one address."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _call(self, operation: str, arguments: dict[str, Any], act: Callable[[], Any]) -> Any:
        return self._world.network.call("ec2", operation, arguments, act)

    def describe_instances(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            asked = arguments["InstanceIds"][0]
            power = self._world.gone.get(asked)
            if power == "":
                raise client_error("InvalidInstanceID.NotFound", "DescribeInstances")
            state = power or self._world.by_instance(asked).power
            return {"Reservations": [{"Instances": [{"InstanceId": asked, "State": {"Name": state}}]}]}

        return self._call("DescribeInstances", arguments, act)

    def describe_instance_attribute(self, **arguments: Any) -> Any:
        return self._call(
            "DescribeInstanceAttribute", arguments, lambda: {"DisableApiStop": {"Value": False}}
        )

    def stop_instances(self, **arguments: Any) -> Any:
        world = self._world

        def act() -> dict[str, Any]:
            if arguments.get("DryRun"):
                raise client_error(world.stop_error or "DryRunOperation", "StopInstances", 412)
            if world.stop_error:
                status = 503 if world.stop_error == "ServiceUnavailable" else 400
                raise client_error(world.stop_error, "StopInstances", status)
            node = world.by_instance(arguments["InstanceIds"][0])
            if node.power == "running":
                node.power = "stopping"

                def off() -> None:
                    world.product(node, "stopped")
                    node.die()

                world.clock.at(world.stop_takes, off)
            return {"StoppingInstances": [{"CurrentState": {"Name": node.power}}]}

        return self._call("StopInstances", arguments, act)

    def start_instances(self, **arguments: Any) -> Any:
        world = self._world

        def act() -> dict[str, Any]:
            node = world.by_instance(arguments["InstanceIds"][0])
            if world.start_error:
                raise client_error(world.start_error, "StartInstances")
            if node.power == "stopping":
                raise client_error("IncorrectInstanceState", "StartInstances")
            node.power = "pending"

            def up() -> None:
                node.power, node.online = "running", True

            world.clock.at(world.boot_takes, up)
            return {}

        return self._call("StartInstances", arguments, act)

    def describe_addresses(self, **arguments: Any) -> Any:
        found = {"Addresses": [{"InstanceId": self._world.address}]}
        return self._call("DescribeAddresses", arguments, lambda: found)

    def associate_address(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            if self._world.address_error:
                raise client_error(self._world.address_error, "AssociateAddress")
            if arguments.get("DryRun"):
                raise client_error("DryRunOperation", "AssociateAddress", 412)
            self._world.address = arguments["InstanceId"]
            return {}

        return self._call("AssociateAddress", arguments, act)
