# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of the stopped node within a move: handed over while nobody runs, bounded, and never in the way."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import bulk_config, make_client

from tests.simulation.aws import Crash, client_error
from tests.simulation.world import World

FLAT = {"bucket": "requests"}
OWNED = {"bucket": "requests", "layout": "owner"}


def world(requeue: dict[str, Any], count: int = 3, prefix: str = "processing/") -> World:
    made = World(requeue=requeue).steady()
    made.nodes["hub-a"].product = "stopped"
    for number in range(count):
        made.s3.put(f"{prefix}{number}-request.json", b"%d" % number)
    return made


def steps(result: Any) -> list[tuple[str, str]]:
    return [(step["name"], step["outcome"]) for step in result.steps]


def handover(result: Any) -> dict[str, Any]:
    return next(step for step in result.steps if step["name"] == "handover")


def test_requests_wait_again_before_anybody_is_named() -> None:
    pair = world(FLAT)
    seen: list[Any] = []

    def look(operation: str, _arguments: Any, done: bool) -> None:
        if not done:
            seen.append((pair.record().active, [node.product for node in pair.nodes.values()]))

    pair.s3.hook = look
    result = pair.run()
    assert result.outcome == "moved", result.message
    assert seen and all(each == (None, ["stopped", "stopped"]) for each in seen)
    assert (handover(result)["outcome"], handover(result)["detail"]) == ("ok", "3 went back to waiting")
    assert len(pair.s3.keys("wait/")) == 3 and not pair.s3.keys("processing/")
    told = pair.ports().store.history(1)[0]["steps"]
    assert [step["detail"] for step in told if step["name"] == "handover"] == ["3 went back to waiting"]


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "ServiceUnavailable"])
def test_what_s3_refuses_is_told_and_stops_no_move(code: str) -> None:
    pair = world(FLAT)

    def refuse(operation: str, _arguments: Any, done: bool) -> None:
        raise client_error(code, operation, 503 if code == "ServiceUnavailable" else 403)

    pair.s3.hook = refuse
    result = pair.run()
    assert (result.outcome, handover(result)["outcome"]) == ("moved", "pending")
    assert code in handover(result)["detail"] and len(pair.s3.keys("processing/")) == 3


def slow(pair: World, seconds: float) -> None:
    def wait(_operation: str, _arguments: Any, done: bool) -> None:
        if not done:
            pair.clock.sleep(seconds)

    pair.s3.hook = wait


def test_it_is_bounded_and_tells_what_is_left() -> None:
    pair = world({**FLAT, "timeout": 10}, count=50)
    slow(pair, 1.0)
    result = pair.run()
    assert (result.outcome, handover(result)["outcome"]) == ("moved", "pending")
    assert 10 <= handover(result)["seconds"] <= 13
    assert "are left" in handover(result)["detail"]
    # flat: whoever claims now looks like whoever was stopped, so nothing is finished after the start
    assert steps(result).count(("handover", "pending")) == 1 and len(pair.s3.keys("processing/")) > 30
    assert len(pair.s3.keys()) == 50


def test_owners_are_finished_after_the_start() -> None:
    pair = world({**OWNED, "timeout": 10}, count=4, prefix="processing/hub-a.7/")
    pair.s3.put("processing/hub-b.5/old-request.json", b"old")
    for stays in ("hub-a.8", "hub-b.8", "other.1", "hub-a"):
        pair.s3.put(f"processing/{stays}/x-request.json", b"theirs")
    slow(pair, 1.0)
    result = pair.run()
    assert result.outcome == "moved" and result.epoch == 8
    names = [name for name, _outcome in steps(result)]
    assert names.count("handover") == 2 and names.index("start") < len(names) - 1 - names[::-1].index(
        "handover"
    )
    left = pair.s3.keys("processing/")
    assert left == sorted(
        f"processing/{each}/x-request.json" for each in ("hub-a", "hub-a.8", "hub-b.8", "other.1")
    )
    assert len(pair.s3.keys("wait/")) == 5


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_holder_that_dies_in_it_loses_nothing(nth: int) -> None:
    pair = world(FLAT)

    def kill(_operation: str, _arguments: Any, done: bool) -> None:
        if done and pair.s3.count() == nth:
            raise Crash

    pair.s3.hook = kill
    try:
        pair.run()
    except Crash:
        pass
    pair.s3.hook = lambda *_call: None
    pair.clock.sleep(60)
    result = pair.run()
    assert result.active == "hub-b" and pair.overlaps == 0
    assert sorted(stored.body for stored in pair.s3.objects.values()) == [b"0", b"1", b"2"]
    assert not pair.s3.keys("processing/")


def test_a_wrong_requeue_names_its_key() -> None:
    for wrong, text in (
        ({"target_prefix": "processing/"}, "hotstandby_pair.requeue.target_prefix: is the same"),
        ({"layout": "deep"}, "hotstandby_pair.requeue.layout"),
        ({"timeout": 0}, "hotstandby_pair.requeue.timeout"),
    ):
        with pytest.raises(ValueError, match=text):
            World(requeue={**FLAT, **wrong}).pair()


def test_whoever_goes_on_after_the_start_finishes_what_is_left_of_the_owner_before() -> None:
    pair = world(OWNED, prefix="processing/hub-a.7/")
    moves: list[Any] = []

    def refuse_then_die(operation: str, _arguments: Any, _done: bool) -> None:
        moves.append(pair.record().move)
        if pair.record().active == "hub-b":
            raise Crash
        raise client_error("ServiceUnavailable", operation, 503)

    pair.s3.hook = refuse_then_die
    with pytest.raises(Crash):
        pair.run()
    assert len(pair.s3.keys("processing/hub-a.7/")) == 3, "nothing was handed over by the one who died"
    assert moves[-1].step not in ("confirm", "stop", "fence")
    pair.s3.hook = lambda *_call: None
    pair.clock.sleep(60)
    result = pair.run()
    assert (result.active, result.epoch) == ("hub-b", 8)
    assert len(pair.s3.keys("wait/")) == 3 and not pair.s3.keys("processing/")


def test_a_move_carries_when_it_began() -> None:
    pair = world(FLAT)
    began: list[Any] = []
    pair.s3.hook = lambda *_call: began.append(pair.record().move.began)
    assert pair.run().outcome == "moved"
    assert began and all(isinstance(each, float | int) for each in began)


@pytest.mark.parametrize(
    ("endpoint", "style"),
    [
        (None, "auto"),
        ("https://s3.ap-northeast-1.amazonaws.com", "auto"),
        ("http://minio.example:9000", "path"),
    ],
)
def test_a_store_that_is_not_amazon_s_is_asked_with_the_bucket_in_the_path(
    endpoint: str | None, style: str
) -> None:
    for config in (
        make_client("s3", "ap-northeast-1", endpoint).meta.config,
        bulk_config(8, endpoint),
    ):
        assert config.s3["addressing_style"] == style
