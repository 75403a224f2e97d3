# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair in the words of the collection, and what really is in the words of the sandbox."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..standins.journal import Journal
from ..standins.warp.setting import DATA
from . import cloud, faults, processes
from .mover import COOLDOWN, tuning
from .node import SandboxNode

if TYPE_CHECKING:
    from .world import World

PAIR = "hub-sandbox"
NAMES = ("hub-a", "hub-b")
WARP_PAIR, WARP_NAMES = "warp-sandbox", ("warp-a", "warp-b")
TIMEOUTS = {"confirm": 6, "stop": 10, "start": 15, "verify": 10}


def pair(world: World) -> dict[str, Any]:
    """`hotstandby_pair`."""
    return {
        "name": world.name,
        "region": cloud.REGION,
        "table": cloud.TABLE,
        "service": world.product,
        **_product(world),
        "fencing": {"method": "ec2_stop", "timeout": 20},
        "redirect": [{"kind": "elastic_ip", "allocation_id": world.allocation}],
        "timeouts": {**TIMEOUTS, **({"confirm": 5} if world.fast else {})},
        **_profile(world),
        "lease": 2,
        "cooldown": 600 if world.automation is None else COOLDOWN,
        "endpoint_url": world.endpoint.url,
    }


def _product(world: World) -> dict[str, Any]:
    """What is said of the product: HULFT-HUB on a shared folder, ASTERIA Warp in separate ones or on one too."""
    roots = {name: world.nodes[name].root for name in world.names}
    warp = world.product == "asteria_warp"
    each = {
        name: {"install_dir": str(root / "opt" / "warp"), "data_dir": str(root / DATA)}
        if warp
        else {"exe": str(root / "opt" / "hub" / "bin")}
        for name, root in roots.items()
    }
    nodes = [
        {"name": name, "instance_id": world.nodes[name].instance_id, "product": each[name]}
        for name in world.names
    ]
    folder = {"shared": {"path": str(world.layout.shared), "min_free": "1MiB"}}
    if warp:
        layout = "shared" if world.shared else "separate"
        given = {"product": {"layout": layout, "required_services": ["http"]}, "nodes": nodes}
        return {**given, **folder} if world.shared else given
    return {"product": {"etc": str(world.layout.etc)}, "nodes": nodes, **folder}


def _profile(world: World) -> dict[str, Any]:
    """The profile's keys."""
    if not world.fast:
        return {"profile": "minute"}
    return {"profile": "fast", **tuning()}


def write_inventory(world: World) -> None:
    """The pair as an Ansible inventory."""
    import yaml

    hosts = {
        name: {
            "hotstandby_root": str(world.nodes[name].root),
            "hotstandby_metadata_url": world.nodes[name].metadata_url,
        }
        for name in world.names
    }
    group = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "hotstandby_become": False,
        "hotstandby_scheduler": "none",
        "hotstandby_python": sys.executable,
        "hotstandby_pair": world.pair,
    }
    text = yaml.safe_dump({"hotstandby": {"hosts": hosts, "vars": group}}, sort_keys=False)
    world.layout.inventory.write_text(text)


def description(world: World) -> dict[str, Any]:
    """What `up` prints."""
    return {
        "endpoint_url": world.endpoint.url,
        "region": cloud.REGION,
        "inventory": str(world.layout.inventory),
        "pair": world.pair,
        "shared_dir": str(world.layout.shared),
        "env": {
            "AWS_ACCESS_KEY_ID": cloud.CONTROLLER_KEY,
            "AWS_SECRET_ACCESS_KEY": cloud.CONTROLLER_SECRET,
            "AWS_DEFAULT_REGION": cloud.REGION,
            "AWS_REGION": cloud.REGION,
            "AWS_ENDPOINT_URL": world.endpoint.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        "nodes": {
            name: {"instance_id": world.nodes[name].instance_id, "root": str(world.nodes[name].root)}
            for name in world.names
        },
    }


def status(world: World) -> dict[str, Any]:
    """What really is, as nobody inside can know it."""
    running = Journal(str(world.layout.journal)).running()
    return {
        "state": str(world.layout.state),
        "endpoint_url": world.endpoint.url,
        "complete": world.baseline_items is not None,
        "resets": world.resets,
        "nodes": {name: _node(node, running) for name, node in list(world.nodes.items())},
        "aws_faults": _aws_faults(world),
        "record": _plain(cloud.record(world.name)),
        "address": cloud.address_of(world.allocation),
        "unimplemented": list(world.endpoint.unimplemented),
        "overlaps": world.journal()["overlaps"],
    }


def _node(node: SandboxNode, running: list[dict[str, Any]]) -> dict[str, Any]:
    found = node.found()
    return {
        "instance_id": node.instance_id,
        "root": str(node.root),
        "ec2": cloud.state_of(node.instance_id),
        "agent": node.agent_alive(),
        "product": any(about["node"] == node.name for about in running),
        "processes": len(found),
        "frozen": sum(processes.state_of(pid) in processes.FROZEN for pid in found),
        "faults": sorted(node.faults),
        **({"clone_of": node.clone_of} if node.clone_of else {}),
    }


def _aws_faults(world: World) -> list[str]:
    now = world.endpoint.faults
    names = [kind for kind, service in faults.SERVICES.items() if service in now.down]
    names += ["throttle"] if now.throttle else []
    names += ["stale-ec2"] if now.stale_ec2 else []
    return names + (["record-restored"] if world.recorder.replaced else [])


def _plain(item: dict[str, Any] | None) -> dict[str, Any] | None:
    """An item as plain JSON."""
    if item is None:
        return None
    from boto3.dynamodb.types import TypeDeserializer

    return {name: _simple(TypeDeserializer().deserialize(value)) for name, value in item.items()}


def _simple(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, dict):
        return {name: _simple(inner) for name, inner in value.items()}
    return [_simple(inner) for inner in value] if isinstance(value, list) else value
