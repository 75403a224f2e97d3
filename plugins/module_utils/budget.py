# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each step of a move may take, so that a run with a time limit begins none that will not fit. Pure."""

from __future__ import annotations

from .confirm import MARGIN
from .handover import seconds_of
from .move import ORDER
from .pair import PairSpec
from .run_command import PATIENCE

ANSWER = MARGIN + PATIENCE  # seconds beside a node's own limit
RESERVE = 10.0  # seconds kept for letting go of the record, and for telling people
LONGEST = 840.0  # seconds; what a function with Lambda's most, 900 s, can always begin
ADDRESS = 30.0  # seconds for one address


def needs(pair: PairSpec, step: str) -> float:
    """Seconds that must be left before this step is begun."""
    times = pair.timeouts
    ask = times.confirm + ANSWER
    again = 2 if pair.stop.then == "force" and pair.stop.mode != "force" else 1
    stop = again * (times.stop + ANSWER)
    whole = {
        "acquire": pair.lease,
        "confirm": ask + (pair.heartbeat_timeout if pair.profile == "fast" else 0.0),
        # nobody is named without the time to stop who was
        "withdraw": stop,
        "stop": stop,
        "fence": pair.fencing.timeout + ask,
        "handover": seconds_of(pair) if pair.requeue is not None else 0.0,
        "start": times.start + ANSWER + ask,
        "verify": times.verify + min(times.verify, times.confirm) + ANSWER,
        "redirect": sum(4 * float(entry.get("timeout", ADDRESS / 4)) for entry in pair.redirect),
    }.get(step, 0.0)
    # two calls of the step's own may each take their third of the lease
    return min(whole + 2 * pair.lease / 3 + RESERVE, LONGEST)


def most(pair: PairSpec) -> float:
    """Seconds that the longest step needs: a run must have them when it begins."""
    return max(needs(pair, step) for step in ORDER)
