# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health check: one at a time; it stops what must not run here, beats, and puts one metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional, Protocol

from ..clients import explain
from ..freshness import age_of, words
from ..health import ALIVE, NAMESPACE, PUBLISHED
from ..pair import PairSpec
from ..record import Record, StoreError
from .guard import Guard, Store, read_record
from .host import Pending, StateError
from .look import eligibility, itself
from .outcome import Outcome, done, told
from .rules import Decision
from .table import node_client

STATUS = 15.0  # seconds for the product at most
FENCE = 20.0  # seconds a self-fencing may take
METRIC = 5.0  # seconds for CloudWatch and for the heartbeat

Metrics = Callable[[str, float, dict[str, str]], None]


class Beats(Store, Protocol):
    """A store that also takes this node's heartbeat."""

    def beat(
        self, node: str, instance_id: str, boot_id: str, epoch: int, state: str, held: bool = False
    ) -> None:
        """Write it. Raises StoreError."""


def put_metric(pair: PairSpec) -> Metrics:
    """How a datapoint of a pair is put: name, value, dimensions. Raises on failure."""

    def put(name: str, value: float, dimensions: dict[str, str]) -> None:
        client = node_client("cloudwatch", pair, METRIC)
        given = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        data = [{"MetricName": name, "Value": value, "Unit": "Count", "Dimensions": given}]
        client.put_metric_data(Namespace=PUBLISHED if name == ALIVE else NAMESPACE, MetricData=data)

    return put


def verdict(
    node: str, instance_id: Optional[str], state: str, record: Any, standby_ready: bool
) -> Optional[tuple[str, float]]:
    """The one metric of a check: (name, value), None when there is nothing to say (nobody is named).

    A check that cannot judge says CheckBroken and gives no verdict.
    """
    if not isinstance(record, Record) or instance_id is None or state == "unknown":
        return "CheckBroken", 1.0
    if record.nodes.get(node) != instance_id:
        return "CheckBroken", 1.0
    if record.active is None:
        return None
    if record.active == node:
        return "Unhealthy", 0.0 if state == "running" else 1.0
    return "StandbyReady", 1.0 if standby_ready else 0.0


def ready(state: str, processes: Optional[int], eligible: dict[str, Any], pair: str) -> bool:
    """Whether this standby could take over now."""
    if (
        state != "stopped"
        or processes != 0
        or eligible["installed"] is not True
        or eligible["autostart"] is True
    ):
        return False
    return eligible["mounted"] is None or (eligible["mounted"] is True and eligible["marker"] == pair)


def healthcheck(guard: Guard, store: Beats, metrics: Metrics) -> Outcome:
    """One check. A second one at the same time does nothing."""
    try:
        handle = guard.host.try_lock(guard.state.check_path)
    except StateError as error:
        return told("unknown", f"the check is broken: {error}")
    if handle is None:
        return done("unknown", "another check is at work")
    try:
        return _check(guard, store, metrics)
    finally:
        guard.host.unlock(handle)


def _check(guard: Guard, store: Beats, metrics: Metrics) -> Outcome:
    host, pair, node = guard.host, guard.config.pair, guard.config.node.name
    reading = host.background(lambda: read_record(store))
    limit = min(STATUS, float(pair.timeouts.confirm))
    found, _attempts = guard.control.ask_patiently(limit)
    instance_id = host.instance_id()
    found = itself(guard, instance_id, found)
    record = _got(reading)
    fenced = _fence(guard, record, found.state)
    state, notes = found.state, []
    if fenced is not None:
        state = fenced.state
        notes.append(f"this node must not run it, self-fencing: {fenced.detail.get('message')}")
    notes += _beat(guard, store, instance_id, state)
    eligible = eligibility(guard)
    told_by = verdict(
        node, instance_id, state, record, ready(state, guard.control.count(), eligible, pair.name)
    )
    metric = None
    if told_by is not None:
        name, value = told_by
        dimensions = {"Pair": pair.name, **({} if name == "Unhealthy" else {"Node": node})}
        metric = f"{name}={value:.0f}"
        trouble = _put(guard, metrics, name, value, dimensions)
        if trouble:
            notes.append(f"the metric was not put: {trouble}")
            metric = None
        if name == "Unhealthy" and pair.published_metric:
            also = _put(guard, metrics, ALIVE, value, {})
            notes += [f"{PUBLISHED}/{ALIVE} was not put: {also}"] if also else []
        if name == "StandbyReady":
            notes += _put_copy(guard, metrics, eligible.get("sync") or {}, str(record.active), dimensions)
    if not isinstance(record, Record):
        notes.append(record.message)
    message = "; ".join([found.message, *notes])
    return told(state, message, metric=metric, fenced=fenced is not None)


def _got(reading: Pending) -> Any:
    try:
        return reading.get(METRIC)
    except TimeoutError:
        return Decision("record_unreadable", "the table did not answer in time")


def _fence(guard: Guard, record: Any, state: str) -> Optional[Outcome]:
    """Self-fencing, when the first read gives reason to look again under the lock."""
    if not isinstance(record, Record) or record.active in (None, guard.config.node.name):
        return None
    if state != "running" and not guard.control.count():
        return None
    return guard.self_fence(FENCE)


def _beat(guard: Guard, store: Beats, instance_id: Optional[str], state: str) -> list[str]:
    # a clone must not speak for the node whose files it carries
    if instance_id is None or instance_id != guard.config.node.instance_id:
        return ["no heartbeat: this machine is not known to be this node"]
    host, memory = guard.host, guard.state.recall()
    boot_id, held = host.boot_id(), memory.held is not None
    writing = host.background(
        lambda: store.beat(guard.config.node.name, instance_id, boot_id, memory.seen, state, held)
    )
    try:
        writing.get(METRIC)
    except TimeoutError:
        return ["no heartbeat: the table did not answer in time"]
    except StoreError as error:
        return [f"no heartbeat: {error}"]
    return []


def _put_copy(
    guard: Guard, metrics: Metrics, sync: Mapping[str, Any], active: str, dimensions: dict[str, str]
) -> list[str]:
    """How old the standby's copy is, for a pair that limits it; what is not known is not put. Returns notes."""
    if guard.config.pair.max_sync_age is None or not sync:
        return []
    age = age_of(active, sync)
    given = {"SyncAge": age, "SyncDrift": sync.get("drift") if sync.get("source") == active else None}
    troubles = [
        _put(guard, metrics, name, float(value), dimensions)
        for name, value in given.items()
        if value is not None
    ]
    return [f"a metric was not put: {trouble}" for trouble in troubles if trouble] + (
        [words(active, sync)] if age is None else []
    )


def _put(guard: Guard, metrics: Metrics, name: str, value: float, dimensions: dict[str, str]) -> str:
    """Put one datapoint, bounded; why it was not put, or empty."""
    putting = guard.host.background(lambda: metrics(name, value, dimensions))
    try:
        putting.get(METRIC)
    except TimeoutError:
        return "CloudWatch did not answer in time"
    except StoreError as error:
        return str(error)
    except Exception as error:
        return explain(error, "CloudWatch PutMetricData")
    return ""
