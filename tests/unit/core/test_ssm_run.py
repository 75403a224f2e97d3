# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own command through SSM: one invocation, its listing, and the wait for its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import (
    CommandError,
    Outcome,
    fetch,
    listing,
    run,
)

from tests.simulation.aws import Clock, client_error
from tests.simulation.ssm import PASSING, A, B, Ssm, errors_until, invocation, steady

# -- the listing and one invocation


def test_a_listing_reads_every_page_and_splits_standard_error() -> None:
    clock = Clock()
    ssm = Ssm(
        clock, steady(a=invocation("Failed", "out\n", rc=3, errors="err"), b=invocation("Pending", rc=-1))
    )
    ssm.page = 1
    found = listing(ssm, "c-1")
    assert found[A] == Outcome("c-1", A, "Failed", "Failed", 3, "out\n\n", "err")
    assert (found[B].status, found[B].rc, found[B].stdout, found[B].ended) == ("Pending", None, "", False)


@pytest.mark.parametrize(("given", "rc"), [(0, 0), (3, 3), (-1, None), ("0", None), (None, None)])
def test_an_exit_code_that_is_not_known_is_none(given: Any, rc: int | None) -> None:
    clock = Clock()
    ssm = Ssm(clock, steady(a=invocation("Failed", "x", rc=given)))
    assert listing(ssm, "c-1")[A].rc == rc
    outcome = fetch(ssm, "c-1", A)
    assert outcome is not None and outcome.rc == rc
    assert fetch(ssm, "c-1", B) is None, "InvocationDoesNotExist is: not yet"


# -- run, for people's own commands


def one(
    script: Callable[[float], Any], delivery: int = 30, execution: int = 60
) -> tuple[Outcome, Ssm, Clock]:
    clock = Clock()
    ssm = Ssm(clock, script)
    parameters = {"commands": ["id"]}
    return run(ssm, clock, "AWS-RunShellScript", parameters, A, delivery, execution), ssm, clock


def test_run_waits_for_an_invocation_that_does_not_exist_yet() -> None:
    done = invocation("Success", "uid=0\n")
    outcome, ssm, clock = one(lambda seconds: {A: done} if seconds > 3 else {})
    assert (outcome.status, outcome.rc, outcome.stdout, outcome.command_id) == (
        "Success",
        0,
        "uid=0\n",
        "c-1",
    )
    assert outcome.seconds == pytest.approx(clock.now, abs=0.01) and outcome.ended
    assert ssm.calls[0][1]["InstanceIds"] == [A] and "cancel" not in ssm.names()


@pytest.mark.parametrize(
    ("found", "status", "rc"),
    [
        (invocation("Failed", "x", rc=2, errors="no"), "Failed", 2),
        (invocation("Cancelled", rc=-1), "Cancelled", None),
        (invocation("TimedOut", rc=-1, details="DeliveryTimedOut"), "TimedOut", None),
        (invocation("TimedOut", rc=137, details="ExecutionTimedOut"), "TimedOut", 137),
    ],
)
def test_run_tells_every_end_as_ssm_does(found: dict[str, Any], status: str, rc: int | None) -> None:
    outcome, ssm, _clock = one(steady(a=found))
    assert (outcome.status, outcome.status_details, outcome.rc) == (status, found["details"], rc)
    assert outcome.stderr == found["errors"] and "cancel" not in ssm.names()


@pytest.mark.parametrize(
    "script",
    [steady(), steady(a=invocation("Pending", rc=-1)), steady(a=invocation("InProgress", "half", rc=-1))],
)
def test_run_cancels_what_never_ends(script: Callable[[float], Any]) -> None:
    outcome, ssm, clock = one(script, delivery=5, execution=60)
    assert (outcome.status, outcome.status_details, outcome.rc) == ("TimedOut", "NoAnswerInTime", None)
    assert ssm.calls[-1] == ("cancel", {"CommandId": "c-1", "InstanceIds": [A]})
    assert 90 <= clock.now < 92, "SSM's least delivery time of 30 s counts"
    assert outcome.command_id == "c-1" and outcome.instance_id == A


def test_run_says_when_the_cancel_failed_too() -> None:
    clock = Clock()
    ssm = Ssm(clock, steady(a=invocation("InProgress", rc=-1)))
    ssm.cancel_error = PASSING[1]
    outcome = run(ssm, clock, "D", {}, A, 30, 5)
    assert outcome.status == "TimedOut" and "SSM CancelCommand" in outcome.status_details


def test_run_sits_out_passing_errors_and_raises_others() -> None:
    outcome, _ssm, _clock = one(errors_until(9, PASSING[0]))
    assert outcome.status == "Success"
    with pytest.raises(CommandError):
        one(errors_until(9, client_error("AccessDeniedException", "GetCommandInvocation")))
