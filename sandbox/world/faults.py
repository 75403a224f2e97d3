# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, by name: a node's faults and the endpoint's, and how each is mended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..endpoint.traps import Trap
from ..paths import SandboxError, read_json, write_json
from . import cloud, mover, processes
from .node import SandboxNode

if TYPE_CHECKING:
    from .world import World

KNOBS = {
    "product-hang": "status_hangs",
    "stop-ignored": "stop_ignored",
    "start-fails": "start_fails",
    # the stand-in freezes the guard that called it: after the record was read, before anything is started
    "start-stalls": "start_stalls",
}
SERVICES = {
    "ec2-down": "ec2",
    "ssm-down": "ssm",
    "dynamodb-down": "dynamodb",
    "cloudwatch-down": "monitoring",
    "sns-down": "sns",
}
# how often an event is delivered
EVENTS = {"events-twice": 2, "events-lost": 0}


def node_fault(world: World, node: SandboxNode, kind: str) -> dict[str, Any]:
    """Do it. Raises SandboxError for a kind that does not exist."""
    if kind in KNOBS:
        _merge(node, {KNOBS[kind]: True})
        node.faults.add(kind)
        return {}
    slow = re.fullmatch(r"agent-slow:([0-9]+(?:\.[0-9]+)?)", kind)
    if slow:
        write_json(node.agent_faults, {**read_json(node.agent_faults), "slow": float(slow[1])})
        node.faults.add(kind)
        return {"seconds": float(slow[1])}
    act = ACTS.get(kind)
    if act is None:
        known = ", ".join(sorted([*ACTS, *KNOBS, "agent-slow:SECONDS", "clear"]))
        raise SandboxError(f"fault {kind!r} does not exist for a node (there are {known})")
    return act(world, node) or {}


def _merge(node: SandboxNode, knobs: dict[str, Any]) -> None:
    write_json(node.knobs, {**read_json(node.knobs), **knobs})


def _product_kill(world: World, node: SandboxNode) -> dict[str, Any]:
    def daemons() -> list[int]:
        names = ("opt/hub/bin/hubd", "opt/hub/bin/hubmgrd", "opt/warp/jre/bin/java")
        programs = [f"{node.root}/{name}".encode() for name in names]
        return [pid for pid in node.found() if any(word in programs for word in processes.command(pid)[:5])]

    return {"killed": processes.until_none(daemons, processes.KILL)}


def _agent_offline(world: World, node: SandboxNode) -> None:
    node.faults.add("agent-offline")
    node.stop_agent()
    world.endpoint.agents.set_online(node.instance_id, False)


def _agent_lost(world: World, node: SandboxNode) -> None:
    node.faults.add("agent-lost")
    write_json(node.agent_faults, {**read_json(node.agent_faults), "lost": True})


def _partition(world: World, node: SandboxNode) -> None:
    node.faults.add("partition")
    world.endpoint.faults.partitioned.add(node.key)


def _node_hang(world: World, node: SandboxNode) -> dict[str, Any]:
    node.faults.add("node-hang")
    world.endpoint.status_checks[node.instance_id] = "impaired"
    return {"frozen": node.freeze()}


def _power_off(world: World, node: SandboxNode) -> dict[str, Any]:
    count = world.dead(node)
    cloud.set_state(node.instance_id, "stopped")
    node.faults.add("power-off")
    return {"killed": count}


def _reboot(world: World, node: SandboxNode) -> None:
    world.dead(node)
    world.alive(node)


def _unmount(world: World, node: SandboxNode) -> None:
    node.faults.add("unmount")
    node.mount(False)


def _clone(world: World, node: SandboxNode) -> dict[str, Any]:
    copy = world.clone(node)
    return {"clone": copy.name, "instance_id": copy.instance_id, "root": str(copy.root)}


ACTS: dict[str, Callable[[World, SandboxNode], dict[str, Any] | None]] = {
    "product-kill": _product_kill,
    "agent-offline": _agent_offline,
    "agent-lost": _agent_lost,
    "partition": _partition,
    "node-hang": _node_hang,
    "power-off": _power_off,
    "reboot": _reboot,
    "unmount": _unmount,
    "clone": _clone,
}


def clear_node(world: World, node: SandboxNode) -> None:
    """Mend a node: everything that a fault did, and nothing that a fence or a person did. A clone disappears."""
    for copy in world.clones(node):
        world.remove_clone(copy)
    if node.clone_of is not None:
        world.remove_clone(node)
        return
    with node.lock:
        powered_off = "power-off" in node.faults
        node.faults.clear()
        write_json(node.knobs, {})
        write_json(node.agent_faults, {})
        node.mount(True)
        world.endpoint.faults.partitioned.discard(node.key)
        world.endpoint.status_checks[node.instance_id] = "ok"
        node.thaw()
        if node.powered:
            node.start_agent()
            world.endpoint.agents.set_online(node.instance_id, True)
    if powered_off and cloud.state_of(node.instance_id) == "stopped":
        cloud.set_state(node.instance_id, "running")
        world.alive(node)


def aws_fault(world: World, kind: str) -> dict[str, Any]:
    """Do it. Raises SandboxError for a kind that does not exist, or when there is no record to restore."""
    faults = world.endpoint.faults
    if kind in SERVICES:
        faults.down.add(SERVICES[kind])
    elif kind == "throttle":
        faults.throttle = True
    elif kind == "stale-ec2":
        faults.stale_ec2 = True
    elif kind == "record-restored":
        return _restore_record(world)
    elif kind in EVENTS:
        world.endpoint.ticker.copies = EVENTS[kind]
    elif kind.startswith("events-late:"):
        world.endpoint.ticker.late = _number(kind.partition(":")[2])
    elif kind.startswith("deny:"):
        who, action = _words(kind, "deny:WHO:SERVICE:ACTION", 2)
        faults.deny.add((key_of(world, who), action))
    elif kind.startswith("slow:"):
        who, milliseconds = _words(kind, "slow:WHO:MILLISECONDS", 2)
        faults.slow[key_of(world, who)] = _number(milliseconds) / 1000
    elif kind.startswith("trap:"):
        return trap(world, _trap_words(kind))
    else:
        known = ", ".join(
            sorted(
                [
                    *SERVICES,
                    *EVENTS,
                    "events-late:SECONDS",
                    "throttle",
                    "stale-ec2",
                    "record-restored",
                    "deny:",
                    "slow:",
                    "trap:",
                    "clear",
                ]
            )
        )
        raise SandboxError(f"fault {kind!r} does not exist for aws (there are {known})")
    return {}


def key_of(world: World, who: str) -> str:
    """The access key of `controller`, of the pair's `function` or of a node."""
    keys = {"controller": cloud.CONTROLLER_KEY, "function": mover.KEY}
    return keys[who] if who in keys else world.node(who).key


def _words(kind: str, form: str, count: int) -> list[str]:
    words = kind.split(":", count)[1:]
    if len(words) != count or not all(words):
        raise SandboxError(f"{kind!r} is not of the form {form}")
    return words


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SandboxError(f"not a number: {text!r}")
    return int(text)


def _trap_words(kind: str) -> dict[str, Any]:
    """trap:SERVICE:ACTION,COUNT,WHEN,RUN,ACT as `trap` takes it."""
    words = kind.partition(":")[2].split(",", 4)
    if len(words) != 5:
        raise SandboxError(f"{kind!r} is not of the form trap:SERVICE:ACTION,COUNT,before|after,RUN,ACT")
    call, count, when, run, act = words
    return {"call": call, "count": _number(count), "when": when, "run": run, "act": act}


def trap(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Arm a trap: {call: "service:Action", count, when: before|after, who, holds, run, act}.

    `act` is kill, stop or hold, done to every process whose environment has SANDBOX_RUN=DIR:`run` (not its process group:
    ansible's workers leave that), or the word of a fault of aws. A call under `hold` is kept until `release`.
    """
    act, run, when = str(given["act"]), str(given.get("run") or ""), str(given.get("when") or "before")
    if when not in ("before", "after"):
        raise SandboxError(f"a trap springs before or after, not {when!r}")
    if act in ("kill", "stop", "hold") and not run:
        raise SandboxError(f"a trap that does {act} needs a run")
    armed = Trap(
        key=key_of(world, str(given.get("who") or "controller")),
        call=str(given["call"]),
        before=when == "before",
        act=_deed(world, act, run),
        name=act,
        count=int(given.get("count") or 1),
        holds=str(given.get("holds") or ""),
        cut=act == "kill",
        hold=act == "hold",
    )
    world.endpoint.faults.traps.arm(armed)
    return armed.to_dict()


def _run(world: World, run: str) -> str:
    """The value of SANDBOX_RUN: two sandboxes at once may each have a run of that name."""
    return processes.label(str(world.layout.state), run)


def _deed(world: World, act: str, run: str) -> Callable[[], object]:
    if act == "kill":
        return lambda: processes.kill_all(processes.RUN, _run(world, run))
    if act in ("stop", "hold"):
        return lambda: processes.freeze_all(processes.RUN, _run(world, run))
    return lambda: aws_fault(world, act)


def late_ssm(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """How late SSM knows of a new command: {hidden_calls, hidden_seconds, hidden_listings}, as AgentHub has them."""
    hub = world.endpoint.agents
    hub.hidden_calls = int(given.get("hidden_calls", hub.hidden_calls))
    hub.hidden_seconds = float(given.get("hidden_seconds", hub.hidden_seconds))
    hub.hidden_listings = int(given.get("hidden_listings", hub.hidden_listings))
    return {"hidden_calls": hub.hidden_calls, "hidden_listings": hub.hidden_listings}


def release(world: World, run: str) -> dict[str, Any]:
    """The processes of a run go on, and whatever call a trap withholds."""
    world.endpoint.faults.traps.release()
    return {"thawed": processes.thaw_all(processes.RUN, _run(world, run))}


def _restore_record(world: World) -> dict[str, Any]:
    now = cloud.record(world.pair["name"])
    if now is None:
        raise SandboxError("there is no record to restore")
    old = world.recorder.earlier(now)
    world.write_items([old])
    world.recorder.replaced = (now, old)
    return {"epoch": int(old["epoch"]["N"]), "epoch_before": int(now["epoch"]["N"])}


def clear_aws(world: World) -> None:
    """Mend the endpoint. A restored record nobody has touched since becomes the newer one again."""
    calm(world)
    if world.recorder.replaced is not None:
        newer, restored = world.recorder.replaced
        world.recorder.replaced = None
        if cloud.record(world.pair["name"]) == restored:
            world.write_items([newer])


def calm(world: World) -> None:
    """End every fault of the endpoint itself."""
    faults = world.endpoint.faults
    faults.down.clear()
    faults.deny.clear()
    faults.slow.clear()
    faults.traps.clear()
    faults.throttle = False
    faults.stale_ec2 = False
    world.endpoint.ticker.mend()
