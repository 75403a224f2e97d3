# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object's way back to waiting: copied under conditions, never over anything, and what a taken name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .requeue import Listed, Rules, Wanted, folder_marker, other_names, too_young, wanted
from .requeue_large import LIMIT, copy_large
from .requeue_s3 import NONSENSE, Bucket, Missing, S3Error, Unmet, Unsupported

REQUEUED, QUARANTINED, SKIPPED, FAILED, LEFT = "requeued", "quarantined", "skipped", "failed", "left"
ROUNDS = 4  # times that an object which changes meanwhile is looked at again


@dataclass(frozen=True)
class Outcome:
    """What became of one object. `copied`: the source may be deleted now, if it still is `source`."""

    source: Listed
    kind: str
    to: str = ""
    detail: str = ""
    conflict: bool = False
    duplicate: bool = False
    copied: bool = False
    hopeless: bool = False


class Mover:
    """Moves single objects of one bucket by the same rules; safe for several threads."""

    def __init__(self, bucket: Bucket, rules: Rules, large: int = LIMIT, in_parts: bool = True) -> None:
        self.bucket, self.rules = bucket, rules
        self._large = large
        self._in_parts = in_parts  # whether objects too large for one copy are taken at all
        self.deleted: frozenset[str] = frozenset()  # what the proof itself deleted

    def judge(self, listed: Listed, now: Optional[float]) -> Optional[Outcome]:
        """What is left where it is without a call; None when it is to be moved."""
        if folder_marker(listed):
            return Outcome(listed, SKIPPED, detail="a folder marker")
        if too_young(self.rules, listed, now):
            return Outcome(listed, SKIPPED, detail="younger than min_age")
        if listed.size > self._large and not self._in_parts:
            return Outcome(listed, LEFT, detail="too large to be copied within a move")
        return None

    def plan(self, listed: Listed) -> Outcome:
        """Where an object would go; reads only. A name that is taken is not looked for."""
        try:
            target = self._wanted(listed)
        except S3Error as error:
            return Outcome(listed, FAILED, detail=str(error), hopeless=error.hopeless)
        if target is None:
            return Outcome(listed, SKIPPED, detail="claimed by somebody else")
        return Outcome(listed, QUARANTINED if target.quarantine else REQUEUED, target.to, "would be moved")

    def move(self, listed: Listed) -> Outcome:
        """Copy one object to where it belongs. Never raises S3Error; what failed is where it was."""
        try:
            for _round in range(ROUNDS):
                try:
                    return self._move(listed)
                except Unmet:
                    fresh = self.bucket.head(listed.key)
                    if fresh is None:
                        break
                    listed = Listed(listed.key, fresh.etag, fresh.size, fresh.modified, listed.storage)
                except Missing:
                    break
            else:
                return Outcome(listed, SKIPPED, detail="it kept changing, so somebody is at work on it")
            return Outcome(listed, SKIPPED, detail="somebody else took it meanwhile")
        except S3Error as error:
            return Outcome(listed, FAILED, detail=str(error), hopeless=error.hopeless)

    def _wanted(self, listed: Listed) -> Optional[Wanted]:
        if not self.rules.needs_metadata:
            return wanted(self.rules, listed, None)
        head = self.bucket.head(listed.key)
        if head is None:
            raise Missing(f"{listed.key} is gone")
        if head.etag != listed.etag:
            raise Unmet(f"{listed.key} changed meanwhile")
        return wanted(self.rules, listed, head)

    def _copy(self, listed: Listed, to: str, target: Wanted) -> None:
        """Raises Unmet when `to` is taken or the source has changed."""
        bucket = self.bucket
        if not bucket.conditional and bucket.head(to) is not None:
            raise Unmet(f"{to} is there already")
        if listed.size > self._large:
            copy_large(bucket, listed, to, target.metadata)
            return
        head = bucket.head(listed.key) if target.metadata is not None else None
        if head is not None and head.etag != listed.etag:
            raise Unmet(f"{listed.key} changed meanwhile")
        try:
            bucket.copy(listed, to, head, target.metadata)
        except Unsupported:
            if not bucket.sends:
                raise
            bucket.sends, bucket.conditional = False, False
            self._copy(listed, to, target)

    def _move(self, listed: Listed) -> Outcome:
        target = self._wanted(listed)
        if target is None:
            return Outcome(listed, SKIPPED, detail="claimed by somebody else")
        kind = QUARANTINED if target.quarantine else REQUEUED
        try:
            self._copy(listed, target.to, target)
            return Outcome(listed, kind, target.to, copied=True)
        except Unmet:
            there = self.bucket.head(target.to)
            if there is None:
                raise  # so it was the source that changed, or what was there has just been claimed
            if self.bucket.same_bytes(listed, target.to, there):
                return Outcome(listed, kind, target.to, "the same bytes were there already", copied=True)
        return self._conflict(listed, target, kind)

    def _conflict(self, listed: Listed, target: Wanted, kind: str) -> Outcome:
        """Another object has the name."""
        taken = f"{target.to} holds other bytes"
        if self.rules.on_conflict == "skip":
            return Outcome(listed, SKIPPED, target.to, taken, conflict=True)
        if self.rules.on_conflict == "fail":
            return Outcome(listed, FAILED, target.to, f"on_conflict: {taken}", conflict=True)
        root = self.rules.failed_prefix if target.quarantine else self.rules.target_prefix
        for name in other_names(target.to, root, listed.etag, self.rules.pattern):
            try:
                self._copy(listed, name, target)
            except Unmet:
                there = self.bucket.head(name)
                if there is None:
                    raise
                if not self.bucket.same_bytes(listed, name, there):
                    continue
            return Outcome(listed, kind, name, f"{taken}, so both are kept", conflict=True, copied=True)
        detail = f"{taken}, and no other name matches the pattern {self.rules.pattern}"
        return Outcome(listed, FAILED, target.to, detail, conflict=True)

    def prove_conditions(self, listed: Listed) -> Outcome:
        """Move a first object and learn on it whether the store keeps conditions.

        The target was seen to be free, and the same copy again must be refused; then a delete with an ETag that the
        source does not have must be refused. A store that takes no notice has done nothing that was not to be done.
        """
        bucket = self.bucket
        outcome = self.move(listed)
        if not outcome.copied or outcome.conflict or bucket.conditional is not None:
            return outcome
        source = outcome.source
        try:
            bucket.copy(source, outcome.to, None, None)
            bucket.conditional = False
        except Unmet:
            head = bucket.head(source.key)
            if head is None or head.etag != source.etag:
                return outcome  # it moves meanwhile, so it proves nothing: the next one will
            refused = bucket.delete_batch([(source.key, NONSENSE)])
            bucket.conditional = source.key in refused
            if not bucket.conditional:
                self.deleted = frozenset({source.key})
        except S3Error:
            return outcome
        return outcome
