# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's own client: signed as botocore signs, answered and refused as boto3's."""

from __future__ import annotations

import datetime
import json
import os
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import error_code, is_passing
from ansible_collections.hotstandby.ops.plugins.module_utils.node import light
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.record import RecordMissing, RecordUnreadable
from ansible_collections.hotstandby.ops.plugins.module_utils.store import RecordStore
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "ap-northeast-1"
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize("token", ["", "a+token/with=signs"])
@pytest.mark.parametrize(
    "path", ["/", "/2015-03-31/functions/hotstandby-hub/invocations", "/functions/a%3Ab/x"]
)
def test_it_signs_as_botocore_does(monkeypatch: pytest.MonkeyPatch, token: str, path: str) -> None:
    body, headers = (
        b'{"TableName": "t"}',
        {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "a/b"},
    )
    url = f"https://dynamodb.{REGION}.amazonaws.com{path}"
    request = AWSRequest("POST", url, data=body, headers=headers)
    signer = SigV4Auth(Credentials("AKID", "secret/+", token or None), "dynamodb", REGION)

    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None)
    )
    signer.add_auth(request)
    keys = light.Keys("AKID", "secret/+", token)
    host = urllib.parse.urlsplit(url).netloc
    quoted = urllib.parse.quote(path, safe="/-_.~")
    found = light.sign(keys, "dynamodb", REGION, "POST", host, quoted, headers, body, "20260102T030405Z")
    assert found["authorization"] == request.headers["Authorization"]
    assert found.get("x-amz-security-token", "") == token


class Service:
    """Answers on loopback what a test wants; `asked` holds what came."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, answer = service.answers.pop(0) if service.answers else (200, {})
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
                # the next request finds a connection that the server has closed, as an idle one is
                self.close_connection = True

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def client(url: str, name: str = "dynamodb", lease: float = 3.0) -> light.LightClient:
    return light.LightClient(
        name, REGION, url, light.Credentials(lambda: light.Keys("AKID", "secret")), lease
    )


def refusal(code: str) -> dict[str, Any]:
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}


def test_a_store_reads_and_writes_through_it(service: Service) -> None:
    store = RecordStore(client(service.url), "hotstandby", "hub-prod")
    with pytest.raises(RecordMissing):
        store.read()
    store.put_heartbeat("hub-a", "i-0aaaaaaaaaaaaaaaa", "boot", 7, "running")
    path, headers, body = service.asked[-1]
    item = json.loads(body)["Item"]
    assert (path, headers["x-amz-target"]) == ("/", "DynamoDB_20120810.PutItem")
    assert item["epoch"] == {"N": "7"} and item["item"] == {"S": "heartbeat#hub-a"}
    assert store.now() is not None, "the Date of the answer is the store's clock"


def test_errors_carry_what_botocores_carry(service: Service) -> None:
    for status, code, passing in (
        (400, "ConditionalCheckFailedException", False),
        (400, "AccessDeniedException", False),
        (400, "ProvisionedThroughputExceededException", True),
        (500, "InternalServerError", True),
    ):
        service.answers = [(status, refusal(code))]
        with pytest.raises(light.ServiceError) as caught:
            client(service.url).get_item(TableName="t", Key={})
        assert (error_code(caught.value), is_passing(caught.value)) == (code, passing)


def test_what_may_pass_is_tried_as_often_as_clients_py_says(service: Service) -> None:
    service.answers = [(500, refusal("InternalServerError")), (200, {"Item": {}})]
    assert client(service.url, lease=15.0).get_item(TableName="t", Key={})["Item"] == {}
    assert len(service.asked) == 2
    service.answers = [(400, refusal("AccessDeniedException")), (200, {})]
    with pytest.raises(light.ServiceError):
        client(service.url, lease=15.0).get_item(TableName="t", Key={})
    assert len(service.asked) == 3


def test_a_connection_that_was_closed_meanwhile_is_made_anew(service: Service) -> None:
    made = client(service.url)
    for _call in range(3):
        made.get_item(TableName="t", Key={})
    assert len(service.asked) == 3


def test_a_table_that_is_not_there_is_unreadable() -> None:
    store = RecordStore(client("http://127.0.0.1:1"), "hotstandby", "hub-prod")
    with pytest.raises(RecordUnreadable):
        store.read()


def test_a_function_is_invoked_asynchronously(service: Service) -> None:
    service.answers = [(202, {})]
    client(service.url, "lambda").invoke(FunctionName="hotstandby-hub", InvocationType="Event", Payload=b"{}")
    path, headers, body = service.asked[0]
    assert (path, body) == ("/2015-03-31/functions/hotstandby-hub/invocations", b"{}")
    assert headers["x-amz-invocation-type"] == "Event"


def test_credentials_are_fetched_again_before_they_end() -> None:
    fetched: list[light.Keys | None] = [light.Keys("A", "s", "t", until=0.0), light.Keys("B", "s", "t")]
    credentials = light.Credentials(lambda: fetched.pop(0))
    assert credentials.get().key == "B"
    with pytest.raises(light.NoCredentialsError) as caught:
        light.Credentials(lambda: None).get()
    assert not is_passing(caught.value)


PAIR = {
    "name": "hub-prod", "region": REGION, "table": "hotstandby", "service": "systemd", "product": {"unit": "x.service"},
    "nodes": [{"name": "a", "instance_id": "i-0aaaaaaaaaaaaaaaa"}, {"name": "b", "instance_id": "i-0bbbbbbbbbbbbbbbb"}],
    "fencing": {"method": "none"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "region", "made"),
    [
        ({}, REGION, True),
        ({}, "cn-north-1", True),
        ({}, "us-gov-east-1", False),
        ({}, "us-iso-east-1", False),
        ({"HTTPS_PROXY": "http://proxy:1"}, REGION, False),
        ({"AWS_PROFILE": "x"}, REGION, False),
        ({"AWS_ENDPOINT_URL": "http://x"}, REGION, False),
    ],
)
def test_boto3_is_used_where_anything_is_special(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, environment: dict[str, str], region: str, made: bool
) -> None:
    for name in light.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "HOME": str(tmp_path),
        **environment,
    }.items():
        monkeypatch.setenv(name, value)
    assert (light.light_client("dynamodb", parse_pair({**PAIR, "region": region}), 3.0) is not None) is made


def test_a_file_of_credentials_is_botocores_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in light.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not light.plain_surroundings(os.environ)
