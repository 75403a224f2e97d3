# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects above 5 GB: copied in parts under the same conditions, with everything that makes them what they are."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional
from urllib.parse import urlencode

from .requeue import Head, Listed
from .requeue_s3 import Bucket, Missing, S3Error, Unmet

LIMIT = 5 * 1024**3  # bytes that CopyObject takes
PART = 512 * 1024**2
MAX_PARTS = 9_999
# S3 takes no higher number. Completing names the parts that make the object, so that this one never is in it.
MARK_NUMBER = 10_000


def part_size(size: int, smallest: int = PART) -> int:
    """Bytes of one part, so that 9,999 are enough."""
    return max(smallest, -(-size // MAX_PARTS))


def copy_large(
    bucket: Bucket,
    source: Listed,
    to: str,
    metadata: Optional[Mapping[str, str]],
    smallest: int = PART,
) -> str:
    """Copy in parts unless something is at `to`; returns the new ETag. What fails leaves no upload behind.

    Raises Unmet and Missing as `Bucket.copy` does.
    """
    head = bucket.head(source.key)
    if head is None:
        raise Missing(f"{source.key} is gone")
    if head.etag != source.etag:
        raise Unmet(f"{source.key} changed meanwhile")
    if bucket.head(to) is not None:
        raise Unmet(f"{to} is there already")  # gigabytes are not copied to learn that at the end
    tags = bucket.call("get_object_tagging", source.key, Key=source.key, **bucket.payer)["TagSet"]
    ours = mark(source)
    _clear(bucket, to, ours, head.encryption)
    arguments = create_arguments(head, metadata, {tag["Key"]: tag["Value"] for tag in tags})
    upload = bucket.call("create_multipart_upload", to, Key=to, **arguments, **bucket.payer)["UploadId"]
    try:
        bucket.call(
            "upload_part", to, Key=to, UploadId=upload, PartNumber=MARK_NUMBER, Body=ours, **bucket.payer
        )
        return _complete(bucket, to, upload, _copy_parts(bucket, source, to, upload, smallest))
    except BaseException:
        with contextlib.suppress(S3Error):
            bucket.call("abort_multipart_upload", to, Key=to, UploadId=upload, **bucket.payer)
        raise


def mark(source: Listed) -> bytes:
    """What an upload of ours has as its last part: it tells whose it is, by its bytes and by its length alone."""
    text = f"hotstandby.ops requeue of {source.etag} {source.key}\n".encode("utf-8", "surrogatepass")
    length = 4096 + int.from_bytes(hashlib.sha256(text).digest()[:2], "big")
    return text.ljust(length, b".")


def composed(parts: Sequence[Mapping[str, Any]]) -> str:
    """The ETag that S3 gives an object made of these parts, where it does not encrypt with KMS."""
    try:
        digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:
        return ""
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


def _complete(bucket: Bucket, to: str, upload: str, parts: list[dict[str, Any]]) -> str:
    condition: dict[str, Any] = {"IfNoneMatch": "*"} if bucket.sends else {}
    try:
        done = bucket.call(
            "complete_multipart_upload",
            to,
            Key=to,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
            **condition,
            **bucket.payer,
        )
    except (Missing, Unmet) as error:
        there = bucket.head(to) if error.doubtful else None
        if there is None:
            raise
        if there.etag != composed(parts):
            raise Unmet(f"{to} is there already") from None
        return there.etag  # an earlier attempt of ours, whose answer was lost
    return str(done["ETag"])


def create_arguments(
    head: Head, metadata: Optional[Mapping[str, str]], tags: Mapping[str, str]
) -> dict[str, Any]:
    """What CreateMultipartUpload needs so that the copy is what the source was. `metadata` None: as it is."""
    arguments = {**head.extra, "Metadata": dict(head.metadata if metadata is None else metadata)}
    if tags:
        arguments["Tagging"] = urlencode(tags)
    return arguments


def _copy_parts(bucket: Bucket, source: Listed, to: str, upload: str, smallest: int) -> list[dict[str, Any]]:
    size, parts = part_size(source.size, smallest), []
    for number, first in enumerate(range(0, source.size, size), 1):
        last = min(first + size, source.size) - 1
        answer = bucket.call(
            "upload_part_copy",
            f"{source.key} part {number}",
            Key=to,
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket.name, "Key": source.key},
            CopySourceRange=f"bytes={first}-{last}",
            CopySourceIfMatch=source.etag,
            **bucket.payer,
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    return parts


def _clear(bucket: Bucket, to: str, ours: bytes, encryption: str) -> None:
    """Abort what a killed run left at this very key: its parts cost money and nobody sees them. Only what has our mark."""
    answer = bucket.call("list_multipart_uploads", to, Prefix=to, **bucket.payer)
    for upload in answer.get("Uploads", []):
        if upload["Key"] == to and _is_ours(bucket, to, upload["UploadId"], ours, encryption):
            with contextlib.suppress(S3Error):
                bucket.call("abort_multipart_upload", to, Key=to, UploadId=upload["UploadId"], **bucket.payer)


def _is_ours(bucket: Bucket, to: str, upload: str, ours: bytes, encryption: str) -> bool:
    last = {"PartNumberMarker": MARK_NUMBER - 1, "MaxParts": 1}
    try:
        found = bucket.call("list_parts", to, Key=to, UploadId=upload, **last, **bucket.payer)
    except Missing:
        return False
    part = next((each for each in found.get("Parts", []) if each["PartNumber"] == MARK_NUMBER), None)
    if part is None or int(part["Size"]) != len(ours):
        return False
    # with KMS an ETag is no digest
    return encryption not in ("", "AES256") or part["ETag"].strip('"') == hashlib.md5(ours).hexdigest()
