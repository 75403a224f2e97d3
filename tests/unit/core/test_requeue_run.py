# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A requeue over a bucket in memory: counts, conflicts, large objects, and what the store does wrong meanwhile."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import (
    ATTEMPTS,
    OWNER,
    Listed,
    make_rules,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_large import mark
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_run import requeue

from tests.simulation.aws import Crash, client_error
from tests.simulation.requeue import Rig, counts, denied


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_10001_objects_cost_what_they_must(rig: Rig) -> None:
    rig.fill(10_001)
    report = rig.run(workers=4)
    assert counts(report) == {"requeued": 10_001} and report.complete and report.changed
    assert len(rig.s3.keys("wait/")) == 10_001 and not rig.s3.keys("processing/")
    # one copy each; a list and a delete for each thousand
    assert report.requests == rig.s3.count() == 10_001 + 11 + 11
    assert len(report.objects) == 1000 and rig.s3.overwritten == []


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_requests_per_object(rig: Rig, count: int) -> None:
    rig.fill(count)
    report = rig.run()
    assert report.requeued == count
    pages = max(-(-count // 1000), 1)
    assert report.requests == count + pages + (pages if count else 0)


def test_a_store_that_must_be_found_out_costs_four_requests_more() -> None:
    rig = Rig(conditional=None)
    rig.fill(2500)
    report = rig.run()
    assert (report.requeued, report.conditional) == (2500, True)
    assert report.requests == 2500 + 3 + 3 + 4
    assert report.requests / 2500 <= 1.01


def test_memory_does_not_grow_with_the_keys(rig: Rig) -> None:
    def peak(count: int) -> int:
        rig.s3.objects.clear()
        rig.fill(count, "processing/")
        bucket, rules = rig.bucket(), make_rules("requests", pattern="*-request.json")
        tracemalloc.start()
        requeue(bucket, rules, check=True)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rig.s3.calls.clear()
        return found

    assert peak(20_000) < 1.5 * peak(2_000)


def test_check_reads_and_counts_and_writes_nothing(rig: Rig) -> None:
    rig.fill(1500)
    before = dict(rig.s3.objects)
    report = rig.run(check=True)
    assert counts(report) == {"requeued": 1500} and report.objects[0]["to"] == "wait/000000-request.json"
    assert rig.s3.objects == before and rig.s3.count() == rig.s3.count("ListObjectsV2") == 2


def test_nothing_is_overwritten_and_both_are_kept(rig: Rig) -> None:
    rig.s3.put("processing/sub/a-request.json", b"new")
    rig.s3.put("wait/sub/a-request.json", b"old")
    report = rig.run()
    assert counts(report) == {"requeued": 1, "conflicts": 1} and rig.s3.overwritten == []
    names = rig.s3.keys()
    assert len(names) == 2 and rig.s3.objects["wait/sub/a-request.json"].body == b"old"
    other = next(name for name in names if name != "wait/sub/a-request.json")
    assert (
        rig.s3.objects[other].body == b"new"
        and other.endswith("request.json")
        and other.startswith("wait/sub/")
    )
    assert report.objects[0]["to"] == other and "both are kept" in report.objects[0]["detail"]


@pytest.mark.parametrize(("how", "told"), [("skip", {"skipped": 1}), ("fail", {"failed": 1})])
def test_a_conflict_can_be_left(rig: Rig, how: str, told: dict[str, int]) -> None:
    rig.s3.put("processing/a-request.json", b"new")
    rig.s3.put("wait/a-request.json", b"old")
    before = dict(rig.s3.objects)
    assert counts(rig.run(on_conflict=how)) == {"conflicts": 1, **told}
    assert rig.s3.objects == before


def test_sizes_that_are_equal_are_not_bytes_that_are_equal(rig: Rig) -> None:
    rig.s3.put("processing/a-request.json", b"one")
    rig.s3.put("wait/a-request.json", b"two")
    rig.run()
    assert sorted(stored.body for stored in rig.s3.objects.values()) == [b"one", b"two"]


@pytest.mark.parametrize("kind", ["plain", "parts", "kms"])
def test_an_earlier_run_s_copy_is_known_by_its_bytes(rig: Rig, kind: str) -> None:
    extra: dict[str, Any] = {"ServerSideEncryption": "aws:kms"} if kind == "kms" else {}
    rig.s3.put("processing/a-request.json", b"same", etag='"abc-2"' if kind == "parts" else "", extra=extra)
    rig.s3.put("wait/a-request.json", b"same", etag='"other"' if kind == "kms" else "", extra=extra)
    report = rig.run()
    assert counts(report) == {"requeued": 1} and rig.s3.keys() == ["wait/a-request.json"]
    assert (rig.s3.count("GetObject") > 0) == (kind != "plain")


def test_odd_keys(rig: Rig) -> None:
    stay = ["sub/", "x-request.json.tmp", "t-request.json "]
    go = ["./dot-request.json", "a//b-request.json", "注文[1]-request.json", "n\nl-request.json"]
    for key in stay + go:
        rig.s3.put(f"processing/{key}", b"" if key.endswith("/") else key.encode())
    assert counts(rig.run()) == {"requeued": 4}
    assert rig.s3.keys("wait/") == sorted(f"wait/{key}" for key in go)
    assert counts(rig.run(pattern="*")) == {"requeued": 2, "skipped": 1}
    assert rig.s3.keys("processing/") == ["processing/sub/"]


def test_metadata_tags_and_class_stay(rig: Rig) -> None:
    rig.s3.put(
        "processing/a-request.json", b"a", metadata={"order": "7"}, tags={"team": "ops"},
        extra={"ContentType": "application/json", "StorageClass": "STANDARD_IA"},
    )  # fmt: skip
    rig.run(max_attempts=3, failed_prefix="failed/")
    found = rig.s3.objects["wait/a-request.json"]
    assert (found.metadata, found.tags) == ({"order": "7", ATTEMPTS: "1"}, {"team": "ops"})
    assert found.extra == {"ContentType": "application/json", "StorageClass": "STANDARD_IA"}


def test_tried_too_often(rig: Rig) -> None:
    for number in range(3):
        report = rig.run(max_attempts=2, failed_prefix="failed/")
        if number == 0:
            assert counts(report) == {}
            rig.s3.put("processing/a-request.json", b"poison")
            report = rig.run(max_attempts=2, failed_prefix="failed/")
        assert counts(report) == ({"quarantined": 1} if number == 2 else {"requeued": 1})
        if number < 2:
            stored = rig.s3.objects.pop("wait/a-request.json")
            rig.s3.objects["processing/a-request.json"] = stored
    assert rig.s3.keys() == ["failed/a-request.json"]


def test_only_this_owner_s_work(rig: Rig) -> None:
    rig.s3.put("processing/hub-a/1-request.json", b"1")
    rig.s3.put("processing/hub-ab/2-request.json", b"2")
    assert counts(rig.run(owner="hub-a")) == {"requeued": 1}
    assert rig.s3.keys() == ["processing/hub-ab/2-request.json", "wait/1-request.json"]


def test_only_this_owner_s_work_by_metadata(rig: Rig) -> None:
    rig.s3.put("processing/1-request.json", b"1", metadata={OWNER: "hub-a"})
    rig.s3.put("processing/2-request.json", b"2", metadata={OWNER: "hub-b"})
    assert counts(rig.run(owner="hub-a", owner_in="metadata")) == {"requeued": 1, "skipped": 1}
    assert rig.s3.keys() == ["processing/2-request.json", "wait/1-request.json"]
    assert rig.s3.objects["wait/1-request.json"].metadata == {}


def test_the_young_stay(rig: Rig) -> None:
    rig.s3.put("processing/1-request.json", b"1", modified=0.0)
    rig.s3.put("processing/2-request.json", b"2", modified=100.0)
    rig.s3.now = 130.0
    assert counts(rig.run(min_age=60)) == {"requeued": 1, "skipped": 1}
    assert rig.s3.keys() == ["processing/2-request.json", "wait/1-request.json"]


# -- large objects


LARGE = {
    "metadata": {"order": "7"}, "tags": {"team": "ops"},
    "extra": {"ContentType": "application/json", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"},
}  # fmt: skip


def test_a_large_object_is_copied_in_parts_and_stays_what_it_was(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hotstandby.ops.plugins.module_utils import requeue_move

    plain = requeue_move.copy_large
    monkeypatch.setattr(requeue_move, "copy_large", lambda *args: plain(*args, smallest=10))
    rig.s3.put("processing/a-request.json", b"x" * 95, etag='"abc-9"', **LARGE)
    rig.s3.put("processing/b-request.json", b"small")
    assert counts(rig.run(large=50)) == {"requeued": 2}
    found = rig.s3.objects["wait/a-request.json"]
    assert (found.body, found.metadata, found.tags, found.extra) == (b"x" * 95, *LARGE.values())
    assert len(rig.s3.part_copied) == 10 and rig.s3.part_copied[-1] == "bytes=90-94"
    assert not rig.s3.uploads and not rig.s3.keys("processing/")


@pytest.mark.parametrize(
    "call", ["GetObjectTagging", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"]
)
def test_a_large_copy_that_fails_leaves_no_upload_and_the_source(rig: Rig, call: str) -> None:
    rig.s3.put("processing/a-request.json", b"x" * 95, **LARGE)
    rig.s3.hook = denied(call)
    report = rig.run(large=50)
    assert (
        counts(report) == {"failed": 1} and call in report.first_failure and "right" in report.first_failure
    )
    assert not rig.s3.uploads and rig.s3.keys() == ["processing/a-request.json"]


def test_an_upload_that_a_kill_left_behind_is_cleared(rig: Rig) -> None:
    rig.s3.put("processing/a-request.json", b"x" * 95, **LARGE)

    def kill(operation: str, _arguments: Any, done: bool) -> None:
        if operation in ("UploadPartCopy", "AbortMultipartUpload") and not done:
            raise Crash

    rig.s3.hook = kill
    with pytest.raises(Crash):
        rig.run(large=50)
    assert len(rig.s3.uploads) == 1
    rig.s3.hook = lambda *_call: None
    assert counts(rig.run(large=50)) == {"requeued": 1}
    assert not rig.s3.uploads and rig.s3.keys() == ["wait/a-request.json"]


def test_an_upload_of_somebody_else_to_the_same_key_is_left_alone(rig: Rig) -> None:
    rig.s3.put(
        "processing/a-request.json", b"x" * 95, etag='"abc-9"', extra={"ContentType": "application/json"}
    )
    target = {"Bucket": "requests", "Key": "wait/a-request.json"}
    bare = rig.s3.create_multipart_upload(**target)["UploadId"]
    full = rig.s3.create_multipart_upload(**target)["UploadId"]
    rig.s3.upload_part(**target, UploadId=full, PartNumber=10_000, Body=b"the last part of somebody's own")
    length = len(mark(Listed("processing/a-request.json", '"abc-9"', 95, 0.0)))
    same = rig.s3.create_multipart_upload(**target)["UploadId"]
    rig.s3.upload_part(**target, UploadId=same, PartNumber=10_000, Body=b"?" * length)
    assert counts(rig.run(large=50)) == {"requeued": 1}
    assert sorted(rig.s3.uploads) == sorted([bare, full, same]) and "wait/a-request.json" in rig.s3.objects


def test_an_upload_that_another_requeue_has_ended_is_no_failure(rig: Rig) -> None:
    rig.s3.put("processing/a-request.json", b"x" * 95, **LARGE)

    def end(operation: str, _arguments: Any, done: bool) -> None:
        if operation == "UploadPartCopy" and not done:
            rig.s3.uploads.clear()

    rig.s3.hook = end
    assert counts(rig.run(large=50)) == {"skipped": 1} and rig.s3.keys() == ["processing/a-request.json"]


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_completion_whose_answer_is_lost_is_looked_up(rig: Rig, encrypted: bool) -> None:
    extra = {"ServerSideEncryption": "aws:kms"} if encrypted else {}
    rig.s3.put("processing/a-request.json", b"x" * 95, etag='"abc-9"', extra=extra)

    def lose(operation: str, _arguments: Any, done: bool) -> None:
        if done and operation == "CompleteMultipartUpload" and rig.s3.count(operation) == 1:
            raise client_error("InternalError", operation, 500)

    rig.s3.hook = lose
    assert counts(rig.run(large=50)) == {"requeued": 1}
    assert rig.s3.keys() == ["wait/a-request.json"] and rig.s3.count("GetObject") == 0
