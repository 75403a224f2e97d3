# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in S3, in the same world: the step `handover` of every move, and a worker beside each product that runs.

A worker lets its own work wait again, claims, rewrites what it works on, and finishes; it dies with its product, wherever it is.
Everything that befalls a pair befalls it here, and the promise is checked after every call that changes the bucket.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import functools
import random
from collections.abc import Iterator
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils import requeue_claim, requeue_run, requeue_s3
from ansible_collections.hotstandby.ops.plugins.module_utils.handover import rules_of
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import PairSpec, parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import Rules, granted_owner
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_s3 import Bucket, S3Error
from greenlet import getcurrent

from tests.simulation.aws import client_error
from tests.simulation.det import plan
from tests.simulation.det.network import LATE
from tests.simulation.det.scheduler import Killed, Proc
from tests.simulation.det.world import PAIR, VARIANTS, World
from tests.simulation.s3 import S3

NOWHERE = "no request is ever nowhere"
OVER = "no object is overwritten"
TAKEN = "nobody takes what a living worker has in work"
PLACE = "at the end each request waits or is done"
NAMES = ("copy_object", "delete_object", "delete_objects", "get_object", "head_object", "list_objects_v2")
HITS = ("crash", "crash-after", "lost", "late", "refuse")


@functools.cache
def pair_with(variant: str, layout: str) -> PairSpec:
    """One shape of the pair, with requests."""
    requeue = {"bucket": "requests", "layout": layout, "timeout": 1}
    return parse_pair({**PAIR, **VARIANTS[variant], "requeue": requeue})


class Client:
    """One process's client of S3."""

    def __init__(self, world: RequestWorld, proc: Proc) -> None:
        self.world, self.proc = world, proc

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(name)
        return functools.partial(self._call, name)

    def _call(self, name: str, **arguments: Any) -> Any:
        world, proc, at = self.world, self.proc, (self.proc.name, self.proc.calls)
        hit = world.faults_at.get(at)
        if hit is not None and hit[0] == "late":  # S3 does not carry out what its sender gave up long ago
            world.faults_at[at] = ("late", min(hit[1], LATE - 1))
        operation = "".join(word.capitalize() for word in name.split("_"))
        about = f" {arguments.get('Key', arguments.get('Prefix', ''))}"

        def act() -> Any:
            if proc.name in world.workers and not world.lives(proc):
                if getcurrent() is world.hub:  # it died while its request was on the way
                    raise client_error("RequestTimeout", operation)
                world.kill(proc)
                raise Killed
            world.s3.now = world.now
            gone = [item["Key"] for item in arguments.get("Delete", {}).get("Objects", [])]
            gone += [arguments["Key"]] if name == "delete_object" else []
            before = {key: world.s3.objects.get(key) for key in gone}
            answer = getattr(world.s3, name)(**arguments)
            world.judge(
                proc, [key for key in gone if before[key] is not None and key not in world.s3.objects]
            )
            return answer

        return world.network.call(proc, "s3", operation, act, about)


class RequestWorld(World):
    """A world with a bucket. `requests` are the newest bytes of what somebody once asked for."""

    last: RequestWorld

    def __init__(self, seed: int, variant: str = "plain", trace: bool = False, active: str = "hub-a") -> None:
        super().__init__(seed, variant, trace, active)
        type(self).last = self
        chance = random.Random(f"requests {seed}")
        self.chance = chance
        self.layout = chance.choice(("flat", "owner"))
        self.pair = pair_with(variant, self.layout)
        self.base = rules_of(self.pair)
        self.s3 = S3("requests")
        self.requests: dict[str, bytes] = {}
        self.workers: dict[
            str, tuple[Any, int]
        ] = {}  # name of a worker: its machine and its product's process
        self.held: dict[str, Proc] = {}  # key in work: whose
        for number in range(4):
            self.at(0.0 if number < 2 else 80 * chance.random(), functools.partial(self._ask, number))
        self.at(0.1, self._supervise)
        self.at(0.1, self._aim)
        if self.layout == "owner":
            self.at(0.2, self._help)
        if chance.random() < 0.4:
            self.at(60 * chance.random(), self._trouble)

    def client(self, proc: Proc, service: str) -> Any:
        return Client(self, proc) if service == "s3" else super().client(proc, service)

    # -- what happens

    def _ask(self, number: int) -> None:
        """Somebody asks for something; the last one by a name that another had, who may be in work still."""
        body = b"request %d" % number
        key = f"wait/{number % 3}-request.json"
        if key in self.s3.objects:
            return
        self.s3.put(key, body)
        self.requests[str(number)] = body

    def _trouble(self) -> None:
        """S3 is away, or slow, or refuses much, for a while."""
        what = self.chance.choice(("away", "slow", "slow", "refuses"))
        if what == "away":
            self.network.down.add("s3")
        elif what == "slow":
            self.network.slow["s3"] = 0.5
        else:
            self.network.throttle["s3"] = 0.5

        def mend() -> None:
            self.network.down.discard("s3")
            self.network.throttle.pop("s3", None)
            self.network.slow.pop("s3", None)

        self.at(60 * self.chance.random(), mend)
        self.undo.append(mend)

    def _aim(self) -> None:
        """Hits on the workers' own calls."""
        for _number in range(self.chance.choice((0, 1, 2, 4))):
            name = f"worker-{self.chance.choice(('hub-a', 'hub-b'))}-{self.chance.choice((1, 1, 2, 3))}"
            kind = self.chance.choice(HITS)
            self.faults_at[(name, int(30 * self.chance.random()))] = (kind, 3 * self.chance.random())

    def _supervise(self) -> None:
        """A worker runs beside each product that is up."""
        for machine in self.machines.values():
            for pid, daemon in machine.daemons.items():
                mine = [name for name, told in self.workers.items() if told == (machine, pid)]
                if (
                    machine.serves
                    and daemon.epoch
                    and not any(self.lives(p) for p in self.procs if p.name in mine)
                ):
                    self._employ(machine, pid, daemon.epoch)
        self.at(1.0, self._supervise)

    def _help(self) -> None:
        """A host that is none of the pair works on the same bucket, all the time."""
        proc = Proc(self, "worker-helper")
        self.workers[proc.name] = (None, 0)
        rules = dataclasses.replace(self.base, owner="helper")
        self.spawn(proc, lambda: self._toil(proc, self.bucket(proc), rules), main=True)

    def _employ(self, machine: Any, pid: int, epoch: int) -> None:
        count = 1 + len([name for name in self.workers if name.startswith(f"worker-{machine.name}-")])
        proc = Proc(self, f"worker-{machine.name}-{count}", machine)
        self.workers[proc.name] = (machine, pid)
        self.spawn(proc, lambda: self._work(proc, machine.name, epoch), main=True)

    def lives(self, proc: Proc) -> bool:
        """Whether a worker lives: it dies with its product."""
        machine, pid = self.workers[proc.name]
        return proc.alive and (machine is None or pid in machine.daemons)

    # -- a worker

    def bucket(self, proc: Proc) -> Bucket:
        """The bucket as a process has it. That the store keeps conditions is known, as it is of Amazon's."""
        bucket = Bucket(Client(self, proc), "requests", self.sleep, attempts=3)
        bucket.conditional = True
        return bucket

    def _work(self, proc: Proc, node: str, epoch: int) -> None:
        bucket = self.bucket(proc)
        with contextlib.suppress(S3Error):
            for rules in self.own(bucket, node, epoch):
                requeue_run.requeue(bucket, rules)
        rules = self.base
        if self.layout == "owner":
            rules = dataclasses.replace(rules, owner=f"{node}.{epoch}")
        self._toil(proc, bucket, rules)

    def _toil(self, proc: Proc, bucket: Bucket, rules: Rules) -> None:
        while True:
            with contextlib.suppress(S3Error, requeue_claim.Gone):
                self._once(proc, bucket, rules)
            self.sleep(1.0 + 4.0 * proc.rng.random())

    def own(self, bucket: Bucket, node: str, epoch: int) -> Iterator[Rules]:
        """What a worker lets wait again before it begins."""
        if self.layout == "flat":
            yield self.base
            return
        for name in list(bucket.folders(self.base.source_prefix)):
            granted = granted_owner(name)
            if granted is not None and granted[0] == node and granted[1] <= epoch:
                yield dataclasses.replace(self.base, owner=name)

    def _once(self, proc: Proc, bucket: Bucket, rules: Rules) -> None:
        found = requeue_claim.claim(bucket, rules, lambda key: fnmatch.fnmatchcase(key, rules.pattern))
        if found.won is None:
            return
        at, key = found.won.at, found.won.key
        self.held[at] = proc
        self.sleep(5.0 * proc.rng.random())
        stored = self.s3.objects.get(at)
        if proc.rng.random() < 0.3 and self.lives(proc) and stored is not None:
            for name in [name for name, body in self.requests.items() if body == stored.body]:
                self.requests[name] = stored.body + b", newer"
                self.s3.put(at, self.requests[name])
        self.sleep(3.0 * proc.rng.random())
        requeue_claim.finish(bucket, rules, key, "finish/")
        self.held.pop(at, None)

    # -- the promise

    def judge(self, proc: Proc, gone: list[str]) -> None:
        """After a call that may have changed the bucket."""
        there = {stored.body for stored in self.s3.objects.values()}
        for body in set(self.requests.values()) - there:
            self.rules.fail(NOWHERE, f"{body.decode()} after a call of {proc.name}")
        if self.s3.overwritten:
            self.rules.fail(OVER, str(self.s3.overwritten))
        for key in gone:
            holder = self.held.get(key)
            if holder is not None and holder is not proc and self.lives(holder):
                self.rules.fail(TAKEN, f"{key} of {holder.name} by {proc.name}")

    def settle(self) -> list[tuple[float, str, str]]:
        """Every host is off; what is in work is let wait again, and all that was broken is returned."""
        bucket = Bucket(self.s3, "requests", lambda _seconds: None)
        bucket.conditional = True
        owners = [""] if self.layout == "flat" else list(bucket.folders("processing/"))
        for owner in owners:
            requeue_run.requeue(bucket, dataclasses.replace(self.base, owner=owner))
        left = self.s3.keys("processing/")
        placed = {stored.body for key, stored in self.s3.objects.items() if not key.startswith("processing/")}
        broken = list(self.rules.broken)
        if left or set(self.requests.values()) - placed:
            broken.append(
                (self.now, PLACE, f"left {left}, not placed {set(self.requests.values()) - placed}")
            )
        return broken


class Jitter:
    """In place of the module random in requeue_s3: each schedule its own."""

    def __init__(self, seed: int) -> None:
        self.uniform = random.Random(seed).uniform


def run(seed: int, trace: bool = False) -> tuple[RequestWorld, list[tuple[float, str, str]], Any]:
    """One schedule of the pair, with requests: (its world, what was broken, the verdict on the pair)."""
    kept: Any = plan.World, requeue_s3.random
    plan.World = RequestWorld  # type: ignore[misc]
    requeue_s3.random = Jitter(seed)  # type: ignore[assignment]
    try:
        verdict = plan.run(plan.drawn(seed), trace=trace)
    finally:
        plan.World, requeue_s3.random = kept
    return RequestWorld.last, RequestWorld.last.settle(), verdict
