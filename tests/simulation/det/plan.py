# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schedule: what happens and which call is hit, drawn from one number; running it, and making a failing one small."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from tests.simulation.det import daemon, kinds, recovery
from tests.simulation.det.kinds import KINDS, Step
from tests.simulation.det.rules import EXIT
from tests.simulation.det.scheduler import Proc
from tests.simulation.det.world import VARIANTS, World

SPAN = 150.0  # seconds within which everything begins
SETTLE = 40.0  # seconds more before everything is healed
CHECKS = 60.0  # seconds between two health checks of cron
# what may hit one call or one operation of a process, and how often
HITS = {"crash": 3, "crash-after": 3, "lost": 4, "late": 3, "refuse": 2, "freeze": 4, "freeze-after": 3}


@dataclass(frozen=True)
class Hit:
    """A fault aimed at one operation of one process."""

    proc: str
    call: int
    kind: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"         {self.kind} of {self.proc} at its call {self.call}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Plan:
    """One schedule. `seed` also gives every delay; what is removed from a plan leaves the rest as it was."""

    seed: int
    variant: str = "plain"
    steps: tuple[Step, ...] = ()
    hits: tuple[Hit, ...] = ()
    apart: bool = False
    checks: bool = True  # whether cron runs the health checks
    span: float = SPAN
    active: str = "hub-a"
    function: bool = False  # automation is the Lambda function itself
    watch: bool = False  # each node has its watch daemon, which calls the function

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, pair '{self.variant}'", *map(str, self.steps), *map(str, self.hits)]
        return "\n".join(lines)


@dataclass
class Verdict:
    """What a schedule came to. `back` is the seconds from healed to steady, None when that was never reached."""

    plan: Plan
    broken: list[tuple[float, str, str]] = field(default_factory=list)
    back: float | None = None
    left: bool = False  # whether it was anything but steady when everything was healed
    helped: str = ""  # the operator's command that it took
    resumed: bool = False  # whether a pause that was left had to be ended by hand
    overlaps: list[tuple[float, float, str]] = field(default_factory=list)
    trace: list[tuple[float, str, str, str]] = field(default_factory=list)
    turns: int = 0
    outcomes: tuple[str, ...] = ()


def _names(apart: bool) -> tuple[list[str], list[int], list[str], list[int]]:
    act = [item for item in KINDS.values() if item.where == "act" and not item.apart]
    fault = [item for item in KINDS.values() if item.where != "act"]
    return [i.name for i in act], [i.weight for i in act], [i.name for i in fault], [i.weight for i in fault]


ACTS, ACT_WEIGHTS, FAULTS, FAULT_WEIGHTS = _names(False)
APART = [item.name for item in KINDS.values() if item.apart]
DEATHS = ["product-kill", "product-kill", "product-hang", "node-hang", "power-off", "cut-out", "guard-freeze"]
WORK = ("watch", "turn", "ask", "call", "call", "restart", "fence")
MOVES = ["failover", "switchover", "switchback", "automation", "failover-assumed"]


def drawn(seed: int, apart: bool = False) -> Plan:
    """The schedule of a number."""
    rng = random.Random(seed)
    variant = rng.choice(list(VARIANTS))
    steps = [kinds.draw(rng, ACTS, ACT_WEIGHTS, SPAN) for _number in range(rng.choice((1, 2, 2, 3, 4)))]
    steps.append(kinds.draw(rng, MOVES, [1] * len(MOVES), SPAN / 2))
    steps += [kinds.draw(rng, FAULTS, FAULT_WEIGHTS, SPAN) for _number in range(rng.choice((0, 1, 1, 2, 3)))]
    if apart:
        steps.append(kinds.draw(rng, APART, [1] * len(APART), SPAN))
    # a fault that begins while somebody is at work finds more than one out of the blue
    for index, step in enumerate(steps):
        if KINDS[step.kind].where != "act" and rng.random() < 0.6:
            other = rng.choice([item for item in steps if KINDS[item.kind].where == "act"])
            steps[index] = replace(step, at=round(other.at + 8 * rng.random() ** 2, 2))
    hits = tuple(_hit(rng) for _number in range(rng.choice((0, 1, 1, 2, 3))))
    # half of the schedules have no cron: they are over sooner, and a dead cron is a fault as well
    checks = apart or rng.random() < 0.5
    return Plan(seed, variant, tuple(sorted(steps, key=lambda step: step.at)), hits, apart, checks)


def watched(seed: int) -> Plan:
    """The same, with the watch daemons of profile fast, which call the function; hits are aimed at their work as well."""
    rng = random.Random(f"watch {seed}")
    plan = replace(drawn(seed), variant=rng.choice(("fast", "restarts")), watch=True)
    # what the daemons are for must happen often
    steps = [kinds.draw(rng, DEATHS, [1] * len(DEATHS), SPAN) for _number in range(rng.choice((0, 1, 1, 2)))]
    hits = [
        _aimed(rng, f"{rng.choice(('hub-a', 'hub-b'))}/{rng.choice(WORK)}")
        for _n in range(rng.choice((0, 1, 2)))
    ]
    return replace(
        plan,
        steps=tuple(sorted((*plan.steps, *steps), key=lambda step: step.at)),
        hits=(*plan.hits, *hits),
    )


def _aimed(rng: random.Random, work: str) -> Hit:
    kind = rng.choices(list(HITS), list(HITS.values()))[0]
    number = {"watch": 1, "turn": rng.randrange(1, 200), "ask": rng.randrange(1, 80)}.get(
        work.rpartition("/")[2], rng.choice((1, 1, 1, 2, 3))
    )
    return Hit(f"{work}{number}", int(12 * rng.random() ** 2), kind, round(40 * rng.random() ** 2, 1))


def _hit(rng: random.Random) -> Hit:
    kind = rng.choices(list(HITS), list(HITS.values()))[0]
    if rng.random() < 0.65:
        proc = f"{rng.choice(('keiko', 'lambda', 'taro', 'keiko', 'lambda'))}{rng.choice((1, 1, 2, 3))}"
        call = int(70 * rng.random() ** 1.5)
    else:
        verb = rng.choice(("start", "start", "stop", "stop", "look", "boot", "healthcheck", "status"))
        proc = f"{rng.choice(('hub-a', 'hub-b'))}/{verb}{rng.choice((1, 1, 2, 3))}"
        call = int(16 * rng.random())
    seconds = {"late": 1 + 30 * rng.random(), "freeze": 60 * rng.random() ** 2}.get(
        kind.removesuffix("-after"), 0.0
    )
    return Hit(proc, call, kind, round(seconds, 1))


def cron(world: World) -> None:
    """Each node's health check, each minute."""

    def check(name: str) -> None:
        machine = world.machines[name]
        if machine.power == "running" and not machine.frozen:
            machine.local("healthcheck")
        world.at(CHECKS, lambda: check(name))

    rng = random.Random(world.seed)
    for name in ("hub-a", "hub-b"):
        world.at(CHECKS * rng.random(), lambda name=name: check(name))


def run(
    plan: Plan,
    trace: bool = False,
    until_broken: bool = False,
    watching: Callable[[Proc, str], None] | None = None,
    healed: bool = True,
) -> Verdict:
    """Run a schedule, then (when `healed`) heal everything and see that the pair comes back.

    `until_broken` ends it with the first broken rule; `watching` is told of every call.
    """
    world = World(plan.seed, plan.variant, trace, plan.active)
    lines = world.trace
    world.faults_at = {(hit.proc, hit.call): (hit.kind, hit.seconds) for hit in plan.hits}
    world.takers = {hit.proc for hit in plan.hits if hit.kind == "yield"}
    world.watching = watching
    world.through_function = plan.function or plan.watch
    verdict = Verdict(plan, world.rules.broken)
    with world.running():
        if plan.checks:
            cron(world)
        if plan.watch:
            daemon.everywhere(world)
        for step in plan.steps:
            world.at(step.at, lambda step=step: kinds.happen(world, step))
        world.run(plan.span + SETTLE, lambda: bool(until_broken and world.rules.broken))
        if healed and not world.rules.broken:
            recovery.recover(world, verdict)
        if world.errors:
            raise world.errors[0]
        verdict.overlaps = world.rules.overlaps
        verdict.turns = world.turns
        verdict.outcomes = tuple(result.outcome for _proc, _request, result in world.results)
    if lines is not None:
        verdict.trace = lines
    return verdict


def shrink(plan: Plan, rule: str, tries: int = 100) -> Plan:
    """A smaller schedule that breaks the same rule."""

    def fails(smaller: Plan) -> bool:
        broken = run(smaller, until_broken=True, healed=rule == EXIT).broken
        return any(found == rule for _at, found, _what in broken)

    changed = True
    while changed and tries > 0:
        changed = False
        for smaller in _smaller(plan):
            tries -= 1
            if tries < 0:
                break
            if fails(smaller):
                plan, changed = smaller, True
                break
    return plan


def _smaller(plan: Plan) -> Iterable[Plan]:
    for index in range(len(plan.steps)):
        yield replace(plan, steps=plan.steps[:index] + plan.steps[index + 1 :])
    for index in range(len(plan.hits)):
        yield replace(plan, hits=plan.hits[:index] + plan.hits[index + 1 :])
    if plan.variant != "plain":
        yield replace(plan, variant="plain")


def timeline(verdict: Verdict) -> str:
    """A failing schedule for people: what was broken, the plan, and who did what when."""
    rules = [f"{at:8.2f} {rule}: {what}" for at, rule, what in verdict.broken]
    head = ["BROKEN", *rules, "", str(verdict.plan), "", "    time  actor              call => answer"]
    body = [
        f"{at:8.2f}  {actor:18} {call}" + (f" => {answer}" if answer else "")
        for at, actor, call, answer in verdict.trace
    ]
    return "\n".join(head + body)


def explain(plan: Plan, small: Callable[[Plan, str], Plan] = shrink) -> str:
    """Shrink a failing schedule and tell it."""
    first = run(plan).broken
    if not first:
        return f"seed {plan.seed}: no rule is broken"
    return timeline(run(small(plan, first[0][1]), trace=True))
