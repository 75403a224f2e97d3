#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_service
short_description: Starts or stops HULFT-HUB on this node, proven before it returns
version_added: 0.1.0
description:
  - On a node of a pair it goes through the pair's guard, the command C(hotstandby). A start that the record does not allow is
    refused. A stop is on purpose, and keeps automation from moving the service away.
  - Elsewhere it runs C(hubcluster -start) and C(hubstop) itself.
  - V(stopped) is reached only when the product says so and no process of it is left on this node.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.hub
attributes:
  check_mode:
    support: full
    details:
      - Asks the product and runs nothing else.
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
  mode:
    description:
      - How to stop. V(normal) waits for running transfers, V(force) cuts them.
    type: str
    choices: [normal, force]
    default: normal
  timeout:
    description:
      - Seconds within which the start or the stop has to be proven.
    type: int
    default: 180
  reason:
    description:
      - Why it is stopped; shown to everyone who wonders. Used only on a node of a pair.
    type: str
  config:
    description:
      - The node's configuration. The node is one of a pair when this file exists.
    type: path
    default: /etc/hotstandby/pair.json
  command:
    description:
      - The guard's command on a node of a pair.
    type: path
    default: /usr/local/bin/hotstandby
seealso:
  - module: hotstandby.ops.hub_status
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: Stop it for the patch
  hotstandby.ops.hub_service:
    exe: /opt/hub/bin
    etc: /shared/hub/etc
    state: stopped
    reason: patching the database driver

- name: Start it again
  hotstandby.ops.hub_service:
    exe: /opt/hub/bin
    etc: /shared/hub/etc
    state: started
"""

RETURN = r"""
state:
  description: V(running) or V(stopped), as proven; in check mode as it is now.
  returned: success
  type: str
  sample: running
guarded:
  description: Whether the pair's guard was asked.
  returned: success
  type: bool
  sample: true
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 3.2
transfers_cut:
  description: Transfers that a forced stop cut (code 650), as far as the product told; they are not resent by themselves.
  returned: success
  type: list
  elements: str
  sample: []
answer:
  description: The guard's own answer; none when there is no guard.
  returned: success
  type: dict
  sample: null
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: HULFT-HUB runs
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import finish
from ansible_collections.hotstandby.ops.plugins.module_utils._hub import HUB_OPTIONS
from ansible_collections.hotstandby.ops.plugins.module_utils._hub_service import (
    SERVICE_OPTIONS,
    Product,
    serve,
)


def main() -> None:
    module = AnsibleModule(argument_spec={**HUB_OPTIONS, **SERVICE_OPTIONS}, supports_check_mode=True)
    finish(module, lambda: serve(module, Product, "HULFT-HUB", cuts=True))


if __name__ == "__main__":
    main()
