# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a consumer tells CloudWatch: every line and every result once, in order, and nothing lost while it does not answer."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_queue import Message
from ansible_collections.hotstandby.ops.plugins.module_utils.node import queue_report
from ansible_collections.hotstandby.ops.plugins.module_utils.node.queue_report import Output, Report

MESSAGE = Message("m-1", "r-1", "", 1, {"Name": "nightly"}, sent=1000.0)


class Cloud:
    """Both services. `failing` counts the calls that fail next."""

    def __init__(self) -> None:
        self.failing = 0
        self.streams: list[str] = []
        self.lines: list[str] = []
        self.data: list[dict[str, Any]] = []

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError("no way there")

    def create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        self._fail()
        self.streams.append(f"{logGroupName} {logStreamName}")

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        self._fail()
        assert len(logEvents) <= 10_000 and sum(len(one["message"]) + 26 for one in logEvents) <= 1_048_576
        assert [one["timestamp"] for one in logEvents] == sorted(one["timestamp"] for one in logEvents)
        self.lines += [one["message"] for one in logEvents]

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:
        self._fail()
        assert Namespace == "HotStandby" and len(MetricData) <= 1000
        self.data += MetricData


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def report(cloud: Cloud, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(queue_report, "EVERY", 0.01)
    return Report(
        "jobs", "i-1", "/hotstandby/jobs", True, lambda _service: cloud, said.append, lambda: 1060.0
    )


def test_lines_are_told_whole_and_once() -> None:
    output = Output("nightly m-1")
    os.write(output.handle, b"one\ntw")
    assert output.lines() == ["nightly m-1 one"] and not output.done()
    os.write(output.handle, b"o\n\nthree")
    assert output.lines() == ["nightly m-1 two", "nightly m-1 "]
    output.closed = True
    assert not output.done()
    assert output.lines() == ["nightly m-1 three"] and output.done()


def test_a_line_without_end_is_cut() -> None:
    output = Output("x")
    os.write(output.handle, b"a" * (queue_report.LINE + 1))
    assert [len(line) for line in output.lines()] == [queue_report.LINE + 2, 3]


def test_output_and_results_arrive(report: Report, cloud: Cloud, said: list[str]) -> None:
    report.begin()
    output = report.output(MESSAGE)
    assert output is not None
    os.write(output.handle, b"did it\n" * 3000)
    report.result(MESSAGE, True)
    output.closed = True
    report.result(Message("m-2", "r-2", ""), False)
    report.end()
    assert cloud.lines == ["nightly m-1 did it"] * 3000 and said == []
    assert len(cloud.streams) == 1 and cloud.streams[0].startswith("/hotstandby/jobs i-1/1060-")
    told = [(one["MetricName"], one["Value"], one["Dimensions"][1]["Value"]) for one in cloud.data]
    assert told == [
        ("JobSucceeded", 1.0, "nightly"),
        ("JobAge", 60.0, "nightly"),
        ("JobSucceeded", 0.0, "jobs"),
    ]


def test_what_cannot_be_told_is_told_later(report: Report, cloud: Cloud, said: list[str]) -> None:
    cloud.failing = 2
    output = report.output(MESSAGE)
    assert output is not None
    os.write(output.handle, b"did it\n")
    output.closed = True
    report.result(MESSAGE, True)
    assert report._look() and report._look()
    assert len(said) == 1 and "no way there" in said[0]
    assert not report._look() and cloud.lines == ["nightly m-1 did it"] and len(cloud.data) == 2


def test_what_is_never_told_goes_to_the_error_output(
    report: Report, cloud: Cloud, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_report, "END", 0.0)
    monkeypatch.setattr(queue_report, "KEPT", 3)
    cloud.failing = 1000
    output = report.output(MESSAGE)
    assert output is not None
    os.write(output.handle, b"1\n2\n3\n4\n5\n")
    report.result(MESSAGE, True)
    report._look()
    assert said[1:] == ["nightly m-1 1", "nightly m-1 2"]
    assert report._left() == [
        "nightly m-1 3",
        "nightly m-1 4",
        "nightly m-1 5",
        "2 metrics were not told to CloudWatch",
    ]


def test_nothing_is_done_where_nothing_is_wanted(cloud: Cloud) -> None:
    silent = Report("jobs", "i-1", "", False, lambda _service: cloud, print)
    silent.begin()
    assert silent.output(MESSAGE) is None
    silent.result(MESSAGE, True)
    silent.end()
    assert cloud.data == [] and cloud.lines == []
