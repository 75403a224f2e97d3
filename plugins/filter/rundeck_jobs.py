# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rundeck job definitions that run on exactly one of the nodes they are dispatched to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rundeck_jobs
short_description: Rundeck job definitions that run on exactly one of several nodes
version_added: 0.1.0
author:
  - hotstandby.ops contributors (@hotstandby)
description:
  - Makes job definitions for Rundeck (job-yaml) from a list of jobs. Each is dispatched to all nodes of its filter, and its command
    is wrapped in C(hotstandby run-exclusive). A node that has nothing to do exits with 0.
positional: _input, store
options:
  _input:
    description:
      - The jobs, each with C(name) and C(command) (text for C(sh), or a list of arguments), and optionally C(group), C(description),
        C(filter), C(mode) (V(exclusive), V(failover) or V(semaphore) with C(slots)), C(lease), C(wait), C(timeout), C(crontab),
        C(time_zone), C(log_level), C(threads) and C(uuid).
    type: list
    elements: dict
    required: true
  store:
    description: Where the runs are kept, V(dynamodb:TABLE) or V(dir:/PATH).
    type: str
    required: true
  lease:
    description: Seconds after which a node that does not renew is replaced.
    type: float
    default: 30
  filter:
    description: The node filter of jobs that have none.
    type: str
    default: "tags: app"
  hotstandby:
    description: The node command on the nodes.
    type: str
    default: hotstandby
  mounted:
    description: With V(dir:/PATH), whether a node refuses to run anything while that folder is not mounted there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write the definitions
  ansible.builtin.copy:
    content: "{{ batch_jobs | hotstandby.ops.rundeck_jobs('dynamodb:hotstandby') | to_nice_yaml }}"
    dest: /var/lib/rundeck/jobs.yaml
    mode: "0640"
"""

RETURN = r"""
_value:
  description: The job definitions.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import JobError
from ansible_collections.hotstandby.ops.plugins.module_utils.rundeck import render


def rundeck_jobs(
    jobs: Any,
    store: str,
    lease: float = 30,
    filter: str = "tags: app",
    hotstandby: str = "hotstandby",
    mounted: bool = False,
) -> list[dict[str, Any]]:
    """See the documentation above."""
    try:
        return render(jobs, str(store), float(lease), str(filter), str(hotstandby), bool(mounted))
    except (PairError, JobError, ValueError) as error:
        raise AnsibleFilterError(f"hotstandby.ops.rundeck_jobs: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name and function."""
        return {"rundeck_jobs": rundeck_jobs}
