# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What run-exclusive adds to a command, and how many messages of `true` consume works in a second beside a plain boto3 loop.

`python benchmarks/jobs/run.py [--rounds N] [--messages N] [--peer]` from the checkout; prints JSON. The loop does what a plain
worker does: receive, subprocess.run, delete, with the same boto3 and the same endpoint. The peer is aws-sqs-consumer of PyPI, one
message at a time and ten at a time, in an environment of its own under build/.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections"), str(ROOT / "hack")]

from build_zipapp import build  # noqa: E402

from sandbox.endpoint import Caller, Endpoint  # noqa: E402

KEY, REGION = "AKIACONTROLLER000000", "ap-northeast-1"
LOOP = """
import subprocess, sys, boto3
sqs = boto3.client("sqs", region_name=sys.argv[2], endpoint_url=sys.argv[3])
for number in range(int(sys.argv[4])):
    message = sqs.receive_message(QueueUrl=sys.argv[1], WaitTimeSeconds=1)["Messages"][0]
    subprocess.run(["true"], input=message["Body"].encode(), check=True)
    sqs.delete_message(QueueUrl=sys.argv[1], ReceiptHandle=message["ReceiptHandle"])
"""

PEER, PEER_WITH = "aws-sqs-consumer==0.0.15", "boto3"
CONSUMER = """
import subprocess, sys
import boto3
from aws_sqs_consumer import Consumer
left = int(sys.argv[4])
class Peer(Consumer):
    def handle_message(self, message):
        global left
        subprocess.run(["true"], input=message.Body.encode(), check=True)
        left -= 1
        if not left:
            self.stop()
    def handle_message_batch(self, messages):
        for message in messages:
            self.handle_message(message)
client = boto3.client("sqs", region_name=sys.argv[2], endpoint_url=sys.argv[3])
Peer(sys.argv[1], region=sys.argv[2], sqs_client=client, batch_size=int(sys.argv[5])).start()
"""


def peer() -> str:
    """The Python that has the peer, with our own boto3's version."""
    import boto3

    place = ROOT / "build" / "jobs-peer"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", PEER, f"{PEER_WITH}=={boto3.__version__}"], check=True
        )
    return str(python)


def timed(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """(seconds of the clock, seconds of a core by the command and its children)."""
    before = os.times()
    begun = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - begun
    after = os.times()
    return took, (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--peer", action="store_true")
    given = parser.parse_args()
    endpoint = Endpoint()
    endpoint.keys = {KEY: Caller("controller", "controller")}
    endpoint.start()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    os.environ.update(env)
    import boto3

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "hotstandby.pyz"
        build(program)
        command = [sys.executable, str(program)]
        keys = [{"AttributeName": "pair", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}]
        kinds = [{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys]
        boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint.url).create_table(
            TableName="jobs", KeySchema=keys, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST"
        )
        aws = ["--region", REGION, "--endpoint-url", endpoint.url]
        found: dict[str, object] = {}
        plain = [timed(["true"], env)[0] for _round in range(given.rounds)]
        for name, store in (("dir", [f"dir:{folder}"]), ("dynamodb", ["dynamodb:jobs", *aws])):
            endpoint.clear_calls()
            took = [
                timed(
                    [
                        *command,
                        "run-exclusive",
                        "--job",
                        name,
                        "--run",
                        str(number),
                        "--store",
                        *store,
                        "--",
                        "true",
                    ],
                    env,
                )[0]
                for number in range(given.rounds)
            ]
            added = sorted(1000 * (one - statistics.median(plain)) for one in took)
            found[name] = {
                "added_ms_median": round(statistics.median(added), 1),
                "added_ms_worst": round(added[-1], 1),
                "store_calls": len(endpoint.calls) / given.rounds,
            }
        sqs = boto3.client("sqs", region_name=REGION, endpoint_url=endpoint.url)
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        count = str(given.messages)
        workers = {
            "consume": [*command, "consume", "--queue", url, *aws, "--max", count, "--", "true"],
            "boto3_loop": [sys.executable, "-c", LOOP, url, REGION, endpoint.url, count],
        }
        if given.peer:
            python = peer()
            for name, size in (("aws_sqs_consumer", "1"), ("aws_sqs_consumer_ten", "10")):
                workers[name] = [python, "-c", CONSUMER, url, REGION, endpoint.url, count, size]
        for name, worker in workers.items():
            for number in range(given.messages):
                sqs.send_message(QueueUrl=url, MessageBody=str(number))
            endpoint.clear_calls()
            took_all, core = timed(worker, env)
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            asked = len(endpoint.calls)
            left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            found[name] = {
                "messages_per_second": round(given.messages / took_all, 1),
                "core_ms_per_message": round(1000 * core / given.messages, 2),
                "messages_per_core_second": round(given.messages / core, 1),
                "requests_per_message": round(asked / given.messages, 2),
                "messages_left": sum(int(left[name]) for name in names),
            }
    endpoint.stop()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
