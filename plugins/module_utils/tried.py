# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each call that a move makes, tried with the rights of whoever asks: as a read, as a dry run, or so that it cannot come true.

The drill does it with its caller's rights, and the function with its own when it gets a test event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .answer import Reply
from .clients import RIGHT, ClientMaker, error_code, explain
from .confirm import glance
from .evidence import NO, UNKNOWN, YES, Evidence
from .handover import rules_of
from .pair import PairSpec
from .ports import Ports
from .record import Record, StoreError
from .run_command import CommandError
from .runbook import command

SKIPPED = "skipped"
RUN_COMMAND = "let the caller send the document HotStandbyNode to both instances, and hear their answers"
# no item is there and not there: DynamoDB asks for the right first, and then writes nothing
NEVER = "attribute_exists(#p) AND attribute_not_exists(#p)"


@dataclass(frozen=True)
class Check:
    """One question: `result` is yes, no, unknown or skipped; `mend` says what to do about a no."""

    name: str
    result: str
    detail: str
    mend: str = ""

    @property
    def failed(self) -> bool:
        """Whether a move could not rely on it: unknown is not fine."""
        return self.result not in (YES, SKIPPED)


def way(result: str, detail: str, mend: str) -> str:
    """How to mend it. What is not known for another reason than a right is first asked again: AWS itself may ail."""
    if result in (YES, SKIPPED):
        return ""
    return f"drill again; when it lasts: {mend}" if result == UNKNOWN and RIGHT not in detail else mend


def of(name: str, found: Evidence, mend: str) -> Check:
    """An answer as a check. Its source is said once."""
    told = found.detail or found.answer if found.source == name else str(found)
    return Check(name, found.answer, told, way(found.answer, found.detail, mend))


def unknown(name: str, detail: str, mend: str) -> Check:
    """Something that could not be asked."""
    return Check(name, UNKNOWN, detail, way(UNKNOWN, detail, mend))


def calls(pair: PairSpec, ports: Ports, clients: ClientMaker, record: Record) -> Iterator[Check]:
    """What a move of this steady pair changes, and what it reads beside the nodes' answers. Never raises for what AWS does."""
    yield of("table", _alone(ports), "remove the table's replicas")
    yield _history(ports)
    yield _writes(pair, clients)
    for node in pair.nodes:
        mend = "let the caller stop this instance, or choose another fencing"
        yield of(f"fence {node.name}", ports.fence.can_work(node), mend)
    yield from _addresses(pair, ports, record)
    if pair.requeue:
        yield _requests(pair, clients)


def asked(pair: PairSpec, ports: Ports, record: Record) -> Iterator[Check]:
    """Whether the caller can send a command to both nodes and hear them: their answers are another's matter."""
    try:
        replies: Mapping[str, Reply] = glance(
            pair, ports, [node.name for node in pair.nodes], str(record.active)
        )
    except CommandError as error:
        yield unknown("run command", str(error), RUN_COMMAND)
        return
    yield Check("run command", YES, f"asked {', '.join(replies)}")


def _alone(ports: Ports) -> Evidence:
    """Whether the table has no replicas: the question of the move, turned round."""
    found = ports.replicas()
    detail = "it has no replicas" if found.no else found.detail
    return Evidence({YES: NO, NO: YES}.get(found.answer, UNKNOWN), found.source, detail)


def _history(ports: Ports) -> Check:
    try:
        ports.store.history(1)
    except StoreError as error:
        return unknown("history", str(error), "let the caller do Query on the table")
    return Check("history", YES, "read")


def _writes(pair: PairSpec, clients: ClientMaker) -> Check:
    """Both ways in which a move writes, under a condition that never holds."""
    key = {"pair": {"S": pair.name}, "item": {"S": "move#drill"}}
    never = {"ConditionExpression": NEVER, "ExpressionAttributeNames": {"#p": "pair"}}
    change = {
        "UpdateExpression": "SET #d = :d",
        "ExpressionAttributeNames": {"#p": "pair", "#d": "drill"},
        "ExpressionAttributeValues": {":d": {"S": "drill"}},
    }
    mend = "let the caller do PutItem and UpdateItem on this pair's items"
    for method, arguments in (("put_item", {"Item": key}), ("update_item", {"Key": key, **change})):
        call = f"DynamoDB {'PutItem' if method == 'put_item' else 'UpdateItem'}"
        try:
            client = clients("dynamodb")
            getattr(client, method)(TableName=pair.table, **{**never, **arguments})
        except Exception as error:
            if error_code(error) != "ConditionalCheckFailedException":
                return unknown("write", explain(error, call), mend)
        else:
            return Check("write", UNKNOWN, f"{call} ignored its condition", "use DynamoDB itself")
    return Check("write", YES, "PutItem and UpdateItem are allowed")


def _addresses(pair: PairSpec, ports: Ports, record: Record) -> Iterator[Check]:
    active = pair.node(str(record.active))
    standby = pair.node(record.other(active.name))
    for redirect in ports.redirects:
        found = redirect.points_to(active)
        mend = command("failover", to=active.name) if found.no else "let the caller read this address"
        yield of(redirect.label, found, mend)
        may = redirect.may_point_to(standby)
        name = f"move {redirect.label}"
        if may is None:
            yield Check(name, SKIPPED, "there is no dry run of it: only --tags real tries it")
        else:
            yield of(name, may, "let the caller move this address")


def _requests(pair: PairSpec, clients: ClientMaker) -> Check:
    rules = rules_of(pair)
    name = f"requests in {rules.bucket}"
    try:
        clients("s3").list_objects_v2(Bucket=rules.bucket, Prefix=rules.source_prefix, MaxKeys=1)
    except Exception as error:
        return unknown(name, explain(error, "S3 ListBucket"), "let the caller list this bucket")
    return Check(name, YES, "can be listed; copying them has no dry run")


def to_dicts(checks: Iterator[Check]) -> list[dict[str, Any]]:
    """For an answer that is JSON."""
    return [{"name": one.name, "result": one.result, "detail": one.detail} for one in checks]
