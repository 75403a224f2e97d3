#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_status
short_description: Asks HULFT-HUB on this node whether it runs
version_added: 0.1.0
description:
  - Runs C(hubcluster -status) with the product's environment and judges its exit code.
  - That the product is down is an answer, not a failure.
  - The module fails when the question itself cannot be asked, because the command is missing, or because the product
    complains of its environment, its arguments or its rights.
  - It looks at nothing but this node, and knows nothing of pairs.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.info
  - hotstandby.ops.hub
options:
  timeout:
    description:
      - Seconds within which the product has to answer, from 1 to 60.
      - The module ends the command itself then, so a product that hangs is reported as V(hung).
    type: int
    default: 10
seealso:
  - module: hotstandby.ops.hub_service
  - module: hotstandby.ops.pair_info
"""

EXAMPLES = r"""
- name: Ask the product
  hotstandby.ops.hub_status:
    exe: /opt/hub/bin
    etc: /shared/hub/etc
    user: hulft
  register: hub

- name: Show it
  ansible.builtin.debug:
    msg: "HULFT-HUB is {{ hub.state }}"
"""

RETURN = r"""
running:
  description: Whether every daemon of the product is alive.
  returned: success
  type: bool
  sample: true
state:
  description:
    - V(running), V(stopped), V(hung) (the product gives no answer) or V(unknown) (an exit code that proves nothing).
  returned: success
  type: str
  sample: running
rc:
  description: The command's exit code; none when it had to be ended.
  returned: success
  type: int
  sample: 0
stdout:
  description: What the command printed.
  returned: success
  type: str
  sample: ""
seconds:
  description: How long the answer took.
  returned: success
  type: float
  sample: 0.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils._hub import HUB_OPTIONS, ask_status, hub_of
from ansible_collections.hotstandby.ops.plugins.module_utils.products.hub import LONGEST


def main() -> None:
    module = AnsibleModule(
        argument_spec={**HUB_OPTIONS, "timeout": {"type": "int", "default": 10}},
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        timeout = module.params["timeout"]
        if not 1 <= timeout <= LONGEST:
            raise ModuleFailure(
                f"timeout: must be from 1 to {LONGEST} seconds, not {timeout}", code="bad_option"
            )
        return {"changed": False, **ask_status(*hub_of(module.params), timeout)}

    finish(module, work)


if __name__ == "__main__":
    main()
