# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built command on requests in S3: a shell worker that claims and finishes, dies, and finds its work again."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend

from sandbox.endpoint import Endpoint
from tests.integration.endpoint.conftest import KEY, REGION

ROOT = Path(__file__).parents[3]


class Host:
    """A host with the command and the keys; `where` are the options that name the bucket."""

    def __init__(self, program: str, endpoint: Endpoint, s3: Any) -> None:
        self.program, self.s3 = program, s3
        self.env = {
            "PATH": f"{Path(program).parent}:/usr/bin:/bin", "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        self.where = ["--bucket", "requests", "--region", REGION, "--endpoint-url", endpoint.url]

    def run(self, *words: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [self.program, *words, *self.where],
            capture_output=True,
            text=True,
            env=self.env,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr and "secret" not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}, done.stdout

    def names(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket="requests").get("Contents", [])]


@pytest.fixture
def host(program: str, endpoint: Endpoint, client: Any) -> Iterator[Host]:
    s3 = client("s3")
    s3.create_bucket(Bucket="requests", CreateBucketConfiguration={"LocationConstraint": REGION})
    for name in ("a", "b 1", "注文"):
        s3.put_object(Bucket="requests", Key=f"wait/{name}-request.json", Body=name.encode())
    yield Host(program, endpoint, s3)
    endpoint.conditions = True
    get_backend("s3").reset()
    assert endpoint.unimplemented == []


def test_claim_finish_and_requeue(host: Host, tmp_path: Path) -> None:
    code, first, _text = host.run("claim", "--owner", "w1", "--get", str(tmp_path / "request"))
    assert (code, first["action"], first["at"]) == (0, "claim", f"processing/w1/{first['key']}"), first
    assert (tmp_path / "request").read_text(encoding="utf-8") + "-request.json" == first["key"]
    code, _second, text = host.run("claim", "--owner", "w2", "--plain")
    assert code == 0 and text.strip() != first["key"] and text.endswith("-request.json\n")
    code, done, _text = host.run("finish", "--owner", "w1", first["key"])
    assert (code, done["at"]) == (0, f"finish/{first['key']}")
    assert host.run("finish", "--owner", "w1", first["key"])[0] == 5
    code, planned, _text = host.run("requeue", "--owner", "w2", "--check")
    assert (code, planned["requeued"], len([key for key in host.names() if key.startswith("wait/")])) == (
        0,
        1,
        1,
    )
    code, back, _text = host.run("requeue", "--owner", "w2")
    assert (code, back["requeued"], back["conditional"]) == (0, 1, True)
    assert not [key for key in host.names() if key.startswith("processing/")] and len(host.names()) == 3
    for _number in range(2):
        assert host.run("claim", "--owner", "w3")[0] == 0
    assert host.run("claim", "--owner", "w3")[:2] == (
        3,
        {"action": "claim", "lost": 0, "doubtful": [], "key": None, "message": "nothing waits"},
    )


def test_only_what_was_in_work_before_the_boot(host: Host) -> None:
    assert host.run("claim")[0] == 0  # just now, so after this machine has booted
    code, found, _text = host.run("requeue", "--before-boot")
    assert (code, found["requeued"], found["skipped"]) == (0, 0, 1)


def test_wrong_words_and_missing_things_are_named(host: Host) -> None:
    for words, text in (
        (("requeue", "--target-prefix", "processing/"), "target_prefix: is the same as source_prefix"),
        (("claim", "--owner", "a/b"), "owner: 'a/b'"),
        (("finish", "none", "--finish-prefix", "wait/done"), "finish_prefix: wait/done/ and wait/"),
        (("requeue", "--workers", "0"), "workers: must be between"),
    ):
        code, found, _text = host.run(*words)
        assert code == 1 and text in found["message"], found


def test_nobody_claims_in_a_store_without_conditions(host: Host, endpoint: Endpoint) -> None:
    endpoint.conditions = False
    before = host.names()
    code, found, _text = host.run("claim", "--owner", "w1")
    assert code == 1 and "conditions" in found["message"]
    assert [key for key in host.names() if key.startswith("wait/")] == before


def test_the_worker_of_the_documentation(host: Host, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
    found = re.search(r"```sh worker\n(.*?)```", text, re.S)
    assert found is not None
    script = tmp_path / "worker.sh"
    script.write_text(found[1], encoding="utf-8")
    do = tmp_path / "do-the-work"
    do.write_text(
        '#!/bin/sh\ngrep -q 1 "$1" && exit 1\ncat "$1" >> "$LOG"; echo >> "$LOG"\n', encoding="utf-8"
    )
    do.chmod(0o755)
    # the documentation's worker names a bucket of its own; here the command is given another one
    front = tmp_path / "hotstandby"
    front.write_text(f'#!/bin/sh\nexec "{host.program}" "$@" {" ".join(host.where)}\n', encoding="utf-8")
    front.chmod(0o755)
    env = {
        **host.env,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "HOSTNAME": "w1",
    }
    done = subprocess.run(
        ["/bin/sh", str(script)], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    # two done; the one that failed stays in work until the next boot
    assert sorted((tmp_path / "log").read_text(encoding="utf-8").split()) == ["a", "注文"]
    keys = host.names()
    assert sorted(keys) == sorted(
        [
            "finish/a-request.json",
            "finish/注文-request.json",
            *[key for key in keys if key.startswith("processing/")],
        ]
    )
    assert len(keys) == 3
    again = subprocess.run(
        ["/bin/sh", str(script)], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert again.returncode == 0 and "1 went back to waiting" in again.stdout, again
