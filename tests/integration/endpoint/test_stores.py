# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DynamoDB, CloudWatch, S3 and instance metadata."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

KEY = {"pair": {"S": "p"}, "item": {"S": "record"}}
PAIR = [{"Name": "Pair", "Value": "p"}]


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="stores",
        KeySchema=[
            {"AttributeName": "pair", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pair", "item")],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "stores"
    dynamodb.update_table(TableName="stores", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="stores")


def test_one_winner(endpoint: Any, client: Any, table: str) -> None:
    from botocore.exceptions import ClientError

    dynamodb = client("dynamodb")
    dynamodb.put_item(TableName=table, Item={**KEY, "n": {"N": "0"}})
    won: list[int] = []

    def contend(number: int, at: int, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            dynamodb.update_item(
                TableName=table,
                Key=KEY,
                UpdateExpression="SET n = :next",
                ConditionExpression="n = :now",
                ExpressionAttributeValues={":now": {"N": str(at)}, ":next": {"N": str(at + 1)}},
            )
            won.append(number)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"

    for at in range(15):
        gate = threading.Barrier(6)
        threads = [threading.Thread(target=contend, args=(number, at, gate)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == at + 1
    call = endpoint.calls[-1]
    assert (call.action, call.write, call.target) == ("UpdateItem", True, "stores/item=record,pair=p")


def test_protection_and_backups(client: Any, code: Any, table: str) -> None:
    dynamodb = client("dynamodb")

    def recovery() -> str:
        found = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        return str(found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"])

    assert recovery() == "DISABLED"
    dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    assert recovery() == "ENABLED"
    assert dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"] is False
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    assert dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"] is True
    assert code(dynamodb.delete_table, TableName=table) in ("ValidationException", "ResourceInUseException")


def test_a_new_table_takes_its_time(endpoint: Any, client: Any, code: Any, until: Any) -> None:
    dynamodb = client("dynamodb")
    endpoint.table_seconds = 0.3
    made = dynamodb.create_table(
        TableName="slow",
        KeySchema=[{"AttributeName": "pair", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pair", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]
    assert made["TableStatus"] == "CREATING"

    def status() -> str:
        return str(dynamodb.describe_table(TableName="slow")["Table"]["TableStatus"])

    assert status() == "CREATING"
    assert code(dynamodb.get_item, TableName="slow", Key={"pair": {"S": "p"}}) == "ResourceNotFoundException"
    recovery = {"PointInTimeRecoveryEnabled": True}
    early = code(
        dynamodb.update_continuous_backups, TableName="slow", PointInTimeRecoverySpecification=recovery
    )
    assert early == "ContinuousBackupsUnavailableException"
    assert code(dynamodb.delete_table, TableName="slow") == "ResourceInUseException"
    until(lambda: status() == "ACTIVE")
    dynamodb.update_continuous_backups(TableName="slow", PointInTimeRecoverySpecification=recovery)
    dynamodb.delete_table(TableName="slow")
    endpoint.table_seconds = 0.0


def test_replicas(endpoint: Any, client: Any, table: str) -> None:
    dynamodb = client("dynamodb")

    def replicas() -> list[str]:
        found = dynamodb.describe_table(TableName=table)["Table"].get("Replicas", [])
        return [one["RegionName"] for one in found]

    assert replicas() == []
    dynamodb.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])
    assert replicas() == ["eu-west-1"]
    endpoint.replicas[table] = {"us-east-1", "us-west-2"}
    assert replicas() == ["us-east-1", "us-west-2"]
    endpoint.replicas.clear()
    assert replicas() == []


def test_reset_empties_tables(endpoint: Any, client: Any, table: str) -> None:
    dynamodb = client("dynamodb")
    dynamodb.put_item(TableName=table, Item=KEY)
    endpoint.reset_state()
    assert "Item" not in dynamodb.get_item(TableName=table, Key=KEY)
    assert table in dynamodb.list_tables()["TableNames"]
    dynamodb.put_item(TableName=table, Item=KEY)
    assert dynamodb.scan(TableName=table)["Count"] == 1


# -- CloudWatch


def put(client: Any, value: float, when: datetime | None = None, dimensions: Any = None) -> None:
    datum = {
        "MetricName": "Unhealthy",
        "Value": value,
        "Dimensions": PAIR if dimensions is None else dimensions,
        "Unit": "None",
    }
    if when:
        datum["Timestamp"] = when
    client("cloudwatch").put_metric_data(Namespace="HotStandby", MetricData=[datum])


def points(client: Any, dimensions: Any = None) -> list[float]:
    now = datetime.now(timezone.utc)
    found = client("cloudwatch").get_metric_statistics(
        Namespace="HotStandby",
        MetricName="Unhealthy",
        Dimensions=PAIR if dimensions is None else dimensions,
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum", "SampleCount"],
    )["Datapoints"]
    return [one["Maximum"] for one in sorted(found, key=lambda one: one["Timestamp"])]


def test_metrics(client: Any, code: Any) -> None:
    now = datetime.now(timezone.utc)
    put(client, 0, now - timedelta(minutes=5))
    put(client, 1, now - timedelta(minutes=3))
    put(client, 5, now, dimensions=[{"Name": "Pair", "Value": "other"}])
    put(client, 7, now, dimensions=[])
    assert points(client) == [0, 1]
    assert points(client, []) == [7]  # a metric without dimensions is one of its own
    assert points(client, [*PAIR, {"Name": "Node", "Value": "a"}]) == []
    put(client, 1, now - timedelta(hours=1))
    assert points(client) == [0, 1]
    cloudwatch = client("cloudwatch")
    datum = {"MetricName": "Unhealthy", "Value": 1.0, "Timestamp": now + timedelta(hours=3)}
    assert (
        code(cloudwatch.put_metric_data, Namespace="HotStandby", MetricData=[datum])
        == "InvalidParameterValue"
    )


def alarm(client: Any, **more: Any) -> dict[str, Any]:
    cloudwatch = client("cloudwatch")
    facts = {
        "AlarmName": "hub-prod",
        "Namespace": "HotStandby",
        "MetricName": "Unhealthy",
        "Dimensions": PAIR,
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 2,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "breaching",
    }
    cloudwatch.put_metric_alarm(**{**facts, **more})
    return dict(cloudwatch.describe_alarms(AlarmNames=["hub-prod"])["MetricAlarms"][0])


def test_alarms(client: Any, code: Any) -> None:
    cloudwatch = client("cloudwatch")
    found = alarm(client)
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert (found["TreatMissingData"], found["DatapointsToAlarm"]) == ("breaching", 2)
    cloudwatch.set_alarm_state(AlarmName="hub-prod", StateValue="ALARM", StateReason="a test")
    assert alarm(client, Threshold=0.5)["StateValue"] == "ALARM"  # a change leaves the state alone
    assert code(cloudwatch.set_alarm_state, AlarmName="none", StateValue="OK", StateReason="x") in (
        "ResourceNotFound",
        "ResourceNotFoundException",
    )
    wanted = {"Namespace": "HotStandby", "MetricName": "Unhealthy"}
    assert len(cloudwatch.describe_alarms_for_metric(**wanted, Dimensions=PAIR)["MetricAlarms"]) == 1
    assert cloudwatch.describe_alarms_for_metric(**wanted)["MetricAlarms"] == []
    cloudwatch.delete_alarms(AlarmNames=["hub-prod"])
    assert cloudwatch.describe_alarms(AlarmNames=["hub-prod"])["MetricAlarms"] == []


def test_the_older_protocol_of_cloudwatch(endpoint: Any, client: Any) -> None:
    """boto3 of Debian 12 speaks the query protocol."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    form = (
        "Action=PutMetricData&Version=2010-08-01&Namespace=HotStandby&MetricData.member.1.MetricName=Unhealthy"
        "&MetricData.member.1.Value=1&MetricData.member.1.Dimensions.member.1.Name=Pair"
        "&MetricData.member.1.Dimensions.member.1.Value=p"
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest("POST", endpoint.url + "/", headers=headers, data=form)
    key = next(iter(endpoint.keys))
    SigV4Auth(Credentials(key, "secret"), "monitoring", "ap-northeast-1").add_auth(request)
    sent = urllib.request.Request(endpoint.url + "/", data=form.encode(), headers=dict(request.headers))
    assert urllib.request.urlopen(sent).status == 200
    assert (endpoint.calls[-1].action, endpoint.calls[-1].write) == ("PutMetricData", True)
    assert points(client) == [1]


# -- S3


def test_objects(endpoint: Any, client: Any, code: Any) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="requests", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    s3.put_object(Bucket="requests", Key="processing/a request.json", Body=b"x" * 70_000)
    assert (endpoint.calls[-1].action, endpoint.calls[-1].target) == (
        "PutObject",
        "requests/processing/a request.json",
    )
    s3.copy_object(Bucket="requests", Key="wait/日本.json", CopySource="requests/processing/a request.json")
    s3.delete_object(Bucket="requests", Key="processing/a request.json")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="requests")["Contents"]] == ["wait/日本.json"]
    assert s3.get_object(Bucket="requests", Key="wait/日本.json")["Body"].read() == b"x" * 70_000
    assert s3.head_object(Bucket="requests", Key="wait/日本.json")["ContentLength"] == 70_000
    assert endpoint.calls[-1].write is False
    assert (
        code(s3.put_object, Bucket="requests", Key="wait/日本.json", Body=b"y", IfNoneMatch="*")
        == "PreconditionFailed"
    )
    assert code(s3.get_object, Bucket="requests", Key="none") == "NoSuchKey"
    s3.delete_objects(Bucket="requests", Delete={"Objects": [{"Key": "wait/日本.json"}]})
    s3.delete_bucket(Bucket="requests")


# -- instance metadata


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=named)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_metadata_wants_a_token(endpoint: Any) -> None:
    url = endpoint.add_metadata("i-0aaaaaaaaaaaaaaaa", "AKIANODEA00000000000", "secret", "ap-northeast-1")
    assert ask(f"{url}/latest/meta-data/instance-id")[0] == 401
    assert ask(f"{url}/latest/meta-data/instance-id", X_aws_ec2_metadata_token="guess")[0] == 401
    assert ask(f"{url}/latest/api/token", "PUT")[0] == 400
    assert ask(f"{url}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="99999")[0] == 400
    status, token = ask(f"{url}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    assert status == 200

    def get(path: str) -> tuple[int, str]:
        return ask(f"{url}/latest/meta-data/{path}", X_aws_ec2_metadata_token=token)

    assert get("instance-id") == (200, "i-0aaaaaaaaaaaaaaaa")
    assert get("placement/region") == (200, "ap-northeast-1")
    assert get("nothing")[0] == 404
    endpoint.remove_metadata("i-0aaaaaaaaaaaaaaaa")
    with pytest.raises(OSError):
        ask(f"{url}/latest/api/token", "PUT")


def test_boto3_takes_its_credentials_from_there(endpoint: Any, monkeypatch: Any) -> None:
    import botocore.session

    from sandbox.endpoint import Caller

    instance_id = "i-0aaaaaaaaaaaaaaaa"
    endpoint.keys["AKIANODEA00000000000"] = Caller("hub-a", "node", instance_id)
    url = endpoint.add_metadata(instance_id, "AKIANODEA00000000000", "secret", "ap-northeast-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
    sts = botocore.session.Session().create_client(
        "sts", region_name="ap-northeast-1", endpoint_url=endpoint.url
    )
    assert sts.get_caller_identity()["Arn"].endswith(f"hotstandby-node/{instance_id}")
    assert endpoint.calls[-1].caller == "hub-a"
    endpoint.remove_metadata(instance_id)
