# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role job_observer for people with an AMI of their own: warm, spot, a job less, and each step first in check mode."""

from __future__ import annotations

import subprocess
from typing import Any

from sandbox.jobs.world import NAME, JobWorld
from tests.integration.jobs.conftest import left

NIGHTLY = {"name": "nightly", "schedule": "cron(0 2 * * ? *)", "timezone": "Asia/Tokyo", "within": 90000}
WEEKLY = {"name": "weekly", "schedule": "rate(7 days)", "within": 600}


def well(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def names(world: JobWorld) -> set[str]:
    """Schedules and alarms."""
    found = {one["Name"] for one in world.client("scheduler").list_schedules()["Schedules"]}
    return found | set(world.alarms())


def template(world: JobWorld) -> dict[str, Any]:
    """What the newest version of the launch template starts an instance from."""
    versions = world.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=NAME, Versions=["$Latest"]
    )
    found: dict[str, Any] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return found


def test_an_ami_of_ones_own_warm_on_spot_and_one_job_less(world: JobWorld) -> None:
    settings = {
        "job_observer_install": False,
        "job_observer_bucket": "",
        "job_observer_min": 1,
        "job_observer_spot": True,
        "job_observer_jobs": [NIGHTLY, WEEKLY],
    }
    assert "changed=0" not in well(world.play("--check", **settings)) and left(world) == []
    well(world.play())
    # warm: nobody has to be woken, and the group never has less than one
    each = {f"{NAME}.{job}" for job in ("nightly", "weekly")}
    late = {f"{NAME}.late.{job}" for job in ("nightly", "weekly")}
    assert names(world) == each | late | {f"{NAME}-{kind}" for kind in ("in", "out", "dead", "age")}
    group = world.group()
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (1, 1, 1)
    world.until(lambda: len(world.instances("InService")) == 1)
    # the AMI starts the worker itself: no user data, and no program in a bucket
    data = template(world)
    assert "UserData" not in data and data["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "Contents" not in world.client("s3").list_objects_v2(Bucket="programs")

    # a job that is in the list no more goes, with its alarm, and nothing else does
    world.variables["job_observer_jobs"] = [NIGHTLY]
    before = left(world)
    planned = well(world.play("--check"))
    assert "changed=2" in planned and left(world) == before
    assert "changed=2" in well(world.play())
    assert set(before) - set(left(world)) == {f"{NAME}.weekly", f"{NAME}.late.weekly"}

    # and all of it, twice
    before = left(world)
    assert (
        "changed=0" not in well(world.play("--check", job_observer_state="absent")) and left(world) == before
    )
    well(world.play())
    assert left(world) == [] and world.instances() == []
    assert "changed=0" in well(world.play())
    assert world.endpoint.unimplemented == []
