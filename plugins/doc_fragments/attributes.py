# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules say about check mode, diff mode, repetition and where they run."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict the change without making it.
  diff_mode:
    description: Says in diff mode what has changed or would change.
  idempotent:
    description: A second run with the same arguments changes nothing while nothing else changed.
"""

    # together with the standard fragment
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""

    AWS = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/hotstandby.ops.aws) in C(module_defaults) to set the options of all modules that speak to AWS.
    support: full
    membership:
      - hotstandby.ops.aws
"""
