# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rundeck's job definitions: true to the published format, and their scripts do what they say when three nodes run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import JobError
from ansible_collections.hotstandby.ops.plugins.module_utils.rundeck import job_name, render

ROOT = Path(__file__).resolve().parents[3]
STORE = "dir:/shared/jobs"
# the published format (job-yaml-v12 and v13): key, kind; the last two are from Rundeck's own exports
TOP = {
    "name": str, "description": str, "loglevel": str, "sequence": dict, "uuid": str, "id": str, "group": str,
    "multipleExecutions": bool, "timeout": str, "schedule": dict, "nodefilters": dict, "timeZone": str, "scheduleEnabled": bool,
}  # fmt: skip
NEEDED = {"name", "description", "loglevel", "sequence"}
DISPATCH = {
    "keepgoing": bool,
    "excludePrecedence": bool,
    "threadcount": int,
    "rankAttribute": str,
    "rankOrder": str,
}
SEQUENCE = {"keepgoing": bool, "strategy": str, "commands": list}
STEP = {"script": str, "description": str, "args": str, "scriptInterpreter": str}
JOBS = [
    {"name": "nightly", "group": "batch", "command": "echo \"it's $0\"", "crontab": "0 30 2 ? * * *", "time_zone": "Asia/Tokyo",
     "timeout": "6h 30m", "filter": "tags: web !name: x"},
    {"name": "report", "mode": "failover", "command": ["/opt/a b", "$x"]},
    {"name": "restart", "mode": "semaphore", "slots": 2, "command": "systemctl restart app", "threads": 5},
]  # fmt: skip


def conforms(found: dict[str, Any], shape: dict[str, type]) -> None:
    assert set(found) <= set(shape)
    for key, value in found.items():
        assert value.__class__ is shape[key], key


def test_definitions_have_the_published_format() -> None:
    made = render(JOBS, STORE)
    assert yaml.safe_load(yaml.safe_dump(made)) == made and len(made) == 3
    for job in made:
        conforms(job, TOP)
        assert set(job) >= NEEDED and job["loglevel"] in ("DEBUG", "VERBOSE", "INFO", "WARN", "ERROR")
        assert set(job["nodefilters"]) == {"dispatch", "filter"}
        conforms(job["nodefilters"]["dispatch"], DISPATCH)
        conforms(job["sequence"], SEQUENCE)
        assert job["sequence"]["strategy"] in ("node-first", "step-first")
        for step in job["sequence"]["commands"]:
            conforms(step, STEP)
    nightly = made[0]
    assert nightly["schedule"] == {"crontab": "0 30 2 ? * * *"} and nightly["timeZone"] == "Asia/Tokyo"
    assert (
        nightly["nodefilters"]["dispatch"]["keepgoing"] is True
        and nightly["nodefilters"]["filter"] == "tags: web !name: x"
    )
    assert made[2]["nodefilters"]["dispatch"]["threadcount"] == 5


def test_a_second_load_changes_the_same_jobs() -> None:
    first, second = render(JOBS, STORE), render(JOBS, "dynamodb:t")
    assert [job["uuid"] for job in first] == [job["uuid"] for job in second]
    assert len({job["uuid"] for job in first}) == 3


def test_jobs_that_differ_in_odd_characters_are_two() -> None:
    names = [job_name(full) for full in ("a/b", "a-b", "a b", "夜間", "朝")]
    assert len(set(names)) == 5 and names[1] == "a-b"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"command": "echo ${option.x}"}, "command"),
        ({"command": "echo @option.x@"}, "command"),
        ({"command": []}, "command"),
        ({"crontab": "30 2 * * *"}, "crontab"),
        ({"crontab": "0 30 2 * * *"}, "crontab"),
        ({"slots": 2}, "slots"),
        ({"mode": "semaphore"}, "slots"),
        ({"mode": "all"}, "mode"),
        ({"time_zone": "Asia/Tokyo"}, "time_zone"),
        ({"lease": "30"}, "lease"),
        ({"nodes": "x"}, "nodes"),
    ],
)
def test_what_makes_no_sense_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(PairError, match=rf"^jobs\[0\]\.{named}"):
        render([{"name": "a", "command": "true", **change}], STORE)


def test_a_name_is_given_once() -> None:
    with pytest.raises(PairError, match="already"):
        render([{"name": "a", "command": "true"}] * 2, STORE)


def test_nodes_that_refuse_an_unmounted_folder() -> None:
    jobs = [{"name": "a", "command": "true"}]
    (one,) = render(jobs, "dir:/shared/runs", mounted=True)
    assert " --mounted " in one["sequence"]["commands"][0]["script"].partition(" -- ")[0]
    assert "--mounted" not in str(render(jobs, "dir:/shared/runs"))
    with pytest.raises(JobError, match=r"^mounted: is for a folder"):
        render(jobs, "dynamodb:t", mounted=True)


def dispatched(tmp_path: Path, job: dict[str, Any], execid: str) -> list[tuple[int, str]]:
    """What Rundeck does: the token replaced, the script run on three nodes at once; (exit code, output) of each."""
    front = tmp_path / "bin" / "hotstandby"
    front.parent.mkdir(exist_ok=True)
    (tmp_path / "store").mkdir(exist_ok=True)
    code = "from ansible_collections.hotstandby.ops.plugins.module_utils.node.main import entry; entry()"
    front.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    front.chmod(0o755)
    (definition,) = render([job], f"dir:{tmp_path / 'store'}", 5)
    script = tmp_path / "script"
    script.write_text(definition["sequence"]["commands"][0]["script"].replace("@job.execid@", execid))
    env = {
        **os.environ,
        "PATH": f"{front.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "build/collections"),
    }
    nodes = [
        subprocess.Popen(
            ["sh", str(script)],
            env={**env, "HOTSTANDBY_NODE": f"app-{number}"},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        for number in range(3)
    ]
    return [(node.wait(120), node.stdout.read()) for node in nodes if node.stdout]


def test_three_nodes_run_an_exclusive_job_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = {"name": "it's", "command": f'echo "it\'s $HOTSTANDBY_NODE" >>{log}'}
    found = dispatched(tmp_path, job, "1")
    assert [code for code, _out in found] == [0, 0, 0] and len(log.read_text().splitlines()) == 1
    assert log.read_text().startswith("it's app-")
    assert sum("skipped: " in out for _code, out in found) == 2
    failing = {"name": "it's", "command": "exit 7"}
    assert sorted(code for code, _out in dispatched(tmp_path, failing, "2")) == [0, 0, 7]
    assert [code for code, _out in dispatched(tmp_path, job, "3")] == [0, 0, 0], "nothing is left that blocks"
    assert len(log.read_text().splitlines()) == 2


def test_a_failover_job_succeeds_when_one_node_does(tmp_path: Path) -> None:
    """The first two that try fail."""
    job = {
        "name": "f",
        "mode": "failover",
        "command": f"mkdir {tmp_path}/one 2>/dev/null && exit 7; mkdir {tmp_path}/two 2>/dev/null && exit 7; exit 0",
    }
    assert [code for code, _out in dispatched(tmp_path, job, "1")] == [0, 0, 0]
    assert (tmp_path / "two").exists()
