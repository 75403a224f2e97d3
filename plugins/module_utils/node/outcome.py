# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a command on this node, before it is put into an answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..answer import EXIT_CODES, FAILED, REFUSED
from ..runbook import help_for
from .rules import Decision


@dataclass(frozen=True)
class Outcome:
    """`state` as an answer has it, `code` the exit code, `detail` what goes into the answer."""

    state: str
    code: int
    detail: Mapping[str, Any] = field(default_factory=dict)


def told(state: str, message: str, **detail: Any) -> Outcome:
    """A question was answered: the exit code is the state's."""
    return Outcome(state, EXIT_CODES[state], {"message": message, **detail})


def done(state: str, message: str, **detail: Any) -> Outcome:
    """A command did what it should."""
    return Outcome(state, 0, {"message": message, **detail})


def failed(state: str, message: str, code: str, **detail: Any) -> Outcome:
    """A command was allowed and did not reach what it should: 1, or 4 when the end is not known.

    `code` is where the runbook explains it.
    """
    told_by = {"message": message, "code": code, "help": help_for(code), **detail}
    return Outcome(state, EXIT_CODES[state] if state in ("hung", "unknown") else FAILED, told_by)


def refused(decision: Decision, state: str = "unknown", **detail: Any) -> Outcome:
    """A rule of the guard refused."""
    told_by = {"message": decision.message, "refused": True, "code": decision.code}
    return Outcome(state, REFUSED, {**told_by, "help": help_for(decision.code), **detail})


def one_line(error: BaseException) -> str:
    """An error that nobody expected, on one line and bounded."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
