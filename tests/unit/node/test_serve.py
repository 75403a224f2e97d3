# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GET /active: 200 only for a node that is known to be the active one by a record that is not old."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import serve as serving
from ansible_collections.hotstandby.ops.plugins.module_utils.node.serve import (
    CONNECTIONS,
    Known,
    Server,
    Standing,
    respond,
    verdict,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record, RecordUnreadable

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"


def record(active: str | None = "hub-a") -> Record:
    return Record("p", {"hub-a": A, "hub-b": B}, active, 7)


@pytest.mark.parametrize(
    ("known", "now", "who", "held", "status", "why"),
    [
        (Known(record(), 10.0), 12.0, A, False, 200, "epoch 7"),
        (Known(record(), 10.0), 15.0, A, False, 200, "epoch 7"),
        (Known(record(), 10.0), 15.1, A, False, 503, "5 s ago"),
        (None, 12.0, A, False, 503, "not read yet"),
        (Known(record("hub-b"), 10.0), 10.0, A, False, 503, "hub-b is active"),
        (Known(record(None), 10.0), 10.0, A, False, 503, "nobody is active"),
        (Known(record(), 10.0), 10.0, B, False, 503, "not known to be this node"),
        (Known(record(), 10.0), 10.0, None, False, 503, "not known to be this node"),
        (Known(record(), 10.0), 10.0, A, True, 503, "on purpose"),
    ],
)
def test_what_is_not_known_for_sure_is_503(
    known: Known | None, now: float, who: str | None, held: bool, status: int, why: str
) -> None:
    told = verdict(known, now, 5.0, "hub-a", who, held)
    assert told[0] == status and why in told[1]


def test_a_record_that_cannot_be_read_any_more_grows_old() -> None:
    now, answers = [0.0], [record(), RecordUnreadable("down"), RecordUnreadable("down"), record()]

    def read() -> Record:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    standing = Standing(read, lambda: False, lambda: A, lambda: now[0], "hub-a", 5.0)
    assert standing.answer()[0] == 503
    told = []
    for moment in (0.0, 3.0, 6.0, 9.0):
        now[0] = moment
        standing.look()
        told.append(standing.answer()[0])
    assert told == [200, 200, 503, 200]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /active HTTP/1.1", 200),
        (b"HEAD /active HTTP/1.0", 200),
        (b"GET /active?x=1 HTTP/1.1", 200),
        (b"GET / HTTP/1.1", 404),
        (b"GET /active/../etc HTTP/1.1", 404),
        (b"POST /active HTTP/1.1", 405),
        (b"GET", 400),
        (b"\x00\xff \x80 z", 400),
    ],
)
def test_only_this_one_question_is_answered(request_line: bytes, status: int) -> None:
    answer = respond(request_line + b"\r\n\r\n", lambda: (200, "yes"))
    head, _empty, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == str(status).encode() and b"Connection: close" in head
    assert (body == b"") is request_line.startswith(b"HEAD")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), lambda: (200, "yes"))
    over = threading.Event()
    thread = threading.Thread(target=made.run, args=(over.is_set,), daemon=True)
    thread.start()
    yield made
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def said(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/active")
    response = connection.getresponse()
    return response.status, response.read().decode()


def get(port: int) -> int:
    return said(port)[0]


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def test_a_host_without_threads_refuses_one_client_and_serves_the_next(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accepting loop must not end with what it could not begin, nor keep the room of it."""
    start, refused = threading.Thread.start, []

    def full(thread: threading.Thread) -> None:
        if len(refused) < serving.CONNECTIONS + 1:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", full)
    for _client in range(serving.CONNECTIONS + 1):
        with connect(server) as client:
            assert client.recv(1) == b""
    assert said(server.port) == (200, "yes\n") and len(refused) == serving.CONNECTIONS + 1


def test_a_client_that_says_a_byte_now_and_then_is_cut(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the whole request never does."""
    monkeypatch.setattr(serving, "REQUEST", 1.0)
    with connect(server) as drip:
        began = time.monotonic()
        drip.settimeout(0.2)
        while True:
            assert time.monotonic() < began + 20, "it holds its connection for ever"
            try:
                drip.sendall(b"x")
                if drip.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began >= 0.9


def test_more_clients_than_there_is_room_for_are_sent_away_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "REQUEST", 300.0)  # nobody is cut meanwhile
    idle = [connect(server) for _number in range(CONNECTIONS)]
    with connect(server) as more:
        try:
            more.sendall(b"GET /active HTTP/1.1\r\n\r\n")
            assert more.recv(1) == b"", "closed without an answer"
        except ConnectionError:
            pass
    for connection in idle:
        connection.close()
    end = time.monotonic() + 20
    while True:
        try:
            assert get(server.port) == 200
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_request_without_an_end_is_answered_by_what_was_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /active HTTP/1.1\r\nX: " + b"a" * 8000)
        assert connection.recv(15).startswith(b"HTTP/1.1 200")


def test_the_built_command_serves_from_the_record_and_ends_cleanly(node: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = ("--interval", "1", "--max-age", "3")
    process: subprocess.Popen[str] = node.begin("serve", "--listen", f"127.0.0.1:{port}", *limits)

    def until(status: int, text: str = "") -> None:
        end = time.monotonic() + 60
        while True:
            try:
                if said(port)[0] == status and text in said(port)[1]:
                    return
            except OSError:
                pass
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)

    try:
        until(200)
        node.put_record("hub-b", 8)
        until(503)
        node.put_record("hub-a", 9)
        until(200)
        key = {"pair": {"S": "hub-prod"}, "item": {"S": "record"}}
        node.table.delete_item(TableName="hotstandby", Key=key)
        until(503, "the record was last read")
        node.put_record("hub-a", 10)
        until(200)
        process.send_signal(signal.SIGTERM)
        out, _err = process.communicate(timeout=30)
        assert process.returncode == 0 and re.search(
            "served [0-9]+ requests", json.loads(out)["detail"]["message"]
        )
    finally:
        process.kill()
        process.wait()
    code, answer = node.run("serve", "--listen", "nonsense")
    assert code == 1 and "HOST:PORT" in answer["detail"]["message"]
