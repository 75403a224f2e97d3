# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator of a job observer, against values worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.checks import PairError
from ansible_collections.hotstandby.ops.plugins.module_utils.odds_jobs import (
    begins,
    calculate,
    calls,
    hours,
    shrinks,
    work,
)


def plan(**given: Any) -> Any:
    return work({"jobs": 1, "seconds": 1800, **given})


def test_with_wake_the_boot_is_all_there_is() -> None:
    found = begins(plan(boot=60, launch=5))
    assert (found.least, found.typical, found.most) == (65.0, 65.0, 65.0)


def test_a_warm_instance_waits_in_its_long_poll() -> None:
    assert begins(plan(least=1)).most <= 1.0


def test_without_wake_the_alarm_has_to_notice_first() -> None:
    often = begins(plan(jobs=24, seconds=60, wake=False, boot=90, launch=10, publish=60))
    # the end of its minute, one more until that is told, launch and boot
    assert (often.least, often.typical, often.most) == (160.5, 190.0, 219.5)
    seldom = begins(plan(wake=False))
    assert seldom.most > often.most + 870 and seldom.least < often.least + 10


def test_a_group_shrinks_after_its_idle_periods() -> None:
    found = shrinks(plan(idle_periods=5, period=60, publish=60))
    assert (found.least, found.typical, found.most) == (360.5, 390.0, 419.5)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"jobs": 1, "seconds": 1800, "boot": 90}, (1800 + 90 + 390) / 3600),
        ({"jobs": 3, "seconds": 60, "boot": 30}, 3 * (60 + 30 + 390) / 3600),
        ({"jobs": 0, "seconds": 60}, 0.0),
        ({"jobs": 0, "seconds": 60, "least": 1}, 24.0),
        ({"jobs": 1440, "seconds": 30}, 24.0),  # one each minute: it never shrinks
        ({"jobs": 1440, "seconds": 150, "most": 5}, 72.0),  # and needs three
        ({"jobs": 1440, "seconds": 150, "most": 2}, 48.0),
    ],
)
def test_instance_hours(given: dict[str, Any], wanted: float) -> None:
    assert hours(work(given)) == pytest.approx(wanted)


def test_calls() -> None:
    found = calls(plan(jobs=2, seconds=600, boot=0, visibility=60))
    idle = 2 * 390
    assert found["sqs"] == pytest.approx(2 * 3 + idle / 20 + 1200 / 20)
    assert (found["scheduler"], found["autoscaling"]) == (4, 4)


def test_it_says_it_for_people() -> None:
    found = calculate(plan(price=0.1))
    assert found["cost_a_month"] == pytest.approx(found["instance_hours_a_day"] * 365.25 / 12 * 0.1)
    assert any("published design: about 600 s" in line for line in found["lines"])
    assert calculate(plan())["cost_a_month"] is None
    assert "15 minutes" in calculate(plan(wake=False))["lines"][-1]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"jobs": 1}, "seconds"),
        ({"jobs": -1, "seconds": 1}, "jobs"),
        ({"jobs": "1x", "seconds": 1}, "jobs"),
        ({"jobs": True, "seconds": 1}, "jobs"),
        ({"jobs": 1, "seconds": 1, "most": 1.5}, "most"),
        ({"jobs": 1, "seconds": 1, "bot": 3}, "bot"),
        ({"jobs": 1, "seconds": 1, "wake": 1}, "wake"),
        ({"jobs": 1, "seconds": 1, "period": 0}, "period"),
        ({"jobs": 1, "seconds": 1, "least": 2}, "least"),
        ({"jobs": 1, "seconds": float("nan")}, "seconds"),
    ],
)
def test_a_number_that_makes_no_sense_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(PairError, match=named):
        work(given)


def test_a_command_line_gives_texts() -> None:
    assert work({"jobs": "2", "seconds": "1.5", "most": "3"}) == work({"jobs": 2, "seconds": 1.5, "most": 3})
