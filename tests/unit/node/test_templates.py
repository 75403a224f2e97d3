# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role puts beside the node command."""

from __future__ import annotations

from pathlib import Path

TEMPLATES = Path(__file__).parents[3] / "roles" / "node" / "templates"


def test_a_unit_asks_the_guard_as_root_whoever_it_runs_as() -> None:
    lines = (TEMPLATES / "unit.conf.j2").read_text(encoding="utf-8").splitlines()
    # without "+" it would run as the unit's User=, who may not read what the guard remembers: it would never start
    assert "ExecStartPre=+{{ __node_bin }}/hotstandby may-start" in lines
    assert "Restart=no" in lines
