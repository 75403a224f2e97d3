# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requeue against other movers on one server: `run.py [--count N] [--faults] [--rounds R] [--aws PATH] [--s5cmd PATH]
[--rclone PATH]`.

Each gets the same objects and the same names that are taken. Prints one JSON line for each: wall and client CPU in seconds (the
least of the rounds), requests per object, and how many objects were lost, overwritten, changed or left. With `--faults` the
server refuses bursts of calls, loses an answer, denies one key, and kills the tool in the middle; then it is run once more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections"), str(ROOT / "hack")]

from build_zipapp import build  # noqa: E402

from sandbox.endpoint import Caller, Endpoint  # noqa: E402
from sandbox.endpoint.model import ACCOUNT  # noqa: E402
from sandbox.endpoint.traps import Trap  # noqa: E402

FILLER, KEY, REGION, BUCKET = "AKIAFILLER0000000000", "AKIABENCHMARK0000000", "ap-northeast-1", "requests"
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
DENIED = "processing/000007-request.json"
LARGE = b"large " * (9 * 1024**2 // 6)
TAGS = "team=ops"
LIMIT = 60.0  # seconds that a tool may take


def commands(given: argparse.Namespace, url: str) -> dict[str, list[str]]:
    """The tools that are here, and how each is told to move."""
    where = f"s3://{BUCKET}"
    found = {
        "hotstandby requeue": [sys.executable, str(ROOT / "build" / "hotstandby.pyz"), "requeue", "--bucket", BUCKET,
                               "--region", REGION, "--endpoint-url", url],
        "plain boto3 loop": [sys.executable, "-c", LOOP],
    }  # fmt: skip
    if given.aws:
        found["aws s3 mv"] = [given.aws, "--endpoint-url", url, "s3", "mv", f"{where}/processing/", f"{where}/wait/",
                              "--exclude", "*", "--include", "*request.json", "--recursive", "--only-show-errors"]  # fmt: skip
    if given.s5cmd:
        found["s5cmd mv"] = [given.s5cmd, "--log", "error", "--endpoint-url", url, "mv", f"{where}/processing/*request.json",
                             f"{where}/wait/"]  # fmt: skip
    if given.rclone:
        found["rclone move"] = [given.rclone, "move", f":s3:{BUCKET}/processing", f":s3:{BUCKET}/wait", "--include",
                                "*request.json", "--s3-env-auth", "--s3-endpoint", url, "--s3-provider", "Other",
                                "--s3-region", REGION]  # fmt: skip
    return found


class Round:
    """One tool on a fresh bucket."""

    def __init__(self, endpoint: Endpoint, s3: Any, count: int, faults: bool) -> None:
        from moto.backends import get_backend

        self.endpoint, self.count, self.faults = endpoint, count, faults
        backend = get_backend("s3")
        backend.reset()
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.wanted: dict[bytes, dict[str, str]] = {}
        self.taken = {b"waits already"}
        for number in range(count):
            self._put(s3, f"processing/{number:06}-request.json", b"%06d" % number)
        s3.put_object(Bucket=BUCKET, Key="wait/000000-request.json", Body=b"waits already")
        if faults:
            self._put(s3, "processing/large-request.json", LARGE, Tagging=TAGS)
            self._put(s3, "processing/./dot-request.json", b"dot")
            self._put(s3, "processing/a//b-request.json", b"slashes")
            s3.put_object(Bucket=BUCKET, Key="wait/000001-request.json", Body=b"99wait")  # of the same size
            self.taken.add(b"99wait")
        self.kept = backend[ACCOUNT]["aws"].buckets[BUCKET]
        self.tagger = backend[ACCOUNT]["aws"].tagger
        endpoint.clear_calls()

    def _put(self, s3: Any, key: str, body: bytes, **more: str) -> None:
        told = f"{len(self.wanted)}"
        s3.put_object(
            Bucket=BUCKET, Key=key, Body=body, Metadata={"n": told}, ContentType="application/json", **more
        )
        self.wanted[body] = {"n": told, **({"team": "ops"} if more else {})}

    def run(self, command: list[str]) -> tuple[int, str, float, float]:
        """(exit code, its last error, wall, CPU) of the tool; with faults of the second run, after a kill."""
        env = {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "URL": self.endpoint.url,
        }  # fmt: skip
        code, error = -9, f"not done after {LIMIT} s"
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        if self.faults:
            self._torment(command, env)
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, check=False, timeout=LIMIT
            )
            code, error = done.returncode, done.stderr.strip()[-200:] if done.returncode else ""
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        self.endpoint.faults.clear()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return code, error, wall, cpu

    def _torment(self, command: list[str], env: dict[str, str]) -> None:
        """A run under faults that dies in the middle. What goes wrong with the server goes on after it."""
        faults = self.endpoint.faults
        faults.denied_keys = {f"{BUCKET}/{DENIED}"}
        faults.burst["s3"] = 3
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # an answer that is lost, a burst once more, and the kill
        faults.traps.arm(Trap(KEY, "s3:CopyObject", False, lambda: None, count=20, cut=True))
        faults.traps.arm(
            Trap(KEY, "s3:CopyObject", True, lambda: faults.burst.update(s3=20), count=self.count // 4)
        )
        faults.traps.arm(
            Trap(
                KEY,
                "s3:CopyObject",
                False,
                lambda: os.kill(process.pid, signal.SIGKILL),
                count=self.count // 2,
                cut=True,
            )
        )
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        faults.traps.clear()

    def judge(self) -> dict[str, int]:
        """What became of the objects, read from the server's own memory."""
        objects = [(name, self.kept.keys[name]) for name in list(self.kept.keys)]
        waiting = [(name, item) for name, item in objects if name.startswith("wait/")]
        bodies = {item.value for _name, item in objects}
        changed = 0
        for _name, item in waiting:
            if item.value in self.wanted:
                found = {"n": item.metadata.get("x-amz-meta-n", item.metadata.get("n"))}
                found |= self.tagger.get_tag_dict_for_resource(item.arn)
                kind = item.metadata.get("Content-Type", item.metadata.get("content-type"))
                changed += found != self.wanted[item.value] or kind != "application/json"
        left = [
            name
            for name, _item in objects
            if name.startswith("processing/") and not (self.faults and name == DENIED)
        ]
        return {
            "lost": len(set(self.wanted) - bodies),
            "overwritten": len(self.taken - {item.value for _name, item in waiting}),
            "changed": changed,
            "left": len(left),
            "uploads": len(self.kept.multiparts),
        }


def measure(
    name: str, command: list[str], endpoint: Endpoint, s3: Any, given: argparse.Namespace
) -> dict[str, Any]:
    """One tool, once."""
    fresh = Round(endpoint, s3, given.count, given.faults)
    code, error, wall, cpu = fresh.run(command)
    requests = len([call for call in endpoint.calls if call.service == "s3" and call.key == KEY])
    return {
        "tool": name, "rc": code, "wall": round(wall, 2), "cpu": round(cpu, 2),
        "requests": round(requests / given.count, 4), **fresh.judge(), **({"error": error} if error else {}),
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=2500)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--faults", action="store_true")
    for tool in ("aws", "s5cmd", "rclone"):
        options.add_argument(f"--{tool}", default="")
    given = options.parse_args()
    import boto3

    build(ROOT / "build" / "hotstandby.pyz")
    endpoint = Endpoint()
    endpoint.start()
    endpoint.keys = {KEY: Caller("benchmark", "controller"), FILLER: Caller("filler", "controller")}
    s3 = boto3.session.Session(FILLER, "secret", region_name=REGION).client("s3", endpoint_url=endpoint.url)
    rows: dict[str, dict[str, Any]] = {}
    for _round in range(given.rounds):  # in turn, so that what else the machine does hits all
        for name, command in commands(given, endpoint.url).items():
            row = measure(name, command, endpoint, s3, given)
            print(json.dumps(row), file=sys.stderr, flush=True)
            best = rows.setdefault(name, row)
            row["wall"], row["cpu"] = min(row["wall"], best["wall"]), min(row["cpu"], best["cpu"])
            rows[name] = row
    base = rows.get("aws s3 mv")
    for row in rows.values():
        if base:
            row |= {name: round(row[name[:-4]] / base[name[:-4]], 2) for name in ("wall/aws", "cpu/aws")}
        print(json.dumps(row), flush=True)
    endpoint.stop()


if __name__ == "__main__":
    main()
