# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls, what goes wrong on demand, what is not implemented."""

from __future__ import annotations

import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from sandbox.endpoint import Caller, Endpoint

KEY = "AKIACONTROLLER000000"
OTHER = "AKIANODEA00000000000"
CALLS = [
    ("dynamodb", "list_tables", "ListTables"),
    ("ec2", "describe_instances", "DescribeInstances"),
    ("ssm", "list_commands", "ListCommands"),
    ("cloudwatch", "describe_alarms", "DescribeAlarms"),
    ("s3", "list_buckets", "ListBuckets"),
    ("sts", "get_caller_identity", "GetCallerIdentity"),
]
each = pytest.mark.parametrize(("service", "method", "action"), CALLS)
SIGNED = {"cloudwatch": "monitoring"}


@each
def test_an_unknown_key_is_refused(client: Any, service: str, method: str, action: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service, "AKIANOBODY0000000000"), method)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    known = {"UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId"}
    assert caught.value.response["Error"]["Code"] in known


@each
def test_a_call_is_logged_and_dated(
    endpoint: Any, client: Any, service: str, method: str, action: str
) -> None:
    answer = getattr(client(service), method)()
    call = endpoint.calls[-1]
    signed = SIGNED.get(service, service)
    assert (call.service, call.action, call.write, call.status) == (signed, action, False, 200)
    assert (call.key, call.caller) == (KEY, "controller")
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs(date.timestamp() - time.time()) < 3


@each
def test_down_is_503(endpoint: Any, client: Any, service: str, method: str, action: str) -> None:
    endpoint.faults.down.add(SIGNED.get(service, service))
    with pytest.raises(ClientError) as caught:
        getattr(client(service), method)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"


@each
def test_denied(endpoint: Any, client: Any, code: Any, service: str, method: str, action: str) -> None:
    endpoint.faults.deny.add((KEY, f"{service}:{action}"))
    found = code(getattr(client(service), method))
    assert found in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
    endpoint.keys[OTHER] = Caller("a", "node", "i-0aaaaaaaaaaaaaaaa")
    getattr(client(service, OTHER), method)()


@each
def test_every_other_call_is_throttled(
    endpoint: Any, client: Any, service: str, method: str, action: str
) -> None:
    endpoint.faults.throttle = True

    def outcome() -> str:
        try:
            getattr(client(service), method)()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    outcomes = [outcome() for _turn in range(4)]
    assert outcomes.count("") == 2
    assert outcomes[0] == outcomes[2] or outcomes[1] == outcomes[3]
    known = {"ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown"}
    assert {one for one in outcomes if one} <= known


def test_throttled_items_have_dynamodbs_own_error(endpoint: Any, client: Any, code: Any) -> None:
    endpoint.faults.throttle = True
    codes = set()
    for _turn in range(2):
        codes.add(
            code(client("dynamodb").get_item, TableName="none", Key={"pair": {"S": "a"}, "item": {"S": "b"}})
        )
    assert codes == {"ProvisionedThroughputExceededException", "ResourceNotFoundException"}


def test_a_partition_answers_nothing(endpoint: Any, client: Any, post: Any) -> None:
    endpoint.keys[OTHER] = Caller("a", "node", "i-0aaaaaaaaaaaaaaaa")
    endpoint.faults.partitioned.add(OTHER)
    with pytest.raises((ConnectionClosedError, EndpointConnectionError, ReadTimeoutError)):
        client("dynamodb", OTHER).list_tables()
    assert endpoint.calls[-1].status == 0
    with pytest.raises(OSError):
        post("agent/poll", {"key": OTHER, "instance_id": "i-0aaaaaaaaaaaaaaaa"})
    client("dynamodb").list_tables()
    endpoint.faults.partitioned.clear()
    client("dynamodb", OTHER).list_tables()


def test_what_is_not_implemented(endpoint: Any, client: Any) -> None:
    wrong: list[Any] = [
        lambda: client("ssm").list_associations(),
        lambda: client("ec2").describe_network_acls(),
        lambda: client("cloudwatch").describe_alarm_history(),
        lambda: client("s3").get_bucket_acl(Bucket="abc"),
        lambda: client("s3").get_object_acl(Bucket="abc", Key="a"),
        lambda: client("lambda").list_layers(),
        lambda: client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/a", RoleSessionName="ab"),
    ]
    for call in wrong:
        before = len(endpoint.calls)
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert caught.value.response["Error"]["Code"] == "NotImplementedBySandbox"
        assert len(endpoint.calls) == before + 1
    assert "ssm:ListAssociations" in endpoint.unimplemented
    assert len(endpoint.unimplemented) == len(wrong)


def test_501_is_not_tried_again(endpoint: Any) -> None:
    import boto3
    from botocore.config import Config

    for mode in ("standard", "legacy"):
        endpoint.clear_calls()
        config = Config(retries={"mode": mode, "total_max_attempts": 3})
        session = boto3.session.Session(KEY, "secret", region_name="ap-northeast-1")
        with pytest.raises(ClientError):
            session.client("ssm", endpoint_url=endpoint.url, config=config).list_associations()
        assert len(endpoint.calls) == 1


def test_a_presigned_request(client: Any) -> None:
    import urllib.error
    import urllib.request

    s3 = client("s3")
    s3.create_bucket(Bucket="presigned", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    s3.put_object(Bucket="presigned", Key="a/b c.json", Body=b"{}")
    url = s3.generate_presigned_url("get_object", {"Bucket": "presigned", "Key": "a/b c.json"})
    assert urllib.request.urlopen(url).read() == b"{}"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.split("?")[0])
    assert caught.value.code == 403


def test_latency(endpoint: Any, client: Any) -> None:
    endpoint.latency = 0.1
    began = time.monotonic()
    client("sts").get_caller_identity()
    assert time.monotonic() - began >= 0.1


def test_control_and_calls(endpoint: Any, client: Any, post: Any) -> None:
    import json
    import urllib.request

    endpoint.control["world-echo"] = lambda payload: {"echo": payload}
    assert post("world-echo", {"a": 1}) == (200, {"echo": {"a": 1}})
    assert post("nothing", {})[0] == 404
    assert post("world-echo", [1])[0] == 400
    endpoint.control["world-bad"] = lambda payload: {"n": 1 / payload["zero"]}
    assert post("world-bad", {"zero": 0})[0] == 500
    client("sts").get_caller_identity()
    found = json.load(urllib.request.urlopen(f"{endpoint.url}/_sandbox/calls"))
    assert [call["action"] for call in found["calls"]] == ["GetCallerIdentity"]


@pytest.fixture
def table(client: Any) -> Any:
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="front",
        KeySchema=[
            {"AttributeName": "pair", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pair", "item")],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "front"
    dynamodb.delete_table(TableName="front")


def test_a_request_whose_sender_died_on_the_way_is_none(endpoint: Endpoint) -> None:
    where = urlsplit(endpoint.url)
    head = (
        f"POST / HTTP/1.1\r\nHost: {where.netloc}\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/20261130/ap-northeast-1/dynamodb/aws4_request, SignedHeaders=host, "
        "Signature=0\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 400\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + b'{"Table')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert endpoint.calls == [] and endpoint.unimplemented == []
