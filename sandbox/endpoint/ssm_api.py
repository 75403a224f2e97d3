# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSM API on top of the agents' queue, put in place of moto's commands that all succeed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import documents
from .commands import Command
from .ssm import SsmError

if TYPE_CHECKING:
    from . import Endpoint

MIN_TIMEOUT, MAX_TIMEOUT, DEFAULT_TIMEOUT = 30, 2_592_000, 3_600  # seconds of delivery

_mended: list[Any] = []


def mend(endpoint: Endpoint) -> None:
    """Give moto's response class the operations that it lacks or answers wrongly."""
    from moto.core.responses import ActionResult
    from moto.ssm.exceptions import SSMException
    from moto.ssm.models import Document
    from moto.ssm.responses import SimpleSystemManagerResponse as Response

    _mended[:] = [endpoint]
    if hasattr(Response, "sandbox_mended"):
        return
    Response.sandbox_mended = True

    def answering(handler: Any) -> Any:
        def operation(response: Any) -> Any:
            try:
                return ActionResult(handler(_mended[0], response))
            except SsmError as error:
                raise SSMException(error.code, error.message) from error

        return operation

    for name, handler in OPERATIONS.items():
        setattr(Response, name, answering(handler))

    new_document = Document.__init__

    def document_init(document: Any, *args: Any, **kwargs: Any) -> None:
        new_document(document, *args, **kwargs)
        document.platform_types = ["Linux"]
        if document.document_type in (None, "Command"):
            try:
                documents.check(document.content_json)
            except documents.DocumentError as error:
                raise SSMException("InvalidDocumentContent", str(error)) from error

    Document.__init__ = document_init


def send_command(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """SendCommand. A bad parameter, or one bad instance in InstanceIds, refuses the whole call."""
    unknown = set(_body(response)) - {
        "DocumentName", "DocumentVersion", "DocumentHash", "DocumentHashType", "InstanceIds", "Targets", "Parameters",
        "TimeoutSeconds", "Comment", "MaxConcurrency", "MaxErrors",
    }  # fmt: skip
    if unknown:
        raise NotImplementedError(f"SendCommand {', '.join(sorted(unknown))}")
    timeout = response._get_param("TimeoutSeconds", DEFAULT_TIMEOUT)
    if not MIN_TIMEOUT <= int(timeout) <= MAX_TIMEOUT:
        bound = (
            f"greater than or equal to {MIN_TIMEOUT}"
            if int(timeout) < MIN_TIMEOUT
            else f"at most {MAX_TIMEOUT}"
        )
        raise SsmError(
            "ValidationException",
            f"1 validation error detected: Value '{timeout}' at 'timeoutSeconds' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    name, version, content = _document(response)
    parameters = response._get_param("Parameters", {}) or {}
    try:
        rendered = documents.render(content, parameters)
    except documents.ParameterError as error:
        raise SsmError("InvalidParameters", str(error)) from error
    named = list(response._get_param("InstanceIds", []) or [])
    targets = list(response._get_param("Targets", []) or [])
    if bool(named) == bool(targets):
        raise SsmError("InvalidParameters", "either InstanceIds or Targets is needed, and not both")
    if named:
        bad = [one for one in named if not endpoint.agents.is_online(one)]
        if bad:
            raise SsmError(
                "InvalidInstanceId", f"Instances [[{', '.join(bad)}]] not in a valid state for account"
            )
        chosen = named
    else:
        chosen = [one for one in _resolve(endpoint, response, targets) if endpoint.agents.is_online(one)]
    comment = str(response._get_param("Comment", "") or "")
    command = Command(name, version, rendered, parameters, int(timeout), comment, targets, named)
    answer = command.describe(fresh=True)
    endpoint.agents.send(command, dict.fromkeys(chosen))
    return {"Command": answer}


def _body(response: Any) -> dict[str, Any]:
    import json

    found = json.loads(response.body or "{}")
    return found if isinstance(found, dict) else {}


def _document(response: Any) -> tuple[str, str, dict[str, Any]]:
    """(name, version, content) of the document that is asked for."""
    name = str(response._get_param("DocumentName"))
    version = str(response._get_param("DocumentVersion", "$DEFAULT") or "$DEFAULT")
    if name in documents.BUILT_IN:
        if version not in ("$DEFAULT", "$LATEST", "1"):
            raise SsmError("InvalidDocumentVersion", "The document version is not valid or does not exist.")
        return name, version, documents.BUILT_IN[name]
    found = response.ssm_backend._documents.get(name)
    if found is None:
        raise SsmError("InvalidDocument", f"document {name} does not exist in your account")
    document = found.get_default_version() if version == "$DEFAULT" else found.find(version, strict=False)
    if document is None:
        raise SsmError("InvalidDocumentVersion", "The document version is not valid or does not exist.")
    wanted = response._get_param("DocumentHash")
    if wanted and wanted != document.hash:
        raise SsmError("InvalidParameters", "The document hash does not match the document.")
    if document.document_type not in (None, "Command"):
        raise SsmError("InvalidDocument", f"document {name} is not of type Command")
    return name, version, document.content_json


def _resolve(endpoint: Endpoint, response: Any, targets: list[dict[str, Any]]) -> list[str]:
    """The instances that all targets mean."""
    registered = [agent.instance_id for agent in endpoint.agents.agents()]
    for target in targets:
        key, values = str(target.get("Key")), list(target.get("Values") or [])
        if key == "InstanceIds":
            registered = [one for one in registered if one in values]
        elif key.startswith("tag:"):
            from moto.ec2.models import ec2_backends

            backend = ec2_backends[response.current_account][response.region]
            tags = {
                one.id: {tag["key"]: tag["value"] for tag in one.get_tags()}
                for one in backend.all_instances()
            }
            registered = [one for one in registered if tags.get(one, {}).get(key[4:]) in values]
        else:
            raise NotImplementedError(f"SendCommand Targets {key}")
    return registered


def get_command_invocation(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """GetCommandInvocation."""
    found = endpoint.agents.invocation(response._get_param("CommandId"), response._get_param("InstanceId"))
    plugin = response._get_param("PluginName")
    if plugin and plugin != found["PluginName"]:
        raise SsmError("InvalidPluginName", f"{plugin} is not a plugin of the command")
    return found


def list_command_invocations(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """ListCommandInvocations."""
    if response._get_param("Filters"):
        raise NotImplementedError("ListCommandInvocations Filters")
    found = endpoint.agents.invocations(
        response._get_param("CommandId"),
        response._get_param("InstanceId"),
        bool(response._get_param("Details", False)),
    )
    return _page(response, "CommandInvocations", found)


def list_commands(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """ListCommands."""
    if response._get_param("Filters"):
        raise NotImplementedError("ListCommands Filters")
    command_id, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
    if command_id:
        endpoint.agents.command(command_id)
    found = [
        command.describe()
        for command in endpoint.agents.commands()
        if (not command_id or command.id == command_id)
        and (not instance_id or instance_id in command.invocations)
    ]
    return _page(response, "Commands", found)


def cancel_command(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """CancelCommand: a request, not a proof."""
    endpoint.agents.cancel(
        response._get_param("CommandId"), list(response._get_param("InstanceIds", []) or [])
    )
    return {}


def describe_instance_information(endpoint: Endpoint, response: Any) -> dict[str, Any]:
    """DescribeInstanceInformation."""
    agents = endpoint.agents.agents()
    for one in response._get_param("Filters", []) or []:
        key, values = one.get("Key"), one.get("Values", [])
        if key == "InstanceIds":
            agents = [agent for agent in agents if agent.instance_id in values]
        elif key == "PingStatus":
            agents = [agent for agent in agents if _ping(agent) in values]
        else:
            raise NotImplementedError(f"DescribeInstanceInformation {key}")
    for one in response._get_param("InstanceInformationFilterList", []) or []:
        if one.get("key") != "InstanceIds":
            raise NotImplementedError(f"DescribeInstanceInformation {one.get('key')}")
        agents = [agent for agent in agents if agent.instance_id in one.get("valueSet", [])]
    found = [
        {
            "InstanceId": agent.instance_id,
            "PingStatus": _ping(agent),
            "LastPingDateTime": agent.last_ping,
            "AgentVersion": "3.3.0.0",
            "IsLatestVersion": True,
            "PlatformType": "Linux",
            "PlatformName": "Sandbox",
            "PlatformVersion": "1",
            "ResourceType": "ManagedInstance" if agent.instance_id.startswith("mi-") else "EC2Instance",
            "IPAddress": "127.0.0.1",
            "ComputerName": agent.instance_id,
        }
        for agent in agents
    ]
    return _page(response, "InstanceInformationList", found)


def _ping(agent: Any) -> str:
    return "Online" if agent.online else "ConnectionLost"


def _page(response: Any, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """So many as are asked for, and where to go on."""
    token = str(response._get_param("NextToken", "0") or "0")
    start = int(token) if token.isdigit() else 0
    size = int(response._get_param("MaxResults", 50) or 50)
    answer: dict[str, Any] = {name: found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


OPERATIONS = {
    "send_command": send_command,
    "get_command_invocation": get_command_invocation,
    "list_command_invocations": list_command_invocations,
    "list_commands": list_commands,
    "cancel_command": cancel_command,
    "describe_instance_information": describe_instance_information,
}
