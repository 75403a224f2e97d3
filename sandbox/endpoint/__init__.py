# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local AWS for a sandbox: moto, mended, behind a front door that knows its callers and can go wrong on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from . import ec2_load
from .front import Front
from .functions import Functions
from .groups import Groups
from .http import Server
from .mended import Mended, regions
from .metadata import Identity, MetadataServer
from .model import ACCOUNT, Call, Caller, CallLog, Faults, Hypervisor, NoHypervisor
from .schedules import Schedules
from .ssm import AgentHub
from .ticker import Ticker

__all__ = ["ACCOUNT", "Call", "Caller", "Endpoint", "Faults", "Hypervisor", "NoHypervisor"]

# moto's names of what only an automation needs; loaded when first asked for
AUTOMATION = ("lambda", "events", "sns", "sqs", "logs", "iam", "route53", "elbv2", "scheduler", "autoscaling")

Control = Callable[[dict[str, Any]], dict[str, Any]]


class Endpoint:
    """One AWS on a port of `host` (loopback, unless real hosts are to reach it); `latency` in seconds is added to each AWS call. One at a time in a process,
    since moto keeps its state in modules: `start` begins with an empty AWS.

    `control` maps a path to what answers POST /_sandbox/<path>. `stop_seconds` is the time in `stopping` after the
    hypervisor's on_stop returned, `table_seconds` the time for which a new table is CREATING. `replicas` maps
    a table to the regions that DescribeTable shows as its replicas.
    `functions` runs Lambda functions, `groups` the instances of Auto Scaling groups, `schedules` EventBridge Scheduler;
    `ticker` (not started by itself) evaluates alarms and delivers events.
    `aliases` maps the alias of an access point to its bucket; with `conditions` off S3 takes no notice of If-None-Match
    and If-Match on writes, as older stores do. `unimplemented` lists what was answered with 501.
    """

    def __init__(self, port: int = 0, latency: float = 0.0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.latency = latency
        self.keys: dict[str, Caller] = {}
        self.faults = Faults()
        self.control: dict[str, Control] = {}
        self.agents = AgentHub()
        self.hypervisor: Hypervisor = NoHypervisor()
        self.stop_seconds = 0.2
        self.table_seconds = 0.0
        self.status_checks: dict[str, str] = {}
        self.replicas: dict[str, set[str]] = {}
        self.aliases: dict[str, str] = {}
        self.conditions = True
        self.unimplemented: list[str] = []
        self.log = CallLog()
        self.moto = Mended(self)
        self.functions = Functions(self)
        self.groups = Groups(self)
        self.schedules = Schedules(self)
        self.ticker = Ticker(self)
        self._metadata: dict[str, MetadataServer] = {}
        self._server = Server(Front(self), port, host=host)

    @property
    def calls(self) -> list[Call]:
        """The AWS calls so far, the oldest first."""
        return self.log.calls

    @property
    def port(self) -> int:
        """The port."""
        return self._server.port

    @property
    def url(self) -> str:
        """For endpoint_url."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Serve from now on. The services are made ready meanwhile; a first call may wait for that."""
        from moto.backends import get_backend

        ec2_load.load()
        for service in ("dynamodb", "ssm", "cloudwatch", "s3", "ec2", *AUTOMATION):
            get_backend(service).reset()
        self._server.start()
        threading.Thread(target=self.moto.warm, name="warm", daemon=True).start()

    def stop(self) -> None:
        """Answer no more, nor any instance's metadata."""
        self.ticker.stop()
        self.functions.stop()
        self._server.stop()
        for server in self._metadata.values():
            server.stop()
        self._metadata.clear()

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self.log.clear()

    def add_metadata(self, instance_id: str, access_key: str, secret: str, region: str) -> str:
        """Instance metadata on a port of its own, with these credentials; returns its address."""
        self.remove_metadata(instance_id)
        server = MetadataServer(Identity(instance_id, access_key, secret, region, f"{region}a"), self.host)
        self._metadata[instance_id] = server
        return server.url

    def set_metadata(self, instance_id: str, path: str, text: str) -> None:
        """One more thing that an instance is told of itself."""
        server = self._metadata.get(instance_id)
        if server is not None:
            server.told[path] = text

    def remove_metadata(self, instance_id: str) -> None:
        """The instance is gone."""
        server = self._metadata.pop(instance_id, None)
        if server is not None:
            server.stop()

    def reset_state(self, alarms: bool = True) -> None:
        """Forget SSM commands, the items of every table (the tables stay), metrics and (unless told not to) alarms, and
        who has an Elastic IP. Instances, keys, documents, parameters, functions, rules and faults stay."""
        self.agents.forget()
        self.functions.forget()
        with self.moto.lock("dynamodb"):
            for backend in regions("dynamodb"):
                for table in backend.tables.values():
                    table.items.clear()
        with self.moto.lock("monitoring"):
            for backend in regions("cloudwatch"):
                backend.metric_data.clear()
                if alarms:
                    backend.alarms.clear()
        with self.moto.lock("ec2"):
            for backend in regions("ec2"):
                for address in backend.addresses:
                    if address.association_id:
                        backend.disassociate_address(association_id=address.association_id)
