# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 with any number of keys that holds none of them: `endless.py COUNT` prints its port and serves until its end.

Lists are generated page by page; each copy and delete succeeds, under the conditions that a client tries out.
"""

from __future__ import annotations

import re
import socket
import sys
import threading

PAGE = 1000
ETAG = "9e107d9d372bb6826bd81d3542a419d6"
HEAD = b"<?xml version='1.0' encoding='UTF-8'?>"


class Endless:
    """`copied` is the newest copy: once more over it is refused."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.copied = ""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """(status, body)."""
        if method == "GET" and "list-type=2" in target:
            return 200, self._page(int((re.search(r"continuation-token=(\d+)", target) or [0, 0])[1]))
        if method == "PUT" and "x-amz-copy-source" in headers:
            if target == self.copied and headers.get("if-none-match") == "*":
                return 412, HEAD + b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
            self.copied = target
            etag = f"<ETag>&quot;{ETAG}&quot;</ETag>"
            return 200, HEAD + f"<CopyObjectResult>{etag}</CopyObjectResult>".encode()
        if method == "POST" and "delete" in target:
            refused = ""
            if b"00000000000000000000000000000000" in body:
                key = re.search(rb"<Key>([^<]*)</Key>", body)
                refused = f"<Error><Key>{key[1].decode() if key else ''}</Key><Code>PreconditionFailed</Code></Error>"
            return 200, HEAD + f"<DeleteResult>{refused}</DeleteResult>".encode()
        return (200, b"") if method == "HEAD" and "processing" in target else (404, b"")

    def _page(self, first: int) -> bytes:
        last = min(first + PAGE, self.count)
        items = "".join(
            f"<Contents><Key>processing/{number:09}-request.json</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
            f"<ETag>&quot;{ETAG}&quot;</ETag><Size>2</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for number in range(first, last)
        )
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < self.count else ""
        cut = "true" if more else "false"
        text = f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{more}{items}</ListBucketResult>"
        return HEAD + text.encode()

    def serve(self, connection: socket.socket) -> None:
        """One connection, to its end."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        while line := stream.readline().decode("latin-1"):
            method, target, _version = line.split()
            headers = {}
            while (field := stream.readline().decode("latin-1").strip()) != "":
                name, _colon, value = field.partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("expect"):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = stream.read(int(headers.get("content-length") or 0))
            status, text = self.answer(method, target, headers, body)
            head = f'HTTP/1.1 {status} S\r\nContent-Type: text/xml\r\nETag: "{ETAG}"\r\n'
            head += "Date: Wed, 25 Nov 2026 18:38:25 GMT\r\nLast-Modified: Wed, 25 Nov 2026 18:38:25 GMT\r\n"
            head += f"Content-Length: {len(text)}\r\n\r\n"
            connection.sendall(head.encode() + (b"" if method == "HEAD" else text))


def main() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    store = Endless(int(sys.argv[1]))
    while True:
        connection, _address = server.accept()
        threading.Thread(target=store.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
