# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a message is explained: each kind has a code, and the code is its heading in the runbook. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

RUNBOOK = "docs/runbook.md"
PREFIX = "ansible-playbook hotstandby.ops."
# a command as `command` makes it, wherever it stands in a text
COMMAND = re.compile(re.escape(PREFIX) + r"\w+(?: -e \w+=[\w-]+(?:\.[\w-]+)*)*")


def command(playbook: str, **extra: str) -> str:
    """The exact command to type next."""
    words = "".join(f" -e {key}={value}" for key, value in extra.items())
    return f"{PREFIX}{playbook}{words}"


def help_for(code: str) -> str:
    """Where the runbook explains a code; empty for no code."""
    return f"{RUNBOOK}#{code}" if code else ""


def code_of(error: BaseException) -> str:
    """The code that an error of ours carries; empty when it has none."""
    return str(getattr(error, "code", "") or "")


def told(message: str, code: str = "", next: str = "") -> str:
    """A message with where it is explained and, last, the exact next command."""
    text = message.rstrip(".") if code or next else message
    if code:
        text = f"{text} (see {help_for(code)})"
    return f"{text}. Next: {next}" if next else text


def addressed(value: Any, inventory: Sequence[str], group: str = "") -> Any:
    """The same text, list or mapping with each next command naming the inventory and the group it is meant for."""
    words = [word for source in inventory for word in ("-i", shlex.quote(source))]
    if group not in ("", "hotstandby"):
        words += ["-e", shlex.quote(f"hotstandby_group={group}")]
    return _addressed(value, "".join(f" {word}" for word in words)) if words else value


def _addressed(value: Any, words: str) -> Any:
    if isinstance(value, str):
        return COMMAND.sub(lambda found: found[0] + words, value)
    if isinstance(value, Mapping):
        return {key: _addressed(item, words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_addressed(item, words) for item in value]
    return value
