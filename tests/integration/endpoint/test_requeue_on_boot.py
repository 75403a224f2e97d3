# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role requeue_on_boot below a root of its own: what it installs, run as a boot would, and taken away again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend

from sandbox.endpoint import Caller, Endpoint
from tests.integration.endpoint.conftest import KEY, REGION

ROOT = Path(__file__).parents[3]
OTHER = "AKIAREQUEUE000000000"


class Boot:
    """A host whose name is given, with the role's files below `root`."""

    def __init__(self, folder: Path, endpoint: Endpoint, s3: Any) -> None:
        self.folder, self.root, self.s3 = folder, folder / "root", s3
        self.root.mkdir()
        (folder / "bin").mkdir()
        self.options = {
            "requeue_on_boot_bucket": "requests-prod", "requeue_on_boot_bucket_verification": "requests-test",
            "requeue_on_boot_region": REGION, "requeue_on_boot_endpoint_url": endpoint.url,
            "requeue_on_boot_owner": "w1", "requeue_on_boot_python": sys.executable,
            "requeue_on_boot_before": ["worker.service"], "hotstandby_root": str(self.root), "hotstandby_become": False,
        }  # fmt: skip

    def role(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        play = [
            {
                "hosts": "localhost", "connection": "local", "gather_facts": False,
                "vars": {"ansible_python_interpreter": sys.executable, **self.options, **options},
                "roles": ["hotstandby.ops.requeue_on_boot"],
            }
        ]  # fmt: skip
        book = self.folder / "play.yml"
        book.write_text(json.dumps(play), encoding="utf-8")
        env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")}
        program = Path(sys.executable).with_name("ansible-playbook")
        return subprocess.run(
            [str(program), str(book), *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def boot(self, name: str, key: str = KEY) -> dict[str, Any]:
        stub = self.folder / "bin" / "hostname"
        stub.write_text(f"#!/bin/sh\necho {name}\n", encoding="utf-8")
        stub.chmod(0o755)
        env = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "HOME": "/",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": "s",
        }
        done = subprocess.run(
            [str(self.root / "usr/local/bin/resetProcessing.sh")], env=env, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert "top-secret" not in done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return {**found, "rc": done.returncode}

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]


@pytest.fixture
def host(tmp_path: Path, endpoint: Endpoint, client: Any) -> Any:
    s3 = client("s3")
    for bucket in ("requests-prod", "requests-test"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key="processing/w1/a-request.json", Body=bucket.encode())
    yield Boot(tmp_path, endpoint, s3)
    get_backend("s3").reset()


def test_installed_run_and_removed(host: Boot, endpoint: Endpoint, client: Any) -> None:
    first = host.role(requeue_on_boot_appspec=f"{host.root}/appspec.yml")
    assert first.returncode == 0, first.stdout[-3000:]
    unit = (host.root / "etc/systemd/system/hotstandby-requeue.service").read_text(encoding="utf-8")
    assert "After=network-online.target" in unit and "Before=worker.service" in unit
    assert "ApplicationStart" in (host.root / "appspec.yml").read_text(encoding="utf-8")
    again = host.role(requeue_on_boot_appspec=f"{host.root}/appspec.yml")
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout[-3000:]
    # the name chooses the bucket
    assert host.boot("web-prod-1")["requeued"] == 1
    names = {
        b: [o["Key"] for o in host.s3.list_objects_v2(Bucket=b)["Contents"]]
        for b in ("requests-prod", "requests-test")
    }
    assert names == {
        "requests-prod": ["wait/a-request.json"],
        "requests-test": ["processing/w1/a-request.json"],
    }
    # keys from SSM, in no file
    endpoint.keys[OTHER] = Caller("requeue", "node")
    for name, value in (("/requeue/key", OTHER), ("/requeue/secret", "top-secret")):
        client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
    keyed = {
        "requeue_on_boot_key_parameter_verification": "/requeue/key",
        "requeue_on_boot_secret_parameter_verification": "/requeue/secret",
    }
    cron = host.role(requeue_on_boot_scheduler="cron", **keyed)
    assert cron.returncode == 0, cron.stdout[-3000:]
    assert "@reboot root" in (host.root / "etc/cron.d/hotstandby-requeue").read_text(encoding="utf-8")
    assert not any(b"top-secret" in path.read_bytes() for path in host.files())
    endpoint.clear_calls()
    assert host.boot("web-test-1")["requeued"] == 1
    assert {call.key for call in endpoint.calls if call.service == "s3"} == {OTHER}
    gone = host.role(requeue_on_boot_state="absent")
    assert gone.returncode == 0, gone.stdout[-3000:]
    assert [path.name for path in host.files()] == ["appspec.yml"]


def test_under_cron_a_network_that_comes_up_late_loses_nothing(host: Boot) -> None:
    late = host.folder / "bin" / "late-python"
    late.write_text(
        f"#!/bin/sh\ncd {host.folder} && echo try >> tries\n"
        f'[ "$(wc -l < tries)" -ge 3 ] || {{ echo "no route to host" >&2; exit 1; }}\nexec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    pause = host.folder / "bin" / "sleep"
    pause.write_text(f'#!/bin/sh\necho "$1" >> {host.folder}/pauses\n', encoding="utf-8")
    for stub in (late, pause):
        stub.chmod(0o755)
    done = host.role(requeue_on_boot_scheduler="cron", requeue_on_boot_python=str(late))
    assert done.returncode == 0, done.stdout[-3000:]
    line = (host.root / "etc/cron.d/hotstandby-requeue").read_text(encoding="utf-8").splitlines()[-1]
    assert line.startswith("@reboot root ") and "%" not in line  # cron ends a command at a per cent sign
    env = {
        "PATH": f"{host.folder}/bin:/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    command = line.removeprefix("@reboot root ")
    assert subprocess.run(["/bin/sh", "-c", command], env=env, check=False, timeout=120).returncode == 0
    assert (host.folder / "pauses").read_text(encoding="utf-8").split() == ["10", "10"]
    log = (host.root / "var/log/hotstandby/requeue.log").read_text(encoding="utf-8")
    assert log.count("no route to host") == 2
    waits = [one["Key"] for one in host.s3.list_objects_v2(Bucket="requests-test")["Contents"]]
    assert waits == ["wait/a-request.json"]


def test_half_an_answer_is_refused(host: Boot) -> None:
    for wrong in ({"requeue_on_boot_bucket_verification": None}, {"requeue_on_boot_key_parameter": "/k"}):
        done = host.role(**wrong)
        assert done.returncode != 0 and "requeue_on_boot_bucket" in done.stdout
    assert host.files() == []
