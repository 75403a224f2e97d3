# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node command with the boto3 of Debian 12 (1.26), which lacks the conditions: they are written into its requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY, REGION

ROOT = Path(__file__).parents[3]
OLD = ROOT / "build" / "boto3-1.26"


@pytest.fixture
def run(tmp_path: Path, endpoint: Endpoint, client: Any) -> Any:
    """Runs the command on the bucket `requests`: (exit code, what it printed)."""
    if not (OLD / "boto3").is_dir():
        why = f"NOT RUN: {OLD.relative_to(ROOT)} is not here: `make setup-dev` installs it"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    program = tmp_path / "hotstandby.pyz"
    subprocess.run(
        [sys.executable, str(ROOT / "hack/build_zipapp.py"), str(program)], check=True, timeout=120
    )
    env = {
        "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(OLD), "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": "secret", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-c", "import boto3; print(boto3.__version__)"],
        env=env, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert shown.stdout.startswith("1.26."), shown.stdout

    def command(*words: str) -> tuple[int, dict[str, Any]]:
        where = ["--bucket", "requests", "--region", REGION, "--endpoint-url", endpoint.url]
        done = subprocess.run(
            [sys.executable, str(program), *words, *where],
            env=env, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    client("s3").create_bucket(Bucket="requests", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield command
    endpoint.conditions = True
    get_backend("s3").reset()
    assert endpoint.unimplemented == []


def bodies(s3: Any) -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket="requests").get("Contents", [])
    return {item["Key"]: s3.get_object(Bucket="requests", Key=item["Key"])["Body"].read() for item in found}


def test_a_requeue_keeps_every_condition(run: Any, endpoint: Endpoint, client: Any) -> None:
    s3 = client("s3")
    for key, body in (
        ("processing/a&b-request.json", b"new"), ("processing/注文-request.json", b"2"), ("processing/c-request.json", b"3"),
        ("wait/a&b-request.json", b"old"),
    ):  # fmt: skip
        s3.put_object(Bucket="requests", Key=key, Body=body, Metadata={"order": "7"})
    endpoint.clear_calls()
    code, found = run("requeue", "--workers", "2")
    # it was found out on this very store that conditions are sent and kept, those of a batch too
    assert (code, found["requeued"], found["conflicts"], found["conditional"]) == (0, 3, 1, True), found
    assert found["requests"] == len([call for call in endpoint.calls if call.service == "s3"])
    there = bodies(s3)
    assert sorted(there.values()) == [b"2", b"3", b"new", b"old"] and there["wait/a&b-request.json"] == b"old"
    assert not [key for key in there if key.startswith("processing/")]


def test_a_worker_claims_and_finishes_under_conditions(run: Any, endpoint: Endpoint, client: Any) -> None:
    s3 = client("s3")
    for number in range(2):
        s3.put_object(Bucket="requests", Key=f"wait/{number}-request.json", Body=b"%d" % number)
    code, first = run("claim", "--owner", "w1")
    assert (code, first["at"]) == (0, f"processing/w1/{first['key']}"), first
    s3.put_object(Bucket="requests", Key=f"finish/{first['key']}", Body=b"another")
    code, done = run("finish", "--owner", "w1", first["key"])
    assert code == 0 and done["at"].startswith("finish/") and done["at"] != f"finish/{first['key']}"
    there = bodies(s3)
    assert there[f"finish/{first['key']}"] == b"another" and len(there) == 3
    endpoint.conditions = False  # a store that takes no notice: the claim must see that, and not win
    code, refused = run("claim", "--owner", "w1")
    assert code == 1 and "conditions" in refused["message"], refused
