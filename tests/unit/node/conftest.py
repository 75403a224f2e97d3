# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node below a temporary root: the built command, a tiny product of shell scripts, metadata and a table on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

A, B = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
REPOSITORY = Path(__file__).resolve().parents[3]
PRODUCT = {
    "hubcluster": """#!/bin/sh
here=$(dirname "$0")
[ -n "$HULHUBETC" ] && [ -n "$HULHUBEXE" ] || exit 12
case "$1" in
-status)
  [ -f "$here/noisy" ] && head -c 30000 /dev/zero | tr '\\0' x
  read -r pid 2>/dev/null < "$here/pid" && kill -0 "$pid" 2>/dev/null && exit 0
  exit 240 ;;
-start)
  [ -f "$here/slow" ] && sleep "66.$(cat "$here/slow")"
  setsid "$here/hubd" > /dev/null 2>&1 < /dev/null &
  echo $! > "$here/pid"
  exit 0 ;;
esac
exit 102
""",
    "hubstop": """#!/bin/sh
here=$(dirname "$0")
read -r pid 2>/dev/null < "$here/pid" || exit 240
kill "$pid" 2>/dev/null
while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
rm -f "$here/pid"
""",
    "hubd": "#!/bin/sh\nwhile :; do sleep 0.2; done\n",
}


class _Metadata(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self._say("token")

    def do_GET(self) -> None:
        role = "/latest/meta-data/iam/security-credentials/"
        if self.path == role:
            self._say("role")
        elif self.path.startswith(role):
            times = {"LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}
            keys = {"AccessKeyId": "AKIANODE", "SecretAccessKey": "x", "Token": "t"}
            self._say(json.dumps({"Code": "Success", "Type": "AWS-HMAC", **keys, **times}))
        else:
            self._say(A)

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built node command."""
    target = tmp_path_factory.mktemp("build") / "hotstandby.pyz"
    subprocess.run([sys.executable, str(REPOSITORY / "hack" / "build_zipapp.py"), str(target)], check=True)
    return target


@pytest.fixture(scope="session")
def metadata_url() -> Iterator[str]:
    """Instance metadata of hub-a."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """DynamoDB and CloudWatch."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class NodeBox:
    """One node. `run` runs its command as cron would."""

    def __init__(self, root: Path, archive: Path, metadata_url: str, aws_url: str) -> None:
        self.root, self.archive, self.aws_url = root, archive, aws_url
        self.table: Any = None
        self.exe, self.shared = root / "opt/hub/bin", root / "shared"
        self.folder = root / "var/lib/hotstandby/hub-prod"
        self.config = root / "etc/hotstandby/pair.json"
        for path in (self.exe, self.shared / "etc", self.config.parent, root / "proc"):
            path.mkdir(parents=True)
        for name, text in PRODUCT.items():
            (self.exe / name).write_text(text)
            (self.exe / name).chmod(0o755)
        (self.shared / ".hotstandby-pair").write_text("hub-prod\n")
        (root / "proc/mounts").write_text(f"nfs {self.shared} nfs4 rw 0 0\n")
        self.pair: dict[str, Any] = {
            "name": "hub-prod",
            "region": "ap-northeast-1",
            "table": "hotstandby",
            "service": "hulft_hub",
            "product": {"etc": str(self.shared / "etc"), "exe": str(self.exe)},
            "nodes": [{"name": "hub-a", "instance_id": A}, {"name": "hub-b", "instance_id": B}],
            "shared": {"path": str(self.shared)},
            "endpoint_url": aws_url,
        }
        self.raw = {
            "schema": 1,
            "node": "hub-a",
            "root": str(root),
            "metadata_url": metadata_url,
            "pair": self.pair,
        }
        self.write()

    def write(self) -> None:
        """Write the configuration."""
        self.config.write_text(json.dumps(self.raw))

    def argv(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, str(self.archive), "--config", str(self.config), *arguments]

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin the command in cron's environment."""
        env = {"PATH": "/usr/bin:/bin", "HOME": "/"}
        return subprocess.Popen(
            self.argv(*arguments),
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the command: its exit code and its answer, which is the only thing it prints."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err and len(out.splitlines()) == 1 and len(out) < 2300, (out, err)
        answer: dict[str, Any] = json.loads(out)
        return process.returncode, answer

    def put_record(self, active: str | None, epoch: int) -> None:
        """Write the record."""
        named = {"S": active} if active else {"NULL": True}
        nodes = {"M": {"hub-a": {"S": A}, "hub-b": {"S": B}}}
        state = {"S": "steady" if active else "broken"}
        keys = {"pair": {"S": "hub-prod"}, "item": {"S": "record"}}
        rest = {
            "schema": {"N": "1"},
            "nodes": nodes,
            "active": named,
            "epoch": {"N": str(epoch)},
            "state": state,
        }
        self.table.put_item(TableName="hotstandby", Item={**keys, **rest})

    def end(self) -> None:
        """End the product, whatever it is."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as handle:
                        words = handle.read().split(b"\0")
                    if any(word.startswith(os.fsencode(self.exe)) for word in words):
                        os.kill(int(entry), signal.SIGKILL)
                except OSError:
                    continue


@pytest.fixture(scope="session")
def dynamodb(aws_url: str) -> Any:
    """The client of a person."""
    import boto3

    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x")
    return session.client("dynamodb", region_name="ap-northeast-1", endpoint_url=aws_url)


@pytest.fixture
def table(dynamodb: Any) -> Any:
    """The table: each test writes the record it wants. It is made again when moto forgot it, as it does when a test
    of another module begins with mock_aws in the same process."""
    keys = ("pair", "HASH"), ("item", "RANGE")
    if "hotstandby" not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName="hotstandby",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _kind in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    return dynamodb


@pytest.fixture
def lonely(tmp_path: Path, archive: Path, metadata_url: str) -> Iterator[NodeBox]:
    """hub-a without a table."""
    box = NodeBox(tmp_path, archive, metadata_url, "http://127.0.0.1:1")
    yield box
    box.end()


@pytest.fixture
def node(tmp_path: Path, archive: Path, metadata_url: str, aws_url: str, table: Any) -> Iterator[NodeBox]:
    """hub-a of a pair whose record names it with epoch 7."""
    box = NodeBox(tmp_path, archive, metadata_url, aws_url)
    box.table = table
    box.put_record("hub-a", 7)
    yield box
    box.end()
