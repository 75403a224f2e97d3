# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of bad pair gives one line that names the key; a good one keeps what was given."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from hypothesis import given, settings
from hypothesis import strategies as st

FULL: dict[str, Any] = {
    "name": "hub-prod",
    "region": "ap-northeast-1",
    "table": "hotstandby",
    "service": "hulft_hub",
    "product": {"user": "hulft", "etc": "/shared/hub/etc", "exe": "/opt/hub/bin"},
    "nodes": [
        {"name": "hub-a", "instance_id": "i-0aaaaaaaaaaaaaaaa"},
        {"name": "hub-b", "instance_id": "i-0bbbbbbbbbbbbbbbb", "product": {"exe": "/opt/hub-b/bin"}},
    ],
    "shared": {"path": "/shared/hub", "min_free": "1GiB"},
    "fencing": {"method": "ec2_stop", "timeout": 300},
    "redirect": [
        {"kind": "elastic_ip", "allocation_id": "eipalloc-0123456789abcdef0"},
        {"kind": "command", "command": ["/bin/move", "{node}"], "check": ["/bin/check"], "timeout": 9},
    ],
    "probe": {"url": "http://{node}:28080/", "status": 200},
    "timeouts": {"confirm": 20, "stop": 120, "start": 180, "verify": 60},
    "stop": {"mode": "normal", "then": "wait"},
    "cooldown": 600,
    "profile": "fast",
    "heartbeat_timeout": 3,
    "local_restarts": 0,
    "lease": 30,
    "requeue": {"bucket": "requests", "pattern": "*request.json"},
    "max_sync_age": 86400,
    "sync_too_old": "warn",
    "endpoint_url": "http://127.0.0.1:5000",
}
LEAST = {key: FULL[key] for key in ("name", "region", "table", "service", "product", "nodes")}
GONE = object()


def changed(path: str, value: Any, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The full pair with one value changed (or GONE) at a path such as nodes.1.name."""
    raw: Any = copy.deepcopy(FULL if base is None else base)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at = raw
    for part in way:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return raw  # type: ignore[no-any-return]


def refusal(raw: Any) -> str:
    with pytest.raises(PairError) as caught:
        parse_pair(raw)
    text = str(caught.value)
    assert len(text.splitlines()) == 1, text
    return text


def test_the_full_example() -> None:
    pair = parse_pair(FULL)
    assert pair.to_dict() == FULL
    assert json.loads(json.dumps(pair.to_dict())) == FULL
    assert pair.instance_ids() == {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}
    assert pair.product_of("hub-a")["exe"] == "/opt/hub/bin"
    assert pair.product_of("hub-b") == {
        "user": "hulft",
        "etc": "/shared/hub/etc",
        "exe": "/opt/hub-b/bin",
    }
    assert (pair.other("hub-a").name, pair.other("hub-b").name) == ("hub-b", "hub-a")
    assert pair.shared is not None and pair.shared.min_free == 1 << 30
    assert [entry["kind"] for entry in pair.redirect] == ["elastic_ip", "command"]
    assert parse_pair(pair.to_dict()) == pair


def test_defaults() -> None:
    pair = parse_pair(LEAST)
    limits = pair.timeouts
    assert (limits.confirm, limits.stop, limits.start, limits.verify) == (20, 120, 180, 60)
    assert (pair.fencing.method, pair.fencing.timeout, pair.fencing.command) == ("ec2_stop", 300, ())
    assert (pair.stop.mode, pair.stop.then) == ("normal", "wait")
    assert (pair.cooldown, pair.profile, pair.lease, pair.local_restarts) == (600, "minute", 30.0, 0)
    assert (pair.shared, pair.redirect, pair.probe, pair.requeue) == (None, (), None, None)
    assert (pair.max_sync_age, pair.sync_too_old, pair.endpoint_url) == (None, "refuse", None)
    assert pair.published_metric is False


def test_the_published_metric_is_chosen_or_not() -> None:
    assert parse_pair({**LEAST, "published_metric": True}).published_metric is True
    with pytest.raises(PairError, match=r"hotstandby_pair\.published_metric: must be true or false, not yes"):
        parse_pair({**LEAST, "published_metric": "yes"})


def test_profile_fast_confirms_in_five_seconds_unless_told() -> None:
    assert parse_pair({**LEAST, "profile": "fast"}).timeouts.confirm == 5
    assert parse_pair({**LEAST, "profile": "fast", "timeouts": {"stop": 9}}).timeouts.confirm == 5
    assert parse_pair({**LEAST, "profile": "fast", "timeouts": {"confirm": 7}}).timeouts.confirm == 7
    assert parse_pair({**LEAST, "profile": "none"}).timeouts.confirm == 20


@pytest.mark.parametrize("key", sorted(FULL))
def test_a_mapping_or_list_of_the_wrong_type_is_named(key: str) -> None:
    wrong: Any = 5 if isinstance(FULL[key], (dict, list, str)) else {"x": 1}
    assert refusal(changed(key, wrong)).startswith(f"hotstandby_pair.{key}: ")


NUMBERS = [
    "fencing.timeout", "redirect.1.timeout", "probe.status", "timeouts.confirm", "timeouts.stop", "timeouts.start",
    "timeouts.verify", "cooldown", "heartbeat_timeout", "local_restarts", "lease", "max_sync_age",
]  # fmt: skip


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize(
    "value",
    ["30", True, False, None, [], -1, 10**9, float("nan"), float("inf"), 10**5000],
    ids=lambda value: repr(value) if not isinstance(value, int) or value < 10**10 else "huge",
)
def test_a_number_is_a_number_within_its_range(path: str, value: Any) -> None:
    assert path.split(".")[-1] in refusal(changed(path, value))


@pytest.mark.parametrize("path", [path for path in NUMBERS if path not in ("lease", "heartbeat_timeout")])
def test_a_whole_number_is_no_fraction(path: str) -> None:
    assert "whole number" in refusal(changed(path, 30.5))


TEXTS = ["name", "region", "table", "service", "profile", "endpoint_url", "product.user", "product.etc", "product.exe",
         "nodes.0.name", "nodes.1.instance_id", "nodes.1.product.exe", "shared.path", "fencing.method",
         "redirect.0.kind", "redirect.0.allocation_id", "probe.url", "stop.mode", "stop.then", "requeue.bucket",
         "requeue.pattern"]  # fmt: skip


@pytest.mark.parametrize("path", TEXTS)
@pytest.mark.parametrize(
    "value",
    ["", None, True, 7, ["x"], {"a": "b"}, "two\nlines \x00", "\u2028", "a\n" * 2000],
    ids=lambda value: ascii(value)[:12],
)
def test_a_text_is_text_in_its_form(path: str, value: Any) -> None:
    said = refusal(changed(path, value))
    assert path.split(".")[-1] in said
    assert len(said) < 400, "the value itself may be long, the line must not be"


@pytest.mark.parametrize(
    "name", ["-a", ".a", "a b", "a/b", "a'b", 'a"b', "a$b", "a;b", "a#b", "ä", "a" * 64, "a\n", " a"]
)
@pytest.mark.parametrize("path", ["name", "nodes.0.name"])
def test_no_character_that_a_shell_or_a_key_would_read(path: str, name: str) -> None:
    assert "name" in refusal(changed(path, name))


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("colour", "red", "hotstandby_pair.colour: unknown key (known: "),
        ("two\nlines", "x", "unknown key"),
        ("nodes.0.zone", "x", "hotstandby_pair.nodes[0].zone: unknown key"),
        ("product.unit", "x.service", "hotstandby_pair.product.unit: unknown key"),
        ("nodes.1.product.port", 1, "hotstandby_pair.nodes[1].product.port: unknown key"),
        ("fencing.retries", 1, "hotstandby_pair.fencing.retries: unknown key"),
        ("probe.headers", {}, "hotstandby_pair.probe.headers: unknown key"),
        ("timeouts.boot", 1, "hotstandby_pair.timeouts.boot: unknown key"),
        ("redirect.0.command", ["x"], "hotstandby_pair.redirect[0].command: unknown key"),
        ("stop.now", 1, "hotstandby_pair.stop.now: unknown key"),
        ("requeue.owner", "x", "hotstandby_pair.requeue.owner: unknown key"),
        ("name", GONE, "hotstandby_pair.name: is missing"),
        ("region", GONE, "hotstandby_pair.region: is missing"),
        ("table", GONE, "hotstandby_pair.table: is missing"),
        ("service", GONE, "hotstandby_pair.service: is missing"),
        ("nodes", GONE, "hotstandby_pair.nodes: is missing"),
        ("nodes.0.name", GONE, "hotstandby_pair.nodes[0].name: is missing"),
        ("nodes.1.instance_id", GONE, "hotstandby_pair.nodes[1].instance_id: is missing"),
        ("nodes", [], "exactly two nodes are needed, 0 given"),
        ("nodes", FULL["nodes"][:1], "hotstandby_pair.nodes: exactly two nodes are needed, 1 given"),
        ("nodes", [*FULL["nodes"], FULL["nodes"][0]], "exactly two nodes are needed, 3 given"),
        ("nodes", {"a": 1}, "hotstandby_pair.nodes: must be a list of two nodes, not a mapping"),
        ("nodes.1.name", "hub-a", "hotstandby_pair.nodes[1].name: 'hub-a' names both nodes"),
        ("nodes.1.instance_id", "i-0aaaaaaaaaaaaaaaa", "a pair needs two machines"),
        ("nodes.1.instance_id", "i-0", "instance id"),
        ("nodes.1.instance_id", "I-0AAAAAAAAAAAAAAAA", "instance id"),
        ("nodes.0", "hub-a", "hotstandby_pair.nodes[0]: must be a mapping, not text"),
        ("product.etc", GONE, "hotstandby_pair.product.etc: is missing"),
        ("product", GONE, "hotstandby_pair.product.etc: is missing, and hotstandby_pair.nodes[0].product"),
        ("product.exe", GONE, "hotstandby_pair.product.exe: is missing, and hotstandby_pair.nodes[0].product"),
        ("product.etc", "shared/etc", "an absolute path"),
        ("product.etc", "/a/../b", "must not contain '..'"),
        ("product.user", "root; reboot", "a user name"),
        ("service", "asteria_warp", "hotstandby_pair.product.etc: unknown key"),
        ("shared.path", GONE, "hotstandby_pair.shared.path: is missing"),
        ("shared.min_free", "1 pony", "hotstandby_pair.shared.min_free: '1 pony' is not a size"),
        ("shared.min_free", -1, "is not a size"),
        ("shared.min_free", True, "is not a size"),
        ("shared.min_free", "1" * 13, "is not a size"),
        ("fencing.method", GONE, "hotstandby_pair.fencing.method: is missing"),
        ("fencing.method", "pray", "not one of ec2_stop, command, none"),
        ("fencing", {"method": "command"}, "hotstandby_pair.fencing.command: belongs to method 'command'"),
        ("fencing.command", ["/bin/fence"], "hotstandby_pair.fencing.command: belongs to method 'command'"),
        ("fencing", {"method": "none", "command": ["x"]}, "hotstandby_pair.fencing.command: belongs"),
        ("fencing", {"method": "command", "command": []}, "hotstandby_pair.fencing.command: must be a list"),
        ("fencing", {"method": "command", "command": "/bin/fence x"}, "fencing.command: must be a list"),
        ("fencing", {"method": "command", "command": ["/bin/f", 1]}, "fencing.command[1]: must be text"),
        ("fencing", {"method": "command", "command": ["/bin/f", ""]}, "fencing.command[1]: must be text"),
        ("fencing", {"method": "command", "command": ["/bin/f", "a\0"]}, "fencing.command[1]: must be text"),
        ("fencing.timeout", 781, "hotstandby_pair.fencing.timeout: 781 is outside 1 to 780"),
        ("timeouts.start", 0, "hotstandby_pair.timeouts.start: 0 is outside 1 to 780"),
        ("probe", {}, "hotstandby_pair.probe: needs exactly one of url and command"),
        ("probe.command", ["x"], "hotstandby_pair.probe: needs exactly one of url and command"),
        ("probe", {"command": ["x"], "status": 200}, "hotstandby_pair.probe.status: belongs to url"),
        ("probe.url", "ftp://x", "an http or https address"),
        ("probe.status", 99, "hotstandby_pair.probe.status: 99 is outside 100 to 599"),
        ("redirect.0.kind", GONE, "hotstandby_pair.redirect[0].kind"),
        ("redirect.0", {"kind": "route_table", "route_table_id": "rtb-1", "destination": "10.99.0.1/32"}, "redirect[0].route_table_id: "),
        ("redirect.0", {"kind": "route_table", "route_table_id": "rtb-0123456789abcdef0", "destination": "10.99.0.1"}, "redirect[0].destination: "),
        ("redirect.0", {"kind": "route_table", "route_table_id": "rtb-0123456789abcdef0", "destination": "10.99.0.1/33"}, "redirect[0].destination: "),
        ("redirect.0", {"kind": "route_table", "route_table_id": "rtb-0123456789abcdef0"}, "destination"),
        ("redirect.0.allocation_id", GONE, "hotstandby_pair.redirect[0].allocation_id: is missing"),
        ("redirect.1.check", GONE, "hotstandby_pair.redirect[1].check: is missing"),
        ("redirect.0", "elastic_ip", "hotstandby_pair.redirect[0]: must be a mapping"),
        ("profile", "minute", "hotstandby_pair.heartbeat_timeout: belongs to profile 'fast', not to 'minute'"),
        ("requeue.bucket", GONE, "hotstandby_pair.requeue.bucket: is missing"),
        ("endpoint_url", "127.0.0.1:5000", "hotstandby_pair.endpoint_url"),
        ("lease", 0.5, "hotstandby_pair.lease: 0.5 is outside 1 to 300"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(path: str, value: Any, text: str) -> None:
    assert text in refusal(changed(path, value))


def test_local_restarts_belong_to_profile_fast() -> None:
    said = refusal({**LEAST, "local_restarts": 1})
    assert said == "hotstandby_pair.local_restarts: belongs to profile 'fast', not to 'minute'"


def test_a_machine_outside_of_ec2_cannot_be_fenced_by_ec2() -> None:
    outside = "mi-0123456789abcdef0"
    assert "hotstandby_pair.fencing.method: 'ec2_stop' cannot stop mi-0123456789abcdef0" in refusal(
        changed("nodes.1.instance_id", outside)
    )
    assert "hotstandby_pair.fencing" in refusal(changed("nodes.0.instance_id", outside, base=LEAST))
    for fencing in ({"method": "none"}, {"method": "command", "command": ["/bin/fence"]}):
        raw = {**changed("nodes.1.instance_id", outside), "fencing": fencing, "redirect": []}
        assert parse_pair(raw).nodes[1].instance_id == outside


def test_a_machine_outside_of_ec2_cannot_carry_an_elastic_ip() -> None:
    raw = {**changed("nodes.1.instance_id", "mi-0123456789abcdef0"), "fencing": {"method": "none"}}
    assert "hotstandby_pair.redirect[0].kind: 'elastic_ip' cannot lead to mi-0123456789abcdef0" in refusal(
        raw
    )


def test_systemd_needs_a_unit() -> None:
    raw = {**LEAST, "service": "systemd", "product": {"unit": "rundeckd.service"}, "nodes": LEAST["nodes"]}
    raw = changed("nodes.1.product", GONE, base=raw)
    assert parse_pair(raw).product_of("hub-b") == {"unit": "rundeckd.service"}
    assert "hotstandby_pair.product.unit: is missing" in refusal(changed("product", {}, base=raw))
    assert "a systemd unit name" in refusal(changed("product.unit", "a b", base=raw))
    assert parse_pair(changed("product.unit", "job@1.service", base=raw)).product["unit"] == "job@1.service"


def test_either_the_pair_or_every_node_gives_the_product() -> None:
    raw = changed("product.exe", GONE)
    raw["nodes"][0]["product"] = {"exe": "/opt/hub-a/bin"}
    assert parse_pair(raw).product_of("hub-a")["exe"] == "/opt/hub-a/bin"


@pytest.mark.parametrize(
    ("given", "size"), [("1GiB", 1 << 30), ("500 MB", 500_000_000), ("7", 7), ("7B", 7), (12, 12), (0, 0)]
)
def test_sizes(given: Any, size: int) -> None:
    shared = parse_pair(changed("shared.min_free", given)).shared
    assert shared is not None and shared.min_free == size


@pytest.mark.parametrize("raw", [None, [], "hub", 5, True, [("name", "x")]])
def test_a_pair_is_a_mapping(raw: Any) -> None:
    assert refusal(raw).startswith("hotstandby_pair: must be a mapping, not ")


def test_no_node_of_that_name() -> None:
    with pytest.raises(PairError, match="no node is named 'hub-c'"):
        parse_pair(FULL).node("hub-c")


# -- anything at all

WORDS = st.sampled_from(
    [*FULL, *FULL["timeouts"], *FULL["redirect"][1], *FULL["probe"], "method", "path", "unit"]
)
VALUES = st.sampled_from(
    ["fast", "ec2_stop", "systemd", "command", "none", "i-0aaaaaaaaaaaaaaaa", "/x", "a-b-1"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def only_a_refusal(raw: Any) -> None:
    try:
        pair = parse_pair(raw)
    except PairError as error:
        assert len(str(error).splitlines()) == 1, repr(str(error))
        assert "hotstandby_pair" in str(error)
    else:
        assert parse_pair(pair.to_dict()) == pair


@settings(max_examples=80, deadline=None)
@given(ANYTHING)
def test_anything_is_read_or_refused_with_one_line(raw: Any) -> None:
    only_a_refusal(raw)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FULL)), ANYTHING, min_size=1, max_size=3))
def test_a_good_pair_with_anything_in_it_is_read_or_refused_with_one_line(changes: dict[str, Any]) -> None:
    only_a_refusal({**FULL, **changes})


WARP = {"install_dir": "/opt/warp", "data_dir": "/data/asteria home"}


@pytest.mark.parametrize(
    ("product", "said"),
    [
        (WARP, ""),
        ({**WARP, "layout": "shared", "required_services": ["http"], "user": "warp"}, ""),
        ({"install_dir": "/opt/warp"}, "hotstandby_pair.product.data_dir: is missing"),
        (
            {**WARP, "layout": "mirror"},
            "hotstandby_pair.product.layout: 'mirror' is not one of separate, shared",
        ),
        ({**WARP, "data_dir": "data"}, "hotstandby_pair.product.data_dir: 'data' is not an absolute path"),
        ({**WARP, "required_services": "http"}, "required_services: must be a list, not text"),
        ({**WARP, "required_services": ["a b"]}, "required_services[0]: 'a b' is not a service's name"),
        ({**WARP, "status_pattern": "(?P<service>"}, "status_pattern: is no regular expression"),
        (
            {**WARP, "status_pattern": "(?P<service>.)"},
            "status_pattern: needs the named group (?P<state>...)",
        ),
    ],
)
def test_the_product_of_warp(product: dict[str, Any], said: str) -> None:
    raw = {**FULL, "service": "asteria_warp", "product": product}
    raw["nodes"] = [{key: item for key, item in node.items() if key != "product"} for node in FULL["nodes"]]
    if said:
        assert said in refusal(raw)
    else:
        assert parse_pair(raw).product_of("hub-a")["data_dir"] == "/data/asteria home"
