#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_rejoin
short_description: Brings a node that was fenced back as the standby
version_added: 0.1.0
description:
  - Switches the machine of the node on when it is off (EC2 StartInstances, or action C(on) of the pair's fence command), waits
    until it answers, proves that the service does not run there, and says whether it could take over.
  - Starts a machine, never the service. The node's own guard refuses a start that the record does not allow.
  - Writes no record and moves nothing. Needs no connection to the nodes.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - hotstandby.ops.pair
  - hotstandby.ops.pair.called
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details:
      - Asks the node and EC2; returns in RV(steps) what would be done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A standby that answers, is stopped and could take over is left alone.
options:
  node:
    description:
      - Name of the node that shall come back. Without it, the node that is not active.
      - Needed when the record names nobody. Then it only switches the machine on, so that O(hotstandby.ops.ssm_failover#module:to)
        has a node to go to.
    type: str
  wait:
    description:
      - Seconds that the machine gets to boot and to answer.
    type: int
    default: 300
seealso:
  - module: hotstandby.ops.ssm_failover
  - module: hotstandby.ops.pair_info
"""

EXAMPLES = r"""
- name: The node that was fenced becomes the standby again
  hotstandby.ops.pair_rejoin:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
outcome:
  description:
    - V(rejoined), V(unchanged) (it was there, stopped and ready), V(refused) (nothing was changed) or V(unfinished) (mend what the
      message says and run it again).
    - The module fails on V(refused) and V(unfinished).
  returned: always, once the pair is understood
  type: str
  sample: rejoined
node:
  description: The node that was brought back.
  returned: always, once the pair is understood
  type: str
  sample: hub-a
steps:
  description: What was done, in order, or in check mode what would be done; as those of M(hotstandby.ops.ssm_failover).
  returned: always, once the pair is understood
  type: list
  elements: dict
  sample:
    - name: power_on
      outcome: ok
      seconds: 48.2
      detail: hub-a is on and answers after 48 s
next:
  description: The exact next command; empty when none is needed.
  returned: always, once the pair is understood
  type: str
  sample: ""
code:
  description: What kind of message it is; empty when all is well.
  returned: always, once the pair is understood
  type: str
  sample: ""
help:
  description: Where the runbook explains RV(code).
  returned: always, once the pair is understood
  type: str
  sample: ""
msg:
  description: One line for the operator; with the next command when one is needed.
  returned: always
  type: str
  sample: "hub-a is the standby again: the service is stopped there and it can take over"
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    finish_aws,
    pair_clients,
    pair_ports,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.rejoin import Rejoin
from ansible_collections.hotstandby.ops.plugins.module_utils.runbook import help_for, told


def main() -> None:
    module = aws_module({**PAIR_OPTIONS, "node": {"type": "str"}, "wait": {"type": "int", "default": 300}})

    def work() -> Mapping[str, Any]:
        params = module.params
        if not 1 <= params["wait"] <= 3600:
            raise ModuleFailure(f"wait: {params['wait']} is outside 1 to 3600 seconds", code="bad_option")
        pair, clients = pair_clients(module)
        back = Rejoin(
            pair, pair_ports(pair, clients), params["node"], params["wait"], module.check_mode
        ).run()
        result = {
            "changed": back.changed,
            "outcome": back.outcome,
            "node": back.node,
            "steps": [dict(step) for step in back.steps],
            "next": back.next,
            "code": back.code,
            "help": help_for(back.code),
        }
        if back.failed:
            raise ModuleFailure(told(back.message, back.code, back.next), **result)
        return {**result, "msg": told(back.message, back.code, back.next)}

    finish_aws(module, work)


if __name__ == "__main__":
    main()
