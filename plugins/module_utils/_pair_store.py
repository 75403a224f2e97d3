# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table and the SSM document that pairs need: look, then make the difference. Clients are handed in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from . import document
from ._ansible import ModuleFailure
from .clients import error_code

KEYS = [{"AttributeName": "pair", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}]
ATTRIBUTES = [
    {"AttributeName": "pair", "AttributeType": "S"},
    {"AttributeName": "item", "AttributeType": "S"},
]


@dataclass(frozen=True)
class Wanted:
    """What the table shall be; `wait` in seconds."""

    table: str
    present: bool
    recovery: bool
    protection: bool
    wait: float


@dataclass
class Done:
    """One thing before and after, and what was done to it (or would be)."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]
    actions: list[str] = field(default_factory=list)


def _describe(client: Any, table: str) -> Optional[Mapping[str, Any]]:
    try:
        found: Mapping[str, Any] = client.describe_table(TableName=table)["Table"]
    except Exception as error:
        if error_code(error) == "ResourceNotFoundException":
            return None
        raise
    return found


def _recovery(client: Any, table: str) -> bool:
    described = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    status = described.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    return bool(status == "ENABLED")


def _usable(found: Mapping[str, Any], table: str) -> None:
    keys = {key["KeyType"]: key["AttributeName"] for key in found["KeySchema"]}
    types = {item["AttributeName"]: item["AttributeType"] for item in found["AttributeDefinitions"]}
    if keys != {"HASH": "pair", "RANGE": "item"} or types.get("pair") != "S" or types.get("item") != "S":
        raise ModuleFailure(
            f"table '{table}' has other keys than pair and item (both strings): give another table",
            code="store_failed",
        )
    regions = [replica.get("RegionName", "?") for replica in found.get("Replicas") or ()]
    if regions:
        raise ModuleFailure(
            f"table '{table}' is replicated to {', '.join(regions)}: two regions could grant at once, give a table without replicas",
            code="store_failed",
        )


def _wait(client: Any, wanted: Wanted, sleep: Callable[[float], None], gone: bool) -> None:
    end = time.monotonic() + wanted.wait
    while True:
        found = _describe(client, wanted.table)
        if (found is None) if gone else (found is not None and found["TableStatus"] == "ACTIVE"):
            return
        if time.monotonic() >= end:
            status = found["TableStatus"] if found else "missing"
            raise ModuleFailure(
                f"DynamoDB: table '{wanted.table}' is still {status} after {wanted.wait:.0f} s (wait_timeout)",
                code="store_failed",
            )
        sleep(1.0)


def _shape(wanted: Wanted) -> dict[str, Any]:
    return {
        "name": wanted.table,
        "status": "ACTIVE",
        "deletion_protection": wanted.protection,
        "point_in_time_recovery": wanted.recovery,
    }


def ensure_table(
    client: Any, wanted: Wanted, check: bool, sleep: Callable[[float], None] = time.sleep
) -> Done:
    """Make the table as wanted, or remove it. Errors: ModuleFailure, and what the client raises."""
    found = _describe(client, wanted.table)
    before: dict[str, Any] = {}
    if found is not None:
        if wanted.present:
            _usable(found, wanted.table)
        before = {
            "name": wanted.table,
            "status": found["TableStatus"],
            "deletion_protection": bool(found.get("DeletionProtectionEnabled")),
            "point_in_time_recovery": _recovery(client, wanted.table),
        }
    if not wanted.present:
        return _remove_table(client, wanted, before, check, sleep)
    done = Done("table", before, _shape(wanted))
    if found is None:
        done.actions.append(f"create table {wanted.table}")
        if not check:
            client.create_table(
                TableName=wanted.table,
                KeySchema=KEYS,
                AttributeDefinitions=ATTRIBUTES,
                BillingMode="PAY_PER_REQUEST",
                DeletionProtectionEnabled=wanted.protection,
            )
    elif before["deletion_protection"] != wanted.protection:
        done.actions.append(f"turn deletion protection {'on' if wanted.protection else 'off'}")
        if not check:
            client.update_table(TableName=wanted.table, DeletionProtectionEnabled=wanted.protection)
    if not check:
        _wait(client, wanted, sleep, gone=False)
    if before.get("point_in_time_recovery", False) != wanted.recovery:
        done.actions.append(f"turn point-in-time recovery {'on' if wanted.recovery else 'off'}")
        if not check:
            _set_recovery(client, wanted, sleep)
    return done


def _set_recovery(client: Any, wanted: Wanted, sleep: Callable[[float], None]) -> None:
    end = time.monotonic() + wanted.wait
    while True:
        try:
            client.update_continuous_backups(
                TableName=wanted.table,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": wanted.recovery},
            )
            return
        except Exception as error:
            # a new table's backups are being prepared for a moment
            if error_code(error) != "ContinuousBackupsUnavailableException" or time.monotonic() >= end:
                raise
        sleep(2.0)


def _remove_table(
    client: Any, wanted: Wanted, before: dict[str, Any], check: bool, sleep: Callable[[float], None]
) -> Done:
    done = Done("table", before, {})
    if not before:
        return done
    if wanted.protection:
        raise ModuleFailure(
            f"table '{wanted.table}' holds the records of pairs: to remove it say deletion_protection: false as well",
            code="bad_option",
        )
    done.actions.append(f"delete table {wanted.table}")
    if not check:
        if before["deletion_protection"]:
            client.update_table(TableName=wanted.table, DeletionProtectionEnabled=False)
            _wait(client, wanted, sleep, gone=False)
        client.delete_table(TableName=wanted.table)
        _wait(client, wanted, sleep, gone=True)
    return done


def _read_document(client: Any) -> tuple[Optional[Any], str]:
    """(content, version) of the document's default version, or (None, "")."""
    try:
        found = client.get_document(Name=document.NAME, DocumentFormat="JSON")
    except Exception as error:
        if error_code(error) == "InvalidDocument":
            return None, ""
        raise
    try:
        return json.loads(found["Content"]), str(found.get("DocumentVersion", ""))
    except ValueError:
        return found["Content"], str(found.get("DocumentVersion", ""))


def ensure_document(client: Any, present: bool, check: bool) -> Done:
    """Make the SSM document what this version of the collection needs, or remove it."""
    content, version = _read_document(client)
    wanted = document.content()
    before = {"name": document.NAME, "version": version, "content": content} if content is not None else {}
    if not present:
        done = Done("document", before, {})
        if before:
            done.actions.append(f"delete document {document.NAME}")
            if not check:
                client.delete_document(Name=document.NAME)
        return done
    done = Done("document", before, {"name": document.NAME, "version": version or "1", "content": wanted})
    if content == wanted:
        return done
    text = json.dumps(wanted)
    if content is None:
        done.actions.append(f"create document {document.NAME}")
        if not check:
            client.create_document(
                Name=document.NAME, DocumentType="Command", DocumentFormat="JSON", Content=text
            )
        return done
    done.actions.append(f"update document {document.NAME}")
    if not check:
        done.after["version"] = _update_document(client, text)
    return done


def _update_document(client: Any, text: str) -> str:
    """Make `text` the default version; returns that version."""
    try:
        updated = client.update_document(
            Name=document.NAME, Content=text, DocumentFormat="JSON", DocumentVersion="$LATEST"
        )
        version = str(updated["DocumentDescription"]["DocumentVersion"])
    except Exception as error:
        if error_code(error) != "DuplicateDocumentContent":
            raise
        version = _version_of(client, text)
    client.update_document_default_version(Name=document.NAME, DocumentVersion=version)
    return version


def _version_of(client: Any, text: str) -> str:
    """The newest version of the document that holds `text`."""
    latest = int(client.describe_document(Name=document.NAME)["Document"]["LatestVersion"])
    for version in range(latest, 0, -1):
        try:
            found = client.get_document(
                Name=document.NAME, DocumentFormat="JSON", DocumentVersion=str(version)
            )
        except Exception as error:
            # a version in between may have been deleted
            if error_code(error) in ("InvalidDocument", "InvalidDocumentVersion"):
                continue
            raise
        if json.loads(found["Content"]) == json.loads(text):
            return str(version)
    raise ModuleFailure(
        f"SSM UpdateDocument: no version of {document.NAME} has the content that SSM calls a duplicate",
        code="store_failed",
    )
