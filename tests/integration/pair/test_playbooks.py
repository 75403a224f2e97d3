# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as operators run them: by name and as files, with odd inventories, odd variables and odd settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.pair.rig import BIN, ROOT, Rig

pytestmark = pytest.mark.sandbox


def play(rig: Rig, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """ansible-playbook with the sandbox's inventory, unless the arguments bring one."""
    inventory = [] if "-i" in arguments else ["-i", rig.info["inventory"]]
    return subprocess.run(
        [str(BIN / "ansible-playbook"), *inventory, *arguments],
        cwd=rig.state,
        env={**rig.env, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def inventory(rig: Rig, name: str, **group: Any) -> str:
    """A copy of the inventory with other variables of the group; None removes one."""
    content = yaml.safe_load(Path(rig.info["inventory"]).read_text(encoding="utf-8"))
    values = {**content["hotstandby"]["vars"], **group}
    content["hotstandby"]["vars"] = {key: value for key, value in values.items() if value is not None}
    path = rig.state / f"{name}.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def written(rig: Rig) -> list[str]:
    """The operator's calls since `clear_calls` that the endpoint counts as writes."""
    return [call["action"] for call in rig.calls()[rig._seen :] if call["write"]]


def test_a_playbook_runs_as_a_file(sandbox: Rig) -> None:
    done = play(sandbox, str(ROOT / "playbooks" / "switchback.yml"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_status_fits_on_one_screen(sandbox: Rig) -> None:
    played = sandbox.playbook("status")
    screen = played.result["screen"]
    assert played.rc == 0 and len(screen) <= 20 and max(map(len, screen)) <= 160
    text = "\n".join(screen)
    for word in ("hub-a", "hub-b", "epoch", "Paused  no", "Next    nothing"):
        assert word in text, text


def test_nobody_connects_to_the_nodes(sandbox: Rig) -> None:
    # port 1 of loopback answers nobody: any connection would fail
    away = inventory(sandbox, "away", ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    for words in (
        ["status"],
        ["failover"],
        ["maintenance", "-e", "state=resumed"],
        ["switchback", "--check"],
    ):
        done = play(sandbox, "-i", away, f"hotstandby.ops.{words[0]}", *words[1:])
        assert done.returncode == 0, done.stdout + done.stderr


def test_become_and_strategy_of_the_user_do_no_harm(sandbox: Rig) -> None:
    settings = {
        "ANSIBLE_STRATEGY": "free",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_ANY_ERRORS_FATAL": "false",
    }
    done = play(sandbox, "hotstandby.ops.status", env=settings)
    assert done.returncode == 0 and done.stdout.count("Next    nothing") == 1, done.stdout


def test_each_task_runs_once_although_the_first_host_failed_before(sandbox: Rig) -> None:
    site = sandbox.state / "site.yml"
    first = {
        "hosts": "hotstandby",
        "gather_facts": False,
        "tasks": [{"fail": {}, "when": "inventory_hostname == 'hub-a'"}],
    }
    site.write_text(yaml.safe_dump([first, {"import_playbook": "hotstandby.ops.status"}]), encoding="utf-8")
    out = sandbox.state / "once.json"
    out.unlink(missing_ok=True)
    done = play(sandbox, str(site), "-e", f"hotstandby_result_file={out}")
    for task in ("Read the record and ask the nodes", "Show it", "Write the result"):
        assert done.stdout.count(f"TASK [{task}]") == 1, done.stdout
    assert "hub-b -> localhost" in done.stdout
    assert json.loads(out.read_text())["active"] == "hub-a"


def test_another_group(sandbox: Rig) -> None:
    content = yaml.safe_load(Path(sandbox.info["inventory"]).read_text(encoding="utf-8"))
    path = sandbox.state / "other.yml"
    path.write_text(yaml.safe_dump({"batch": content["hotstandby"]}), encoding="utf-8")
    done = play(sandbox, "-i", str(path), "hotstandby.ops.status", "-e", "hotstandby_group=batch")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("no", ["false", '{"assume_down": false, "allow_unfenced": false}'])
def test_every_spelling_of_no_is_no(rig: Rig, no: str) -> None:
    rig.fault("hub-a", "agent-offline")
    words = ["-e", no] if no.startswith("{") else ["-e", f"assume_down={no}", "-e", f"allow_unfenced={no}"]
    played = rig.playbook("failover", *words)
    assert played.rc != 0 and played.outcome == "not_confirmed", played.text
    assert rig.active() == "hub-a"


def test_a_word_that_is_neither_is_refused(sandbox: Rig) -> None:
    played = sandbox.playbook("failover", assume_down="perhaps")
    assert played.rc != 0 and "assume_down" in played.text and not played.result.get("outcome")


def test_pause_and_resume(rig: Rig) -> None:
    rig.clear_calls()
    assert (
        play(
            rig, "hotstandby.ops.maintenance", "-e", "state=paused", "-e", "reason=disk", "--check"
        ).returncode
        == 0
    )
    assert written(rig) == []
    for _time in range(2):
        done = play(
            rig, "hotstandby.ops.maintenance", "-e", "state=paused", "-e", "reason=disk", "-e", "by=keiko"
        )
        assert done.returncode == 0 and "is paused by keiko: disk" in done.stdout, done.stdout
    assert "changed=0" in done.stdout
    refused = rig.playbook("switchback", "-e", "to=hub-b", by="taro")
    assert refused.rc != 0 and refused.outcome == "refused" and "disk" in refused.text
    done = play(rig, "hotstandby.ops.maintenance", "-e", "state=resumed")
    assert done.returncode == 0 and "is not paused" in done.stdout


def test_deploy_again_changes_nothing_and_its_check_writes_nothing(rig: Rig) -> None:
    rig.clear_calls()
    done = play(rig, "hotstandby.ops.deploy", "--check", "--diff")
    assert done.returncode == 0, done.stdout
    assert written(rig) == []
    epoch = rig.record()["epoch"]
    done = play(rig, "hotstandby.ops.deploy")
    assert done.returncode == 0 and done.stdout.count("changed=0") == 2, done.stdout
    assert rig.record()["epoch"] == epoch and rig.running() == ["hub-a"]


def test_deploy_refuses_the_folder_of_another_pair(rig: Rig) -> None:
    marker = Path(rig.info["shared_dir"]) / ".hotstandby-pair"
    marker.write_text("hub-other\n", encoding="utf-8")
    done = play(rig, "hotstandby.ops.deploy")
    assert done.returncode != 0 and "belongs to pair 'hub-other'" in done.stdout + done.stderr
    assert marker.read_text() == "hub-other\n"


def test_deploy_refuses_a_node_of_another_pair(rig: Rig) -> None:
    path = Path(rig.info["nodes"]["hub-b"]["root"]) / "etc/hotstandby/pair.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["pair"]["name"] = "hub-other"
    path.write_text(json.dumps(content), encoding="utf-8")
    done = play(rig, "hotstandby.ops.deploy")
    assert done.returncode != 0 and "hub-b belongs to pair 'hub-other'" in done.stdout + done.stderr
    assert json.loads(path.read_text(encoding="utf-8")) == content


@pytest.mark.parametrize("name", ["failover", "deploy"])
def test_without_credentials_one_line_says_so(rig: Rig, name: str) -> None:
    none = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(rig.state),
    }
    done = play(rig, f"hotstandby.ops.{name}", env=none)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "no usable AWS credentials" in text and "Traceback" not in text, text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"table": "not-there"}, "not-there"),
        ({"region": "eu-west-1"}, "check table and region"),
        ({"lease": [2]}, "hotstandby_pair.lease"),
    ],
)
def test_a_bad_pair_is_one_line_that_names_it(rig: Rig, change: dict[str, Any], says: str) -> None:
    bad = inventory(rig, "bad", hotstandby_pair={**rig.info["pair"], **change})
    done = play(rig, "-i", bad, "hotstandby.ops.failover")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and says in text and "Traceback" not in text, text


def test_no_secret_in_any_output(sandbox: Rig) -> None:
    secret = sandbox.info["env"]["AWS_SECRET_ACCESS_KEY"]
    for words in (["status", "-vvvv"], ["failover", "-vvvv", "--diff"]):
        done = play(sandbox, f"hotstandby.ops.{words[0]}", *words[1:])
        assert secret not in done.stdout + done.stderr
