# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switchover and a roll back whose controller dies at every one of its calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.attack.crashes import Crashes
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def test_a_switchover(rig: Rig) -> None:
    def setup() -> dict[str, Any]:
        other = next(name for name in rig.names if name != rig.active())
        return {"mode": "switchover", "to": other}

    done = Crashes(rig, setup).all()
    for call in (
        "before StopInstances:DryRun",
        "after UpdateItem:active+lease+move+state stop",
        "after SendCommand:stop@A",
        "after UpdateItem:active+epoch+lease+move start",
        "after SendCommand:start@B",
        "after AssociateAddress",
        "after UpdateItem:lease+move+pending+state+times",
    ):
        assert call in done, done


def test_a_roll_back(rig: Rig) -> None:
    rig.torment("hub-b", "start-fails")
    attack = Crashes(
        rig, lambda: {"mode": "switchover", "to": "hub-b"}, first="ListCommandInvocations:start@B"
    )
    done = attack.all()
    for call in (
        "UpdateItem:active+lease+move stop back",
        "SendCommand:stop@B",
        "UpdateItem:active+epoch+lease+move start back",
        "SendCommand:start@A",
        "UpdateItem:lease+move+pending+state+times",
    ):
        assert f"before {call}" in done and f"after {call}" in done, done
