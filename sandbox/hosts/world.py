# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair of hosts and their AWS: made, tormented, taken away. Lives in the daemon, beside the endpoint."""

from __future__ import annotations

import threading
import time
import zlib
from typing import Any

from ..endpoint import Caller, Endpoint
from ..paths import Layout, SandboxError
from ..standins.journal import Journal
from ..world import cloud
from ..world.mover import COOLDOWN, tuning
from .access import admit
from .automation import MINUTE, PERIOD, HostMover
from .host import SHARED, Host, prefix
from .image import image, suite_of
from .podman import folder, podman, there

NAMES = ("hub-a", "hub-b")
PAIR = "hub-hosts"
SUBNETS = 200  # 10.89.20.0/24 and after
# a start takes a systemd job and a Python interpreter on a machine that may be busy
TIMEOUTS = {"confirm": 8, "stop": 30, "start": 60, "verify": 30}
FAULTS = ("product-kill", "freeze", "cut", "power-off", "reboot", "agent-offline")


def ground(layout: Layout) -> str:
    """Image and network; returns this machine's address on it. Raises SandboxError."""
    name, network = image(suite_of(NAMES[0])), prefix(layout)
    first = zlib.crc32(network.encode()) % SUBNETS
    trouble = ""
    for step in range(10):
        base = f"10.89.{20 + (first + step) % SUBNETS}"
        try:
            podman("network", "create", "--disable-dns", "--subnet", f"{base}.0/24", network)
        except SandboxError as error:
            trouble = str(error)
            continue
        # the bridge is there as long as somebody is attached to it
        podman("run", "-d", "--name", f"{network}-anchor", "--network", network, name, "sleep", "infinity")
        return f"{base}.1"
    raise SandboxError(trouble)


def clear_ground(layout: Layout) -> None:
    """Everything that podman has of this sandbox goes, whoever made it and however far that came."""
    names = podman("ps", "-a", "--format", "{{.Names}}").split()
    left = [name for name in names if name.startswith(f"{prefix(layout)}-")]
    if left:
        podman("rm", "-f", "-t", "0", *left, check=False)
    if there("network", prefix(layout)):
        podman("network", "rm", "-f", prefix(layout), check=False)


class Hosts:
    """`endpoint` serves on the network that `ground` laid. `make` makes the rest and becomes its hypervisor."""

    def __init__(self, layout: Layout, endpoint: Endpoint, automation: str = "none") -> None:
        self.layout, self.endpoint = layout, endpoint
        self.fast = automation == "fast"
        self.mover = None if automation == "none" else HostMover(endpoint, PAIR, str(layout.state), PERIOD)
        self.network = prefix(layout)
        self.hosts: dict[str, Host] = {}
        self.lock = threading.RLock()
        self.allocation = ""

    # -- making it

    def make(self) -> None:
        """Instances, and hosts that have booted with running agents; nothing deployed."""
        self.endpoint.keys[cloud.CONTROLLER_KEY] = Caller("controller", "controller", None)
        self.cloud = cloud.Cloud(self.endpoint.url)
        folder(self.layout.etc)
        Journal(str(self.layout.journal))
        for name in ("lock", "events.jsonl"):  # whoever writes first would own them
            (self.layout.journal / name).touch()
        for path in [self.layout.journal, *self.layout.journal.rglob("*")]:
            path.chmod(0o777)
        for number, one in enumerate(NAMES):
            self._host(one, f"{self.endpoint.host.rpartition('.')[0]}.{number + 11}")
        self.allocation = self.cloud.address()
        self.cloud.associate(self.allocation, self.hosts[NAMES[0]].instance_id)
        self.endpoint.hypervisor = self
        for host in self.hosts.values():
            host.make(image(suite_of(host.name)), self.network, self.endpoint.url)
            self.endpoint.agents.register(host.instance_id)
        for host in self.hosts.values():
            host.until_booted()
            admit(self.layout, host)

    def _host(self, name: str, address: str) -> None:
        key = f"AKIAHOST{name.upper().replace('-', '')}"
        host = Host(self.layout, name, self.cloud.launch(name), key, address)
        self.endpoint.keys[key] = Caller(name, "node", host.instance_id)
        host.metadata_url = self.endpoint.add_metadata(host.instance_id, key, host.secret, cloud.REGION)
        self.hosts[name] = host

    # -- what EC2 does to them

    def by_instance(self, instance_id: str) -> Host | None:
        """The host that this instance is."""
        return next((host for host in self.hosts.values() if host.instance_id == instance_id), None)

    def dead(self, host: Host) -> None:
        """It has no power."""
        self.endpoint.agents.set_online(host.instance_id, False)
        host.power_off()

    def alive(self, host: Host) -> None:
        """It boots, and its cable is plugged in."""
        host.power_on()
        host.join(self.network)
        self.endpoint.agents.set_online(host.instance_id, True)

    def on_stop(self, instance_id: str, force: bool) -> None:
        """EC2 stops it: the plug is pulled, whatever `force` says."""
        host = self.by_instance(instance_id)
        if host is not None:
            # so long from the call to "stopped" in all, podman's own time and EC2's last moment included
            whole, began = float(host.knobs().get("power_seconds", 0)), time.monotonic()
            self.dead(host)
            time.sleep(max(0.0, whole - self.endpoint.stop_seconds - (time.monotonic() - began)))

    def on_start(self, instance_id: str) -> None:
        """EC2 starts it."""
        host = self.by_instance(instance_id)
        if host is not None:
            self.alive(host)

    def on_reboot(self, instance_id: str) -> None:
        """EC2 reboots it."""
        self.on_stop(instance_id, False)
        self.on_start(instance_id)

    def on_terminate(self, instance_id: str) -> None:
        """EC2 ends it for good."""
        self.on_stop(instance_id, True)

    # -- what people do to them

    def host(self, name: str) -> Host:
        """A host by name; SandboxError when there is none."""
        if name not in self.hosts:
            raise SandboxError(f"there is no host {name!r} (there are {', '.join(self.hosts)})")
        return self.hosts[name]

    def fault(self, name: str, kind: str) -> dict[str, Any]:
        """A fault by name; `clear` mends what a fault did, and starts what was switched off."""
        with self.lock:
            host = self.host(name)
            host.struck = time.time()
            if kind == "clear":
                self._clear(host)
            elif kind == "product-kill":
                # by the program and from outside, as an out-of-memory killer would
                host.kill(b"/opt/hub/bin/hub", b"nginx: ")
            elif kind == "freeze":
                host.freeze()
                self.endpoint.status_checks[host.instance_id] = "impaired"
            elif kind == "cut":
                host.cut(self.network)
            elif kind == "power-off":
                self.dead(host)
                cloud.set_state(host.instance_id, "stopped")
            elif kind == "reboot":
                self.dead(host)
                self.alive(host)
            elif kind == "agent-offline":
                host.run("systemctl", "stop", "amazon-ssm-agent")
                self.endpoint.agents.set_online(host.instance_id, False)
            else:
                raise SandboxError(f"fault {kind!r} does not exist (there are {', '.join(FAULTS)}, clear)")
            return {"target": name, "fault": kind, "at": host.struck}

    def _clear(self, host: Host) -> None:
        host.clean()
        self.endpoint.status_checks[host.instance_id] = "ok"
        end = time.monotonic() + 20
        while cloud.state_of(host.instance_id) in ("stopping", "pending"):
            if time.monotonic() > end:
                raise SandboxError(f"{host.name} is still on its way to another state")
            time.sleep(0.05)
        host.thaw()
        if host.state() != "running":
            self.alive(host)
            cloud.set_state(host.instance_id, "running")
        host.join(self.network)
        host.until_booted()
        host.run("systemctl", "start", "amazon-ssm-agent")
        self.endpoint.agents.set_online(host.instance_id, True)

    # -- what they are

    def pair(self) -> dict[str, Any]:
        """`hotstandby_pair` for the stand-in of HULFT-HUB."""
        return {
            "name": PAIR,
            "region": cloud.REGION,
            "table": cloud.TABLE,
            "service": "hulft_hub",
            "product": {"user": "hulft", "etc": f"{SHARED}/etc", "exe": "/opt/hub/bin"},
            "nodes": [{"name": name, "instance_id": self.hosts[name].instance_id} for name in NAMES],
            "shared": {"path": SHARED, "min_free": "1MiB"},
            "fencing": {"method": "ec2_stop", "timeout": 60},
            "redirect": [{"kind": "elastic_ip", "allocation_id": self.allocation}],
            "timeouts": {
                **TIMEOUTS,
                **({"confirm": 5} if self.fast else {}),
            },
            "profile": "fast" if self.fast else "minute",
            **(tuning() if self.fast else {}),
            "lease": 5,
            "cooldown": 600 if self.mover is None else COOLDOWN,
            "endpoint_url": self.endpoint.url,
        }

    def automation(self) -> dict[str, Any]:
        """What the automation did so far; empty when there is none."""
        return self.mover.report() if self.mover is not None else {}

    def start(self) -> dict[str, Any]:
        """Start the service on the first host, by its own guard. Raises SandboxError."""
        first = self.hosts[NAMES[0]]
        rc, said = first.run("hotstandby", "start")
        if rc != 0:
            raise SandboxError(f"hotstandby start on {first.name} ended with {rc}: {said.strip()[-500:]}")
        return {}

    def begin(self) -> dict[str, Any]:
        """Everything is in place and the service runs: let alarms be judged and events come from now on."""
        if self.mover is not None:
            self.mover.begin()
            self.endpoint.ticker.minute = MINUTE
        return {}

    def status(self) -> dict[str, Any]:
        """What really is, as nobody inside can know it."""
        running = [about["node"] for about in Journal(str(self.layout.journal)).running()]
        return {
            "hosts": {
                name: {
                    "state": host.state(),
                    "ec2": cloud.state_of(host.instance_id),
                    "networks": len(host.networks()),
                    "product": name in running,
                }
                for name, host in self.hosts.items()
            },
            "address": cloud.address_of(self.allocation),
            "unimplemented": list(self.endpoint.unimplemented),
        }
