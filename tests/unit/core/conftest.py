# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One profile for hypothesis: no deadline on a shared machine, no database in the checkout."""

from __future__ import annotations

from pathlib import Path

from hypothesis import configuration, settings

configuration.set_hypothesis_home_dir(Path(__file__).parents[3] / "build" / "hypothesis")
settings.register_profile("project", deadline=None, database=None, print_blob=True)
settings.load_profile("project")
