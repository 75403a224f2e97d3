# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Past moves as a timeline that a person can read: what was done, on what evidence, and how long it took. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .report import moment

WIDTH = 110  # columns


def timeline(move: Mapping[str, Any]) -> list[str]:
    """One history item as lines of at most WIDTH columns."""
    down = move.get("downtime_seconds")
    spent = f", down for {down:.1f} s" if isinstance(down, (int, float)) else ""
    lines = [
        f"{moment(move.get('ended'))}  {move.get('kind')} {move.get('source')} -> {move.get('target')}: "
        f"{str(move.get('outcome')).upper()}{spent}, epoch {move.get('epoch')}, active {move.get('active') or 'nobody'}"
    ]
    by = f"by {move.get('by') or 'unknown'}" + (f": {move.get('reason')}" if move.get("reason") else "")
    lines += textwrap.wrap(
        f"{move.get('id')}, {by}", WIDTH - 4, initial_indent="    ", subsequent_indent="    "
    )
    if move.get("unfenced"):
        lines += textwrap.wrap(f"    UNFENCED: {move['unfenced']}", WIDTH, subsequent_indent="    ")
    for step in move.get("steps") or ():
        lines += _step(step)
    lines += textwrap.wrap(
        str(move.get("message", "")), WIDTH, initial_indent="    = ", subsequent_indent="      "
    )
    return lines


def _step(step: Mapping[str, Any]) -> list[str]:
    seconds = step.get("seconds")
    took = f"{seconds:7.2f} s" if isinstance(seconds, (int, float)) else " " * 9
    head = f"    {took}  {step.get('name', ''):9} {step.get('outcome', ''):13} "
    return textwrap.wrap(
        str(step.get("detail") or "-"), WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    )


def timelines(moves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Several moves, newest first, with a line between them."""
    if not moves:
        return ["no move was ever recorded"]
    lines: list[str] = []
    for move in moves:
        lines += [*timeline(move), ""]
    return lines[:-1]
