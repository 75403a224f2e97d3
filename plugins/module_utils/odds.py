# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long until a failure is acted on, and how often a false alarm is to be expected: from the profile's numbers. Pure.

Times are from the failure to the moment at which the function has begun and knows enough to act; the product's own stop and
start, and fencing, come on top.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from .checks import PairError
from .confirm import MARGIN
from .health import CHECK_PERIOD, FRESH_CHECKS
from .pair import PairSpec

STEPS = 60  # moments of a period that are looked at, and of the reconciler's
DAY = 86400.0
MOST_PERIODS = 14  # the exact count of windows doubles with each


@dataclass(frozen=True)
class Watching:
    """How a pair is watched. Times in seconds.

    `offset` is how long after its period's start a check's datapoint arrives, `delay` what CloudWatch's evaluation, the
    event's delivery and the function's start take, `reconcile` the time between two looks of the reconciler, `silence` the
    age from which on a heartbeat no longer says that the node lives, `confirm` how long a node that gives no answer is waited for.
    """

    period: float = float(CHECK_PERIOD)
    evaluation_periods: int = 5
    datapoints: int = 2
    offset: float = 3.0
    delay: float = 5.0
    reconcile: float = 60.0
    silence: float = FRESH_CHECKS * CHECK_PERIOD
    confirm: float = 20.0 + MARGIN


@dataclass(frozen=True)
class Span:
    """Least, typical (the median over all moments at which it may fail) and most, in seconds."""

    least: float
    typical: float
    most: float


def watching(pair: PairSpec, **given: Any) -> Watching:
    """How this pair's alarm watches; `given` replaces single numbers. Raises PairError naming what is wrong."""
    if pair.profile == "none":
        raise PairError(
            "hotstandby_pair.profile: 'none' has nothing that watches, and so nothing to calculate"
        )
    values = {key: value for key, value in given.items() if value is not None}
    found = Watching(**{"confirm": pair.timeouts.confirm + MARGIN, **values})
    if not 1 <= found.datapoints <= found.evaluation_periods <= MOST_PERIODS:
        raise PairError(
            f"datapoints: {found.datapoints} of {found.evaluation_periods} is not from 1 of 1 to {MOST_PERIODS} of {MOST_PERIODS}"
        )
    if not 0 <= found.offset < found.period:
        raise PairError(f"offset: {found.offset:g} s is not within the period of {found.period:g} s")
    for name in ("delay", "reconcile", "silence", "confirm"):
        if getattr(found, name) < 0:
            raise PairError(f"{name}: {getattr(found, name):g} s: no time may be negative")
    return found


def alarm_at(watch: Watching, failed: float) -> float:
    """Seconds from a failure, `failed` seconds into a period, to the end of the period that makes the alarm."""
    # the period's own datapoint was put already, and was good, when the failure comes after it
    good = 1 if failed >= watch.offset else 0
    return (watch.datapoints + good) * watch.period - failed


def span(values: Sequence[float]) -> Span:
    """Of all that it may be."""
    return Span(round(min(values), 1), round(statistics.median(values), 1), round(max(values), 1))


def moments(whole: float) -> list[float]:
    """At which something may happen in so many seconds, evenly spread."""
    return [whole * (number + 0.5) / STEPS for number in range(STEPS)]


def product_dead(watch: Watching) -> Span:
    """The product dies and its node still answers, or EC2 says that the node is off."""
    return span([alarm_at(watch, failed) + watch.delay for failed in moments(watch.period)])


def event_lost(watch: Watching) -> Span:
    """The same, when the alarm's event never arrives: the reconciler finds the alarm."""
    return span(
        [
            alarm_at(watch, failed) + watch.delay + wait
            for failed in moments(watch.period)
            for wait in moments(watch.reconcile)
        ]
    )


def node_lost(watch: Watching) -> Span:
    """The node gives no answer: its heartbeat must be late too, and each look waits for its answer."""
    times = []
    for failed in moments(watch.period):
        silent = watch.silence - (failed - watch.offset) % watch.period
        first = alarm_at(watch, failed) + watch.delay + watch.confirm
        for phase in moments(watch.reconcile):
            known = first
            look = alarm_at(watch, failed) + watch.delay + phase
            while known < silent:
                known = look + watch.confirm
                look = max(look + watch.reconcile, known)
            times.append(known)
    return span(times)


def window_chance(watch: Watching, bad: float) -> float:
    """The chance that a window of the alarm looks bad although the service is well."""
    return sum(
        _chance(bits, bad)
        for bits in product((0, 1), repeat=watch.evaluation_periods)
        if sum(bits) >= watch.datapoints
    )


def false_alarms(watch: Watching, bad: float) -> float:
    """Expected false alarms a day, each a change from OK to ALARM, when points are bad independently of each other.

    `bad` is the chance that one period's point is bad or missing while the service is well.
    """
    size, needed = watch.evaluation_periods, watch.datapoints
    each = sum(
        _chance(bits, bad)
        for bits in product((0, 1), repeat=size + 1)
        if sum(bits[:size]) < needed <= sum(bits[1:])
    )
    return each * DAY / watch.period


def _chance(bits: Sequence[int], bad: float) -> float:
    ones = sum(bits)
    return float(bad**ones * (1 - bad) ** (len(bits) - ones))


WHAT = {
    "product_dead": "the product dies, its node answers",
    "event_lost": "the same, and the event or the call is lost",
    "node_lost": "the node gives no answer",
}


def rate(bad: Any) -> float:
    """A chance. Raises PairError for a number that is none."""
    if isinstance(bad, bool) or not isinstance(bad, (int, float)) or not 0 <= bad <= 1:
        raise PairError(f"bad: {bad} is not a rate from 0 to 1")
    return float(bad)


def table(title: str, spans: Mapping[str, Span], digits: int) -> list[str]:
    """The times for people."""
    return [
        f"{title:46} {'least':>8} {'typical':>8} {'most':>8}",
        *(
            f"{WHAT[name]:46} {one.least:6.{digits}f} s {one.typical:6.{digits}f} s {one.most:6.{digits}f} s"
            for name, one in spans.items()
        ),
    ]


def seldom(what: str, daily: float) -> str:
    """How often something happens for nothing, for people."""
    return (
        f"{what}: {'none' if daily == 0 else f'one in {1 / daily:.3g} days'}; each makes the function ask the node, which "
        "moves nothing when it is well"
    )


def numbers(spans: Mapping[str, Span], daily: float) -> dict[str, Any]:
    """The same as data."""
    return {
        **{name: asdict(one) for name, one in spans.items()},
        "false_alarms_a_day": daily,
        "days_between_false_alarms": None if daily == 0 else 1 / daily,
    }


def calculate(watch: Watching, bad: float) -> dict[str, Any]:
    """Everything that the alarm does, as data, with `lines` for people. Raises PairError for a rate that is none."""
    bad = rate(bad)
    spans = {
        "product_dead": product_dead(watch),
        "event_lost": event_lost(watch),
        "node_lost": node_lost(watch),
    }
    daily = false_alarms(watch, bad)
    lines = table("from the failure to the decision", spans, 0)
    lines.append(seldom(f"false alarms with {bad:g} of the points bad", daily))
    return {**numbers(spans, daily), "window_chance": window_chance(watch, bad), "lines": lines}
