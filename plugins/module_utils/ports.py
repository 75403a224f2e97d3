# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move needs of the world, handed in: the record, the nodes, the fence, the addresses, the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, cast

from .clients import ClientMaker, explain
from .evidence import NO, UNKNOWN, YES, Evidence
from .fencing import Fence, fence_for, instance_state
from .handover import Requeue
from .handover import port as requeue_port
from .health import NAMESPACE, alarm_evidence
from .lease import Clock
from .pair import PairSpec
from .power import Power, power_for
from .progress import Progress, silent
from .record import Move
from .redirect import Redirect, redirects_for
from .requeue_run import Spread, one_by_one
from .run_command import Nodes
from .store import RecordStore


@dataclass(frozen=True)
class Ports:
    """Everything outside of the decisions.

    `instance` tells whether an instance is off, `power` switches a node on (None: only a person can), `alarm` judges the
    pair's alarm at a time (epoch seconds), `replicas` whether the table is a global one, `metric` puts the metric of a
    finished move, `token` makes random text. `left` are the seconds this run still has, `tell` hears of a move that begins,
    `progress` of each step. `requeue` lets the requests of a stopped node wait again.
    """

    store: RecordStore
    nodes: Nodes
    fence: Fence
    redirects: Sequence[Redirect]
    clock: Clock
    instance: Callable[[str], Evidence]
    power: Optional[Power]
    alarm: Callable[[Optional[float]], Evidence]
    replicas: Callable[[], Evidence]
    metric: Callable[[str], None]
    token: Callable[[], str]
    requeue: Requeue
    left: Callable[[], float] = lambda: float("inf")
    tell: Callable[[Move], None] = lambda move: None
    progress: Progress = silent


def table_replicas(client: Any, table: str) -> Evidence:
    """Does the table have replicas (then a consistent read is no proof)? Unknown when it cannot be asked."""
    source = f"DynamoDB DescribeTable {table}"
    try:
        found = client.describe_table(TableName=table)["Table"]
    except Exception as error:
        return Evidence(UNKNOWN, source, explain(error, "DynamoDB DescribeTable"))
    names = [str(item.get("RegionName")) for item in found.get("Replicas") or []]
    return Evidence(YES, source, f"replicas in {', '.join(names)}") if names else Evidence(NO, source, "none")


def _asked(ask: Callable[[], Evidence], source: str) -> Evidence:
    """What was asked; a client that cannot even be made is unknown too."""
    try:
        return ask()
    except Exception as error:
        return Evidence(UNKNOWN, source, explain(error, source))


def put_move_metric(client: Any, pair: str, outcome: str) -> None:
    """One datapoint of HotStandby/Move with dimensions Pair and Outcome."""
    dimensions = [{"Name": "Pair", "Value": pair}, {"Name": "Outcome", "Value": outcome}]
    data = [{"MetricName": "Move", "Dimensions": dimensions, "Value": 1.0, "Unit": "Count"}]
    client.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def ports_for(
    pair: PairSpec, clients: ClientMaker, clock: Optional[Clock] = None, spread: Spread = one_by_one
) -> Ports:
    """The real world of a pair. `clients` makes a client of a service's name; each is made once, when first needed."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = clients(service)
        return made[service]

    real = clock or cast(Clock, time)
    store = RecordStore(client("dynamodb"), pair.table, pair.name, real.monotonic)
    return Ports(
        store=store,
        nodes=Nodes(client("ssm"), pair, real),
        fence=fence_for(pair, lambda: client("ec2")),
        redirects=redirects_for(pair, client),
        clock=real,
        instance=lambda instance_id: _asked(lambda: instance_state(client("ec2"), instance_id), "EC2"),
        power=power_for(pair, lambda: client("ec2")),
        alarm=lambda now: _asked(lambda: alarm_evidence(client("cloudwatch"), pair, now), "CloudWatch"),
        replicas=lambda: table_replicas(client("dynamodb"), pair.table),
        metric=lambda outcome: put_move_metric(client("cloudwatch"), pair.name, outcome),
        token=lambda: os.urandom(4).hex(),
        requeue=requeue_port(pair, lambda: client("s3"), real, spread),
    )
