#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssm_run
short_description: Runs a command on a managed node through SSM and waits for its truthful end
version_added: 0.1.0
description:
  - Sends one SSM command to one node, waits for it, and returns what really became of it.
  - Needs no connection to the node, only its SSM agent.
  - When the command does not end in time it is cancelled, and the module fails. That is no proof that it never ran.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details:
      - Nothing is sent, and a change is predicted, since nobody knows what a command would do.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - The command runs each time.
options:
  instance_id:
    description:
      - The managed node, C(i-...) or C(mi-...).
    type: str
    required: true
  document:
    description:
      - Name of the SSM document.
    type: str
    default: AWS-RunShellScript
  parameters:
    description:
      - The document's parameters. A single value is sent as a list of one.
      - Either this or O(commands).
    type: dict
  commands:
    description:
      - Lines of a shell script for C(AWS-RunShellScript). They run as B(root) on the node, so never put a secret or an
        unchecked value into them.
      - Only the last line's exit code counts; start with C(set -e) when each one matters.
    type: list
    elements: str
  delivery_timeout:
    description:
      - Seconds within which the agent has to take the command, at least 30.
    type: int
    default: 60
  execution_timeout:
    description:
      - Seconds the command may run, from 5 to 172800.
    type: int
    default: 3600
seealso:
  - module: hotstandby.ops.ssm_failover
"""

EXAMPLES = r"""
- name: How full is the shared folder
  hotstandby.ops.ssm_run:
    instance_id: i-0123456789abcdef0
    region: ap-northeast-1
    commands:
      - df -h /shared/hub
    execution_timeout: 30
  delegate_to: localhost
  register: df

- name: Ask the node's command
  hotstandby.ops.ssm_run:
    instance_id: i-0123456789abcdef0
    region: ap-northeast-1
    document: HotStandbyNode
    parameters:
      Action: look
      Pair: hub-prod
  delegate_to: localhost
"""

RETURN = r"""
status:
  description: SSM's word for how it ended, such as V(Success), V(Failed) or V(TimedOut).
  returned: when a command was sent
  type: str
  sample: Success
status_details:
  description: SSM's closer word, such as V(DeliveryTimedOut) or V(ExecutionTimedOut).
  returned: when a command was sent
  type: str
  sample: Success
rc:
  description: The script's exit code; none when it never ended.
  returned: when a command was sent
  type: int
  sample: 0
stdout:
  description: Standard output, as far as SSM keeps it (24,000 characters).
  returned: when a command was sent
  type: str
  sample: "running"
stderr:
  description: Standard error, as far as SSM keeps it (8,000 characters).
  returned: when a command was sent
  type: str
  sample: ""
command_id:
  description: SSM's id of the command.
  returned: when a command was sent
  type: str
  sample: 11111111-2222-3333-4444-555555555555
seconds:
  description: How long it took, from sending to the end.
  returned: when a command was sent
  type: float
  sample: 2.1
"""

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, client_maker, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import CommandError, run

LEASE = 60.0  # seconds; bounds each call with its retries to a third of it
SHELL = "AWS-RunShellScript"


def document_parameters(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parameters of the document as SSM wants them: lists of strings."""
    given: dict[str, Any] = dict(params["parameters"] or {})
    if params["commands"] is not None:
        if not params["commands"]:
            raise ModuleFailure("commands: is empty", code="bad_option")
        given["commands"] = params["commands"]
    if params["document"] == SHELL:
        given.setdefault("executionTimeout", str(params["execution_timeout"]))
    return {
        key: [str(item) for item in (value if isinstance(value, list) else [value])]
        for key, value in given.items()
    }


def main() -> None:
    module = aws_module(
        {
            "instance_id": {"type": "str", "required": True},
            "document": {"type": "str", "default": SHELL},
            "parameters": {"type": "dict"},
            "commands": {"type": "list", "elements": "str"},
            "delivery_timeout": {"type": "int", "default": 60},
            "execution_timeout": {"type": "int", "default": 3600},
        },
        mutually_exclusive=[("parameters", "commands")],
    )

    def work() -> Mapping[str, Any]:
        params = module.params
        if params["commands"] is not None and params["document"] != SHELL:
            raise ModuleFailure(
                f"commands: belongs to the document {SHELL}; give {params['document']} its parameters",
                code="bad_option",
            )
        if params["commands"] is None and params["parameters"] is None and params["document"] == SHELL:
            raise ModuleFailure("commands: is missing, there is nothing to run", code="bad_option")
        if not 30 <= params["delivery_timeout"] <= 2592000:
            raise ModuleFailure("delivery_timeout: must be from 30 to 2592000 seconds", code="bad_option")
        # SSM silently takes 3,600 for anything else
        if not 5 <= params["execution_timeout"] <= 172800:
            raise ModuleFailure("execution_timeout: must be from 5 to 172800 seconds", code="bad_option")
        parameters = document_parameters(params)
        if module.check_mode:
            return {"changed": True, "msg": f"would run {params['document']} on {params['instance_id']}"}
        client = client_maker(module, None, None, LEASE)("ssm")
        try:
            outcome = run(
                client,
                time,
                params["document"],
                parameters,
                params["instance_id"],
                params["delivery_timeout"],
                params["execution_timeout"],
            )
        except CommandError as error:
            raise ModuleFailure(str(error), code="ssm_failed") from None
        result = {
            "changed": True,
            "status": outcome.status,
            "status_details": outcome.status_details,
            "rc": outcome.rc,
            "stdout": outcome.stdout,
            "stderr": outcome.stderr,
            "command_id": outcome.command_id,
            "seconds": outcome.seconds,
        }
        if outcome.status != "Success" or outcome.rc not in (0, None):
            code = "" if outcome.rc is None else f", exit code {outcome.rc}"
            detail = (
                f" ({outcome.status_details})" if outcome.status_details not in ("", outcome.status) else ""
            )
            raise ModuleFailure(
                f"SSM: the command on {params['instance_id']} ended with {outcome.status}{detail}{code}",
                **result,
                code="ssm_failed",
            )
        return result

    finish_aws(module, work)


if __name__ == "__main__":
    main()
