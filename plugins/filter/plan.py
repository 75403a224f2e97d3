# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator as a filter: how soon a failure is acted on, and how often a false alarm is to be expected."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
short_description: Calculates detection times and false alarms of a pair
version_added: 0.1.0
description:
  - From the numbers of a pair and of its alarm, the time from a failure to the decision to act (least, typical, most), and
    how many false alarms to expect a day. With profile V(fast) from the rhythm of its daemons as well.
  - The product's own stop and start, and fencing, come on top of these times.
positional: []
options:
  _input:
    description: The pair, C(hotstandby_pair), with profile V(minute) or V(fast).
    type: dict
    required: true
  bad:
    description:
      - The chance that the point of one period is bad or missing although the service is well, from 0 to 1.
      - With profile V(fast) the chance that one heartbeat is missing, too.
    type: float
    default: 0.001
  period:
    description: Period of the alarm and of the health check, in seconds.
    type: float
    default: 60
  evaluation_periods:
    description: How many periods the alarm looks at.
    type: int
    default: 5
  datapoints:
    description: How many of them must be bad or missing.
    type: int
    default: 2
  offset:
    description: Seconds from the start of a period to the arrival of its datapoint.
    type: float
    default: 3
  delay:
    description:
      - Seconds for CloudWatch's evaluation, the event's delivery and the start of the function.
      - With profile V(fast) what the call and the function's start take, V(0.5) when it is not given.
    type: float
    default: 5
  reconcile:
    description: Seconds between two looks of the reconciler.
    type: float
    default: 60
author:
  - hotstandby.ops contributors (@hotstandby)
"""

EXAMPLES = r"""
- name: How soon would the pair move
  ansible.builtin.debug:
    msg: "{{ (hotstandby_pair | hotstandby.ops.plan(bad=0.002)).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(product_dead), C(event_lost) and C(node_lost), each with C(least), C(typical) and C(most) in seconds.
    - C(false_alarms_a_day), C(days_between_false_alarms), and C(lines) for people.
    - C(window_chance) with profile V(minute). With profile V(fast) all of this of the alarm alone in C(alarm).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils import odds_fast
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError, plain
from ansible_collections.hotstandby.ops.plugins.module_utils.odds import calculate, watching
from ansible_collections.hotstandby.ops.plugins.module_utils.odds_fast import beating
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair


def plan(pair: Any, bad: float = 0.001, **given: Any) -> dict[str, Any]:
    """{product_dead, event_lost, node_lost, ..., lines}. Raises AnsibleFilterError with one line."""
    known = ("period", "evaluation_periods", "datapoints", "offset", "delay", "reconcile")
    for name in given:
        if name not in known:
            raise AnsibleFilterError(f"hotstandby.ops.plan: {name}: unknown (known: bad, {', '.join(known)})")
    try:
        spec = parse_pair(plain(pair))
        alarm = calculate(watching(spec, **given), bad)
        if spec.profile != "fast":
            return alarm
        delay = given.get("delay")
        return odds_fast.calculate(beating(spec) if delay is None else beating(spec, delay), bad, alarm)
    except (PairError, TypeError) as error:
        raise AnsibleFilterError(f"hotstandby.ops.plan: {error}") from error


class FilterModule:
    """hotstandby.ops.plan"""

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """What this file offers."""
        return {"plan": plan}
