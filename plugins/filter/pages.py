# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Past moves as HTML pages."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pages
short_description: Makes HTML pages of past moves
version_added: 0.1.0
description:
  - From the history that M(hotstandby.ops.pair_info) returns, one self-contained page for each move, and C(index.html) for
    all of them. No page needs anything from elsewhere.
positional: pair
options:
  _input:
    description: RV(hotstandby.ops.pair_info#module:history), a list of moves, the newest first.
    type: list
    elements: dict
    required: true
  pair:
    description: Name of the pair.
    type: str
    required: true
  nodes:
    description: Instance ids by the nodes' names, to be shown beside them.
    type: dict
    default: {}
author:
  - hotstandby.ops contributors (@hotstandby)
"""

EXAMPLES = r"""
- name: Write the pages
  ansible.builtin.copy:
    content: "{{ item.value }}"
    dest: "/var/www/moves/{{ item.key }}"
    mode: "0644"
  loop: "{{ past.history | hotstandby.ops.pages(hotstandby_pair.name) | dict2items }}"
  loop_control:
    label: "{{ item.key }}"
"""

RETURN = r"""
_value:
  description: The pages by their file names.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any, Optional

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import plain
from ansible_collections.hotstandby.ops.plugins.module_utils.page import pages


def make(moves: Any, pair: str, nodes: Optional[Mapping[str, Any]] = None) -> dict[str, str]:
    """{file name: page}. Raises AnsibleFilterError with one line."""
    found = plain(moves)
    if not isinstance(found, list) or not all(isinstance(move, dict) for move in found):
        raise AnsibleFilterError(
            "hotstandby.ops.pages: a list of moves is needed, as pair_info returns it in 'history'"
        )
    return pages(found, str(pair), plain(nodes or {}))


class FilterModule:
    """hotstandby.ops.pages"""

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """What this file offers."""
        return {"pages": make}
