# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lambda function as an actor: its own `Run`, with the world's clients, clock and time limit."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.function import Run, Settings
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result

from tests.simulation.aws import START
from tests.simulation.det.scheduler import Proc

if TYPE_CHECKING:
    from tests.simulation.det.world import World

ALARM = "hub"


def alarm_event(at: float) -> dict[str, Any]:
    """What CloudWatch sends when the pair's alarm goes to ALARM at a second of the world."""
    moment = datetime.datetime.fromtimestamp(START + at, datetime.timezone.utc)
    state = {"value": "ALARM", "reason": "simulated", "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"}
    return {
        "source": "aws.cloudwatch", "alarmArn": "arn:hub", "alarmData": {"alarmName": ALARM, "state": state},
    }  # fmt: skip


def tick_event(number: int) -> dict[str, Any]:
    """What the schedule sends each minute."""
    return {"hotstandby": {"action": "tick", "pair": "hub-prod", "id": str(number)}}


class Watched(Run):
    """The function, whose transitions are told to the rules."""

    world: World
    proc: Proc

    def _move(self, reason: str, *words: Any, **given: Any) -> Result:
        result = super()._move(reason, *words, **given)
        request = Request("failover", None, reason, "automation", automation=True)
        self.world.results.append((self.proc, request, result))
        self.world.note(self.proc.name, f"its move ends: {result.outcome}", result.message)
        self.world.rules.result(self.proc, request, result)
        return result


def function(world: World, name: str, event: dict[str, Any], limit: float) -> Proc:
    """One invocation, killed when its time is over."""
    from tests.simulation.det.world import ProcClock

    proc = Proc(world, name)
    world.rules.controllers[name] = Request(automation=True)
    begun = world.now

    def work() -> None:
        settings = Settings(world.pair, ALARM, "", 14400.0)
        run = Watched(
            settings, lambda service: world.client(proc, service), name, lambda: begun + limit - world.now,
            ProcClock(world), lambda: START + world.now, {},
        )  # fmt: skip
        run.world, run.proc = world, proc
        world.note(name, "begins as the function", str(event)[:200])
        answer = run.handle(event)
        world.note(name, "ends", str(answer)[:300])

    world.spawn(proc, work, main=True)
    world.at(limit, lambda: world.kill(proc))
    return proc
