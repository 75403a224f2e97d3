# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from a process to AWS: every call takes time, and may be refused, lost on the way there or on the way back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.aws import START, client_error

if TYPE_CHECKING:
    from tests.simulation.det.scheduler import Proc
    from tests.simulation.det.world import World

LATE = 4.0  # seconds after which a caller gives up a call that is not answered


@functools.lru_cache(maxsize=8192)
def date_of(second: int) -> str:
    """A Date header."""
    return formatdate(START + second, usegmt=True)


def plain(value: Any) -> Any:
    """A typed attribute for a reader of the timeline."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind == "M":
            return {key: plain(item) for key, item in inner.items()}
        if kind == "L":
            return [plain(item) for item in inner]
        return None if kind == "NULL" else inner
    return value


class Network:
    """What stands between callers and services. Services are down for everybody, or unreachable from one machine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.down: set[str] = set()  # services that nobody reaches
        self.throttle: dict[str, float] = {}  # service: how often it refuses, 0 to 1
        self.slow: dict[str, float] = {}  # service: seconds more for each call

    def call(self, proc: Proc, service: str, operation: str, act: Callable[[], Any], about: str = "") -> Any:
        """One call of `proc`. Raises what botocore would raise."""
        world, machine = self.world, proc.machine
        name = f"{service}:{operation}"
        fault = world.faults_at.get((proc.name, proc.calls))
        proc.calls += 1
        if world.watching is not None:
            world.watching(proc, name)
        pace = 0.008 + 0.03 * proc.rng.random() + self.slow.get(service, 0.0)
        world.sleep(pace)
        proc.stalled = fault is not None and fault[0] in ("freeze", "late", "yield")
        if fault is not None:
            self._before(proc, fault, name)
        if service in self.down or (machine is not None and machine.cut_out):
            world.sleep(1.0)
            world.note(proc.name, name + about, "no connection")
            raise EndpointConnectionError(endpoint_url=f"https://{service}.example.invalid")
        if service in self.throttle and proc.rng.random() < self.throttle[service]:
            world.note(proc.name, name + about, "throttled")
            raise client_error("ThrottlingException", operation)
        kind = fault[0] if fault is not None else ""
        if kind == "refuse":
            world.note(proc.name, name + about, "refused by the fault: 503")
            raise client_error("ServiceUnavailable", operation, 503)
        if kind == "late":
            # the caller has given up, and the request arrives all the same
            world.at(fault[1], lambda: self._quietly(proc, act, name + about))
            world.sleep(LATE)
            world.note(proc.name, name + about, f"no answer; it arrives {fault[1]:.1f} s late")
            raise ReadTimeoutError(endpoint_url=f"https://{service}.example.invalid")
        try:
            answer = act()
        except ClientError as error:
            world.note(proc.name, name + about, str(error.response["Error"]["Code"]))
            raise
        if world.trace is not None:
            world.note(proc.name, name + about, shown(answer))
        if kind == "crash-after":
            world.kill(proc)
        world.sleep(0.004 + 0.01 * proc.rng.random())
        if kind == "lost":
            world.sleep(LATE)
            world.note(proc.name, name, "the answer was lost")
            raise ReadTimeoutError(endpoint_url=f"https://{service}.example.invalid")
        if kind == "freeze-after":
            self._freeze(proc, fault[1])
        answer["ResponseMetadata"] = {
            "HTTPStatusCode": 200,
            "HTTPHeaders": {"date": date_of(int(world.now))},
        }
        return answer

    def _before(self, proc: Proc, fault: tuple[str, float], name: str) -> None:
        world = self.world
        if proc.machine is not None:
            proc.machine.fault(hides=True)
        if fault[0] == "crash":
            world.note(proc.name, name, "the caller dies before it")
            world.kill(proc)
            world.sleep(0)
        elif fault[0] == "yield":
            world.next_turn(proc)
            world.sleep(0)
        elif fault[0] == "freeze":
            self._freeze(proc, fault[1])

    def _freeze(self, proc: Proc, seconds: float) -> None:
        self.world.note(proc.name, f"frozen for {seconds:.1f} s")
        self.world.freeze(proc, seconds)
        self.world.sleep(0)

    def _quietly(self, proc: Proc, act: Callable[[], Any], name: str) -> None:
        """A request arrives long after its sender gave it up: nobody can hold that against the sender."""
        stalled, proc.stalled = proc.stalled, True
        try:
            act()
            self.world.note("network", name, "arrives late")
        except ClientError as error:
            self.world.note("network", name, f"arrives late: {error.response['Error']['Code']}")
        finally:
            proc.stalled = stalled


def shown(answer: Any) -> str:
    """An answer on one line of the timeline."""
    if not isinstance(answer, dict):
        return str(answer)
    if "Item" in answer:
        item = {key: plain(value) for key, value in answer["Item"].items()}
        keys = ("active", "epoch", "state", "lease", "move", "beat")
        kept = {key: item[key] for key in keys if key in item}
        if isinstance(kept.get("move"), dict):
            move = kept["move"]
            kept["move"] = f"{move['kind']} {move['source']}->{move['target']} at {move['step']}"
        if isinstance(kept.get("lease"), dict):
            kept["lease"] = f"{kept['lease']['owner']}/{kept['lease']['version'][:4]}"
        return " ".join(f"{key}={value}" for key, value in kept.items())
    if "CommandInvocations" in answer:
        return "; ".join(
            f"{item['InstanceId'][2:5]} {item['StatusDetails']}" for item in answer["CommandInvocations"]
        )
    return str({key: value for key, value in answer.items() if key != "ResponseMetadata"})[:160]
