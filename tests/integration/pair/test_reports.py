# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that only tell: report of past moves, and plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def test_a_move_becomes_a_page_and_the_same_history_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.torment("hub-a", "product-kill")
    assert rig.failover(reason="<died>").outcome == "moved"
    folder = tmp_path / "report"
    planned = rig.playbook("report", "--check", report_dir=folder)
    assert planned.rc == 0 and not folder.exists(), planned.text
    made = rig.playbook("report", report_dir=folder)
    assert made.rc == 0, made.text
    assert f"1 moves: {folder}/index.html" in made.text
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2 and names[0] == "index.html"
    page = (folder / names[1]).read_text()
    assert "&lt;died&gt;" in page and rig.info["nodes"]["hub-a"]["instance_id"] in page
    again = rig.playbook("report", report_dir=folder)
    assert again.rc == 0 and "changed=0" in again.text, again.text


def test_plan_tells_times_and_refuses_nonsense(rig: Rig) -> None:
    rig.clear_calls()
    told = rig.playbook("plan", bad="0.001")
    assert told.rc == 0 and "false alarms with 0.001 of the points bad: one in 174 days" in told.text, (
        told.text
    )
    assert rig.fresh_calls() == []
    wrong = rig.playbook("plan", datapoints="9")
    assert wrong.rc != 0 and "datapoints: 9 of 5" in wrong.text
