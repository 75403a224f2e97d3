#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_schedule
short_description: Manages a schedule of EventBridge Scheduler that makes one AWS call
version_added: 0.1.0
description:
  - Makes, changes or removes a schedule whose target is a call of an AWS service (a universal target), such as a message to a
    queue with its attributes. No function stands in between.
  - Schedules know time zones and daylight saving time, which rules of EventBridge do not.
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
      - Name of the schedule.
    type: str
  prefix:
    description:
      - With O(state=absent) remove every schedule of O(group) whose name begins so.
    type: str
  keep:
    description:
      - With O(prefix) names that stay.
    type: list
    elements: str
    default: []
  state:
    description:
      - With V(absent) the schedule is removed.
    type: str
    choices: [present, absent]
    default: present
  group:
    description:
      - The schedule group; it must exist.
    type: str
    default: default
  schedule:
    description:
      - When, as V(cron(0 2 * * ? *\)), V(rate(5 minutes\)) or V(at(2026-12-31T23:00:00\)).
      - Needed with O(state=present).
    type: str
    default: ""
  timezone:
    description:
      - The time zone of O(schedule), such as V(Asia/Tokyo).
    type: str
    default: UTC
  action:
    description:
      - The call, as V(sqs:sendMessage); the service and the method in the spelling of the AWS SDK.
      - Needed with O(state=present).
    type: str
    default: ""
  input:
    description:
      - The call's parameters, in the spelling of the API.
      - C(<aws.scheduler.scheduled-time>) and the other attributes of Scheduler are replaced in it.
    type: dict
    default: {}
  role_arn:
    description:
      - The role that Scheduler makes the call with. Needed with O(state=present).
    type: str
    default: ""
  enabled:
    description:
      - Whether the schedule does anything.
    type: bool
    default: true
  window_minutes:
    description:
      - Within how many minutes after its time the call may come; V(0) for none.
    type: int
    default: 0
  retry_seconds:
    description:
      - How long a call that fails is tried again, 60 to 86400.
    type: int
    default: 86400
  dead_letter_arn:
    description:
      - The queue for what could not be called in that time.
    type: str
    default: ""
  description:
    description:
      - A text for people.
    type: str
    default: ""
seealso:
  - module: hotstandby.ops.job_group
"""

EXAMPLES = r"""
- name: A message each night at two, in Tokyo
  hotstandby.ops.job_schedule:
    name: nightly
    schedule: cron(0 2 * * ? *)
    timezone: Asia/Tokyo
    action: sqs:sendMessage
    input:
      QueueUrl: https://sqs.ap-northeast-1.amazonaws.com/123456789012/jobs
      MessageBody: '{"scheduled": "<aws.scheduler.scheduled-time>"}'
      MessageAttributes:
        Name: {DataType: String, StringValue: nightly}
    role_arn: arn:aws:iam::123456789012:role/jobs-schedule
    region: ap-northeast-1

- name: No schedules of jobs that are in the list no more
  hotstandby.ops.job_schedule:
    prefix: jobs.
    keep: [jobs.nightly]
    state: absent
    region: ap-northeast-1

- name: The job has an end
  hotstandby.ops.job_schedule:
    name: nightly
    state: absent
    region: ap-northeast-1
"""

RETURN = r"""
schedule:
  description: The schedule as it is, or in check mode as it would be; empty when there is none.
  returned: success
  type: dict
  sample: {"name": "nightly", "schedule": "cron(0 2 * * ? *)", "timezone": "Asia/Tokyo", "state": "ENABLED"}
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["create schedule nightly"]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, client_maker, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils._job_schedule import (
    Schedule,
    ensure_schedule,
    purge,
)

LEASE = 60.0  # seconds; bounds each call with its retries to a third of it


def asked(params: Mapping[str, Any]) -> Schedule:
    """The schedule of the module's options."""
    return Schedule(
        name=params["name"],
        group=params["group"],
        expression=params["schedule"],
        timezone=params["timezone"],
        action=params["action"],
        input=params["input"],
        role_arn=params["role_arn"],
        enabled=params["enabled"],
        window=params["window_minutes"],
        retry=params["retry_seconds"],
        dead_letter_arn=params["dead_letter_arn"],
        description=params["description"],
    )


def main() -> None:
    texts = ("schedule", "action", "role_arn", "dead_letter_arn", "description")
    module = aws_module(
        {
            "name": {"type": "str"},
            "prefix": {"type": "str"},
            "keep": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "group": {"type": "str", "default": "default"},
            **{name: {"type": "str", "default": ""} for name in texts},
            "timezone": {"type": "str", "default": "UTC"},
            "input": {"type": "dict", "default": {}},
            "enabled": {"type": "bool", "default": True},
            "window_minutes": {"type": "int", "default": 0},
            "retry_seconds": {"type": "int", "default": 86400},
        },
        required_one_of=[("name", "prefix")],
        mutually_exclusive=[("name", "prefix")],
        required_if=[("state", "present", ["name"])],
    )

    def work() -> dict[str, object]:
        params = module.params
        client = client_maker(module, None, None, LEASE)("scheduler")
        if params["prefix"]:
            done = purge(client, params["group"], params["prefix"], params["keep"], module.check_mode)
        else:
            done = ensure_schedule(client, asked(params), params["state"] == "present", module.check_mode)
        return {
            "changed": bool(done.actions),
            "actions": done.actions,
            "schedule": done.after,
            "diff": {
                "before_header": done.name,
                "after_header": done.name,
                "before": done.before,
                "after": done.after,
            },
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
