# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SendCommand refuses before anything runs, and what the script becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

INSTANCE = "i-0aaaaaaaaaaaaaaaa"
CONTENT: dict[str, Any] = {
    "schemaVersion": "2.2",
    "description": "a test's own",
    "parameters": {
        "Action": {"type": "String", "allowedValues": ["look", "stop"]},
        "Epoch": {"type": "String", "allowedPattern": "^[0-9]{0,18}$", "default": ""},
        "Limit": {"type": "String", "allowedPattern": "^[0-9]{1,6}$", "default": "3600"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "run",
            "precondition": {"StringEquals": ["platformType", "Linux"]},
            "inputs": {"timeoutSeconds": "{{ Limit }}", "runCommand": ["echo '{{ Action }}' '{{Epoch}}'"]},
        }
    ],
}


@pytest.fixture
def document(client: Any) -> Any:
    ssm = client("ssm")
    ssm.create_document(Name="HotStandbyNode", Content=json.dumps(CONTENT), DocumentType="Command")
    yield "HotStandbyNode"
    ssm.delete_document(Name="HotStandbyNode")


@pytest.fixture
def held(agent: Any) -> Any:
    one = agent(INSTANCE)
    one.hold = True
    return one


def test_a_document_is_rendered(client: Any, document: str, held: Any, until: Any) -> None:
    client("ssm").send_command(
        DocumentName=document, InstanceIds=[INSTANCE], Parameters={"Action": ["stop"], "Epoch": ["7"]}
    )
    until(lambda: held.got)
    assert held.got[0]["script"] == "echo 'stop' '7'"
    assert held.got[0]["execution_timeout"] == 3600
    assert held.got[0]["env"] == {}


@pytest.mark.parametrize(("given", "limit"), [("5", 5), ("4", 3600), ("172800", 172_800), ("172801", 3600)])
def test_the_execution_timeout(
    client: Any, document: str, held: Any, until: Any, given: str, limit: int
) -> None:
    client("ssm").send_command(
        DocumentName=document, InstanceIds=[INSTANCE], Parameters={"Action": ["look"], "Limit": [given]}
    )
    until(lambda: held.got)
    assert held.got[0]["execution_timeout"] == limit


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"Action": ["start"]},
        {"Action": ["look\n"]},
        {"Action": ["look"], "Epoch": ["7;reboot"]},
        {"Action": ["look"], "Epoch": ["7\n"]},
        {"Action": ["look"], "Other": ["x"]},
        {"Action": ["look", "stop"]},
        {"Action": []},
        {"action": ["look"]},
    ],
)
def test_parameters_are_judged(client: Any, code: Any, document: str, held: Any, parameters: Any) -> None:
    send = client("ssm").send_command
    assert (
        code(send, DocumentName=document, InstanceIds=[INSTANCE], Parameters=parameters)
        == "InvalidParameters"
    )
    assert held.got == []


def test_other_refusals(client: Any, code: Any, document: str, held: Any) -> None:
    send = client("ssm").send_command
    good = {"DocumentName": document, "InstanceIds": [INSTANCE], "Parameters": {"Action": ["look"]}}
    assert code(send, **{**good, "DocumentName": "Nobody"}) == "InvalidDocument"
    assert code(send, **{**good, "DocumentVersion": "9"}) == "InvalidDocumentVersion"
    for timeout in (0, 29, 2_592_001):
        assert code(send, **good, TimeoutSeconds=timeout) == "ValidationException"
    assert code(send, **{**good, "InstanceIds": []}) == "InvalidParameters"
    targets = [{"Key": "InstanceIds", "Values": [INSTANCE]}]
    assert code(send, **good, Targets=targets) == "InvalidParameters"
    assert code(send, **good, NotificationConfig={"NotificationType": "Command"}) == "NotImplementedBySandbox"


@pytest.mark.parametrize(
    "broken",
    [
        {**CONTENT, "schemaVersion": "1.2"},
        {**CONTENT, "mainSteps": []},
        {**CONTENT, "parameters": {"Action": {"type": "String"}}},
        {**CONTENT, "parameters": {**CONTENT["parameters"], "Epoch": {"type": "Text"}}},
        {
            **CONTENT,
            "parameters": {
                **CONTENT["parameters"],
                "Epoch": {"type": "String", "allowedPattern": "^[0-9]+$", "default": ""},
            },
        },
    ],
)
def test_a_broken_document_is_not_created(client: Any, code: Any, broken: Any) -> None:
    create = client("ssm").create_document
    assert (
        code(create, Name="Broken", Content=json.dumps(broken), DocumentType="Command")
        == "InvalidDocumentContent"
    )
    assert code(client("ssm").describe_document, Name="Broken") == "InvalidDocument"


def test_a_new_version_counts_once_it_is_the_default(
    client: Any, document: str, held: Any, until: Any
) -> None:
    ssm = client("ssm")
    second = json.loads(json.dumps(CONTENT))
    second["mainSteps"][0]["inputs"]["runCommand"] = ["echo two"]
    version = ssm.update_document(Name=document, Content=json.dumps(second), DocumentVersion="$LATEST")
    send = {"DocumentName": document, "InstanceIds": [INSTANCE], "Parameters": {"Action": ["look"]}}
    ssm.send_command(**send)
    ssm.send_command(**send, DocumentVersion="$LATEST")
    number = version["DocumentDescription"]["DocumentVersion"]
    ssm.update_document_default_version(Name=document, DocumentVersion=number)
    ssm.send_command(**send)
    until(lambda: len(held.got) == 3)
    assert [one["script"] for one in held.got] == ["echo 'look' ''", "echo two", "echo two"]


def test_look_is_a_read(endpoint: Any, client: Any, document: str, held: Any) -> None:
    targets = [{"Key": "InstanceIds", "Values": [INSTANCE]}]
    for action, logged, write in (("look", "SendCommand:look", False), ("stop", "SendCommand", True)):
        client("ssm").send_command(DocumentName=document, Targets=targets, Parameters={"Action": [action]})
        call = endpoint.calls[-1]
        assert (call.action, call.write, call.target) == (logged, write, f"{document},{INSTANCE}")


def test_a_look_alone_can_be_denied(endpoint: Any, client: Any, code: Any, document: str, held: Any) -> None:
    key = next(iter(endpoint.keys))
    endpoint.faults.deny.add((key, "ssm:SendCommand:look"))
    send = client("ssm").send_command
    good = {"DocumentName": document, "InstanceIds": [INSTANCE]}
    assert code(send, **good, Parameters={"Action": ["look"]}) == "AccessDeniedException"
    send(**good, Parameters={"Action": ["stop"]})
    endpoint.faults.deny.add((key, "ssm:SendCommand"))
    assert code(send, **good, Parameters={"Action": ["stop"]}) == "AccessDeniedException"


def test_run_shell_script(client: Any, code: Any, held: Any, until: Any) -> None:
    send = client("ssm").send_command
    script = {
        "commands": ["echo a", "echo '{{ not }}'"],
        "workingDirectory": ["/tmp/a b"],
        "executionTimeout": ["60"],
    }
    send(DocumentName="AWS-RunShellScript", InstanceIds=[INSTANCE], Parameters=script)
    until(lambda: held.got)
    assert held.got[0]["script"] == "cd -- '/tmp/a b' || exit 1\necho a\necho '{{ not }}'"
    assert held.got[0]["execution_timeout"] == 60
    refused = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [INSTANCE]}
    assert code(send, **refused, Parameters={}) == "InvalidParameters"
    assert (
        code(send, **refused, Parameters={"commands": ["a"], "executionTimeout": ["0"]})
        == "InvalidParameters"
    )
