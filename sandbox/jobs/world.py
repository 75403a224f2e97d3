# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job observer on this machine: the role run by ansible-playbook against the endpoint, and instances that are processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..endpoint import ACCOUNT, Caller, Endpoint
from .machines import Machines

ROOT = Path(__file__).resolve().parents[2]
KEY, REGION, NAME, BUCKET = "AKIACONTROLLER000000", "ap-northeast-1", "jobs", "programs"
PLAY = [{"hosts": "localhost", "gather_facts": False,
         "tasks": [{"ansible.builtin.include_role": {"name": "hotstandby.ops.job_observer"}}]}]  # fmt: skip


class JobWorld:
    """Comes up at once; `close` ends it. A minute of schedules, metrics and alarms is `minute` seconds here."""

    def __init__(self, minute: float = 1.0) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="hotstandby-jobs-"))
        self.endpoint = Endpoint()
        self.endpoint.keys = {KEY: Caller("controller", "controller")}
        self.endpoint.ticker.minute = minute
        self.endpoint.groups.second = minute / 60
        self.endpoint.start()
        self.machines = Machines(self.endpoint, self.place / "machines", REGION)
        self.endpoint.hypervisor = self.machines
        self._clients: dict[str, Any] = {}
        self.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        subnets = self.client("ec2").describe_subnets()["Subnets"]
        self.variables: dict[str, Any] = {
            "job_observer_name": NAME,
            "job_observer_region": REGION,
            "job_observer_endpoint_url": self.endpoint.url,
            "job_observer_subnets": [subnets[0]["SubnetId"]],
            "job_observer_image_id": "ami-12345678",
            "job_observer_bucket": BUCKET,
            "job_observer_boot_patience": 20,
            "job_observer_period": int(minute),
            "job_observer_consume_options": ["--poll", "1"],
        }
        (self.place / "play.yml").write_text(json.dumps(PLAY), encoding="utf-8")
        self.endpoint.ticker.start()

    def close(self) -> None:
        """Nothing of it is left."""
        self.endpoint.ticker.stop()
        self.machines.close()
        self.endpoint.stop()
        subprocess.run(["rm", "-rf", str(self.place)], check=False)

    def client(self, service: str) -> Any:
        """A boto3 client of the person at the keyboard."""
        if service not in self._clients:
            import boto3

            session = boto3.session.Session(KEY, "secret", region_name=REGION)
            self._clients[service] = session.client(service, endpoint_url=self.endpoint.url)
        return self._clients[service]

    def play(self, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run the role as an operator does."""
        self.variables.update(variables)
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.place),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(self.place / "play.yml"),
             "-e", json.dumps(self.variables), *options],
            cwd=self.place, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    # -- what is to be seen

    @property
    def queue_url(self) -> str:
        """The queue."""
        return f"{self.endpoint.url}/{ACCOUNT}/{NAME}"

    def send(self, job: str, **attributes: str) -> str:
        """A message as the schedule's; its ID."""
        named = {"Name": job, **attributes}
        answer = self.client("sqs").send_message(
            QueueUrl=self.queue_url,
            MessageBody="{}",
            MessageAttributes={
                key: {"DataType": "String", "StringValue": value} for key, value in named.items()
            },
        )
        return str(answer["MessageId"])

    def group(self) -> Mapping[str, Any]:
        """The group as AWS tells it; empty when there is none."""
        found = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])
        return next(iter(found["AutoScalingGroups"]), {})

    def instances(self, state: str = "") -> list[str]:
        """The group's instances, or those in that lifecycle state."""
        found = self.group().get("Instances") or ()
        return [one["InstanceId"] for one in found if state in ("", one["LifecycleState"])]

    def queue(self) -> tuple[int, int]:
        """(waiting, at work)."""
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])[
            "Attributes"
        ]
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        waiting, working = (int(found[name]) for name in names)
        return waiting, working

    def alarms(self) -> dict[str, str]:
        """{name: state}."""
        return {
            one["AlarmName"]: one["StateValue"]
            for one in self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        }

    def log(self) -> list[str]:
        """What the jobs wrote, of all workers."""
        logs, group = self.client("logs"), f"/hotstandby/{NAME}"
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def happened(self) -> list[tuple[float, str, str]]:
        """What happened so far, the oldest first: (epoch seconds, who, what)."""
        found = [
            (at, name, f"fires{': ' + why if why else ''}")
            for at, name, why in list(self.endpoint.schedules.fired)
        ]
        words = {
            "launch": "launches",
            "terminate": "takes out of service",
            "replace": "gives up and will replace",
        }
        found += [(at, f"group {name}", f"{words[what]} {instance}")
                  for at, name, what, instance in list(self.endpoint.groups.activities)]  # fmt: skip
        found += list(self.machines.events)
        return sorted(found)

    def until(self, condition: Any, seconds: float = 60.0) -> Any:
        """What the condition gives once it is true. Raises TimeoutError with what happened."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"it never came true: {self.happened()}, queue {self.queue()}, {self.alarms()}")
