# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoint remembers: who may call, what was called, what is to go wrong."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from .traps import Traps

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Caller:
    """Whoever has an access key. `instance_id` for a node."""

    name: str
    kind: Literal["controller", "node"]
    instance_id: str | None = None


@dataclass(frozen=True)
class Call:
    """One AWS call. `time` in epoch seconds; `status` is 0 when the connection was cut instead of answered."""

    n: int
    time: float
    key: str
    caller: str
    service: str
    action: str
    target: str
    write: bool
    status: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Faults:
    """What goes wrong. `down` holds signing names: ec2, ssm, dynamodb, monitoring, s3, sts.

    `deny` holds (access key, "service:Action"); `monitoring:` and `cloudwatch:` mean the same. `slow` maps an access key
    to the seconds that each of its calls takes longer. `traps` spring at single calls. `expired` holds access keys,
    `denied_keys` "bucket/key" of objects that nobody may touch, `burst` the number of calls of a service that are refused
    next for coming too fast.
    """

    partitioned: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    throttle: bool = False
    stale_ec2: bool = False
    deny: set[tuple[str, str]] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    traps: Traps = field(default_factory=Traps)
    expired: set[str] = field(default_factory=set)
    denied_keys: set[str] = field(default_factory=set)
    burst: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.traps.clear()
        self.slow.clear()
        self.partitioned.clear()
        self.down.clear()
        self.deny.clear()
        self.expired.clear()
        self.denied_keys.clear()
        self.burst.clear()
        self.throttle = self.stale_ec2 = False

    def burst_left(self, service: str) -> bool:
        """Whether one more call of that service is refused; counts it."""
        with self.lock:
            left = self.burst.get(service, 0)
            if left:
                self.burst[service] = left - 1
            return left > 0

    def denies(self, key: str, service: str, action: str) -> bool:
        """Whether this key may not do that. `action` may carry a suffix, as in "SendCommand:look"."""
        names = {service, "cloudwatch"} if service == "monitoring" else {service}
        actions = {action, action.partition(":")[0]}
        return any((key, f"{name}:{wanted}") in self.deny for name in names for wanted in actions)


class CallLog:
    """The calls in order, the latest 200,000 at most. `calls` is a plain list, safe to read while more are added."""

    LIMIT = 200_000

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._n = 0

    def add(self, **facts: Any) -> None:
        """Append a call; its number is given here."""
        with self._lock:
            self._n += 1
            self.calls.append(Call(n=self._n, **facts))
            if len(self.calls) > self.LIMIT:
                del self.calls[: self.LIMIT // 2]

    def clear(self) -> None:
        """Forget them; the numbers go on."""
        with self._lock:
            self.calls.clear()


class Hypervisor(Protocol):
    """What really happens to a machine when EC2 is told to do something with it."""

    def on_stop(self, instance_id: str, force: bool) -> None:
        """Returns when everything on it is dead."""

    def on_start(self, instance_id: str) -> None:
        """Returns when it has booted."""

    def on_reboot(self, instance_id: str) -> None:
        """Returns when it has booted again."""

    def on_terminate(self, instance_id: str) -> None:
        """Returns when everything on it is dead."""


class NoHypervisor:
    """Machines that are only names."""

    def on_stop(self, instance_id: str, force: bool) -> None:
        """Nothing to do."""

    def on_start(self, instance_id: str) -> None:
        """Nothing to do."""

    def on_reboot(self, instance_id: str) -> None:
        """Nothing to do."""

    def on_terminate(self, instance_id: str) -> None:
        """Nothing to do."""
