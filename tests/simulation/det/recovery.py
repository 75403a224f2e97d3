# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state has an exit: when all faults are healed, automation or one documented command brings the pair back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request

from tests.simulation.det.function import function, tick_event
from tests.simulation.det.kinds import pause_or_resume
from tests.simulation.det.rules import EXIT, TOLD, TWO

if TYPE_CHECKING:
    from tests.simulation.det.world import World

ROUND = 30.0  # seconds between two runs of automation
BOUND = 600.0  # seconds in which a healed pair must be back, the operator's command included
PATIENCE = 4  # runs of automation that come to the same end before the operator is asked
ALONE = (
    75.0  # seconds in which the daemons must have called: a boot, the time for a start, and the longest pause
)


def steady(world: World) -> bool:
    """Whether one node runs the service, is named, and nothing is under way."""
    record = world.record()
    if world.state != "steady" or world.active is None or "M" in record["lease"] or "M" in record["move"]:
        return False
    if record["pending"].get("L"):
        return False
    running = [machine for machine in world.machines.values() if machine.runs]
    return [machine.name for machine in running] == [world.active] and running[0].well


def switch_on(world: World, machine: Any) -> None:
    """EC2 starts an instance only once it has stopped."""
    if machine.power == "stopped":
        machine.on()
    elif machine.power == "stopping":
        world.at(5.0, lambda: switch_on(world, machine))


def heal(world: World) -> None:
    """All faults end, what is frozen thaws, what is off is switched on."""
    world.note("HEAL", "all faults end")
    world.faults_at = {}
    for undo in world.undo:
        undo()
    for machine in world.machines.values():
        world.thaw(machine)
        for proc in list(machine.procs):
            if proc.frozen:
                world.thaw(proc)
        if machine.power == "stopped":
            machine.on()
        elif machine.power == "stopping":
            switch_on(world, machine)
        machine.hear()
    for proc in world.procs:
        if proc.frozen:
            world.thaw(proc)


def dead(world: World) -> bool:
    """Whether the active is down in a way that automation may mend at once."""
    record = world.record()
    if world.state != "steady" or world.active is None or "M" in record["move"] or "M" in record["lease"]:
        return False
    machine = world.machines[world.active]
    held = machine.remembers("held") or "M" in record.get("paused", {})
    return machine.power == "running" and not (
        held or machine.runs or machine.locks or world.rules.starting(machine)
    )


def alone(world: World) -> None:
    """No reconciler yet: the watch daemons themselves must see to an active that is dead."""
    begun, node, epoch = world.now, world.active, world.epoch
    if not dead(world):
        return
    world.run(begun + ALONE, lambda: steady(world) or any(at > begun for at, _by in world.rules.calls))
    called = any(at > begun for at, _by in world.rules.calls)
    if dead(world) and (world.active, world.epoch) == (node, epoch) and not called:
        world.rules.fail(TOLD, f"{node} was dead for {ALONE:.0f} s, and no daemon has called")


def recover(world: World, verdict: Any) -> None:
    """Heal, then let automation run until the pair is back; asks the operator once when it cannot."""
    verdict.left = not steady(world)
    heal(world)
    begun = world.now
    if world.with_daemons:
        alone(world)
    rounds = 0
    while world.now < begun + BOUND:
        if steady(world):
            verdict.back = world.now - begun
            break
        asked = Request("failover", None, "reconciler", "automation", automation=True)
        if world.through_function:
            proc = function(world, f"reconciler{rounds}", tick_event(rounds), 900.0)
        else:
            proc = world.controller(f"reconciler{rounds}", asked)
        rounds += 1
        ends = world.now + ROUND
        world.run(ends, lambda proc=proc: proc.done and steady(world))
        if not steady(world) and rounds >= PATIENCE and not verdict.helped and proc.done:
            help_out(world, verdict)
    running = [machine.name for machine in world.machines.values() if machine.runs]
    if len(running) > 1 and not world.rules.overlaps:
        world.rules.fail(TWO, "at the end")
    if verdict.back is None:
        last = world.results[-1][2].message if world.results else "nobody ran"
        held = [machine.name for machine in world.machines.values() if machine.remembers("held")]
        world.rules.fail(
            EXIT,
            f"{world.state}, active {world.active}, running {running}, held {held}, helped '{verdict.helped}': {last}",
        )


def help_out(world: World, verdict: Any) -> None:
    """The operator does what the last run, or the node, says."""
    if world.through_function and world.state == "broken":
        # the function leaves that to people; `status` says what to type
        verdict.helped = "failover -e to=hub-a"
        world.controller("operator", Request("failover", "hub-a", "as told", "keiko"))
        return
    if "M" in world.record().get("paused", {}):
        # her own resume met a table that was down; what was left under the pause may need its own command after it
        verdict.resumed = True
        pause_or_resume(world, False)
        return
    told = [result for _proc, request, result in world.results if request.automation]
    if not told:
        return
    last = told[-1]
    if "stopped on purpose" in last.message and world.active is not None:
        verdict.helped = f"hotstandby start on {world.active}"
        world.machines[world.active].local("start", person="ann")
        return
    found = re.search(r"failover(?P<extra>.*)", last.next)
    if found:
        extra = dict(word.split("=") for word in re.findall(r"-e (\S+)", found["extra"]))
        verdict.helped = last.next
        down = extra.get("assume_down") == "true"
        world.controller(
            "operator", Request("failover", extra.get("to"), "as told", "keiko", assume_down=down)
        )
