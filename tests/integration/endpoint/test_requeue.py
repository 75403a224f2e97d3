# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""s3_requeue through boto3 and HTTP: the reported faults O7 to O10, rights, regions, and stores of other kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY, REGION
from tests.unit.modules import conftest as modules

run_module = modules.run_module
Requeue = Callable[..., dict[str, Any]]
MIB = 1 << 20
TARGET = "wait/a-request.json"
SOURCE = "processing/a-request.json"


@pytest.fixture
def s3(endpoint: Endpoint, client: Any) -> Iterator[Any]:
    """A client, and the empty bucket `requests`."""
    from moto.backends import get_backend

    found = client("s3")
    found.create_bucket(Bucket="requests", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield found
    endpoint.faults.clear()
    endpoint.aliases.clear()
    endpoint.conditions = True
    get_backend("s3").reset()
    assert endpoint.unimplemented == []


@pytest.fixture
def requeue(endpoint: Endpoint, run_module: Any) -> Requeue:
    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "bucket": "requests", "region": REGION, "endpoint_url": endpoint.url, "access_key": KEY,
            "secret_key": "secret", **options,
        }  # fmt: skip
        found: dict[str, Any] = run_module("s3_requeue", check=check, **given)
        return found

    return run


def keys(s3: Any, prefix: str = "") -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="requests", Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def put(s3: Any, key: str, body: bytes = b"{}", **more: Any) -> None:
    s3.put_object(Bucket="requests", Key=key, Body=body, **more)


def body(s3: Any, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket="requests", Key=key)["Body"].read()
    return found


@pytest.mark.parametrize("bucket", ["requests", "requests-ap-1234-s3alias"])
def test_o7_moving_onto_itself_is_refused(s3: Any, endpoint: Endpoint, requeue: Requeue, bucket: str) -> None:
    endpoint.aliases["requests-ap-1234-s3alias"] = "requests"
    large = b"x" * (9 * MIB)
    put(s3, SOURCE, large)
    endpoint.clear_calls()
    within = {"source_prefix": "processing/a/", "target_prefix": "processing/"}
    for prefixes in ({"target_prefix": "processing/"}, {"target_prefix": "processing"}, within):
        found = requeue(bucket=bucket, **prefixes)
        assert found["failed"] is True and "target_prefix" in found["msg"], found
    assert endpoint.calls == []
    assert hashlib.sha256(body(s3, SOURCE)).digest() == hashlib.sha256(large).digest()
    # by its other name the bucket is the same, and the move between prefixes is harmless
    assert requeue(bucket=bucket)["requeued"] == 1
    assert keys(s3) == [TARGET] and body(s3, TARGET) == large


def test_o8_large_copies_keep_tags_and_metadata(s3: Any, endpoint: Endpoint, requeue: Requeue) -> None:
    for size in (1024, 9 * MIB):
        put(s3, f"processing/{size}-request.json", b"y" * size, Metadata={"order": "7"}, Tagging="team=ops",
            ContentType="application/json")  # fmt: skip
    endpoint.faults.deny.add((KEY, "s3:GetObjectTagging"))
    found = requeue()
    assert found["failed"] is True and "2 failed" in found["msg"] and "right" in found["msg"], found
    assert len(keys(s3, "processing/")) == 2 and keys(s3, "wait/") == []
    endpoint.faults.deny.clear()
    assert requeue()["requeued"] == 2
    for size in (1024, 9 * MIB):
        head = s3.head_object(Bucket="requests", Key=f"wait/{size}-request.json")
        assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == (
            {"order": "7"},
            "application/json",
            size,
        )
        tags = s3.get_object_tagging(Bucket="requests", Key=f"wait/{size}-request.json")["TagSet"]
        assert tags == [{"Key": "team", "Value": "ops"}]


def test_o9_1001_objects_and_slow_down(s3: Any, endpoint: Endpoint, requeue: Requeue) -> None:
    for number in range(1001):
        put(s3, f"processing/{number:05}-request.json", b"%d" % number)
    endpoint.faults.burst["s3"] = 1
    found = requeue()
    assert (found["requeued"], found["conditional"], found["changed"]) == (1001, True, True), found["msg"]
    assert len(keys(s3, "wait/")) == 1001 and keys(s3, "processing/") == []
    # two pages, two batches, four to find out about the store, and the one that was refused
    assert found["requests"] == 1001 + 2 + 2 + 4 + 1 and len(found["objects"]) == 1000


def test_o10_special_keys(s3: Any, requeue: Requeue) -> None:
    moved = ["c d+1-request.json", "注文[1]-request.json", "sub/b-request.json", "./dot-request.json",
             "a//b-request.json", "q&<>\"'%25?#-request.json"]  # fmt: skip
    stay = ["x-request.json.tmp", "t-request.json ", "sub/"]
    for key in moved + stay:
        put(s3, f"processing/{key}", b"" if key.endswith("/") else key.encode())
    planned = requeue(check=True)
    assert (planned["requeued"], planned["changed"], keys(s3, "wait/")) == (len(moved), True, [])
    assert requeue()["requeued"] == len(moved)
    assert sorted(keys(s3, "wait/")) == sorted(f"wait/{key}" for key in moved)
    assert sorted(keys(s3, "processing/")) == sorted(f"processing/{key}" for key in stay)
    assert all(body(s3, f"wait/{key}") == key.encode() for key in moved)
    again = requeue()
    assert (again["changed"], again["requeued"], again["requests"]) == (False, 0, 1)


def test_nothing_is_overwritten(s3: Any, requeue: Requeue) -> None:
    put(s3, SOURCE, b"new")
    put(s3, TARGET, b"old")
    left = requeue(on_conflict="fail")
    assert left["failed"] is True and "on_conflict" in left["msg"] and len(keys(s3)) == 2
    found = requeue()
    assert (found["requeued"], found["conflicts"]) == (1, 1)
    assert sorted(body(s3, key) for key in keys(s3, "wait/")) == [b"new", b"old"]


def test_denied_keys_are_reported_and_the_rest_moves(s3: Any, endpoint: Endpoint, requeue: Requeue) -> None:
    for name in "abc":
        put(s3, f"processing/{name}-request.json", name.encode())
    endpoint.faults.denied_keys.add("requests/processing/b-request.json")
    found = requeue()
    assert found["failed"] is True and "2 went back to waiting, 1 failed" in found["msg"], found
    assert keys(s3) == ["processing/b-request.json", TARGET, "wait/c-request.json"]


def test_what_ends_a_run(s3: Any, endpoint: Endpoint, requeue: Requeue) -> None:
    put(s3, SOURCE)
    assert "bucket: missing does not exist" in requeue(bucket="missing")["msg"]
    endpoint.faults.expired.add(KEY)
    assert "expired" in requeue()["msg"]
    endpoint.faults.clear()
    assert "workers: must be between 1 and 64" in requeue(workers=0)["msg"]
    assert keys(s3) == [SOURCE]


def test_a_bucket_in_another_region(s3: Any, requeue: Requeue) -> None:
    put(s3, SOURCE)
    found = requeue(region="eu-west-1")
    # boto3 follows where the store points to; what it cannot follow is named
    assert found["requeued"] == 1 if not found.get("failed") else "region" in found["msg"]


def test_a_store_without_conditions(s3: Any, endpoint: Endpoint, requeue: Requeue) -> None:
    endpoint.conditions = False
    for name in "abcd":
        put(s3, f"processing/{name}-request.json", name.encode())
    put(s3, "wait/c-request.json", b"waits")
    found = requeue()
    assert (found["requeued"], found["conflicts"], found["conditional"]) == (4, 1, False), found
    assert keys(s3, "processing/") == []
    assert sorted(body(s3, key) for key in keys(s3)) == [b"a", b"b", b"c", b"d", b"waits"]


def test_a_versioned_bucket(s3: Any, requeue: Requeue) -> None:
    s3.put_bucket_versioning(Bucket="requests", VersioningConfiguration={"Status": "Enabled"})
    put(s3, SOURCE, b"old")
    put(s3, SOURCE, b"new")
    assert requeue()["requeued"] == 1
    assert keys(s3) == [TARGET] and body(s3, TARGET) == b"new"
    versions = s3.list_object_versions(Bucket="requests", Prefix="processing/")
    assert len(versions["Versions"]) == 2 and len(versions["DeleteMarkers"]) == 1
    put(s3, SOURCE, b"again")
    assert requeue()["requeued"] == 1 and len(keys(s3, "wait/")) == 2


def test_encryption_with_a_key_stays_where_it_is_looked_at(s3: Any, requeue: Requeue) -> None:
    put(s3, SOURCE, b"secret", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/requests")
    assert requeue(max_attempts=2, failed_prefix="failed/", requester_pays=True)["requeued"] == 1
    head = s3.head_object(Bucket="requests", Key=TARGET)
    assert (head["ServerSideEncryption"], head["Metadata"]) == ("aws:kms", {"hotstandby-attempts": "1"})
    assert head["SSEKMSKeyId"].endswith("alias/requests")


def test_in_parts(s3: Any, endpoint: Endpoint) -> None:
    import time

    from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import Listed
    from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_large import (
        MARK_NUMBER,
        copy_large,
        mark,
    )
    from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_s3 import Bucket, Unmet

    put(
        s3,
        SOURCE,
        b"z" * (11 * MIB),
        Metadata={"order": "7"},
        Tagging="team=ops%20a",
        ContentType="text/plain",
    )
    head = s3.head_object(Bucket="requests", Key=SOURCE)
    listed = Listed(SOURCE, head["ETag"], 11 * MIB, 0.0)
    bucket = Bucket(s3, "requests", time.sleep)
    others = s3.create_multipart_upload(Bucket="requests", Key=TARGET)["UploadId"]
    s3.upload_part(Bucket="requests", Key=TARGET, UploadId=others, PartNumber=1, Body=b"somebody's own")
    killed = s3.create_multipart_upload(Bucket="requests", Key=TARGET)["UploadId"]
    s3.upload_part(
        Bucket="requests", Key=TARGET, UploadId=killed, PartNumber=MARK_NUMBER, Body=mark(listed)
    )  # fmt: skip
    copy_large(bucket, listed, TARGET, None, smallest=5 * MIB)
    found = s3.head_object(Bucket="requests", Key=TARGET)
    assert (found["Metadata"], found["ContentType"], body(s3, TARGET)) == (
        {"order": "7"},
        "text/plain",
        b"z" * (11 * MIB),
    )
    assert s3.get_object_tagging(Bucket="requests", Key=TARGET)["TagSet"] == [
        {"Key": "team", "Value": "ops a"}
    ]
    with pytest.raises(Unmet):
        copy_large(bucket, listed, TARGET, None, smallest=5 * MIB)
    endpoint.faults.deny.add((KEY, "s3:UploadPartCopy"))
    with pytest.raises(Exception, match="right"):
        copy_large(bucket, listed, "wait/b-request.json", None, smallest=5 * MIB)
    # what a killed run left is gone, what is not ours stays
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket="requests")["Uploads"]] == [
        others
    ]


# -- the endpoint itself


def test_conditions_of_the_endpoint(s3: Any, code: Any) -> None:
    put(s3, "a", b"1")
    put(s3, "b", b"2")
    etag = s3.head_object(Bucket="requests", Key="a")["ETag"]
    copy = {"Bucket": "requests", "CopySource": "requests/a"}
    assert code(s3.copy_object, Key="b", IfNoneMatch="*", **copy) == "PreconditionFailed"
    assert code(s3.copy_object, Key="c", CopySourceIfMatch='"0"', **copy) == "PreconditionFailed"
    s3.copy_object(Key="c", IfNoneMatch="*", CopySourceIfMatch=etag, **copy)
    assert code(s3.delete_object, Bucket="requests", Key="none", IfMatch='"0"') == "NoSuchKey"
    assert code(s3.delete_object, Bucket="requests", Key="b", IfMatch=etag) == "PreconditionFailed"
    objects = [
        {"Key": "a", "ETag": etag},
        {"Key": "b", "ETag": etag},
        {"Key": "none", "ETag": etag},
        {"Key": "c"},
    ]
    answer = s3.delete_objects(Bucket="requests", Delete={"Objects": objects})
    assert {item["Key"] for item in answer["Deleted"]} == {"a", "c"}
    assert {item["Key"]: item["Code"] for item in answer["Errors"]} == {
        "b": "PreconditionFailed",
        "none": "NoSuchKey",
    }
    assert keys(s3) == ["b"]
    upload = s3.create_multipart_upload(Bucket="requests", Key="b")["UploadId"]
    part = {"Bucket": "requests", "Key": "b", "UploadId": upload}
    assert code(s3.upload_part_copy, PartNumber=1, CopySource="requests/b", CopySourceIfMatch='"0"', **part) == "PreconditionFailed"  # fmt: skip
    done = s3.upload_part(PartNumber=1, Body=b"x", **part)
    parts = {"Parts": [{"PartNumber": 1, "ETag": done["ETag"]}]}
    assert (
        code(s3.complete_multipart_upload, MultipartUpload=parts, IfNoneMatch="*", **part)
        == "PreconditionFailed"
    )
    s3.abort_multipart_upload(**part)


def test_a_wrong_region_is_pointed_elsewhere(s3: Any, endpoint: Endpoint) -> None:
    import boto3
    from botocore.config import Config

    other = boto3.session.Session(KEY, "secret", region_name="eu-west-1").client(
        "s3", endpoint_url=endpoint.url, config=Config(s3={"addressing_style": "path"})
    )
    endpoint.clear_calls()
    assert other.list_objects_v2(Bucket="requests")["KeyCount"] == 0
    assert 301 in [call.status for call in endpoint.calls]
