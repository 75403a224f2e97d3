# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role job_worker below a root of its own: what it installs works a queue, is upgraded in place, and goes without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY

ROOT = Path(__file__).parents[3]
Until = Callable[..., Any]


class Host:
    """A host with the role's files below `root`; what systemd or cron would start is started here."""

    def __init__(self, folder: Path, endpoint: Endpoint, sqs: Any) -> None:
        self.folder, self.root, self.sqs = folder, folder / "root", sqs
        self.root.mkdir()
        self.url = sqs.create_queue(QueueName="work")["QueueUrl"]
        self.started: list[subprocess.Popen[str]] = []
        self.options: dict[str, Any] = {
            "job_worker_queue": self.url, "job_worker_region": "ap-northeast-1",
            "job_worker_endpoint_url": endpoint.url, "job_worker_python": sys.executable,
            "job_worker_options": ["--poll", "1"], "job_worker_scheduler": "cron", "job_worker_node": "w1",
            "job_worker_command": ["sh", "-c", f'echo "$JOB_NAME|$TARGET|$HOTSTANDBY_NODE" >>{folder}/log; sleep "$(cat)"'],
            "job_worker_env": ["Name=JOB_NAME"], "job_worker_environment": {"TARGET": "it's $HOME"},
            "hotstandby_root": str(self.root), "hotstandby_become": False,
        }  # fmt: skip

    def role(self, *words: str | dict[str, Any]) -> str:
        """Run it once with each of the options, and with `words` of ansible-playbook; well, or the test fails."""
        options = [word for word in words if isinstance(word, dict)] or [{}]
        include = {"ansible.builtin.include_role": {"name": "hotstandby.ops.job_worker"}}
        tasks = [{**include, "vars": {**self.options, **each}} for each in options]
        done = self.play(tasks, *(word for word in words if isinstance(word, str)))
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def play(self, tasks: list[dict[str, Any]], *words: str) -> subprocess.CompletedProcess[str]:
        play = {
            "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks,
            "vars": {"ansible_python_interpreter": sys.executable},
        }  # fmt: skip
        book = self.folder / "play.yml"
        book.write_text(json.dumps([play]), encoding="utf-8")
        env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")}
        program = Path(sys.executable).with_name("ansible-playbook")
        argv = [str(program), "-i", "localhost,", str(book), *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=600)

    def send(self, body: str) -> None:
        attributes = {"Name": {"DataType": "String", "StringValue": "nightly"}}
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes)

    def boot(self, name: str = "jobs") -> subprocess.Popen[str]:
        """As cron starts it: with next to no environment."""
        env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "s"}  # fmt: skip
        process = subprocess.Popen(
            [str(self.root / "usr/local/lib/hotstandby-workers" / name / "work")],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def log(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def count(self) -> tuple[int, int]:
        """(waiting, in work)."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def host(tmp_path: Path, endpoint: Endpoint, client: Any) -> Iterator[Host]:
    made = Host(tmp_path, endpoint, client("sqs"))
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for url in client("sqs").list_queues().get("QueueUrls", []):
        client("sqs").delete_queue(QueueUrl=url)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def test_it_works_is_upgraded_in_place_and_goes(host: Host, until: Until) -> None:
    planned = host.role("--check", "--diff")
    assert "failed=0" in planned and "changed=0" not in planned and host.files() == []
    other = {"job_worker_name": "other", "job_worker_scheduler": "none"}
    host.role({}, other)
    home, beside = (f"usr/local/lib/hotstandby-workers/{name}" for name in ("jobs", "other"))
    ours = [f"{home}/hotstandby.pyz", f"{home}/work"]
    its = [f"{beside}/hotstandby.pyz", f"{beside}/work"]
    assert host.files() == ["etc/cron.d/hotstandby-worker-jobs", *ours, *its]
    cron = (host.root / "etc/cron.d/hotstandby-worker-jobs").read_text(encoding="utf-8")
    assert f"\n@reboot root {host.root}/{home}/work 2>&1 | logger -t hotstandby-worker-jobs\n" in cron
    # whom cron starts nobody starts again: no outage of the queue may end it
    assert " --patience 31536000 " in (host.root / home / "work").read_text(encoding="utf-8")
    assert "--patience" not in (host.root / beside / "work").read_text(encoding="utf-8")
    assert "changed=0" in host.role({}, other)

    worker = host.boot()
    host.send("0")
    until(lambda: host.log() and host.count() == (0, 0), 60)
    assert host.log() == ["nightly|it's $HOME|w1"]
    # another program and command in its place, while it works: it goes on, and what it has not loaded it does not need
    program = host.root / home / "hotstandby.pyz"
    program.write_bytes(b"an older one")
    assert "changed=2" in host.role({"job_worker_environment": {"TARGET": "new"}})
    assert program.stat().st_size > 10_000
    host.send("1")
    until(lambda: len(host.log()) == 2 and host.count() == (0, 0), 60)

    # ended in mid-job, it gives the message back, and the role says first what it would do
    host.send("600")
    until(lambda: len(host.log()) == 3, 60)
    gone = {"job_worker_state": "absent", "job_worker_queue": None, "job_worker_command": []}
    assert f"process {worker.pid}, would be ended" in host.role("--check", gone)
    assert worker.poll() is None and len(host.files()) == 5
    host.role(gone)
    assert told(worker)["returned"] == 1 and host.count() == (1, 0) and host.files() == its
    assert "changed=2" in host.role(gone, {**gone, **other})  # the other's home, and the directory of all
    assert host.files() == [] and not (host.root / "usr/local/lib/hotstandby-workers").exists()


def test_the_unit_leaves_time_to_finish_and_waits_for_the_folder(
    host: Host, tmp_path: Path, until: Until
) -> None:
    once = {"job_worker_store": f"dir:{tmp_path}", "job_worker_grace": 90, "job_worker_scheduler": "systemd"}
    other = {**once, "job_worker_name": "other"}
    host.role(once, other, {**other, "job_worker_scheduler": "cron"})
    units = host.root / "etc/systemd/system"
    unit = (units / "hotstandby-worker-jobs.service").read_text(encoding="utf-8")
    assert "\nTimeoutStopSec=150\n" in unit and f'\nRequiresMountsFor="{tmp_path}"\n' in unit
    assert "\nKillMode=mixed\n" in unit and "\nUser=root\n" in unit
    # handed over to cron, the other's unit is gone
    assert [path.name for path in units.iterdir()] == ["hotstandby-worker-jobs.service"]
    assert (host.root / "etc/cron.d/hotstandby-worker-other").exists()
    worker = host.boot("other")
    host.send("0")
    host.send("0")
    until(lambda: len(host.log()) == 2 and host.count() == (0, 0), 60)
    assert len(list((tmp_path / "work.jobs").iterdir())) == 2  # each has its run in the store
    worker.terminate()
    assert told(worker)["done"] == 2


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"job_worker_queue": None}, "job_worker_queue (the URL) and job_worker_command"),
    ({"job_worker_command": []}, "job_worker_queue (the URL) and job_worker_command"),
    ({"job_worker_name": "a/b"}, "job_worker_name: 'a/b' is not"),
    ({"job_worker_environment": {"DB_PASSWORD": "x", "DB_PASSWORD_FILE": "y"}}, "job_worker_environment: DB_PASSWORD would lie"),
    ({"job_worker_environment": {"AWS_ACCESS_KEY_ID": "x"}}, "job_worker_environment: AWS_ACCESS_KEY_ID would lie"),
    ({"job_worker_environment": {"A": "x\ny"}}, "its values one line each"),
    ({"job_worker_user": "nobody-here"}, "job_worker_user: there is no user nobody-here"),
    ({"job_worker_python": "/usr/bin/no-python"}, "/usr/bin/no-python (job_worker_python) cannot be run"),
    ({"job_worker_visibility": 1}, "visibility: 1 is outside 3 to"),
    ({"job_worker_store": "dynamodb:t", "job_worker_lease": 40}, "visibility: 60 is less than twice the lease"),
    ({"job_worker_options": ["--no-such"]}, "unrecognized arguments: --no-such"),
]  # fmt: skip


def test_what_could_only_fail_later_is_refused(host: Host) -> None:
    """All in one play: each refusal is caught and printed."""
    include = {"ansible.builtin.include_role": {"name": "hotstandby.ops.job_worker"}}
    caught = {"ansible.builtin.debug": {"msg": "REFUSED {{ ansible_failed_result.msg }}"}}
    tasks = [
        {"block": [{**include, "vars": {**host.options, **wrong}}], "rescue": [caught]}
        for wrong, _said in WRONG
    ]
    done = host.play(tasks)
    assert done.returncode == 0, done.stdout[-3000:]
    refused = [line for line in done.stdout.splitlines() if "REFUSED" in line]
    assert len(refused) == len(WRONG)
    for (wrong, said), line in zip(WRONG, refused):
        assert said in line, (wrong, line)
    assert host.files() == []
