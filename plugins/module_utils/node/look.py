# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells of itself: the product's state, the record as seen from here, and whether it could take over."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Any, Optional

from ..products.base import Copied, ProductError, Runner, Status, Wary
from ..record import Record
from .control import named
from .guard import FOLDER, Guard, read_record
from .host import Pending
from .outcome import Outcome, told
from .rules import Decision

YES, NO, UNKNOWN = "yes", "no", "unknown"


def ask_url(url: str, status: int, limit: float) -> str:
    """Whether an address answers with that HTTP status: yes, no, or unknown for an address that makes no sense."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return UNKNOWN
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", port, timeout=limit)
    try:
        query = f"?{parts.query}" if parts.query else ""
        connection.request("GET", (parts.path or "/") + query, headers={"Connection": "close"})
        return YES if connection.getresponse().status == status else NO
    except (OSError, http.client.HTTPException):
        return NO
    finally:
        connection.close()


def probe(spec: Mapping[str, Any], node: str, runner: Runner, limit: float) -> str:
    """The second channel: does the service on `node` give its expected answer? yes, no or unknown."""
    if "url" in spec:
        return ask_url(str(spec["url"]).replace("{node}", node), int(spec.get("status", 200)), limit)
    try:
        ran = runner.run([str(word).replace("{node}", node) for word in spec["command"]], limit)
    except ProductError:
        return UNKNOWN
    return YES if ran.rc == 0 else NO


def eligibility(guard: Guard) -> dict[str, Any]:
    """What a standby needs; None where this node cannot tell, or the pair does not use it."""
    shared = guard.shared()
    free: Optional[int] = None
    if shared is not None and shared.mounted:
        try:
            free = guard.host.background(lambda: guard.host.free(shared.path)).get(FOLDER)
        except TimeoutError:
            free = None
    product = guard.control.product
    unready = product.unready() if isinstance(product, Wary) else ""
    sync = product.copied() if isinstance(product, Copied) else {}
    return {
        "installed": product.installed(),
        **({"unready": unready} if unready else {}),
        **({"sync": sync} if sync else {}),
        "autostart": product.autostart(),
        "mounted": None if shared is None else shared.mounted,
        "marker": None if shared is None else shared.marker,
        "free": free,
        "config_pair": guard.config.pair.name,
    }


def itself(guard: Guard, instance_id: Optional[str], status: Status) -> Status:
    """The status, unless this machine is not (or cannot tell that it is) the one that the configuration means."""
    meant = guard.config.node.instance_id
    if instance_id == meant:
        return status
    who = instance_id or "unable to tell which instance it is"
    return Status("unknown", f"not itself: the configuration means {meant}, this machine is {who}")


def _record_detail(reading: Pending, limit: float) -> dict[str, Any]:
    try:
        record = reading.get(limit)
    except TimeoutError:
        record = Decision("record_unreadable", "the table did not answer in time")
    if isinstance(record, Record):
        return {"record": "read", "record_epoch": record.epoch, "record_active": record.active}
    word = "missing" if record.code == "record_missing" else "unreadable"
    return {"record": word, "record_epoch": None, "record_active": None, "record_why": record.message}


def status(guard: Guard, limit: float) -> Outcome:
    """The product's state; asks neither the record nor anybody else."""
    found, attempts = guard.control.ask_patiently(limit)
    # a busy host's product gives no answer although it is stopped: then its processes tell
    counted = {"processes": guard.control.count()} if found.state == "hung" else {}
    return told(found.state, found.message, attempts=attempts, **counted)


def look(guard: Guard, instance_id: Optional[str], limit: float, active: str = "") -> Outcome:
    """Everything a move wants to know of this node, within `limit` seconds.

    `active` is the node that the caller believes active; when that is the other one, and the pair has a probe, it is
    asked. The node that is believed active does not read the record.
    """
    host, pair = guard.host, guard.config.pair
    begun = host.monotonic()
    # beside the product's status: a table that does not answer must not use up its time. Only who may have to start
    # needs the record, and loading boto3 is most of what a look costs
    reading: Optional[Pending] = None
    if active != guard.config.node.name:
        reading = host.background(lambda: read_record(guard.store))
    probing: Optional[Pending] = None
    if pair.probe is not None and active == guard.config.other.name:
        spec = pair.probe
        probing = host.background(lambda: probe(spec, active, host, limit / 2))
    found, attempts = guard.control.ask_patiently(limit)
    found = itself(guard, instance_id, found)
    eligible = eligibility(guard)
    found_left = guard.control.leftovers()
    processes = None if found_left is None else len(found_left)
    left = max(1.0, limit - (host.monotonic() - begun))
    detail = {} if reading is None else _record_detail(reading, left)
    answered: Optional[str] = None
    if probing is not None:
        try:
            answered = probing.get(max(0.5, limit - (host.monotonic() - begun)))
        except TimeoutError:
            answered = UNKNOWN
    if found_left and found.state != "running":
        detail["left"] = named(found_left).strip()
    if guard.control.stopping():
        detail["stopping"] = True
    uptime = host.uptime()
    return told(
        found.state,
        found.message,
        attempts=attempts,
        eligible=eligible,
        probe=answered,
        processes=processes,
        boot={"uptime": None if uptime is None else round(uptime)},
        **detail,
    )
