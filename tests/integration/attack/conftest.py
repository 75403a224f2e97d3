# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox of the pair's own tests, for one worker; nobody else's."""

from __future__ import annotations

from tests.integration.pair.conftest import rig, sandbox

__all__ = ["rig", "sandbox"]
