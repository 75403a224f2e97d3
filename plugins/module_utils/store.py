# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DynamoDB table of a pair: consistent reads, conditional writes, heartbeats and history."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Callable, Optional

from .clients import error_code, explain, is_passing
from .record import (
    Conflict,
    Heartbeat,
    Lease,
    Record,
    RecordMissing,
    RecordUnreadable,
    StoreError,
    parse_heartbeat,
    parse_record,
    plain,
)

HEARTBEAT = "heartbeat#"
HISTORY = "move#"
AUTOMATION = "automation"
# seconds by which two parties' readings of the table's clock differ at most, since it tells whole ones
COARSE = 2.0
LATER = "attribute_not_exists(#ended) OR attribute_type(#ended, :nulltype) OR #ended <= :ended"


def _encode(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(str(round(value, 6)))
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_decode(item) for item in value]
    return value


def _typed(value: Any) -> dict[str, Any]:
    """One value as a typed attribute, as boto3's own serializer writes it, which is slow to load. Raises TypeError."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, Decimal)):
        if isinstance(value, Decimal) and not value.is_finite():
            raise TypeError("Infinity and NaN are not supported")
        return {"N": str(value)}
    if isinstance(value, Mapping):
        return {"M": {key: _typed(item) for key, item in value.items()}}
    if isinstance(value, list):
        return {"L": [_typed(item) for item in value]}
    raise TypeError(f"no attribute for {type(value).__name__}")


def _untyped(attribute: Mapping[str, Any]) -> Any:
    """The value of a typed attribute. Raises TypeError."""
    ((kind, value),) = attribute.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return Decimal(value)
    if kind == "M":
        return {key: _untyped(item) for key, item in value.items()}
    if kind == "L":
        return [_untyped(item) for item in value]
    if kind in ("S", "BOOL", "B"):
        return value
    if kind in ("SS", "NS", "BS"):
        return set(value)
    raise TypeError(f"no such attribute: {kind}")


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as DynamoDB's typed attributes."""
    return {key: _typed(_encode(plain(value))) for key, value in values.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """DynamoDB's typed attributes as plain values; whole numbers become int."""
    return {key: _decode(_untyped(value)) for key, value in item.items()}


class RecordStore:
    """One pair's items. `client` is a DynamoDB client, `monotonic` a clock in seconds.

    Errors: RecordMissing, RecordUnreadable, SchemaMismatch, Conflict; all are StoreError.
    """

    def __init__(
        self, client: Any, table: str, pair: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self.table = table
        self.pair = pair
        self._monotonic = monotonic
        self._seen: Optional[tuple[float, float]] = None

    def now(self) -> Optional[float]:
        """The store's own time in epoch seconds (its last Date header and what has passed since); None before any answer."""
        if self._seen is None:
            return None
        date, at = self._seen
        return date + max(0.0, self._monotonic() - at)

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        response: dict[str, Any] = getattr(self._client, method)(TableName=self.table, **arguments)
        header = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if header:
            # slow to load, and `hotstandby stop` needs no store
            from email.utils import parsedate_to_datetime

            try:
                self._seen = (parsedate_to_datetime(header).timestamp(), self._monotonic())
            except (TypeError, ValueError):
                pass  # an odd Date only costs an age
        return response

    def _key(self, item: str) -> dict[str, Any]:
        return {"pair": {"S": self.pair}, "item": {"S": item}}

    def _get(self, item: str) -> Optional[dict[str, Any]]:
        try:
            response = self._call("get_item", Key=self._key(item), ConsistentRead=True)
        except Exception as error:
            raise RecordUnreadable(self._why(error, "GetItem")) from error
        found = response.get("Item")
        return from_item(found) if found else None

    def _why(self, error: Exception, operation: str) -> str:
        if error_code(error) == "ResourceNotFoundException":
            return f"DynamoDB {operation}: there is no table '{self.table}' in this region and account: check table and region, or run deploy"
        return explain(error, f"DynamoDB {operation} on table '{self.table}'")

    def read(self) -> Record:
        """The record, by a strongly consistent read."""
        item = self._get("record")
        if item is None:
            raise RecordMissing(
                f"pair '{self.pair}' has no record in table '{self.table}': unknown, nothing is moved; run deploy"
            )
        return parse_record(self.pair, item)

    # -- writes

    def create(self, record: Record) -> Record:
        """Write a record that does not exist yet. Raises Conflict when one does."""
        values = {**plain(record), "item": "record"}
        try:
            self._call(
                "put_item",
                Item=to_item(values),
                ConditionExpression="attribute_not_exists(#p)",
                ExpressionAttributeNames={"#p": "pair"},
            )
        except Exception as error:
            if error_code(error) == "ConditionalCheckFailedException":
                current = self.read()
                if current == record:
                    return current
                raise Conflict(f"pair '{self.pair}' has a record already") from error
            raise RecordUnreadable(self._why(error, "PutItem")) from error
        return record

    def new_lease(self, owner: str, seconds: float) -> Lease:
        """A lease with a version that nobody has seen."""
        return Lease(owner=owner, version=uuid.uuid4().hex, seconds=seconds)

    def update(self, record: Record, **changes: Any) -> Record:
        """Change attributes of the record, if its epoch, lease version and state are still those of `record`.

        Returns the record as it now is. Raises Conflict when somebody changed it; RecordUnreadable when the
        outcome is not known. A lost answer is settled by reading again.
        """
        names = {"#epoch": "epoch", "#state": "state", "#lease": "lease", "#version": "version"}
        values: dict[str, Any] = {":epoch0": record.epoch, ":state0": record.state}
        condition = "#epoch = :epoch0 AND #state = :state0 AND "
        if record.lease is None:
            condition += "(attribute_not_exists(#lease) OR attribute_type(#lease, :nulltype))"
            values[":nulltype"] = "NULL"
            del names["#version"]
        else:
            condition += "#lease.#version = :version0"
            values[":version0"] = record.lease.version
        if record.paused is None and ("paused" in changes or ("lease" in changes and record.lease is None)):
            # a pause that came after our read must stop a new move, and another pause
            condition += " AND (attribute_not_exists(#paused) OR attribute_type(#paused, :nulltype))"
            values[":nulltype"] = "NULL"
            names["#paused"] = "paused"
        sets = []
        for index, (key, value) in enumerate(sorted(changes.items())):
            names[f"#a{index}"] = key
            values[f":a{index}"] = value
            sets.append(f"#a{index} = :a{index}")
        try:
            self._call(
                "update_item",
                Key=self._key("record"),
                UpdateExpression="SET " + ", ".join(sets),
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item(values),
            )
        except Exception as error:
            lost = error_code(error) == "ConditionalCheckFailedException"
            if not lost and not is_passing(error):
                raise RecordUnreadable(self._why(error, "UpdateItem")) from error
            return self._settle(record, changes, lost, error)
        return _changed(record, changes)

    def _settle(self, record: Record, changes: Mapping[str, Any], lost: bool, error: Exception) -> Record:
        """After a lost condition or a lost answer: read, and tell whether our write is what stands there."""
        current = self.read()
        wanted = _changed(record, changes)
        if all(_same(getattr(current, key), getattr(wanted, key)) for key in changes):
            return current
        # once the record has moved on, our write can never come true any more, however late it arrives
        based = (record.epoch, record.state, record.lease)
        if lost or (current.epoch, current.state, current.lease) != based:
            who = current.lease.owner if current.lease else "somebody else"
            raise Conflict(f"the record of pair '{self.pair}' was changed by {who}")
        raise RecordUnreadable(self._why(error, "UpdateItem")) from error

    def forget(self, record: Record, nodes: Sequence[str]) -> None:
        """Delete a record that nobody holds and these nodes' heartbeats; the history stays. Raises Conflict, RecordUnreadable."""
        try:
            self._call(
                "delete_item",
                Key=self._key("record"),
                ConditionExpression="#epoch = :epoch AND #state = :state AND "
                "(attribute_not_exists(#lease) OR attribute_type(#lease, :nulltype))",
                ExpressionAttributeNames={"#epoch": "epoch", "#state": "state", "#lease": "lease"},
                ExpressionAttributeValues=to_item(
                    {":epoch": record.epoch, ":state": record.state, ":nulltype": "NULL"}
                ),
            )
            for item in [*(HEARTBEAT + node for node in nodes), AUTOMATION]:
                self._call("delete_item", Key=self._key(item))
        except Exception as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise Conflict(
                    f"the record of pair '{self.pair}' is held or was changed: run this again"
                ) from error
            raise RecordUnreadable(self._why(error, "DeleteItem")) from error

    # -- heartbeats and history

    def heartbeat(self, node: str) -> Optional[Heartbeat]:
        """A node's last heartbeat, strongly consistent; None when there is none. Raises RecordUnreadable."""
        item = self._get(HEARTBEAT + node)
        if not item:
            return None
        found = parse_heartbeat(item)
        if found is None:
            raise RecordUnreadable(f"the heartbeat of '{node}' makes no sense")
        return found

    def put_heartbeat(
        self, node: str, instance_id: str, boot_id: str, epoch: int, state: str, held: bool = False
    ) -> None:
        """Write this node's sign of life, one call. Raises RecordUnreadable."""
        values = {
            "node": node,
            "instance_id": instance_id,
            "boot_id": boot_id,
            "epoch": epoch,
            "state": state,
            "held": held,
            "beat": uuid.uuid4().hex,
            "time": self.now(),
        }
        try:
            self._call("put_item", Item={**to_item(values), **self._key(HEARTBEAT + node)})
        except Exception as error:
            raise RecordUnreadable(self._why(error, "PutItem")) from error

    def memory(self) -> Optional[dict[str, Any]]:
        """What the automation remembers between its runs; advisory, never evidence. Raises RecordUnreadable."""
        return self._get(AUTOMATION)

    def put_memory(self, values: Mapping[str, Any]) -> None:
        """Write it, the last writer wins. Raises RecordUnreadable."""
        try:
            self._call("put_item", Item={**to_item(values), **self._key(AUTOMATION)})
        except Exception as error:
            raise RecordUnreadable(self._why(error, "PutItem")) from error

    def put_history(self, move_id: str, began: float, values: Mapping[str, Any]) -> None:
        """Write one move's history; the same move is written over itself, unless what stands there ended later.

        `began` and the value `ended` in epoch seconds. Raises StoreError.
        """
        item = {**to_item(values), **self._key(f"{HISTORY}{int(began):011d}#{move_id}")}
        ended, guarded = values.get("ended"), {}
        if isinstance(ended, (int, float)):
            guarded = {
                "ConditionExpression": LATER,
                "ExpressionAttributeNames": {"#ended": "ended"},
                "ExpressionAttributeValues": to_item({":ended": ended + COARSE, ":nulltype": "NULL"}),
            }
        try:
            self._call("put_item", Item=item, **guarded)
        except Exception as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise StoreError("a later holder has written this move's history already") from error
            raise StoreError(self._why(error, "PutItem")) from error

    def history(self, limit: int = 1) -> Sequence[Mapping[str, Any]]:
        """The last moves, newest first. Raises RecordUnreadable."""
        try:
            response = self._call(
                "query",
                KeyConditionExpression="#p = :p AND begins_with(#i, :prefix)",
                ExpressionAttributeNames={"#p": "pair", "#i": "item"},
                ExpressionAttributeValues={":p": {"S": self.pair}, ":prefix": {"S": HISTORY}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit,
            )
        except Exception as error:
            raise RecordUnreadable(self._why(error, "Query")) from error
        return [from_item(item) for item in response.get("Items", [])]


def _changed(record: Record, changes: Mapping[str, Any]) -> Record:
    return dataclasses.replace(record, **changes)


def _same(left: Any, right: Any) -> bool:
    return bool(_decode(_encode(plain(left))) == _decode(_encode(plain(right))))
