# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built `consume` on a queue: killed in mid-job, poison, a boot before the network, a queue that goes, keys that change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoint import Caller, Endpoint
from tests.integration.endpoint.conftest import KEY, REGION

Until = Callable[..., Any]
NEW_KEY = "AKIANEWKEY0000000000"


class Consumers:
    """A queue with a dead-letter queue (3 receives), and consumers of it."""

    def __init__(self, program: str, endpoint: Endpoint, sqs: Any, folder: Path) -> None:
        self.program, self.endpoint, self.sqs, self.folder = program, endpoint, sqs, folder
        self.dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        self.url = sqs.create_queue(QueueName="work", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
        self.credentials = folder / "credentials"
        self.made: list[subprocess.Popen[str]] = []
        self.metadata: dict[str, str] = {}
        self.keys(KEY)

    def keys(self, key: str) -> None:
        self.credentials.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")

    def send(self, body: str, **attributes: str) -> str:
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        return str(
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=typed)["MessageId"]
        )

    def start(self, command: str, *words: str) -> subprocess.Popen[str]:
        """A consumer; `command` is for sh, in a folder of its own."""
        env = {
            "PATH": f"{Path(self.program).parent}:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials), "HOTSTANDBY_NODE": f"n{len(self.made)}",
            **self.metadata,
        }  # fmt: skip
        where = ["--queue", self.url, "--region", REGION, "--endpoint-url", self.endpoint.url, "--poll", "1"]
        process = subprocess.Popen(
            [self.program, "consume", *where, *words, "--", "sh", "-c", command],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.made.append(process)
        return process

    def count(self, url: str = "") -> tuple[int, int]:
        """(waiting, in work)."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def lines(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def calls(self, action: str) -> int:
        return sum(call.action == action and call.status == 200 for call in self.endpoint.calls)


@pytest.fixture
def work(program: str, endpoint: Endpoint, client: Any, tmp_path: Path) -> Iterator[Consumers]:
    made = Consumers(program, endpoint, client("sqs"), tmp_path)
    yield made
    endpoint.faults.clear()
    for process in made.made:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.communicate()
    for url in client("sqs").list_queues().get("QueueUrls", []):
        client("sqs").delete_queue(QueueUrl=url)


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err and "secret" not in out + err
    return process.returncode, json.loads(out.splitlines()[-1]), err


def test_a_body_and_chosen_attributes_reach_the_command(work: Consumers) -> None:
    wanted = work.send('{"a": "ü"}', Name="nightly; rm -rf /", Other="x")
    process = work.start(
        'cat >body; echo "$JOB_NAME|$Other|$HOTSTANDBY_MESSAGE_ID|$HOTSTANDBY_RECEIVES" >>log',
        *("--env", "Name=JOB_NAME", "--max", "1"),
    )
    code, answer, _err = ended(process)
    assert (code, answer["done"], answer["received"]) == (0, 1, 1)
    assert (work.folder / "body").read_text() == '{"a": "ü"}'
    assert work.lines() == [f"nightly; rm -rf /||{wanted}|1"] and work.count() == (0, 0)


def test_a_check_asks_nobody(work: Consumers) -> None:
    work.send("job")
    once = ("--check", "--store", "dir:/not/there")
    work.endpoint.clear_calls()
    code, answer, _err = ended(work.start("echo ran >>log", *once))
    assert code == 0 and "the options make sense" in answer["message"]
    code, answer, _err = ended(work.start("echo ran >>log", *once, "--lease", "31"))
    assert code == 1 and answer["message"].startswith("visibility: 60 is less than twice the lease")
    assert list(work.endpoint.calls) == [] and work.lines() == [] and work.count() == (1, 0)


def test_killed_in_mid_job_the_message_comes_back_and_is_deleted_once(work: Consumers, until: Until) -> None:
    work.send("job")
    first = work.start("echo begun >>log; sleep 600", "--visibility", "3")
    until(work.lines, 60)
    first.kill()
    assert ended_badly(first)
    code, answer, _err = ended(work.start("echo again >>log", "--max", "1"))
    assert (code, answer["done"]) == (0, 1) and work.lines() == ["begun", "again"]
    assert work.calls("DeleteMessage") == 1 and work.count() == (0, 0)


def ended_badly(process: subprocess.Popen[str]) -> bool:
    process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


def test_killed_among_short_jobs_nothing_is_lost(work: Consumers, until: Until) -> None:
    """Ten are fetched and deleted at once; who dies in between has some of them worked again."""
    sent = {work.send("job") for _number in range(30)}
    command = 'echo "$HOTSTANDBY_MESSAGE_ID" >>log'
    first = work.start(command, "--visibility", "3")
    until(lambda: len(work.lines()) >= 5, 60)
    first.kill()
    assert ended_badly(first)
    code, _answer, _err = ended(work.start(command, "--idle-exit", "4"))
    # a message may have been shown three times by then only if it was worked in vain, which none was
    assert code == 0 and set(work.lines()) == sent and work.count() == (0, 0) == work.count(work.dead)
    assert work.calls("DeleteMessageBatch") >= 1 and len(work.lines()) - len(sent) <= 11


def test_a_long_job_keeps_its_message(work: Consumers) -> None:
    work.send("job")
    code, answer, _err = ended(work.start("sleep 5; echo ran >>log", "--visibility", "3", "--max", "1"))
    assert (code, answer["done"]) == (0, 1) and work.lines() == ["ran"]
    assert work.calls("ChangeMessageVisibility") >= 3 and work.count() == (0, 0)


def test_poison_goes_to_the_dead_letter_queue_and_the_next_message_runs(work: Consumers) -> None:
    work.send("{not json")
    work.send('{"good": true}')
    command = "python3 -c 'import json,sys; json.load(sys.stdin)' 2>/dev/null && echo ran >>log"
    code, answer, _err = ended(work.start(command, "--backoff", "0", "--idle-exit", "4"))
    assert (code, answer["done"], answer["failed"], answer["returned"]) == (0, 1, 0, 3)
    assert work.lines() == ["ran"] and work.count() == (0, 0) and work.count(work.dead) == (1, 0)


def test_75_gives_back_at_once_and_another_failure_after_a_back_off(work: Consumers) -> None:
    work.send("job")
    code, answer, _err = ended(work.start("exit 75", "--max", "1"))
    assert (code, answer["returned"], work.count()) == (0, 1, (1, 0))
    code, answer, err = ended(work.start("exit 9", "--max", "1", "--backoff", "100"))
    assert (code, answer["failed"], work.count()) == (0, 1, (0, 1))
    assert "exit code 9 at delivery 2: again in 200 s" in err


def test_boot_before_the_network(work: Consumers, until: Until) -> None:
    """O15: the queue is out of reach, then empty, then has a message."""
    work.endpoint.faults.partitioned.add(KEY)
    process = work.start("echo ran >>log", "--max", "1", "--idle-exit", "60")
    until(lambda: "out of reach" in os.read(process.stderr.fileno(), 4096).decode(), 60)  # type: ignore[union-attr]
    work.endpoint.faults.clear()
    until(lambda: work.calls("ReceiveMessage") >= 2, 60)
    work.send("job")
    code, answer, _err = ended(process)
    assert (code, answer["received"], answer["done"]) == (0, 1, 1)
    assert work.lines() == ["ran"] and work.calls("DeleteMessage") == 1


def test_a_queue_out_of_reach_for_too_long_is_75(work: Consumers) -> None:
    work.endpoint.faults.down.add("sqs")
    code, answer, _err = ended(work.start("true", "--patience", "1"))
    assert code == 75 and "out of reach" in answer["message"]


@pytest.mark.parametrize("finishes", [True, False])
def test_sigterm_lets_a_job_finish_or_gives_its_message_back(
    work: Consumers, until: Until, finishes: bool
) -> None:
    work.send("job")
    process = work.start("echo begun >>log; sleep 3; echo ended >>log", "--grace", "60" if finishes else "0")
    until(work.lines, 60)
    process.terminate()
    code, answer, _err = ended(process)
    assert (code, answer["why"]) == (0, "SIGTERM")
    if finishes:
        assert work.lines() == ["begun", "ended"] and (answer["done"], work.count()) == (1, (0, 0))
    else:
        assert work.lines() == ["begun"] and (answer["returned"], work.count()) == (1, (1, 0))


@pytest.fixture
def instance(work: Consumers, endpoint: Endpoint) -> Iterator[str]:
    """The consumers run on this one."""
    name = "i-0123456789abcdef0"
    url = endpoint.add_metadata(name, KEY, "secret", REGION)
    work.metadata = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}
    yield name
    endpoint.remove_metadata(name)


@pytest.mark.parametrize("finishes", [True, False])
def test_a_spot_notice_lets_a_job_finish_or_gives_its_message_back_in_time(
    work: Consumers, until: Until, instance: str, finishes: bool
) -> None:
    work.send("job")
    # the service is asked each 5 seconds
    process = work.start("echo begun >>log; sleep 7; echo ended >>log", "--notices", "--grace", "3600")
    until(work.lines, 60)
    # 15 s of the time are kept for the end of the command: nothing is left of 16, and 75 of 90
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + (90 if finishes else 16)))
    work.endpoint.set_metadata(
        instance, "/latest/meta-data/spot/instance-action", json.dumps({"action": "terminate", "time": end})
    )
    code, answer, _err = ended(process)
    assert (code, answer["why"]) == (0, "a spot notice")
    if finishes:
        assert work.lines() == ["begun", "ended"] and (answer["done"], work.count()) == (1, (0, 0))
    else:
        assert work.lines() == ["begun"] and (answer["returned"], work.count()) == (1, (1, 0))


@pytest.mark.parametrize("down", [True, False])
def test_a_group_that_refuses_or_does_not_answer_stops_no_work(
    work: Consumers, instance: str, down: bool
) -> None:
    if down:
        work.endpoint.faults.down.add("autoscaling")
    for _message in range(20):
        work.send("job")
    code, answer, err = ended(work.start("echo ran >>log", "--group", "nobodys", "--max", "20"))
    assert (code, answer["done"], work.lines(), work.count()) == (0, 20, ["ran"] * 20, (0, 0))
    assert "SetInstanceProtection" in err and "the work goes on" in err
    # the first message's, a second try at most, and the last word
    asked = [call.action for call in work.endpoint.calls if call.service == "autoscaling"]
    assert down or 1 <= len(asked) <= 3, asked


def test_a_fifo_queue_keeps_its_order(work: Consumers) -> None:
    work.url = work.sqs.create_queue(QueueName="work.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number in range(12):
        work.sqs.send_message(
            QueueUrl=work.url, MessageBody=str(number), MessageGroupId=f"g{number % 2}",
            MessageDeduplicationId=str(number),
        )  # fmt: skip
    code, answer, _err = ended(work.start("cat >>log; echo >>log", "--max", "12"))
    assert (code, answer["done"], work.count()) == (0, 12, (0, 0))
    for group in (0, 1):
        assert [int(line) for line in work.lines() if int(line) % 2 == group] == list(range(group, 12, 2))


def test_an_idle_consumer_ends(work: Consumers) -> None:
    code, answer, _err = ended(work.start("true", "--idle-exit", "1"))
    assert (code, answer["why"], answer["received"]) == (0, "idle for 1 s", 0)


def test_keys_that_change_in_mid_job_lose_nothing(work: Consumers, until: Until) -> None:
    work.send("job")
    process = work.start(
        "echo begun >>log; while ! test -e go; do sleep 0.1; done", "--visibility", "6", "--max", "1"
    )
    until(work.lines, 60)
    work.endpoint.keys[NEW_KEY] = Caller("controller", "controller")
    work.keys(NEW_KEY)
    work.endpoint.faults.expired.add(KEY)
    work.endpoint.faults.burst["sqs"] = 1
    (work.folder / "go").touch()
    code, answer, _err = ended(process)
    assert (code, answer["done"]) == (0, 1) and work.lines() == ["begun"]
    assert [
        call.key for call in work.endpoint.calls if call.action == "DeleteMessage" and call.status == 200
    ] == [NEW_KEY]


def test_a_queue_that_is_deleted_in_mid_job_leaves_the_job_alone(work: Consumers, until: Until) -> None:
    work.send("job")
    process = work.start(
        "echo begun >>log; while ! test -e go; do sleep 0.1; done; echo ended >>log", "--max", "1"
    )
    until(work.lines, 60)
    work.sqs.delete_queue(QueueUrl=work.url)
    (work.folder / "go").touch()
    code, answer, err = ended(process)
    assert (
        (code, answer["done"]) == (0, 1) and work.lines() == ["begun", "ended"] and "the queue is gone" in err
    )


def test_exactly_once_a_message_that_was_done_and_not_deleted_is_not_run_again(work: Consumers) -> None:
    (work.folder / "store").mkdir()
    once = ("--store", f"dir:{work.folder}/store", "--lease", "5", "--max", "1")
    work.send("job")
    work.endpoint.faults.deny.add((KEY, "sqs:DeleteMessage"))
    first = work.start("echo ran >>log", *once, "--visibility", "10")
    (_out, _err) = first.communicate(timeout=120)
    work.endpoint.faults.clear()
    code, answer, err = ended(work.start("echo ran >>log", *once))
    assert (code, answer["skipped"], work.lines()) == (0, 1, ["ran"]) and "skipped: ran on n0" in err
    assert work.count() == (0, 0)


def test_exactly_once_a_message_of_a_dead_consumer_is_run_again(work: Consumers, until: Until) -> None:
    (work.folder / "store").mkdir()
    once = ("--store", f"dir:{work.folder}/store", "--lease", "5", "--max", "1")
    work.send("job")
    first = work.start("echo begun >>log; sleep 600", *once, "--visibility", "10")
    until(work.lines, 60)
    first.kill()
    code, answer, _err = ended(work.start("echo again >>log", *once))
    assert (code, answer["done"], work.lines()) == (0, 1, ["begun", "again"]) and work.count() == (0, 0)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--limit", "43200"), "limit"),
        (("--visibility", "43200"), "visibility"),
        (("--env", "PATH"), "env"),
        (("--env", "x=1a"), "env"),
        (("--store", "dir:/tmp", "--lease", "60"), "visibility"),
        (("--max", "0"), "max"),
    ],
)
def test_bad_options_are_named_and_take_no_message(
    work: Consumers, words: tuple[str, ...], named: str
) -> None:
    work.send("job")
    code, answer, _err = ended(work.start("echo ran >>log", *words))
    assert (
        code == 1
        and answer["message"].startswith(f"{named}:")
        and not work.lines()
        and work.count() == (1, 0)
    )
