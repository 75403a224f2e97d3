# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects above 5 GB: copied in parts under the same conditions, with everything that makes them what they are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Optional
from urllib.parse import urlencode

from .requeue import Head, Listed
from .requeue_s3 import Bucket, Missing, S3Error, Unmet

LIMIT = 5 * 1024**3  # bytes that CopyObject takes
PART = 512 * 1024**2
MAX_PARTS = 10_000


def part_size(size: int, smallest: int = PART) -> int:
    """Bytes of one part, so that 10,000 are enough."""
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
    _clear(bucket, to)
    arguments = create_arguments(head, metadata, {tag["Key"]: tag["Value"] for tag in tags})
    upload = bucket.call("create_multipart_upload", to, Key=to, **arguments, **bucket.payer)["UploadId"]
    try:
        parts = _copy_parts(bucket, source, to, upload, smallest)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if bucket.sends else {}
        done = bucket.call(
            "complete_multipart_upload",
            to,
            Key=to,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
            **condition,
            **bucket.payer,
        )
        return str(done["ETag"])
    except BaseException:
        with contextlib.suppress(S3Error):
            bucket.call("abort_multipart_upload", to, Key=to, UploadId=upload, **bucket.payer)
        raise


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


def _clear(bucket: Bucket, to: str) -> None:
    """Abort what a killed run left at this very key: its parts cost money and nobody sees them."""
    answer = bucket.call("list_multipart_uploads", to, Prefix=to, **bucket.payer)
    for upload in answer.get("Uploads", []):
        if upload["Key"] == to:
            with contextlib.suppress(S3Error):
                bucket.call("abort_multipart_upload", to, Key=to, UploadId=upload["UploadId"], **bucket.payer)
