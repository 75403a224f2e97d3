# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random schedules of the pair with requests in S3 and workers, and faults planted in the protocol that they must catch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import (
    requeue_claim,
    requeue_move,
    requeue_run,
    requeue_s3,
)

from tests.simulation.det import plan, requests

SCHEDULES = 250
TRIED = 300  # schedules after which a planted fault counts as missed

Bucket, Mover = requeue_s3.Bucket, requeue_move.Mover


def test_every_request_is_somewhere_whatever_happens() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        world, broken, verdict = requests.run(seed)
        if broken:
            again = requests.run(seed, trace=True)[2]
            pytest.fail(f"seed {seed}: {broken}\n{plan.timeline(again)[-6000:]}")
        assert not verdict.overlaps
        seen["finished"] += len(world.s3.keys("finish/"))
        seen["workers"] += len(world.workers)
        seen[world.layout] += 1
        seen["handed over"] += sum(
            "went back to waiting" in str(result.steps) for _p, _r, result in world.results
        )
    # something was there to be lost
    assert seen["finished"] > 2 * SCHEDULES and seen["workers"] > SCHEDULES and min(seen.values()) > 100, seen


def test_a_seed_is_a_schedule() -> None:
    one, other = (requests.run(11, trace=True) for _number in range(2))
    assert one[2].trace == other[2].trace and one[0].s3.objects == other[0].s3.objects


# -- planted faults


def unconditional_copy(patch: pytest.MonkeyPatch) -> None:
    """A copy that overwrites."""
    plain = Bucket.copy

    def copy(self: Any, *arguments: Any) -> str:
        self.sends = False
        try:
            return plain(self, *arguments)
        finally:
            self.sends = True

    patch.setattr(Bucket, "copy", copy)


def undoubted(patch: pytest.MonkeyPatch) -> None:
    """A delete whose answer was lost counts as lost to another."""
    plain = Bucket.delete

    def delete(self: Any, key: str, etag: str) -> None:
        try:
            plain(self, key, etag)
        except requeue_s3.Unmet as error:
            raise requeue_s3.Unmet(str(error), False) from None

    patch.setattr(Bucket, "delete", delete)


def same_size_is_same(patch: pytest.MonkeyPatch) -> None:
    """As rclone: equal sizes are equal objects."""
    patch.setattr(Bucket, "same_bytes", lambda _self, source, _key, there: source.size == there.size)


def others_too(patch: pytest.MonkeyPatch) -> None:
    """The whole prefix is let wait again instead of one owner's part."""
    plain = requeue_run.requeue
    patch.setattr(
        requeue_run,
        "requeue",
        lambda bucket, rules, *more, **named: plain(
            bucket, dataclasses.replace(rules, owner=""), *more, **named
        ),
    )


def finish_without_looking(patch: pytest.MonkeyPatch) -> None:
    """Finished work is deleted whatever it has become, without a copy."""

    def finish(bucket: Any, rules: Any, key: str, _prefix: str = "") -> str:
        at = requeue_claim.place(rules, key)
        bucket.call("delete_object", at, Key=at)
        return at

    patch.setattr(requeue_claim, "finish", finish)


PLANTS = (
    unconditional_copy,
    undoubted,
    same_size_is_same,
    others_too,
    finish_without_looking,
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_caught(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(TRIED):
        if requests.run(seed)[1]:
            return
    pytest.fail(f"{plant.__name__} survives {TRIED} schedules: {plant.__doc__}")
