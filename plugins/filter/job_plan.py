# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator of a job observer: how soon its work begins, and what it costs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: job_plan
short_description: Calculates the latency and the cost of a job observer
version_added: 0.1.0
description:
  - From the numbers of a job observer, the time from a message to its command (least, typical, most), beside the 10 minutes of
    the published design, the hours that its instances run, and the calls that it makes.
  - EventBridge Scheduler's own precision of a minute comes before these times.
author:
  - hotstandby.ops contributors (@hotstandby)
positional: []
options:
  _input:
    description:
      - C(jobs), how many a day, evenly spread, and C(seconds), what each takes, are needed.
      - C(boot) (90), seconds from the launch of an instance to its worker; C(launch) (10), what the group takes to ask for one;
        C(publish) (60), what SQS's metrics take to arrive after their minute.
      - C(least) (0), C(most) (1), C(wake) (true), C(period) (60), C(idle_periods) (5) and C(visibility) (60), as the role
        C(job_observer) was given them.
      - C(price), one instance's for an hour, in whatever currency.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: What would one job a night of half an hour cost
  ansible.builtin.debug:
    msg: "{{ ({'jobs': 1, 'seconds': 1800, 'price': 0.0216} | hotstandby.ops.job_plan).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(begins) (from the message to the command) and C(shrinks) (from the last job to the end of its instance), each with C(least),
      C(typical) and C(most) in seconds; C(published), the published design's seconds.
    - C(instance_hours_a_day), C(cost_a_month) (null without a price), C(calls_a_day) by service, and C(lines) for people.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError, plain
from ansible_collections.hotstandby.ops.plugins.module_utils.odds_jobs import calculate, work


def job_plan(given: Any) -> dict[str, Any]:
    """{begins, shrinks, instance_hours_a_day, ..., lines}. Raises AnsibleFilterError with one line."""
    found = plain(given)
    if not isinstance(found, Mapping):
        raise AnsibleFilterError("hotstandby.ops.job_plan: the input is not a mapping")
    try:
        return calculate(work(found))
    except PairError as error:
        raise AnsibleFilterError(f"hotstandby.ops.job_plan: {error}") from None


class FilterModule:
    """hotstandby.ops.job_plan"""

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """What this file offers."""
        return {"job_plan": job_plan}
