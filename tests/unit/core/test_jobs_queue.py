# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as work: what a command gets of one, and what becomes of it."""

from __future__ import annotations

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import jobs_queue
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import JobError
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_queue import Message, Place, Rules

OWN = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/work"


@pytest.mark.parametrize(
    ("rc", "receives", "asked", "expected"),
    [(0, 1, False, None), (0, 1, True, None), (75, 5, False, 0.0), (1, 1, True, 0.0), (1, 1, False, 30.0), (1, 3, False, 120.0),
     (1, 500, False, 900.0)],
)  # fmt: skip
def test_only_exit_0_is_done_and_failures_wait_longer_each_time(
    rc: int, receives: int, asked: bool, expected: float | None
) -> None:
    assert jobs_queue.hidden_for(rc, Message("m", "r", "", receives), Rules(), asked) == expected


def test_attributes_become_the_variables_that_were_asked_for_and_no_others() -> None:
    raw = {
        "MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": "4"},
        "MessageAttributes": {"Name": {"DataType": "String", "StringValue": "x\0y"}, "Raw": {"DataType": "Binary", "BinaryValue": b"1"},
                              "PATH": {"DataType": "String", "StringValue": "/evil"}},
    }  # fmt: skip
    message = jobs_queue.parse_message(raw)
    rules = Rules(names=jobs_queue.parse_names(["Name", "Raw", "Absent=OTHER"]))
    assert jobs_queue.environment(message, rules, "url") == {
        "Name": "xy", "Raw": "", "OTHER": "", "HOTSTANDBY_QUEUE": "url", "HOTSTANDBY_MESSAGE_ID": "m", "HOTSTANDBY_RECEIVES": "4",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "",
        "=A",
        "a-b",
        "1a",
        "x=",
        "PATH",
        "x=LD_PRELOAD",
        "BASH_ENV",
        "AWS_PROFILE",
        "https_proxy",
        "HOTSTANDBY_NODE",
        "é",
    ],
)
def test_names_that_are_none_or_change_how_a_command_runs_are_refused(name: str) -> None:
    with pytest.raises(JobError, match=r"^env:"):
        jobs_queue.parse_names([name])


def test_a_variable_is_named_once() -> None:
    assert jobs_queue.parse_names(["Name=JOB", "Other"]) == (("Name", "JOB"), ("Other", "Other"))
    with pytest.raises(JobError, match="twice"):
        jobs_queue.parse_names(["Name", "Other=Name"])


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        (OWN, (), Place(OWN, "work", "ap-northeast-1", None)),
        (OWN, ("", "", "eu-west-1"), Place(OWN, "work", "ap-northeast-1", None)),
        ("http://127.0.0.1:5000/1/work", ("", "", "eu-west-1"), Place("http://127.0.0.1:5000/1/work", "work", "eu-west-1", "http://127.0.0.1:5000")),
        (OWN, ("us-east-1", "http://vpce"), Place(OWN, "work", "us-east-1", "http://vpce")),
    ],
)  # fmt: skip
def test_where_a_queue_is(url: str, given: tuple[str, ...], expected: Place) -> None:
    assert jobs_queue.parse_queue(url, *given) == expected


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("work", "queue"),
        ("https://", "queue"),
        ("ftp://a/b", "queue"),
        ("http://[", "queue"),
        ("http://h/q", "region"),
    ],
)
def test_a_queue_that_is_nowhere_is_refused(url: str, named: str) -> None:
    with pytest.raises(JobError, match=f"^{named}:"):
        jobs_queue.parse_queue(url)


@pytest.mark.parametrize(
    ("rules", "named"),
    [(Rules(visibility=1), "visibility"), (Rules(visibility=43200), "visibility"), (Rules(limit=42901), "limit"), (Rules(limit=0), "limit"),
     (Rules(poll=21), "poll"), (Rules(max=0), "max"), (Rules(backoff=43201), "backoff")],
)  # fmt: skip
def test_bad_rules_are_refused_by_name(rules: Rules, named: str) -> None:
    with pytest.raises(JobError, match=f"^{named}:"):
        jobs_queue.check_rules(rules)


def test_a_command_is_ended_before_sqs_shows_its_message_again() -> None:
    assert jobs_queue.check_rules(Rules()).most == 42900
    assert jobs_queue.check_rules(Rules(visibility=1000)).most == 42200
    assert jobs_queue.check_rules(Rules(limit=60.0)).most == 60


def test_a_queue_is_a_job() -> None:
    assert [jobs_queue.job_of(name) for name in ("work.fifo", "-x", "a b")] == [
        "work.fifo",
        "queue--x",
        "a-b",
    ]
