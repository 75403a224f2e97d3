# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How CloudWatch judges an alarm, as a pure function of its last periods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


def evaluate(
    values: Sequence[float | None], threshold: float, needed: int, missing: str, before: State
) -> State:
    """The state after looking at the alarm's whole periods, the oldest first; None is a period without a datapoint.

    A period is bad when its value is at least `threshold`. `needed` bad ones make an alarm. `missing` is breaching,
    notBreaching, missing or ignore; `before` the state so far.
    """
    bad = sum(value is not None and value >= threshold for value in values)
    silent = sum(value is None for value in values)
    if missing == "breaching":
        return "ALARM" if bad + silent >= needed else "OK"
    if missing == "notBreaching":
        return "ALARM" if bad >= needed else "OK"
    if silent == len(values):
        return before if missing == "ignore" else "INSUFFICIENT_DATA"
    return "ALARM" if bad >= needed else "OK"
