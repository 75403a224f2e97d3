# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people pause at the same moment."""

from __future__ import annotations

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.maintenance import MaintenanceError, set_pause

from tests.simulation.world import World


def test_the_second_of_two_pauses_does_not_replace_the_first() -> None:
    world = World().steady()
    store = world.ports().store
    late = world.ports().store
    real = late.read
    reads = 0

    def read() -> object:
        nonlocal reads
        record = real()
        reads += 1
        if reads == 1:  # akira is faster between keiko's reading and her writing
            set_pause(store, True, "akira", "storage")
        return record

    late.read = read  # type: ignore[method-assign, assignment]
    with pytest.raises(MaintenanceError, match="already paused by akira"):
        set_pause(late, True, "keiko", "network")
    assert world.record().paused is not None and world.record().paused["by"] == "akira"
