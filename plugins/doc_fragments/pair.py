# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that describes a pair."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pair:
    description:
      - The pair, as the inventory variable C(hotstandby_pair) holds it.
      - Its keys are C(name), C(region), C(table), C(service), C(product), C(nodes) (exactly two), C(shared), C(fencing),
        C(redirect), C(probe), C(timeouts), C(stop), C(cooldown), C(profile), C(lease), C(heartbeat_timeout),
        C(local_restarts), C(requeue), C(max_sync_age), C(sync_too_old),
        C(published_metric) and C(endpoint_url).
      - A wrong pair is refused with one line that names the key.
      - Its C(region) and C(endpoint_url) win over the module's options of the same name, since the nodes use them too.
    type: dict
    required: true
"""

    # how a playbook was called
    CALLED = r"""
options:
  called:
    description:
      - How the playbook was called, so that the next command in a message can be typed as it stands.
      - The collection's own playbooks fill it in. It changes nothing but texts.
    type: dict
    suboptions:
      inventory:
        description:
          - Each C(-i) of the call, as C(ansible_inventory_sources) has them.
        type: list
        elements: str
        default: []
      group:
        description:
          - The inventory group that the playbook ran on.
        type: str
        default: ""
      stray:
        description:
          - Words of an extra variable that ansible cut at a blank, as C(_raw_params) has them.
          - Where a reason is given they are taken for its rest; without, the module fails.
        type: str
        default: ""
"""
