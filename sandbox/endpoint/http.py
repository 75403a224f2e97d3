# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small threaded HTTP/1.1 server: connections are kept alive, an answer may be withheld."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote


class Disconnect(Exception):
    """Close the connection without an answer, as a cut network would."""


@dataclass
class HttpRequest:
    """One request. `target` is the raw request target, `headers` have lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket | None = None

    @property
    def raw_path(self) -> str:
        """The path as sent."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    @property
    def query_string(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter, blank ones included."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def client_gone(self) -> bool:
        """Whether the other side has closed its connection."""
        if self.connection is None:
            return False
        try:
            if not select.select([self.connection], [], [], 0)[0]:
                return False
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True


@dataclass
class HttpResponse:
    """One answer. `after` runs once it is sent, in the connection's own thread."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[], None] | None = None

    @classmethod
    def of_json(cls, payload: Any, status: int = 200) -> HttpResponse:
        """A JSON document."""
        return cls(status, json.dumps(payload).encode(), {"Content-Type": "application/json"})


App = Callable[[HttpRequest], HttpResponse]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one segment
    server: Server

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True  # its sender died on the way: AWS never saw that request
            return
        request = HttpRequest(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            body,
            self.connection,
        )
        try:
            response = self.server.app(request)
        except Disconnect:
            self._hang_up()
            return
        except Exception:
            traceback.print_exc(file=sys.stderr)
            response = HttpResponse(501, b"the sandbox itself failed, see its log")
        try:
            self._answer(request, response)
        except OSError:
            self.close_connection = True
        if response.after is not None:
            response.after()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come: the client waits a second for it."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def _body(self) -> bytes | None:
        """The body; None when the connection ended before all of it had come."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        return body if len(body) == length else None

    def _answer(self, request: HttpRequest, response: HttpResponse) -> None:
        self.send_response_only(response.status)
        given = {name.lower() for name in response.headers}
        for name, value in response.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "date", "status"):
                self.send_header(name, value)
        self.send_header("Date", formatdate(usegmt=True))
        if "content-length" not in given and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if request.method != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body)
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the endpoint has a call log of its own."""


class Server(ThreadingHTTPServer):
    """Serves `app` on `host`. `port` 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, app: App, port: int = 0, name: str = "endpoint", host: str = "127.0.0.1") -> None:
        self.app = app
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=name, daemon=True
        )

    @property
    def port(self) -> int:
        """The port that was taken."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections and cut those there are."""
        if self._thread.is_alive():
            self.shutdown()  # would wait for ever for a server that never started
        self.server_close()
        with self._lock:
            left, self._open = self._open, set()
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ValueError)):
            super().handle_error(request, client_address)


def until_read(connection: socket.socket | None) -> None:
    """Return when the other side has closed, or has sent its next request: so it has read what was sent."""
    if connection is None:
        return
    with contextlib.suppress(OSError, ValueError):
        connection.recv(1, socket.MSG_PEEK)
