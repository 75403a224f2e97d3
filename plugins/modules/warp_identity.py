#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_identity
short_description: Keeps each node's own files of ASTERIA Warp on a shared folder, and puts them in place
version_added: 0.1.0
description:
  - For the layout in which both nodes use one O(data_dir) on shared storage. Each node's licences and its server's configuration
    are kept in C(.identity/NODE/) below it. A stamp beside them says whose are in place.
  - V(saved) keeps the files that are in place for this node. It refuses when they are another node's.
  - V(restored) first keeps what is in place for the node that the stamp names, so that a renewed licence is never lost. Then it puts
    this node's files in place, each as a whole, and proves them by their hashes. A try that was cut short is ended by the next one.
  - V(cleared) is V(saved), and then takes them out of the live tree, so that the installation on the next node finds none.
  - Of two versions of a node's file the one written later wins, by its own time and by when it came to the folder; the live one
    where these disagree. The other one is put aside in C(.identity/.removed).
  - A guarded start does V(restored) by itself. Both are done under the node's lock.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  data_dir:
    description:
      - The product's C(DATA_DIR) on the shared folder.
    type: path
    required: true
  state:
    description:
      - Whether to keep this node's files, to put them in place, or to keep them and take them away.
    type: str
    choices: [saved, restored, cleared]
    required: true
  node:
    description:
      - Name of this node. The default on a node of a pair is its name there.
    type: str
  preserve:
    description:
      - Which files are a node's own, as with M(hotstandby.ops.warp_sync).
    type: list
    elements: str
    default: [system/license/*, system/conf/server.xconf]
  config:
    description:
      - The node's configuration. The node is one of a pair when this file exists; then the node's lock is taken as well.
    type: path
    default: /etc/hotstandby/pair.json
  lock_timeout:
    description:
      - Seconds to wait for the node's lock.
    type: int
    default: 60
seealso:
  - module: hotstandby.ops.warp_sync
  - module: hotstandby.ops.warp_service
"""

EXAMPLES = r"""
- name: Keep this node's files, right after its installation
  hotstandby.ops.warp_identity:
    state: saved
    data_dir: /shared/asteria/data
    node: warp-a
"""

RETURN = r"""
node:
  description: Whose files are in place now; none after V(cleared).
  returned: success
  type: str
  sample: warp-a
kept:
  description: The nodes for which files are kept.
  returned: success
  type: list
  elements: str
  sample: [warp-a, warp-b]
changes:
  description: What was done, with V(path) and V(change) (saved, placed, removed).
  returned: success
  type: list
  elements: dict
  sample: [{"path": "system/license/a.key", "change": "placed"}]
files:
  description: The files in place with their SHA-256.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "system/license/a.key", "sha256": "9f86d0..."}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils._warp_sync import (
    COPY_OPTIONS,
    config_of,
    node_lock,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.identity import Identity, act, planned
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import (
    NODE,
    check_path,
    clean_patterns,
    shown,
)

SHARED = ("data_dir", "preserve", "config", "lock_timeout")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **{name: COPY_OPTIONS[name] for name in SHARED},
            "state": {"type": "str", "choices": ["saved", "restored", "cleared"], "required": True},
            "node": {"type": "str"},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, Any]:
        params, check = module.params, module.check_mode
        config = config_of(params)
        node = params["node"] or (config.node.name if config else None)
        if not node or not NODE.match(node):
            raise ModuleFailure(
                "node: is needed on a host of no pair: letters, digits, '.', '_', '-'", code="bad_option"
            )
        if config is not None and node != config.node.name:
            raise ModuleFailure(f"node: this is {config.node.name}, not {node}", code="bad_option")
        data_dir = check_path("data_dir", params["data_dir"])
        preserve = clean_patterns("preserve", params["preserve"])
        with node_lock(params, None if check else config, "identity"):
            if check:
                told = planned(data_dir, preserve, params["state"], node)
            else:
                told = act(Identity(data_dir, preserve), params["state"], node)
            kept = Identity(data_dir, preserve).nodes()
        changes = [{"path": shown(path), "change": change} for path, change in told.changes]
        lines = [f"{item['change']:8} {item['path']}" for item in changes]
        return {
            "changed": told.changed,
            "node": told.owner,
            "kept": sorted({*kept, *([node] if check else [])}),
            "changes": changes,
            "files": [{"path": shown(item.path), "sha256": item.sha256} for item in told.files],
            "diff": {"prepared": "\n".join([*lines, ""]) if lines else ""},
        }

    finish(module, work)


if __name__ == "__main__":
    main()
