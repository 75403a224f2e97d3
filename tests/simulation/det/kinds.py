# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen in a schedule: the one registry of faults and of people who act. A new one is one function here.

Each takes the world and its step, and returns how to undo it (or None). `weight` is how often it is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import MaintenanceError, set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request
from ansible_collections.hotstandby.ops.plugins.module_utils.record import StoreError
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore

from tests.simulation.det.function import alarm_event, function
from tests.simulation.det.machine import Machine
from tests.simulation.det.scheduler import Proc
from tests.simulation.det.world import World

Undo = Optional[Callable[[], None]]


@dataclass(frozen=True)
class Step:
    """One thing that happens: at which second, to which node, for how long, how much."""

    at: float
    kind: str
    node: str = "hub-a"
    seconds: float = 0.0
    value: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:8.2f} {self.kind} {self.node} seconds={self.seconds:.1f} value={self.value:.3f}"


@dataclass(frozen=True)
class Kind:
    """A registered kind. `where`: node, aws or act (somebody does something). `apart`: never mixed with the rest.

    `hides`: a node that is well may seem to be down.
    """

    name: str
    where: str
    weight: int
    longest: float
    apart: bool
    do: Callable[[World, Step], Undo]
    hides: bool


KINDS: dict[str, Kind] = {}


def kind(
    name: str, where: str, weight: int = 1, longest: float = 0.0, apart: bool = False, hides: bool = False
) -> Callable[[Any], Any]:
    """Register what happens under a name; `longest` seconds is how long it lasts at most (0: no end of its own)."""

    def register(do: Callable[[World, Step], Undo]) -> Callable[[World, Step], Undo]:
        KINDS[name] = Kind(name, where, weight, longest, apart, do, hides)
        return do

    return register


def happen(world: World, step: Step) -> None:
    """Let a step happen, and undo it in time. Keeps the books on who is ill."""
    found = KINDS[step.kind]
    world.note("FAULT" if found.where != "act" else "ACT", str(step))
    place: Any = {"node": world.machines[step.node], "aws": world}.get(found.where)
    undo = found.do(world, step)
    if place is None:
        return
    place.fault(found.hides, 1 if undo is not None else 0)
    if undo is None:
        return
    done: list[bool] = []

    def end() -> None:
        if not done:
            done.append(True)
            undo()
            place.fault(found.hides, -1)
            world.note("HEALED", step.kind, step.node)

    world.undo.append(end)
    world.at(step.seconds, end)


def setting(name: str, value: Any = True, also: Callable[[Machine], None] = lambda _machine: None) -> Any:
    """A fault that is one attribute of a machine."""

    def do(world: World, step: Step) -> Undo:
        machine = world.machines[step.node]
        setattr(machine, name, value(step) if callable(value) else value)
        also(machine)

        def undo() -> None:
            setattr(machine, name, world.good[name])
            also(machine)

        return undo

    return do


# -- the product


@kind("product-kill", "node", weight=6, hides=True)
def product_kill(world: World, step: Step) -> Undo:
    world.machines[step.node].kill_product()
    return None


# a product that answers again counts as well from then on, not from when it was started
kind("product-hang", "node", 3, 90, hides=True)(
    setting("status_hangs", also=lambda machine: setattr(machine, "up_since", machine.world.now))
)
kind("status-broken", "node", 2, 90)(setting("status_rc", 12))
kind("stop-ignored", "node", 3, 120)(setting("stop_ignored"))
kind("stop-drains", "node", 3, 120)(setting("stop_seconds", lambda step: 6 + 40 * step.value))
kind("start-fails", "node", 3, 90)(setting("start_fails"))
kind("start-slow", "node", 3, 90)(setting("start_seconds", lambda step: 5 + 20 * step.value))

# -- the machine

kind("disk-full", "node", 1, 60)(setting("disk_full"))
kind("unmount", "node", 1, 60)(setting("unmounted"))
kind("metadata-down", "node", 1, 60)(setting("metadata_down"))
kind("clock-jump", "node", 1, 120)(setting("skew", lambda step: 7200 * (step.value - 0.5)))


@kind("power-off", "node", weight=3, longest=90, hides=True)
def power_off(world: World, step: Step) -> Undo:
    world.machines[step.node].off()
    return world.machines[step.node].on


@kind("reboot", "node", weight=3, hides=True)
def reboot(world: World, step: Step) -> Undo:
    machine = world.machines[step.node]
    machine.off()
    machine.on(3 + 5 * step.value)
    return None


@kind("node-hang", "node", weight=4, longest=120, hides=True)
def node_hang(world: World, step: Step) -> Undo:
    machine = world.machines[step.node]
    world.freeze(machine)
    return lambda: world.thaw(machine)


@kind("guard-kill", "node", weight=2, hides=True)
def guard_kill(world: World, step: Step) -> Undo:
    procs = world.machines[step.node].procs
    if procs:
        world.kill(procs[min(int(step.value * len(procs)), len(procs) - 1)])
    return None


@kind("guard-freeze", "node", weight=4, longest=90, hides=True)
def guard_freeze(world: World, step: Step) -> Undo:
    procs = world.machines[step.node].procs
    if not procs:
        return None
    proc = procs[min(int(step.value * len(procs)), len(procs) - 1)]
    world.freeze(proc)
    return lambda: world.thaw(proc)


# -- its network and agent

kind("cut-out", "node", 4, 120, hides=True)(setting("cut_out", True, Machine.hear))
kind("cut-in", "node", 3, 120, hides=True)(setting("cut_in", True, Machine.hear))
kind("cut-back", "node", 3, 120, hides=True)(setting("cut_back", True, Machine.hear))
kind("agent-offline", "node", 3, 120, hides=True)(setting("agent_down", True, Machine.hear))
kind("agent-lost", "node", 3, 120, hides=True)(setting("agent_lost"))
kind("agent-lies", "node", 2, 200, hides=True)(setting("agent_lies"))
kind("agent-mute", "node", 2, 60, hides=True)(setting("agent_mute"))
kind("agent-late", "node", 4, 250, hides=True)(setting("agent_late"))
kind("agent-slow", "node", 4, 200, hides=True)(setting("agent_slow", lambda step: 15 * step.value))
kind("agent-twice", "node", 4, 200, hides=True)(setting("agent_twice", lambda step: 1 + 120 * step.value))


# -- AWS


def service(name: str, attribute: str) -> Callable[[World, Step], Undo]:
    def do(world: World, step: Step) -> Undo:
        found: Any = getattr(world.network, attribute)
        if isinstance(found, set):
            found.add(name)
            return lambda: found.discard(name)
        found[name] = step.value * (0.8 if attribute == "throttle" else 3)
        return lambda: found.pop(name, None) and None

    return do


for _service in ("dynamodb", "ssm", "ec2", "cloudwatch"):
    kind(f"{_service}-down", "aws", 1, 60, hides=_service == "ssm")(service(_service, "down"))
    kind(f"{_service}-throttles", "aws", 1, 90, hides=_service == "ssm")(service(_service, "throttle"))
kind("dynamodb-slow", "aws", 1, 90)(service("dynamodb", "slow"))


@kind("ec2-stale", "aws", weight=2, longest=200, hides=True)
def ec2_stale(world: World, step: Step) -> Undo:
    world.ec2_stale = 90 * step.value
    return lambda: setattr(world, "ec2_stale", 0.0)


@kind("ec2-refuses", "aws", weight=1, longest=90)
def ec2_refuses(world: World, step: Step) -> Undo:
    world.ec2_refuses = ("OperationNotPermitted", "InsufficientInstanceCapacity", "Unavailable")[
        min(int(step.value * 3), 2)
    ]
    return lambda: setattr(world, "ec2_refuses", "")


@kind("ec2-stops-slowly", "aws", weight=2, longest=200)
def ec2_slow(world: World, step: Step) -> Undo:
    world.ec2_stop_seconds = 4 + 60 * step.value
    return lambda: setattr(world, "ec2_stop_seconds", 4.0)


# -- who acts


def request(world: World, name: str, asked: Request, limit: float | None = None) -> Undo:
    world.controller(f"{name}{next(world.controllers)}", asked, limit)
    return None


@kind("failover", "act", weight=6)
def failover(world: World, step: Step) -> Undo:
    return request(
        world, "keiko", Request("failover", step.node if step.value < 0.7 else None, "it is down", "keiko")
    )


@kind("failover-assumed", "act", weight=2)
def failover_assumed(world: World, step: Step) -> Undo:
    return request(world, "keiko", Request("failover", step.node, "I saw it", "keiko", assume_down=True))


@kind("switchover", "act", weight=8)
def switchover(world: World, step: Step) -> Undo:
    return request(
        world, "keiko", Request("switchover", step.node if step.value < 0.5 else None, "patching", "keiko")
    )


@kind("switchback", "act", weight=2)
def switchback(world: World, step: Step) -> Undo:
    return request(world, "taro", Request("switchover", "hub-a", "back", "taro"))


@kind("automation", "act", weight=10)
def automation(world: World, step: Step) -> Undo:
    """The function: delivered at least once, cut at its time limit."""
    asked = Request("failover", None, "alarm", "automation", automation=True)
    if step.value < 0.2:
        happen(world, Step(step.at + 1, "automation", step.node, value=0.5))
    limit = 10 + 80 * step.value if step.value < 0.6 else None
    if world.through_function:
        function(world, f"lambda{next(world.controllers)}", alarm_event(step.at), limit or 900.0)
        return None
    return request(world, "lambda", asked, limit)


@kind("unplugged", "act", weight=1)
def unplugged(world: World, step: Step) -> Undo:
    """An operator pulls the other node's plug, and says so."""
    other = next(item for item in world.machines.values() if item.name != step.node)
    other.off()
    asked = Request(
        "failover", step.node, "I pulled its plug", "keiko", allow_unfenced=True, assume_down=True
    )
    return request(world, "keiko", asked)


@kind("check-mode", "act", weight=1)
def check_mode(world: World, step: Step) -> Undo:
    return request(world, "check", Request("switchover", None, "", "keiko", check=True))


def table_of(world: World, proc: Proc) -> RecordStore:
    return RecordStore(world.client(proc, "dynamodb"), "hotstandby", "hub-prod", lambda: world.now)


def pause_or_resume(world: World, paused: bool) -> None:
    """Hana uses the playbook `maintenance`."""
    proc = Proc(world, f"{'pause' if paused else 'resume'}{next(world.controllers)}")

    def work() -> None:
        try:
            set_pause(table_of(world, proc), paused, "hana", "maintenance")
        except (MaintenanceError, StoreError) as error:
            world.note(proc.name, "ends", str(error))

    world.spawn(proc, work, main=True)


@kind("pause", "act", weight=2)
def pause(world: World, step: Step) -> Undo:
    """Somebody pauses, and resumes later."""
    pause_or_resume(world, True)
    world.at(20 + 100 * step.value, lambda: pause_or_resume(world, False))
    return None


def at_node(verb: str, **given: Any) -> Callable[[World, Step], Undo]:
    def do(world: World, step: Step) -> Undo:
        machine = world.machines[step.node]
        if machine.power == "running":
            machine.local(verb, **given)
        return None

    return do


kind("person-stops", "act", 2)(at_node("stop", person="ann", reason="looking at something"))
kind("person-starts", "act", 3)(at_node("start", person="ann", reason="done"))
kind("healthcheck", "act", 3)(at_node("healthcheck"))
kind("boot", "act", 2)(at_node("boot"))
kind("may-start", "act", 1)(at_node("may-start"))


@kind("start-instance", "act", weight=2)
def start_instance(world: World, step: Step) -> Undo:
    """Somebody starts a stopped instance (rejoin)."""
    world.machines[step.node].on()
    return None


@kind("stop-instance", "act", weight=1)
def stop_instance(world: World, step: Step) -> Undo:
    """Somebody stops an instance in the console."""
    world.machines[step.node].stop_instance(world.ec2_stop_seconds)
    return None


# -- apart: what the promise of one runner excludes


@kind("bare-start", "act", apart=True)
def bare_start(world: World, step: Step) -> Undo:
    """hubcluster -start by hand, past the guard."""
    world.rules.trusted = False
    machine = world.machines[step.node]
    if machine.power == "running" and not machine.frozen:
        machine.bare_start()
    return None


@kind("false-oath", "act", apart=True)
def false_oath(world: World, step: Step) -> Undo:
    """allow_unfenced although nobody pulled the plug."""
    world.rules.trusted = False
    asked = Request("failover", step.node, "surely off", "keiko", allow_unfenced=True, assume_down=True)
    return request(world, "keiko", asked)


@kind("without-record", "act", apart=True)
def without_record(world: World, step: Step) -> Undo:
    world.rules.trusted = False
    return at_node("start", without_record=True, reason="the table is gone")(world, step)


def draw(rng: random.Random, names: list[str], weights: list[int], span: float) -> Step:
    """One random step within `span` seconds."""
    name = rng.choices(names, weights)[0]
    longest = KINDS[name].longest
    return Step(
        at=round(rng.random() * span, 2),
        kind=name,
        node="hub-a" if rng.random() < 0.5 else "hub-b",
        seconds=round(3 + longest * rng.random(), 1) if longest else 0.0,
        value=round(rng.random(), 3),
    )
