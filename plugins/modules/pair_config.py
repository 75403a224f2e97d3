#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_config
short_description: Checks a pair and says what a node of it needs to know
version_added: 0.1.0
description:
  - Checks C(hotstandby_pair) and fails with one line that names the key when something is wrong with it.
  - Returns the configuration file of a node. Reaches for nothing outside.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.info
  - hotstandby.ops.pair
options:
  node:
    description:
      - Name of the node whose configuration is wanted. Without it only the pair is checked.
    type: str
  root:
    description:
      - Prefix of every path that the node command owns.
    type: str
    default: ""
  metadata_url:
    description:
      - Base address of the instance metadata. Only a sandbox needs it.
    type: str
seealso:
  - module: hotstandby.ops.pair_record
"""

EXAMPLES = r"""
- name: Is the pair well described
  hotstandby.ops.pair_config:
    pair: "{{ hotstandby_pair }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
config:
  description: What belongs into the node's C(pair.json); none without O(node).
  returned: success
  type: dict
  sample: {"schema": 1, "node": "hub-a", "root": "", "metadata_url": null, "pair": {}}
product:
  description: The product's settings on that node; none without O(node).
  returned: success
  type: dict
  sample: {"etc": "/shared/hub/etc", "exe": "/opt/hub/bin", "user": "hulft"}
other:
  description: Name of the other node; none without O(node).
  returned: success
  type: str
  sample: hub-b
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import finish
from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import SCHEMA
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pair": {"type": "dict", "required": True},
            "node": {"type": "str"},
            "root": {"type": "str", "default": ""},
            "metadata_url": {"type": "str"},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        spec = parse_pair(module.params["pair"])
        name = module.params["node"]
        if name is None:
            return {"changed": False, "config": None, "product": None, "other": None}
        config = {
            "schema": SCHEMA,
            "node": spec.node(name).name,
            "root": module.params["root"],
            "metadata_url": module.params["metadata_url"],
            "pair": spec.for_nodes(),
        }
        return {
            "changed": False,
            "config": config,
            "product": spec.product_of(name),
            "other": spec.other(name).name,
        }

    finish(module, work)


if __name__ == "__main__":
    main()
