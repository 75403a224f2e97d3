# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's answer: one JSON object on the last line of its output. Made on nodes, judged by controllers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .checks import shown

SCHEMA = 1
LIMIT = 2300  # bytes; ListCommandInvocations cuts at 2,500 characters
STATES = ("running", "stopped", "hung", "unknown")
EXIT_CODES = {"running": 0, "stopped": 3, "hung": 4, "unknown": 4}
REFUSED, FAILED = 5, 1


@dataclass(frozen=True)
class Answer:
    """What a node says of itself. `held` is {by, reason, time} or None; `detail` depends on the action."""

    pair: str
    node: str
    instance_id: str
    boot_id: str
    action: str
    move: str
    epoch: Optional[int]
    state: str
    seen: int
    floor: int
    held: Optional[Mapping[str, Any]]
    detail: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def refused(self) -> bool:
        """Whether a rule of the guard refused the command."""
        return bool(self.detail.get("refused"))

    @property
    def up(self) -> bool:
        """Whether the service runs there, or hangs: one that gives no answer where no process of it was found does neither."""
        return self.state == "running" or (self.state == "hung" and self.detail.get("processes") != 0)

    @property
    def message(self) -> str:
        """One line for people."""
        return str(self.detail.get("message", ""))


@dataclass(frozen=True)
class NoAnswer:
    """A node of which nothing is known, and why. `reached` tells whether the command was seen to begin.

    `spoke`: something did answer, and did not say (or said otherwise) that it is the node that was asked.
    """

    why: str
    reached: bool = False
    spoke: bool = False


Reply = Union[Answer, NoAnswer]


def _shrunk(detail: Mapping[str, Any], limit: int) -> dict[str, Any]:
    return {
        key: (value[:limit] if isinstance(value, str) and len(value) > limit else value)
        for key, value in detail.items()
    }


def _least(value: Any) -> Any:
    """A value in at most 120 bytes of JSON."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return "".join(char if " " <= char <= "~" else "?" for char in str(value)[:60])


def dump_answer(answer: Answer) -> str:
    """The answer as one ASCII line of at most LIMIT bytes; long texts in `detail` and `held` are cut, then dropped."""
    fields = (
        "schema",
        "pair",
        "node",
        "instance_id",
        "boot_id",
        "action",
        "move",
        "epoch",
        "state",
        "seen",
        "floor",
        "held",
        "detail",
    )
    whole = {name: getattr(answer, name) for name in fields}
    for limit in (600, 200, 60):
        whole["detail"] = _shrunk(answer.detail, limit)
        whole["held"] = None if answer.held is None else _shrunk(answer.held, limit)
        text = json.dumps(whole, sort_keys=False, separators=(",", ":"))
        if len(text) <= LIMIT:
            return text
    kept = ("refused", "code", "still_stopping", "already")
    whole["detail"] = {
        "message": "detail was too long",
        **{key: _least(answer.detail[key]) for key in kept if key in answer.detail},
    }
    if answer.held is not None:
        whole["held"] = {
            key: _least(answer.held[key]) for key in ("by", "reason", "time") if key in answer.held
        }
    return json.dumps(whole, separators=(",", ":"))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def parse_answer(text: str, pair: str, node: str, instance_id: str, action: str = "") -> Reply:
    """Judge what came back from a node.

    Anything that is not an answer of that node of that pair, on that instance, is NoAnswer: unknown, never a verdict.
    """
    line = _last_line(text)
    if not line:
        return NoAnswer("it printed nothing", reached=True)
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):  # thousands of brackets are no answer either
        return NoAnswer(f"its last line is not an answer: {line[:80]!r}", reached=True)
    if not isinstance(raw, Mapping):
        return NoAnswer("its last line is not an answer", reached=True)
    if raw.get("schema") != SCHEMA:
        return NoAnswer(
            f"it speaks schema {shown(raw.get('schema'))}, this version speaks {SCHEMA}: run deploy",
            reached=True,
        )
    for key, expected in (("pair", pair), ("node", node), ("instance_id", instance_id)):
        if raw.get(key) != expected:
            return NoAnswer(
                f"the answer names {key} '{shown(raw.get(key))}', expected '{expected}'",
                reached=True,
                spoke=True,
            )
    if action and raw.get("action") != action:
        return NoAnswer(f"the answer is to '{shown(raw.get('action'))}', asked was '{action}'", reached=True)
    epoch, held, detail = raw.get("epoch"), raw.get("held"), raw.get("detail")
    numbers = [raw.get("seen"), raw.get("floor"), 0 if epoch is None else epoch]
    if raw.get("state") not in STATES or not all(
        isinstance(item, int) and not isinstance(item, bool) for item in numbers
    ):
        return NoAnswer("the answer lacks a state, seen or floor", reached=True)
    if not isinstance(detail, Mapping) or not (held is None or isinstance(held, Mapping)):
        return NoAnswer("the answer lacks its detail", reached=True)
    return Answer(
        pair=pair,
        node=node,
        instance_id=instance_id,
        boot_id=str(raw.get("boot_id", "")),
        action=str(raw.get("action", "")),
        move=str(raw.get("move", "")),
        epoch=epoch,
        state=str(raw["state"]),
        seen=int(raw["seen"]),
        floor=int(raw["floor"]),
        held=held,
        detail=detail,
    )
