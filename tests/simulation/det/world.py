# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world: one pair on simulated machines, AWS between them, and whoever acts on it."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3.dynamodb.types
from ansible_collections.hotstandby.ops.plugins.module_utils import store as core_store
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result
from ansible_collections.hotstandby.ops.plugins.module_utils.node import table as node_table
from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import Config
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import PairSpec, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record, plain
from ansible_collections.hotstandby.ops.plugins.module_utils.store import to_item
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition
from greenlet import getcurrent

from tests.simulation.aws import START
from tests.simulation.det.cloud import Ec2Client, Ssm, SsmClient
from tests.simulation.det.host import EXE, SHARED
from tests.simulation.det.machine import Daemon, Machine
from tests.simulation.det.network import Network
from tests.simulation.det.rules import STATE, Rules
from tests.simulation.det.scheduler import Proc, Scheduler
from tests.simulation.det.store import (
    CloudwatchClient,
    DynamoClient,
    FastDeserializer,
    FastSerializer,
    Metrics,
    Table,
)

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
FIRST = 7  # the epoch at which every schedule begins
PAIR: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"etc": f"{SHARED}/etc", "exe": EXE},
    "nodes": [{"name": "hub-a", "instance_id": A}, {"name": "hub-b", "instance_id": B}],
    "shared": {"path": SHARED, "min_free": "1MiB"},
    "fencing": {"method": "ec2_stop", "timeout": 20},
    "timeouts": {"confirm": 5, "stop": 10, "start": 10, "verify": 10},
    "lease": 10,
    "cooldown": 30,
}
# the shapes of a pair that a schedule may have
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "force": {"stop": {"mode": "normal", "then": "force"}},
    "address": {"redirect": [{"kind": "elastic_ip", "allocation_id": "eipalloc-0123456789abcdef0"}]},
    "probe": {"probe": {"command": ["/usr/local/bin/probe", "{node}"]}},
    "fast": {"profile": "fast", "heartbeat_timeout": 3},
    "nofence": {"fencing": {"method": "none"}},
}
# and one that is of use only where the watch daemons run
WATCHED: dict[str, dict[str, Any]] = {
    "restarts": {"profile": "fast", "heartbeat_timeout": 6, "local_restarts": 1}
}


@functools.cache
def pair_of(variant: str) -> PairSpec:
    """One shape of the pair, parsed once."""
    return parse_pair({**PAIR, **VARIANTS.get(variant, WATCHED.get(variant, {}))})


@functools.cache
def config_of(variant: str, node: str) -> Config:
    """A node's configuration."""
    pair = pair_of(variant)
    return Config(pair, pair.node(node))


# a Date header is read again and again
read_date = functools.lru_cache(maxsize=8192)(email.utils.parsedate_to_datetime)


class Words:
    """In place of the module uuid: words that nobody else has, the same ones in each run."""

    def __init__(self) -> None:
        self.hex, self._count = "", 0

    def uuid4(self) -> Words:
        self._count += 1
        self.hex = f"{self._count:04x}"
        return self


class ProcClock:
    """Time as a controller sees it; a frozen controller simply is not asked."""

    def __init__(self, world: World) -> None:
        self.world = world

    def monotonic(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.world.sleep(max(seconds, 0.0))


class World(Scheduler):
    """One schedule's world. Machines are public by name; the rules keep what was broken."""

    def __init__(self, seed: int, variant: str = "plain", trace: bool = False, active: str = "hub-a") -> None:
        super().__init__(seed)
        self.pair = pair_of(variant)
        if trace:
            self.trace = []
        self.rules = Rules(self)
        self.network = Network(self)
        self.table = Table(self)
        self.metrics = Metrics()
        self.ssm = Ssm(self)
        self.shared = {f"{SHARED}/.hotstandby-pair": "hub-prod\n"}
        self.machines = {
            name: Machine(self, name, config_of(variant, name), instance)
            for name, instance in (("hub-a", A), ("hub-b", B))
        }
        self.good = dict(vars(self.machines["hub-a"]))  # what a machine without a fault is like
        self.undo: list[Callable[[], None]] = []
        self.faults_at: dict[tuple[str, int], tuple[str, float]] = {}
        self.watching: Callable[[Proc, str], None] | None = None
        self.through_function = False  # automation is the Lambda function itself, not a bare transition
        self.alarmed = True  # an alarm on the metric exists
        self.with_daemons = False  # each node has its watch daemon
        self.ec2_stale = 0.0
        self.ec2_refuses = ""
        self.ec2_stop_seconds = 4.0
        self.address: str | None = A
        self.controllers = itertools.count(1)
        self.results: list[tuple[Proc, Request, Result]] = []
        self._steady(active)

    def _steady(self, active: str) -> None:
        """The pair at rest: `active` runs with the first epoch."""
        nodes = self.pair.instance_ids()
        record = Record(self.pair.name, nodes, active, FIRST, times={"active_since": START})
        self.table.items[("hub-prod", "record")] = to_item({**plain(record), "item": "record"})
        machine = self.machines[active]
        pid = self.pid()
        machine.daemons[pid] = Daemon(pid, FIRST, up=True)
        machine.files[f"{STATE}/seen"] = f"{FIRST}\n"
        self.rules.begin(FIRST, active)
        self.metrics.points += [(-120.0, 0.0), (-60.0, 0.0), (-1.0, 0.0)]
        self.address = nodes[active]
        for name in nodes:
            state = "running" if name == active else "stopped"
            beat = {
                "node": name, "instance_id": nodes[name], "boot_id": "boot-1", "epoch": FIRST if state == "running" else 0,
                "state": state, "beat": "0", "time": START - 1.0, "pair": "hub-prod", "item": f"heartbeat#{name}",
            }  # fmt: skip
            self.table.items[("hub-prod", f"heartbeat#{name}")] = to_item(beat)

    # -- what others see of it

    def by_instance(self, instance_id: str) -> Machine | None:
        return next((item for item in self.machines.values() if item.instance_id == instance_id), None)

    def record(self) -> dict[str, Any]:
        """The record's own truth, typed attributes."""
        return self.table.items[("hub-prod", "record")]

    @property
    def active(self) -> str | None:
        return self.record()["active"].get("S")

    @property
    def epoch(self) -> int:
        return int(self.record()["epoch"]["N"])

    @property
    def state(self) -> str:
        return str(self.record()["state"]["S"])

    def client(self, proc: Proc, service: str) -> Any:
        """A process's client of a service."""
        kinds = {"dynamodb": DynamoClient, "ssm": SsmClient, "ec2": Ec2Client, "cloudwatch": CloudwatchClient}
        return kinds[service](self, proc)

    def booted(self, machine: Machine) -> None:
        """A machine is up: systemd starts what it has."""
        if self.with_daemons:
            from tests.simulation.det import daemon

            daemon.begin(machine)

    # -- who acts

    def controller(self, name: str, request: Request, limit: float | None = None) -> Proc:
        """Somebody runs a transition; killed after `limit` seconds, as a function is."""
        proc = Proc(self, name)
        self.rules.controllers[proc.name] = request

        def work() -> Result:
            clock = ProcClock(self)
            ports = ports_for(self.pair, lambda service: self.client(proc, service), clock)
            numbers = itertools.count(1)
            ports = replace(ports, token=lambda: f"{name}.{next(numbers)}")
            self.note(
                name, f"begins {request.mode} to={request.to} {'automation' if request.automation else ''}"
            )
            result = Transition(self.pair, ports, replace(request, owner=name)).run()
            self.note(name, f"ends: {result.outcome}", result.message)
            self.results.append((proc, request, result))
            self.rules.result(proc, request, result)
            return result

        self.spawn(proc, work, main=True)
        if limit is not None:
            self.at(limit, lambda: self.kill(proc))
        return proc

    def clean(self, machine: Machine, since: float) -> bool:
        """Whether nothing was wrong with a machine, or with AWS, from `since` until now."""
        return not (machine.ill or self.ill) and max(machine.touched, self.touched) < since

    def candid(self, machine: Machine, since: float) -> bool:
        """Whether nothing hid from `since` until now that a machine is well."""
        return not (machine.hidden or self.hidden) and max(machine.hid, self.hid) < since

    # -- a run

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The real code meets this world instead of boto3 while this lasts; afterwards every process is gone."""
        types: Any = boto3.dynamodb.types
        kept = types.TypeSerializer, types.TypeDeserializer, node_table.make_client, core_store.uuid
        parse = email.utils.parsedate_to_datetime
        types.TypeSerializer, types.TypeDeserializer = FastSerializer, FastDeserializer
        core_store.uuid = Words()
        email.utils.parsedate_to_datetime = read_date
        node_table.make_client = lambda service, *_rest, **_more: self.client(getcurrent().proc, service)
        try:
            yield
        finally:
            self.close()
            email.utils.parsedate_to_datetime = parse
            types.TypeSerializer, types.TypeDeserializer, node_table.make_client, core_store.uuid = kept

    def close(self) -> None:
        """Unwind every process that is left."""
        self.trace, self.watching = None, None
        self.rules.closed = True
        for proc in self.procs:
            proc.dead = True
            for task in proc.tasks:
                while task and not task.done:
                    task.switch()
        for machine in self.machines.values():
            machine.daemons.clear()
