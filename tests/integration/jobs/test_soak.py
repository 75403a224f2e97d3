# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few of the rounds of `make soak-jobs`: nothing lost, nothing done twice that was known to be done."""

from __future__ import annotations

from sandbox.jobs.soak import FAULTS, KINDS, drawn, soak

ROUNDS, SEED = 20, 1_000_000


def test_twenty_rounds() -> None:
    plans = [drawn(seed) for seed in range(SEED, SEED + ROUNDS)]
    assert {plan.kind for plan in plans} == set(KINDS)
    assert {fault.what for plan in plans for fault in plan.faults} == set(FAULTS)
    assert any(plan.again for plan in plans)
    counts, wrong = soak(ROUNDS, SEED, 4)
    assert wrong == []
    assert sum(count["rounds"] for count in counts.values()) == ROUNDS
