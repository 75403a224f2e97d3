# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pair is: two nodes, one service, one table. Read and validated here, once, for every caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .checks import (
    Check,
    PairError,
    argv,
    choice,
    flag,
    integer,
    kind_of,
    mapping,
    number,
    path,
    plain,
    regexp,
    size,
    text,
    texts,
    url,
)
from .requeue import RequeueError, make_rules

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
INSTANCE_PATTERN = r"(?:i-(?:[0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})"
REGION_PATTERN = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"
TABLE_PATTERN = r"[A-Za-z0-9_.-]{3,255}"
MAX_STEP_SECONDS = 780  # what fits into one Lambda invocation of 15 minutes with room to hand over

SERVICES = ("hulft_hub", "asteria_warp", "systemd")
ROOT = "hotstandby_pair"


@dataclass(frozen=True)
class Node:
    """One of the two nodes; `product` holds what this node overrides."""

    name: str
    instance_id: str
    product: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shared:
    """The shared folder: an absolute path, and the free bytes a standby must find there."""

    path: str
    min_free: int


@dataclass(frozen=True)
class Fencing:
    """How a node that does not answer is proven off; `timeout` in seconds, `command` an argv for `method: command`."""

    method: str = "ec2_stop"
    timeout: int = 300
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeouts:
    """Seconds that each step may take."""

    confirm: int = 20
    stop: int = 120
    start: int = 180
    verify: int = 60


@dataclass(frozen=True)
class StopPolicy:
    """`mode` of the product's stop, and what follows when a normal stop takes too long on a node that answers."""

    mode: str = "normal"
    then: str = "wait"


@dataclass(frozen=True)
class PairSpec:
    """A validated pair. Times in seconds, sizes in bytes."""

    name: str
    region: str
    table: str
    service: str
    product: Mapping[str, Any]
    nodes: tuple[Node, Node]
    shared: Optional[Shared]
    fencing: Fencing
    redirect: tuple[Mapping[str, Any], ...]
    probe: Optional[Mapping[str, Any]]
    timeouts: Timeouts
    stop: StopPolicy
    cooldown: int
    profile: str
    lease: float
    heartbeat_timeout: float
    local_restarts: int
    requeue: Optional[Mapping[str, Any]]
    max_sync_age: Optional[int]
    sync_too_old: str  # what a switchover does then: refuse or warn
    published_metric: bool  # MyApp/Alive beside our own, for old dashboards
    endpoint_url: Optional[str]
    raw: Mapping[str, Any]

    def node(self, name: str) -> Node:
        """The node of that name; PairError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise PairError(
            f"{ROOT}.nodes: no node is named '{name}' (there are {self.nodes[0].name} and {self.nodes[1].name})"
        )

    def other(self, name: str) -> Node:
        """The node that is not `name`."""
        return self.nodes[1] if self.node(name) is self.nodes[0] else self.nodes[0]

    def product_of(self, name: str) -> dict[str, Any]:
        """The product's settings on a node: the pair's, overridden by the node's."""
        return {**self.product, **self.node(name).product}

    def instance_ids(self) -> dict[str, str]:
        """{node name: instance id}, as the record holds it."""
        return {node.name: node.instance_id for node in self.nodes}

    def to_dict(self) -> dict[str, Any]:
        """The pair as it was given, fit for JSON."""
        return dict(self.raw)

    def for_nodes(self) -> dict[str, Any]:
        """The same as the nodes get it, for anybody to read there: without commands that may carry a password.

        Nodes neither fence nor move addresses.
        """
        given = self.to_dict()
        if self.fencing.command:
            given["fencing"] = {"method": "none"}
        if any(entry["kind"] == "command" for entry in self.redirect):
            given["redirect"] = [entry for entry in given["redirect"] if entry["kind"] != "command"]
        return given


_USER = text(r"[a-z_][a-z0-9_.-]{0,31}\$?", "a user name")
_PRODUCT_KEYS: dict[str, dict[str, Check]] = {
    "hulft_hub": {"user": _USER, "etc": path, "exe": path},
    "asteria_warp": {
        "user": _USER,
        "install_dir": path,
        "data_dir": path,
        "layout": choice("separate", "shared"),
        "required_services": texts(r"[A-Za-z0-9_.@-]{1,100}", "a service's name"),
        "status_pattern": regexp("service", "state"),
    },
    "systemd": {"unit": text(r"[A-Za-z0-9:_.\\@-]{1,255}", "a systemd unit name")},
}
_PRODUCT_NEEDS = {
    "hulft_hub": ("etc", "exe"),
    "asteria_warp": ("install_dir", "data_dir"),
    "systemd": ("unit",),
}

_ID = {
    "allocation_id": text(r"eipalloc-[0-9a-f]{8,17}", "an Elastic IP allocation id (eipalloc-...)"),
    "node": text(NAME_PATTERN, "a name"),
    "address": text(
        r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?!$)|$)){4}", "an IPv4 address such as 10.0.0.10"
    ),
    "zone_id": text(r"[A-Z0-9]{1,32}", "a hosted zone id such as Z0123456789ABC"),
    "record": text(
        r"(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{1,63}\.?",
        "a DNS name",
    ),
    "route_table_id": text(r"rtb-[0-9a-f]{8,17}", "a route table id (rtb-...)"),
    "destination": text(
        r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?!/)|(?=/))){4}/(?:3[0-2]|[12]?[0-9])",
        "an IPv4 network such as 10.99.0.1/32",
    ),
    "target_group_arn": text(
        r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]+",
        "the ARN of a target group",
    ),
}
_REDIRECT_KINDS: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    "elastic_ip": ({"allocation_id": _ID["allocation_id"]}, {}),
    "private_ip": ({"address": _ID["address"]}, {}),
    "route53": (
        {"zone_id": _ID["zone_id"], "record": _ID["record"]},
        {"ttl": integer(0, 86400), "address": choice("private", "public")},
    ),
    "route_table": ({"route_table_id": _ID["route_table_id"], "destination": _ID["destination"]}, {}),
    "target_group": ({"target_group_arn": _ID["target_group_arn"]}, {"port": integer(1, 65535)}),
    "command": ({"command": argv, "check": argv}, {"timeout": integer(1, 300)}),
}


def _product(service: str) -> Check:
    return lambda key, value: mapping(key, value, {}, _PRODUCT_KEYS[service])


def _redirect(key: str, value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, (list, tuple)):
        raise PairError(f"{key}: must be a list, not {kind_of(value)}")
    entries = []
    for index, item in enumerate(value):
        where = f"{key}[{index}]"
        if not isinstance(item, Mapping):
            raise PairError(f"{where}: must be a mapping, not {kind_of(item)}")
        kind = item.get("kind")
        choice(*_REDIRECT_KINDS)(f"{where}.kind", kind)
        required, optional = _REDIRECT_KINDS[str(kind)]
        entries.append(mapping(where, item, {"kind": choice(*_REDIRECT_KINDS), **required}, optional))
    return tuple(entries)


def _fencing(key: str, value: Any) -> Fencing:
    given = mapping(
        key,
        value,
        {"method": choice("ec2_stop", "command", "none")},
        {"timeout": integer(1, MAX_STEP_SECONDS), "command": argv},
    )
    if (given["method"] == "command") != ("command" in given):
        raise PairError(f"{key}.command: belongs to method 'command', and is needed there")
    return Fencing(**given)


def _probe(key: str, value: Any) -> dict[str, Any]:
    given = mapping(key, value, {}, {"url": url, "status": integer(100, 599), "command": argv})
    if ("url" in given) == ("command" in given):
        raise PairError(f"{key}: needs exactly one of url and command")
    if "status" in given and "url" not in given:
        raise PairError(f"{key}.status: belongs to url")
    return given


def _shared(key: str, value: Any) -> Shared:
    given = mapping(key, value, {"path": path}, {"min_free": size})
    return Shared(path=given["path"], min_free=given.get("min_free", 0))


def _timeouts(key: str, value: Any) -> dict[str, int]:
    return mapping(key, value, {}, dict.fromkeys(vars(Timeouts()), integer(1, MAX_STEP_SECONDS)))


def _stop(key: str, value: Any) -> StopPolicy:
    return StopPolicy(
        **mapping(key, value, {}, {"mode": choice("normal", "force"), "then": choice("wait", "force")})
    )


def _requeue(key: str, value: Any) -> dict[str, Any]:
    anything = text(r"[^\x00-\x1f\x7f\x85\u2028\u2029]+", "text on one line")
    bucket = text(r"[a-z0-9][a-z0-9.-]{1,62}", "a bucket name")
    given = mapping(
        key,
        value,
        {"bucket": bucket},
        {
            "pattern": anything,
            "source_prefix": anything,
            "target_prefix": anything,
            "layout": choice("flat", "owner"),
            "timeout": integer(1, MAX_STEP_SECONDS),
        },
    )
    try:
        options = {name: item for name, item in given.items() if name not in ("bucket", "layout", "timeout")}
        make_rules(given["bucket"], **options)
    except RequeueError as error:
        raise PairError(f"{key}.{error}") from None
    return given


def _nodes(service: str) -> Check:
    def check(key: str, value: Any) -> tuple[Node, Node]:
        if not isinstance(value, (list, tuple)):
            raise PairError(f"{key}: must be a list of two nodes, not {kind_of(value)}")
        if len(value) != 2:
            raise PairError(f"{key}: exactly two nodes are needed, {len(value)} given")
        required = {
            "name": text(NAME_PATTERN, "a name (letters, digits, '.', '_', '-')"),
            "instance_id": text(INSTANCE_PATTERN, "an instance id (i-... or mi-...)"),
        }
        first, second = (
            Node(**mapping(f"{key}[{index}]", item, required, {"product": _product(service)}))
            for index, item in enumerate(value)
        )
        if first.name == second.name:
            raise PairError(f"{key}[1].name: '{second.name}' names both nodes")
        if first.instance_id == second.instance_id:
            raise PairError(
                f"{key}[1].instance_id: both nodes are {second.instance_id}; a pair needs two machines"
            )
        return (first, second)

    return check


def _reachable(nodes: tuple[Node, Node], fencing: Fencing, redirect: tuple[Mapping[str, Any], ...]) -> None:
    """EC2 neither stops a machine outside of it nor leads an address to one."""
    for node in nodes:
        if not node.instance_id.startswith("mi-"):
            continue
        if fencing.method == "ec2_stop":
            raise PairError(
                f"{ROOT}.fencing.method: 'ec2_stop' cannot stop {node.instance_id} ({node.name}): choose command or none"
            )
        for index, entry in enumerate(redirect):
            if entry["kind"] != "command":
                raise PairError(
                    f"{ROOT}.redirect[{index}].kind: '{entry['kind']}' cannot lead to {node.instance_id} ({node.name})"
                )


def parse_pair(raw: object) -> PairSpec:
    """Read `hotstandby_pair`. Raises PairError with one line that names the key."""
    if not isinstance(raw, Mapping):
        raise PairError(f"{ROOT}: must be a mapping, not {kind_of(raw)}")
    service = raw.get("service")
    if "service" in raw:
        choice(*SERVICES)(f"{ROOT}.service", service)
    known = str(service) if service in SERVICES else SERVICES[0]
    given = mapping(
        ROOT,
        raw,
        {
            "name": text(NAME_PATTERN, "a name (letters, digits, '.', '_', '-')"),
            "region": text(REGION_PATTERN, "a region such as ap-northeast-1"),
            "table": text(TABLE_PATTERN, "a DynamoDB table name"),
            "service": choice(*SERVICES),
            "nodes": _nodes(known),
        },
        {
            "product": _product(known),
            "shared": _shared,
            "fencing": _fencing,
            "redirect": _redirect,
            "probe": _probe,
            "timeouts": _timeouts,
            "stop": _stop,
            "cooldown": integer(0, 86400 * 7),
            "profile": choice("minute", "fast", "none"),
            "lease": number(1, 300),
            "heartbeat_timeout": number(1, 300),
            "local_restarts": integer(0, 10),
            "requeue": _requeue,
            "max_sync_age": integer(1, 86400 * 365),
            "sync_too_old": choice("refuse", "warn"),
            "published_metric": flag,
            "endpoint_url": url,
        },
    )
    profile = given.get("profile", "minute")
    for key in ("heartbeat_timeout", "local_restarts"):
        if key in given and profile != "fast":
            raise PairError(f"{ROOT}.{key}: belongs to profile 'fast', not to '{profile}'")
    product = given.get("product", {})
    for index, node in enumerate(given["nodes"]):
        for need in _PRODUCT_NEEDS[given["service"]]:
            if need not in product and need not in node.product:
                raise PairError(
                    f"{ROOT}.product.{need}: is missing, and {ROOT}.nodes[{index}].product does not give it either"
                )
    fencing = given.get("fencing", Fencing())
    redirect = given.get("redirect", ())
    _reachable(given["nodes"], fencing, redirect)
    return PairSpec(
        name=given["name"],
        region=given["region"],
        table=given["table"],
        service=given["service"],
        product=product,
        nodes=given["nodes"],
        shared=given.get("shared"),
        fencing=fencing,
        redirect=redirect,
        probe=given.get("probe"),
        timeouts=Timeouts(**{**({"confirm": 5} if profile == "fast" else {}), **given.get("timeouts", {})}),
        stop=given.get("stop", StopPolicy()),
        cooldown=given.get("cooldown", 600),
        profile=profile,
        lease=given.get("lease", 30.0),
        heartbeat_timeout=given.get("heartbeat_timeout", 3.0),
        local_restarts=given.get("local_restarts", 0),
        requeue=given.get("requeue"),
        max_sync_age=given.get("max_sync_age"),
        sync_too_old=given.get("sync_too_old", "refuse"),
        published_metric=given.get("published_metric", False),
        endpoint_url=given.get("endpoint_url"),
        raw=plain(raw),
    )
