# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Glue that the modules on nodes share: bounded commands and one-line failures. Judges nothing itself."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol

from .runbook import code_of, help_for, told


class Module(Protocol):
    """What the glue needs of AnsibleModule and AnsibleAWSModule."""

    params: Mapping[str, Any]
    check_mode: bool

    def exit_json(self, **result: Any) -> Any: ...

    def fail_json(self, msg: str, **result: Any) -> Any: ...


class ModuleFailure(Exception):
    """The module fails with this one line; `result` is returned with it (`code`: where the runbook explains it)."""

    def __init__(self, message: str, **result: Any) -> None:
        super().__init__(message)
        self.result = result


def operator() -> str:
    """The person behind this run: who called sudo, else the user."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        # a user id without a name, as in containers
        return f"uid {os.getuid()}"


def owner(by: Optional[str] = None) -> str:
    """This run, as others read it in the lease: person, host and process."""
    return f"{by or operator()}@{socket.gethostname()}/{os.getpid()}"


def one_line(text: object) -> str:
    """Text for a person, on one line and bounded."""
    return " ".join(str(text).split())[:2000]


def finish(module: Module, work: Callable[[], Mapping[str, Any]]) -> None:
    """Run `work` and end the module with its result, or with one line whatever went wrong. Never a traceback."""
    failure: dict[str, Any] = {}
    message, code = "", ""
    try:
        result = dict(work())
    except ModuleFailure as error:
        message, failure = str(error), error.result
        code = str(failure.get("code") or "")
    except Exception as error:
        # the core's own errors are sentences already
        ours = type(error).__module__.startswith(__name__.rpartition(".")[0])
        message = str(error) if ours else f"{type(error).__name__}: {error}"
        code = code_of(error) if ours else "unexpected"
    if message:
        if code:
            failure = {**failure, "code": code, "help": help_for(code)}
            message = message if help_for(code) in message else told(message, code)
        # outside of the except block: ansible would show the chain of exceptions
        module.fail_json(msg=one_line(message), **failure)
        return
    module.exit_json(**result)
