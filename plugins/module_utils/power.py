# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power on: the way back of a node that was fenced. Starting a machine starts no service; its own guard decides that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from .clients import error_code, explain
from .evidence import NO, UNKNOWN, YES, Evidence
from .fencing import Runner, agent_argv, run_agent
from .pair import Node, PairSpec

Power = Callable[[Node], Evidence]


def ec2_on(ec2: Callable[[], Any], node: Node) -> Evidence:
    """StartInstances: yes = ordered, no = EC2 will never start it, unknown = ask again."""
    source = f"EC2 StartInstances {node.instance_id}"
    try:
        ec2().start_instances(InstanceIds=[node.instance_id])
    except Exception as error:
        if error_code(error) == "IncorrectInstanceState":  # still stopping
            return Evidence(UNKNOWN, source, "it is not stopped yet")
        return Evidence(NO, source, explain(error, "EC2 StartInstances"))
    return Evidence(YES, source, "ordered")


def agent_on(command: tuple[str, ...], timeout: float, node: Node, run: Runner = run_agent) -> Evidence:
    """The fence agent's action `on`: yes when it ends with 0."""
    rc, said = run(agent_argv(command, node, "on"), timeout, lambda: None)
    if rc == 0:
        return Evidence(YES, f"{command[0]} on", "ordered")
    return Evidence(NO, f"{command[0]} on", said or f"exit code {rc}")


def power_for(pair: PairSpec, ec2: Callable[[], Any]) -> Optional[Power]:
    """How this pair's nodes are switched on; None when only a person can."""
    if pair.fencing.method == "ec2_stop":
        return lambda node: ec2_on(ec2, node)
    if pair.fencing.method == "command":
        return lambda node: agent_on(pair.fencing.command, pair.fencing.timeout, node)
    return None
