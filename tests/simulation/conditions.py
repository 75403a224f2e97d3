# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DynamoDB's condition expressions, as far as the collection writes them, and as strict: what DynamoDB refuses is refused.

Known are `=`, `<=`, AND, OR, parentheses, attribute_exists, attribute_not_exists and attribute_type, over names with `#` and
values with `:`. Anything else is an error of the test.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Optional

Item = Mapping[str, Any]
Test = Callable[[Item, Mapping[str, str], Item], bool]

TYPES = ("S", "SS", "N", "NS", "B", "BS", "BOOL", "NULL", "L", "M")
ORDERED = ("S", "N", "B")  # the types that `<=` compares
FUNCTIONS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2}
TOKEN = re.compile(r"\s*(?:(\w+)|(#\w+(?:\.#\w+)*)|(:\w+)|(<=|=|[(),]))")


class Invalid(Exception):
    """DynamoDB would answer with a ValidationException; the text says why."""


def holds(expression: str, item: Item, arguments: Mapping[str, Any]) -> bool:
    """Whether a condition holds for an item ({} when there is none). `arguments` are the call's own. Raises Invalid."""
    names = arguments.get("ExpressionAttributeNames") or {}
    values = arguments.get("ExpressionAttributeValues") or {}
    written = [text for key, text in arguments.items() if key.endswith("Expression")]
    used = frozenset().union(*(_placeholders(text) for text in written))
    if used != names.keys() | values.keys():
        raise Invalid(f"not defined or not used: {sorted(used ^ (names.keys() | values.keys()))}")
    test, typed, ordered = condition(expression)
    # before anything is compared, whether or not it would be
    for name in typed:
        if _kind(values[name]) != "S" or values[name]["S"] not in TYPES:
            raise Invalid(f"no name of a type: {values[name]}")
    for name in ordered:
        if _kind(values[name]) not in ORDERED:
            raise Invalid(f"<= compares no {_kind(values[name])}")
    return test(item, names, values)


@functools.lru_cache(maxsize=512)
def _placeholders(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[#:]\w+", text))


@functools.lru_cache(maxsize=512)
def condition(text: str) -> tuple[Test, Sequence[str], Sequence[str]]:
    """A condition as a function of item, names and values; which values name a type, and which are ordered by."""
    reader = _Reader(text)
    test, _inside = reader.either()
    if reader.peek():
        raise AssertionError(f"a condition that this table does not know: {text}")
    return test, reader.typed, reader.ordered


class _Reader:
    """Reads one expression; AND binds more tightly than OR. Each part tells whether parentheses stand around it already."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        self.typed: list[str] = []
        self.ordered: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if found is None:
                raise AssertionError(f"a condition that this table does not know: {text[at:]}")
            self._tokens.append(found.group(0).strip())
            at = found.end()

    def peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, *wanted: str) -> str:
        token = self._tokens.pop(0) if self._tokens else ""
        if wanted and token not in wanted:
            raise AssertionError(f"'{token}' where {' or '.join(wanted)} belongs: {self._text}")
        return token

    def either(self) -> tuple[Test, bool]:
        return self._row("OR", any, lambda: self._row("AND", all, self._one))

    def _row(
        self, word: str, how: Callable[[Any], bool], part: Callable[[], tuple[Test, bool]]
    ) -> tuple[Test, bool]:
        first, inside = part()
        tests = [first]
        while self.peek() == word:
            self._take()
            tests.append(part()[0])
        if len(tests) == 1:
            return first, inside
        return lambda item, names, values: how(test(item, names, values) for test in tests), False

    def _one(self) -> tuple[Test, bool]:
        if self.peek() == "(":
            self._take()
            test, inside = self.either()
            self._take(")")
            if inside:
                raise Invalid("the expression has redundant parentheses")
            return test, True
        if self.peek() in FUNCTIONS:
            return self._function(), False
        path, how, value = self._path(), self._take("=", "<="), self._value()
        if how == "=":
            return functools.partial(_equal, path, value), False
        self.ordered.append(value)
        return functools.partial(_at_most, path, value), False

    def _function(self) -> Test:
        name = self._take()
        self._take("(")
        path = self._path()
        value = ""
        if FUNCTIONS[name] == 2:
            self._take(",")
            value = self._value()
        self._take(")")
        if name == "attribute_type":
            self.typed.append(value)
            return functools.partial(_of_type, path, value)
        there = name == "attribute_exists"
        return lambda item, names, _values: (_found(path, item, names) is not None) is there

    def _path(self) -> tuple[str, ...]:
        token = self._take()
        if not token.startswith("#"):
            raise AssertionError(f"'{token}' where a name belongs: {self._text}")
        return tuple(token.split("."))

    def _value(self) -> str:
        token = self._take()
        if not token.startswith(":"):
            raise AssertionError(f"'{token}' where a value belongs: {self._text}")
        return token


def _found(path: tuple[str, ...], item: Item, names: Mapping[str, str]) -> Optional[Item]:
    found: Any = {"M": item}
    for name in path:
        found = found.get("M", {}).get(names[name])
        if found is None:
            return None
    kept: Item = found
    return kept


def _kind(value: Item) -> str:
    (kind,) = value
    return str(kind)


def _of_type(path: tuple[str, ...], value: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    found = _found(path, item, names)
    return found is not None and _kind(found) == values[value]["S"]


def _equal(path: tuple[str, ...], value: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    found, wanted = _found(path, item, names), values[value]
    if found is not None and _kind(found) == _kind(wanted) == "N":
        return Decimal(found["N"]) == Decimal(wanted["N"])
    return found == wanted


def _at_most(path: tuple[str, ...], value: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    found, wanted = _found(path, item, names), values[value]
    kind = _kind(wanted)
    if found is None or _kind(found) != kind:
        return False
    if kind == "N":
        return Decimal(found["N"]) <= Decimal(wanted["N"])
    # DynamoDB orders text by its UTF-8 bytes
    return bool(_bytes(found[kind]) <= _bytes(wanted[kind]))


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
