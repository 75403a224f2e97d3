# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every single fault, every pair of faults, and two actors that take turns, over each kind of move.

What is enumerated, and its bound:
- singles: each call of each process of a move, a crash before it, a crash after it with the answer lost, and the answer
  lost with the caller alive;
- pairs: each two of those, where the second may hit the same process or whoever takes the move up;
- turns: two actors with at most two changes between them: the first stands still at its call i, the second goes on until
  its call j, then the first to its end, then the second; for all i and j.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.det.kinds import Step
from tests.simulation.det.plan import Hit, Plan, run

AT = 5.0
SPAN = 40.0
AFTER = 25.0  # seconds after the first when somebody takes a move up
SAME = 3  # calls in a row that look alike, of which only the first and the last are hit


def _plan(*steps: Step, variant: str = "plain", active: str = "hub-a", hits: tuple[Hit, ...] = ()) -> Plan:
    return Plan(1, variant, steps, hits, checks=False, span=SPAN, active=active)


HANG = Step(4.0, "node-hang", "hub-a", seconds=30.0)
KILL = Step(4.0, "product-kill", "hub-a")
SWITCH = Step(AT, "switchover", "hub-b", value=0.1)
NEXT = Step(AT + AFTER, "automation", value=0.9)  # the reconciler
SCENARIOS = {
    "failover": _plan(KILL, Step(AT, "failover", "hub-b"), NEXT),
    "failover-fenced": _plan(HANG, Step(AT, "failover-assumed", "hub-b"), NEXT),
    "failover-address": _plan(KILL, Step(AT, "failover", "hub-b"), NEXT, variant="address"),
    "switchover": _plan(SWITCH, NEXT),
    "switchback": _plan(Step(AT, "switchback"), NEXT, active="hub-b"),
    "roll-back-before-the-grant": _plan(Step(1.0, "stop-ignored", "hub-a", seconds=100.0), SWITCH, NEXT),
    "roll-back-after-the-grant": _plan(Step(1.0, "start-fails", "hub-b", seconds=100.0), SWITCH, NEXT),
    "forced": _plan(Step(1.0, "stop-drains", "hub-a", seconds=100.0, value=0.5), SWITCH, NEXT, variant="force"),
    "broken-and-out": _plan(
        replace(HANG, seconds=20.0), Step(AT, "failover-assumed", "hub-b"),
        Step(AT + AFTER, "failover", "hub-b"), variant="nofence",
    ),
    # the first holder dies with its stop sent, or with its start sent
    "resume-at-stop": _plan(SWITCH, Step(AT + 3, "failover", "hub-b"), hits=(Hit("keiko1", 12, "crash-after"),)),
    "resume-at-start": _plan(SWITCH, Step(AT + 3, "failover", "hub-b"), hits=(Hit("keiko1", 28, "crash-after"),)),
}  # fmt: skip
LATER = AT + 0.1  # the second actor is there first, and stands still until the first has come to its call
MOVE = replace(SWITCH, at=LATER)
OVER = Step(LATER, "failover", "hub-b")
PAIRED = {
    "switchover, failover": (_plan(Step(AT, "failover", "hub-b"), MOVE), "keiko2", "keiko1"),
    "switchover, automation": (_plan(Step(AT, "automation", value=0.9), MOVE), "keiko2", "lambda1"),
    "switchover, switchback": (_plan(Step(AT, "switchback"), MOVE), "keiko2", "taro1"),
    "failover, automation": (_plan(KILL, Step(AT, "automation", value=0.9), OVER), "keiko2", "lambda1"),
    "failover, the other way": (_plan(KILL, Step(AT, "failover", "hub-a"), OVER), "keiko2", "keiko1"),
    "failover, person starts": (
        _plan(KILL, Step(AT, "person-starts", "hub-a"), OVER),
        "keiko1",
        "hub-a/start1",
    ),
    "failover, boot": (_plan(KILL, Step(AT, "boot", "hub-a"), OVER), "keiko1", "hub-a/boot1"),
    "failover, boot of the target": (_plan(KILL, Step(AT, "boot", "hub-b"), OVER), "keiko1", "hub-b/boot1"),
    "switchover, boot of the target": (_plan(Step(AT, "boot", "hub-b"), MOVE), "keiko1", "hub-b/boot1"),
    "switchover, check of the source": (
        _plan(Step(AT, "healthcheck", "hub-a"), MOVE),
        "keiko1",
        "hub-a/healthcheck1",
    ),
    "switchover, check of the target": (
        _plan(Step(AT, "healthcheck", "hub-b"), MOVE),
        "keiko1",
        "hub-b/healthcheck1",
    ),
    "switchover, person stops": (_plan(Step(AT, "person-stops", "hub-a"), MOVE), "keiko1", "hub-a/stop1"),
    "switchover, pause": (_plan(Step(AT, "pause", value=0.1), MOVE), "keiko2", "pause1"),
}


def calls_of(plan: Plan) -> dict[str, list[str]]:
    """Each process of a schedule with its calls, in order."""
    found: dict[str, list[str]] = {}
    run(plan, watching=lambda proc, call: found.setdefault(proc.name, []).append(call))
    return {name: calls for name, calls in found.items() if not name.startswith(("reconciler", "operator"))}


def telling(calls: list[str]) -> list[int]:
    """The calls, less those in the middle of a row that all look alike."""
    kept = []
    for index, call in enumerate(calls):
        around = calls[max(0, index - SAME) : index + SAME + 1]
        if len(around) < 2 * SAME + 1 or set(around) != {call}:
            kept.append(index)
    return kept


def singles(scenario: str) -> Iterator[Plan]:
    """Every single fault of a scenario."""
    plan = SCENARIOS[scenario]
    for hit in moments(plan):
        yield replace(plan, hits=(*plan.hits, hit))


def moments(plan: Plan) -> Iterator[Hit]:
    """Every fault that can hit a schedule once."""
    taken = {(hit.proc, hit.call) for hit in plan.hits}
    for proc, calls in calls_of(plan).items():
        for index in telling(calls):
            if (proc, index) in taken:
                continue
            yield Hit(proc, index, "crash")
            if not calls[index].startswith("host:"):
                yield Hit(proc, index, "crash-after")
                yield Hit(proc, index, "lost")


def seconds_of(first: Plan) -> Iterator[Plan]:
    """Every second fault of a schedule that one has hit already: of what it does once the first has hit."""
    hit = first.hits[-1]
    for second in moments(first):
        if second.proc != hit.proc or second.call > hit.call:
            yield replace(first, hits=(*first.hits, second))


def pairs(scenario: str, every: int = 1, then: int = 1, part: int = 0) -> Iterator[Plan]:
    """Every pair of faults; or, of each `every`-th first one, each `then`-th second one."""
    for index, first in enumerate(singles(scenario)):
        if index % every == part:
            for number, second in enumerate(seconds_of(first)):
                if (number + index) % then == 0:
                    yield second


def turns(name: str, share: int = 1) -> Iterator[Plan]:
    """Every interleaving of two actors with at most two changes, or each `share`-th."""
    plan, first, second = PAIRED[name]
    waits = Hit(second, 0, "yield")
    known = calls_of(replace(plan, hits=(waits,)))
    number = 0
    for index in telling(known[first]):
        begun = (waits, Hit(first, index, "yield"))
        for other in telling(calls_of(replace(plan, hits=begun)).get(second, [])):
            number += 1
            if other and number % share == 0:
                yield replace(plan, hits=(*begun, Hit(second, other, "yield")))
