# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair and its machines: made, tormented, reset. Lives in the daemon, beside the endpoint."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..endpoint import Caller, Endpoint
from ..paths import Layout, SandboxError, read_json, write_json
from ..standins.journal import Journal, count_overlaps, read_events
from . import cloud, describe, faults
from .node import SandboxNode

DOWN_WAIT = 5.0  # seconds that a reset waits for an instance that is on its way somewhere


class World:
    """`endpoint` must be started. `build` makes everything; the instance is the endpoint's hypervisor then."""

    def __init__(
        self,
        layout: Layout,
        endpoint: Endpoint,
        automated: bool = False,
        fast: bool = False,
        product: str = "hulft_hub",
        shared: bool = False,
    ) -> None:
        from .automation import Automation
        from .recorder import Recorder

        self.layout, self.endpoint, self.fast = layout, endpoint, fast
        self.nodes: dict[str, SandboxNode] = {}
        self.lock = threading.RLock()
        self.product, self.shared = product, shared
        warp = product == "asteria_warp"
        self.name = describe.WARP_PAIR if warp else describe.PAIR
        self.names = describe.WARP_NAMES if warp else describe.NAMES
        self.recorder = Recorder(self.name)
        self.pair: dict[str, Any] = {}
        self.allocation = ""
        self.baseline_items: list[dict[str, Any]] | None = None
        self.resets = 0
        self.automation = Automation(self) if automated else None

    # -- making it

    def build(self) -> None:
        """Instances, address, nodes with running agents; nothing deployed yet."""
        self.endpoint.keys[cloud.CONTROLLER_KEY] = Caller("controller", "controller", None)
        self.cloud = cloud.Cloud(self.endpoint.url)
        self.layout.etc.mkdir(parents=True, exist_ok=True)
        Journal(str(self.layout.journal))
        for name in self.names:
            node = self._new(name, self.cloud.launch(name))
            # one installation after the other into one shared folder: the first one's files are put aside before the second
            node.lay(bare=self.shared and name != self.names[0])
        self.allocation = self.cloud.address()
        self.cloud.associate(self.allocation, self.nodes[self.names[0]].instance_id)
        self.pair = describe.pair(self)
        describe.write_inventory(self)
        # from here on EC2's stop and start reach the nodes
        self.endpoint.hypervisor = self
        for node in self.nodes.values():
            self.alive(node)
        self.recorder.start()

    def _new(self, name: str, instance_id: str, clone_of: str | None = None) -> SandboxNode:
        key = f"AKIASANDBOX{name.upper().replace('-', '')}"
        node = SandboxNode(self.layout, name, instance_id, key, clone_of, self.product, self.shared)
        node.watches = self.fast
        node.url = self.endpoint.url
        self.endpoint.keys[key] = Caller(name, "node", instance_id)
        node.metadata_url = self.endpoint.add_metadata(instance_id, key, node.secret, cloud.REGION)
        self.endpoint.agents.register(instance_id)
        self.nodes[name] = node
        return node

    # -- after deploy

    def baseline(self) -> None:
        """Remember the pair as deploy left it; `reset` returns to this."""
        with self.lock:
            shutil.rmtree(self.layout.snapshot, ignore_errors=True)
            for name in self.names:
                shutil.copytree(self.layout.root(name), self.layout.snapshot / name, symlinks=True)
            shutil.copytree(self.layout.shared, self.layout.snapshot / "shared", symlinks=True)
            self.baseline_items = self.cloud.items()

    def install(self, name: str) -> dict[str, Any]:
        """Run the product's installation on a node, as its people would."""
        self.nodes[name].install()
        return {}

    def start_product(self) -> None:
        """Start the product on the first node through its own guard. Raises SandboxError with what it said."""
        first = self.nodes[self.names[0]]
        rc, output = first.run([str(first.command()), "start"])
        if rc != 0:
            last = (output.strip().splitlines() or ["(no output)"])[-1]
            raise SandboxError(f"hotstandby start on {first.name} ended with {rc}: {last[:500]}")

    def watch(self) -> None:
        """Start the daemons of profile fast, once there is something to watch over."""
        for node in self.nodes.values():
            node.start_watch()

    def ready(self) -> dict[str, Any]:
        """Deploy is done: remember it, start the product, and say what there is."""
        with self.lock:
            self.baseline()
            self.start_product()
            self.watch()
            if self.automation is not None:
                self.automation.begin()
            self.endpoint.clear_calls()
            write_json(self.layout.description, describe.description(self))
            return describe.description(self)

    def reset(self) -> dict[str, Any]:
        """A fresh pair without a new start."""
        with self.lock:
            if self.baseline_items is None:
                raise SandboxError("the sandbox is not complete yet: nothing to go back to")
            if self.automation is not None:
                self.automation.hold()
            self._settle()
            self.endpoint.faults.clear()
            self.endpoint.ticker.mend()
            self.endpoint.replicas.clear()
            for node in list(self.nodes.values()):
                if node.clone_of is not None:
                    self.remove_clone(node)
            for node in self.nodes.values():
                self.dead(node)
                self._restore_files(node)
            self._restore_tree(self.layout.snapshot / "shared", self.layout.shared)
            Journal(str(self.layout.journal)).archive()
            self.endpoint.reset_state(alarms=self.automation is None)
            self.recorder.forget()
            self.cloud.restore(self.baseline_items)
            self.cloud.associate(self.allocation, self.nodes[self.names[0]].instance_id)
            for node in self.nodes.values():
                cloud.renew(node.instance_id)
                self.alive(node, alone=False)
            self.start_product()
            self.watch()
            if self.automation is not None:
                self.automation.resume()
            self.resets += 1
            self.endpoint.clear_calls()
            return describe.description(self)

    def _settle(self) -> None:
        """Wait until no instance is on its way somewhere: a late hook must not meet the fresh pair."""
        end = time.monotonic() + DOWN_WAIT
        while any(
            cloud.state_of(node.instance_id) in ("stopping", "pending") for node in self.nodes.values()
        ):
            if time.monotonic() > end:
                raise SandboxError("an instance is still on its way to another state")
            time.sleep(0.02)

    def _restore_files(self, node: SandboxNode) -> None:
        node.faults.clear()
        self._restore_tree(self.layout.snapshot / node.name, node.root)

    @staticmethod
    def _restore_tree(source: Any, target: Any) -> None:
        shutil.rmtree(target)
        shutil.copytree(source, target, symlinks=True)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """The world's own calls pass every fault of the endpoint."""
        now = self.endpoint.faults
        down, throttle = set(now.down), now.throttle
        now.down.clear()
        now.throttle = False
        try:
            yield
        finally:
            now.down.update(down)
            now.throttle = throttle

    def write_items(self, items: list[dict[str, Any]]) -> None:
        """Put items into the table."""
        with self.undisturbed():
            for item in items:
                self.cloud.put(item)

    # -- power

    def by_instance(self, instance_id: str) -> SandboxNode | None:
        """The node that this instance is."""
        return next((node for node in self.nodes.values() if node.instance_id == instance_id), None)

    def dead(self, node: SandboxNode) -> int:
        """Everything on it is killed; returns how many processes."""
        self.endpoint.agents.set_online(node.instance_id, False)
        count = node.power_off()
        self.endpoint.status_checks[node.instance_id] = "ok"
        return count

    def alive(self, node: SandboxNode, alone: bool = True) -> None:
        """It boots."""
        node.boot(alone)
        self.endpoint.agents.set_online(node.instance_id, True)

    def on_stop(self, instance_id: str, force: bool) -> None:
        """EC2 stops it: the plug is pulled, whatever `force` says."""
        node = self.by_instance(instance_id)
        if node is not None:
            whole = float(read_json(node.knobs).get("power_seconds", 0))
            time.sleep(max(0.0, whole - self.endpoint.stop_seconds))
            self.dead(node)

    def on_start(self, instance_id: str) -> None:
        """EC2 starts it."""
        node = self.by_instance(instance_id)
        if node is not None:
            self.alive(node)

    def on_reboot(self, instance_id: str) -> None:
        """EC2 reboots it."""
        self.on_stop(instance_id, False)
        self.on_start(instance_id)

    def on_terminate(self, instance_id: str) -> None:
        """EC2 ends it for good."""
        self.on_stop(instance_id, True)

    # -- clones

    def clones(self, node: SandboxNode) -> list[SandboxNode]:
        """The clones of a node."""
        return [other for other in self.nodes.values() if other.clone_of == node.name]

    def clone(self, node: SandboxNode) -> SandboxNode:
        """A second instance boots from a copy of a node's files."""
        if node.clone_of is not None:
            raise SandboxError(f"{node.name} is a clone itself")
        with self.lock:
            number = len(self.clones(node)) + 1
            name = f"{node.name}-clone" + (str(number) if number > 1 else "")
            with self.undisturbed():
                copy = self._new(name, self.cloud.launch(name), clone_of=node.name)
            copy.copy_from(node)
            self.alive(copy)
            return copy

    def remove_clone(self, node: SandboxNode) -> None:
        """The clone's instance is terminated and its files go."""
        self.nodes.pop(node.name, None)  # first, so that the endpoint's hook has nothing left to do
        self.dead(node)
        with self.undisturbed():
            self.cloud.terminate(node.instance_id)
        self.endpoint.remove_metadata(node.instance_id)
        self.endpoint.agents.unregister(node.instance_id)
        self.endpoint.keys.pop(node.key, None)
        shutil.rmtree(node.root, ignore_errors=True)

    # -- what people ask

    def fault(self, target: str, kind: str) -> dict[str, Any]:
        """A fault by name; `clear` mends."""
        with self.lock:
            if kind == "clear":
                return self.clear(target)
            if target == "aws":
                extra = faults.aws_fault(self, kind)
            else:
                extra = faults.node_fault(self, self.node(target), kind)
            return {"target": target, "fault": kind, **extra}

    def clear(self, target: str | None) -> dict[str, Any]:
        """Mend a node, `aws`, or (None) all."""
        with self.lock:
            if target is None:
                faults.clear_aws(self)
            for name in list(self.nodes) if target is None else [target]:
                if name == "aws":
                    faults.clear_aws(self)
                elif target is not None or name in self.nodes:
                    faults.clear_node(self, self.node(name))
            return {"cleared": target or "all"}

    def node(self, name: str) -> SandboxNode:
        """A node by name; SandboxError when there is none."""
        if name not in self.nodes:
            raise SandboxError(f"there is no node {name!r} (there are {', '.join(self.nodes)}, and aws)")
        return self.nodes[name]

    def journal(self) -> dict[str, Any]:
        """{events, overlaps}, and what earlier journals (before each reset) held."""
        journal = Journal(str(self.layout.journal))
        earlier = [count_overlaps(read_events(path)) for path in journal.archived()]
        return {**journal.read(), "earlier": {"resets": len(earlier), "overlaps": sum(earlier)}}

    def end(self) -> None:
        """Everything dead."""
        if self.automation is not None:
            self.automation.end()
        self.recorder.stop()
        for node in list(self.nodes.values()):
            node.power_off()
