# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a consumer tells CloudWatch: the output of its jobs, line by line, and for each job whether it succeeded and how old it was.

A thread does it, so that no job waits for CloudWatch. What cannot be told goes to the consumer's own error output.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any, Callable, Optional

from ..clients import error_code, explain, make_client
from ..health import NAMESPACE
from ..jobs_queue import Message
from .light import light_client_of

EVERY = 1.0  # seconds between two looks at what the jobs wrote
LINE = 65536  # bytes of one event; a longer line is cut into several
BATCH_BYTES, BATCH_LINES = 500_000, 1000  # below what PutLogEvents takes
DATA = 500  # of one PutMetricData
KEPT = 20_000  # lines and data that wait while CloudWatch does not answer; older ones go to the error output
END = 15.0  # seconds that the last words may take
LEASE = 30.0  # bounds each call to a third

Clients = Callable[[str], Any]


def clients_of(region: str, endpoint: Optional[str]) -> Clients:
    """What makes a client of `monitoring` or `logs`, without boto3 where that can be."""

    def make(service: str) -> Any:
        found = light_client_of(service, region, endpoint, LEASE)
        named = {"monitoring": "cloudwatch"}.get(service, service)
        return found if found is not None else make_client(named, region, endpoint, lease=LEASE)

    return make


class Output:
    """What one job writes: a file without a name, read while it grows."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the job
        self._read = 0
        self._rest = b""
        self.closed = False

    @property
    def handle(self) -> int:
        """For the command's output and error output."""
        return self._file.fileno()

    def lines(self) -> list[str]:
        """What came since the last time; the last line only once it is whole, or the job has ended."""
        ended = self.closed
        found = b""
        while len(found) < 8 * BATCH_BYTES:
            data = os.pread(self.handle, BATCH_BYTES, self._read)
            if not data:
                break
            self._read += len(data)
            found += data
        data = self._rest + found
        whole, newline, self._rest = data.rpartition(b"\n")
        parts = whole.split(b"\n") if newline else []
        if self._rest and (len(self._rest) >= LINE or (ended and not found)):
            parts.append(self._rest)
            self._rest = b""
        return [
            f"{self.label} {part[at : at + LINE].decode('utf-8', 'replace')}"
            for part in parts
            for at in range(0, max(1, len(part)), LINE)
        ]

    def done(self) -> bool:
        """Whether everything was read of a job that has ended; then the file is gone."""
        if not self.closed or self._rest or os.fstat(self.handle).st_size > self._read:
            return False
        self._file.close()
        return True


class Report:
    """`log_group` for the jobs' output, or empty: then jobs write where the consumer does. `metrics`: whether to put them."""

    def __init__(
        self,
        queue: str,
        node: str,
        log_group: str,
        metrics: bool,
        clients: Clients,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue, self._group, self._metrics = queue, log_group, metrics
        self._make, self._say, self._clock = clients, say, clock
        self._stream = f"{node}/{int(clock())}-{os.getpid()}"
        self._lock = threading.Lock()
        self._outputs: list[Output] = []
        self._lines: list[tuple[int, str]] = []
        self._data: list[dict[str, Any]] = []
        self._streaming = False
        self._clients: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._told = ""

    def begin(self) -> None:
        """From now on, where there is anything to tell."""
        if self._group or self._metrics:
            self._thread = threading.Thread(target=self._run, name="report", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """The last words, for so long as END."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(END)
            for text in self._left():
                self._say(text)

    # -- what the consumer says

    def job(self, message: Message) -> str:
        """The job's name: the attribute Name, else the queue's."""
        return message.attributes.get("Name", "")[:200] or self._queue

    def output(self, message: Message) -> Optional[Output]:
        """Where this job writes; None for where the consumer does."""
        if not self._group:
            return None
        found = Output(f"{self.job(message)} {message.id}")
        with self._lock:
            self._outputs.append(found)
        return found

    def result(self, message: Message, succeeded: bool) -> None:
        """How one delivery ended."""
        if not self._metrics:
            return
        named = [{"Name": "Queue", "Value": self._queue}, {"Name": "Job", "Value": self.job(message)}]
        now = self._clock()
        found = [("JobSucceeded", float(succeeded), "Count")]
        if succeeded and message.sent:
            found.append(("JobAge", max(0.0, now - message.sent), "Seconds"))
        with self._lock:
            self._data += [
                {"MetricName": name, "Value": value, "Unit": unit, "Timestamp": int(now), "Dimensions": named}
                for name, value, unit in found
            ]

    # -- the thread

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(EVERY)
            while self._look() and not self._failing():
                pass
        until = time.monotonic() + END
        while (self._lines or self._data) and time.monotonic() < until - 5:
            time.sleep(EVERY)
            self._look()

    def _failing(self) -> bool:
        return bool(self._told)

    def _look(self) -> bool:
        """Read, and tell one batch of each; whether there is more."""
        now = int(self._clock() * 1000)
        with self._lock:
            outputs = list(self._outputs)
        for output in outputs:
            self._lines += [(now, line) for line in output.lines()]
            if output.done():
                with self._lock:
                    self._outputs.remove(output)
        try:
            self._put_lines()
            self._put_data()
            self._told = ""
        except Exception as error:
            self._clients.clear()
            text = explain(error, "CloudWatch")
            if text != self._told:
                self._say(f"not told to CloudWatch yet: {text}")
            self._told = text
        self._bound()
        return bool(self._lines or self._data)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]

    def _put_lines(self) -> None:
        size = count = 0
        for _at, line in self._lines[:BATCH_LINES]:
            size += len(line.encode("utf-8", "replace")) + 26
            if count and size > BATCH_BYTES:
                break
            count += 1
        if not count:
            return
        client = self._client("logs")
        if not self._streaming:
            try:
                client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
            except Exception as error:
                if error_code(error) != "ResourceAlreadyExistsException":
                    raise
            self._streaming = True
        events = [{"timestamp": at, "message": line} for at, line in self._lines[:count]]
        client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)
        del self._lines[:count]

    def _put_data(self) -> None:
        with self._lock:
            data = self._data[:DATA]
        if data:
            self._client("monitoring").put_metric_data(Namespace=NAMESPACE, MetricData=data)
            with self._lock:
                del self._data[: len(data)]

    def _bound(self) -> None:
        for _at, line in self._lines[: max(0, len(self._lines) - KEPT)]:
            self._say(line)
        del self._lines[: max(0, len(self._lines) - KEPT)]
        with self._lock:
            del self._data[: max(0, len(self._data) - KEPT)]

    def _left(self) -> Sequence[str]:
        lines = [line for _at, line in self._lines]
        return [*lines, f"{len(self._data)} metrics were not told to CloudWatch"] if self._data else lines
