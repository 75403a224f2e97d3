# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the records of runs are: a DynamoDB table with the keys pair and item, or a shared folder (jobs_dir.py)."""

from __future__ import annotations

from typing import Any, Optional

from .clients import error_code, explain, is_passing
from .jobs import JobConflict, JobError, JobStoreError, Key, Run, dump_run, parse_run
from .store import from_item, to_item


def parse_store(text: str) -> tuple[str, str]:
    """("dynamodb", table) or ("dir", path) of `dynamodb:TABLE` or `dir:PATH`. Raises JobError."""
    kind, colon, rest = text.partition(":")
    if colon and rest and kind == "dynamodb":
        return kind, rest
    if colon and kind == "dir" and rest.startswith("/") and "\0" not in rest:
        return kind, rest.rstrip("/") or "/"
    raise JobError(f"store: {text[:100]!r} is neither dynamodb:TABLE nor dir:/ABSOLUTE/PATH")


class TableJobs:
    """Records as items `pair=job#JOB, item=run#RUN`; a write is one conditional PutItem. `client` is a DynamoDB client
    (get_item and put_item). An answer that was lost is settled by one read."""

    def __init__(self, client: Any, table: str) -> None:
        self._client, self._table = client, table

    def _why(self, error: Exception, call: str) -> str:
        if error_code(error) == "ResourceNotFoundException":
            return f"there is no table '{self._table}' in this region and account"
        if error_code(error) == "ValidationException":
            return f"table '{self._table}' refuses the item; it needs the keys pair (hash) and item (range), both text: {error}"
        return explain(error, f"DynamoDB {call} on table '{self._table}'")

    def read(self, key: Key) -> Optional[Run]:
        """The record, strongly consistent; None when there is none. Raises JobStoreError."""
        where = to_item({"pair": f"job#{key.job}", "item": f"run#{key.run}"})
        try:
            found = self._client.get_item(TableName=self._table, Key=where, ConsistentRead=True).get("Item")
        except Exception as error:
            raise JobStoreError(self._why(error, "GetItem")) from error
        return parse_run(key, from_item(found)) if found else None

    def write(self, before: Optional[Run], after: Run) -> None:
        """Replace `before` by `after`. Raises JobConflict, JobStoreError."""
        key = after.key
        values = {**dump_run(after), "pair": f"job#{key.job}", "item": f"run#{key.run}"}
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#p)",
            "ExpressionAttributeNames": {"#p": "pair"},
        }
        if before is not None:
            condition = {
                "ConditionExpression": "#v = :v",
                "ExpressionAttributeNames": {"#v": "version"},
                "ExpressionAttributeValues": to_item({":v": before.version}),
            }
        try:
            self._client.put_item(TableName=self._table, Item=to_item(values), **condition)
        except Exception as error:
            lost = error_code(error) == "ConditionalCheckFailedException"
            if not lost and not is_passing(error):
                raise JobStoreError(self._why(error, "PutItem")) from error
            self._settle(before, after, lost, error)

    def _settle(self, before: Optional[Run], after: Run, lost: bool, error: Exception) -> None:
        """After a lost condition (an SDK's repeated call may have met its own write) or a lost answer."""
        found = self.read(after.key)
        if found is not None and found.version == after.version:
            return
        if (
            lost
            or (found is None) != (before is None)
            or (found and before and found.version != before.version)
        ):
            raise JobConflict(found) from error
        raise JobStoreError(self._why(error, "PutItem")) from error
