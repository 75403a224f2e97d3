# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Newer conditions through older boto3: what its botocore does not know yet is written into the request by hand.

Callers always say `IfNoneMatch`, `IfMatch` and `ETag` as today's boto3 wants them; Debian 12's 1.26 lacks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable
from xml.sax.saxutils import escape

# operation -> {argument: header}
_HEADERS = {
    "CopyObject": {"IfNoneMatch": "If-None-Match"},
    "CompleteMultipartUpload": {"IfNoneMatch": "If-None-Match"},
    "DeleteObject": {"IfMatch": "If-Match"},
}
_BATCH = "DeleteObjects"
_HELD = "hotstandby_conditions"


def _lacking(client: Any, operation: str, names: Mapping[str, str]) -> dict[str, str]:
    members = client.meta.service_model.operation_model(operation).input_shape.members
    return {name: header for name, header in names.items() if name not in members}


def _lacks_etag(client: Any) -> bool:
    shape = client.meta.service_model.operation_model(_BATCH).input_shape
    return "ETag" not in shape.members["Delete"].members["Objects"].member.members


def _held(lacking: Mapping[str, str]) -> tuple[Callable[..., None], Callable[..., None]]:
    def hold(params: dict[str, Any], context: dict[str, Any], **_event: Any) -> None:
        found = {header: params.pop(name) for name, header in lacking.items() if name in params}
        context[_HELD] = found

    def write(params: dict[str, Any], context: Mapping[str, Any], **_event: Any) -> None:
        for header, value in context.get(_HELD, {}).items():
            params["headers"][header] = value

    return hold, write


def hold_etags(params: dict[str, Any], context: dict[str, Any], **_event: Any) -> None:
    """Take the ETags out of the arguments of DeleteObjects; the order of the objects is kept."""
    objects = [dict(item) for item in params["Delete"]["Objects"]]
    context[_HELD] = [item.pop("ETag", None) for item in objects]
    params["Delete"] = {**params["Delete"], "Objects": objects}


def write_etags(params: dict[str, Any], context: Mapping[str, Any], **_event: Any) -> None:
    """Put the ETags into the body, each at the end of its object. The checksum is made after this."""
    text = params["body"].decode("utf-8") if isinstance(params["body"], bytes) else params["body"]
    parts = text.split("</Object>")
    etags = context.get(_HELD, [])
    if len(parts) != len(etags) + 1:
        raise ValueError("DeleteObjects: the request does not look as expected, nothing was deleted")
    for index, etag in enumerate(etags):
        parts[index] += (f"<ETag>{escape(etag)}</ETag>" if etag else "") + "</Object>"
    params["body"] = "".join(parts).encode("utf-8")
    for name in [name for name in params["headers"] if name.lower() == "content-md5"]:
        del params["headers"][name]  # botocore makes it anew when it is missing


def teach_conditions(client: Any) -> Any:
    """Let an S3 client take the conditions of today's API. Returns the client."""
    meta: Any = getattr(client, "meta", None)
    if meta is None:
        return client  # a simulated one knows them all
    for operation, names in _HEADERS.items():
        lacking = _lacking(client, operation, names)
        if lacking:
            hold, write = _held(lacking)
            meta.events.register(f"before-parameter-build.s3.{operation}", hold)
            meta.events.register(f"before-call.s3.{operation}", write)
    if _lacks_etag(client):
        meta.events.register(f"before-parameter-build.s3.{_BATCH}", hold_etags)
        meta.events.register(f"before-call.s3.{_BATCH}", write_etags)
    return client
