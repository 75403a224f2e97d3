#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_fencing
short_description: Checks that both nodes of a pair could be switched off
version_added: 0.1.0
description:
  - Asks, without changing anything, whether each node of a pair could be fenced and would stay off.
  - Fails with the reason where stop protection, an Auto Scaling group, a Spot instance, an instance store, or a missing right
    would break the promise that two nodes never run the service at once.
  - The playbook C(deploy) asks this before it installs anything.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - hotstandby.ops.attributes.info
  - hotstandby.ops.pair
  - hotstandby.ops.pair.called
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: hotstandby.ops.pair_record
"""

EXAMPLES = r"""
- name: Could either node be switched off
  hotstandby.ops.pair_fencing:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
nodes:
  description: What was found for each node. C(possible) is V(yes), V(no) or V(unknown).
  returned: always
  type: dict
  sample: {"hub-a": {"possible": "yes", "detail": "StopInstances is allowed"}}
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: both nodes of hub-prod can be switched off
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    finish_aws,
    pair_clients,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.fencing import fence_for


def main() -> None:
    module = aws_module(PAIR_OPTIONS)

    def work() -> Mapping[str, Any]:
        pair, clients = pair_clients(module)
        if pair.fencing.method == "none":
            text = (
                f"{pair.name} has fencing.method none: a node that does not answer stops every failover; "
                "give ec2_stop or command where that must not be"
            )
            module.warn(text)
            nothing = {node.name: {"possible": "no", "detail": "method none"} for node in pair.nodes}
            return {"changed": False, "nodes": nothing, "msg": text}
        fence = fence_for(pair, lambda: clients("ec2"))
        found = [(node, fence.can_work(node)) for node in pair.nodes]
        nodes = {
            node.name: {"possible": evidence.answer, "detail": evidence.detail} for node, evidence in found
        }
        bad = [
            f"{node.name} ({node.instance_id}) {'cannot' if evidence.no else 'may not'} be switched off: {evidence.detail}"
            for node, evidence in found
            if not evidence.yes
        ]
        if bad:
            raise ModuleFailure(
                f"{'; '.join(bad)}. Nothing was installed or changed: mend that, then run deploy again",
                nodes=nodes,
                code="cannot_fence",
            )
        return {
            "changed": False,
            "nodes": nodes,
            "msg": f"both nodes of {pair.name} can be switched off",
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
