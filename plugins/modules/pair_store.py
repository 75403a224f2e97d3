#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_store
short_description: Manages the DynamoDB table and the SSM document that pairs need
version_added: 0.1.0
description:
  - Makes the table that holds the records of pairs, with point-in-time recovery and deletion protection, and the SSM
    document C(HotStandbyNode), the only thing that is ever run on a node.
  - A table with other keys, or one that is replicated to other regions, is refused. Two regions could grant at once.
  - One table and one document serve any number of pairs.
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
  table:
    description:
      - Name of the table.
    type: str
    required: true
  state:
    description:
      - With V(absent) the document and the table are removed, with every record in it.
    type: str
    choices: [present, absent]
    default: present
  point_in_time_recovery:
    description:
      - Whether the table can be restored to any second of the last weeks.
    type: bool
    default: true
  deletion_protection:
    description:
      - Whether the table refuses to be deleted.
      - With O(state=absent) it has to be V(false), as a second word that you mean it.
    type: bool
    default: true
  document:
    description:
      - Whether to manage the SSM document too.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait until the table can be used, or is gone.
    type: int
    default: 300
seealso:
  - module: hotstandby.ops.pair_record
"""

EXAMPLES = r"""
- name: Table and document are there
  hotstandby.ops.pair_store:
    table: hotstandby
    region: ap-northeast-1
  run_once: true
  delegate_to: localhost

- name: Remove them, with every record
  hotstandby.ops.pair_store:
    table: hotstandby
    region: ap-northeast-1
    state: absent
    deletion_protection: false
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
table:
  description: The table as it is, or in check mode as it would be; empty when there is none.
  returned: success
  type: dict
  sample: {"name": "hotstandby", "status": "ACTIVE", "deletion_protection": true, "point_in_time_recovery": true}
document:
  description: The SSM document as it is, or would be; empty when it is not managed or not there.
  returned: success
  type: dict
  sample: {"name": "HotStandbyNode", "version": "1"}
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["create table hotstandby"]
"""

from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, client_maker, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils._pair_store import (
    Wanted,
    ensure_document,
    ensure_table,
)

LEASE = 60.0  # seconds; bounds each call with its retries to a third of it


def main() -> None:
    module = aws_module(
        {
            "table": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "point_in_time_recovery": {"type": "bool", "default": True},
            "deletion_protection": {"type": "bool", "default": True},
            "document": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
        }
    )

    def work() -> dict[str, object]:
        params = module.params
        client = client_maker(module, None, None, LEASE)
        wanted = Wanted(
            table=params["table"],
            present=params["state"] == "present",
            recovery=params["point_in_time_recovery"],
            protection=params["deletion_protection"],
            wait=params["wait_timeout"],
        )
        table = ensure_table(client("dynamodb"), wanted, module.check_mode)
        parts = [table]
        if params["document"]:
            parts.append(ensure_document(client("ssm"), wanted.present, module.check_mode))
        actions = [action for part in parts for action in part.actions]
        return {
            "changed": bool(actions),
            "actions": actions,
            "table": table.after,
            "document": parts[1].after if params["document"] else {},
            "diff": [
                {"before_header": p.name, "after_header": p.name, "before": p.before, "after": p.after}
                for p in parts
            ],
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
