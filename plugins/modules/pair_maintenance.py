#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pair_maintenance
short_description: Pauses and resumes the automation of a pair
version_added: 0.1.0
description:
  - A pause stops new automatic moves and local restarts.
  - It never stops a move in flight, the guard on the nodes, or a node that stops its product because the other one is active.
  - An operator's own move under somebody else's pause is refused with that person's reason.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - hotstandby.ops.pair
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(paused) pauses, V(resumed) ends the pause.
    type: str
    choices: [paused, resumed]
    required: true
  reason:
    description:
      - Why; shown to everyone who meets the pause. Needed for O(state=paused).
    type: str
  by:
    description:
      - Who pauses. Without it, the user who runs Ansible.
    type: str
seealso:
  - module: hotstandby.ops.pair_info
"""

EXAMPLES = r"""
- name: Nobody moves the service tonight
  hotstandby.ops.pair_maintenance:
    pair: "{{ hotstandby_pair }}"
    state: paused
    reason: storage is being replaced, ask Keiko
  run_once: true
  delegate_to: localhost

- name: Back to normal
  hotstandby.ops.pair_maintenance:
    pair: "{{ hotstandby_pair }}"
    state: resumed
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
paused:
  description: Who paused and why; none when the pair is not paused.
  returned: success
  type: dict
  sample: {"by": "keiko", "reason": "storage is being replaced"}
previous:
  description: The pause that was in force before.
  returned: success
  type: dict
  sample: null
"""
