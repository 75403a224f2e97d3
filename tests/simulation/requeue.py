# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a requeue over the bucket in memory."""

from __future__ import annotations

from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import make_rules
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_move import Mover
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_pool import threads
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_run import Report, requeue
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_s3 import Bucket

from .aws import client_error
from .s3 import S3


class Rig:
    """A bucket and runs over it. Sleeping is only counted."""

    def __init__(self, conditional: bool | None = True) -> None:
        self.s3 = S3()
        self.slept: list[float] = []
        self.conditional = conditional

    def fill(self, count: int, prefix: str = "processing/") -> None:
        for number in range(count):
            self.s3.put(f"{prefix}{number:06}-request.json", b"%d" % number)

    def bucket(self, **more: Any) -> Bucket:
        bucket = Bucket(self.s3, "requests", self.slept.append, **more)
        bucket.conditional = self.conditional
        return bucket

    def run(
        self,
        workers: int = 1,
        check: bool = False,
        over: Any = lambda: False,
        large: int = 1 << 40,
        **options: Any,
    ) -> Report:
        rules, bucket = make_rules("requests", **options), self.bucket()
        mover = Mover(bucket, rules, large=large)
        return requeue(bucket, rules, threads(workers), check=check, over=over, mover=mover)


def counts(report: Report) -> dict[str, int]:
    names = ("requeued", "quarantined", "conflicts", "duplicates", "skipped", "failed", "left")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def denied(*operations: str, key: str = "", code: str = "AccessDenied", status: int = 403) -> Any:
    def hook(operation: str, arguments: dict[str, Any], done: bool) -> None:
        source = arguments.get("CopySource", {}).get("Key", arguments.get("Key", ""))
        if not done and operation in operations and key in source:
            raise client_error(code, operation, status)

    return hook
