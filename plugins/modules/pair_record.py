#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_record
short_description: Makes, adopts or mends the record of a pair
version_added: 0.1.0
description:
  - Makes the record of a pair from what really runs, after both nodes have answered. A running service is adopted as it is
    and not restarted.
  - Replaces the instance of the node that is not active, and mends a record that was restored from a backup.
  - Refuses when the service runs on both nodes, when a node does not answer, or when a node belongs to another pair.
  - With O(state=absent) the record goes, for the day on which the pair is given up. Its history stays in the table.
  - Never starts or stops the service.
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
      - Asks the nodes and makes no call that changes anything.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) makes or mends the record.
      - V(absent) deletes it, in steady state only and not while somebody moves the service. The nodes' guards start nothing
        without a record, so remove the node command first. A node that cannot be reached is refused, unless O(without) names it.
    type: str
    choices: [present, absent]
    default: present
  allow_unfenced:
    description:
      - Give up an instance that is being replaced although nothing proves it stopped, because EC2 no longer lists it.
      - Needs O(reason).
    type: bool
    default: false
  without:
    description:
      - With O(state=absent), the name of a node that is gone for good and need not answer. Never the active one.
    type: str
    default: ""
  reason:
    description:
      - Why; it goes into the history. One line.
    type: str
    default: ""
seealso:
  - module: hotstandby.ops.pair_store
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: The record says what really runs
  hotstandby.ops.pair_record:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
outcome:
  description: V(created), V(mended) (it was restored from a backup), V(replaced) (a node has a new instance),
    V(removed) or V(unchanged).
  returned: success
  type: str
  sample: created
active:
  description: The node that may run the service; none when there is no record. When it runs on neither, the first node.
  returned: success
  type: str
  sample: hub-a
epoch:
  description: The epoch of the record; none when there is no record.
  returned: success
  type: int
  sample: 1
was_active:
  description: The node that the removed record named; none when there was none.
  returned: with O(state=absent)
  type: str
  sample: hub-a
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: hub-a is named with epoch 1, where the service runs
"""

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, owner
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    finish_aws,
    pair_clients,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.enroll import Enrolment
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record
from ansible_collections.hotstandby.ops.plugins.module_utils.retire import Retirement


def shown(record: Record) -> dict[str, Any]:
    """What of a record people compare."""
    return {
        "active": record.active,
        "epoch": record.epoch,
        "state": record.state,
        "nodes": dict(record.nodes),
    }


def removed(record: Optional[Record], pair: str) -> Mapping[str, Any]:
    """The module's result for a record that went; None: there was none."""
    nobody = {"active": None, "epoch": None}
    if record is None:
        return {"changed": False, "outcome": "unchanged", "msg": f"{pair} has no record", **nobody}
    return {
        "changed": True,
        "outcome": "removed",
        "msg": f"{pair} has no record any more; the service stays as it is on {record.active}",
        "diff": {"before": shown(record), "after": {}},
        **nobody,
    }


def main() -> None:
    module = aws_module(
        {
            **PAIR_OPTIONS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "allow_unfenced": {"type": "bool", "default": False},
            "reason": {"type": "str", "default": ""},
            "without": {"type": "str", "default": ""},
        }
    )

    def work() -> Mapping[str, Any]:
        params = module.params
        if params["allow_unfenced"] and not params["reason"].strip():
            raise ModuleFailure(
                "reason: allow_unfenced needs one; it goes into the history", code="oath_needs_reason"
            )
        pair, clients = pair_clients(module)
        if params["state"] == "absent":
            gone = Retirement(pair, ports_for(pair, clients), params["without"], module.check_mode).run()
            return {**removed(gone, pair.name), "was_active": gone.active if gone else None}
        given_up = params["reason"] if params["allow_unfenced"] else ""
        found = Enrolment(pair, ports_for(pair, clients), owner(), given_up, module.check_mode).run()
        return {
            "changed": found.changed,
            "outcome": found.action,
            "active": found.record.active,
            "epoch": found.record.epoch,
            "msg": found.message,
            "diff": {"before": shown(found.before) if found.before else {}, "after": shown(found.record)},
        }

    finish_aws(module, work)


if __name__ == "__main__":
    main()
