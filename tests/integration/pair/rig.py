# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox pair as an operator and a tester have it: command lines, AWS's API, and the stand-ins' journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
SESSION = boto3.session.Session()
READS = ("Describe", "Get", "List", "Query", "Scan", "SendCommand:look", "StopInstances:DryRun")


@dataclass(frozen=True)
class Played:
    """What a playbook came to: exit code, all it printed, and the module's result."""

    rc: int
    text: str
    result: dict[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.result.get("outcome"))

    def steps(self) -> list[str]:
        return [step["name"] for step in self.result["steps"]]


class Run:
    """A playbook under way, in a process group of its own. `out` is where it leaves its result."""

    def __init__(self, argv: list[str], folder: Path, env: dict[str, str], out: Path) -> None:
        self.out = out
        self.process = subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def end(self, seconds: float = 300.0) -> Played:
        """Wait for it. A killed one has a negative exit code and no result."""
        text, _none = self.process.communicate(timeout=seconds)
        assert "Traceback" not in text, text
        result = json.loads(self.out.read_text()) if self.out.exists() else {}
        return Played(self.process.returncode, text, result)


class Rig:
    """One sandbox, reset for each test."""

    module = "sandbox"
    patience = 600  # seconds that its command line may take

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.info: dict[str, Any] = self._sandbox("up", *options)
        self.names = list(self.info["nodes"])
        self._seen = 0
        self._begun = 0
        self._clients: dict[str, Any] = {}

    def _sandbox(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", self.module, *words, "--state", str(self.state)],
            cwd=ROOT, capture_output=True, text=True, timeout=self.patience, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{self.module} {' '.join(words)}: {done.stderr[-3000:]}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def reset(self) -> None:
        self.info = self._sandbox("reset")

    def down(self) -> None:
        self._sandbox("down")

    def fault(self, *words: str) -> None:
        self._sandbox("fault", *words)

    def journal(self) -> dict[str, Any]:
        return self._sandbox("journal")

    def status(self) -> dict[str, Any]:
        return self._sandbox("status")

    def overlaps(self) -> int:
        return int(self.journal()["overlaps"])

    def events(self, *kinds: str) -> list[tuple[str, str]]:
        """(node, event) of the stand-ins' own record."""
        found = [(event["node"], event["event"]) for event in self.journal()["events"]]
        return [pair for pair in found if not kinds or pair[1] in kinds]

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            **self.info["env"],
        }

    def playbook(self, name: str, *arguments: str, env: dict[str, str] | None = None, **extra: Any) -> Played:
        """Run a playbook of the collection as an operator does."""
        return self.begin(name, *arguments, env=env, **extra).end()

    def begin(self, name: str, *arguments: str, env: dict[str, str] | None = None, **extra: Any) -> Run:
        """Begin to; a SANDBOX_RUN in `env` makes a trap find all of its processes."""
        self._begun += 1
        out = self.state / f"result-{self._begun}.json"
        out.unlink(missing_ok=True)
        words = [f"-e{key}={value}" for key, value in extra.items()]
        argv = [
            str(BIN / "ansible-playbook"), "-i", self.info["inventory"], f"hotstandby.ops.{name}",
            f"-ehotstandby_result_file={out}", *words, *arguments,
        ]  # fmt: skip
        # PWD as a shell has it
        return Run(argv, self.state, {**self.env, "PWD": str(self.state), **(env or {})}, out)

    def failover(self, *arguments: str, **extra: Any) -> Played:
        return self.playbook("failover", *arguments, **extra)

    def client(self, service: str) -> Any:
        """A client with the operator's keys, made once: reading a service's description takes as long as a small move."""
        if service not in self._clients:
            env = self.info["env"]
            self._clients[service] = SESSION.client(
                service,
                region_name=self.info["region"],
                endpoint_url=self.info["endpoint_url"],
                aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def record(self) -> dict[str, Any]:
        """The record item as it stands, typed as DynamoDB has it."""
        pair = self.info["pair"]
        got = self.client("dynamodb").get_item(
            TableName=pair["table"],
            Key={"pair": {"S": pair["name"]}, "item": {"S": "record"}},
            ConsistentRead=True,
        )
        item: dict[str, Any] = got["Item"]
        return item

    def _control(self, path: str, payload: dict[str, Any] | None = None) -> Any:
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(f"{self.info['endpoint_url']}/_sandbox/{path}", data=data)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """One question to the sandbox's daemon, as its command line asks it."""
        answer = self._control(f"world-{verb}", payload)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["answer"]
        return found

    def torment(self, target: str, *kinds: str) -> None:
        """Faults, without the command line's start."""
        for kind in kinds:
            self.ask("fault", target=target, kind=kind)

    def trap(self, call: str, act: str, **given: Any) -> None:
        """Arm a trap (docs/sandbox.md)."""
        self.ask("trap", call=call, act=act, **given)

    def sprung(self) -> bool:
        """Whether every armed trap has sprung."""
        return all(trap["sprung"] for trap in self.ask("traps")["traps"])

    def calls(self) -> list[dict[str, Any]]:
        """The operator's calls in the endpoint's own log."""
        found = self._control("calls")
        logged = found["calls"] if isinstance(found, dict) else found
        return [call for call in logged if call["key"] == self.info["env"]["AWS_ACCESS_KEY_ID"]]

    def clear_calls(self) -> None:
        self._seen = len(self.calls())

    def fresh_calls(self) -> list[dict[str, Any]]:
        """The operator's calls since `clear_calls`."""
        return self.calls()[self._seen :]

    def answering(self) -> list[str]:
        """The nodes whose agent SSM lists as online."""
        found = self.client("ssm").describe_instance_information()["InstanceInformationList"]
        online = {item["InstanceId"] for item in found if item["PingStatus"] == "Online"}
        return [name for name in self.names if self.info["nodes"][name]["instance_id"] in online]

    def active(self) -> str | None:
        return self.record()["active"].get("S")

    def power(self, node: str) -> str:
        found = self.client("ec2").describe_instances(InstanceIds=[self.info["nodes"][node]["instance_id"]])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    def on(self, node: str, *words: str, stdin: int = subprocess.DEVNULL) -> dict[str, Any]:
        """The node's own command, as a person on it runs it; `stdin` may be a terminal."""
        root = Path(self.info["nodes"][node]["root"])
        done = subprocess.run(
            [str(root / "usr/local/bin/hotstandby"), *words],
            env={"PATH": "/usr/bin:/bin", "HOME": "/", "HOTSTANDBY_ROOT": str(root), **self.node_env(node)},
            capture_output=True, text=True, timeout=120, check=False, stdin=stdin,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {**answer, "rc": done.returncode}

    def node_env(self, node: str) -> dict[str, str]:
        """What marks a process as this node's, so that its power loss ends it too."""
        return {"SANDBOX_NODE": f"{self.state}:{node}"}

    def running(self) -> list[str]:
        """The nodes on which the product runs, from the world's own truth."""
        found = self.status()["nodes"]
        return [name for name in self.names if found[name]["product"]]

    def until(self, what: Any, seconds: float = 20.0) -> None:
        """Wait until `what()` holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.1)
