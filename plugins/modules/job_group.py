#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_group
short_description: Manages the Auto Scaling group that works a queue
version_added: 0.1.0
description:
  - Makes the group, its lifecycle hook, one policy that adds a worker, one that takes the group down to its least, and the two
    alarms that say when. It grows when a message waits. It shrinks only when none waits and none is at work, by metric
    math over both, and never on missing data.
  - The number of instances is the alarms' matter. This module never sets it for a group that is there.
  - Why not the general modules. They cannot compare alarms of metric math, know no check mode for policies, and an update of
    the group sets the number of instances to what it was a moment ago.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the group; the policies and alarms are named after it.
    type: str
    required: true
  state:
    description:
      - With V(absent) the group is removed with its instances, hook, policies and alarms. Refused while an instance is protected
        from scale-in, which means that it works a message.
    type: str
    choices: [present, absent]
    default: present
  launch_template:
    description:
      - Name of the launch template; its default version is used. Needed with O(state=present).
    type: str
    default: ""
  subnets:
    description:
      - Subnets for the instances. Needed with O(state=present).
    type: list
    elements: str
    default: []
  min_size:
    description:
      - The least number of instances; V(1) keeps one warm.
    type: int
    default: 0
  max_size:
    description:
      - The most.
    type: int
    default: 1
  queue:
    description:
      - Name of the queue. Needed with O(state=present).
    type: str
    default: ""
  period:
    description:
      - Seconds of a period of the alarms; SQS tells its numbers once a minute.
    type: int
    default: 60
  idle_periods:
    description:
      - So many periods without a message, waiting or at work, before the group shrinks.
    type: int
    default: 5
  warmup_seconds:
    description:
      - How long an instance takes until it works; meanwhile it counts, and no other is added for the same messages.
    type: int
    default: 300
  finish_seconds:
    description:
      - How long an instance that is to be ended may take to finish or give back its message; V(0) for no lifecycle hook.
    type: int
    default: 120
  health_check_period:
    description:
      - Seconds after its start before an instance is judged.
    type: int
    default: 300
  wait_timeout:
    description:
      - Seconds to wait until the group is gone.
    type: int
    default: 900
  force:
    description:
      - With O(state=absent) remove the group though an instance works a message.
    type: bool
    default: false
seealso:
  - module: hotstandby.ops.job_schedule
"""

EXAMPLES = r"""
- name: Workers for a queue, none while it is empty
  hotstandby.ops.job_group:
    name: jobs
    launch_template: jobs
    subnets: [subnet-0a1b2c3d, subnet-1a2b3c4d]
    queue: jobs
    max_size: 3
    region: ap-northeast-1

- name: No workers any more
  hotstandby.ops.job_group:
    name: jobs
    state: absent
    region: ap-northeast-1
"""

RETURN = r"""
group:
  description: The group as it is, or in check mode as it would be; empty when there is none.
  returned: success
  type: dict
  sample: {"name": "jobs", "min_size": 0, "max_size": 3, "launch_template": "jobs", "version": "$Default"}
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["create group jobs", "create lifecycle hook hand-back"]
"""

from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, client_maker, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils._job_group import Clients, Group, ensure_group

LEASE = 60.0  # seconds; bounds each call with its retries to a third of it


def main() -> None:
    numbers = {
        "min_size": 0,
        "max_size": 1,
        "period": 60,
        "idle_periods": 5,
        "warmup_seconds": 300,
        "finish_seconds": 120,
        "health_check_period": 300,
        "wait_timeout": 900,
    }
    module = aws_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "launch_template": {"type": "str", "default": ""},
            "subnets": {"type": "list", "elements": "str", "default": []},
            "queue": {"type": "str", "default": ""},
            **{name: {"type": "int", "default": value} for name, value in numbers.items()},
            "force": {"type": "bool", "default": False},
        }
    )

    def work() -> dict[str, object]:
        params = module.params
        wanted = Group(
            name=params["name"],
            template=params["launch_template"],
            subnets=tuple(params["subnets"]),
            least=params["min_size"],
            most=params["max_size"],
            queue=params["queue"],
            period=params["period"],
            idle=params["idle_periods"],
            warmup=params["warmup_seconds"],
            finish=params["finish_seconds"],
            health=params["health_check_period"],
            wait=params["wait_timeout"],
            force=params["force"],
        )
        client = client_maker(module, None, None, LEASE)
        parts = ensure_group(
            Clients(client("autoscaling"), client("cloudwatch")),
            wanted,
            params["state"] == "present",
            module.check_mode,
        )
        actions = [action for part in parts for action in part.actions]
        return {
            "changed": bool(actions),
            "actions": actions,
            "group": parts[0].after,
            "diff": [
                {"before_header": p.name, "after_header": p.name, "before": p.before, "after": p.after}
                for p in parts
            ],
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
