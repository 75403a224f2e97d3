# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three DynamoDBs: the simulated one, moto behind the sandbox's lock, and dynalite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import client_config
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore

from sandbox.endpoint import Caller, Endpoint
from tests.simulation.aws import Clock, Dynamo, Network

ROOT = Path(__file__).resolve().parents[3]
KEY = "AKIASTORETESTS"


def remote(url: str) -> Any:
    """A client of an endpoint, with the table that deploy would make."""
    session = boto3.session.Session(aws_access_key_id=KEY, aws_secret_access_key="secret")
    client = session.client(
        "dynamodb", region_name="ap-northeast-1", endpoint_url=url, config=client_config(30)
    )
    keys = [("pair", "HASH"), ("item", "RANGE")]
    client.create_table(
        TableName="hotstandby",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _kind in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
    )
    client.get_waiter("table_exists").wait(TableName="hotstandby", WaiterConfig={"Delay": 1})
    return client


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    endpoint = Endpoint()
    endpoint.start()
    endpoint.keys[KEY] = Caller(name="tests", kind="controller")
    yield remote(endpoint.url)
    endpoint.stop()


@pytest.fixture(scope="module")
def dynalite() -> Iterator[Any]:
    program = ROOT / "build" / "npm" / "node_modules" / "dynalite" / "cli.js"
    if shutil.which("node") is None or not program.exists():
        text = "!!! dynalite is not here (npm install --prefix build/npm dynalite@4.0.0): NOT tested on it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["node", str(program), "--port", str(port), "--host", "127.0.0.1", "--createTableMs", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, "dynalite did not start"
                time.sleep(0.1)
        yield remote(f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


@pytest.fixture(params=["simulated", "moto", pytest.param("dynalite", marks=pytest.mark.dynalite)])
def client(request: pytest.FixtureRequest) -> Any:
    if request.param == "simulated":
        return Dynamo(Network(Clock(), 0.0), "hotstandby")
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["moto", pytest.param("dynalite", marks=pytest.mark.dynalite)])
def served(request: pytest.FixtureRequest) -> Any:
    """A table that several threads may use; the simulated one has a single thread."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(client: Any) -> RecordStore:
    return RecordStore(client, "hotstandby", f"pair-{uuid.uuid4().hex[:8]}")
