#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssm_failover
short_description: Moves a pair's service to the other node, with proof
version_added: 0.1.0
description:
  - Moves the service of a pair to the other node, or finishes a move that something interrupted.
  - The target is started only after it is proven that the service on the other node is stopped. A node that does not
    answer is fenced first; what cannot be proven is never guessed.
  - With O(mode=failover) the active node is asked first. When it is well, or when nothing proves that it is down,
    nothing is changed.
  - Every step is safe to run again. After RV(outcome=unfinished) run the same task again.
  - Needs no connection to the nodes.
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
      - Asks the nodes and returns the plan in RV(steps). Makes no call that changes anything.
  diff_mode:
    support: full
    details:
      - Shows who is active, with which epoch, before and after.
  idempotent:
    support: full
    details:
      - With O(to), a service that already runs there is left alone. Without O(to), O(mode=failover) leaves an active node
        that is well alone, while O(mode=switchover) goes to the other node each time.
options:
  to:
    description:
      - Name of the node that shall run the service.
      - Without it, the node that does not run it now.
    type: str
  mode:
    description:
      - V(failover) is for an active node that is down, and refuses to leave one that is well.
      - V(switchover) is for two nodes that are well.
    type: str
    choices: [failover, switchover]
    default: failover
  reason:
    description:
      - Why; it goes into the history. One line.
    type: str
    default: ""
  by:
    description:
      - Who moves it; it goes into the history. Without it, the user who runs Ansible.
      - Somebody who paused the pair can still move it under the same name.
    type: str
  assume_down:
    description:
      - The operator knows that the active node is down although nothing proves it.
      - Skips that question only. The node is fenced all the same before anything starts.
    type: bool
    default: false
  allow_unfenced:
    description:
      - The operator has made sure by hand that the other node is off, for example by pulling its plug, and fencing cannot
        prove it. A false oath here means two active nodes.
      - Needs O(reason), and goes into the history with it.
    type: bool
    default: false
seealso:
  - module: hotstandby.ops.pair_info
  - module: hotstandby.ops.pair_maintenance
"""

EXAMPLES = r"""
- name: The active node is down, move the service to the other one
  hotstandby.ops.ssm_failover:
    pair: "{{ hotstandby_pair }}"
    reason: hub-a does not answer
  run_once: true
  delegate_to: localhost

- name: Bring it home again
  hotstandby.ops.ssm_failover:
    pair: "{{ hotstandby_pair }}"
    mode: switchover
    to: "{{ hotstandby_pair.nodes[0].name }}"
    reason: hub-a is repaired
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
outcome:
  description:
    - V(moved), V(unchanged) (already there, well, and nothing pending), V(not_confirmed) (nothing proves that the active is
      down), V(refused), V(rolled_back), V(degraded) (the service runs, but something such as an address is pending),
      V(unfinished) (run the same again) or V(broken) (nothing may start; the message says the way out).
    - The module fails on V(refused), V(rolled_back), V(unfinished) and V(broken), on V(not_confirmed) unless the active is
      healthy or was stopped on purpose, and on V(degraded) while an address is pending.
  returned: always, once the pair is understood
  type: str
  sample: moved
active:
  description: The node that may run the service now; none when nobody may.
  returned: always, once the pair is understood
  type: str
  sample: hub-b
previous:
  description: The node that was active before.
  returned: always, once the pair is understood
  type: str
  sample: hub-a
epoch:
  description: The epoch of the grant that is in force.
  returned: always, once the pair is understood
  type: int
  sample: 8
pending:
  description: What a finished move still owes.
  returned: always, once the pair is understood
  type: list
  elements: str
  sample: []
steps:
  description: What was done, in order, or in check mode what would be done.
  returned: always, once the pair is understood
  type: list
  elements: dict
  contains:
    name:
      description: The step.
      type: str
    outcome:
      description: How it ended.
      type: str
    seconds:
      description: How long it took.
      type: float
    detail:
      description: The evidence, for people.
      type: str
  sample:
    - name: stop
      outcome: done
      seconds: 2.4
      detail: hub-a is stopped, no process left
downtime_seconds:
  description: From the stop sent to the service verified, on the clock of whoever moved it; none when nothing was moved.
  returned: always, once the pair is understood
  type: float
  sample: 7.9
next:
  description: The exact next command; empty when none is needed.
  returned: always, once the pair is understood
  type: str
  sample: ""
code:
  description: What kind of message it is, when there is something to do or to know; else empty.
  returned: always
  type: str
  sample: fence_unproven
help:
  description: Where the runbook explains RV(code).
  returned: always
  type: str
  sample: docs/runbook.md#fence_unproven
msg:
  description: One line for the operator; with the next command when one is needed.
  returned: always
  type: str
  sample: hub-b is active with epoch 8
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, operator, owner
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    finish_aws,
    pair_clients,
    pair_ports,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request
from ansible_collections.hotstandby.ops.plugins.module_utils.runbook import help_for, told
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition


def main() -> None:
    module = aws_module(
        {
            **PAIR_OPTIONS,
            "to": {"type": "str"},
            "mode": {"type": "str", "choices": ["failover", "switchover"], "default": "failover"},
            "reason": {"type": "str", "default": ""},
            "by": {"type": "str"},
            "assume_down": {"type": "bool", "default": False},
            "allow_unfenced": {"type": "bool", "default": False},
        }
    )

    def work() -> Mapping[str, Any]:
        params = module.params
        pair, clients = pair_clients(module)
        request = Request(
            mode=params["mode"],
            to=params["to"],
            reason=params["reason"],
            by=params["by"] or operator(),
            owner=owner(params["by"]),
            assume_down=params["assume_down"],
            allow_unfenced=params["allow_unfenced"],
            check=module.check_mode,
        )
        moved = Transition(pair, pair_ports(pair, clients), request).run()
        before = {"active": moved.previous}
        after = {"active": moved.active, "epoch": moved.epoch} if moved.changed else before
        result = {
            "changed": moved.changed,
            "outcome": moved.outcome,
            "active": moved.active,
            "previous": moved.previous,
            "epoch": moved.epoch,
            "pending": list(moved.pending),
            "steps": [dict(step) for step in moved.steps],
            "downtime_seconds": moved.downtime_seconds,
            "next": moved.next,
            "code": moved.code,
            "help": help_for(moved.code),
            "diff": {"before": before, "after": after},
        }
        message = told(moved.message, moved.code, moved.next)
        if moved.failed:
            raise ModuleFailure(message, **result)
        return {**result, "msg": message}

    finish_aws(module, work)


if __name__ == "__main__":
    main()
