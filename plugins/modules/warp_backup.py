#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_backup
short_description: Saves and restores the trees of ASTERIA Warp on this node
version_added: 0.1.0
description:
  - V(saved) makes a whole copy of both trees. Files that did not change since the last one share its space.
  - V(restored) goes back to such a copy, or takes back what a run of M(hotstandby.ops.warp_sync) did, and all that was copied after
    it. What a restore replaces or deletes goes into a backup as well, by which it can be taken back.
  - The node's own files, such as licences, are in a whole copy, but are never put back. An old licence must not replace a newer one.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.warp
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Each V(saved) makes another backup. A second V(restored) to the same whole copy changes nothing.
options:
  state:
    description:
      - Whether to make a backup or to go back to one.
    type: str
    choices: [saved, restored]
    required: true
  backup:
    description:
      - Name or path of the backup to go back to. The default is the newest one of a copy or of V(saved).
    type: str
  preserve:
    description:
      - Files below O(data_dir) that belong to this node. They are neither copied, changed nor deleted here.
      - Patterns with V(*), V(?) and V([...]) for each part of the path, always counted from O(data_dir).
    type: list
    elements: str
    default: [system/license/*, system/conf/server.xconf]
  exclude:
    description:
      - What else below O(data_dir) is left alone, such as logs and the pid file. The same kind of patterns.
    type: list
    elements: str
    default: [log/]
  require_stopped:
    description:
      - Refuse while the product runs.
    type: bool
    default: true
  backup_dir:
    description:
      - Directory for backups on this node, outside of both trees. The default lies beside O(data_dir), with the same name and
        C(.hotstandby-backup) at its end.
    type: path
  keep:
    description:
      - How many backups of a kind are kept.
    type: int
    default: 5
  max_delete:
    description:
      - Refuse when more than this percentage of a tree's entries would be deleted.
    type: float
    default: 100.0
  reason:
    description:
      - Why; kept with the backup.
    type: str
    default: ""
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
requirements:
  - rsync 3.1.3 or newer
seealso:
  - module: hotstandby.ops.warp_sync
"""

EXAMPLES = r"""
- name: Save both trees before an update
  hotstandby.ops.warp_backup:
    state: saved
    install_dir: /opt/asteria
    data_dir: /data/asteria
  register: saved

- name: Go back to before the update
  hotstandby.ops.warp_backup:
    state: restored
    backup: "{{ saved.backup }}"
    install_dir: /opt/asteria
    data_dir: /data/asteria
"""

RETURN = r"""
backup:
  description: The backup that was made or used.
  returned: success
  type: str
  sample: /data/asteria.hotstandby-backup/20260102T030405Z-000-ab12cd34
kept:
  description: Where the files lie that V(restored) replaced or deleted; as O(backup) it takes that back. None when nothing was.
  returned: when O(state=restored)
  type: str
  sample: /data/asteria.hotstandby-backup/20260102T040506Z-000-cd34ef56
used:
  description: With V(restored) every backup that was needed, newest first.
  returned: when O(state=restored)
  type: list
  elements: str
  sample: []
removed:
  description: With V(saved) the older backups that O(keep) has removed.
  returned: when O(state=saved)
  type: list
  elements: str
  sample: []
files:
  description: How many entries were created or changed.
  returned: when O(state=restored)
  type: int
  sample: 12
bytes:
  description: Size of the files whose content was copied.
  returned: when O(state=restored)
  type: int
  sample: 48213
deleted:
  description: How many entries were deleted.
  returned: when O(state=restored)
  type: int
  sample: 1
changes:
  description: The first 1,000 of them, with V(tree), V(path) and V(change) (created, updated, attributes, deleted).
  returned: when O(state=restored)
  type: list
  elements: dict
  sample: [{"tree": "data", "path": "home/app/project.xml", "change": "updated"}]
preserved:
  description: The node's own files with their SHA-256 after and before. The path is counted from O(data_dir).
  returned: when O(state=restored)
  type: list
  elements: dict
  sample: [{"path": "system/conf/server.xconf", "sha256": "9f86d0...", "sha256_before": "9f86d0..."}]
notes:
  description: What people should know, such as sockets that were skipped.
  returned: success
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 1.7
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: 12 entries were copied or changed, 1 were deleted
"""

import os
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils._warp_sync import (
    COPY_OPTIONS,
    backup_dir,
    check_numbers,
    config_of,
    forget_copy,
    job_of,
    node_lock,
    result_of,
    stopped_here,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import check_path, clean_patterns
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_backup import FULL, prune, save
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_restore import find, restore
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import run_rsync


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **COPY_OPTIONS,
            "state": {"type": "str", "choices": ["saved", "restored"], "required": True},
            "backup": {"type": "str"},
            "max_delete": {"type": "float", "default": 100.0},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, Any]:
        params, check = module.params, module.check_mode
        begun = time.monotonic()
        check_numbers(params)
        config = config_of(params)
        trees = {
            name: os.path.realpath(check_path(f"{name}_dir", params[f"{name}_dir"]))
            for name in ("install", "data")
        }
        for name, path in trees.items():
            if not os.path.isdir(path):
                raise ModuleFailure(f"{name}_dir: {path} is not a directory", code="bad_option")
        folder = os.path.realpath(check_path("backup_dir", backup_dir(params)))
        inside = [path for path in trees.values() if f"{folder}/".startswith(f"{path}/")]
        if inside:
            raise ModuleFailure(f"backup_dir: {folder} lies inside {inside[0]}", code="bad_option")
        with node_lock(params, None if check else config, "backup"):
            if params["state"] == "restored":
                backup = find(folder, params["backup"], trees)
                # how old its copy is stays known where nothing is put back
                job = replace(job_of(params, config), begun=lambda: forget_copy(config))
                done = restore(backup, job, lambda: stopped_here(params), check)
                told = result_of(done.report, time.monotonic() - begun, check)
                return {**told, "backup": backup.path, "used": list(done.used), "kept": done.kept}
            why = stopped_here(params) if params["require_stopped"] else ""
            if why:
                raise ModuleFailure(f"ASTERIA Warp is not stopped here: {why}", code="sync_not_stopped")
            if check:
                return {
                    "changed": True,
                    "backup": None,
                    "removed": [],
                    "msg": f"a backup would be made in {folder}",
                }
            skip = clean_patterns("exclude", params["exclude"])
            made = save(folder, trees, run_rsync, skip, params["reason"])
            removed = prune(folder, params["keep"], (FULL,), trees)
            seconds = round(time.monotonic() - begun, 3)
            text = f"both trees are saved in {made.path}"
            return {"changed": True, "backup": made.path, "removed": removed, "msg": text, "seconds": seconds}

    finish(module, work)


if __name__ == "__main__":
    main()
