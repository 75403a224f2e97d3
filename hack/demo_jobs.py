# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo of the job observer: nothing runs, the hour strikes, a worker boots, dies, is replaced, works, and goes.

A minute of AWS is a second here. Ends with "DEMO ok" only when everything held.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox.jobs.world import NAME, JobWorld

JOB = 'echo "begins"; case $JOB_NAME in closing) sleep 6 ;; esac; echo "ends; scheduled ${JOB_SCHEDULED:-by hand}"'
SETTINGS = {
    "job_observer_command": ["/bin/sh", "-c", JOB],
    "job_observer_idle_periods": 3,
    "job_observer_finish": 60,
    "job_observer_jobs": [
        {"name": "closing", "schedule": "cron(0 2 * * ? *)", "timezone": "Asia/Tokyo", "within": 90000}
    ],
}


class Story:
    """Prints what happens, with the seconds since the last chapter began."""

    def __init__(self, world: JobWorld) -> None:
        self._world, self._begin = world, time.time()
        self._seen = 0
        self._shown: dict[str, str] = {}

    def chapter(self, text: str) -> None:
        self._begin = time.time()
        print(f"\n{text}", flush=True)

    def line(self, at: float, who: str, what: str) -> None:
        print(f"{max(0.0, at - self._begin):7.1f} s  {who:22} {what}", flush=True)

    def look(self) -> None:
        """Whatever is new."""
        world = self._world
        found = world.happened()
        for at, who, what in found[self._seen :]:
            self.line(at, who, what)
        self._seen = len(found)
        waiting, working = world.queue()
        now = {"queue": f"{waiting} waiting, {working} at work"}
        now.update(
            {
                f"alarm {name}": state
                for name, state in world.alarms().items()
                if name in (f"{NAME}-out", f"{NAME}-in")
            }
        )
        for who, what in now.items():
            if self._shown.get(who) != what:
                self.line(time.time(), who, what)
        self._shown = now

    def until(self, what: str, condition: Callable[[], object], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            if condition():
                self.look()
                return
            time.sleep(0.2)
        raise SystemExit(f"DEMO FAILED: not within {seconds:.0f} s: {what}")


def ends(world: JobWorld) -> int:
    return sum(" ends; " in line for line in world.log())


def main() -> None:
    world = JobWorld()
    try:
        story = Story(world)
        story.chapter("The role job_observer makes queue, schedules, alarms and a group of nobody")
        made = world.play(**SETTINGS)
        if made.returncode:
            raise SystemExit(
                f"DEMO FAILED: the role ended with {made.returncode}:\n{made.stdout[-3000:]}{made.stderr[-1000:]}"
            )
        again = made.stdout.strip().splitlines()[-1].split(" : ")[-1].split()
        story.line(time.time(), "ansible-playbook", " ".join(again[:2]))
        story.look()
        story.chapter(
            "It is two in the morning in Tokyo (a minute of AWS is a second here); the first worker will lose power in its boot"
        )
        world.machines.doomed = 1
        for name in (f"{NAME}.closing", f"{NAME}.closing.wake"):
            world.endpoint.schedules.fire(name)
        story.until("the job is done", lambda: ends(world) == 1)
        story.until("nobody is left", lambda: not world.instances())
        story.chapter(
            "Two messages by hand, one of them long: one worker does both, and is not taken away in mid-job"
        )
        for job in ("closing", "report"):
            world.send(job)
        story.until("both jobs are done", lambda: ends(world) == 3)
        story.until("nobody is left", lambda: not world.instances())
        story.chapter("The jobs' log in CloudWatch Logs")
        for line in world.log():
            job, _id, text = line.split(" ", 2)
            print(f"{'':11}{job:22} {text}")
        dead = world.client("sqs").get_queue_url(QueueName=f"{NAME}-dead")["QueueUrl"]
        lost = world.client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]
        if world.queue() != (0, 0) or lost["ApproximateNumberOfMessages"] != "0" or ends(world) != 3:
            raise SystemExit(f"DEMO FAILED: queue {world.queue()}, dead {lost}, done {ends(world)}")
        launched = sum(kind == "launch" for _at, _group, kind, _one in world.endpoint.groups.activities)
        print(
            f"\nDEMO ok: 3 messages worked once each by {launched} instances, 1 of which died in its boot; none is left"
        )
    finally:
        world.close()


if __name__ == "__main__":
    main()
