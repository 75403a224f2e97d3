# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSM documents of schema 2.2 with one aws:runShellScript: checked as strictly as SSM does, and rendered."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

RUN_SHELL_SCRIPT = "AWS-RunShellScript"
DEFAULT_EXECUTION = 3600  # seconds, also what any value outside the limits silently becomes
MIN_EXECUTION, MAX_EXECUTION = 5, 172_800

BUILT_IN: dict[str, dict[str, Any]] = {
    RUN_SHELL_SCRIPT: {
        "schemaVersion": "2.2",
        "description": "Run a shell script or specify the commands to run.",
        "parameters": {
            "commands": {"type": "StringList", "minItems": 1},
            "workingDirectory": {"type": "String", "default": "", "maxChars": 4096},
            "executionTimeout": {
                "type": "String",
                "default": "3600",
                "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
            },
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "runShellScript",
                "inputs": {
                    "runCommand": "{{ commands }}",
                    "workingDirectory": "{{ workingDirectory }}",
                    "timeoutSeconds": "{{ executionTimeout }}",
                },
            }
        ],
    }
}

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_.:-]+)\s*\}\}")
_TYPES = {"String", "StringList", "Integer", "Boolean"}


class DocumentError(ValueError):
    """The content of a document is not valid."""


class ParameterError(ValueError):
    """A command's parameters do not fit its document."""


@dataclass(frozen=True)
class Rendered:
    """What an agent is to run. `execution_timeout` in seconds; `plugin` is the step's name."""

    script: str
    execution_timeout: int
    plugin: str


def check(content: Any) -> None:
    """Judge a document of type Command. Raises DocumentError."""
    if not isinstance(content, dict):
        raise DocumentError("the content is not an object")
    if str(content.get("schemaVersion")) != "2.2":
        raise DocumentError(f"schemaVersion {content.get('schemaVersion')!r}: the sandbox runs 2.2 only")
    parameters = content.get("parameters") or {}
    for name, about in parameters.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not isinstance(about, dict):
            raise DocumentError(f"parameter {name}: not valid")
        if about.get("type") not in _TYPES:
            raise DocumentError(
                f"parameter {name}: type {about.get('type')!r} is not one of {sorted(_TYPES)}"
            )
        if "default" in about:
            try:
                _checked(name, about, _as_list(about["default"]))
            except ParameterError as error:
                raise DocumentError(f"the default of {error}") from error
    steps = content.get("mainSteps")
    if not isinstance(steps, list) or len(steps) != 1:
        raise DocumentError("mainSteps: the sandbox runs exactly one step")
    step = steps[0]
    if (
        step.get("action") != "aws:runShellScript"
        or not step.get("name")
        or "runCommand" not in step.get("inputs", {})
    ):
        raise DocumentError("mainSteps: one named aws:runShellScript with runCommand is needed")
    for name in _REFERENCE.findall(json.dumps(step)):
        if ":" not in name and name not in parameters:
            raise DocumentError(f"{{{{ {name} }}}} is not a parameter of the document")


def render(content: dict[str, Any], given: dict[str, Any]) -> Rendered:
    """Put a command's parameters into a document. Raises ParameterError."""
    values = _values(content.get("parameters") or {}, given)
    step = content["mainSteps"][0]
    inputs = step["inputs"]
    lines = inputs["runCommand"]
    script: list[str] = []
    for line in lines if isinstance(lines, list) else [lines]:
        whole = _REFERENCE.fullmatch(line.strip())
        value = values.get(whole[1]) if whole else None
        script.extend(value if isinstance(value, list) else [_put(line, values)])
    directory = _put(str(inputs.get("workingDirectory") or ""), values)
    if directory:
        script.insert(0, f"cd -- {shlex.quote(directory)} || exit 1")
    limit = _seconds(_put(str(inputs.get("timeoutSeconds", DEFAULT_EXECUTION)), values))
    return Rendered("\n".join(script), limit, str(step["name"]))


def _seconds(text: str) -> int:
    inside = text.isascii() and text.isdigit() and MIN_EXECUTION <= int(text) <= MAX_EXECUTION
    return int(text) if inside else DEFAULT_EXECUTION


def _put(text: str, values: dict[str, Any]) -> str:
    def value(found: re.Match[str]) -> str:
        known = values.get(found[1], found[0])
        return json.dumps(known) if isinstance(known, list) else str(known)

    return _REFERENCE.sub(value, text)


def _values(about: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(about))
    if unknown:
        raise ParameterError(f"{', '.join(unknown)}: the document has no such parameter")
    values: dict[str, Any] = {}
    for name, spec in about.items():
        if name in given:
            raw = given[name]
        elif "default" in spec:
            raw = _as_list(spec["default"])
        else:
            raise ParameterError(f"{name}: the parameter is missing")
        if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
            raise ParameterError(f"{name}: a list of strings is needed")
        checked = _checked(name, spec, raw)
        values[name] = checked if spec["type"] == "StringList" else checked[0]
    return values


def _checked(name: str, spec: dict[str, Any], values: list[str]) -> list[str]:
    kind = spec["type"]
    if kind != "StringList" and len(values) != 1:
        raise ParameterError(f"{name}: exactly one value is needed, {len(values)} given")
    if not spec.get("minItems", 0) <= len(values) <= spec.get("maxItems", len(values)):
        raise ParameterError(f"{name}: {len(values)} values are too few or too many")
    for value in values:
        if kind == "Integer" and not re.fullmatch(r"-?[0-9]+", value):
            raise ParameterError(f"{name}: {value!r} is not an integer")
        if kind == "Boolean" and value not in ("true", "false"):
            raise ParameterError(f"{name}: {value!r} is not a boolean")
        allowed = spec.get("allowedValues")
        if allowed is not None and value not in [str(one) for one in allowed]:
            raise ParameterError(f"{name}: {value!r} is not one of the allowed values {allowed}")
        pattern = spec.get("allowedPattern")
        # Python's `$` would let a line end pass; the whole value must match here
        if pattern is not None and not re.fullmatch(pattern, value):
            raise ParameterError(f"{name}: {value!r} does not match the allowed pattern {pattern}")
        if not spec.get("minChars", 0) <= len(value) <= spec.get("maxChars", len(value)):
            raise ParameterError(f"{name}: {value!r} is too short or too long")
    return values


def _as_list(default: Any) -> list[str]:
    if isinstance(default, bool):
        return [str(default).lower()]
    return [str(one) for one in default] if isinstance(default, list) else [str(default)]
