# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket in memory, with the methods and conditions of boto3's S3 that a requeue uses. Anything else is an error."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Any

from .aws import START, client_error

PASSED_ON = ("ContentType", "CacheControl", "ServerSideEncryption", "SSEKMSKeyId", "StorageClass")


@dataclass(frozen=True)
class Stored:
    """One object. `modified` in seconds since the world began."""

    body: bytes
    etag: str
    modified: float = 0.0
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class S3:
    """The store and its client in one. `hook(operation, arguments, done)` runs before and after each call and may raise."""

    def __init__(self, bucket: str = "requests") -> None:
        self.bucket = bucket
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[str, Any]] = {}
        self.now = 0.0
        self.conditions = True
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.hook: Callable[[str, dict[str, Any], bool], None] = lambda _operation, _arguments, _done: None
        self.overwritten: list[str] = []
        self.part_copied: list[str] = []
        self.page = 1000
        self._number = 0

    def put(self, key: str, body: bytes, etag: str = "", **more: Any) -> str:
        """Somebody writes an object, whatever was there; returns its ETag."""
        etag = etag or '"' + hashlib.md5(body).hexdigest() + '"'
        self.objects[key] = Stored(body, etag, more.pop("modified", self.now), **more)
        return etag

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def count(self, operation: str = "") -> int:
        return len([name for name, _arguments in self.calls if not operation or name == operation])

    # -- the API

    def _call(self, operation: str, arguments: dict[str, Any], act: Callable[[], dict[str, Any]]) -> Any:
        self.calls.append((operation, arguments))
        self.hook(operation, arguments, False)
        if arguments["Bucket"] != self.bucket:
            raise client_error("NoSuchBucket", operation, 404)
        answer = act()
        self.hook(operation, arguments, True)
        date = formatdate(START + self.now, usegmt=True)
        return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}}

    @staticmethod
    def _when(stored: Stored) -> datetime:
        return datetime.fromtimestamp(START + stored.modified, timezone.utc)

    def list_objects_v2(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            prefix, after = arguments["Prefix"], arguments.get("ContinuationToken", "")
            size = min(arguments.get("MaxKeys", 1000), self.page)
            if "Delimiter" in arguments:
                names = sorted(
                    {
                        prefix + key[len(prefix) :].split("/")[0] + "/"
                        for key in self.keys(prefix)
                        if "/" in key[len(prefix) :]
                    }
                )
                return {"CommonPrefixes": [{"Prefix": name} for name in names], "IsTruncated": False}
            found = [key for key in self.keys(prefix) if key > after]
            contents = [
                {
                    "Key": key,
                    "ETag": self.objects[key].etag,
                    "Size": len(self.objects[key].body),
                    "LastModified": self._when(self.objects[key]),
                    "StorageClass": self.objects[key].extra.get("StorageClass", "STANDARD"),
                }
                for key in found[:size]
            ]
            more = {"IsTruncated": len(found) > size}
            if more["IsTruncated"]:
                return {"Contents": contents, "NextContinuationToken": found[size - 1], **more}
            return {"Contents": contents, **more} if contents else more

        return self._call("ListObjectsV2", arguments, act)

    def _there(self, key: str, operation: str, code: str = "NoSuchKey") -> Stored:
        if key not in self.objects:
            raise client_error(code, operation, 404)
        return self.objects[key]

    def head_object(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            found = self._there(arguments["Key"], "HeadObject", "404")
            return {
                "ETag": found.etag,
                "ContentLength": len(found.body),
                "LastModified": self._when(found),
                "Metadata": dict(found.metadata),
                **found.extra,
            }

        return self._call("HeadObject", arguments, act)

    def get_object(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            found = self._there(arguments["Key"], "GetObject")
            if found.etag != arguments.get("IfMatch", found.etag):
                raise client_error("PreconditionFailed", "GetObject", 412)
            return {"Body": io.BytesIO(found.body), "ContentLength": len(found.body)}

        return self._call("GetObject", arguments, act)

    def get_object_tagging(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            tags = self._there(arguments["Key"], "GetObjectTagging").tags
            return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}

        return self._call("GetObjectTagging", arguments, act)

    def _free(self, arguments: dict[str, Any], operation: str) -> None:
        """If-None-Match, when the store keeps it."""
        if arguments["Key"] in self.objects:
            if self.conditions and arguments.get("IfNoneMatch") == "*":
                raise client_error("PreconditionFailed", operation, 412)
            self.overwritten.append(arguments["Key"])

    def copy_object(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            source = self._there(arguments["CopySource"]["Key"], "CopyObject")
            if arguments["CopySourceIfMatch"] != source.etag:
                raise client_error("PreconditionFailed", "CopyObject", 412)
            self._free(arguments, "CopyObject")
            extra = (
                {}
                if "MetadataDirective" in arguments
                else {key: value for key, value in source.extra.items() if key == "ContentType"}
            )
            extra |= {name: arguments[name] for name in PASSED_ON if name in arguments}
            etag = source.etag
            if "-" in etag or extra.get("ServerSideEncryption") == "aws:kms":
                self._number += 1  # the copy's ETag has nothing to do with the source's
                etag = (
                    f'"{self._number:032x}"'
                    if "ServerSideEncryption" in extra
                    else '"' + hashlib.md5(source.body).hexdigest() + '"'
                )
            metadata = (
                arguments["Metadata"] if arguments.get("MetadataDirective") == "REPLACE" else source.metadata
            )
            self.objects[arguments["Key"]] = Stored(
                source.body, etag, self.now, dict(metadata), dict(source.tags), extra
            )
            return {"CopyObjectResult": {"ETag": etag}}

        return self._call("CopyObject", arguments, act)

    def delete_object(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            key, etag = arguments["Key"], arguments.get("IfMatch")
            if etag is not None and self.conditions and self._there(key, "DeleteObject").etag != etag:
                raise client_error("PreconditionFailed", "DeleteObject", 412)
            self.objects.pop(key, None)
            return {}

        return self._call("DeleteObject", arguments, act)

    def delete_objects(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            objects, failed = arguments["Delete"]["Objects"], []
            assert 0 < len(objects) <= 1000 and arguments["Delete"]["Quiet"] is True
            for item in objects:
                found = self.objects.get(item["Key"])
                code = ""
                if self.conditions and "ETag" in item:
                    code = (
                        "NoSuchKey"
                        if found is None
                        else ""
                        if found.etag == item["ETag"]
                        else "PreconditionFailed"
                    )
                if code:
                    failed.append({"Key": item["Key"], "Code": code, "Message": code})
                else:
                    self.objects.pop(item["Key"], None)
            return {"Errors": failed} if failed else {}

        return self._call("DeleteObjects", arguments, act)

    # -- in parts

    def create_multipart_upload(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._number += 1
            upload = f"upload-{self._number}"
            self.uploads[upload] = {"arguments": arguments, "parts": {}}
            return {"UploadId": upload}

        return self._call("CreateMultipartUpload", arguments, act)

    def upload_part_copy(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            source = self._there(arguments["CopySource"]["Key"], "UploadPartCopy")
            if arguments["CopySourceIfMatch"] != source.etag:
                raise client_error("PreconditionFailed", "UploadPartCopy", 412)
            first, last = (int(text) for text in re.findall(r"\d+", arguments["CopySourceRange"]))
            assert last < len(source.body)
            parts = self._upload(arguments, "UploadPartCopy")["parts"]
            parts[arguments["PartNumber"]] = source.body[first : last + 1]
            self.part_copied.append(arguments["CopySourceRange"])
            digest = hashlib.md5(parts[arguments["PartNumber"]]).hexdigest()
            return {"CopyPartResult": {"ETag": f'"{digest}"'}}

        return self._call("UploadPartCopy", arguments, act)

    def upload_part(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            number, body = arguments["PartNumber"], arguments["Body"]
            assert 1 <= number <= 10_000 and body
            self._upload(arguments, "UploadPart")["parts"][number] = body
            return {"ETag": '"' + hashlib.md5(body).hexdigest() + '"'}

        return self._call("UploadPart", arguments, act)

    def list_parts(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            parts = self._upload(arguments, "ListParts")["parts"]
            numbers = sorted(number for number in parts if number > arguments["PartNumberMarker"])
            found = [
                {
                    "PartNumber": number,
                    "Size": len(parts[number]),
                    "ETag": '"' + hashlib.md5(parts[number]).hexdigest() + '"',
                }
                for number in numbers[: arguments["MaxParts"]]
            ]
            return {"Parts": found} if found else {}

        return self._call("ListParts", arguments, act)

    def _upload(self, arguments: dict[str, Any], operation: str) -> dict[str, Any]:
        if arguments["UploadId"] not in self.uploads:
            raise client_error("NoSuchUpload", operation, 404)
        return self.uploads[arguments["UploadId"]]

    def complete_multipart_upload(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._free(arguments, "CompleteMultipartUpload")
            upload = self._upload(arguments, "CompleteMultipartUpload")
            del self.uploads[arguments["UploadId"]]
            asked, named = upload["arguments"], arguments["MultipartUpload"]["Parts"]
            numbers = [part["PartNumber"] for part in named]
            assert numbers == sorted(numbers)  # parts that are not named are dropped
            body = b"".join(upload["parts"][number] for number in numbers)
            digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in named)
            etag = f'"{hashlib.md5(digests).hexdigest()}-{len(numbers)}"'
            tags = dict(pair.split("=") for pair in asked["Tagging"].split("&")) if "Tagging" in asked else {}
            extra = {name: asked[name] for name in PASSED_ON if name in asked}
            self.objects[arguments["Key"]] = Stored(
                body, etag, self.now, dict(asked["Metadata"]), tags, extra
            )
            return {"ETag": etag}

        return self._call("CompleteMultipartUpload", arguments, act)

    def abort_multipart_upload(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            self._upload(arguments, "AbortMultipartUpload")
            del self.uploads[arguments["UploadId"]]
            return {}

        return self._call("AbortMultipartUpload", arguments, act)

    def list_multipart_uploads(self, **arguments: Any) -> Any:
        def act() -> dict[str, Any]:
            found = [
                {"Key": upload["arguments"]["Key"], "UploadId": name}
                for name, upload in self.uploads.items()
                if upload["arguments"]["Key"].startswith(arguments["Prefix"])
            ]
            return {"Uploads": found} if found else {}

        return self._call("ListMultipartUploads", arguments, act)


def rewritten(stored: Stored, body: bytes) -> Stored:
    """The same object with other bytes."""
    return replace(stored, body=body, etag='"' + hashlib.md5(body).hexdigest() + '"')
