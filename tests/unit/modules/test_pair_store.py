# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pair_store: the table and the document, against an in-process AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

RunModule = Callable[..., dict[str, Any]]
REGION = "us-east-1"
GIVEN = {"table": "hotstandby", "region": REGION, "wait_timeout": 5}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


def dynamodb() -> Any:
    return boto3.client("dynamodb", region_name=REGION)


def test_it_is_made_once(run_module: RunModule) -> None:
    plan = run_module("pair_store", check=True, **GIVEN)
    assert plan["changed"]
    assert dynamodb().list_tables()["TableNames"] == []
    made = run_module("pair_store", **GIVEN)
    assert made["changed"] and made["actions"] == plan["actions"] and made["table"] == plan["table"]
    table = dynamodb().describe_table(TableName="hotstandby")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"] is True
    backups = dynamodb().describe_continuous_backups(TableName="hotstandby")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    again = run_module("pair_store", **GIVEN)
    assert not again["changed"] and again["actions"] == []
    assert again["diff"][0]["before"] == again["diff"][0]["after"]


def test_what_differs_is_mended(run_module: RunModule) -> None:
    run_module("pair_store", deletion_protection=False, point_in_time_recovery=False, **GIVEN)
    result = run_module("pair_store", **GIVEN)
    assert result["actions"] == ["turn deletion protection on", "turn point-in-time recovery on"]
    assert not run_module("pair_store", **GIVEN)["changed"]


def test_an_old_document_is_replaced(run_module: RunModule) -> None:
    run_module("pair_store", **GIVEN)
    ssm = boto3.client("ssm", region_name=REGION)
    ssm.update_document(
        Name="HotStandbyNode",
        Content='{"schemaVersion": "2.2", "mainSteps": []}',
        DocumentVersion="$LATEST",
        DocumentFormat="JSON",
    )
    ssm.update_document_default_version(Name="HotStandbyNode", DocumentVersion="2")
    result = run_module("pair_store", **GIVEN)
    assert result["actions"] == ["update document HotStandbyNode"]
    assert not run_module("pair_store", **GIVEN)["changed"]


def test_a_table_with_other_keys_is_refused(run_module: RunModule) -> None:
    dynamodb().create_table(
        TableName="hotstandby",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    result = run_module("pair_store", **GIVEN)
    assert result["failed"] and "keys" in result["msg"] and "hotstandby" in result["msg"]


def test_a_replicated_table_is_refused(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.hotstandby.ops.plugins.module_utils import _pair_store

    run_module("pair_store", **GIVEN)
    plain = _pair_store._describe
    monkeypatch.setattr(
        _pair_store, "_describe", lambda *a: {**(plain(*a) or {}), "Replicas": [{"RegionName": "eu-west-1"}]}
    )
    result = run_module("pair_store", **GIVEN)
    assert result["failed"] and "eu-west-1" in result["msg"] and "replicated" in result["msg"]


def test_removing_needs_a_second_word(run_module: RunModule) -> None:
    run_module("pair_store", **GIVEN)
    refused = run_module("pair_store", state="absent", **GIVEN)
    assert refused["failed"] and "deletion_protection" in refused["msg"]
    assert dynamodb().list_tables()["TableNames"] == ["hotstandby"]
    given = {**GIVEN, "state": "absent", "deletion_protection": False}
    assert run_module("pair_store", check=True, **given)["changed"]
    assert run_module("pair_store", **given)["changed"]
    assert dynamodb().list_tables()["TableNames"] == []
    assert not run_module("pair_store", **given)["changed"]
