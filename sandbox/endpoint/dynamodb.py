# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moto's DynamoDB lacks: replicas of a table, asked for by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Endpoint

_mended: list[Any] = []


def mend(endpoint: Endpoint) -> None:
    """Let DescribeTable show `endpoint.replicas`, and UpdateTable add to them."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.table import Table
    from moto.dynamodb.responses import DynamoHandler

    _mended[:] = [endpoint]
    if hasattr(Table, "sandbox_mended"):
        return
    Table.sandbox_mended = True
    describe, update, delete = Table.describe, DynamoHandler.update_table, DynamoDBBackend.delete_table

    def described(table: Any, base_key: str = "TableDescription") -> dict[str, Any]:
        result: dict[str, Any] = describe(table, base_key)
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

    def deleted(backend: Any, name: str) -> Any:
        answer = delete(backend, name)
        _mended[0].replicas.pop(name, None)
        return answer

    Table.describe = described
    DynamoHandler.update_table = updated
    DynamoDBBackend.delete_table = deleted
