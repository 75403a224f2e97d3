# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""REST paths of Lambda, Route 53 and EventBridge Scheduler as the actions that they mean."""

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


_ROUTE53: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = tuple(
    (re.compile(path + r"/?"), methods)
    for path, methods in (
        (r"/2013-04-01/hostedzone", {"GET": "ListHostedZones", "POST": "CreateHostedZone"}),
        (
            r"/2013-04-01/hostedzone/(?P<name>[^/]+)",
            {"GET": "GetHostedZone", "DELETE": "DeleteHostedZone"},
        ),
        (
            r"/2013-04-01/hostedzone/(?P<name>[^/]+)/rrset",
            {"GET": "ListResourceRecordSets", "POST": "ChangeResourceRecordSets"},
        ),
    )
)


_SCHEDULER: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = tuple(
    (re.compile(path + r"/?"), methods)
    for path, methods in (
        (r"/schedules", {"GET": "ListSchedules"}),
        (
            r"/schedules/(?P<name>[^/]+)",
            {
                "GET": "GetSchedule",
                "POST": "CreateSchedule",
                "PUT": "UpdateSchedule",
                "DELETE": "DeleteSchedule",
            },
        ),
    )
)


def scheduler_action(method: str, path: str) -> tuple[str, str]:
    """(action, schedule's name) of a request to EventBridge Scheduler."""
    return _action(_SCHEDULER, method, path)


def route53_action(method: str, path: str) -> tuple[str, str]:
    """(action, hosted zone) of a request to Route 53."""
    return _action(_ROUTE53, method, path)


def lambda_action(method: str, path: str) -> tuple[str, str]:
    """(action, function's name) of a request to Lambda; what is not known is its method and path."""
    return _action(_LAMBDA, method, path)


def _action(
    known: tuple[tuple[re.Pattern[str], dict[str, str]], ...], method: str, path: str
) -> tuple[str, str]:
    for pattern, methods in known:
        found = pattern.fullmatch(path)
        if found and method in methods:
            return methods[method], unquote(found.groupdict().get("name") or "")
    return f"{method} {path}", ""
