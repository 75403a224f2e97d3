# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover whose controller dies at every one of its calls, of a dead product and of a node that must be fenced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.attack.crashes import Crashes
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox


def test_a_failover_of_a_dead_product(rig: Rig) -> None:
    def setup() -> dict[str, Any]:
        rig.torment(str(rig.active()), "product-kill")
        return {"mode": "failover", "reason": "it died"}

    done = Crashes(rig, setup).all()
    for call in (
        "before GetItem",
        "after UpdateItem:lease+move confirm",
        "before SendCommand:look@AB",
        "after UpdateItem:active+lease+move+state stop",
        "after SendCommand:stop@A",
        "before UpdateItem:active+epoch+lease+move start",
        "after UpdateItem:active+epoch+lease+move start",
        "after SendCommand:start@B",
        "before ListCommandInvocations:start@B",
        "before SendCommand:status@AB",
        "after AssociateAddress",
        "after PutItem",
        "before PutMetricData",
        "after UpdateItem:lease+move+pending+state+times",
    ):
        assert call in done, done


def test_a_failover_with_a_fence(rig: Rig) -> None:
    down: list[str] = []

    def setup() -> dict[str, Any]:
        # what an earlier round fenced is repaired
        while down:
            node = down.pop()
            rig.torment(node, "clear")
            if rig.power(node) != "running":
                rig.client("ec2").start_instances(InstanceIds=[rig.info["nodes"][node]["instance_id"]])
            rig.until(lambda: len(rig.answering()) == 2)
        node = str(rig.active())
        down.append(node)
        rig.torment(node, "agent-offline")
        return {"mode": "failover", "assume_down": True}

    timeouts = {**rig.info["pair"]["timeouts"], "confirm": 3}
    attack = Crashes(rig, setup, first="SendCommand:stop@A", last="SendCommand:start@B", timeouts=timeouts)
    done = attack.all()
    for call in ("UpdateItem:lease+move fence", "StopInstances", "UpdateItem:active+epoch+lease+move start"):
        assert f"before {call}" in done and f"after {call}" in done, done
    assert "before DescribeInstances" in done
