# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a store does wrong while a requeue runs, and what is then where."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_s3 import S3Error

from tests.simulation.aws import Crash, client_error
from tests.simulation.requeue import Rig, counts, denied


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_denied_keys_are_reported_and_the_rest_moves(rig: Rig) -> None:
    rig.fill(30)
    rig.s3.hook = denied("CopyObject", key="/00001")
    report = rig.run(workers=4)
    assert counts(report) == {"requeued": 20, "failed": 10} and report.complete and not report.error
    assert len(rig.s3.keys("processing/")) == 10
    assert all("right" in item["detail"] for item in report.objects if item["outcome"] == "failed")


def test_a_burst_of_slow_down_is_waited_out(rig: Rig) -> None:
    rig.fill(50)
    left = [60]

    def burst(operation: str, _arguments: Any, done: bool) -> None:
        if not done and left[0] and rig.s3.count() % 2:
            left[0] -= 1
            raise client_error("SlowDown", operation, 503)

    rig.s3.hook = burst
    report = rig.run(workers=4)
    assert counts(report) == {"requeued": 50} and not rig.s3.keys("processing/")
    assert report.requests == rig.s3.count() and len(rig.slept) >= 20 and max(rig.slept) <= 8


def test_a_store_that_stays_slow_loses_nothing(rig: Rig) -> None:
    rig.fill(5)
    rig.s3.hook = denied("CopyObject", code="SlowDown", status=503)
    report = rig.run()
    assert counts(report) == {"failed": 5} and len(rig.s3.keys("processing/")) == 5
    assert rig.s3.count("CopyObject") == 5 * 8


def test_single_keys_of_a_batch_that_fail_for_now_are_tried_again(rig: Rig) -> None:
    rig.fill(3)
    plain, tries = rig.s3.delete_objects, []

    def delete_objects(**arguments: Any) -> Any:
        tries.append(len(arguments["Delete"]["Objects"]))
        if len(tries) == 1:
            kept = arguments["Delete"]["Objects"][:1]
            answer = plain(
                **{
                    **arguments,
                    "Delete": {**arguments["Delete"], "Objects": arguments["Delete"]["Objects"][1:]},
                }
            )
            return {**answer, "Errors": [{"Key": kept[0]["Key"], "Code": "InternalError", "Message": ""}]}
        return plain(**arguments)

    rig.s3.delete_objects = delete_objects  # type: ignore[method-assign]
    assert counts(rig.run()) == {"requeued": 3} and tries == [3, 1]


def test_expired_keys_end_the_run_at_once(rig: Rig) -> None:
    rig.fill(3000)

    def expire(operation: str, _arguments: Any, done: bool) -> None:
        if not done and rig.s3.count("CopyObject") > 1500:
            raise client_error("ExpiredToken", operation, 400)

    rig.s3.hook = expire
    report = rig.run()
    assert "expired" in report.error and not report.complete
    # what was copied of the second page waits, and is only deleted by the next run
    assert report.requeued == 1000 and report.failed >= 500 and rig.s3.count("CopyObject") == 1501
    rig.s3.hook = lambda *_call: None
    assert rig.run().requeued == 2000
    assert len(rig.s3.keys("wait/")) == 3000 and not rig.s3.keys("processing/") and rig.s3.overwritten == []


@pytest.mark.parametrize(
    ("code", "text"),
    [("NoSuchBucket", "bucket: requests does not exist"), ("PermanentRedirect", "region: requests is in another region"),
     ("AccessDenied", "right for this call is missing"), ("ExpiredToken", "the credentials have expired")],
)  # fmt: skip
def test_what_cannot_be_listed_is_an_error(rig: Rig, code: str, text: str) -> None:
    rig.s3.hook = denied("ListObjectsV2", code=code, status=400)
    with pytest.raises(S3Error, match=text):
        rig.run()


def test_a_listing_that_changes_under_way(rig: Rig) -> None:
    rig.fill(50)
    rig.s3.page = 10

    def busy(operation: str, _arguments: Any, done: bool) -> None:
        if operation == "ListObjectsV2" and done:
            number = rig.s3.count("ListObjectsV2")
            rig.s3.objects.pop(f"processing/{number * 10 - 1:06}-request.json", None)
            rig.s3.put(f"processing/{number:06}a-request.json", b"late")

    rig.s3.hook = busy
    report = rig.run()
    assert report.skipped == 5 and report.failed == 0  # finished by somebody between list and copy
    rig.s3.hook = lambda *_call: None
    rig.run()
    assert not rig.s3.keys("processing/") and rig.s3.overwritten == []


def test_a_source_that_is_rewritten_after_the_copy_keeps_its_newest_bytes(rig: Rig) -> None:
    rig.fill(3)

    def rewrite(operation: str, arguments: dict[str, Any], done: bool) -> None:
        if operation == "CopyObject" and done and rig.s3.count("CopyObject") == 2:
            rig.s3.put(arguments["CopySource"]["Key"], b"newest")

    rig.s3.hook = rewrite
    report = rig.run()
    assert counts(report) == {"requeued": 3, "conflicts": 1, "duplicates": 1}
    assert not rig.s3.keys("processing/")
    assert sorted(stored.body for stored in rig.s3.objects.values()) == [b"0", b"1", b"2", b"newest"]


def test_a_source_that_is_finished_after_the_copy_is_counted_twice(rig: Rig) -> None:
    rig.fill(1)

    def finish(operation: str, arguments: dict[str, Any], done: bool) -> None:
        if operation == "CopyObject" and done:
            del rig.s3.objects[arguments["CopySource"]["Key"]]

    rig.s3.hook = finish
    assert counts(rig.run()) == {"requeued": 1, "duplicates": 1} and len(rig.s3.keys("wait/")) == 1


def test_an_answer_that_is_lost_is_no_conflict(rig: Rig) -> None:
    rig.fill(2)

    def lose(operation: str, _arguments: Any, done: bool) -> None:
        if done and operation in ("CopyObject", "DeleteObjects") and rig.s3.count(operation) == 1:
            raise client_error("InternalError", operation, 500)

    rig.s3.hook = lose
    report = rig.run()
    assert (report.requeued, report.conflicts, report.failed) == (2, 0, 0)
    assert len(rig.s3.keys("wait/")) == 2 and not rig.s3.keys("processing/")


# -- a store without conditions


@pytest.mark.parametrize("says_so", [False, True])
def test_a_store_without_conditions_is_looked_at_first(says_so: bool) -> None:
    rig = Rig(conditional=None)
    rig.s3.conditions = False
    rig.fill(5)
    rig.s3.put("wait/000000-request.json", b"another")
    rig.s3.put("wait/000003-request.json", b"another")
    if says_so:

        def refuse(operation: str, arguments: dict[str, Any], done: bool) -> None:
            if not done and ("IfNoneMatch" in arguments or "ETag" in str(arguments.get("Delete"))):
                raise client_error("NotImplemented", operation, 501)

        rig.s3.hook = refuse
    report = rig.run()
    assert counts(report) == {"requeued": 5, "conflicts": 2} and report.conditional is False
    assert not rig.s3.keys("processing/") and len(rig.s3.keys("wait/")) == 7
    # the one that is written twice is the one that it was found out with, by its own bytes
    assert rig.s3.overwritten in ([], ["wait/000001-request.json"])


def test_a_store_without_conditions_does_not_delete_what_changed() -> None:
    rig = Rig(conditional=None)
    rig.s3.conditions = False
    rig.fill(4)

    def rewrite(operation: str, arguments: dict[str, Any], done: bool) -> None:
        source = arguments.get("CopySource", {}).get("Key", "")
        if operation == "CopyObject" and done and source == "processing/000002-request.json":
            rig.s3.put(source, b"newest")
            rig.s3.hook = lambda *_call: None

    rig.s3.hook = rewrite
    report = rig.run()
    assert b"newest" in [stored.body for stored in rig.s3.objects.values()] and report.duplicates == 1


def test_time_that_runs_out_leaves_the_rest(rig: Rig) -> None:
    rig.fill(30)
    report = rig.run(over=lambda: rig.s3.count("CopyObject") >= 10)
    assert counts(report) == {"requeued": 10, "left": 20} and not report.complete
    assert len(rig.s3.keys("processing/")) == 20 and "20 are left" in report.text()


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_each_call_and_run_again(done: bool) -> None:
    fresh = Rig(conditional=None)
    fresh.fill(4)
    fresh.s3.put("wait/000002-request.json", b"another")
    total, crashes = fresh.run().requests, 0
    for nth in range(1, total + 1):
        rig = Rig(conditional=None)
        rig.fill(4)
        rig.s3.put("wait/000002-request.json", b"another")

        def kill(_operation: str, _arguments: Any, after: bool, rig: Rig = rig, nth: int = nth) -> None:
            if after == done and rig.s3.count() == nth:
                raise Crash

        rig.s3.hook = kill
        try:
            rig.run()
        except Crash:
            crashes += 1
        rig.s3.hook = lambda *_call: None
        rig.run()
        assert not rig.s3.keys("processing/"), nth
        bodies = sorted(stored.body for stored in rig.s3.objects.values())
        assert bodies == [b"0", b"1", b"2", b"3", b"another"], nth
    assert crashes >= total / 2  # a call that is refused has no "after"
