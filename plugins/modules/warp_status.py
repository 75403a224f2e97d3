#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_status
short_description: Asks ASTERIA Warp on this node whether it runs
version_added: 0.1.0
description:
  - Judges the main process that the product's pid file names, and what C(fsctrl status) answers.
  - The pid is believed only when that process runs from O(install_dir), and did not begin after the file was written.
  - Child processes are never judged, since the main process restarts them. Exit codes are not either, but for the one that
    says that the question could not be sent.
  - That the product is down is an answer, not a failure. The module fails when the question itself cannot be asked.
  - It looks at nothing but this node, and knows nothing of pairs.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.info
  - hotstandby.ops.warp
  - hotstandby.ops.warp.commands
options:
  timeout:
    description:
      - Seconds within which the product has to answer, from 1 to 60.
    type: int
    default: 10
seealso:
  - module: hotstandby.ops.warp_service
  - module: hotstandby.ops.pair_info
"""

EXAMPLES = r"""
- name: Ask the product
  hotstandby.ops.warp_status:
    install_dir: /opt/asteria
    data_dir: /data/asteria
    user: asteria
    required_services: [http]
  register: warp

- name: Show it
  ansible.builtin.debug:
    msg: "ASTERIA Warp is {{ warp.state }}: {{ warp.msg }}"
"""

RETURN = r"""
running:
  description: Whether the main process lives and answers, and every required service runs.
  returned: success
  type: bool
  sample: true
state:
  description:
    - V(running), V(stopped), V(hung) (it gives no answer, or a required service is stopped) or V(unknown).
  returned: success
  type: str
  sample: running
pid:
  description: Pid of the main process; none when there is none that can be believed.
  returned: success
  type: int
  sample: 4711
services:
  description: State of each service that was asked for or listed, V(running), V(stopped) or V(unknown).
  returned: success
  type: dict
  sample: {"http": "running"}
msg:
  description: Why it is judged so.
  returned: always
  type: str
  sample: the main process is 4711
seconds:
  description: How long the answer took.
  returned: success
  type: float
  sample: 0.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils._warp import WARP_OPTIONS, ask_warp, warp_of

LONGEST = 60  # seconds


def main() -> None:
    module = AnsibleModule(
        argument_spec={**WARP_OPTIONS, "timeout": {"type": "int", "default": 10}},
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        timeout = module.params["timeout"]
        if not 1 <= timeout <= LONGEST:
            raise ModuleFailure(
                f"timeout: must be from 1 to {LONGEST} seconds, not {timeout}", code="bad_option"
            )
        warp, _host = warp_of(module.params)
        return {"changed": False, **ask_warp(warp, float(timeout))}

    finish(module, work)


if __name__ == "__main__":
    main()
