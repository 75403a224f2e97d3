#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_maintenance
short_description: Pauses and resumes the automation of a pair
version_added: 0.1.0
description:
  - A pause stops new automatic moves and local restarts.
  - It never stops a move in flight, the guard on the nodes, or a node that stops its product because the other one is active.
  - An operator's own move under somebody else's pause is refused with that person's reason.
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
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(paused) pauses, V(resumed) ends the pause.
    type: str
    choices: [paused, resumed]
    required: true
  reason:
    description:
      - Why; shown to everyone who meets the pause. Needed for O(state=paused).
    type: str
  by:
    description:
      - Who pauses. Without it, the user who runs Ansible.
    type: str
seealso:
  - module: hotstandby.ops.pair_info
"""

EXAMPLES = r"""
- name: Nobody moves the service tonight
  hotstandby.ops.pair_maintenance:
    pair: "{{ hotstandby_pair }}"
    state: paused
    reason: storage is being replaced, ask Keiko
  run_once: true
  delegate_to: localhost

- name: Back to normal
  hotstandby.ops.pair_maintenance:
    pair: "{{ hotstandby_pair }}"
    state: resumed
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
paused:
  description: Who paused and why; none when the pair is not paused.
  returned: success
  type: dict
  sample: {"by": "keiko", "reason": "storage is being replaced"}
previous:
  description: The pause that was in force before.
  returned: success
  type: dict
  sample: null
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: "hub-prod is paused by keiko: storage is being replaced"
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import operator
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    finish_aws,
    pair_clients,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import set_pause
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore


def main() -> None:
    module = aws_module(
        {
            **PAIR_OPTIONS,
            "state": {"type": "str", "choices": ["paused", "resumed"], "required": True},
            "reason": {"type": "str"},
            "by": {"type": "str"},
        },
        required_if=[("state", "paused", ("reason",))],
    )

    def work() -> Mapping[str, Any]:
        params = module.params
        pair, clients = pair_clients(module)
        store = RecordStore(clients("dynamodb"), pair.table, pair.name)
        by = params["by"] or operator()
        found = set_pause(store, params["state"] == "paused", by, params["reason"] or "", module.check_mode)
        before, after = (dict(value) if value else None for value in (found.before, found.after))
        text = (
            f"{pair.name} is paused by {after['by']}: {after['reason']}"
            if after
            else f"{pair.name} is not paused"
        )
        return {
            "changed": found.changed,
            "paused": after,
            "previous": before,
            "msg": text,
            "diff": {"before": {"paused": before}, "after": {"paused": after}},
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
