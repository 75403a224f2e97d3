# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CopyObject, the one call that a requeue makes for each object, without what botocore does around it: a third of its CPU.

The first copy is botocore's own, and what it sent says how the others look: address, region, service, headers. They go through
botocore's own connections (TLS, proxies, time limits) with its own credentials, renewed when it renews them. Whatever is not
known for sure here, an argument, a header, an answer, is left to botocore.
"""

from __future__ import annotations

import datetime
import hashlib
import html
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import quote, urlsplit

from .sigv4 import Keys, sign

ARGUMENTS = {
    "CopySourceIfMatch": "x-amz-copy-source-if-match",
    "IfNoneMatch": "if-none-match",
    "StorageClass": "x-amz-storage-class",
    "RequestPayer": "x-amz-request-payer",
}
_PLACE = {"Bucket", "Key", "CopySource"}
# made anew for each request, or of no meaning to S3
_OWN = {
    "x-amz-copy-source", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization", "host",
    "content-length", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "x-amzn-trace-id", "expect",
    *ARGUMENTS.values(),
}  # fmt: skip
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request,")
_ETAG = re.compile(rb"<ETag>([^<]+)</ETag>")
_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_EMPTY = hashlib.sha256(b"").hexdigest()
TRIES = 3  # forms that may turn out to be wrong before botocore makes every copy


@dataclass(frozen=True)
class Form:
    """How a copy within one bucket looks. `base` and `source` are what stands before a quoted key."""

    bucket: str
    base: str
    source: str
    host: str
    path: str
    region: str
    service: str
    agent: str
    keys: Callable[[], Optional[Keys]]


def _quoted(key: str) -> str:
    return quote(key, safe="/~")


def learn(arguments: Mapping[str, Any], method: str, url: str, headers: Mapping[str, str],
          keys: Callable[[], Optional[Keys]]) -> Optional[Form]:  # fmt: skip
    """The form of a copy that botocore has sent; None when anything about it is not understood."""
    sent = {name.lower(): value for name, value in headers.items()}
    parts, key = urlsplit(url), _quoted(arguments["Key"])
    source = _quoted(arguments["CopySource"]["Key"])
    scope = _SCOPE.match(sent.get("authorization", ""))
    mine = keys()
    if (
        method != "PUT"
        or parts.query
        or not set(sent) <= _OWN
        or not parts.path.endswith(f"/{key}")
        or not sent.get("x-amz-copy-source", "").endswith(f"/{source}")
        or scope is None
        or mine is None
        or mine.key != scope[1]
        or sent.get("host", parts.netloc) != parts.netloc
    ):
        return None
    path = parts.path[: -len(key)]
    return Form(
        bucket=arguments["Bucket"],
        base=f"{parts.scheme}://{parts.netloc}{path}",
        source=sent["x-amz-copy-source"][: -len(source)],
        host=parts.netloc,
        path=path,
        region=scope[2],
        service=scope[3],
        agent=sent.get("user-agent", "hotstandby.ops"),
        keys=keys,
    )


def plain(arguments: Mapping[str, Any]) -> bool:
    """Whether a copy has nothing but what is understood here."""
    source = arguments.get("CopySource")
    return (
        set(arguments) <= _PLACE | set(ARGUMENTS)
        and isinstance(source, Mapping)
        and set(source) == {"Bucket", "Key"}
        and source["Bucket"] == arguments["Bucket"]
        and all(str(arguments.get(name, "")).isascii() for name in ARGUMENTS)
    )


def request(form: Form, keys: Keys, arguments: Mapping[str, Any], now: str) -> tuple[str, dict[str, str]]:
    """(URL, headers) of a signed copy. `now` as 20260102T030405Z."""
    key = _quoted(arguments["Key"])
    headers = {header: str(arguments[name]) for name, header in ARGUMENTS.items() if name in arguments}
    headers["x-amz-copy-source"] = form.source + _quoted(arguments["CopySource"]["Key"])
    headers["x-amz-content-sha256"] = _EMPTY
    signed = sign(keys, form.service, form.region, "PUT", form.host, form.path + key, headers, b"", now)
    signed["user-agent"] = form.agent
    signed["content-length"] = "0"
    return form.base + key, signed


def told(raw: bytes, status: int) -> tuple[str, str]:
    """(code, message) of an error's body."""
    code, message = _CODE.search(raw), _MESSAGE.search(raw)
    return (
        html.unescape(code[1].decode("utf-8", "replace")) if code else str(status),
        html.unescape(message[1].decode("utf-8", "replace")) if message else "",
    )


class Copies:
    """An S3 client whose plain copies go the short way once botocore has shown how. All else is the client's own."""

    def __init__(self, client: Any, session: Any, again: Callable[[], None]) -> None:
        """`session` is the client's own botocore HTTP session; `again` is called when a request is made twice."""
        self._client, self._session, self._again = client, session, again
        self._form: Optional[Form] = None
        self._tries = TRIES
        self._seen = threading.local()
        events = client.meta.events
        events.register("before-sign.s3.CopyObject", self._signing)
        events.register("before-send.s3.CopyObject", self._sending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _signing(self, request_signer: Any, signature_version: Any, signing_name: str, region_name: str,
                 **_event: Any) -> None:  # fmt: skip
        def keys() -> Optional[Keys]:
            auth = request_signer.get_auth_instance(signing_name, region_name, signature_version)
            found = getattr(auth, "credentials", None)
            return Keys(found.access_key, found.secret_key, found.token or "") if found else None

        # any other version is signed in another way, or is for another kind of bucket
        self._seen.keys = keys if signature_version in ("s3v4", "v4") else None

    def _sending(self, request: Any, **_event: Any) -> None:
        self._seen.request = request

    def copy_object(self, **arguments: Any) -> Any:
        """As boto3's. Raises botocore's ClientError, or what its HTTP session raises."""
        form = self._form
        if not plain(arguments):
            return self._client.copy_object(**arguments)
        if form is None or form.bucket != arguments["Bucket"]:
            return self._shown(arguments)
        keys = form.keys()
        answer = self._send(form, keys, arguments) if keys is not None else None
        if answer is not None:
            return answer
        # a redirect, keys that have ended, a store with ways of its own: botocore knows more
        self._form = None
        self._again()
        return self._shown(arguments)

    def _shown(self, arguments: Mapping[str, Any]) -> Any:
        """botocore's own copy, from which the form is learnt."""
        self._seen.request = self._seen.keys = None
        answer = self._client.copy_object(**arguments)
        sent, keys = self._seen.request, self._seen.keys
        if self._tries > 0 and sent is not None and keys is not None and self._form is None:
            self._tries -= 1
            headers = {
                str(name): value.decode("latin-1") if isinstance(value, bytes) else str(value)
                for name, value in sent.headers.items()
            }
            self._form = learn(arguments, sent.method, sent.url, headers, keys)
        return answer

    def _send(self, form: Form, keys: Keys, arguments: Mapping[str, Any]) -> Optional[dict[str, Any]]:
        """The answer; None when botocore has to ask."""
        from botocore.awsrequest import AWSPreparedRequest
        from botocore.exceptions import ClientError

        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        url, headers = request(form, keys, arguments, now)
        answer = self._session.send(AWSPreparedRequest("PUT", url, headers, b"", False))
        status, raw = answer.status_code, answer.content
        etag = _ETAG.search(raw) if status == 200 and b"<CopyObjectResult" in raw else None
        if etag is not None:
            return {"CopyObjectResult": {"ETag": html.unescape(etag[1].decode("ascii"))}}
        code, message = told(raw, status)
        if status == 200 and code != "200":
            status = 500  # S3 says 200 before it has copied, and what went wrong after it
        elif not (status in (404, 409, 412, 429) or status >= 500 or code == "AccessDenied"):
            return None
        raise ClientError(
            {
                "Error": {"Code": code, "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": status},
            },
            "CopyObject",
        )


def short_copies(client: Any, again: Callable[[], None]) -> Any:
    """The client with short copies, or as it is where botocore keeps its connections elsewhere."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if getattr(client, "meta", None) is None or not hasattr(session, "send"):
        return client
    return Copies(client, session, again)
