# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same for profile fast: from the rhythm of its daemons to the decision, and how often they call for nothing. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .checks import PairError
from .node.watch import PACES, Settings
from .odds import DAY, STEPS, Span, moments, numbers, rate, seldom, span, table
from .pair import PairSpec

GAPS = 60  # heartbeats missing in a row that are counted


@dataclass(frozen=True)
class Beating:
    """How the daemons of a pair watch. Times in seconds.

    `timeout` is heartbeat_timeout, `beat` the time between two heartbeats (who watches reads twice as often), `read` what
    one visit to the table takes, `delay` what the invocation of the function takes until it has read the heartbeat itself,
    `again` the time until a call that was lost is made again.
    """

    timeout: float = 3.0
    beat: float = 1.0
    read: float = 0.1
    delay: float = 0.5
    again: float = PACES[0]


def beating(pair: PairSpec, delay: float = 0.5) -> Beating:
    """How this pair's daemons watch. Raises PairError for another profile."""
    if pair.profile != "fast":
        raise PairError(f"hotstandby_pair.profile: '{pair.profile}' has no daemons to calculate with")
    settings = Settings("", "", "", pair.heartbeat_timeout)
    return Beating(pair.heartbeat_timeout, settings.beat, delay=delay)


def called_at(watch: Beating, first: float) -> float:
    """Seconds from the last heartbeat to the call, when the first read that saw it began `first` seconds after it."""
    each = watch.beat / 2
    # it stood still from the end of the first read to the beginning of the last, for half of the timeout
    reads = math.ceil((watch.timeout / 2 + watch.read) / each - 1e-9)
    return first + reads * each + watch.read


def product_dead(watch: Beating) -> Span:
    """The product's processes end and its node answers: an event, and no poll."""
    return span([watch.read + watch.delay])


def event_lost(watch: Beating) -> Span:
    """The same, when the first call is lost."""
    return span([watch.again + watch.read + watch.delay])


def node_lost(watch: Beating) -> Span:
    """The node gives no answer: half of the timeout is waited for by the standby, half by the function."""
    return span(
        [
            called_at(watch, first) - since + watch.delay + watch.timeout / 2
            for since in moments(watch.beat)
            for first in moments(watch.beat / 2)
        ]
    )


def calls_a_day(watch: Beating, bad: float) -> float:
    """Expected calls for nothing, when each heartbeat is missing with the chance `bad`, independently of the others."""
    expected = 0.0
    for missing in range(1, GAPS):
        next_one = (missing + 1) * watch.beat
        called = sum(called_at(watch, first) < next_one for first in moments(watch.beat / 2)) / STEPS
        expected += called * bad**missing * (1 - bad) ** 2
    return expected * DAY / watch.beat


def calculate(watch: Beating, bad: float, alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as data, with `lines` for people; `alarm` is what odds.calculate says of the same pair."""
    bad = rate(bad)
    spans = {
        "product_dead": product_dead(watch),
        "event_lost": event_lost(watch),
        "node_lost": node_lost(watch),
    }
    daily = calls_a_day(watch, bad)
    lines = table("from the failure to the decision, by the daemons", spans, 1)
    lines.append(seldom(f"calls for nothing with {bad:g} of the heartbeats missing", daily))
    lines += ["by the alarm alone, when the daemons are not there", *alarm["lines"][1:]]
    return {**numbers(spans, daily), "alarm": alarm, "lines": lines}
