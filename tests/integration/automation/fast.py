# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at of a sandbox with profile fast."""

from __future__ import annotations

import functools
from typing import Any

from tests.integration.pair.rig import Rig

LONG = 120.0  # seconds, on a machine that does more


def beat(rig: Rig, node: str) -> dict[str, Any]:
    """A node's heartbeat item as it stands, {} when there is none."""
    pair = rig.info["pair"]
    key = {"pair": {"S": pair["name"]}, "item": {"S": f"heartbeat#{node}"}}
    found = rig.client("dynamodb").get_item(TableName=pair["table"], Key=key, ConsistentRead=True)
    item: dict[str, Any] = found.get("Item", {})
    return item


def beats(rig: Rig, *nodes: str, count: int = 4) -> None:
    """Wait until each node has beaten so often: whoever watches has seen it move by then."""
    for node in nodes:
        rig.until(functools.partial(_beaten, rig, node, {_mark(rig, node)}, count), LONG)


def _beaten(rig: Rig, node: str, seen: set[str], count: int) -> bool:
    seen.add(_mark(rig, node))
    return len(seen) > count


def _mark(rig: Rig, node: str) -> str:
    return str(beat(rig, node).get("beat", {}).get("S", ""))


def moved(rig: Rig, node: str = "hub-b") -> bool:
    """The record is steady and names this node, and the product runs there alone."""
    record, nodes = rig.record(), rig.ask("status")["nodes"]
    where = [name for name in rig.names if nodes[name]["product"]]
    return (record["active"].get("S"), record["state"]["S"], where) == (node, "steady", [node])
