# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudWatch takes the datapoint and never answers: the built check is over before the next minute, and never twice at once."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

MINUTE = 60.0


class Hanging(ThreadingHTTPServer):
    """Hands every call on to the real endpoint, but for PutMetricData: that one gets no answer before `release`."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urllib.parse.urlsplit(behind).netloc
        self.release = threading.Event()
        self.held = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hanging

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if b"PutMetricData" in body + self.path.encode() + str(self.headers).encode():
            self.server.held += 1
            self.server.release.wait()
            return
        onward = http.client.HTTPConnection(self.server.behind, timeout=30)
        onward.request("POST", self.path, body, dict(self.headers))
        answer = onward.getresponse()
        found = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def hanging(node: Any) -> Iterator[Hanging]:
    server = Hanging(node.aws_url)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    node.pair["endpoint_url"] = server.url
    node.write()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


def test_a_metric_put_that_hangs_is_over_before_the_next_minute_and_one_check_runs_at_a_time(
    node: Any, hanging: Hanging
) -> None:
    assert node.run("start")[0] == 0
    began = time.monotonic()
    first = node.begin("healthcheck")
    while not hanging.held:
        assert first.poll() is None and time.monotonic() - began < MINUTE
        time.sleep(0.05)
    code, second = node.run("healthcheck")
    if first.poll() is None:  # on a machine that took longer than the first may wait, both are alone
        assert (code, second["detail"]["message"]) == (0, "another check is at work")
    out, err = first.communicate(timeout=MINUTE)
    assert time.monotonic() - began < MINUTE
    answer = json.loads(out)
    assert (first.returncode, answer["state"], answer["detail"]["metric"]) == (0, "running", None), err
    assert "the metric was not put: " in answer["detail"]["message"]
    # a service that is well is not touched for it, and the sign of life was written
    beat = node.table.get_item(
        TableName="hotstandby", Key={"pair": {"S": "hub-prod"}, "item": {"S": "heartbeat#hub-a"}}
    )["Item"]
    assert beat["state"] == {"S": "running"} and node.run("status")[0] == 0
