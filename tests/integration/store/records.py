# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the record have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.record import Move, Record
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore

NODES = {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}


def fresh(store: RecordStore, **changes: Any) -> Record:
    record = Record(
        pair=store.pair, nodes=NODES, active="hub-a", epoch=7, times={"active_since": 1790000000.5}
    )
    return store.create(dataclasses.replace(record, **changes))


MOVE = Move(
    id="m1", kind="failover", source="hub-a", target="hub-b", step="stop", reason="it died", began=1.5
)
