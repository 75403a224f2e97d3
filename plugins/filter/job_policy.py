# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM policies of a job observer."""

from __future__ import annotations

DOCUMENTATION = r"""
name: job_policy
short_description: The least rights that a party of a job observer needs, as an IAM policy
version_added: 0.1.0
description:
  - Renders the IAM policy document of the workers of a queue, or of the schedules that fill it. The role C(job_observer) uses it.
author:
  - hotstandby.ops contributors (@hotstandby)
positional: party
options:
  _input:
    description:
      - The observer, with C(name), C(region), and if you like C(account), C(partition) and C(program), the bucket and key of the
        program that the workers fetch.
    type: dict
    required: true
  party:
    description:
      - V(worker) is the instance profile, V(schedule) the role that EventBridge Scheduler takes.
    type: str
    choices: [worker, schedule]
    required: true
"""

EXAMPLES = r"""
- name: See what a worker may do
  ansible.builtin.debug:
    msg: "{{ {'name': 'jobs', 'region': 'ap-northeast-1'} | hotstandby.ops.job_policy('worker') }}"
"""

RETURN = r"""
_value:
  description: The policy document.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.policies_jobs import parse, policy


def job_policy(observer: Any, party: str) -> dict[str, Any]:
    """See the documentation above."""
    try:
        return policy(parse(observer), party)
    except PairError as error:
        raise AnsibleFilterError(f"hotstandby.ops.job_policy: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name and function."""
        return {"job_policy": job_policy}
