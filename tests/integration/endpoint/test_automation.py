# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alarms as CloudWatch judges them; events late, twice and refused; functions with their limit, retries and dead letters."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sandbox.endpoint import Caller, Endpoint
from sandbox.endpoint.alarm_model import State, evaluate
from sandbox.endpoint.mended import regions
from sandbox.endpoint.ticker import Ticker
from tests.integration.endpoint.conftest import KEY, REGION

GAP = None


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([0, 1, 0, 1, 0], "ALARM"),
        ([1, 0, 0, 0, 0], "OK"),
        ([GAP, GAP, GAP, GAP, GAP], "ALARM"),
        ([0, 0, 0, 0, 0], "OK"),
        ([0, 0, 0, 0, GAP], "OK"),
        ([0, 0, 0, GAP, GAP], "ALARM"),
        ([1, 0, 0, 0, GAP], "ALARM"),
    ],
)
def test_two_of_five_and_silence_is_bad(values: list[float | None], state: str) -> None:
    assert evaluate(values, 1.0, 2, "breaching", "OK") == state


@pytest.mark.parametrize(
    ("missing", "before", "state"),
    [
        ("missing", "OK", "INSUFFICIENT_DATA"),
        ("ignore", "ALARM", "ALARM"),
        ("notBreaching", "ALARM", "OK"),
        ("breaching", "OK", "ALARM"),
    ],
)
def test_how_silence_is_treated(missing: str, before: State, state: str) -> None:
    assert evaluate([None] * 5, 1.0, 2, missing, before) == state


CODE = """
import json, os, time
def handler(event, context):
    with open(os.environ["OUT"], "a") as out:
        out.write(json.dumps({"event": event, "left": context.get_remaining_time_in_millis()}) + "\\n")
    if isinstance(event, dict) and event.get("sleep"):
        time.sleep(event["sleep"])
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("as asked")
    return {"told": os.environ["WORD"]}
"""


class Made:
    """A function, a rule on an alarm, a dead-letter queue."""

    def __init__(self, endpoint: Endpoint, clients: Any, out: Any) -> None:
        self.endpoint, self.clients, self.out = endpoint, clients, out
        self.name = f"f{uuid.uuid4().hex[:8]}"
        clients("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument="{}")
        self.queue = clients("sqs").create_queue(QueueName=self.name)["QueueUrl"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("it.py", CODE)
        self.function = clients("lambda").create_function(
            FunctionName=self.name, Runtime="python3.13", Handler="it.handler", Timeout=1,
            Role=f"arn:aws:iam::123456789012:role/{self.name}", Code={"ZipFile": packed.getvalue()},
            Environment={"Variables": {"OUT": str(out), "WORD": "hello"}},
            DeadLetterConfig={"TargetArn": f"arn:aws:sqs:{REGION}:123456789012:{self.name}"},
        )  # fmt: skip
        rule = clients("events").put_rule(
            Name=self.name,
            EventPattern=json.dumps({"source": ["aws.cloudwatch"], "detail": {"alarmName": [self.name]}}),
        )
        self.rule = rule["RuleArn"]
        clients("events").put_targets(
            Rule=self.name, Targets=[{"Id": "f", "Arn": self.function["FunctionArn"]}]
        )
        clients("cloudwatch").put_metric_alarm(
            AlarmName=self.name, Namespace="HotStandby", MetricName="Unhealthy", Statistic="Maximum", Threshold=1.0,
            ComparisonOperator="GreaterThanOrEqualToThreshold", EvaluationPeriods=5, DatapointsToAlarm=2, Period=60,
            TreatMissingData="breaching", Dimensions=[{"Name": "Pair", "Value": self.name}],
        )  # fmt: skip

    def permit(self, source: str) -> None:
        self.clients("lambda").add_permission(
            FunctionName=self.name, StatementId="rule", Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com", SourceArn=source,
        )  # fmt: skip

    def state(self) -> str:
        found = self.clients("cloudwatch").describe_alarms(AlarmNames=[self.name])
        return str(found["MetricAlarms"][0]["StateValue"])

    def events(self) -> list[Any]:
        return (
            [json.loads(line)["event"] for line in self.out.read_text().splitlines()]
            if self.out.exists()
            else []
        )

    def until(self, count: int) -> list[Any]:
        end = time.monotonic() + 30
        while len(self.events()) < count:
            assert time.monotonic() < end, self.events()
            time.sleep(0.05)
        return self.events()


@pytest.fixture
def made(served: Endpoint, tmp_path: Any) -> Iterator[Made]:
    import boto3

    served.keys[KEY] = Caller("controller", "controller", None)
    session = boto3.session.Session(aws_access_key_id=KEY, aws_secret_access_key="s", region_name=REGION)
    cache: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in cache:
            cache[service] = session.client(service, endpoint_url=served.url)
        return cache[service]

    yield Made(served, client, tmp_path / "out")
    served.ticker.mend()
    served.functions.forget()


def test_a_new_alarm_knows_nothing_then_silence_is_an_alarm_and_good_points_mend_it(made: Made) -> None:
    ticker = Ticker(made.endpoint)  # its own, so that the test has the clock
    now = time.time()
    ticker.alarms(now)
    assert made.state() == "INSUFFICIENT_DATA"
    ticker.alarms(now + 60)
    assert made.state() == "ALARM"
    for _number in range(2):
        made.clients("cloudwatch").put_metric_data(
            Namespace="HotStandby",
            MetricData=[
                {
                    "MetricName": "Unhealthy",
                    "Value": 0.0,
                    "Dimensions": [{"Name": "Pair", "Value": made.name}],
                }
            ],
        )
    ticker.alarms(now + 120)
    assert made.state() == "ALARM", "one good period of five is not enough"


def test_an_alarm_on_readiness_tells_its_topic_and_invokes_nothing(made: Made) -> None:
    """As role failover_automation makes it: the least value counts, silence is no bad news, and people are told once."""
    cloudwatch, name = made.clients("cloudwatch"), f"{made.name}-standby"
    topic = made.clients("sns").create_topic(Name=name)["TopicArn"]
    dimensions = [{"Name": "Pair", "Value": made.name}, {"Name": "Node", "Value": "hub-b"}]
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="HotStandby", MetricName="StandbyReady", Statistic="Minimum", Threshold=1.0,
        ComparisonOperator="LessThanThreshold", EvaluationPeriods=5, DatapointsToAlarm=1, Period=60,
        TreatMissingData="notBreaching", Dimensions=dimensions, AlarmActions=[topic],
    )  # fmt: skip
    backend = next(one for one in regions("sns") if one.region_name == REGION)
    ticker, now = Ticker(made.endpoint), time.time()

    def after(*values: float, minutes: int) -> str:
        for value in values:
            datum = {"MetricName": "StandbyReady", "Value": value, "Dimensions": dimensions}
            cloudwatch.put_metric_data(Namespace="HotStandby", MetricData=[datum])
        ticker.alarms(now + 60 * minutes)
        return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])

    assert after(minutes=0) == "INSUFFICIENT_DATA"
    assert after(1.0, minutes=1) == "OK"
    assert after(0.0, 1.0, minutes=2) == "ALARM"
    assert after(minutes=8) == "OK"
    sent = [subject for _id, _text, subject, *_rest in backend.topics[topic].sent_notifications]
    assert sent == [f'ALARM: "{name}" in {REGION}'] and made.events() == []


def test_an_event_needs_a_permission_for_exactly_its_rule(made: Made) -> None:
    alarm = {"AlarmName": made.name, "StateReason": "by hand"}
    ticker = Ticker(made.endpoint)
    ticker.alarms(time.time())
    made.permit(made.rule + "-another")
    made.clients("cloudwatch").set_alarm_state(StateValue="ALARM", **alarm)
    ticker.alarms(time.time())
    assert made.endpoint.functions.refused == [f"{made.rule} -> {made.function['FunctionArn']}"]
    made.clients("lambda").remove_permission(FunctionName=made.name, StatementId="rule")
    made.permit(made.rule)
    ticker.copies = 2
    made.clients("cloudwatch").set_alarm_state(StateValue="OK", **alarm)
    ticker.alarms(time.time())
    events = made.until(2)
    assert events[0] == events[1] and events[0]["detail"]["state"]["value"] == "OK"
    assert events[0]["detail-type"] == "CloudWatch Alarm State Change"


def test_a_function_that_fails_is_tried_three_times_and_then_dead(made: Made, monkeypatch: Any) -> None:
    monkeypatch.setattr("sandbox.endpoint.functions.RETRY", (0.0, 0.0))
    made.clients("lambda").invoke(FunctionName=made.name, InvocationType="Event", Payload=b'{"fail": true}')
    assert made.until(3) == [{"fail": True}] * 3
    end = time.monotonic() + 20
    found: list[Any] = []
    while not found and time.monotonic() < end:
        answer = made.clients("sqs").receive_message(QueueUrl=made.queue, MessageAttributeNames=["All"])
        found = answer.get("Messages", [])
        time.sleep(0.05)
    assert json.loads(found[0]["Body"]) == {"fail": True}
    told = {name: value["StringValue"] for name, value in found[0]["MessageAttributes"].items()}
    assert set(told) == {"RequestID", "ErrorCode", "ErrorMessage"} and "as asked" in told["ErrorMessage"]
    assert len(made.events()) == 3


def test_an_event_whose_run_was_ended_on_purpose_is_not_tried_again(made: Made, monkeypatch: Any) -> None:
    monkeypatch.setattr("sandbox.endpoint.functions.RETRY", (0.0, 0.0))
    functions = made.endpoint.functions
    made.clients("lambda").update_function_configuration(FunctionName=made.name, Timeout=60)
    made.clients("lambda").invoke(FunctionName=made.name, InvocationType="Event", Payload=b'{"sleep": 50}')
    made.until(1)
    functions.chill()
    end = time.monotonic() + 30
    while not functions.ran:
        assert time.monotonic() < end
        time.sleep(0.05)
    made.clients("lambda").invoke(FunctionName=made.name, InvocationType="Event", Payload=b'{"again": 1}')
    assert made.until(2) == [{"sleep": 50}, {"again": 1}]
    assert "Messages" not in made.clients("sqs").receive_message(QueueUrl=made.queue)


def test_new_code_may_come_for_another_architecture(made: Made) -> None:
    lam = made.clients("lambda")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("it.py", CODE)
    for given, kept in (({"Architectures": ["arm64"]}, ["arm64"]), ({}, ["arm64"])):
        lam.update_function_code(FunctionName=made.name, ZipFile=packed.getvalue(), **given)
        assert lam.get_function_configuration(FunctionName=made.name)["Architectures"] == kept


def test_each_run_is_measured_as_lambda_does(made: Made) -> None:
    for event in (b"{}", b'{"fail": true}', b"{}"):
        made.clients("lambda").invoke(FunctionName=made.name, Payload=event)
    now = datetime.now(timezone.utc)
    for metric, total in (("Invocations", 3.0), ("Errors", 1.0)):
        found = made.clients("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Dimensions=[{"Name": "FunctionName", "Value": made.name}],
            StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5), Period=600, Statistics=["Sum"],
        )  # fmt: skip
        assert sum(point["Sum"] for point in found["Datapoints"]) == total, metric


def test_a_function_answers_has_its_environment_and_is_ended_at_its_limit(made: Made) -> None:
    lam = made.clients("lambda")
    answer = lam.invoke(FunctionName=made.name, Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == {"told": "hello"} and "FunctionError" not in answer
    late = lam.invoke(FunctionName=made.name, Payload=b'{"sleep": 60}')
    told = json.loads(late["Payload"].read())
    assert late["FunctionError"] == "Unhandled" and "timed out" in told["errorMessage"]
    again = lam.invoke(FunctionName=made.name, Payload=b"{}")
    assert json.loads(again["Payload"].read()) == {"told": "hello"}
