# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands from SendCommand to their end, and the ends that never come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
Send = Callable[..., str]


@pytest.fixture
def send(client: Any) -> Send:
    def command(script: str, instances: list[str] | None = None, **more: Any) -> str:
        where = {} if "Targets" in more else {"InstanceIds": instances or [A]}
        answer = client("ssm").send_command(
            DocumentName="AWS-RunShellScript", Parameters={"commands": [script]}, **where, **more
        )
        return str(answer["Command"]["CommandId"])

    return command


@pytest.fixture
def listed(client: Any) -> Callable[..., dict[str, Any]]:
    def of(command_id: str) -> dict[str, Any]:
        found = client("ssm").list_command_invocations(CommandId=command_id, Details=True)[
            "CommandInvocations"
        ]
        return {one["InstanceId"]: one for one in found}

    return of


@pytest.fixture
def ended(listed: Any, until: Any) -> Callable[..., dict[str, Any]]:
    def of(command_id: str, instance_id: str = A) -> dict[str, Any]:
        open_states = ("Pending", "InProgress", "Cancelling")
        until(lambda: listed(command_id)[instance_id]["Status"] not in open_states)
        return dict(listed(command_id)[instance_id])

    return of


def test_success_and_failure(client: Any, agent: Any, send: Send, ended: Any) -> None:
    agent(A)
    good = ended(send("echo out; false; true"))
    assert (good["Status"], good["StatusDetails"], good["CommandPlugins"][0]["ResponseCode"]) == (
        "Success",
        "Success",
        0,
    )
    assert good["CommandPlugins"][0]["Output"] == "out\n"
    bad_id = send("echo out; echo err >&2; exit 3")
    bad = ended(bad_id)
    assert (bad["Status"], bad["StatusDetails"], bad["CommandPlugins"][0]["ResponseCode"]) == (
        "Failed",
        "Failed",
        3,
    )
    output = bad["CommandPlugins"][0]["Output"]
    assert output == "out\n\n----------ERROR-------\nerr\nfailed to run commands: exit status 3"
    client_answer = client("ssm").get_command_invocation
    try:
        client_answer(CommandId=bad_id, InstanceId=A)
    except client("ssm").exceptions.InvocationDoesNotExist:
        pass
    whole = client_answer(CommandId=bad_id, InstanceId=A)
    assert (whole["Status"], whole["ResponseCode"]) == ("Failed", 3)
    assert whole["StandardOutputContent"] == "out\n"
    assert whole["StandardErrorContent"] == "err\nfailed to run commands: exit status 3"
    assert whole["ExecutionElapsedTime"].startswith("PT")


def test_delivery_takes_milliseconds(agent: Any, send: Send, until: Any) -> None:
    one = agent(A)
    time.sleep(0.3)  # it polls by now
    began = time.monotonic()
    send("true")
    until(lambda: one.when)
    assert one.when[0] - began < 0.1


def test_an_invocation_is_not_there_at_once(
    endpoint: Any, client: Any, code: Any, agent: Any, send: Send
) -> None:
    agent(A).hold = True
    command_id = send("true")
    get = client("ssm").get_command_invocation
    assert code(get, CommandId=command_id, InstanceId=A) == "InvocationDoesNotExist"
    assert get(CommandId=command_id, InstanceId=A)["ResponseCode"] == -1
    assert code(get, CommandId=command_id, InstanceId=B) == "InvocationDoesNotExist"
    endpoint.agents.hidden_calls = 0
    get(CommandId=send("true"), InstanceId=A)
    nobody = "00000000-0000-0000-0000-000000000000"
    assert code(client("ssm").list_command_invocations, CommandId=nobody) == "InvalidCommandId"


def test_listings_can_be_late_too(endpoint: Any, agent: Any, send: Send, listed: Any) -> None:
    agent(A).hold = True
    endpoint.agents.hidden_listings = 1
    command_id = send("true")
    assert listed(command_id) == {}
    assert set(listed(command_id)) == {A}


def test_one_bad_instance_refuses_the_whole_call(
    endpoint: Any, client: Any, code: Any, agent: Any, send: Send, listed: Any
) -> None:
    one = agent(A)
    one.hold = True
    script = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    assert code(client("ssm").send_command, InstanceIds=[A, B], **script) == "InvalidInstanceId"
    targets = [{"Key": "InstanceIds", "Values": [A, B]}]
    assert set(listed(send("true", Targets=targets))) == {A}
    endpoint.agents.set_online(A, False)
    assert code(client("ssm").send_command, InstanceIds=[A], **script) == "InvalidInstanceId"
    command_id = send("true", Targets=targets)
    assert listed(command_id) == {}
    command = client("ssm").list_commands(CommandId=command_id)["Commands"][0]
    assert (command["StatusDetails"], command["TargetCount"]) == ("NoInstancesInTag", 0)


def test_targets_by_tag(client: Any, agent: Any, instance: str, send: Send, listed: Any) -> None:
    client("ec2").create_tags(Resources=[instance], Tags=[{"Key": "Role", "Value": "hub"}])
    agent(A).hold = True
    agent(instance).hold = True
    assert set(listed(send("true", Targets=[{"Key": "tag:Role", "Values": ["hub", "x"]}]))) == {instance}
    assert listed(send("true", Targets=[{"Key": "tag:Role", "Values": ["x"]}])) == {}


def test_several_at_once(agent: Any, send: Send, ended: Any) -> None:
    agent(A)
    agent(B)
    began = time.monotonic()
    ids = [send("sleep 2; echo done", [A, B]) for _turn in range(3)]
    for command_id in ids:
        for instance_id in (A, B):
            assert ended(command_id, instance_id)["Status"] == "Success"
    assert time.monotonic() - began < 6  # what one after the other would take at least


def test_outputs_are_cut(client: Any, agent: Any, send: Send, ended: Any, endpoint: Any) -> None:
    agent(A)
    endpoint.agents.hidden_calls = 0
    command_id = send("head -c 30000 /dev/zero | tr '\\0' x; head -c 9000 /dev/zero | tr '\\0' y >&2")
    both = ended(command_id)["CommandPlugins"][0]["Output"]
    assert len(both) == 2500
    assert both.count("truncated") == 2
    whole = client("ssm").get_command_invocation(CommandId=command_id, InstanceId=A)
    assert len(whole["StandardOutputContent"]) == 24_000
    assert whole["StandardOutputContent"].endswith("x---Output truncated---")
    assert len(whole["StandardErrorContent"]) == 8_000
    only = ended(send("head -c 2501 /dev/zero | tr '\\0' x; echo end"))["CommandPlugins"][0]["Output"]
    assert len(only) == 2500
    assert "end" not in only
    short = ended(send("head -c 2400 /dev/zero | tr '\\0' x"))["CommandPlugins"][0]["Output"]
    assert short == "x" * 2400


def test_what_the_agent_says_of_time_and_cancel(
    client: Any, agent: Any, send: Send, ended: Any, until: Any
) -> None:
    one = agent(A)
    one.hold = True
    late, cancelled = send("true"), send("true")
    until(lambda: len(one.got) == 2)
    one.report(late, -1, "so far", "", "TimedOut")
    found = ended(late)
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert found["CommandPlugins"][0]["ResponseCode"] == -1
    client("ssm").cancel_command(CommandId=cancelled, InstanceIds=[A])
    until(lambda: one.cancelled == [cancelled])
    one.report(cancelled, -1, "", "", "Cancelled")
    assert ended(cancelled)["Status"] == "Cancelled"
    client("ssm").cancel_command(CommandId=late)
    assert ended(late)["Status"] == "TimedOut"


def test_cancel_is_a_request(
    client: Any, code: Any, agent: Any, send: Send, listed: Any, ended: Any, until: Any
) -> None:
    one = agent(A)
    one.hold = True
    command_id = send("true")
    until(lambda: listed(command_id)[A]["Status"] == "InProgress")
    client("ssm").cancel_command(CommandId=command_id, InstanceIds=[A])
    assert listed(command_id)[A]["Status"] == "Cancelling"
    one.report(command_id, 0, "done all the same", "", "Success")
    assert ended(command_id)["Status"] == "Success"
    assert code(client("ssm").cancel_command, CommandId=command_id, InstanceIds=[B]) == "InvalidInstanceId"
    nobody = "00000000-0000-0000-0000-000000000000"
    assert code(client("ssm").cancel_command, CommandId=nobody) == "InvalidCommandId"


def test_a_waiting_command_is_cancelled_at_once(
    client: Any, agent: Any, send: Send, listed: Any, until: Any
) -> None:
    one = agent(A, running=False)
    command_id = send("true")
    client("ssm").cancel_command(CommandId=command_id)
    assert listed(command_id)[A]["Status"] == "Cancelled"
    one.start()
    time.sleep(0.2)
    assert one.got == []


def test_a_command_waits_for_the_next_boot(
    endpoint: Any, agent: Any, send: Send, listed: Any, ended: Any
) -> None:
    one = agent(A, running=False)  # the node has stopped, and SSM has not noticed
    command_id = send("echo late")
    endpoint.agents.set_online(A, False)
    assert listed(command_id)[A]["Status"] == "Pending"
    one.start()
    time.sleep(0.2)
    assert one.got == []  # not before SSM has it online
    endpoint.agents.set_online(A, True)
    assert ended(command_id)["CommandPlugins"][0]["Output"] == "late\n"


def test_a_command_that_nobody_took_in_time(endpoint: Any, agent: Any, send: Send, listed: Any) -> None:
    one = agent(A, running=False)
    command_id = send("true", TimeoutSeconds=30)
    endpoint.agents.command(command_id).sent -= 30  # half a minute passes
    found = listed(command_id)[A]
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    one.start()
    time.sleep(0.2)
    assert one.got == []


def test_an_agent_that_dies_in_mid_command(
    endpoint: Any, agent: Any, send: Send, listed: Any, until: Any
) -> None:
    one = agent(A)
    one.hold = True
    command_id = send("true", TimeoutSeconds=30)
    until(lambda: listed(command_id)[A]["Status"] == "InProgress")
    one.stop()
    endpoint.agents.set_online(A, False)
    endpoint.agents.set_online(A, True)
    endpoint.agents.command(command_id).sent -= 1000
    assert listed(command_id)[A]["Status"] == "InProgress"


def test_a_frozen_agent_has_read_nothing(endpoint: Any, agent: Any, send: Send, listed: Any) -> None:
    import json
    import socket

    one = agent(A, running=False)
    body = json.dumps({"key": one.key, "instance_id": A}).encode()
    with socket.create_connection(("127.0.0.1", endpoint.port)) as frozen:
        head = f"POST /_sandbox/agent/poll HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        frozen.sendall(head.encode() + body)
        command_id = send("echo once")
        time.sleep(0.1)
        assert listed(command_id)[A]["Status"] == "Pending"
        endpoint.agents.set_online(A, False)  # its power goes: it never will
    endpoint.agents.set_online(A, True)
    one.hold = True
    one.start()
    time.sleep(0.3)
    assert [got["script"] for got in one.got] == ["echo once"]
    assert listed(command_id)[A]["Status"] == "InProgress"


def test_a_dead_poll_gets_nothing(endpoint: Any, agent: Any, send: Send, ended: Any) -> None:
    import json
    import socket

    one = agent(A, running=False)
    body = json.dumps({"key": one.key, "instance_id": A}).encode()
    with socket.create_connection(("127.0.0.1", endpoint.port)) as dying:
        head = f"POST /_sandbox/agent/poll HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        dying.sendall(head.encode() + body)
        time.sleep(0.1)
    command_id = send("echo once")
    one.start()
    assert ended(command_id)["Status"] == "Success"


def test_a_partition_holds_the_report_back(
    endpoint: Any, agent: Any, send: Send, listed: Any, ended: Any
) -> None:
    one = agent(A)
    command_id = send("true")
    ended(command_id)
    endpoint.faults.partitioned.add(one.key)
    waiting = send("true")
    time.sleep(0.3)
    assert listed(waiting)[A]["Status"] == "Pending"
    endpoint.faults.partitioned.clear()
    assert ended(waiting)["Status"] == "Success"


def test_an_agent_must_be_itself(endpoint: Any, agent: Any, post: Any) -> None:
    one = agent(A, running=False)
    assert post("agent/poll", {"key": one.key, "instance_id": B})[0] == 403
    assert post("agent/poll", {"key": "AKIANOBODY", "instance_id": A})[0] == 403
    endpoint.faults.down.add("ssm")
    assert post("agent/poll", {"key": one.key, "instance_id": A})[0] == 503


def test_a_poll_ends_empty(agent: Any, post: Any) -> None:
    one = agent(A, running=False)
    began = time.monotonic()
    assert post("agent/poll", {"key": one.key, "instance_id": A}) == (200, {})
    assert time.monotonic() - began > 1.5


def test_a_terminated_instance(
    client: Any, agent: Any, instance: str, send: Send, listed: Any, until: Any
) -> None:
    agent(instance, running=False)
    command_id = send("true", [instance])
    client("ec2").terminate_instances(InstanceIds=[instance])
    until(lambda: listed(command_id)[instance]["StatusDetails"] == "Undeliverable")


def test_instance_information(endpoint: Any, client: Any, agent: Any) -> None:
    agent(A, running=False)
    agent(B, running=False)
    endpoint.agents.set_online(B, False)

    def states(**filters: Any) -> dict[str, str]:
        found = client("ssm").describe_instance_information(**filters)["InstanceInformationList"]
        return {one["InstanceId"]: one["PingStatus"] for one in found}

    assert states() == {A: "Online", B: "ConnectionLost"}
    assert states(Filters=[{"Key": "InstanceIds", "Values": [B]}]) == {B: "ConnectionLost"}
    assert states(InstanceInformationFilterList=[{"key": "InstanceIds", "valueSet": [A]}]) == {A: "Online"}


def test_lists_come_in_pages(client: Any, agent: Any, send: Send) -> None:
    agent(A, running=False)
    sent = [send("true") for _turn in range(3)]
    ssm = client("ssm")
    first = ssm.list_commands(InstanceId=A, MaxResults=2)
    assert [one["CommandId"] for one in first["Commands"]] == [sent[2], sent[1]]
    second = ssm.list_commands(InstanceId=A, MaxResults=2, NextToken=first["NextToken"])
    assert [one["CommandId"] for one in second["Commands"]] == [sent[0]]
    assert "NextToken" not in second
    assert len(ssm.list_command_invocations(InstanceId=A)["CommandInvocations"]) == 3


def test_reset(endpoint: Any, client: Any, code: Any, agent: Any, send: Send) -> None:
    agent(A).hold = True
    command_id = send("true")
    endpoint.reset_state()
    assert code(client("ssm").list_command_invocations, CommandId=command_id) == "InvalidCommandId"
    assert client("ssm").list_commands()["Commands"] == []
