# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built command from arguments to exit code, in cron's environment, with a product of shell scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer, parse_answer

from tests.unit.node.conftest import REPOSITORY
from tests.unit.node.sim_machine import A


def ssm(
    action: str, epoch: str = "", pair: str = "hub-prod", active: str = "", timeout: str = "20"
) -> list[str]:
    words = ["ssm", "--action", action, "--pair", pair, "--move", "m-1", "--epoch", epoch, "--mode", "normal"]
    return [*words, "--timeout", timeout, "--active", active]


def test_start_look_check_and_stop(node: Any) -> None:
    code, answer = node.run(*ssm("start", "7"))
    assert (code, answer["state"], answer["seen"], answer["move"], answer["epoch"]) == (
        0,
        "running",
        7,
        "m-1",
        7,
    )
    assert answer["instance_id"] == A and answer["action"] == "start" and len(answer["boot_id"]) == 36
    assert isinstance(parse_answer(json.dumps(answer), "hub-prod", "hub-a", A, "start"), Answer)
    code, answer = node.run(*ssm("look", active="hub-b"))
    assert (code, answer["state"], answer["detail"]["record_active"]) == (0, "running", "hub-a")
    code, answer = node.run(*ssm("look", active="hub-a"))
    assert (code, answer["state"], "record" in answer["detail"]) == (0, "running", False)
    assert answer["detail"]["processes"] == 1 and answer["detail"]["eligible"]["mounted"] is True
    code, answer = node.run("healthcheck")
    assert (code, answer["detail"]["metric"]) == (0, "Unhealthy=0")
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x")
    cloudwatch = session.client("cloudwatch", region_name="ap-northeast-1", endpoint_url=node.aws_url)
    metrics = cloudwatch.list_metrics(Namespace="HotStandby")["Metrics"]
    assert ("Unhealthy", [{"Name": "Pair", "Value": "hub-prod"}]) in [
        (m["MetricName"], m["Dimensions"]) for m in metrics
    ]
    assert not cloudwatch.list_metrics(Namespace="MyApp")["Metrics"]
    node.pair["published_metric"] = True
    node.write()
    assert node.run("healthcheck")[0] == 0
    alive = cloudwatch.list_metrics(Namespace="MyApp")["Metrics"]
    assert [(one["MetricName"], one["Dimensions"]) for one in alive] == [("Alive", [])]
    beat = node.table.get_item(
        TableName="hotstandby", Key={"pair": {"S": "hub-prod"}, "item": {"S": "heartbeat#hub-a"}}
    )["Item"]
    assert beat["epoch"] == {"N": "7"} and beat["state"] == {"S": "running"}
    code, answer = node.run(*ssm("stop", "7"))
    assert (code, answer["state"], answer["floor"], answer["held"]) == (0, "stopped", 7, None)
    code, answer = node.run("start")
    assert (code, answer["detail"]["code"]) == (5, "epoch_floor")
    node.put_record("hub-a", 8)
    assert node.run("boot")[0] == 0 and node.run("status")[0] == 0


def test_a_person_stops_and_starts(node: Any) -> None:
    assert node.run("start")[0] == 0
    code, answer = node.run("stop", "--reason", "patching; rm -rf /")
    assert (code, answer["state"], answer["floor"], answer["held"]["reason"]) == (
        0,
        "stopped",
        0,
        "patching; rm -rf /",
    )
    code, answer = node.run("boot")
    assert (code, answer["detail"]["code"]) == (5, "held")
    code, answer = node.run(*ssm("start", "7"))
    assert (code, answer["detail"]["code"]) == (5, "held")
    assert node.run("status")[0] == 3
    assert node.run("start")[0] == 0 and node.run("status")[1]["held"] is None


def test_without_boto3_status_and_stop_work_and_start_refuses(node: Any) -> None:
    assert node.run("start")[0] == 0

    def bare(*arguments: str) -> tuple[int, dict[str, Any]]:
        python, *rest = node.argv(*arguments)
        ran = subprocess.run([python, "-I", "-S", *rest], capture_output=True, text=True, check=False)
        assert "Traceback" not in ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    assert bare("status")[0] == 0
    assert bare(*ssm("stop", "7"))[1]["state"] == "stopped"
    code, answer = bare(*ssm("start", "7"))
    assert (code, answer["detail"]["code"]) == (5, "record_unreadable") and "boto3" in answer["detail"][
        "message"
    ]


def test_a_start_in_the_way_is_ended_with_its_product(node: Any) -> None:
    (node.exe / "slow").write_text(str(os.getpid()))
    start = node.begin(*ssm("start", "7", timeout="60"))
    lock = node.folder / "lock"
    end = time.monotonic() + 10
    while '"epoch": 7' not in (lock.read_text() if lock.exists() else "") or not _sleeping():
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(start.pid, signal.SIGSTOP)
    node.put_record(None, 7)
    begun = time.monotonic()
    code, answer = node.run(*ssm("stop", "7"))
    assert (code, answer["state"]) == (0, "stopped") and time.monotonic() - begun < 10
    assert start.wait(5) == -signal.SIGKILL and not _sleeping() and not (node.exe / "pid").exists()


def _sleeping() -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{name}/cmdline").read_bytes() == f"sleep\x0066.{os.getpid()}\0".encode():
                found.append(name)
        except OSError:
            continue
    return found


def test_a_signal_during_a_start_answers_unknown_and_leaves_no_lock(node: Any) -> None:
    (node.exe / "slow").write_text(str(os.getpid()))
    start = node.begin(*ssm("start", "7", timeout="60"))
    end = time.monotonic() + 10
    while not _sleeping():
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(start.pid, signal.SIGTERM)
    out, err = start.communicate(timeout=10)
    answer = json.loads(out)
    assert start.returncode == 1 and answer["state"] == "unknown" and "signal" in answer["detail"]["message"]
    assert "Traceback" not in err and not _sleeping() and (node.folder / "lock").read_text() == ""


def test_a_noisy_product_does_not_lengthen_the_answer(lonely: Any) -> None:
    (lonely.exe / "noisy").touch()
    code, answer = lonely.run("status")
    assert (code, answer["state"]) == (3, "stopped")


def test_another_pair_is_refused(lonely: Any) -> None:
    code, answer = lonely.run(*ssm("start", "7", pair="other"))
    assert (code, answer["detail"]["code"], answer["pair"]) == (5, "other_pair", "hub-prod")
    code, answer = lonely.run(*ssm("stop"))
    assert (code, answer["detail"]["code"]) == (5, "no_epoch")


def test_without_record_needs_a_terminal(lonely: Any) -> None:
    code, answer = lonely.run("start", "--without-record", "--reason", "gone")
    assert (code, answer["detail"]["code"]) == (5, "no_terminal")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"node": "hub-c"}, "hub-c"),
        ({"schema": 2}, "schema"),
        ({"root": "relative"}, "root"),
        ({"metadata_url": 5}, "metadata_url"),
        ({"extra": 1}, "extra"),
        ({"pair": {"name": "x"}}, "hotstandby_pair."),
    ],
)
def test_a_bad_configuration_names_the_key(lonely: Any, change: dict[str, Any], key: str) -> None:
    lonely.raw.update(change)
    lonely.write()
    code, answer = lonely.run("status")
    assert code == 1 and answer["state"] == "unknown" and key in answer["detail"]["message"]


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["start", "--epoch", "-1"], ["status", "--timeout", "0"], ["ssm"]]
)
def test_usage_is_one_line(lonely: Any, arguments: list[str]) -> None:
    process = lonely.begin(*arguments)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1 and len(err.splitlines()) == 1 and len(out.splitlines()) == 1
    assert json.loads(out)["state"] == "unknown"


def test_an_unexpected_error_is_an_answer(lonely: Any) -> None:
    (lonely.folder / "lock").mkdir(parents=True)
    code, answer = lonely.run("start")
    assert (code, answer["detail"]["code"]) == (5, "state_not_written")
    lonely.exe.joinpath("hubcluster").unlink()
    code, answer = lonely.run("status")
    assert (code, answer["state"]) == (4, "unknown") and "cannot be run" in answer["detail"]["message"]


def test_the_archive_is_the_same_for_the_same_sources(tmp_path: Path) -> None:
    built = [tmp_path / "one.pyz", tmp_path / "two.pyz"]
    for target in built:
        subprocess.run([sys.executable, str(REPOSITORY / "hack/build_zipapp.py"), str(target)], check=True)
    assert built[0].read_bytes() == built[1].read_bytes()


def test_bytecode_of_another_python_is_passed_over(tmp_path: Path) -> None:
    built, other = tmp_path / "one.pyz", tmp_path / "other.pyz"
    subprocess.run([sys.executable, str(REPOSITORY / "hack/build_zipapp.py"), str(built)], check=True)
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(other, "w") as target:
        names = source.namelist()
        for name in names:
            content = source.read(name)
            target.writestr(name, b"\x00\x00\r\n" + content[4:] if name.endswith(".pyc") else content)
    sources = {name for name in names if name.endswith(".py") and name != "__main__.py"}
    assert {f"{name}c" for name in sources} == {name for name in names if name.endswith(".pyc")}
    for archive in (built, other):
        done = subprocess.run(
            [sys.executable, str(archive), "--help"], capture_output=True, text=True, check=True
        )
        assert "healthcheck" in done.stdout
