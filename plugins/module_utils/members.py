# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a load balancer's target group: taken out and drained, put back and healthy. Decisions are pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

PAUSE = 2.0  # seconds between two looks
LEAVING = "draining"
NO_USE = "Target.NotInUse"  # its group is behind no load balancer


class MemberError(Exception):
    """One line that says what is wrong; `code` as in the runbook."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Target:
    """One target as DescribeTargetHealth lists it. A target that is not registered is not listed."""

    ident: str
    port: Optional[int]
    state: str
    reason: str = ""

    @property
    def leaving(self) -> bool:
        """Whether it is deregistered already and only finishes what it has."""
        return self.state.endswith(LEAVING)


def mine(targets: Sequence[Target], ident: str, port: Optional[int]) -> list[Target]:
    """The entries of one member; without a port all of its ports."""
    return [item for item in targets if item.ident == ident and port in (None, item.port)]


def healthy_others(targets: Sequence[Target], ident: str) -> list[str]:
    """The other members that serve now, each once."""
    return sorted({item.ident for item in targets if item.ident != ident and item.state == "healthy"})


def why_not_leave(targets: Sequence[Target], ident: str, least: int) -> str:
    """Why taking a member out would leave too few; empty when enough others are healthy."""
    others = healthy_others(targets, ident)
    if len(others) >= least:
        return ""
    return (
        f"min_healthy: {len(others)} other healthy targets ({', '.join(others) or 'none'}), {least} are needed "
        f"before {ident} is taken out: mend the others first"
    )


@dataclass(frozen=True)
class Member:
    """How a member was found, and whether something was or would be changed. `states` are its own."""

    changed: bool
    states: tuple[str, ...]
    others: tuple[str, ...]


class Group:
    """One target group. `elbv2` is a client; `clock` and `sleep` are monotonic seconds."""

    def __init__(
        self, elbv2: Any, arn: str, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._elbv2, self._arn, self._clock, self._sleep = elbv2, arn, clock, sleep

    def targets(self) -> list[Target]:
        """All that is registered or leaving. Raises what the call raises."""
        found = self._elbv2.describe_target_health(TargetGroupArn=self._arn)
        return [
            Target(
                str(item["Target"]["Id"]),
                item["Target"].get("Port"),
                str(item.get("TargetHealth", {}).get("State")),
                str(item.get("TargetHealth", {}).get("Reason", "")),
            )
            for item in found.get("TargetHealthDescriptions", [])
        ]

    def _named(self, targets: Sequence[Target]) -> list[dict[str, Any]]:
        return [{"Id": item.ident, **({"Port": item.port} if item.port else {})} for item in targets]

    def leave(self, ident: str, port: Optional[int], least: int, limit: float, check: bool = False) -> Member:
        """Take it out and wait until it has finished what it had. Raises MemberError."""
        end = self._clock() + limit
        found = self.targets()
        serving = [item for item in mine(found, ident, port) if not item.leaving]
        if serving:
            why = why_not_leave(found, ident, least)
            if why:
                raise MemberError(f"{why}. Nothing was changed", code="member_too_few")
            if check:
                return self._told(True, found, ident, port)
            self._elbv2.deregister_targets(TargetGroupArn=self._arn, Targets=self._named(serving))
            found = self.targets()
            if why_not_leave(found, ident, least):
                # somebody else took one out at the same moment
                self._elbv2.register_targets(TargetGroupArn=self._arn, Targets=self._named(serving))
                raise MemberError(
                    f"{why_not_leave(found, ident, least)}. It was put back at once", code="member_too_few"
                )
        while not check and mine(found, ident, port):
            if self._clock() >= end:
                raise MemberError(
                    f"timeout: {ident} still drains after {limit:.0f} s: wait and say it again, or lower the group's "
                    "deregistration delay",
                    code="member_draining",
                )
            self._sleep(PAUSE)
            found = self.targets()
        return self._told(bool(serving), found, ident, port)

    def join(self, ident: str, port: Optional[int], limit: float, check: bool = False) -> Member:
        """Put it in and wait until it is healthy. Raises MemberError."""
        end = self._clock() + limit
        found = self.targets()
        changed = not any(not item.leaving for item in mine(found, ident, port))
        if check:
            return self._told(changed, found, ident, port)
        if changed:
            target = {"Id": ident, **({"Port": port} if port else {})}
            self._elbv2.register_targets(TargetGroupArn=self._arn, Targets=[target])
            found = self.targets()
        while True:
            own = [item for item in mine(found, ident, port) if not item.leaving]
            if own and all(item.state == "healthy" for item in own):
                return self._told(changed, found, ident, port)
            odd = [f"{item.state} {item.reason}".strip() for item in own] or ["not listed"]
            if any(item.reason == NO_USE for item in own):
                raise MemberError(
                    f"target_group_arn: {ident} was put in, but no load balancer uses this group ({odd[0]})",
                    code="member_unhealthy",
                )
            if self._clock() >= end:
                raise MemberError(
                    f"timeout: {ident} is in the group and {', '.join(odd)} after {limit:.0f} s: look at the health check of "
                    "the group and at the service there",
                    code="member_unhealthy",
                )
            self._sleep(PAUSE)
            found = self.targets()

    @staticmethod
    def _told(changed: bool, found: Sequence[Target], ident: str, port: Optional[int]) -> Member:
        states = tuple(item.state for item in mine(found, ident, port))
        return Member(changed, states, tuple(healthy_others(found, ident)))
