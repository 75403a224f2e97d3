# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One bucket as a requeue uses it: counted calls with their own retries, typed answers, conditions on every change."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from .clients import error_code, explain, is_passing
from .requeue import Head, Listed
from .requeue_copy import short_copies
from .requeue_hook import teach_conditions

BATCH = 1000  # keys in one DeleteObjects
ATTEMPTS = 8
LONGEST_WAIT = 8.0  # seconds between two attempts
NONSENSE = '"00000000000000000000000000000000"'  # an ETag that no object has
_PASSED_ON = ("ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl", "Expires",
              "WebsiteRedirectLocation", "StorageClass", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")  # fmt: skip
# an upload that is gone was ended by another requeue of the same object
_MISSING = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion", "NoSuchUpload"})
_CONDITION = frozenset({"PreconditionFailed", "412"})
_NOT_KNOWN = frozenset({"NotImplemented", "501"})
# a conditional write met another write of the same key
_AGAIN = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
# refused at the door: not done for sure
_NOT_DONE = frozenset({"SlowDown", "RequestLimitExceeded", "ThrottlingException", "Throttling"})
_HOPELESS = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
        "NoSuchBucket", "PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
        "RequestTimeTooSkewed", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "TokenRetrievalError", "InvalidBucketName", "AllAccessDisabled", "EndpointConnectionError", "NoRegionError",
    }
)  # fmt: skip


class S3Error(Exception):
    """A call failed; one line. `hopeless`: every other call would fail as well."""

    def __init__(self, message: str, code: str = "", hopeless: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.hopeless = hopeless


class Missing(S3Error):
    """The object that was meant is not there. `doubtful`: an earlier attempt may have removed it."""

    def __init__(self, message: str, doubtful: bool = False) -> None:
        super().__init__(message, "NoSuchKey")
        self.doubtful = doubtful


class Unmet(S3Error):
    """A condition did not hold. `doubtful`: an earlier attempt may have done what this one found done."""

    def __init__(self, message: str, doubtful: bool = False) -> None:
        super().__init__(message, "PreconditionFailed")
        self.doubtful = doubtful


class Unsupported(S3Error):
    """The store does not know conditional writes and says so."""


def _unknown_to_store(error: BaseException) -> bool:
    """Whether the store cannot do that at all (501), so that asking again is in vain."""
    response = getattr(error, "response", None)
    meta = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return bool(meta.get("HTTPStatusCode") == 501)


def is_aws(client: Any) -> bool:
    """Whether the client speaks to Amazon's own S3, which keeps every condition."""
    host = urlsplit(str(getattr(getattr(client, "meta", None), "endpoint_url", ""))).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"))


class Bucket:
    """Calls of one bucket; safe for several threads. All raise S3Error.

    `conditional` tells whether the store keeps conditions, None while nobody knows; `before` runs before each
    attempt and may raise to end the work; `sleep` takes seconds.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        sleep: Callable[[float], None],
        requester_pays: bool = False,
        attempts: int = ATTEMPTS,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.conditional: Optional[bool] = True if is_aws(client) else None
        self.sends = True  # conditions are sent even where they are not known to be kept
        self.requests = 0
        self.date: Optional[float] = None
        self._lock = threading.Lock()
        self._client = short_copies(teach_conditions(client), self._count)
        self._sleep, self._attempts, self._before = sleep, attempts, before
        self.payer = {"RequestPayer": "requester"} if requester_pays else {}

    def _count(self) -> None:
        with self._lock:
            self.requests += 1

    def call(self, method: str, what: str = "", **arguments: Any) -> Any:
        """One call of the client, tried again while that may help."""
        doubtful = False
        for attempt in range(1, self._attempts + 1):
            self._before()
            self._count()
            try:
                return getattr(self._client, method)(Bucket=self.name, **arguments)
            except Exception as error:
                failure = self._judge(error, method, what, doubtful)
                code = error_code(error)
                again = (code in _AGAIN or is_passing(error)) and not _unknown_to_store(error)
                if not again or attempt == self._attempts:
                    raise failure from None
                doubtful = doubtful or code not in (_NOT_DONE | _AGAIN)
            # a burst of SlowDown is waited out, each caller at its own moment
            self._sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, LONGEST_WAIT))
        raise AssertionError("the last attempt returns or raises")

    def _judge(self, error: BaseException, method: str, what: str, doubtful: bool) -> S3Error:
        """What an error means."""
        code = error_code(error)
        operation = "".join(word.capitalize() for word in method.split("_"))
        text = f"{explain(error, f'S3 {operation}')}" + (f" ({what})" if what else "")
        if code in _CONDITION:
            return Unmet(text, doubtful)
        if code in _MISSING and not (method.startswith("list") or code == "NoSuchBucket"):
            return Missing(text, doubtful)
        if code in _NOT_KNOWN:
            return Unsupported(text, code)
        if code == "NoSuchBucket":
            text = f"bucket: {self.name} does not exist ({text})"
        elif code in ("PermanentRedirect", "301", "AuthorizationHeaderMalformed"):
            text = f"region: {self.name} is in another region than asked ({text})"
        elif code.startswith("ExpiredToken"):
            text = f"the credentials have expired ({text})"
        return S3Error(text, code, code in _HOPELESS)

    def _heard(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date and self.date is None:
            self.date = parsedate_to_datetime(date).timestamp()

    def pages(self, prefix: str, size: int = BATCH) -> Iterator[list[Listed]]:
        """The objects below a prefix, one page at a time; `date` is known from the first one on."""
        more: dict[str, Any] = {}
        while True:
            answer = self.call("list_objects_v2", prefix, Prefix=prefix, MaxKeys=size, **more, **self.payer)
            self._heard(answer)
            yield [
                Listed(
                    item["Key"],
                    item["ETag"],
                    int(item["Size"]),
                    item["LastModified"].timestamp(),
                    item.get("StorageClass", "STANDARD"),
                )
                for item in answer.get("Contents", [])
            ]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly below a prefix that have something below themselves."""
        more: dict[str, Any] = {}
        while True:
            answer = self.call("list_objects_v2", prefix, Prefix=prefix, Delimiter="/", **more, **self.payer)
            self._heard(answer)
            for item in answer.get("CommonPrefixes", []):
                yield item["Prefix"][len(prefix) : -1]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def head(self, key: str) -> Optional[Head]:
        """An object's properties; None when it is not there."""
        try:
            found = self.call("head_object", key, Key=key, **self.payer)
        except Missing:
            return None
        extra = {name: found[name] for name in _PASSED_ON if found.get(name) not in (None, "")}
        return Head(
            etag=found["ETag"],
            size=int(found["ContentLength"]),
            encryption=found.get("ServerSideEncryption") or "",
            metadata=found.get("Metadata", {}),
            extra=extra,
            modified=found["LastModified"].timestamp() if "LastModified" in found else 0.0,
        )

    def copy(
        self, source: Listed, to: str, head: Optional[Head], metadata: Optional[Mapping[str, str]]
    ) -> str:
        """Copy within the bucket unless something is there already; returns the new ETag.

        Raises Unmet when the target is there or the source has changed, Missing when the source is gone.
        """
        extra: dict[str, Any] = {} if source.storage in ("", "STANDARD") else {"StorageClass": source.storage}
        if head is not None:
            kept = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass")
            extra.update({name: head.extra[name] for name in kept if name in head.extra})
        if metadata is not None and head is not None:
            extra.update(head.extra)
            extra.update(Metadata=dict(metadata), MetadataDirective="REPLACE")
        if self.sends:
            extra["IfNoneMatch"] = "*"
        answer = self.call(
            "copy_object",
            f"{source.key} to {to}",
            Key=to,
            CopySource={"Bucket": self.name, "Key": source.key},
            CopySourceIfMatch=source.etag,
            **extra,
            **self.payer,
        )
        return str(answer["CopyObjectResult"]["ETag"])

    def delete(self, key: str, etag: str) -> None:
        """Delete one object if it still is what it was. Raises Unmet, `doubtful` when we may have done it."""
        condition = {"IfMatch": etag} if self.sends else {}
        try:
            self.call("delete_object", key, Key=key, **condition, **self.payer)
        except Missing as error:
            raise Unmet(str(error), error.doubtful) from None

    def delete_batch(self, items: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Delete up to 1,000 (key, ETag), each only if it still is what it was; {key: error code} of what was not."""
        failed: dict[str, str] = {}
        left = list(items)
        for attempt in range(1, self._attempts + 1):
            objects = [{"Key": key, **({"ETag": etag} if self.sends and etag else {})} for key, etag in left]
            answer = self.call(
                "delete_objects",
                f"{len(left)} keys",
                Delete={"Objects": objects, "Quiet": True},
                **self.payer,
            )
            errors = {item["Key"]: str(item.get("Code", "")) for item in answer.get("Errors", [])}
            passing = {key for key, code in errors.items() if code in ("InternalError", "SlowDown", *_AGAIN)}
            failed.update({key: code for key, code in errors.items() if key not in passing})
            left = [item for item in left if item[0] in passing]
            if not left:
                break
            if attempt == self._attempts:
                failed.update({key: errors[key] for key, _etag in left})
                break
            self._sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, LONGEST_WAIT))
        return failed

    def read(self, key: str, etag: str) -> Any:
        """The body of an object that still is what it was: something with read(bytes). Raises Unmet, Missing."""
        return self.call("get_object", key, Key=key, IfMatch=etag, **self.payer)["Body"]

    def same_bytes(self, source: Listed, target_key: str, target: Head) -> bool:
        """Whether two objects hold the same bytes. Raises Unmet, Missing when one changes meanwhile.

        An ETag is a digest of the bytes only for plain uploads without KMS; other objects are read and compared.
        """
        if source.size != target.size:
            return False
        if source.etag == target.etag:
            return True
        head = self.head(source.key)
        if head is None or head.etag != source.etag:
            raise Unmet(f"{source.key} changed meanwhile")
        plain = all("-" not in each.etag and each.encryption in ("", "AES256") for each in (head, target))
        if plain:
            return False
        one, other = self.read(source.key, source.etag), self.read(target_key, target.etag)
        try:
            while True:
                first, second = one.read(1 << 20), other.read(1 << 20)
                if first != second:
                    return False
                if not first:
                    return True
        finally:
            one.close()
            other.close()
