# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM policies of a pair."""

from __future__ import annotations

DOCUMENTATION = r"""
name: iam_policy
short_description: The least rights that a party of a pair needs, as an IAM policy
version_added: 0.1.0
description:
  - Renders the IAM policy document of one party from the description of a pair.
  - The actions are data of the collection and tested one by one against what the collection really calls.
author:
  - hotstandby.ops contributors (@hotstandby)
positional: party
options:
  _input:
    description: The pair (C(hotstandby_pair)).
    type: dict
    required: true
  party:
    description:
      - V(controller) moves the service, V(viewer) only looks, V(deployer) runs the playbook C(deploy) as well,
        V(drill) moves and runs the playbook C(drill), V(node) is the instance profile of both nodes (besides what the SSM
        agent needs).
        The role C(failover_automation) makes the policy of the Lambda function.
    type: str
    choices: [controller, viewer, deployer, drill, node]
    required: true
  account:
    description: The AWS account of the resources.
    type: str
    default: "*"
  partition:
    description: The AWS partition of the resources.
    type: str
    default: aws
"""

EXAMPLES = r"""
- name: What both nodes may do
  amazon.aws.iam_managed_policy:
    name: hotstandby-node
    policy: "{{ hotstandby_pair | hotstandby.ops.iam_policy('node', account='123456789012') }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The policy document.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import policy


def iam_policy(pair: Any, party: str, account: str = "*", partition: str = "aws") -> dict[str, Any]:
    """See the documentation above."""
    try:
        return policy(parse_pair(pair), party, str(account), partition)
    except PairError as error:
        raise AnsibleFilterError(f"hotstandby.ops.iam_policy: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name and function."""
        return {"iam_policy": iam_policy}
