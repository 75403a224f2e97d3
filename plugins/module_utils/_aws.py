# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Glue of the modules that speak to AWS: a module with amazon.aws's options, the pair, and clients made alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ._ansible import Module, ModuleFailure, finish, one_line
from .clients import bulk_config, client_config, explain
from .pair import PairSpec, parse_pair
from .ports import Ports, ports_for
from .progress import VARIABLE, to_file
from .requeue_pool import threads
from .runbook import addressed

PAIR_OPTIONS: dict[str, Any] = {
    "pair": {"type": "dict", "required": True},
    "called": {
        "type": "dict",
        "options": {
            "inventory": {"type": "list", "elements": "str", "default": []},
            "group": {"type": "str", "default": ""},
            "stray": {"type": "str", "default": ""},
        },
    },
}


def aws_module(options: Mapping[str, Any], **settings: Any) -> AnsibleAWSModule:
    """A module with these options and amazon.aws's. Retries are the core's, never amazon.aws's minutes of backoff."""
    return AnsibleAWSModule(
        argument_spec=dict(options), supports_check_mode=True, auto_retry=False, **settings
    )


def client_maker(
    module: AnsibleAWSModule, region: Optional[str], endpoint_url: Optional[str], lease: float
) -> Callable[[str], Any]:
    """What makes and keeps one client per service, with the credentials of the module's options.

    `lease` in seconds bounds each call with its retries.
    """
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            config = client_config(lease, endpoint_url or module.params.get("endpoint_url"))
            extra = {"region": region or module.region, "config": config}
            if endpoint_url:
                extra["endpoint"] = endpoint_url
            made[service] = module.client(service, **extra)
        return made[service]

    return client


def bulk_client(module: AnsibleAWSModule, service: str, workers: int) -> Any:
    """A client for many calls at once, with the module's own options; the caller repeats what fails."""
    return module.client(service, config=bulk_config(workers, module.params.get("endpoint_url")))


def pair_ports(pair: PairSpec, clients: Callable[[str], Any]) -> Ports:
    """The world of a pair, with its progress told to whoever watches this run."""
    return dataclasses.replace(
        ports_for(pair, clients, spread=threads()), progress=to_file(os.environ.get(VARIABLE))
    )


def pair_clients(module: AnsibleAWSModule) -> tuple[PairSpec, Callable[[str], Any]]:
    """The validated pair of the module's options and the clients it asks for."""
    stray = (module.params.get("called") or {}).get("stray")
    if stray and module.params.get("reason"):
        # ansible cut `reason=two words` at the blank; nobody must be held up by a missing quote at 3 a.m.
        module.params["reason"] = one_line(f"{module.params['reason']} {stray}")
        module.warn(f"'{one_line(stray)}' was taken for the rest of the reason")
    elif stray:  # half of a value may mean something else than the whole
        raise ModuleFailure(
            f"extra variables: '{one_line(stray)}' belongs to no variable, a value with blanks was cut. Nothing was changed. "
            "Quote it twice: -e \"by='two words'\"",
            code="cut_at_blank",
        )
    spec = parse_pair(module.params["pair"])
    return spec, client_maker(module, spec.region, spec.endpoint_url, spec.lease)


def finish_aws(module: AnsibleAWSModule, work: Callable[[], Mapping[str, Any]]) -> None:
    """As `finish`; an error of AWS or of the way to it is one line that says what was missing."""

    def careful() -> Mapping[str, Any]:
        try:
            return work()
        except Exception as error:
            if type(error).__module__.startswith(("botocore", "boto3")):
                call = getattr(error, "operation_name", None) or "AWS"
                raise ModuleFailure(one_line(explain(error, str(call))), code="aws_failed") from None
            raise

    finish(_Addressing(module), careful)


def addressed_by(module: Module, value: Any) -> Any:
    """The same with each next command naming the inventory and group that this run was called with."""
    called = module.params.get("called") or {}
    return addressed(value, called.get("inventory") or [], called.get("group") or "")


class _Addressing:
    """A module whose results are addressed."""

    def __init__(self, module: Module) -> None:
        self._module, self.params, self.check_mode = module, module.params, module.check_mode

    def exit_json(self, **result: Any) -> Any:
        return self._module.exit_json(**addressed_by(self._module, result))

    def fail_json(self, msg: str, **result: Any) -> Any:
        return self._module.fail_json(**addressed_by(self._module, {**result, "msg": msg}))
