# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSM document HotStandbyNode: the only thing that playbooks and the function run on nodes. Pure data."""

from __future__ import annotations

from typing import Any, Optional

from .pair import NAME_PATTERN

NAME = "HotStandbyNode"
ACTIONS = ("look", "status", "start", "stop", "may-start")


def _parameter(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "String", "description": description, **more}


def content() -> dict[str, Any]:
    """The document as schema 2.2 wants it. No parameter admits a character that a shell would read."""
    name = f"^{NAME_PATTERN}$"
    options = ("action", "pair", "move", "epoch", "mode", "timeout", "active")
    words = " ".join(f"--{option} '{{{{ {option.capitalize()} }}}}'" for option in options)
    return {
        "schemaVersion": "2.2",
        "description": "hotstandby.ops: asks or orders one node of a pair. The node's own guard decides.",
        "parameters": {
            "Action": _parameter("What to do", allowedValues=list(ACTIONS)),
            "Pair": _parameter("The pair that is meant", allowedPattern=name),
            "Move": _parameter("The move that asks", default="", allowedPattern="^[A-Za-z0-9._-]{0,64}$"),
            "Epoch": _parameter(
                "The epoch that the command carries", default="", allowedPattern="^[0-9]{0,18}$"
            ),
            "Mode": _parameter("How to stop", default="normal", allowedValues=["normal", "force"]),
            "Timeout": _parameter("Seconds the node may take", default="20", allowedPattern="^[0-9]{1,5}$"),
            "Active": _parameter("Who is believed active", default="", allowedPattern=f"^({NAME_PATTERN})?$"),
            "ExecutionTimeout": _parameter(
                "Seconds after which SSM ends the script", default="3600", allowedPattern="^[0-9]{1,6}$"
            ),
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "hotstandby",
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {
                    "timeoutSeconds": "{{ ExecutionTimeout }}",
                    "runCommand": [f'exec "${{HOTSTANDBY_ROOT:-}}/usr/local/bin/hotstandby" ssm {words}'],
                },
            }
        ],
    }


def parameters(
    action: str,
    pair: str,
    move: str = "",
    epoch: Optional[int] = None,
    mode: str = "normal",
    timeout: int = 20,
    active: str = "",
    execution_timeout: int = 3600,
) -> dict[str, list[str]]:
    """SendCommand's Parameters. Times in seconds."""
    values = {
        "Action": action,
        "Pair": pair,
        "Move": move,
        "Epoch": "" if epoch is None else str(epoch),
        "Mode": mode,
        "Timeout": str(timeout),
        "Active": active,
        "ExecutionTimeout": str(execution_timeout),
    }
    return {key: [value] for key, value in values.items()}
