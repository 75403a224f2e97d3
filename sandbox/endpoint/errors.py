# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in the form that each service gives them."""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from .actions import Asked
from .http import HttpResponse

NOT_IMPLEMENTED = "NotImplementedBySandbox"


def failure(asked: Asked, status: int, code: str, message: str) -> HttpResponse:
    """An error of that code, as the protocol of the request wants it."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-RequestId": request_id}
    if asked.protocol in ("json", "cbor"):
        headers["x-amzn-ErrorType"] = code
        if asked.service == "monitoring":
            headers["x-amzn-query-error"] = f"{code};{'Sender' if status < 500 else 'Receiver'}"
    if asked.protocol == "json":
        headers["Content-Type"] = "application/x-amz-json-1.1"
        # DynamoDB spells `message` so, SSM and the rest as well on the wire that botocore reads
        return HttpResponse(status, json.dumps({"__type": code, "message": message}).encode(), headers)
    if asked.protocol == "cbor":
        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return HttpResponse(status, _cbor({"__type": code, "message": message}), headers)
    headers["Content-Type"] = "text/xml"
    code, message = escape(code), escape(message)
    if asked.protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif asked.protocol == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
    else:
        side = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return HttpResponse(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode(), headers)


def _cbor(payload: dict[str, str]) -> bytes:
    """A map of short texts."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"\x79" + len(data).to_bytes(2, "big") + data

    return bytes([0xA0 | len(payload)]) + b"".join(
        text(name) + text(value) for name, value in payload.items()
    )


def not_implemented(asked: Asked, why: str = "") -> HttpResponse:
    """The sandbox cannot answer: never to be mistaken for a failing AWS."""
    what = f"{asked.service}:{asked.action or '?'}"
    return failure(asked, 501, NOT_IMPLEMENTED, f"the sandbox does not implement {what}{why and ': ' + why}")


def unknown_key(asked: Asked) -> HttpResponse:
    """Nobody has that access key."""
    code = {
        "ec2": "AuthFailure",
        "s3": "InvalidAccessKeyId",
        "query": "InvalidClientTokenId",
    }.get(asked.protocol, "UnrecognizedClientException")
    return failure(asked, 403, code, "The security token included in the request is invalid.")


def expired(asked: Asked) -> HttpResponse:
    """The credentials were good once."""
    code = "ExpiredToken" if asked.protocol in ("s3", "query") else "ExpiredTokenException"
    return failure(asked, 400, code, "The provided token has expired.")


def unavailable(asked: Asked) -> HttpResponse:
    """The service is down."""
    text = "The request has failed due to a temporary failure of the server."
    return failure(asked, 503, "ServiceUnavailable", text)


def throttled(asked: Asked) -> HttpResponse:
    """Too many requests."""
    if asked.service == "ec2":
        return failure(asked, 503, "RequestLimitExceeded", "Request limit exceeded.")
    if asked.service == "s3":
        return failure(asked, 503, "SlowDown", "Please reduce your request rate.")
    if asked.service == "dynamodb" and asked.base.endswith(("Item", "Items", "Query", "Scan")):
        text = "The level of configured provisioned throughput for the table was exceeded."
        return failure(asked, 400, "ProvisionedThroughputExceededException", text)
    code = "Throttling" if asked.service in ("monitoring", "sts") else "ThrottlingException"
    return failure(asked, 400, code, "Rate exceeded")


def denied(asked: Asked, name: str) -> HttpResponse:
    """The caller has no right to do that."""
    prefix = "cloudwatch" if asked.service == "monitoring" else asked.service
    text = f"User: {name} is not authorized to perform: {prefix}:{asked.base}"
    if asked.service == "ec2":
        text = "You are not authorized to perform this operation. " + text
        return failure(asked, 403, "UnauthorizedOperation", text)
    if asked.protocol == "json":
        return failure(asked, 400, "AccessDeniedException", text)
    return failure(asked, 403, "AccessDenied", text)
