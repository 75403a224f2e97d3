# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validators: each takes a key and a value, and returns the value read or raises PairError that names the key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


class PairError(ValueError):
    """The description of a pair is wrong. Its text is one line that names the key."""

    code = "bad_pair"


Check = Callable[[str, Any], Any]


def shown(value: Any) -> str:
    """A value as a part of one line: printable, and cut when it is long."""
    try:
        said = str(value)
    except ValueError:  # Python prints no number of more than some thousand digits
        said = "a huge number"
    said = "".join(char if char.isprintable() else "?" for char in said)
    return said if len(said) <= 80 else f"{said[:77]}..."


def text(pattern: str, what: str) -> Check:
    compiled = re.compile(pattern)

    def check(key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise PairError(f"{key}: must be text, not {kind_of(value)}")
        if not value:
            raise PairError(f"{key}: must not be empty")
        if not compiled.fullmatch(value):
            raise PairError(f"{key}: '{shown(value)}' is not {what}")
        return value

    return check


def texts(pattern: str, what: str) -> Check:
    """A list of such texts."""
    one = text(pattern, what)

    def check(key: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise PairError(f"{key}: must be a list, not {kind_of(value)}")
        return tuple(one(f"{key}[{index}]", item) for index, item in enumerate(value))

    return check


def regexp(*groups: str) -> Check:
    """A regular expression that has these named groups."""

    def check(key: str, value: Any) -> str:
        given: str = text(r"[^\x00]{1,1000}", "a regular expression")(key, value)
        try:
            named = re.compile(given).groupindex
        except re.error as error:
            raise PairError(f"{key}: is no regular expression: {error}") from None
        missing = [name for name in groups if name not in named]
        if missing:
            raise PairError(f"{key}: needs the named group (?P<{missing[0]}>...)")
        return given

    return check


def kind_of(value: Any) -> str:
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
        type(None): "nothing",
    }
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return names.get(type(value)) or next(
        (name for kind, name in names.items() if isinstance(value, kind)), type(value).__name__
    )


def integer(low: int, high: int) -> Check:
    def check(key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise PairError(
                f"{key}: must be a whole number, not {kind_of(value)}"
                + (f" ('{shown(value)}')" if isinstance(value, str) else "")
            )
        if not low <= value <= high:
            raise PairError(f"{key}: {shown(value)} is outside {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    def check(key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PairError(f"{key}: must be a number of seconds, not {kind_of(value)}")
        if not low <= value <= high:
            raise PairError(f"{key}: {shown(value)} is outside {low:g} to {high:g}")
        return float(value)

    return check


def flag(key: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise PairError(f"{key}: must be true or false, not {shown(value)}")
    return value


def choice(*values: str) -> Check:
    def check(key: str, value: Any) -> str:
        # YAML 1.1 reads a bare none/off as another type; only text is accepted
        if value not in values or not isinstance(value, str):
            raise PairError(f"{key}: '{shown(value)}' is not one of {', '.join(values)}")
        return value

    return check


def path(key: str, value: Any) -> str:
    found = text(r"/[^\x00-\x1f]*", "an absolute path")(key, value)
    if ".." in found.split("/"):
        raise PairError(f"{key}: '{shown(found)}' must not contain '..'")
    return str(found)


def argv(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise PairError(f"{key}: must be a list of arguments, such as [/usr/local/bin/tool, --flag]")
    for index, item in enumerate(value):
        if not isinstance(item, str) or not item or "\x00" in item:
            raise PairError(f"{key}[{index}]: must be text that is not empty")
    return tuple(value)


def size(key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"([0-9]{1,12}) ?([KMGT]iB|[KMG]B|B)?", value) if isinstance(value, str) else None
    if not match:
        raise PairError(f"{key}: '{shown(value)}' is not a size such as 1GiB or 500MiB")
    return int(match.group(1)) * _UNITS[match.group(2) or "B"]


def url(key: str, value: Any) -> str:
    return str(text(r"https?://[^\s\"'<>]+", "an http or https address")(key, value))


def mapping(
    key: str, value: Any, required: Mapping[str, Check], optional: Mapping[str, Check]
) -> dict[str, Any]:
    """Read a mapping against its schema. Returns only the keys that were given."""
    if not isinstance(value, Mapping):
        raise PairError(f"{key}: must be a mapping, not {kind_of(value)}")
    for name in value:
        if name not in required and name not in optional:
            known = ", ".join(sorted([*required, *optional]))
            raise PairError(f"{key}.{shown(name)}: unknown key (known: {known})")
    for name in required:
        if name not in value:
            raise PairError(f"{key}.{name}: is missing")
    checks = {**optional, **required}
    return {name: checks[name](f"{key}.{name}", item) for name, item in value.items()}


def plain(value: Any) -> Any:
    """Plain dicts, lists and scalars, whatever templating wrapped them in."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
