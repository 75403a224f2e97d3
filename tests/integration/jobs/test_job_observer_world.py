# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job observer as a whole: the role, schedules, a group whose instances really boot, work and die, and the way back."""

from __future__ import annotations

import time

from ansible_collections.hotstandby.ops.plugins.module_utils.policies_jobs import GRANTS

from sandbox.jobs.world import NAME, JobWorld
from tests.integration.jobs.conftest import left

JOB = 'echo "begins $JOB_NAME"; case $JOB_NAME in long*) sleep 7 ;; esac; echo "ends $JOB_NAME"'
JOBS = [
    {"name": "nightly", "schedule": "cron(0 2 * * ? *)", "timezone": "Asia/Tokyo", "within": 90000},
    {"name": "other", "schedule": "rate(30 days)"},
]


def begun(world: JobWorld, job: str) -> bool:
    return any(line.endswith(f" begins {job}") for line in world.log())


def ended(world: JobWorld, *jobs: str) -> bool:
    said = [line.split(" ", 2)[2] for line in world.log()]
    return all(said.count(f"ends {job}") == jobs.count(job) for job in set(jobs))


def changes(world: JobWorld, what: str) -> list[str]:
    return [instance for _at, _group, kind, instance in world.endpoint.groups.activities if kind == what]


def test_it_is_made_works_and_goes(world: JobWorld) -> None:
    world.client("sns").create_topic(Name="somebody-elses")
    settings = {
        "job_observer_jobs": JOBS,
        "job_observer_command": ["/bin/sh", "-c", JOB],
        "job_observer_idle_periods": 3,
        "job_observer_finish": 1800,  # half a minute here
    }
    made = world.play(**settings)
    assert made.returncode == 0, made.stdout
    assert len(left(world)) == 19, left(world)
    again = world.play()
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout
    assert world.instances() == []

    # the hour strikes: from none to one, worked, and back to none. The first one loses power in its boot
    world.machines.doomed = 1
    for name in (f"{NAME}.nightly", f"{NAME}.nightly.wake"):
        world.endpoint.schedules.fire(name)
    world.until(lambda: ended(world, "nightly"))
    assert changes(world, "replace") == changes(world, "launch")[:1]
    world.until(lambda: world.instances() == [])
    assert world.queue() == (0, 0)

    # two messages and one instance, which the alarm alone asks for; one job outlasts the idle periods with nothing waiting
    for job in ("long", "short"):
        world.send(job)
    launched = len(changes(world, "launch"))
    began = time.time()
    world.until(lambda: ended(world, "long", "short"))
    assert changes(world, "launch")[launched:] != [] and len(changes(world, "launch")) == launched + 1
    ends = [
        at
        for at, _group, kind, _instance in world.endpoint.groups.activities
        if kind == "terminate" and at > began
    ]
    assert ends == [] or min(ends) > began + 7
    world.until(lambda: world.instances() == [])

    # told to shrink in mid-job, the group waits until the job has ended
    scaling = world.client("autoscaling")
    world.send("long-kept")
    world.until(lambda: begun(world, "long-kept"))
    assert [one["ProtectedFromScaleIn"] for one in world.group()["Instances"]] == [True]
    scaling.set_desired_capacity(AutoScalingGroupName=NAME, DesiredCapacity=0)
    world.until(lambda: world.group()["DesiredCapacity"] == 0)
    world.endpoint.groups.reconcile(time.time())
    assert len(world.instances("InService")) == 1
    world.until(lambda: ended(world, "long-kept"))
    world.until(lambda: world.instances() == [])

    # somebody insists: the hook gives the job its time, and the instance goes as soon as it has ended
    world.send("long-ended")
    world.until(lambda: begun(world, "long-ended"))
    (instance,) = world.instances()
    scaling.set_instance_protection(
        AutoScalingGroupName=NAME, InstanceIds=[instance], ProtectedFromScaleIn=False
    )
    scaling.set_desired_capacity(AutoScalingGroupName=NAME, DesiredCapacity=0)
    world.until(lambda: world.instances("Terminating:Wait") == [instance])
    world.until(lambda: ended(world, "long-ended"))
    world.until(lambda: world.instances() == [])
    assert world.queue() == (0, 0)
    # a unit that starts its worker again is told that this was done already
    released = [
        call.caller
        for call in world.endpoint.calls
        if call.action == "CompleteLifecycleAction" and call.status == 200
    ]
    assert released.count(instance) == 1

    told = world.client("cloudwatch").list_metrics(Namespace="HotStandby")["Metrics"]
    jobs = {one["Value"] for metric in told for one in metric["Dimensions"] if one["Name"] == "Job"}
    assert jobs == {"nightly", "long", "short", "long-kept", "long-ended"}
    rights = {action.partition(":")[2] for grant in GRANTS["worker"] for action in grant.actions}
    calls = {call.action for call in world.endpoint.calls if call.caller.startswith("i-")}
    # DeleteMessage is the right for a batch too, and no job here is long enough for its message to be extended
    assert calls - rights <= {"DeleteMessageBatch"}, calls - rights
    assert rights - calls <= {"DeleteMessage", "ChangeMessageVisibility"}, rights - calls

    # all of it goes, and nothing else
    assert world.endpoint.unimplemented == []
    gone = world.play(job_observer_state="absent")
    assert gone.returncode == 0, gone.stdout
    assert [one.rpartition(":")[2] for one in left(world)] == ["somebody-elses"]
