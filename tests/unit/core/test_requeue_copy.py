# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies that go past botocore: what they send is what botocore would, and what is not understood is left to it."""

from __future__ import annotations

import datetime
from typing import Any

import boto3
import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import is_passing
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_copy import TRIES, Copies, short_copies
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_hook import teach_conditions
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import ClientError

REGION = "ap-northeast-1"
DONE = (
    b'<?xml version="1.0"?><CopyObjectResult><LastModified>2026-01-02T03:04:05.000Z</LastModified>'
    b"<ETag>&quot;abc&quot;</ETag></CopyObjectResult>"
)
OWN = {"amz-sdk-invocation-id", "amz-sdk-request", "x-amz-date", "authorization", "host", "content-length"}


def refusal(code: str) -> bytes:
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>it says &amp; so</Message></Error>".encode()
    )


class Wire:
    """In place of the network below botocore: keeps what is sent, answers what a test wants."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answers: list[tuple[int, bytes]] = []

    def send(self, request: Any) -> Any:
        self.sent.append(request)
        status, body = self.answers.pop(0) if self.answers else (200, DONE)
        raw = type("Raw", (), {"stream": lambda *_a, **_k: iter([body])})()
        return AWSResponse(request.url, status, {"date": "Wed, 25 Nov 2026 18:38:25 GMT"}, raw)


class Rig:
    """A boto3 client on a wire, with its copies made short."""

    def __init__(
        self, endpoint: str = "", token: str = "", region: str = REGION, signature: Any = None, **s3: Any
    ) -> None:
        client = boto3.session.Session("AKID", "secret/+", token or None, region).client(
            "s3",
            endpoint_url=endpoint or None,
            config=Config(
                s3=s3, signature_version=signature, retries={"total_max_attempts": 1, "mode": "standard"}
            ),
        )
        self.wire, self.again = Wire(), 0
        client._endpoint.http_session = self.wire
        self.client = client
        self.short: Any = short_copies(teach_conditions(client), self._asked_again)

    def _asked_again(self) -> None:
        self.again += 1

    def copy(
        self, to: str = "wait/a", source: str = "processing/a", bucket: str = "requests", **more: Any
    ) -> Any:
        given = {
            "CopySource": {"Bucket": bucket, "Key": source},
            "CopySourceIfMatch": '"x"',
            "IfNoneMatch": "*",
        }
        return self.short.copy_object(Bucket=bucket, Key=to, **{**given, **more})

    def shortly(self, number: int = -1) -> bool:
        """Whether a request went the short way: botocore's own carry an id of theirs."""
        return "amz-sdk-invocation-id" not in {name.lower() for name in self.wire.sent[number].headers}


def headers(request: Any) -> dict[str, str]:
    return {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }


ALIAS = "requests-x1y2-s3alias"
POINT = f"arn:aws:s3:{REGION}:123456789012:accesspoint/requests"


@pytest.mark.parametrize(
    "form",
    [
        {}, {"token": "a+token/with=signs"}, {"endpoint": "http://127.0.0.1:9000", "addressing_style": "path"},
        {"bucket": ALIAS}, {"bucket": POINT}, {"region": "us-east-1"}, {"use_dualstack_endpoint": True},
        {"endpoint": "https://minio.example:9000/below", "addressing_style": "path"},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "key", ["a-request.json", "注文[1] +~request.json", "./dot-request.json", "a//b-request.json", "50%?#&=x"]
)
def test_it_sends_what_botocore_sends(form: dict[str, Any], key: str) -> None:
    bucket = form.get("bucket", "requests")
    rig = Rig(**{name: value for name, value in form.items() if name != "bucket"})
    more = {"StorageClass": "STANDARD_IA", "RequestPayer": "requester"}
    assert rig.copy("wait/first", "processing/first", bucket) and not rig.shortly()
    answer = rig.copy(f"wait/{key}", f"processing/{key}", bucket, **more)
    assert answer["CopyObjectResult"]["ETag"] == '"abc"' and rig.shortly() and rig.again == 0
    short = rig.wire.sent[-1]
    rig.client.copy_object(
        Bucket=bucket, Key=f"wait/{key}", CopySource={"Bucket": bucket, "Key": f"processing/{key}"},
        CopySourceIfMatch='"x"', IfNoneMatch="*", **more,
    )  # fmt: skip
    plain = rig.wire.sent[-1]
    assert (short.method, short.url, short.body or b"") == (plain.method, plain.url, plain.body or b"")
    one, other = headers(short), headers(plain)
    # over TLS botocore leaves an empty body unsigned; its digest is always right
    ours = {name: value for name, value in one.items() if name not in OWN | {"x-amz-content-sha256"}}
    assert ours == {n: v for n, v in other.items() if n not in OWN | {"x-amz-content-sha256"}}
    scope = one["authorization"].partition("Credential=")[2].partition(",")[0].split("/")
    assert scope[2:] == other["authorization"].partition("Credential=")[2].partition(",")[0].split("/")[2:]
    # botocore's own signer comes to the same signature
    signed = {name: value for name, value in one.items() if name not in ("authorization", "content-length")}
    request = AWSRequest("PUT", short.url, signed, b"")
    request.context["timestamp"] = one["x-amz-date"]
    signer = S3SigV4Auth(Credentials("AKID", "secret/+", form.get("token")), scope[3], scope[2])
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert one["authorization"].endswith(f"Signature={expected}")


@pytest.mark.parametrize(
    ("status", "code", "told", "passing"),
    [
        (412, "PreconditionFailed", 412, False), (404, "NoSuchKey", 404, False), (403, "AccessDenied", 403, False),
        (503, "SlowDown", 503, True), (500, "InternalError", 500, True), (409, "ConditionalRequestConflict", 409, False),
        (200, "InternalError", 500, True), (200, "SlowDown", 500, True),
    ],
)  # fmt: skip
def test_a_refusal_is_told_as_botocore_tells_it(status: int, code: str, told: int, passing: bool) -> None:
    rig = Rig()
    rig.copy()
    rig.wire.answers = [(status, refusal(code))]
    with pytest.raises(ClientError, match="it says & so") as found:
        rig.copy()
    assert rig.shortly() and len(rig.wire.sent) == 2
    assert found.value.response["Error"]["Code"] == code
    assert found.value.response["ResponseMetadata"]["HTTPStatusCode"] == told
    assert is_passing(found.value) == passing
    rig.copy()
    assert rig.shortly()


@pytest.mark.parametrize(
    ("status", "body"),
    [(307, b""), (400, refusal("ExpiredToken")), (403, refusal("SignatureDoesNotMatch")), (200, b"<html>")],
)
def test_what_is_not_understood_is_asked_by_botocore(status: int, body: bytes) -> None:
    rig = Rig()
    rig.copy()
    for _number in range(TRIES):
        rig.wire.answers = [(status, body)]
        assert rig.copy()["CopyObjectResult"]["ETag"] == '"abc"'
    # each wrong form costs one request more, and after three of them nothing goes the short way
    assert rig.again == TRIES
    rig.copy()
    assert not rig.shortly() and rig.again == TRIES


@pytest.mark.parametrize(
    "more",
    [
        {"MetadataDirective": "REPLACE", "Metadata": {"a": "b"}}, {"ServerSideEncryption": "aws:kms"},
        {"CopySource": {"Bucket": "other", "Key": "processing/a"}},
        {"CopySource": {"Bucket": "requests", "Key": "processing/a", "VersionId": "v"}},
    ],
)  # fmt: skip
def test_a_copy_with_more_to_it_is_botocore_s(more: dict[str, Any]) -> None:
    rig = Rig()
    for _number in range(3):
        rig.copy(**more)
        assert not rig.shortly()
    rig.copy()
    rig.copy()
    assert rig.shortly()


def test_a_client_with_headers_of_its_own_stays_with_botocore() -> None:
    rig = Rig()

    def add(params: dict[str, Any], **_event: Any) -> None:
        params["headers"]["x-amz-audit"] = "1"

    rig.client.meta.events.register("before-call.s3.CopyObject", add)
    for _number in range(TRIES + 2):
        rig.copy()
        assert not rig.shortly()


@pytest.mark.parametrize("version", ["s3", UNSIGNED])
def test_another_signature_stays_with_botocore(version: Any) -> None:
    rig = Rig(signature=version)
    for _number in range(3):
        rig.copy()
        assert not rig.shortly()


def test_another_bucket_is_not_copied_in_by_the_form_of_the_first() -> None:
    rig = Rig()
    rig.copy()
    rig.copy(bucket="others")
    assert not rig.shortly() and "others" in rig.wire.sent[-1].url


def test_credentials_are_renewed_when_botocore_would() -> None:
    rig = Rig()
    names = iter(["AKFIRST", "AKSECOND", "AKTHIRD"])
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3600)

    def fetch() -> dict[str, str]:
        return {
            "access_key": next(names), "secret_key": "s", "token": "t", "expiry_time": until.isoformat(),
        }  # fmt: skip

    credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")
    rig.client._request_signer._credentials = credentials
    rig.copy()
    rig.copy()
    assert rig.shortly() and "Credential=AKFIRST/" in headers(rig.wire.sent[-1])["authorization"]
    credentials._expiry_time = datetime.datetime.now(credentials._expiry_time.tzinfo)
    rig.copy()
    assert rig.shortly() and "Credential=AKSECOND/" in headers(rig.wire.sent[-1])["authorization"]
    assert headers(rig.wire.sent[-1])["x-amz-security-token"] == "t" and rig.again == 0


def test_no_client_of_botocore_is_left_as_it_is() -> None:
    client = object()
    assert short_copies(client, lambda: None) is client
    rig = Rig()
    assert isinstance(rig.short, Copies) and rig.short.meta is rig.client.meta
