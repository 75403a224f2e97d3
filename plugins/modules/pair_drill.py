#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_drill
short_description: Tries everything that a move needs, without moving
version_added: 0.1.0
description:
  - Asks each thing that a move needs, with the rights that a move would have - the record and its lock, both nodes, the
    standby's readiness, fencing (as a dry run), the addresses, the alarm, the event rules, the function and its topic.
  - Each call that changes something is made as a dry run, or under a condition that never holds. The function gets a marked test
    event and tries the same with its own rights.
  - Stops, starts and moves nothing. Takes the pair's lock and gives it back at once.
  - Fails when anything a move relies on does not work, or cannot be told, and says how to mend it.
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
      - Does the same without taking the lock.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  function:
    description:
      - Name of the pair's function, as the role C(failover_automation) made it.
      - Without it C(hotstandby-) and the pair's name.
    type: str
seealso:
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: Would a move work tonight
  hotstandby.ops.pair_drill:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
checks:
  description: What was tried, in order.
  returned: always, once the pair is understood
  type: list
  elements: dict
  contains:
    name:
      description: What was tried.
      type: str
    result:
      description: V(yes), V(no), V(unknown) or V(skipped).
      type: str
    detail:
      description: What was found.
      type: str
    mend:
      description: What to do about it; empty when nothing needs mending.
      type: str
  sample:
    - name: fence hub-a
      result: "yes"
      detail: StopInstances is allowed
      mend: ""
failed:
  description: Whether anything that a move relies on does not work or cannot be told.
  returned: always
  type: bool
  sample: false
code:
  description: The kind of failure, as the runbook has it.
  returned: on failure
  type: str
  sample: drill_failed
report:
  description: The same as lines for people.
  returned: always, once the pair is understood
  type: list
  elements: str
  sample: ["yes      fence hub-a: StopInstances is allowed"]
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, owner
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import (
    PAIR_OPTIONS,
    aws_module,
    client_maker,
    finish_aws,
    pair_clients,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.drill import Drill, lines, patience
from ansible_collections.hotstandby.ops.plugins.module_utils.event import function_name
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for


def main() -> None:
    module = aws_module({**PAIR_OPTIONS, "function": {"type": "str"}})

    def work() -> Mapping[str, Any]:
        pair, clients = pair_clients(module)
        patient = client_maker(module, pair.region, pair.endpoint_url, patience(pair))
        name = module.params["function"] or function_name(pair.name)
        drill = Drill(pair, ports_for(pair, clients), patient, owner(), name, writes=not module.check_mode)
        checks = drill.run()
        report = lines(checks)
        bad = [check.name for check in checks if check.failed]
        result = {"changed": False, "checks": [asdict(check) for check in checks], "report": report}
        if bad:
            raise ModuleFailure(f"a move could not rely on: {', '.join(bad)}", code="drill_failed", **result)
        return {**result, "msg": f"{len(checks)} checks, a move would find what it needs"}

    finish_aws(module, work)


if __name__ == "__main__":
    main()
