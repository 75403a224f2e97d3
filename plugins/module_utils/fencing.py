# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a node is off: an EC2 stop that was confirmed, or a fence-agents command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol

from .clients import error_code, explain, is_passing
from .evidence import NO, UNKNOWN, YES, Evidence
from .lease import Clock
from .pair import Node, PairSpec

OFF_STATES = ("stopped", "terminated")
LEAST, SHARE, MOST = 0.05, 12, 1.0  # seconds between two looks: a twelfth of what it has taken so far
AGAIN = 0.2  # seconds at least before a stop is sent again
NOT_LISTED = (
    "EC2 does not list this instance"  # an empty list and InvalidInstanceID.NotFound are one and the same
)
# EC2 will not stop this instance however often it is asked
IMPOSSIBLE = frozenset(
    {
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID.NotFound",
        "OperationNotPermitted",
        "UnauthorizedOperation",
        "UnsupportedOperation",
    }
)


@dataclass(frozen=True)
class Fenced:
    """What fencing came to. `kind`: proven, unfinished (ask again), impossible (will not work)."""

    kind: str
    why: str


class Holding(Protocol):
    """What fencing needs of the lease."""

    def ready(self) -> None:
        """Called before each call that changes something."""

    def pause(self, seconds: float) -> None:
        """Wait, keeping the lease."""


Late = Callable[[], Optional[str]]


class Fence(Protocol):
    """One way to prove a node off."""

    def can_work(self, node: Node) -> Evidence:
        """Whether fencing this node could succeed; asked without changing anything."""

    def off(self, node: Node, holding: Holding, clock: Clock, late: Late) -> Fenced:
        """Power the node off and prove it. `late` may bring another proof meanwhile."""


def instance_state(client: Any, instance_id: str) -> Evidence:
    """Is this instance off? yes = stopped or terminated, no = running or on its way, unknown = not told."""
    source = f"EC2 DescribeInstances {instance_id}"
    try:
        response = client.describe_instances(InstanceIds=[instance_id])
    except Exception as error:
        if error_code(error) in (
            "InvalidInstanceID.NotFound",
            "InvalidInstanceID.Malformed",
        ):  # mi-... is the latter
            return Evidence(UNKNOWN, source, NOT_LISTED)
        return Evidence(UNKNOWN, source, explain(error, "EC2 DescribeInstances"))
    for reservation in response.get("Reservations", []):
        for instance in reservation.get("Instances", []):
            if instance.get("InstanceId") == instance_id:
                state = instance.get("State", {}).get("Name", "")
                return Evidence(YES if state in OFF_STATES else NO if state else UNKNOWN, source, state)
    return Evidence(UNKNOWN, source, NOT_LISTED)


def dry_run(source: str, call: str, attempt: Callable[[], Any]) -> Evidence:
    """Whether EC2 would do it: `attempt` makes the call with DryRun, which changes nothing. `call` names it for people."""
    try:
        attempt()
    except Exception as error:
        code = error_code(error)
        if code == "DryRunOperation":
            return Evidence(YES, source, f"{call} is allowed")
        return Evidence(
            NO if code in IMPOSSIBLE else UNKNOWN, source, explain(error, f"EC2 {call} (dry run)")
        )
    return Evidence(UNKNOWN, source, "the dry run gave no answer")


class Ec2Fence:
    """StopInstances with force, proven by a state read after its answer.

    `ec2` is an EC2 client, `timeout` the seconds in which the proof must come.
    """

    def __init__(self, ec2: Callable[[], Any], timeout: float) -> None:
        self._ec2 = ec2
        self._timeout = timeout

    def can_work(self, node: Node) -> Evidence:
        """DryRun and the instance's attributes: stop protection, instance store, Auto Scaling, one-time Spot."""
        source = f"EC2 checks of {node.instance_id}"
        try:
            client = self._ec2()
            found = client.describe_instances(InstanceIds=[node.instance_id])
            instances = [
                item for group in found.get("Reservations", []) for item in group.get("Instances", [])
            ]
            if not instances:
                return Evidence(UNKNOWN, source, NOT_LISTED)
            trouble = obstacle(instances[0])
            if trouble:
                return Evidence(NO, source, trouble)
            protected = client.describe_instance_attribute(
                InstanceId=node.instance_id, Attribute="disableApiStop"
            )
            if protected.get("DisableApiStop", {}).get("Value"):
                return Evidence(NO, source, "stop protection is on (disableApiStop)")
        except Exception as error:
            if error_code(error) in IMPOSSIBLE:
                return Evidence(NO, source, explain(error, "EC2"))
            return Evidence(UNKNOWN, source, explain(error, "EC2"))
        return dry_run(
            source,
            "StopInstances",
            lambda: client.stop_instances(InstanceIds=[node.instance_id], Force=True, DryRun=True),
        )

    def off(self, node: Node, holding: Holding, clock: Clock, late: Late) -> Fenced:
        """Stop, then look until it is off. The last stop's own answer must agree with the state that was read."""
        began = clock.monotonic()
        deadline = began + self._timeout
        try:
            client = self._ec2()
        except Exception as error:  # no credentials, say: the move is finished by whoever has some
            return self._last_hope(late, Fenced("unfinished", explain(error, "EC2")))
        answered = ""  # the state that StopInstances itself named last
        why = "StopInstances was not answered"
        hurry = True

        def wait(least: float) -> None:
            holding.pause(min(max(least, (clock.monotonic() - began) / SHARE), MOST))

        while True:
            if answered != "stopped":
                holding.ready()
                try:
                    reply = client.stop_instances(InstanceIds=[node.instance_id], Force=True)
                    changes = reply.get("StoppingInstances") or [{}]
                    answered = changes[0].get("CurrentState", {}).get("Name", "stopping")
                except Exception as error:
                    code, why = error_code(error), explain(error, "EC2 StopInstances")
                    if code == "IncorrectInstanceState":
                        answered = (
                            "terminated"  # or just starting: the state read below must say terminated too
                        )
                    elif code in IMPOSSIBLE:
                        return self._last_hope(late, Fenced("impossible", why))
                    elif not is_passing(error):
                        return self._last_hope(late, Fenced("unfinished", why))
            while answered:
                state = instance_state(client, node.instance_id)
                agreed = answered == "stopped" or (answered == state.detail == "terminated")
                if state.yes and agreed:
                    return Fenced("proven", f"{node.name} is off ({state})")
                why = f"EC2 does not say yet that {node.name} is off ({state})"
                told = late()
                if told:
                    return Fenced("proven", told)
                if clock.monotonic() >= deadline:
                    return Fenced("unfinished", why)
                if state.yes and hurry:
                    hurry = False
                    break  # asked again at once, but only the first time
                # a read alone may be an old one: StopInstances is asked again and must agree
                again = state.yes or answered == "terminated"
                wait(AGAIN if again else LEAST)
                if again:
                    break
            if not answered:
                told = late()
                if told:
                    return Fenced("proven", told)
                if clock.monotonic() >= deadline:
                    return Fenced("unfinished", why)
                wait(AGAIN)

    @staticmethod
    def _last_hope(late: Late, otherwise: Fenced) -> Fenced:
        told = late()
        return Fenced("proven", told) if told else otherwise


def obstacle(instance: dict[str, Any]) -> Optional[str]:
    """Why stopping this instance cannot work or would not last, from its description; None when it can."""
    if instance.get("RootDeviceType") not in (None, "ebs"):
        return f"its root device is {instance['RootDeviceType']}, which cannot be stopped"
    tags = {tag.get("Key"): tag.get("Value") for tag in instance.get("Tags", [])}
    if tags.get("aws:autoscaling:groupName"):
        return f"Auto Scaling group '{tags['aws:autoscaling:groupName']}' would start another instance"
    if instance.get("InstanceLifecycle") == "spot":
        return "it is a Spot instance"
    return None


Keep = Callable[[], None]
Runner = Callable[[Sequence[str], float, Keep], "tuple[Optional[int], str]"]


def run_agent(argv: Sequence[str], timeout: float, keep: Keep = lambda: None) -> tuple[Optional[int], str]:
    """Run a command without a shell: (exit code or None when it did not end in time, last line of output).

    `keep` is called each second meanwhile, to keep the lease; what it raises ends the command and comes out here.
    A command that is ended takes its children along: whatever they would do later, they would do without the lease.
    """
    deadline = time.monotonic() + timeout
    try:
        child = subprocess.Popen(  # argv comes from the inventory of whoever may fence
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    ended = False
    try:
        while not ended:
            left = deadline - time.monotonic()
            try:
                output, errors = child.communicate(timeout=min(1.0, max(left, 0.01)))
                ended = True
            except subprocess.TimeoutExpired:
                if left <= 0:
                    return None, f"{argv[0]} did not end within {timeout:.0f} s"
                keep()
    finally:
        if not ended:
            _kill(child)
    lines = (errors.strip() or output.strip()).splitlines()
    return child.returncode, lines[-1][:200] if lines else ""


def _kill(child: subprocess.Popen[str]) -> None:
    """End a command with its whole group, and let go of its output."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def filled(argv: Sequence[str], values: dict[str, str]) -> list[str]:
    """Arguments with {name} replaced from `values`; other braces stay as they are."""
    result = []
    for item in argv:
        for key, value in values.items():
            item = item.replace("{" + key + "}", value)
        result.append(item)
    return result


def agent_argv(command: Sequence[str], node: Node, action: str) -> list[str]:
    """A fence agent's arguments for one action on one node."""
    argv = filled(command, {"node": node.name, "instance_id": node.instance_id, "action": action})
    return argv if any("{action}" in item for item in command) else [*argv, f"--action={action}"]


class CommandFence:
    """Any fence-agents command: `--action=off` powers off, `--action=status` ends with 2 when the node is off.

    `{node}` and `{instance_id}` in the arguments are replaced; `{action}` too, and then nothing is appended.
    """

    def __init__(self, command: Sequence[str], timeout: float, runner: Runner = run_agent) -> None:
        self._command = tuple(command)
        self._timeout = timeout
        self._run = runner

    def _argv(self, node: Node, action: str) -> list[str]:
        return agent_argv(self._command, node, action)

    def can_work(self, node: Node) -> Evidence:
        """Whether the agent tells the power state of a node that answers, and so is on."""
        rc, said = self._run(self._argv(node, "status"), min(self._timeout, 30), lambda: None)
        source = f"{self._command[0]} status"
        if rc == 0:
            return Evidence(YES, source, "on")
        if rc == 2:  # of a node that answers: the wrong plug, or a command that was called wrongly
            return Evidence(
                NO, source, f"ended with 2 (off) for {node.name}, which is on: wrong plug or wrong arguments"
            )
        return Evidence(NO if rc == 127 else UNKNOWN, source, said or f"exit code {rc}")

    def off(self, node: Node, holding: Holding, clock: Clock, late: Late) -> Fenced:
        """Off, then status until it says off."""
        deadline = clock.monotonic() + self._timeout
        delay = 0.2
        was_on = False

        def keep() -> None:
            holding.pause(0)

        while True:
            holding.ready()
            rc, said = self._run(self._argv(node, "off"), max(1.0, deadline - clock.monotonic()), keep)
            if rc == 127:
                return Fenced("impossible", said)
            left = max(1.0, deadline - clock.monotonic())
            status, told = self._run(self._argv(node, "status"), left, keep)
            # 2 is also how many a command ends that was called wrongly: it counts from one that can do something else
            if status == 2 and (rc == 0 or (was_on and rc is not None)):
                return Fenced("proven", f"{self._command[0]} says that {node.name} is off")
            was_on = was_on or status == 0
            proof = late()
            if proof:
                return Fenced("proven", proof)
            if clock.monotonic() >= deadline:
                return Fenced("unfinished", f"{self._command[0]}: {said or told or 'the node is still on'}")
            holding.pause(delay)
            delay = min(delay * 1.5, 5.0)


class NoFence:
    """`method: none` never proves anything."""

    def can_work(self, node: Node) -> Evidence:
        """Never."""
        return Evidence(NO, "fencing.method none", f"{node.name} cannot be fenced")

    def off(self, node: Node, holding: Holding, clock: Clock, late: Late) -> Fenced:
        """Only a late answer of the node itself can prove anything."""
        told = late()
        return Fenced("proven", told) if told else Fenced("impossible", "fencing.method is none")


def fence_for(pair: PairSpec, ec2: Callable[[], Any]) -> Fence:
    """The pair's fence."""
    if pair.fencing.method == "ec2_stop":
        return Ec2Fence(ec2, pair.fencing.timeout)
    if pair.fencing.method == "command":
        return CommandFence(pair.fencing.command, pair.fencing.timeout)
    return NoFence()
