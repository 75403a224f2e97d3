# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record on three DynamoDBs: the simulated one, moto behind the sandbox's lock, and dynalite."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import client_config
from ansible_collections.hotstandby.ops.plugins.module_utils.record import (
    Conflict,
    Lease,
    Move,
    Record,
    RecordMissing,
    RecordUnreadable,
    SchemaMismatch,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore, to_item

from sandbox.endpoint import Caller, Endpoint
from tests.simulation.aws import Clock, Dynamo, Network

ROOT = Path(__file__).resolve().parents[3]
KEY = "AKIASTORETESTS"
NODES = {"hub-a": "i-0aaaaaaaaaaaaaaaa", "hub-b": "i-0bbbbbbbbbbbbbbbb"}


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


@pytest.fixture
def store(client: Any) -> RecordStore:
    return RecordStore(client, "hotstandby", f"pair-{uuid.uuid4().hex[:8]}")


def fresh(store: RecordStore, **changes: Any) -> Record:
    record = Record(
        pair=store.pair, nodes=NODES, active="hub-a", epoch=7, times={"active_since": 1790000000.5}
    )
    return store.create(dataclasses.replace(record, **changes))


MOVE = Move(
    id="m1", kind="failover", source="hub-a", target="hub-b", step="stop", reason="it died", began=1.5
)


def test_what_is_written_is_read(store: RecordStore) -> None:
    with pytest.raises(RecordMissing, match="run deploy"):
        store.read()
    made = fresh(store)
    assert store.read() == made
    log = ({"name": "confirm", "outcome": "ok", "seconds": 0.25, "detail": "日本語 too"},)
    lease = store.new_lease("keiko@admin/1", 30.0)
    moving = store.update(
        made, lease=lease, state="moving", active=None, move=dataclasses.replace(MOVE, log=log)
    )
    assert store.read() == moving
    assert store.read().move == dataclasses.replace(MOVE, log=log) and store.read().lease == lease
    paused = {"by": "akira", "reason": "storage", "time": 1790000001.0}
    done = store.update(
        moving, lease=None, state="steady", active="hub-b", epoch=8, move=None, pending=("x",), paused=paused
    )
    assert store.read() == done and store.read().lease is None


def test_a_record_is_made_once(store: RecordStore) -> None:
    fresh(store)
    assert fresh(store).epoch == 7, "the same again is what stands there"
    with pytest.raises(Conflict):
        fresh(store, epoch=9)
    assert store.read().epoch == 7


@pytest.mark.parametrize(
    "meanwhile",
    [{"epoch": 8}, {"state": "broken", "active": None}, {"lease": Lease("akira", "v", 30.0)}],
    ids=["epoch", "state", "lease"],
)
def test_a_write_on_an_old_reading_is_lost(store: RecordStore, meanwhile: dict[str, Any]) -> None:
    old = fresh(store)
    now = store.update(old, **meanwhile)
    with pytest.raises(Conflict):
        store.update(old, active="hub-b", lease=store.new_lease("late", 30))
    assert store.read() == now


def test_a_pause_that_came_in_between_stops_a_new_lease(store: RecordStore) -> None:
    old = fresh(store)
    store.update(old, paused={"by": "akira", "reason": "storage"})
    with pytest.raises(Conflict):
        store.update(old, lease=store.new_lease("keiko", 30), move=MOVE)
    assert store.read().move is None


def test_a_pause_is_written_while_a_move_holds_the_lease(store: RecordStore) -> None:
    held = store.update(fresh(store), lease=store.new_lease("keiko", 30))
    paused = store.update(held, paused={"by": "akira", "reason": "storage"})
    assert store.read() == paused and paused.lease == held.lease
    assert store.update(paused, paused=None).paused is None


def test_a_held_lease_is_renewed_only_by_who_saw_it(store: RecordStore) -> None:
    held = store.update(fresh(store), lease=store.new_lease("keiko", 30))
    renewed = store.update(held, lease=store.new_lease("keiko", 30))
    with pytest.raises(Conflict, match="keiko"):
        store.update(held, lease=store.new_lease("akira", 30))
    assert store.read() == renewed


def test_eight_contenders_have_one_winner(store: RecordStore, client: Any) -> None:
    if isinstance(client, Dynamo):
        pytest.skip("the simulated table has one thread")
    for _round in range(12):
        record = dataclasses.replace(fresh(RecordStore(client, "hotstandby", f"race-{uuid.uuid4().hex}")))
        won: list[str] = []

        def contend(name: str, record: Record = record, won: list[str] = won) -> None:
            mine = RecordStore(client, "hotstandby", record.pair)
            try:
                mine.update(record, lease=mine.new_lease(name, 30))
                won.append(name)
            except Conflict:
                pass

        threads = [threading.Thread(target=contend, args=(f"c{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, won
        held = RecordStore(client, "hotstandby", record.pair).read().lease
        assert held is not None and held.owner == won[0]


class Deaf:
    """A client whose UpdateItem goes through `times` times and whose answer is lost."""

    def __init__(self, client: Any, times: int = 1, through: bool = True) -> None:
        self._client, self._times, self._through = client, times, through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_item(self, **arguments: Any) -> Any:
        if self._times:
            self._times -= 1
            if self._through:
                self._client.update_item(**arguments)
            raise ConnectionError("the answer was lost")
        return self._client.update_item(**arguments)


def test_a_lost_answer_is_settled_by_reading(store: RecordStore, client: Any) -> None:
    record = fresh(store)
    deaf = RecordStore(Deaf(client), "hotstandby", store.pair)
    held = deaf.update(record, lease=deaf.new_lease("keiko", 30), move=MOVE, state="moving", active=None)
    assert store.read() == held
    lost = RecordStore(Deaf(client, through=False), "hotstandby", store.pair)
    with pytest.raises(RecordUnreadable):
        lost.update(held, lease=lost.new_lease("keiko", 30), active="hub-b")
    assert store.read() == held, "a write that never arrived is not taken for one that did"


def test_heartbeats_carry_the_epoch_and_the_tables_own_time(store: RecordStore) -> None:
    assert store.heartbeat("hub-a") is None and store.now() is not None
    store.put_heartbeat("hub-a", NODES["hub-a"], "boot", 7, "running")
    first = store.heartbeat("hub-a")
    store.put_heartbeat("hub-a", NODES["hub-a"], "boot", 8, "stopped")
    second = store.heartbeat("hub-a")
    assert first is not None and second is not None and first.beat != second.beat
    assert (second.epoch, second.state, second.instance_id) == (8, "stopped", NODES["hub-a"])
    assert second.time is not None and abs(second.time - (store.now() or 0)) < 5


def test_history_is_newest_first_and_written_over_itself(store: RecordStore) -> None:
    for began in (100.0, 1790000000.0, 2000.0):
        store.put_history("m", began, {"id": f"m{began:.0f}", "steps": [{"seconds": 0.1}]})
    store.put_history("m", 1790000000.0, {"id": "again"})
    assert [item["id"] for item in store.history(2)] == ["again", "m2000"]
    assert len(store.history(10)) == 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"schema": 2}, SchemaMismatch),
        ({"schema": None}, RecordUnreadable),
        ({"epoch": "seven"}, RecordUnreadable),
        ({"active": "hub-c"}, RecordUnreadable),
        ({"state": "odd"}, RecordUnreadable),
        ({"nodes": {"hub-a": "i-1"}}, RecordUnreadable),
        ({"lease": {"owner": "x"}}, RecordUnreadable),
        ({"state": "moving"}, RecordUnreadable),
        ({"move": {"id": "x"}}, RecordUnreadable),
    ],
)
def test_an_item_that_makes_no_sense_is_unknown(
    store: RecordStore, client: Any, change: dict[str, Any], error: type[Exception]
) -> None:
    fresh(store)
    values = {
        "pair": store.pair, "item": "record", "schema": 1, "nodes": NODES, "active": "hub-a", "epoch": 7,
        "state": "steady", "move": None, "lease": None, "paused": None, "pending": [], "times": {}, **change,
    }  # fmt: skip
    client.put_item(TableName="hotstandby", Item=to_item(values))
    with pytest.raises(error):
        store.read()


def test_a_table_that_is_not_there_is_named(client: Any) -> None:
    with pytest.raises(RecordUnreadable, match="there is no table 'elsewhere'"):
        RecordStore(client, "elsewhere", "p").read()
