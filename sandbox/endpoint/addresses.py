# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that moto moves wrongly: secondary private addresses, and targets that are always healthy."""

from __future__ import annotations

import http.client
import ipaddress
from typing import Any

ACTIVE = "/active"  # the health check path of a target group whose targets are really asked
PATIENCE = 2.0  # seconds for a target's answer


def mend_private(EC2Backend: Any, EC2Response: Any, error: Any) -> None:
    """Let AllowReassignment take the address from where it is, and let AWS's refusals be."""
    from moto.core.responses import ActionResult

    unassign = EC2Backend.unassign_private_ip_addresses

    def assign(response: Any) -> Any:
        backend = response.ec2_backend
        target = backend.get_network_interface(response._get_param("NetworkInterfaceId"))
        if response._get_int_param("SecondaryPrivateIpAddressCount", 0):
            raise NotImplementedError("AssignPrivateIpAddresses SecondaryPrivateIpAddressCount")
        wanted = response._get_param("PrivateIpAddresses", [])
        allowed = str(response._get_param("AllowReassignment")).lower() == "true"
        for address in wanted:
            if ipaddress.ip_address(address) not in ipaddress.ip_network(target.subnet.cidr_block):
                raise error(
                    "InvalidParameterValue",
                    f"Address {address} does not fall within the subnet's address range",
                )
            for other in backend.enis.values():
                found = [item for item in other.private_ip_addresses if item["PrivateIpAddress"] == address]
                if other is target or other.subnet.vpc_id != target.subnet.vpc_id or not found:
                    continue
                if found[0].get("Primary") or other.private_ip_address == address:
                    raise error("InvalidParameterValue", f"[{address}] is a primary address")
                if not allowed:
                    raise error(
                        "InvalidParameterValue",
                        f"[{address}] is already assigned but the reassignment is not allowed",
                    )
                unassign(backend, other.id, [address])
        backend.assign_private_ip_addresses(target.id, wanted, 0)
        assigned = [{"PrivateIpAddress": address} for address in wanted]
        return ActionResult({"NetworkInterfaceId": target.id, "AssignedPrivateIpAddresses": assigned})

    EC2Response.assign_private_ip_addresses = assign


def mend_dry_runs(EC2Response: Any) -> None:
    """Let DryRun change nothing: moto does what it was only asked about."""

    def asked_first(act: Any) -> Any:
        def answer(response: Any) -> Any:
            response.error_on_dryrun()
            return act(response)

        return answer

    for name in ("associate_address", "create_route", "replace_route"):
        setattr(EC2Response, name, asked_first(getattr(EC2Response, name)))


def mend_targets(_endpoint: Any) -> None:
    """A target that is registered is asked, when its group's health check is GET /active on a port of its own."""
    from moto.elbv2.models import FakeTargetGroup

    if hasattr(FakeTargetGroup, "sandbox_mended"):
        return
    FakeTargetGroup.sandbox_mended = True
    health = FakeTargetGroup.health_for

    def health_for(group: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
        found = health(group, target, ec2_backend)
        if found.status == "healthy" and group.health_check_path == ACTIVE and not _active(int(found.port)):
            found.status, found.reason = "unhealthy", "Target.ResponseCodeMismatch"
            found.description = "Health checks failed"
        return found

    FakeTargetGroup.health_for = health_for


def _active(port: int) -> bool:
    """Whether a node of this machine answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", ACTIVE)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
