# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hotstandby serve`: GET /active says 200 on the active node and 503 elsewhere, for load balancers' health checks.

It answers from memory, so that a check never waits for the table, and says 503 once that memory is too old to trust.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from ..record import Record, StoreError
from .host import Terminated
from .outcome import Outcome

PATH = "/active"
CONNECTIONS = 32  # at once; one more is closed unanswered
REQUEST = 2.0  # seconds from the connection to the whole request, and as many for the answer
LINE = 4096  # bytes of a request that are read
WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Known:
    """The last good reading of the record, and when (seconds of the monotonic clock)."""

    record: Record
    at: float


def verdict(
    known: Optional[Known], now: float, max_age: float, node: str, instance_id: Optional[str], held: bool
) -> tuple[int, str]:
    """200 or 503 and why. Pure; whatever is not known for sure is 503."""
    if known is None:
        return 503, "the record was not read yet"
    age = now - known.at
    if age > max_age:
        return 503, f"the record was last read {age:.0f} s ago"
    if instance_id is None or known.record.nodes.get(node) != instance_id:
        return 503, "this machine is not known to be this node"
    if known.record.active != node:
        return 503, f"{known.record.active or 'nobody'} is active"
    if held:
        return 503, "stopped on purpose"
    return 200, f"active with epoch {known.record.epoch}"


class Standing:
    """What this node knows of itself, renewed by `look`; `answer` never waits."""

    def __init__(
        self,
        read: Callable[[], Record],
        held: Callable[[], bool],
        who: Callable[[], Optional[str]],
        monotonic: Callable[[], float],
        node: str,
        max_age: float,
    ) -> None:
        self._read, self._held, self._who = read, held, who
        self._monotonic, self._node, self._max_age = monotonic, node, max_age
        self._known: Optional[Known] = None
        self._is_held = True
        self._instance: Optional[str] = None

    def look(self) -> None:
        """Read once. What cannot be read stays as it was, and grows old."""
        at = self._monotonic()  # before the call: an answer is as old as its question
        if self._instance is None:
            self._instance = self._who()
        try:
            self._is_held = self._held()
            self._known = Known(self._read(), at)
        except StoreError:
            return

    def answer(self) -> tuple[int, str]:
        """200 or 503, and why."""
        return verdict(
            self._known, self._monotonic(), self._max_age, self._node, self._instance, self._is_held
        )


def respond(request: bytes, answer: Callable[[], tuple[int, str]]) -> bytes:
    """The response to the head of a request."""
    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        status, text = 400, "this is no request"
    elif words[0] not in (b"GET", b"HEAD"):
        status, text = 405, "only GET and HEAD"
    elif words[1].split(b"?", 1)[0] != PATH.encode():
        status, text = 404, f"only {PATH}"
    else:
        status, text = answer()
    body = f"{text}\n".encode("ascii", "replace")
    head = (
        f"HTTP/1.1 {status} {WORDS[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if words[0] == b"HEAD" else body)


class Server:
    """A listening socket with a bounded number of connections, each bounded in time."""

    def __init__(self, address: tuple[str, int], answer: Callable[[], tuple[int, str]]) -> None:
        self._answer = answer
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._socket = socket.create_server(address, backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self.served = 0

    def run(self, ended: Callable[[], bool]) -> None:
        """Accept until `ended`; looked at each half second."""
        self._socket.settimeout(0.5)
        with self._socket:
            while not ended():
                try:
                    connection, _peer = self._socket.accept()
                except OSError:  # nobody came, or was gone again
                    continue
                if not self._room.acquire(blocking=False):
                    connection.close()
                    continue
                try:
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
                except RuntimeError:  # no more threads just now: this one is refused, the next may be served
                    self._room.release()
                    connection.close()

    def _serve(self, connection: socket.socket) -> None:
        # a timer and not a timeout: a client that sends a byte each second must not stay
        timer = threading.Timer(REQUEST, lambda: _cut(connection))
        timer.daemon = True
        try:
            with connection:
                timer.start()
                connection.settimeout(REQUEST)
                request = b""
                while b"\r\n\r\n" not in request and len(request) < LINE:
                    part = connection.recv(LINE - len(request))
                    if not part:
                        return
                    request += part
                connection.sendall(respond(request, self._answer))
                self.served += 1
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
        except (OSError, RuntimeError):  # it has gone, or there is no thread for its timer
            pass
        finally:
            timer.cancel()
            self._room.release()


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve(
    standing: Standing, address: tuple[str, int], interval: float, sleep: Callable[[float], None]
) -> Outcome:
    """Serve until a signal ends it. `interval` in seconds between readings of the record."""
    try:
        server = Server(address, standing.answer)
    except OSError as error:
        return Outcome("unknown", 1, {"message": f"{address[0]}:{address[1]}: {error.strerror or error}"})
    over = threading.Event()
    thread = threading.Thread(target=server.run, args=(over.is_set,), daemon=True)
    thread.start()
    try:
        while True:
            standing.look()
            sleep(interval)
    except Terminated:
        over.set()
        return Outcome("unknown", 0, {"message": f"served {server.served} requests"})
