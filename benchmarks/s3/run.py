# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requeue against other movers on one server: `run.py [--count N] [--aws PATH] [--s5cmd PATH] [--rclone PATH]`.

Each gets the same objects and the same one name that is taken. Prints a table: wall and client CPU in seconds, requests per
object, and how many objects were lost, overwritten or have other metadata than before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections")]

from sandbox.endpoint import Caller, Endpoint  # noqa: E402

KEY, REGION, BUCKET = "AKIABENCHMARK0000000", "ap-northeast-1", "requests"
LOOP = """
import os, sys, boto3
s3 = boto3.client("s3", endpoint_url=os.environ["URL"])
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="requests", Prefix="processing/"):
    for item in page.get("Contents", []):
        if item["Key"].endswith("request.json"):
            to = "wait/" + item["Key"].partition("/")[2]
            s3.copy_object(Bucket="requests", Key=to, CopySource={"Bucket": "requests", "Key": item["Key"]})
            s3.delete_object(Bucket="requests", Key=item["Key"])
"""


def commands(given: argparse.Namespace, url: str) -> dict[str, list[str]]:
    """The tools that are here, and how each is told to move."""
    found = {
        "hotstandby requeue": [sys.executable, str(ROOT / "build" / "hotstandby.pyz"), "requeue", "--bucket", BUCKET,
                               "--region", REGION, "--endpoint-url", url],
        "plain boto3 loop": [sys.executable, "-c", LOOP],
    }  # fmt: skip
    if given.aws:
        found["aws s3 mv"] = [given.aws, "--endpoint-url", url, "s3", "mv", f"s3://{BUCKET}/processing/", f"s3://{BUCKET}/wait/",
                              "--exclude", "*", "--include", "*request.json", "--recursive", "--only-show-errors"]  # fmt: skip
    if given.s5cmd:
        found["s5cmd mv"] = [
            given.s5cmd,
            "--endpoint-url",
            url,
            "mv",
            f"s3://{BUCKET}/processing/*request.json",
            f"s3://{BUCKET}/wait/",
        ]
    if given.rclone:
        found["rclone move"] = [given.rclone, "move", f":s3:{BUCKET}/processing", f":s3:{BUCKET}/wait", "--include", "*request.json",
                                "--s3-env-auth", "--s3-endpoint", url, "--s3-provider", "Other"]  # fmt: skip
    return found


def fill(s3: Any, count: int) -> dict[str, bytes]:
    """The same objects each time; returns what must be there afterwards, by its bytes."""
    for number in range(count):
        s3.put_object(
            Bucket=BUCKET,
            Key=f"processing/{number:06}-request.json",
            Body=b"%d" % number,
            Metadata={"n": str(number)},
        )
    s3.put_object(Bucket=BUCKET, Key="wait/000000-request.json", Body=b"waits already")
    return {str(number): b"%d" % number for number in range(count)}


def judge(count: int) -> dict[str, int]:
    """What became of the objects, read from the server's own memory."""
    from moto.backends import get_backend

    from sandbox.endpoint.model import ACCOUNT

    kept = get_backend("s3")[ACCOUNT]["aws"].buckets[BUCKET].keys
    objects = [(name, kept[name]) for name in list(kept)]
    bodies = {item.value for name, item in objects if name.startswith("wait/")}
    wanted = {b"%d" % number for number in range(count)}
    changed = sum(
        item.value in wanted
        and item.metadata.get("x-amz-meta-n", item.metadata.get("n")) != item.value.decode()
        for _name, item in objects
    )
    return {
        "lost": len(wanted - bodies),
        "overwritten": int(b"waits already" not in bodies),
        "changed": changed,
    }


def measure(name: str, command: list[str], endpoint: Endpoint, s3: Any, count: int) -> dict[str, Any]:
    """One tool on a fresh bucket."""
    from moto.backends import get_backend

    get_backend("s3").reset()
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    fill(s3, count)
    endpoint.clear_calls()
    env = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "URL": endpoint.url,
    }  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    requests = len([call for call in endpoint.calls if call.service == "s3"]) / count
    return {
        "tool": name,
        "rc": done.returncode,
        "wall": round(wall, 2),
        "cpu": round(cpu, 2),
        "requests": round(requests, 4),
        **judge(count),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=2500)
    for tool in ("aws", "s5cmd", "rclone"):
        options.add_argument(f"--{tool}", default="")
    given = options.parse_args()
    import boto3

    subprocess.run(
        [sys.executable, str(ROOT / "hack" / "build_zipapp.py"), str(ROOT / "build" / "hotstandby.pyz")],
        check=True,
    )
    endpoint = Endpoint()
    endpoint.start()
    endpoint.keys = {KEY: Caller("benchmark", "controller")}
    s3 = boto3.session.Session(KEY, "secret", region_name=REGION).client("s3", endpoint_url=endpoint.url)
    rows = [
        measure(name, command, endpoint, s3, given.count)
        for name, command in commands(given, endpoint.url).items()
    ]
    base = next((row for row in rows if row["tool"] == "aws s3 mv"), None)
    for row in rows:
        if base:
            row |= {
                "wall/aws": round(row["wall"] / base["wall"], 2),
                "cpu/aws": round(row["cpu"] / base["cpu"], 2),
            }
        sys.stdout.write(json.dumps(row) + "\n")
    endpoint.stop()


if __name__ == "__main__":
    main()
