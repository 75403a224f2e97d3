# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moto's DynamoDB lacks: replicas of a table, and the moments in which a table is being created."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from . import errors
from .actions import Asked
from .http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from . import Endpoint

_mended: list[Any] = []


WHILE_CREATING = {
    "UpdateTable": "ResourceInUseException",
    "DeleteTable": "ResourceInUseException",
    "UpdateContinuousBackups": "ContinuousBackupsUnavailableException",
}


def refusal(request: HttpRequest, asked: Asked, backend: Any) -> HttpResponse | None:
    """What AWS answers while a table is being created; None otherwise."""
    if asked.action in ("CreateTable", "DescribeTable") or not backend.tables:
        return None
    try:
        name = json.loads(request.body).get("TableName")
    except (ValueError, AttributeError):
        return None
    if _ready(backend.tables.get(name)):
        return None
    code = WHILE_CREATING.get(asked.action, "ResourceNotFoundException")
    return errors.failure(asked, 400, code, f"Table is being created: {name}")


def _ready(table: Any) -> bool:
    return bool(getattr(table, "sandbox_ready", 0.0) <= time.monotonic())


def mend(endpoint: Endpoint) -> None:
    """Let DescribeTable show `endpoint.replicas`, and UpdateTable add to them. A table is CREATING at first."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.table import Table
    from moto.dynamodb.responses import DynamoHandler

    _mended[:] = [endpoint]
    if hasattr(Table, "sandbox_mended"):
        return
    Table.sandbox_mended = True
    describe, update = Table.describe, DynamoHandler.update_table
    create, delete = DynamoDBBackend.create_table, DynamoDBBackend.delete_table

    def described(table: Any, base_key: str = "TableDescription") -> dict[str, Any]:
        result: dict[str, Any] = describe(table, base_key)
        if table.__dict__.pop("sandbox_new", False) or not _ready(table):
            result[base_key]["TableStatus"] = "CREATING"
        regions = _mended[0].replicas.get(table.name)
        if regions:
            result[base_key]["Replicas"] = [
                {"RegionName": region, "ReplicaStatus": "ACTIVE"} for region in sorted(regions)
            ]
            result[base_key]["GlobalTableVersion"] = "2019.11.21"
        return result

    def updated(handler: Any) -> Any:
        known = {"TableName", "DeletionProtectionEnabled", "BillingMode", "ProvisionedThroughput", "StreamSpecification",
                 "AttributeDefinitions", "GlobalSecondaryIndexUpdates", "SSESpecification", "ReplicaUpdates"}  # fmt: skip
        unknown = set(handler.body) - known
        if unknown:
            raise NotImplementedError(f"UpdateTable {', '.join(sorted(unknown))}")
        for change in handler.body.pop("ReplicaUpdates", None) or []:
            regions = _mended[0].replicas.setdefault(handler.body["TableName"], set())
            if "Create" in change:
                regions.add(change["Create"]["RegionName"])
            elif "Delete" in change:
                regions.discard(change["Delete"]["RegionName"])
        return update(handler)

    def created(backend: Any, *args: Any, **kwargs: Any) -> Any:
        table = create(backend, *args, **kwargs)
        table.sandbox_new = True  # the answer of CreateTable itself never says ACTIVE
        table.sandbox_ready = time.monotonic() + _mended[0].table_seconds
        return table

    def deleted(backend: Any, name: str) -> Any:
        answer = delete(backend, name)
        _mended[0].replicas.pop(name, None)
        return answer

    Table.describe = described
    DynamoHandler.update_table = updated
    DynamoDBBackend.create_table = created
    DynamoDBBackend.delete_table = deleted
