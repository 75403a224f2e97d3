# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a project of flows does not survive a switch to the other node. Pure: text in, findings out.

The project format is not published: whatever its elements are called, a value is an attribute, an element's text, or a
name and value pair of two attributes. Rules are data; a site adds its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional
from xml.parsers import expat

DEEPEST = 200  # elements within elements
LONGEST = 200  # characters of a value that a finding shows
NAMES = ("name", "key", "id")  # attributes that name the value beside them
DECLARED = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# what expat reads by itself; of the rest it knows single bytes only, and no Japanese encoding is one
NATIVE = ("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "iso-8859-1")


class FlowError(Exception):
    """A file, or a rule, cannot be used; one line that says why."""

    code = "bad_option"


@dataclass(frozen=True)
class Rule:
    """One thing to look for. `pattern` is searched in values; with `setting` only in values of settings of that name."""

    id: str
    pattern: str
    why: str
    instead: str
    unless: str = ""  # a value in which this is found is well
    setting: str = ""  # pattern of the setting's whole name


@dataclass(frozen=True)
class Needed:
    """A setting that each element called `element` must hold, itself or below it."""

    element: str
    setting: str
    value: str
    why: str


@dataclass(frozen=True)
class Finding:
    """One place: `line` from 1, `rule` its id, `value` what stands there, shortened."""

    line: int
    rule: str
    value: str
    why: str
    instead: str

    def plain(self, file: str) -> dict[str, Any]:
        """As a module returns it."""
        return {
            "file": file, "line": self.line, "rule": self.rule,
            "value": self.value, "why": self.why, "instead": self.instead,
        }  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A setting of a project: `name` is an attribute's, an element's, or what stands beside it as its name."""

    name: str
    value: str
    line: int


def own_addresses(addresses: Iterable[str]) -> Optional[Rule]:
    """Calls of a node's own address or name; None where none are given."""
    words = [re.escape(word) for word in addresses if word.strip()]
    if not words:
        return None
    return Rule(
        "own-address",
        rf"(?i)(?<![\w.-])(?:{'|'.join(words)})(?![\w-]|\.\w)",
        "after a switch this calls the node that was left",
        "localhost",
    )


def local_paths(places: Iterable[str], shared: Iterable[str]) -> Optional[Rule]:
    """Paths below a node's own places, less those that are shared; None where none are given."""
    own = [re.escape(place.rstrip("/")) for place in places if place.strip("/ ")]
    if not own:
        return None
    both = [re.escape(place.rstrip("/")) for place in shared if place.strip("/ ")]
    return Rule(
        "local-path",
        rf"(?:^|[\s=:;,'\"(]|file://)(?:{'|'.join(own)})(?:[/\\]|$)",
        "an intermediate file that is kept here is lost to the other node",
        "a path on the shared folder",
        unless=rf"^(?:file://)?(?:{'|'.join(both)})(?:/|$)" if both else "",
    )


def checkpoints(element: str) -> tuple[Needed, ...]:
    """What lets another server take a flow up; `element` is the pattern of a flow's element."""
    return (
        Needed(element, "OtherServerRetry", "true", "without it no other server takes up what this one left"),
        Needed(element, "BeginCheckpoint", "Use", "without it a flow that is taken up begins anew"),
    )


def rule_of(raw: Mapping[str, Any]) -> Rule:
    """A site's own rule. Raises FlowError, naming the rule and the key."""
    name = str(raw.get("id") or "")
    known = {"id", "pattern", "why", "instead", "unless", "setting"}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise FlowError(
            f"rules: {name or '?'}: no such key '{unknown[0]}', there are {', '.join(sorted(known))}"
        )
    for key in ("id", "pattern", "why", "instead"):
        if not raw.get(key):
            raise FlowError(f"rules: {name or '?'}: {key} is missing")
    texts = {key: str(value) for key, value in raw.items() if value is not None}
    for key in ("pattern", "unless", "setting"):
        compiled(texts.get(key, ""), f"rules: {name}: {key}")
    return Rule(**texts)


def compiled(pattern: str, where: str) -> re.Pattern[str]:
    """A pattern of the user's. Raises FlowError."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise FlowError(f"{where}: '{pattern}' is no regular expression: {error}") from None


def decoded(raw: bytes) -> tuple[bytes, Optional[str]]:
    """The file for expat, and the encoding to tell it. Raises FlowError."""
    found = DECLARED.match(raw)
    name = found[1].decode("ascii").lower() if found else "utf-8"
    if name in NATIVE:
        return raw, None
    try:
        return raw.decode(name).encode("utf-8"), "utf-8"
    except LookupError:
        raise FlowError(f"its encoding '{name}' is not known") from None
    except UnicodeDecodeError as error:
        raise FlowError(f"it is not in its encoding '{name}': {error.reason} at byte {error.start}") from None


class _Reader:
    """Collects the values, and what each needed element holds. No document type, and so no entity of its own, is accepted."""

    def __init__(self, needed: Sequence[Needed]) -> None:
        self.values: list[Value] = []
        self.missing: list[tuple[Needed, int, str]] = []
        self._needed = [(need, re.compile(need.element)) for need in needed]
        self._open: list[tuple[str, int, str]] = []  # element, line, the name that its attributes give it
        self._text: list[list[str]] = []
        self._wanted: list[tuple[int, int, Needed, dict[str, str]]] = []  # depth, line, what, settings so far
        self._parser: Any = None

    def read(self, raw: bytes) -> None:
        text, encoding = decoded(raw)
        parser: Any = expat.ParserCreate(encoding)
        self._parser = parser
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise FlowError(f"it is no XML: {error}") from None

    def _doctype(self, *_words: Any) -> None:
        raise FlowError("it has a document type declaration, which is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST:
            raise FlowError(f"its elements are nested deeper than {DEEPEST}")
        line, bare = self._parser.CurrentLineNumber, name.rpartition(":")[2]
        for need, pattern in self._needed:
            if pattern.fullmatch(bare):
                self._wanted.append((len(self._open), line, need, {}))
        called = next((value for key, value in attributes.items() if key.lower() in NAMES), "")
        for key, value in attributes.items():
            if key.lower() == "value" and called:
                self._take(called, value, line)
            else:
                self._take(key.rpartition(":")[2], value, line)
        self._open.append((bare, line, called))
        self._text.append([])

    def _data(self, text: str) -> None:
        if self._text:
            self._text[-1].append(text)

    def _end(self, _name: str) -> None:
        bare, line, called = self._open.pop()
        text = "".join(self._text.pop()).strip()
        if text:
            self._take(called or bare, text, line)
            if called:
                self._take(bare, text, line, rules=False)
        while self._wanted and self._wanted[-1][0] == len(self._open):
            _depth, at, need, settings = self._wanted.pop()
            stands = settings.get(need.setting)
            if stands is None or stands.lower() != need.value.lower():
                self.missing.append((need, at, "not set" if stands is None else stands))

    def _take(self, name: str, value: str, line: int, rules: bool = True) -> None:
        if rules:
            self.values.append(Value(name, value, line))
        for _depth, _line, need, settings in self._wanted:
            if name == need.setting:
                settings[name] = value.strip()


def check(raw: bytes, rules: Sequence[Rule], needed: Sequence[Needed] = ()) -> list[Finding]:
    """Every place in one file that a rule names, by line. Raises FlowError when the file cannot be read as XML."""
    reader = _Reader(needed)
    reader.read(raw)
    ready = [
        (rule, re.compile(rule.pattern), re.compile(rule.unless) if rule.unless else None, rule.setting)
        for rule in rules
    ]
    found = []
    for item in reader.values:
        for rule, pattern, unless, setting in ready:
            if setting and not re.fullmatch(setting, item.name):
                continue
            if pattern.search(item.value) and not (unless and unless.search(item.value)):
                found.append(Finding(item.line, rule.id, shown(item), rule.why, rule.instead))
    for need, line, stands in reader.missing:
        found.append(
            Finding(
                line, "no-checkpoint", f"{need.setting}: {stands}", need.why, f"{need.setting}={need.value}"
            )
        )
    return sorted(found, key=lambda item: (item.line, item.rule, item.value))


def shown(item: Value) -> str:
    """A value as a finding shows it: one line, bounded."""
    text = " ".join(f"{item.name}: {item.value}".split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
