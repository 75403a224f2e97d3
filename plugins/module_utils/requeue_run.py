# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A requeue from its first page to its last: pages are streamed, so that memory does not grow with the keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, TypeVar

from .requeue import Listed, Rules, matches
from .requeue_move import FAILED, LEFT, QUARANTINED, REQUEUED, SKIPPED, Mover, Outcome
from .requeue_s3 import BATCH, Bucket, S3Error

SHOWN = 1000  # objects that a report names

Work = Callable[[Listed], Outcome]
# hands each item to the work and yields what comes of it, in any order; None means "not yet"
Spread = Callable[[Work, Iterable[Listed]], Iterator[Optional[Outcome]]]
T = TypeVar("T")


def one_by_one(work: Work, items: Iterable[Listed]) -> Iterator[Optional[Outcome]]:
    """Without threads."""
    for item in items:
        yield work(item)


def nothing() -> None:
    """Nothing to keep alive."""


@dataclass
class Report:
    """Counts, and the first 1,000 objects. `left`: not done in the time there was; `error` ended the run early."""

    requeued: int = 0
    quarantined: int = 0
    conflicts: int = 0
    duplicates: int = 0
    skipped: int = 0
    failed: int = 0
    left: int = 0
    requests: int = 0
    conditional: Optional[bool] = None
    error: str = ""
    complete: bool = True
    objects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was moved."""
        return self.requeued + self.quarantined > 0

    @property
    def first_failure(self) -> str:
        """Why the first object failed."""
        return next((item["detail"] for item in self.objects if item["outcome"] == FAILED), "")

    def add(self, outcome: Outcome) -> None:
        """Count one object."""
        name = {REQUEUED: "requeued", QUARANTINED: "quarantined", SKIPPED: "skipped", LEFT: "left"}.get(
            outcome.kind, "failed"
        )
        setattr(self, name, getattr(self, name) + 1)
        self.conflicts += outcome.conflict
        self.duplicates += outcome.duplicate
        if outcome.kind == FAILED and outcome.hopeless:
            self.error = self.error or outcome.detail
        if len(self.objects) < SHOWN:
            self.objects.append(
                {
                    "key": outcome.source.key,
                    "to": outcome.to,
                    "outcome": outcome.kind,
                    "detail": outcome.detail,
                }
            )

    def merge(self, other: Report) -> None:
        """Add the counts of another run."""
        for name in (
            "requeued",
            "quarantined",
            "conflicts",
            "duplicates",
            "skipped",
            "failed",
            "left",
            "requests",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.complete = self.complete and other.complete
        self.error = self.error or other.error
        self.conditional = other.conditional if other.conditional is not None else self.conditional
        self.objects = (self.objects + other.objects)[:SHOWN]

    def text(self) -> str:
        """One line for people."""
        parts = [f"{self.requeued} went back to waiting"]
        for name, what in (
            ("quarantined", "were tried too often"),
            ("conflicts", "met another object of their name"),
            ("duplicates", "may be waiting twice"),
            ("skipped", "were left alone"),
            ("failed", "failed"),
            ("left", "are left"),
        ):
            if getattr(self, name):
                parts.append(f"{getattr(self, name)} {what}")
        if not self.complete and not self.left:
            parts.append("more may be left")
        return ", ".join(parts)


def requeue(
    bucket: Bucket,
    rules: Rules,
    spread: Spread = one_by_one,
    check: bool = False,
    keep: Callable[[], None] = nothing,
    ready: Callable[[], None] = nothing,
    over: Callable[[], bool] = lambda: False,
    progress: Callable[[Report], None] = lambda _report: None,
    mover: Optional[Mover] = None,
) -> Report:
    """Move what matches back to waiting. Raises S3Error only when not even a first page can be listed.

    `keep` runs while results come in and `ready` before each batch is deleted; `over` ends the run between two
    objects. With `check` nothing is written.
    """
    return _Run(bucket, rules, spread, keep, ready, over, mover or Mover(bucket, rules)).run(check, progress)


class _Run:
    """One run."""

    def __init__(
        self,
        bucket: Bucket,
        rules: Rules,
        spread: Spread,
        keep: Callable[[], None],
        ready: Callable[[], None],
        over: Callable[[], bool],
        mover: Mover,
    ) -> None:
        self._bucket, self._rules, self._spread, self._mover = bucket, rules, spread, mover
        self._keep, self._ready, self._over = keep, ready, over
        self._report = Report()
        self._hopeless = False

    def run(self, check: bool, progress: Callable[[Report], None]) -> Report:
        report, began = self._report, self._bucket.requests
        pages = self._bucket.pages(self._rules.source)
        seen = False
        try:
            for page in pages:
                seen = True
                self._page(page, check)
                report.requests = self._bucket.requests - began
                progress(report)
                if report.error or report.left:
                    report.complete = False
                    break
                if self._over():
                    report.complete = False
                    break
        except S3Error as error:
            if not seen:
                raise
            report.error, report.complete = str(error), False
        report.requests = self._bucket.requests - began
        report.conditional = self._bucket.conditional
        return report

    def _page(self, page: list[Listed], check: bool) -> None:
        todo = []
        for listed in page:
            if not matches(self._rules, listed.key):
                continue
            spared = self._mover.judge(listed, self._bucket.date)
            if spared is None:
                todo.append(listed)
            else:
                self._report.add(spared)
        if check:
            for outcome in self._spread(self._mover.plan, todo):
                self._keep()
                if outcome is not None:
                    self._report.add(outcome)
            return
        done: list[Outcome] = []
        while todo and self._bucket.conditional is None and not (self._over() or self._hopeless):
            self._collect([self._mover.prove_conditions(todo.pop(0))], done)
        self._collect(self._spread(self._one, todo), done)
        for first in range(0, len(done), BATCH):
            self._delete(done[first : first + BATCH])

    def _one(self, listed: Listed) -> Outcome:
        """What a thread does with one object."""
        if self._hopeless or self._over():
            return Outcome(listed, LEFT, detail="not done")
        outcome = self._mover.move(listed)
        self._hopeless = self._hopeless or outcome.hopeless
        return outcome

    def _collect(self, outcomes: Iterable[Optional[Outcome]], done: list[Outcome]) -> None:
        for outcome in outcomes:
            self._keep()
            if outcome is None:
                continue
            self._hopeless = self._hopeless or outcome.hopeless
            if outcome.copied:
                done.append(outcome)
            else:
                self._report.add(outcome)

    def _delete(self, done: list[Outcome]) -> None:
        """Delete the sources of what was copied, each only if it still is what was copied."""
        if not done:
            return
        try:
            self._ready()
            if not self._bucket.conditional:
                done = self._look_first(done)
            items = [(one.source.key, one.source.etag) for one in done]
            refused = self._bucket.delete_batch(items) if items else {}
        except S3Error as error:
            # the copies wait already; the next run finds them and only deletes
            text = f"copied, but not deleted: {error}"
            for one in done:
                self._report.add(
                    dataclasses.replace(
                        one, kind=FAILED, detail=text, duplicate=True, hopeless=error.hopeless
                    )
                )
            return
        for one in done:
            code = refused.get(one.source.key)
            if code is None:
                self._report.add(one)
            elif code in ("PreconditionFailed", "NoSuchKey", "412", "404"):
                self._changed(one)
            else:
                text = f"copied, but not deleted: {code}"
                self._report.add(dataclasses.replace(one, kind=FAILED, detail=text, duplicate=True))

    def _look_first(self, done: list[Outcome]) -> list[Outcome]:
        """Where conditions are not kept: those whose source still is what was copied; the others are counted here."""
        same, heads = [], {}

        def look(listed: Listed) -> Outcome:
            head = self._bucket.head(listed.key)
            heads[listed.key] = head.etag if head else ""
            return Outcome(listed, LEFT)

        for _outcome in self._spread(look, [one.source for one in done]):
            self._keep()
        for one in done:
            if heads.get(one.source.key) == one.source.etag:
                same.append(one)
            elif one.source.key in self._mover.deleted:
                self._report.add(one)
            else:
                self._changed(one)
        return same

    def _changed(self, one: Outcome) -> None:
        """The source is not what was copied any more. The copy stays: somebody may have relied on it."""
        try:
            self._again(one)
        except S3Error as error:
            text = f"copied, and then nothing is known of it: {error}"
            self._report.add(
                dataclasses.replace(one, kind=FAILED, detail=text, duplicate=True, hopeless=error.hopeless)
            )

    def _again(self, one: Outcome) -> None:
        head = self._bucket.head(one.source.key)
        if head is None:
            text = "somebody finished it, or requeued it too, meanwhile; the copy stays"
            self._report.add(dataclasses.replace(one, detail=text, duplicate=True))
            return
        fresh = Listed(one.source.key, head.etag, head.size, head.modified, one.source.storage)
        again = self._mover.move(fresh)
        if again.copied and not self._bucket.delete_batch([(again.source.key, again.source.etag)]):
            text = f"it changed meanwhile: {again.to} has the newer bytes, {one.to} the older"
            self._report.add(dataclasses.replace(again, detail=text, duplicate=True))
            return
        text = f"it changed meanwhile and is still there; {one.to} has the older bytes"
        self._report.add(dataclasses.replace(again, kind=FAILED, detail=text, duplicate=True))
