# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job observer costs and how soon its work begins, beside the published 10 minutes: from its own numbers. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .checks import PairError
from .odds import DAY, Span, moments, span

PUBLISHED = 600.0  # seconds from the schedule to the work in the published design
QUIET = 6 * 3600.0  # a queue that was idle for so long tells its numbers late
LATEST = 900.0  # by so much at most
POLL = 20.0  # seconds of one long poll
MONTH = 365.25 / 12  # days


@dataclass(frozen=True)
class Work:
    """A job observer as its role makes it. Times in seconds, `jobs` a day, evenly spread, each of `seconds`.

    `launch` is what the group takes to ask for an instance, `boot` the instance until the worker runs, `publish` what SQS's
    metrics take to arrive after their minute. `price` is one instance's for an hour; its currency is the caller's.
    """

    jobs: float
    seconds: float
    boot: float = 90.0
    launch: float = 10.0
    publish: float = 60.0
    least: int = 0
    most: int = 1
    wake: bool = True
    period: float = 60.0
    idle_periods: int = 5
    visibility: float = 60.0
    price: Optional[float] = None


def work(given: Mapping[str, Any]) -> Work:
    """Of a mapping with the fields of Work. Raises PairError that names the field."""
    known = {field.name: field.type for field in dataclasses.fields(Work)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise PairError(f"{name}: not one of {', '.join(sorted(known))}")
        if name == "wake":
            if not isinstance(value, bool):
                raise PairError(f"wake: {value!r} is not true or false")
            values[name] = value
        elif name != "price" or value is not None:
            values[name] = _number(name, value, whole=known[name] == "int")
    for name in ("jobs", "seconds"):
        if name not in values:
            raise PairError(f"{name}: is needed")
    found = Work(**values)
    for name in ("period", "idle_periods", "visibility", "most"):
        if getattr(found, name) <= 0:
            raise PairError(f"{name}: must be more than 0")
    if found.least > found.most:
        raise PairError(f"least: {found.least} is more than most, {found.most}")
    return found


def _number(name: str, value: Any, whole: bool) -> float:
    """A number, or a text of one as a command line gives it. Raises PairError."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found <= 1e9 or (whole and found != int(found)):
        raise PairError(f"{name}: {value!r} is not a {'whole ' if whole else ''}number from 0 on")
    return int(found) if whole else found


def begins(plan: Work) -> Span:
    """From the message on the queue to the command. EventBridge Scheduler's own minute comes before it."""
    if plan.least > 0:
        return Span(0.0, 0.0, 1.0)  # somebody waits in a long poll
    up = plan.launch + plan.boot
    if plan.wake:
        return span([up])
    late = moments(LATEST) if _quiet(plan) else [0.0]
    # the datapoint of the minute in which the message came, once that has ended and was told
    return span([plan.period - at + plan.publish + more + up for at in moments(plan.period) for more in late])


def _quiet(plan: Work) -> bool:
    return plan.jobs > 0 and DAY / plan.jobs - plan.seconds >= QUIET


def shrinks(plan: Work) -> Span:
    """From the end of the last job to the end of its instance."""
    whole = plan.idle_periods * plan.period
    return span([whole + plan.period - at + plan.publish for at in moments(plan.period)])


def hours(plan: Work) -> float:
    """Instance hours a day. Jobs that come before the group has shrunk find the instance of the one before."""
    stays = plan.seconds + shrinks(plan).typical
    if plan.least > 0 or plan.jobs == 0:
        return 24.0 * plan.least
    between = DAY / plan.jobs
    if between <= stays:
        return 24.0 * min(float(plan.most), max(1.0, math.ceil(plan.seconds / between)))
    return plan.jobs * (plan.boot + stays) / 3600


def calls(plan: Work) -> dict[str, float]:
    """Calls a day, by service."""
    at_work = plan.jobs * plan.seconds
    idle = max(0.0, hours(plan) * 3600 - at_work)
    return {
        # sent, received and deleted once; empty long polls; extended at each third
        "sqs": plan.jobs * 3 + idle / POLL + at_work / (plan.visibility / 3),
        "scheduler": plan.jobs * (2 if plan.wake else 1),
        "autoscaling": 2 * plan.jobs,
    }


def calculate(plan: Work) -> dict[str, Any]:
    """Everything as data, with `lines` for people."""
    begin, shrink = begins(plan), shrinks(plan)
    daily, monthly = hours(plan), hours(plan) * MONTH
    asked = calls(plan)
    lines = [
        f"{'':42} {'least':>8} {'typical':>8} {'most':>8}",
        *(
            f"{what:42} {one.least:6.0f} s {one.typical:6.0f} s {one.most:6.0f} s"
            for what, one in (
                ("from the message to the command", begin),
                ("from the last job to the instance's end", shrink),
            )
        ),
        f"the published design: about {PUBLISHED:.0f} s from the schedule to the command",
        f"instance hours: {daily:.1f} a day, {monthly:.0f} a month"
        + ("" if plan.price is None else f", {monthly * plan.price:.2f} at {plan.price:g} an hour"),
        f"calls a month: SQS {asked['sqs'] * MONTH:.0f}, Scheduler {asked['scheduler'] * MONTH:.0f}, "
        f"Auto Scaling {asked['autoscaling'] * MONTH:.0f}",
    ]
    if not plan.least and not plan.wake and _quiet(plan):
        lines.append(
            "the queue is idle for six hours and more, and then tells its numbers up to 15 minutes late: wake avoids that"
        )
    return {
        "begins": dataclasses.asdict(begin),
        "shrinks": dataclasses.asdict(shrink),
        "published": PUBLISHED,
        "instance_hours_a_day": daily,
        "cost_a_month": None if plan.price is None else monthly * plan.price,
        "calls_a_day": asked,
        "lines": lines,
    }
