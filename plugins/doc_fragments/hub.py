# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that run a HULFT-HUB product's commands on a node."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  exe:
    description:
      - Directory of the product's commands on this node, C(HULHUBEXE).
    type: path
    required: true
  etc:
    description:
      - Directory of the product's configuration, C(HULHUBETC). With a pair it lies on the shared folder.
    type: path
    required: true
  user:
    description:
      - User whose rights the product's commands get. Without it, the user that runs the module.
      - Changing the user needs root.
    type: str
"""
