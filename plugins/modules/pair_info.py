#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_info
short_description: Says who is active in a pair, why, since when, and what to do
version_added: 0.1.0
description:
  - Reads the record of a pair and asks both nodes.
  - Needs read rights only, and fails when the record cannot be read. Where asking the nodes is not allowed it shows the last sign of life that each left.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.info
  - hotstandby.ops.attributes.aws
  - hotstandby.ops.pair
  - hotstandby.ops.pair.called
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
options:
  ask_nodes:
    description:
      - Whether to ask the nodes through SSM. Asking changes nothing on them.
    type: bool
    default: true
  moves:
    description:
      - How many of the last moves to read, with their steps and evidence, into RV(history) and RV(timeline).
    type: int
    default: 1
  need_active:
    description:
      - Whether to fail when the record names nobody, or the active node itself gives no answer.
    type: bool
    default: false
  remind_after:
    description:
      - Seconds after which a pause, or a stop on purpose, is reminded of in RV(reminders) and as a warning.
    type: int
    default: 28800
seealso:
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: Who is active
  hotstandby.ops.pair_info:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
  register: info

- name: Show it on one screen
  ansible.builtin.debug:
    msg: "{{ info.screen }}"
  run_once: true
"""

RETURN = r"""
active:
  description: The node that may run the service; none when nobody may.
  returned: success
  type: str
  sample: hub-a
epoch:
  description: The epoch of the grant that is in force.
  returned: success
  type: int
  sample: 7
state:
  description: State of the record, V(steady), V(moving) or V(broken).
  returned: success
  type: str
  sample: steady
nodes:
  description: By node name, its own answer or last sign of life, with source and age in seconds.
  returned: success
  type: dict
  sample: {"hub-a": {"instance_id": "i-0aaaaaaaaaaaaaaaa", "state": "running", "source": "answer", "age": 0}}
addresses:
  description: By address, whether it points to the active node.
  returned: success
  type: dict
  sample: {}
move:
  description: The move in flight; none when there is none.
  returned: success
  type: dict
  sample: null
last_move:
  description: The last move that ended; none when there was none.
  returned: success
  type: dict
  sample: null
paused:
  description: Who paused automation and why; none when it is not paused.
  returned: success
  type: dict
  sample: null
pending:
  description: What a finished move still owes.
  returned: success
  type: list
  elements: str
  sample: []
history:
  description: The last moves, newest first, each with its steps, their evidence and seconds.
  returned: success
  type: list
  elements: dict
  sample: []
timeline:
  description: The same as lines for people.
  returned: success
  type: list
  elements: str
  sample: ["2026-01-05 03:12:44 UTC  failover hub-a -> hub-b: MOVED, down for 7.9 s, epoch 8, active hub-b"]
reminders:
  description: What lasts for so long that it may have been forgotten.
  returned: success
  type: list
  elements: str
  sample: []
code:
  description: What kind of message a failure is; empty when the record could be read.
  returned: success
  type: str
  sample: ""
help:
  description: Where the runbook explains RV(code).
  returned: success
  type: str
  sample: ""
next:
  description: What to do next, an exact command where there is one.
  returned: success
  type: str
  sample: nothing
screen:
  description: All of it as lines for one screen, the last one being what to do next.
  returned: success
  type: list
  elements: str
  sample: ["hub-prod: hub-a is active since 2026-01-05 03:12:44 UTC, epoch 7"]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    addressed_by,
    aws_module,
    finish_aws,
    pair_clients,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.history import timelines
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for
from ansible_collections.hotstandby.ops.plugins.module_utils.report import describe_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.runbook import told


def main() -> None:
    module = aws_module(
        {
            **PAIR_OPTIONS,
            "ask_nodes": {"type": "bool", "default": True},
            "moves": {"type": "int", "default": 1},
            "need_active": {"type": "bool", "default": False},
            "remind_after": {"type": "int", "default": 28800},
        }
    )

    def work() -> Mapping[str, Any]:
        moves = module.params["moves"]
        if not 1 <= moves <= 100:
            raise ModuleFailure(f"moves: {moves} is outside 1 to 100", code="bad_option")
        pair, clients = pair_clients(module)
        found = describe_pair(
            pair, ports_for(pair, clients), module.params["ask_nodes"], moves, module.params["remind_after"]
        )
        if not found["readable"]:
            raise ModuleFailure(told(found["trouble"], found["code"], found["next"]), **found)
        for text in found["reminders"]:
            module.warn(addressed_by(module, text))
        active = found["active"]
        if module.params["need_active"] and (active is None or found["nodes"][active]["source"] != "answer"):
            why = (
                f"{active} is active and gives no answer: {found['nodes'][active]['detail']}"
                if active
                else "nobody is named"
            )
            message = told(f"{why}. Nothing was done", "active_silent", found["next"])
            raise ModuleFailure(message, **{**found, "code": "active_silent"})
        return {"changed": False, **found, "timeline": timelines(found["history"])}

    finish_aws(module, work)


if __name__ == "__main__":
    main()
