# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's side: claim a waiting request, and finish it. Whoever deletes the waiting object has won it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from .requeue import OWNER, Listed, RequeueError, Rules, folder_marker, other_names, prefix
from .requeue_large import LIMIT, copy_large
from .requeue_s3 import NONSENSE, Bucket, Missing, S3Error, Unmet


@dataclass(frozen=True)
class Claimed:
    """A request that is ours: `key` below the prefixes, `at` the whole key, `size` in bytes."""

    key: str
    at: str
    etag: str
    size: int


@dataclass(frozen=True)
class Claim:
    """`won` None: nothing waits that could be had. `doubtful` copies stay for the next requeue: nobody knows who won."""

    won: Optional[Claimed]
    lost: int = 0
    doubtful: tuple[str, ...] = field(default=())


class Gone(Exception):
    """The request is not in work here any more: it was requeued, and somebody else may do it too."""


def place(rules: Rules, key: str) -> str:
    """Where a claimed request is."""
    return f"{rules.source}{key}"


def prove_own(bucket: Bucket, copied: Listed) -> None:
    """Learn on an own copy whether the store keeps conditions. Raises S3Error when it does not."""
    if bucket.conditional is None:
        try:
            bucket.copy(copied, copied.key, None, None)
            bucket.conditional = False
        except Unmet:
            try:
                bucket.delete(copied.key, NONSENSE)
                bucket.conditional = False
            except Unmet:
                bucket.conditional = True
        except S3Error:
            bucket.conditional = False
    if not bucket.conditional:
        raise S3Error("this store does not keep conditions on writes, so that nobody can claim in it safely")


def claim(
    bucket: Bucket,
    rules: Rules,
    matches: Callable[[str], bool],
    order: Callable[[list[Listed]], Sequence[Listed]] = lambda page: page,
) -> Claim:
    """Claim one waiting request. `matches` judges the key below the prefix, `order` what is tried first.

    Raises S3Error.
    """
    lost, doubtful = 0, []
    for listed in _waiting(bucket, rules, matches, order):
        key = listed.key[len(rules.target_prefix) :]
        at = place(rules, key)
        try:
            copied = _take(bucket, rules, listed, at)
        except (Unmet, Missing):
            lost += 1  # another was faster, or this one is still in work
            continue
        prove_own(bucket, copied)
        try:
            bucket.delete(listed.key, listed.etag)
        except Unmet as error:
            # an answer that got lost may have been our own success: then nobody else has it, whatever is there now
            if error.doubtful:
                doubtful.append(at)
                continue
            lost += 1
            _give_back(bucket, copied)
            continue
        return Claim(Claimed(key, at, copied.etag, listed.size), lost, tuple(doubtful))
    return Claim(None, lost, tuple(doubtful))


def _waiting(
    bucket: Bucket,
    rules: Rules,
    matches: Callable[[str], bool],
    order: Callable[[list[Listed]], Sequence[Listed]],
) -> Iterator[Listed]:
    for page in bucket.pages(rules.target_prefix):
        meant = [
            listed
            for listed in page
            if matches(listed.key[len(rules.target_prefix) :]) and not folder_marker(listed)
        ]
        yield from order(meant)


def _take(bucket: Bucket, rules: Rules, listed: Listed, at: str) -> Listed:
    """Copy a waiting request to where its owner works. Raises Unmet, Missing."""
    metadata, head = None, None
    if rules.owner and rules.owner_in == "metadata":
        head = bucket.head(listed.key)
        if head is None or head.etag != listed.etag:
            raise Unmet(f"{listed.key} changed meanwhile")
        metadata = {**head.metadata, OWNER: rules.owner}
    if listed.size > LIMIT:
        etag = copy_large(bucket, listed, at, metadata)
    else:
        etag = bucket.copy(listed, at, head, metadata)
    return Listed(at, etag, listed.size, listed.modified)


def _give_back(bucket: Bucket, copied: Listed) -> None:
    """Remove our own copy of what another has won. What fails is left for the next requeue."""
    try:
        bucket.delete(copied.key, copied.etag)
    except S3Error:
        pass


def finish(bucket: Bucket, rules: Rules, key: str, finish_prefix: str = "") -> str:
    """A claimed request is done: move it below `finish_prefix`, or delete it when that is empty.

    Returns where it is now. Raises Gone when it is not in work any more, S3Error otherwise.
    """
    if finish_prefix:
        finish_prefix = prefix("finish_prefix", finish_prefix)
        for other in (rules.source_prefix, rules.target_prefix):
            if finish_prefix.startswith(other) or other.startswith(finish_prefix):
                raise RequeueError(f"finish_prefix: {finish_prefix} and {other} lie within each other")
    at = place(rules, key)
    for _round in range(3):
        head = bucket.head(at)
        if head is None:
            raise Gone(f"{at} is not in work any more: it was requeued, and may be done once more")
        listed = Listed(
            at, head.etag, head.size, head.modified, str(head.extra.get("StorageClass", "STANDARD"))
        )
        to: Optional[str] = None
        try:
            to = _keep(bucket, listed, finish_prefix, key) if finish_prefix else ""
            bucket.delete(at, head.etag)
        except Unmet:
            if to is not None and bucket.head(at) is None:
                return to  # an earlier attempt of ours deleted it, or a requeue did: done it is
            continue
        return to
    raise S3Error(f"{at} keeps changing")


def _keep(bucket: Bucket, listed: Listed, root: str, key: str) -> str:
    """Copy below the finish prefix, never over anything. Raises Unmet when the source changes."""
    names = [root + key, *other_names(root + key, root, listed.etag, "*")]
    for name in names:
        try:
            if listed.size > LIMIT:
                copy_large(bucket, listed, name, None)
            elif not bucket.conditional and bucket.head(name) is not None:
                raise Unmet(f"{name} is there already")
            else:
                bucket.copy(listed, name, None, None)
        except Unmet:
            there = bucket.head(name)
            if there is None:
                raise
            if not bucket.same_bytes(listed, name, there):
                continue
        return name
    raise S3Error(f"{root}{key}: no free name")
