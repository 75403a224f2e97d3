# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each right that only a deployer needs, denied in turn: the message names the call that is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import _pair_store as table_and_document
from ansible_collections.hotstandby.ops.plugins.module_utils import document
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import explain
from ansible_collections.hotstandby.ops.plugins.module_utils.policies import rights
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record, StoreError
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY, NUMBERS

Clients = Callable[..., Any]
ALONE = sorted(rights("deployer") - rights("controller") | {"dynamodb:DescribeTable"})


def old_document(client: Any) -> None:
    """What an earlier version of the collection left, and this version's content as a later version of it."""
    import json

    contents = [{**document.content(), "description": f"version {number}"} for number in (1, 2)]
    client.create_document(
        Name=document.NAME, DocumentType="Command", DocumentFormat="JSON", Content=json.dumps(contents[0])
    )


def everything(client: Clients, table: str) -> None:
    """The first deploy, the next one that changes things, an upgrade, and the last day."""
    dynamodb, ssm = client("dynamodb"), client("ssm")

    def wanted(recovery: bool, protection: bool) -> Any:
        return table_and_document.Wanted(table, True, recovery, protection, 10.0)

    table_and_document.ensure_table(dynamodb, wanted(True, True), check=False)
    table_and_document.ensure_table(dynamodb, wanted(True, False), check=False)
    table_and_document.ensure_document(ssm, present=True, check=False)
    store = RecordStore(dynamodb, table, "p")
    record = Record(pair="p", nodes={"a": "i-1", "b": "i-2"}, active="a", epoch=1)
    store.create(record)
    store.forget(record, ["a", "b"])


@pytest.fixture
def clean(client: Clients) -> Any:
    def away() -> None:
        ssm = client("ssm")
        if document.NAME in [item["Name"] for item in ssm.list_documents()["DocumentIdentifiers"]]:
            ssm.delete_document(Name=document.NAME)

    away()
    yield
    away()


@pytest.mark.parametrize("right", ALONE)
def test_a_denied_right_is_named(endpoint: Endpoint, client: Clients, clean: None, right: str) -> None:
    table = f"rights-{next(NUMBERS)}"
    if right != "ssm:CreateDocument":
        old_document(client("ssm"))
    endpoint.faults.deny.add((KEY, right))
    call = right.partition(":")[2]
    if call == "DescribeDocument":  # needed only where SSM knows the content under another version already
        import json

        endpoint.faults.deny.clear()
        ssm = client("ssm")
        for text in (document.content(), {**document.content(), "description": "newer"}):
            ssm.update_document(
                Name=document.NAME, Content=json.dumps(text), DocumentFormat="JSON", DocumentVersion="$LATEST"
            )
        endpoint.faults.deny.add((KEY, right))
    with pytest.raises(Exception) as caught:
        everything(client, table)
    error = caught.value
    name = str(getattr(error, "operation_name", ""))
    said = str(error) if isinstance(error, StoreError) else explain(error, name)
    assert call in said and "right for this call is missing" in said, said
    endpoint.faults.clear()
    everything(client, table)  # with the right the same run goes through
