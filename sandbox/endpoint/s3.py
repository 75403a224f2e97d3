# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moto's S3 lacks: conditions on copies and batches, aliases of access points, regions, rights on single keys."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from . import errors
from .actions import Asked
from .http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from . import Endpoint

UNMET = "At least one of the pre-conditions you specified did not hold"
_REGIONLESS = ("CreateBucket", "ListBuckets", "GetBucketLocation")
_mended: list[Any] = []


def mend(endpoint: Endpoint) -> None:
    """Let a bucket answer to the alias of its access point, and list parts by their numbers."""
    from moto.s3.models import FakeMultipart, S3Backend

    _mended[:] = [endpoint]
    if hasattr(S3Backend, "sandbox_mended"):
        return
    S3Backend.sandbox_mended = True
    get_bucket = S3Backend.get_bucket

    def named(backend: Any, bucket_name: str) -> Any:
        return get_bucket(backend, _mended[0].aliases.get(bucket_name, bucket_name))

    S3Backend.get_bucket = named
    FakeMultipart.list_parts = _list_parts


def _list_parts(upload: Any, part_number_marker: int, max_parts: int) -> Any:
    """moto takes the marker for a place in the list; it is a part's number."""
    numbers = sorted(number for number in upload.parts if number > part_number_marker)
    return (upload.parts[number] for number in numbers[:max_parts])


def _bucket(backend: Any, endpoint: Endpoint, name: str) -> Any:
    return backend.buckets.get(endpoint.aliases.get(name, name))


def _object(backend: Any, endpoint: Endpoint, name: str, key: str) -> Any:
    """The current version of an object, or None."""
    bucket = _bucket(backend, endpoint, name)
    found = bucket.keys.get(key) if bucket is not None else None
    return found if found is not None and hasattr(found, "etag") else None


def _same(etag: str, wanted: str) -> bool:
    return wanted == "*" or etag.strip('"') == wanted.strip().strip('"')


def _source(request: HttpRequest) -> tuple[str, str]:
    """(bucket, key) of x-amz-copy-source."""
    path = unquote(urlsplit(request.headers["x-amz-copy-source"].replace("?versionId=", "\x00")).path)
    bucket, _slash, key = path.partition("\x00")[0].lstrip("/").partition("/")
    return bucket, key


def _refuse(asked: Asked, condition: str) -> HttpResponse:
    answer = errors.failure(asked, 412, "PreconditionFailed", UNMET)
    body = answer.body.replace(b"</Message>", f"</Message><Condition>{condition}</Condition>".encode())
    return replace(answer, body=body)


def _elsewhere(asked: Asked, region: str) -> HttpResponse:
    text = "The bucket you are attempting to access must be addressed using the specified endpoint."
    answer = errors.failure(asked, 301, "PermanentRedirect", text)
    return replace(answer, headers={**answer.headers, "x-amz-bucket-region": region})


def refusal(request: HttpRequest, asked: Asked, endpoint: Endpoint, backend: Any) -> HttpResponse | None:
    """What AWS refuses and moto would do; None for what moto may answer. Runs under the lock of S3."""
    name, _slash, key = request.path.lstrip("/").partition("/")
    bucket = _bucket(backend, endpoint, name)
    if bucket is None:
        return None
    if asked.action not in _REGIONLESS and asked.region and bucket.region_name != asked.region:
        return _elsewhere(asked, bucket.region_name)
    if key and f"{bucket.name}/{key}" in endpoint.faults.denied_keys:
        return errors.denied(asked, "the caller, on this key")
    if asked.action in ("CopyObject", "UploadPartCopy"):
        refused = _copy(request, asked, endpoint, backend)
        if refused is not None:
            return refused
    if not endpoint.conditions:
        _forget(request)
        return None
    there = _object(backend, endpoint, name, key)
    if asked.action in ("CopyObject", "CompleteMultipartUpload"):
        if request.headers.get("if-none-match", "*") != "*" or "if-match" in request.headers:
            raise NotImplementedError("If-Match, or If-None-Match other than *, on this action")
        if "if-none-match" in request.headers and there is not None:
            return _refuse(asked, "If-None-Match")
    if asked.action == "DeleteObject" and "if-match" in request.headers:
        if there is None:
            return errors.failure(asked, 404, "NoSuchKey", "The specified key does not exist.")
        if not _same(there.etag, request.headers["if-match"]):
            return _refuse(asked, "If-Match")
    return None


def _copy(request: HttpRequest, asked: Asked, endpoint: Endpoint, backend: Any) -> HttpResponse | None:
    """What a copy is refused for on account of its source."""
    name, key = _source(request)
    bucket, source = _bucket(backend, endpoint, name), _object(backend, endpoint, name, key)
    if bucket is None or source is None:
        return None
    if f"{bucket.name}/{key}" in endpoint.faults.denied_keys:
        return errors.denied(asked, "the caller, on the source")
    tags = backend.tagger.get_tag_dict_for_resource(source.arn)
    if asked.action == "CopyObject" and tags and endpoint.faults.denies(asked.key, "s3", "GetObjectTagging"):
        return errors.denied(replace(asked, action="GetObjectTagging"), "the caller")
    headers = request.headers
    if not _same(source.etag, headers.get("x-amz-copy-source-if-match", "*")):
        return _refuse(asked, "x-amz-copy-source-If-Match")
    unlike = headers.get("x-amz-copy-source-if-none-match")
    if unlike is not None and _same(source.etag, unlike):
        return _refuse(asked, "x-amz-copy-source-If-None-Match")
    if any(header.startswith("x-amz-copy-source-if-") and header.endswith("since") for header in headers):
        raise NotImplementedError("conditions on the time of a copy's source")
    return None


def _forget(request: HttpRequest) -> None:
    """An older store takes no notice of conditions on writes."""
    if request.method != "GET":
        for header in ("if-none-match", "if-match"):
            request.headers.pop(header, None)


def batch(
    request: HttpRequest, asked: Asked, endpoint: Endpoint, backend: Any
) -> tuple[HttpRequest, list[tuple[str, str, str]]]:
    """DeleteObjects as moto may do it, and (key, code, message) of what AWS would not delete."""
    name = request.path.strip("/")
    bucket = _bucket(backend, endpoint, name)
    try:
        tree = ElementTree.fromstring(request.body)
    except ElementTree.ParseError:
        return request, []
    refused: list[tuple[str, str, str]] = []
    for item in list(tree):
        if not item.tag.endswith("Object"):
            continue
        found = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
        key, etag = found.get("Key", ""), found.get("ETag")
        there = _object(backend, endpoint, name, key)
        why = None
        if bucket is not None and f"{bucket.name}/{key}" in endpoint.faults.denied_keys:
            why = ("AccessDenied", "Access Denied")
        elif etag is not None and endpoint.conditions:
            if there is None:
                why = ("NoSuchKey", "The specified key does not exist.")
            elif not _same(there.etag, etag):
                why = ("PreconditionFailed", UNMET)
        if why is not None:
            refused.append((key, *why))
            tree.remove(item)
        else:
            for child in list(item):
                if child.tag.endswith("ETag"):
                    item.remove(child)
    for item in tree.iter():
        item.tag = item.tag.rpartition("}")[2]  # moto reads no prefixes
    body = ElementTree.tostring(tree, encoding="utf-8")
    return replace(request, body=body), refused


def batch_answer(response: HttpResponse | None, refused: list[tuple[str, str, str]]) -> HttpResponse:
    """moto's answer with the refusals in it; `response` None when nothing was left to delete."""
    told = "".join(
        f"<Error><Key>{escape(key)}</Key><Code>{code}</Code><Message>{message}</Message></Error>"
        for key, code, message in refused
    ).encode("utf-8", "xmlcharrefreplace")
    if response is None:
        head = b'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        return HttpResponse(200, head + told + b"</DeleteResult>", {"Content-Type": "application/xml"})
    if response.status != 200 or not refused:
        return response
    body, found = re.subn(rb"</DeleteResult>", lambda _match: told + b"</DeleteResult>", response.body)
    if not found:
        body = re.sub(
            rb"<DeleteResult([^>]*)/>",
            lambda match: b"<DeleteResult" + match[1] + b">" + told + b"</DeleteResult>",
            response.body,
        )
    headers = {key: value for key, value in response.headers.items() if key.lower() != "content-length"}
    return HttpResponse(200, body, headers)
