# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lambda as it is: the zip in a process of its own, kept warm, with its environment, time limit and event queue."""

from __future__ import annotations

import hashlib
import io
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import zipfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Endpoint

ATTEMPTS = 3  # an event whose function fails is tried twice more
RETRY = (1.0, 2.0)  # seconds between; Lambda waits one and two minutes
KEPT = 500  # runs that are remembered
GRACE = 5.0  # seconds for a process to start

BOOTSTRAP = """
import importlib, json, os, sys, time, traceback
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path.insert(0, sys.argv[1])
module, _, name = sys.argv[2].rpartition(".")
class Context:
    def __init__(self, request, until):
        self.aws_request_id, self._until = request, until
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    def get_remaining_time_in_millis(self):
        return max(0, int(1000 * (self._until - time.monotonic())))
for line in sys.stdin:
    asked = json.loads(line)
    try:
        found = getattr(importlib.import_module(module), name)
        answer = {"ok": True, "result": found(asked["event"], Context(asked["id"], asked["until"]))}
        text = json.dumps(answer)
    except BaseException as error:
        traceback.print_exc()
        text = json.dumps({"ok": False, "result": {"errorType": type(error).__name__, "errorMessage": str(error)}})
    out.write(text + "\\n")
    out.flush()
"""


@dataclass(frozen=True)
class Ran:
    """One run. `event` is the detail-type or a word of ours, times in epoch seconds."""

    function: str
    event: str
    began: float
    ended: float
    ok: bool
    result: Any


class Functions:
    """Runs functions. `key` and `secret` are what they call AWS with; `owner` marks their processes.

    `refused` lists the sources that invoked without a permission.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._place = Path(tempfile.mkdtemp(prefix="sandbox-functions-"))
        self._lock = threading.Lock()
        self._idle: dict[str, list[subprocess.Popen[str]]] = {}
        self._all: set[subprocess.Popen[str]] = set()
        self._ended = False
        self._chilled = 0
        self.key = self.secret = ""
        self.owner: dict[str, str] = {}
        self.ran: list[Ran] = []
        self.refused: list[str] = []

    def stop(self) -> None:
        """End every process."""
        self._ended = True
        self.chill()
        shutil.rmtree(self._place, ignore_errors=True)

    def chill(self) -> None:
        """End every warm and every running process."""
        with self._lock:
            self._chilled += 1
            found, self._idle = list(self._all), {}
            self._all.clear()
        for process in found:
            _end(process)

    def forget(self) -> None:
        """Nothing has run."""
        self.ran.clear()
        self.refused.clear()

    def runs(self) -> list[dict[str, Any]]:
        """What has run, the oldest first."""
        return [asdict(one) for one in list(self.ran)]

    def find(self, name: str) -> Any:
        """moto's function of this name or ARN, its latest; None when there is none."""
        from .mended import regions

        short = name.rpartition(":function:")[2].split(":")[0] if ":function:" in name else name
        for backend in regions("lambda"):
            for function in backend.list_functions():
                if function.function_name == short:
                    return function
        return None

    # -- from events

    def event(self, arn: str, event: dict[str, Any], principal: str, source: str) -> None:
        """Queue an event for a function, if its policy lets that source invoke it."""
        function = self.find(arn)
        if function is None or not _permits(function, principal, source):
            self.refused.append(f"{source} -> {arn}")
            return
        self.queue(arn, event)

    def queue(self, arn: str, event: Any) -> None:
        """An asynchronous invocation: tried again when it fails, and dead at last."""
        threading.Thread(target=self._attempts, args=(arn, event), name="event", daemon=True).start()

    def _attempts(self, arn: str, event: Any) -> None:
        error: Any = None
        chilled = self._chilled
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(RETRY[attempt - 1])
            function = self.find(arn)
            if function is None or self._ended or self._chilled != chilled:
                return  # what was ended on purpose has not failed: a pair that is made anew meets no event of the old one
            ok, error = self.run(function, event)
            if ok:
                return
        if self._chilled == chilled:
            self._dead(arn, event, error)

    def _dead(self, arn: str, event: Any, error: Any) -> None:
        """What failed for good goes to the dead-letter queue."""
        from .mended import regions

        function = self.find(arn)
        wanted = (getattr(function, "dead_letter_config", None) or {}).get("TargetArn")
        for backend in regions("sqs"):
            with self._endpoint.moto.lock("sqs"):
                for queued in backend.queues.values():
                    if queued.queue_arn == wanted:
                        backend.send_message(
                            queued.name,
                            json.dumps(event),
                            {
                                name: {"DataType": kind, "StringValue": value}
                                for name, kind, value in (
                                    ("RequestID", "String", str(uuid.uuid4())),
                                    ("ErrorCode", "Number", "200"),
                                    ("ErrorMessage", "String", json.dumps(error)[:1000]),
                                )
                            },
                        )

    # -- one run

    def run(self, function: Any, event: Any) -> tuple[bool, Any]:
        """Run a function once: (whether it returned, what it returned or {errorType, errorMessage})."""
        began = time.time()
        try:
            ok, result = self._work(function, event)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            ok, result = False, {"errorType": "Runtime.ExitError", "errorMessage": str(error)}
        name = (
            str(event.get("detail-type") or ("own" if "hotstandby" in event else ""))
            if isinstance(event, dict)
            else ""
        )
        self._measure(function, ok)
        self.ran.append(Ran(function.function_name, name, began, time.time(), ok, result))
        del self.ran[:-KEPT]
        return ok, result

    def _measure(self, function: Any, ok: bool) -> None:
        """The datapoints that Lambda puts for each run."""
        from .mended import backend

        if "monitoring" in self._endpoint.faults.down:
            return
        dimensions = [{"Name": "FunctionName", "Value": function.function_name}]
        now = datetime.now(timezone.utc)
        with self._endpoint.moto.lock("monitoring"):
            backend("cloudwatch", function.region).put_metric_data(
                "AWS/Lambda",
                [
                    {
                        "MetricName": name,
                        "Dimensions": dimensions,
                        "Value": value,
                        "Timestamp": now,
                        "Unit": "Count",
                    }
                    for name, value in (("Invocations", 1.0), ("Errors", 0.0 if ok else 1.0))
                ],
            )

    def _work(self, function: Any, event: Any) -> tuple[bool, Any]:
        limit = float(function.timeout)
        environment = self._environment(function)
        mark = hashlib.sha256(
            repr((function.code_sha_256, function.handler, sorted(environment.items()))).encode()
        ).hexdigest()
        process = self._warm(mark, function, environment)
        request = str(uuid.uuid4())
        asked = {"event": event, "id": request, "until": time.monotonic() + limit}
        answers: queue.Queue[str] = queue.Queue()
        assert process.stdin is not None and process.stdout is not None
        reader = process.stdout
        threading.Thread(target=lambda: answers.put(reader.readline()), daemon=True).start()
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        try:
            line = answers.get(timeout=limit + 0.05)
        except queue.Empty:
            self._lost(process)
            return False, {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"{request} Task timed out after {limit:.2f} seconds",
            }
        if not line:
            self._lost(process)
            return False, {"errorType": "Runtime.ExitError", "errorMessage": f"{request} the process ended"}
        with self._lock:
            if process in self._all:
                self._idle.setdefault(mark, []).append(process)
        answer = json.loads(line)
        return bool(answer["ok"]), answer["result"]

    def _lost(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._all.discard(process)
        _end(process)

    def _environment(self, function: Any) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.owner,
            **{str(name): str(value) for name, value in function.environment_vars.items()},
        }

    def _warm(self, mark: str, function: Any, environment: dict[str, str]) -> subprocess.Popen[str]:
        """A process of exactly this code and environment: an idle one, or a new one."""
        with self._lock:
            waiting = self._idle.get(mark, [])
            while waiting:
                process = waiting.pop()
                if process.poll() is None:
                    return process
                self._all.discard(process)
        place = self._unpack(function)
        process = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, str(place), function.handler],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place, env=environment, text=True, start_new_session=True,
        )  # fmt: skip
        with self._lock:
            self._all.add(process)
        return process

    def _unpack(self, function: Any) -> Path:
        place = self._place / hashlib.sha256(function.code_bytes).hexdigest()
        with self._lock:
            if not place.exists():
                beside = place.with_suffix(".new")
                with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                    archive.extractall(beside)
                beside.rename(place)
        return place


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _permits(function: Any, principal: str, source: str) -> bool:
    """Whether the function's policy lets this service invoke it for this source."""
    for statement in function.policy.statements:
        service = (statement.get("Principal") or {}).get("Service")
        if statement.get("Effect") != "Allow" or service != principal:
            continue
        if statement.get("Action") not in ("lambda:InvokeFunction", "lambda:*"):
            continue
        conditions = [
            str(wanted)
            for kind in (statement.get("Condition") or {}).values()
            for key, wanted in kind.items()
            if key.lower() == "aws:sourcearn"
        ]
        if not conditions or source in conditions:
            return True
    return False


_mended: list[Any] = []


def mend(endpoint: Endpoint) -> None:
    """Let Invoke run the function for real, and let a function have its dead-letter queue."""
    from moto.awslambda.models import LambdaBackend, LambdaFunction

    _mended[:] = [endpoint]
    if hasattr(LambdaFunction, "sandbox_mended"):
        return
    LambdaFunction.sandbox_mended = True
    make, tell, update, load = (
        LambdaFunction.__init__,
        LambdaFunction.get_configuration,
        LambdaFunction.update_configuration,
        LambdaFunction.update_function_code,
    )

    def made(function: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        make(function, account_id, spec, *args, **kwargs)
        function.dead_letter_config = spec.get("DeadLetterConfig")

    def told(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = tell(function, *args, **kwargs)
        dead = getattr(function, "dead_letter_config", None)
        return {**found, "DeadLetterConfig": dead} if dead else found

    def updated(function: Any, config: dict[str, Any]) -> Any:
        if "DeadLetterConfig" in config:
            function.dead_letter_config = config["DeadLetterConfig"]
        return update(function, {key: value for key, value in config.items() if key != "DeadLetterConfig"})

    def loaded(function: Any, spec: dict[str, Any]) -> Any:
        # the one call that changes the architecture of a function that is there
        function.architectures = spec.get("Architectures") or function.architectures
        return load(function, spec)

    def invoke(
        backend: Any, name: str, qualifier: str | None, body: Any, headers: Any, response_headers: Any
    ) -> bytes | None:
        function = backend.get_function(name, qualifier)
        event = json.loads(body or b"null")
        functions: Functions = _mended[0].functions
        if _header(headers, "x-amz-invocation-type") == "Event":
            functions.queue(function.function_arn, event)
            return b""
        ok, result = functions.run(function, event)
        if not ok:
            response_headers["x-amz-function-error"] = "Unhandled"
        return json.dumps(result).encode()

    LambdaFunction.__init__, LambdaFunction.get_configuration = made, told
    LambdaFunction.update_configuration, LambdaFunction.update_function_code = updated, loaded
    LambdaBackend.invoke = invoke


def _header(headers: Any, name: str) -> str:
    return next((str(value) for key, value in dict(headers).items() if key.lower() == name), "")
