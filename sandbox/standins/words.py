# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON as the json package reads and writes it, without what that package loads: it is half of a command's start.

The products are programs in C; what loads slowly here would count as theirs.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False  # typing is what loads slowest
if TYPE_CHECKING:
    from typing import Any


class _Rules:
    strict, object_hook, object_pairs_hook, memo = True, None, None, {}  # type: ignore[var-annotated]
    parse_float, parse_int, parse_constant = float, int, float


_scan = make_scanner(_Rules)  # type: ignore[arg-type]
_SPACE = " \t\n\r"


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    words = (text.decode() if isinstance(text, bytes) else text).strip(_SPACE)
    try:
        value, end = _scan(words, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(words):
        raise ValueError("more than one JSON value")
    return value


def dumps(value: Any) -> str:
    """A value of texts, numbers, truths, None, lists and dictionaries as JSON. Raises TypeError for any other."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return str(encode_basestring_ascii(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(dumps, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{encode_basestring_ascii(key)}: {dumps(item)}' for key, item in value.items())}}}"
    raise TypeError(f"{type(value).__name__} is not JSON")


__all__ = ["dumps", "loads"]
