# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One endpoint for all tests here, real boto3 against it, and an agent that is a thread."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoint import Caller, Endpoint, NoHypervisor

KEY = "AKIACONTROLLER000000"
NUMBERS = itertools.count()
REGION = "ap-northeast-1"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def served() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.start()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def endpoint(served: Endpoint) -> Iterator[Endpoint]:
    served.keys = {KEY: Caller("controller", "controller")}
    served.latency = 0.0
    served.stop_seconds = 0.05
    served.hypervisor = NoHypervisor()
    served.agents.hidden_calls = 1
    served.agents.hidden_listings = 0
    served.faults.clear()
    served.status_checks.clear()
    served.clear_calls()
    served.unimplemented.clear()
    yield served
    served.faults.clear()
    served.reset_state()


Clients = Callable[..., Any]


@pytest.fixture(scope="module")
def _cached() -> dict[tuple[str, str], Any]:
    return {}


@pytest.fixture
def client(endpoint: Endpoint, _cached: dict[tuple[str, str], Any]) -> Clients:
    """A boto3 client by service, and by access key; it never tries a call twice."""

    def make(service: str, key: str = KEY) -> Any:
        if (service, key) not in _cached:
            import boto3
            from botocore.config import Config

            config = Config(
                retries={"total_max_attempts": 1}, parameter_validation=False, s3={"addressing_style": "path"}
            )
            _cached[service, key] = boto3.session.Session(key, "secret", region_name=REGION).client(
                service, endpoint_url=endpoint.url, config=config
            )
        return _cached[service, key]

    return make


@pytest.fixture
def code() -> Callable[..., str]:
    """The AWS error code that a call ends with."""

    def of(call: Callable[..., Any], **arguments: Any) -> str:
        from botocore.exceptions import ClientError

        with pytest.raises(ClientError) as caught:
            call(**arguments)
        return str(caught.value.response["Error"]["Code"])

    return of


@pytest.fixture
def instance(client: Clients) -> str:
    """A new running instance."""
    answer = client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
    return str(answer["Instances"][0]["InstanceId"])


def until(condition: Callable[[], Any], seconds: float = 3.0) -> Any:
    """What the condition gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


def post(endpoint: Endpoint, path: str, payload: Any) -> tuple[int, Any]:
    """POST to the sandbox's own paths; status and answer. Raises when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
    try:
        connection.request("POST", f"/_sandbox/{path}", json.dumps(payload))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture(name="post")
def post_fixture(endpoint: Endpoint) -> Callable[..., tuple[int, Any]]:
    return lambda path, payload: post(endpoint, path, payload)


class ThreadAgent:
    """Polls, runs with /bin/sh, reports. `hold` keeps what it was given without running it."""

    def __init__(self, endpoint: Endpoint, key: str, instance_id: str) -> None:
        self.endpoint, self.key, self.instance_id = endpoint, key, instance_id
        self.hold = False
        self.got: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.when: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> ThreadAgent:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join(3)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                status, answer = post(
                    self.endpoint, "agent/poll", {"key": self.key, "instance_id": self.instance_id}
                )
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if status != 200:
                time.sleep(0.05)
                continue
            self.cancelled.extend(answer.get("cancel", []))
            if "invocation" in answer:
                self.when.append(time.monotonic())
                self.got.append(answer["invocation"])
                if not self.hold:
                    threading.Thread(target=self._run, args=(answer["invocation"],), daemon=True).start()

    def _run(self, invocation: dict[str, Any]) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", invocation["script"]], capture_output=True, text=True, check=False
        )
        status = "Failed" if done.returncode else "Success"
        self.report(invocation["command_id"], done.returncode, done.stdout, done.stderr, status)

    def report(self, command_id: str, rc: int, stdout: str, stderr: str, status: str) -> None:
        facts = {"command_id": command_id, "rc": rc, "stdout": stdout, "stderr": stderr, "status": status}
        post(self.endpoint, "agent/report", {"key": self.key, "instance_id": self.instance_id, **facts})


@pytest.fixture
def agent(endpoint: Endpoint) -> Iterator[Callable[..., ThreadAgent]]:
    """Registers an instance and starts its agent."""
    made: list[ThreadAgent] = []

    def make(instance_id: str, running: bool = True) -> ThreadAgent:
        key = f"AKIA{next(NUMBERS):016d}"
        endpoint.keys[key] = Caller(f"node{len(made)}", "node", instance_id)
        endpoint.agents.register(instance_id)
        one = ThreadAgent(endpoint, key, instance_id)
        made.append(one)
        return one.start() if running else one

    yield make
    for one in made:
        one.stop()
        endpoint.agents.unregister(one.instance_id)
    for one in made:
        one.join()


@pytest.fixture
def call_of(client: Clients) -> Callable[[str, str], Callable[..., Any]]:
    """A client's method by name."""
    return lambda service, name: getattr(client(service), name)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = tmp_path_factory.mktemp("bin") / "hotstandby.pyz"
    subprocess.run(
        [sys.executable, str(ROOT / "hack" / "build_zipapp.py"), str(found)], check=True, timeout=120
    )
    front = found.with_name("hotstandby")
    front.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{found}" "$@"\n', encoding="utf-8")
    front.chmod(0o755)
    return str(front)
