# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWX project as AWX runs it: the built collection in an empty path, ansible-runner, a survey's answers as text."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.pair.rig import BIN, ROOT, Rig

pytestmark = pytest.mark.sandbox
PROJECT = ROOT / "awx"
TEMPLATES = {item["name"]: item for item in yaml.safe_load((PROJECT / "templates.yml").read_text())}

OF_THE_ROLE = yaml.safe_load((ROOT / "roles/failover_automation/meta/argument_specs.yml").read_text())[
    "argument_specs"
]["main"]["options"]


def command(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        capture_output=True, text=True, timeout=400, check=False, **settings,
    )  # fmt: skip


def answers(name: str, given: dict[str, str]) -> dict[str, str]:
    """The survey's answers as AWX hands them on: every default, as text where the survey says text."""
    survey = TEMPLATES[name]["survey"]
    spec = json.loads((PROJECT / survey).read_text())["spec"] if survey else []
    asked = {question["variable"]: question for question in spec}
    assert set(given) <= set(asked), name
    for variable, value in given.items():
        assert value in asked[variable].get("choices", [value]), variable
    return {variable: given.get(variable, question["default"]) for variable, question in asked.items()}


@dataclass(frozen=True)
class Job:
    """One job: how it ended, all it printed, and what it left as artifacts."""

    rc: int
    status: str
    text: str
    stats: dict[str, Any]


class Awx:
    """A private data directory as AWX makes one, with the collection installed from the tarball into an empty path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collections = folder / "requirements_collections"
        self.jobs = 0
        sys.path.insert(0, str(ROOT / "hack" / "checks"))
        try:
            from tree import copy_sources
        finally:
            sys.path.pop(0)
        tree = folder / "build" / "ansible_collections" / "hotstandby" / "ops"
        copy_sources(tree)
        made = command("ansible-galaxy", "collection", "build", "--output-path", str(folder), str(tree))
        assert made.returncode == 0, made.stderr
        (tarball,) = folder.glob("hotstandby-ops-*.tar.gz")
        shutil.rmtree(folder / "build")
        into = command(
            "ansible-galaxy", "collection", "install", "--offline", "-p", str(self.collections), str(tarball),
            # what is installed elsewhere would count as installed already, and nothing would be unpacked
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(self.collections)},
        )  # fmt: skip
        assert into.returncode == 0, into.stdout + into.stderr
        assert (self.collections / "ansible_collections/hotstandby/ops/playbooks").is_dir(), into.stdout
        shutil.copytree(PROJECT, folder / "project")

    def job(self, rig: Rig, name: str, **given: str) -> Job:
        self.jobs += 1
        ident = f"{self.jobs}-{name}"
        for part in ("env", "inventory"):
            (self.folder / part).mkdir(exist_ok=True)
        shutil.copy(rig.info["inventory"], self.folder / "inventory" / "hosts.yml")
        extra = {"awx_job_id": self.jobs, "awx_user_name": "keiko", **answers(name, given)}
        (self.folder / "env" / "extravars").write_text(json.dumps(extra))
        environment = {**rig.env, "ANSIBLE_COLLECTIONS_PATH": str(self.collections)}
        run = command(
            "ansible-runner", "run", str(self.folder), "-p", TEMPLATES[name]["playbook"], "--ident", ident,
            env=environment,
        )  # fmt: skip
        kept = self.folder / "artifacts" / ident
        stats: dict[str, Any] = {}
        for path in (kept / "job_events").glob("*.json"):
            event = json.loads(path.read_text())
            if event["event"] == "playbook_on_stats":
                stats = event["event_data"].get("artifact_data", {})
        return Job(
            int((kept / "rc").read_text()), (kept / "status").read_text(), run.stdout + run.stderr, stats
        )


@pytest.fixture(scope="module")
def awx(tmp_path_factory: pytest.TempPathFactory) -> Awx:
    return Awx(tmp_path_factory.mktemp("awx"))


def test_a_day_in_awx(rig: Rig, awx: Awx) -> None:
    ran = set()

    def job(name: str, well: bool = True, **given: str) -> Job:
        ran.add(name)
        done = awx.job(rig, name, **given)
        assert (done.rc == 0, done.status) == (well, "successful" if well else "failed"), done.text
        return done

    deployed = job("deploy")
    assert deployed.stats["hotstandby_outcome"] == "unchanged" and rig.running() == ["hub-a"]
    status = job("status")
    assert (status.stats["hotstandby_active"], status.stats["hotstandby_next"]) == ("hub-a", "nothing")
    # every answer of the survey's is text, "false" too
    rig.torment("hub-a", "agent-offline")
    silent = job("failover", well=False, reason="does not answer")
    assert silent.stats["hotstandby_outcome"] == "not_confirmed" and rig.active() == "hub-a"
    assert silent.stats["hotstandby_code"] == "not_confirmed_unknown"
    assert silent.stats["hotstandby_next"].startswith("ansible-playbook hotstandby.ops.failover")
    moved = job("failover", assume_down="true", reason="the console is dead")
    assert (moved.stats["hotstandby_outcome"], moved.stats["hotstandby_active"]) == ("moved", "hub-b")
    assert rig.running() == ["hub-b"] and rig.power("hub-a") == "stopped"
    history = job("history")
    assert "the console is dead" in history.text and "by keiko" in history.text
    back = job("rejoin")
    assert back.stats["hotstandby_outcome"] == "rejoined" and rig.power("hub-a") == "running"
    paused = job("maintenance", reason="storage work")
    assert paused.stats["hotstandby_outcome"] == "paused"
    job("maintenance", state="resumed")
    home = job("switchback")
    assert home.stats["hotstandby_active"] == "hub-a" and rig.running() == ["hub-a"]
    stopped = job("stop", reason="patch of the driver")
    assert stopped.stats["hotstandby_outcome"] == "stopped" and rig.running() == []
    started = job("start")
    assert started.stats["hotstandby_outcome"] == "running" and rig.running() == ["hub-a"]
    ran.add("drill")
    drilled = awx.job(rig, "drill")
    assert (drilled.stats["hotstandby_outcome"] == "well") == (drilled.rc == 0), drilled.text
    assert "fence hub-a" in drilled.text
    assert "false alarm" in job("plan", bad="0.001").text
    job("report", report_dir=str(awx.folder / "pages"))
    assert "the console is dead" in "".join(
        path.read_text() for path in (awx.folder / "pages").glob("*.html")
    )
    s3 = rig.client("s3")
    s3.create_bucket(
        Bucket="awx-requests", CreateBucketConfiguration={"LocationConstraint": rig.info["region"]}
    )
    s3.put_object(Bucket="awx-requests", Key="processing/a-request.json", Body=b"{}")
    requeued = job("requeue", bucket="awx-requests")
    assert requeued.stats["hotstandby_outcome"] == "requeued"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="awx-requests")["Contents"]] == [
        "wait/a-request.json"
    ]
    job("automation", failover_automation_state="absent")
    removed = job("remove")
    assert removed.stats["hotstandby_outcome"] == "removed" and rig.running() == ["hub-a"]
    assert "at boot any more" in removed.stats["hotstandby_msg"]
    assert ran == set(TEMPLATES)


def test_each_template_has_its_playbook_and_a_survey_that_asks_what_it_takes() -> None:
    assert {item["playbook"] for item in TEMPLATES.values()} == {
        path.name for path in PROJECT.glob("*.yml") if path.stem not in ("templates", "execution-environment")
    }
    assert {item["survey"] for item in TEMPLATES.values() if item["survey"]} == {
        f"surveys/{path.name}" for path in (PROJECT / "surveys").glob("*.json")
    }
    for name, item in TEMPLATES.items():
        (play,) = yaml.safe_load((PROJECT / item["playbook"]).read_text())
        assert play["ansible.builtin.import_playbook"] == f"hotstandby.ops.{name}"
        ours = (ROOT / "playbooks" / f"{name}.yml").read_text()
        ours += (ROOT / "playbooks" / "failover.yml").read_text() if name == "switchback" else ""
        for variable in answers(name, {}):
            taken = re.search(rf"\b{variable}\s*\| default\(", ours) or variable in OF_THE_ROLE
            assert taken, f"{name}: {variable}"


def test_ansible_builder_accepts_the_execution_environment(tmp_path: Path) -> None:
    made = command(
        "ansible-builder",
        "create",
        "-f",
        str(PROJECT / "execution-environment.yml"),
        "-c",
        str(tmp_path / "context"),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    text = (tmp_path / "context" / "Containerfile").read_text()
    assert "ansible-core" in text and (tmp_path / "context" / "_build" / "requirements.yml").exists()
