# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lambda's REST paths as the actions that they mean."""

from __future__ import annotations

import re
from urllib.parse import unquote

_FUNCTION = r"/20\d\d-\d\d-\d\d/functions/(?P<name>[^/]+)"
# path, {method: action}
_LAMBDA: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = tuple(
    (re.compile(path + r"/?"), methods)
    for path, methods in (
        (r"/20\d\d-\d\d-\d\d/functions", {"GET": "ListFunctions", "POST": "CreateFunction"}),
        (_FUNCTION, {"GET": "GetFunction", "DELETE": "DeleteFunction"}),
        (
            _FUNCTION + "/configuration",
            {"GET": "GetFunctionConfiguration", "PUT": "UpdateFunctionConfiguration"},
        ),
        (_FUNCTION + "/code", {"PUT": "UpdateFunctionCode"}),
        (_FUNCTION + "/policy", {"GET": "GetPolicy", "POST": "AddPermission"}),
        (_FUNCTION + "/policy/[^/]+", {"DELETE": "RemovePermission"}),
        (_FUNCTION + "/invocations", {"POST": "Invoke"}),
        (_FUNCTION + "/versions", {"GET": "ListVersionsByFunction"}),
        (
            r"/20\d\d-\d\d-\d\d/tags/(?P<name>.+)",
            {"GET": "ListTags", "POST": "TagResource", "DELETE": "UntagResource"},
        ),
    )
)


def lambda_action(method: str, path: str) -> tuple[str, str]:
    """(action, function's name) of a request to Lambda; what is not known is its method and path."""
    for pattern, methods in _LAMBDA:
        found = pattern.fullmatch(path)
        if found and method in methods:
            return methods[method], unquote(found.groupdict().get("name") or "")
    return f"{method} {path}", ""
