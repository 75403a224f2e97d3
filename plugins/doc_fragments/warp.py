# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that work on an ASTERIA Warp installation."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  install_dir:
    description:
      - The product's C(INSTALL_DIR) on this node.
    type: path
    required: true
  data_dir:
    description:
      - The product's C(DATA_DIR) on this node.
    type: path
    required: true
"""

    COMMANDS = r"""
options:
  user:
    description:
      - User whose rights the product's commands get. Without it, the user that runs the module.
      - Changing the user needs root.
    type: str
  required_services:
    description:
      - Services of the product that have to run for it to count as running.
    type: list
    elements: str
    default: []
  status_pattern:
    description:
      - Regular expression that finds the services in what C(fsctrl status) prints, with the named groups C(service) and
        C(state). The vendor does not publish that text, so another version may need another pattern.
      - A state that is no word for running or stopped is unknown, never stopped.
    type: str
    default: '^\s*(?P<service>[\w.@-]+)\s*[:=]?\s+.*?\b(?P<state>[A-Za-z_]+)\s*$'
"""
