#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_service
short_description: Stops and starts the service of a pair on this node, on purpose and proven
version_added: 0.1.0
description:
  - Goes through the pair's guard, the command C(hotstandby), whatever the service is.
  - A stop is on purpose, and remembered with who and why. Nothing starts the service again or moves it away until a person
    starts it, not even a reboot.
  - A start that the record does not allow is refused.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
attributes:
  check_mode:
    support: full
    details:
      - Asks the guard and changes nothing.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - What the service shall be.
    type: str
    choices: [started, stopped]
    required: true
  reason:
    description:
      - Why; shown to everyone who wonders. Needed for O(state=stopped).
    type: str
  by:
    description:
      - Who stops it. Without it, the user who runs the guard on the node.
    type: str
  mode:
    description:
      - How to stop. V(normal) waits for running transfers, V(force) cuts them. Without it, as the pair says.
    type: str
    choices: [normal, force]
  timeout:
    description:
      - Seconds within which the start or the stop has to be proven.
    type: int
    default: 180
  command:
    description:
      - The guard's command.
    type: path
    default: /usr/local/bin/hotstandby
seealso:
  - module: hotstandby.ops.hub_service
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: Stop it for the patch
  hotstandby.ops.pair_service:
    state: stopped
    reason: patching the database driver
    by: keiko

- name: Start it again
  hotstandby.ops.pair_service:
    state: started
"""

RETURN = r"""
state:
  description: V(running) or V(stopped), as proven; in check mode as it is now.
  returned: success
  type: str
  sample: stopped
held:
  description: By whom and why it is stopped on purpose; none when it is not.
  returned: success
  type: dict
  sample: {"by": "keiko", "reason": "patching the database driver", "time": 1790000000}
transfers_cut:
  description: Transfers that a forced stop cut, as far as the product told; they are not resent by themselves.
  returned: success
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 3.2
answer:
  description: The guard's own answer.
  returned: success
  type: dict
  sample: {}
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: the service is stopped on hub-a
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils._hub_service import Guard


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "reason": {"type": "str"},
            "by": {"type": "str"},
            "mode": {"type": "str", "choices": ["normal", "force"]},
            "timeout": {"type": "int", "default": 180},
            "command": {"type": "path", "default": "/usr/local/bin/hotstandby"},
        },
        required_if=[("state", "stopped", ("reason",))],
        supports_check_mode=True,
    )

    def work() -> Mapping[str, Any]:
        params = module.params
        if params["timeout"] < 1:
            raise ModuleFailure(
                f"timeout: must be at least 1 second, not {params['timeout']}", code="bad_option"
            )
        if params["state"] == "stopped" and not params["reason"].strip():
            raise ModuleFailure(
                "reason: a stop on purpose needs one; everyone who wonders is shown it", code="bad_option"
            )
        guard = Guard(params)
        before, _proven = guard.look()
        held_before = (guard.answer or {}).get("held")
        goal = "running" if params["state"] == "started" else "stopped"
        # stopped is not enough: only the guard's own stop makes it last
        there = before == goal and (goal == "running") == (held_before is None)
        changed, after = not there, goal
        if changed and not module.check_mode:
            after = guard.start() if goal == "running" else guard.stop()
        answer = guard.answer or {}
        node = answer.get("node") or "this node"
        state = before if module.check_mode else after
        text = f"the service is {state} on {node}"
        if changed and module.check_mode:
            text += f"; it would be {params['state']}"
        held_after = None if goal == "running" else {"by": params["by"], "reason": params["reason"]}
        return {
            "changed": changed,
            "state": state,
            "held": answer.get("held"),
            "transfers_cut": list(answer.get("detail", {}).get("transfers_cut") or []),
            "seconds": guard.seconds(),
            "answer": answer,
            "msg": text,
            "diff": {
                "before": {"state": before, "held": held_before},
                "after": {"state": goal, "held": held_after if changed else held_before},
            },
        }

    finish(module, work)


if __name__ == "__main__":
    main()
