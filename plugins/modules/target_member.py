#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: target_member
short_description: Takes a host out of a load balancer's target group, drained, and puts it back, healthy
version_added: 0.1.0
description:
  - V(absent) deregisters the target and waits until it has finished the requests it had. It refuses when fewer than O(min_healthy)
    other targets are healthy, also when another one is taken out at the same moment.
  - V(present) registers it and waits until its health check says healthy.
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
  target_group_arn:
    description:
      - The target group.
    type: str
    required: true
  target_id:
    description:
      - Instance id or address, as the group's target type asks for.
    type: str
    required: true
  target_port:
    description:
      - Port of the target. Without it the group's own port is used, and V(absent) takes out every port of the target.
    type: int
  state:
    description:
      - In the group and healthy, or out of it and drained.
    type: str
    choices: [present, absent]
    default: present
  min_healthy:
    description:
      - How many other targets must be healthy before this one is taken out.
    type: int
    default: 1
  timeout:
    description:
      - Seconds to wait for the end of the draining, or for a healthy answer.
    type: int
    default: 330
seealso:
  - module: hotstandby.ops.warp_sync
"""

EXAMPLES = r"""
- name: Take this node out of service
  hotstandby.ops.target_member:
    target_group_arn: arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/warp/0123456789abcdef
    target_id: i-0aaaaaaaaaaaaaaaa
    state: absent
    region: ap-northeast-1
  delegate_to: localhost
"""

RETURN = r"""
states:
  description: How the load balancer sees this target; empty when it is out of the group.
  returned: success
  type: list
  elements: str
  sample: [healthy]
others:
  description: The other targets that are healthy.
  returned: success
  type: list
  elements: str
  sample: [i-0bbbbbbbbbbbbbbbb]
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: i-0aaaaaaaaaaaaaaaa is out of the target group and drained
"""

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, client_maker, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils.members import Group, MemberError

CALL = 30.0  # seconds that one call with its retries may take


def main() -> None:
    module = aws_module(
        {
            "target_group_arn": {"type": "str", "required": True},
            "target_id": {"type": "str", "required": True},
            "target_port": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "min_healthy": {"type": "int", "default": 1},
            "timeout": {"type": "int", "default": 330},
        }
    )

    def work() -> Mapping[str, Any]:
        params, check = module.params, module.check_mode
        for name, low, high in (("min_healthy", 0, 1000), ("timeout", 0, 7200), ("target_port", 1, 65535)):
            if params[name] is not None and not low <= params[name] <= high:
                raise ModuleFailure(
                    f"{name}: must be from {low} to {high}, not {params[name]}", code="bad_option"
                )
        if ":targetgroup/" not in params["target_group_arn"]:
            raise ModuleFailure("target_group_arn: is no ARN of a target group", code="bad_option")
        elbv2 = client_maker(module, None, None, CALL)("elbv2")
        group = Group(elbv2, params["target_group_arn"], time.monotonic, time.sleep)
        ident, port, limit = params["target_id"], params["target_port"], float(params["timeout"])
        present = params["state"] == "present"
        try:
            if present:
                told = group.join(ident, port, limit, check)
            else:
                told = group.leave(ident, port, params["min_healthy"], limit, check)
        except MemberError as error:
            raise ModuleFailure(str(error), code=error.code) from None
        word = "would be" if check and told.changed else "is"
        text = "in the target group and healthy" if present else "out of the target group and drained"
        after = "present" if present else "absent"
        before = {True: "absent", False: "present"}[present] if told.changed else after
        return {
            "changed": told.changed,
            "states": list(told.states),
            "others": list(told.others),
            "msg": f"{ident} {word} {text}",
            "diff": {"before": {"state": before}, "after": {"state": after}},
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
