#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_sync
short_description: Makes the trees of ASTERIA Warp on this node equal to another node's, but for this node's own files
version_added: 0.1.0
description:
  - Runs on the node that receives, and copies with rsync. Everything in both trees becomes equal but for the licences, the server's
    own configuration, and logs.
  - Each file is replaced as a whole. What is replaced or deleted goes into a backup first, so that
    M(hotstandby.ops.warp_backup) can take the copy back.
  - The direction is never guessed. The file C(.hotstandby-data) says who made the data, and with which epoch. Older data never
    replace newer ones, and a copy is never copied on. Trees without that file on either side are simply copied.
  - Interrupted at any instant, this node still has its own files, each file is old or new, and the next run ends what was begun.
    Until then the product is not started here.
  - Refused are an empty or unmounted source, trees that do not look like the product's, and directories that lie inside one another.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.warp
attributes:
  check_mode:
    support: full
    details:
      - Lists what a run would do. Both nodes are only read.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  source_install_dir:
    description:
      - The source's C(INSTALL_DIR). The default is O(install_dir).
    type: path
  source_data_dir:
    description:
      - The source's C(DATA_DIR). The default is O(data_dir).
    type: path
  source_host:
    description:
      - Host to copy from, over ssh. Without it the source is a pair of directories of this host.
    type: str
  source_user:
    description:
      - User on O(source_host). It has to read everything in both trees.
    type: str
  source_node:
    description:
      - Who the source is, as the marker spells it. The default on a node of a pair is the other node.
    type: str
  ssh_args:
    description:
      - Further arguments of ssh, such as C(-i) and the path of a key.
    type: list
    elements: str
    default: []
  delete:
    description:
      - Delete what only this node has.
    type: bool
    default: true
  live:
    description:
      - The product may run on the source. The copy then counts as unfinished until another one without O(live) has ended, which has
        little left to do.
    type: bool
    default: false
  compare:
    description:
      - Only compare, and note how much differs. What was found equal counts as copied at that moment. The product may run on the
        source. The trees are not changed, so RV(ignore:changed) is false.
      - On a node of a pair each comparison, and each finished copy, is noted on this node; see C(max_sync_age) of a pair.
    type: bool
    default: false
    version_added: 0.1.0
  force_direction:
    description:
      - Copy although the markers speak against it. Needs O(reason).
    type: bool
    default: false
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
    default: 50.0
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
  - rsync 3.1.3 or newer on both nodes
seealso:
  - module: hotstandby.ops.warp_backup
  - module: hotstandby.ops.warp_service
"""

EXAMPLES = r"""
- name: Make this node's trees equal to those of the active node
  hotstandby.ops.warp_sync:
    install_dir: /opt/asteria
    data_dir: /data/asteria
    source_host: warp-a
  register: sync

- name: See what differs
  hotstandby.ops.warp_sync:
    install_dir: /opt/asteria
    data_dir: /data/asteria
    source_host: warp-a
    live: true
  check_mode: true
"""

RETURN = r"""
files:
  description: How many entries were created or changed.
  returned: success
  type: int
  sample: 12
bytes:
  description: Size of the files whose content was copied.
  returned: success
  type: int
  sample: 48213
deleted:
  description: How many entries were deleted.
  returned: success
  type: int
  sample: 1
changes:
  description: The first 1,000 of them, with V(tree), V(path) and V(change) (created, updated, attributes, deleted).
  returned: success
  type: list
  elements: dict
  sample: [{"tree": "data", "path": "home/app/project.xml", "change": "updated"}]
drift:
  description: How many entries differ.
  returned: when O(compare=true)
  type: int
  sample: 0
preserved:
  description: The node's own files with their SHA-256 after and before. The path is counted from O(data_dir).
  returned: success
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
backup:
  description: Where the replaced and deleted files lie; none when nothing was copied.
  returned: success
  type: str
  sample: /data/asteria.hotstandby-backup/20260102T030405Z-000-ab12cd34
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import finish
from ansible_collections.hotstandby.ops.plugins.module_utils._warp_sync import (
    COPY_OPTIONS,
    check_numbers,
    config_of,
    job_of,
    node_lock,
    note_copy,
    result_of,
    source_of,
    stopped_here,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_backup import DELTAS, prune
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import Mirror


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **COPY_OPTIONS,
            "source_install_dir": {"type": "path"},
            "source_data_dir": {"type": "path"},
            "source_host": {"type": "str"},
            "source_user": {"type": "str"},
            "source_node": {"type": "str"},
            "ssh_args": {"type": "list", "elements": "str", "default": []},
            "delete": {"type": "bool", "default": True},
            "live": {"type": "bool", "default": False},
            "compare": {"type": "bool", "default": False},
            "force_direction": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, Any]:
        params, check = module.params, module.check_mode
        compare, live = params["compare"], params["live"] or params["compare"]
        begun, at = time.monotonic(), time.time()
        check_numbers(params)
        config = config_of(params)
        with source_of(params) as source:
            mirror = Mirror(job_of({**params, "live": live}, config, source), lambda: stopped_here(params))
            # a question takes no lock: nobody shall wait for it
            with node_lock(params, None if check or compare else config, "sync"):
                report = mirror.run(check or compare)
        if report.backup:
            trees = {name: place.path for name, place in mirror.places.items()}
            prune(mirror.job.backup_dir, params["keep"], DELTAS, trees)
        told = result_of(report, time.monotonic() - begun, check or compare)
        drift = told["files"] + told["deleted"] if compare else 0
        if not check and (compare or not live):
            note_copy(config, mirror.job.source_node, at, drift)
        return {**told, "changed": False, "drift": drift} if compare else told

    finish(module, work)


if __name__ == "__main__":
    main()
