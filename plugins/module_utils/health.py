# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells of an active that gives no answer: its heartbeat item and its CloudWatch alarm."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Optional

from .clients import explain
from .evidence import NO, UNKNOWN, YES, Evidence
from .pair import PairSpec
from .record import Heartbeat, StoreError
from .store import RecordStore

NAMESPACE = "HotStandby"
PUBLISHED, ALIVE = "MyApp", "Alive"  # of the published design: 0 = alive, and no dimension
METRIC = "Unhealthy"
STANDBY, CHECK = (
    "standby",
    "check",
)  # of the alarms on StandbyReady and CheckBroken, one of each for each node
CHECK_PERIOD = 60  # seconds between health checks in profile minute
UNWATCHED = "no alarm watches this pair"
STALE_CHECKS = 3  # health checks that must be missing before a heartbeat stands still
FRESH_CHECKS = (
    1.5  # health checks within which a heartbeat goes on; later one is missing, and it tells neither
)


def stale_after(pair: PairSpec) -> float:
    """Seconds after which a heartbeat that did not change stands still."""
    return pair.heartbeat_timeout if pair.profile == "fast" else float(STALE_CHECKS * CHECK_PERIOD)


def _age(beat: Optional[Heartbeat], now: Optional[float]) -> Optional[float]:
    return None if beat is None or beat.time is None or now is None else max(0.0, now - beat.time)


def heartbeat_evidence(
    store: RecordStore,
    pair: PairSpec,
    active: str,
    standby: str,
    pause: Callable[[float], None],
    first: Optional[Heartbeat] = None,
    watched: float = 0.0,
) -> Evidence:
    """Does the active's heartbeat stand still while the standby's own is fresh?

    Yes, no (it moves, and says running) or unknown. Ages are differences of the store's own Date headers. With profile
    fast the item is also watched for `heartbeat_timeout` seconds of this run's clock (`pause` waits, keeping the lease);
    `first` is how this run has found it at least `watched` seconds ago, which then need not be waited for again.
    """
    source = f"heartbeat of {active}"
    limit = stale_after(pair)
    try:
        if first is None:
            first, watched = store.heartbeat(active), 0.0
        if first is None:
            return Evidence(UNKNOWN, source, "none was ever written")
        if pair.profile == "fast" and watched < limit:
            pause(limit - watched)
        second = store.heartbeat(active) if pair.profile == "fast" else first
        own = store.heartbeat(standby)
    except StoreError as error:
        return Evidence(UNKNOWN, source, str(error))
    for name, found in ((active, second), (standby, own)):
        meant = pair.node(name).instance_id
        if found is not None and found.instance_id != meant:
            return Evidence(
                UNKNOWN, source, f"the item of {name} is from {found.instance_id}, {meant} is meant"
            )
    age = _age(second, store.now())
    if pair.profile == "fast":  # this run's own clock saw it; an age in whole seconds adds nothing
        still = second is not None and first.beat == second.beat
    else:
        still = age is not None and age >= limit
    if not still:
        late = pair.profile != "fast" and age is not None and age > FRESH_CHECKS * CHECK_PERIOD
        if late:
            return Evidence(UNKNOWN, source, "its last is older than the time between two checks", age)
        if second is not None and second.state == "running" and age is not None:
            return Evidence(NO, source, "it goes on and says running", age)
        return Evidence(UNKNOWN, source, f"it goes on and says {second.state if second else 'nothing'}", age)
    own_age = _age(own, store.now())
    if own_age is None or own_age >= limit:
        return Evidence(UNKNOWN, source, f"it stands still, but so does that of {standby}", age)
    return Evidence(YES, source, f"it stands still while that of {standby} goes on", age)


def alarm_evidence(client: Any, pair: PairSpec, now: Optional[float]) -> Evidence:
    """Is the alarm on HotStandby/Unhealthy in ALARM, or was there no datapoint for its whole window?

    Yes, no (the newest datapoint is fresh and well) or unknown. `now` is epoch seconds of the store's clock.
    """
    source = "CloudWatch alarm"
    dimensions = [{"Name": "Pair", "Value": pair.name}]
    try:
        found = client.describe_alarms_for_metric(
            MetricName=METRIC, Namespace=NAMESPACE, Dimensions=dimensions
        )
        alarms = found.get("MetricAlarms", [])
        if not alarms:
            return Evidence(UNKNOWN, source, UNWATCHED)
        firing = [alarm for alarm in alarms if alarm.get("StateValue") == "ALARM"]
        if firing:
            return Evidence(YES, source, f"{firing[0].get('AlarmName')} is in ALARM")
        if now is None:
            return Evidence(UNKNOWN, source, "the time is not known")
        period = max(int(alarm.get("Period") or CHECK_PERIOD) for alarm in alarms)
        window = max(int(alarm.get("EvaluationPeriods") or 1) for alarm in alarms) * period
        end = datetime.datetime.fromtimestamp(now + period, datetime.timezone.utc)
        got = client.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=METRIC,
            Dimensions=dimensions,
            StartTime=end - datetime.timedelta(seconds=window + 2 * period),
            EndTime=end,
            Period=period,
            Statistics=["Maximum"],
        )
    except Exception as error:
        return Evidence(UNKNOWN, source, explain(error, "CloudWatch"))
    points = sorted(got.get("Datapoints", []), key=lambda point: point["Timestamp"])
    if not points or now - points[-1]["Timestamp"].timestamp() > window:
        return Evidence(YES, source, f"no datapoint for {window} s")
    age = now - points[-1]["Timestamp"].timestamp()
    if points[-1]["Maximum"] == 0 and age <= 2 * period:
        return Evidence(NO, source, "the newest datapoint is well", max(0.0, age))
    return Evidence(UNKNOWN, source, "the newest datapoint is neither fresh nor well", max(0.0, age))


def agent_evidence(client: Any, pair: PairSpec) -> dict[str, Evidence]:
    """{node name: is its SSM agent online?}; no = SSM lists it as lost or not at all, unknown = SSM was not to be asked."""
    source = "SSM DescribeInstanceInformation"
    ids = [node.instance_id for node in pair.nodes]
    try:
        found = client.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": ids}])
    except Exception as error:
        told = Evidence(UNKNOWN, source, explain(error, source))
        return {node.name: told for node in pair.nodes}
    pings = {item["InstanceId"]: item.get("PingStatus") for item in found.get("InstanceInformationList", [])}
    evidence = {}
    for node in pair.nodes:
        ping = pings.get(node.instance_id)
        answer = YES if ping == "Online" else NO
        evidence[node.name] = Evidence(
            answer, source, f"the agent is {ping}" if ping else "the agent is not registered"
        )
    return evidence


def warning_names(pair: PairSpec, alarm: str) -> dict[str, str]:
    """{alarm name: what it watches} of the alarms for people, as role failover_automation names them beside `alarm`."""
    return {
        f"{alarm}-{what}-{node.name}": f"{what} {node.name}"
        for node in pair.nodes
        for what in (STANDBY, CHECK)
    }


def warnings(client: Any, pair: PairSpec, alarm: str) -> dict[str, Evidence]:
    """{"standby NODE": can it not take over, "check NODE": is its check broken}, by alarms on the nodes' own metrics.

    Yes = in ALARM. One that is not there is left out; all are unknown when CloudWatch cannot be asked.
    """
    names = warning_names(pair, alarm)
    source = "CloudWatch alarm"
    try:
        found = client.describe_alarms(AlarmNames=sorted(names)).get("MetricAlarms", [])
    except Exception as error:
        told = Evidence(UNKNOWN, source, explain(error, "CloudWatch DescribeAlarms"))
        return dict.fromkeys(names.values(), told)
    return {
        names[item["AlarmName"]]: Evidence(
            YES if item.get("StateValue") == "ALARM" else NO,
            source,
            f"{item['AlarmName']} is {item.get('StateValue')}",
        )
        for item in found
        if item.get("AlarmName") in names
    }
