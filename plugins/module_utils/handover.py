# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of a move that lets the requests of the stopped node wait again: bounded in time, and never in the way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable

from .lease import Clock
from .pair import PairSpec
from .requeue import Rules, granted_owner, make_rules
from .requeue_move import Mover
from .requeue_run import Report, Spread, one_by_one, requeue
from .requeue_s3 import Bucket, S3Error

Keep = Callable[[], None]
# (epoch up to which nobody claims any more, keep the lease, be sure of the lease) -> what was handed over
Requeue = Callable[[int, Keep, Keep], "Handed"]

SECONDS = 20.0  # for the whole step, unless the pair says otherwise


@dataclass(frozen=True)
class Handed:
    """`complete` when nothing is left; `text` tells the counts, for people and the history."""

    complete: bool
    text: str


def rules_of(pair: PairSpec) -> Rules:
    """The requeue that a pair describes."""
    given = dict(pair.requeue or {})
    for name in ("layout", "timeout"):
        given.pop(name, None)
    return make_rules(given.pop("bucket"), **given)


def seconds_of(pair: PairSpec) -> float:
    """How long the whole step may take."""
    return float((pair.requeue or {}).get("timeout", SECONDS))


def by_owner(pair: PairSpec) -> bool:
    """Whether the owner is in the key, so that a requeue may also run while the other node works."""
    return bool((pair.requeue or {}).get("layout") == "owner")


def port(pair: PairSpec, client: Callable[[], Any], clock: Clock, spread: Spread = one_by_one) -> Requeue:
    """What a transition calls. `client` makes the S3 client, whose calls fit into a third of the lease."""

    def run(epoch: int, keep: Keep, ready: Keep) -> Handed:
        deadline = clock.monotonic() + seconds_of(pair)
        try:
            return _run(pair, client(), clock, spread, epoch, keep, ready, deadline)
        except S3Error as error:
            return Handed(False, str(error))
        except Exception as error:
            if type(error).__module__.startswith(("botocore", "boto3")):
                return Handed(False, f"S3: {type(error).__name__}: {error}")
            raise

    return run


def _run(
    pair: PairSpec,
    client: Any,
    clock: Clock,
    spread: Spread,
    epoch: int,
    keep: Keep,
    ready: Keep,
    deadline: float,
) -> Handed:
    def over() -> bool:
        return clock.monotonic() >= deadline

    rules = rules_of(pair)
    bucket = Bucket(client, rules.bucket, clock.sleep, attempts=2)
    each = [rules]
    if by_owner(pair):
        each = [dataclasses.replace(rules, owner=name) for name in _dead_owners(bucket, pair, rules, epoch)]
    total = Report()
    for number, one in enumerate(each):
        mover = Mover(bucket, one, in_parts=False)
        total.merge(requeue(bucket, one, spread, keep=keep, ready=ready, over=over, mover=mover))
        if over() and number + 1 < len(each):
            total.complete = False
            break
    why = total.error or total.first_failure
    done = total.complete and not (total.failed or total.left)
    return Handed(done, total.text() + (f": {why}" if why else ""))


def _dead_owners(bucket: Bucket, pair: PairSpec, rules: Rules, epoch: int) -> list[str]:
    """The owners NODE.EPOCH of this pair that no node may claim under again."""
    nodes = {node.name for node in pair.nodes}
    found = []
    for name in bucket.folders(rules.source_prefix):
        granted = granted_owner(name)
        if granted is not None and granted[0] in nodes and granted[1] <= epoch:
            found.append(name)
    return found
