# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two Rundeck servers work on one database."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rundeck_database
short_description: Whether two Rundeck servers work on one database
version_added: 0.1.0
author:
  - hotstandby.ops contributors (@hotstandby)
description:
  - Judges the C(rundeck-config.properties) of the nodes of a pair, and gives the reasons why they cannot be a redundant pair. No reason
    contains a secret.
positional: _input, path
options:
  _input:
    description: The text of each node's file by its name, V(none) for one that could not be read.
    type: dict
    required: true
  path:
    description: Where the file is, for the reasons.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse nodes with a database each
  ansible.builtin.assert:
    that: rundeck_files | hotstandby.ops.rundeck_database('/etc/rundeck/rundeck-config.properties') | length == 0
"""

RETURN = r"""
_value:
  description: The reasons; empty when both work on one database.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.rundeck_server import problems


def rundeck_database(files: Any, path: str) -> list[str]:
    """See the documentation above."""
    if not isinstance(files, Mapping):
        raise AnsibleFilterError("hotstandby.ops.rundeck_database: the input is no dictionary of texts")
    return problems(
        {str(node): None if text is None else str(text) for node, text in files.items()}, str(path)
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name and function."""
        return {"rundeck_database": rundeck_database}
