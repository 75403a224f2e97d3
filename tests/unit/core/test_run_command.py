# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSM in all its moods: what it says of a command, and what is made of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer, NoAnswer
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import (
    CommandError,
    Nodes,
)
from botocore.exceptions import NoCredentialsError

from tests.simulation.aws import Clock, client_error
from tests.simulation.ssm import PASSING, A, B, Ssm, answer, errors_until, invocation, steady
from tests.simulation.world import PAIR


def ask(
    script: Callable[[float], Any], wait: float = 20, names: tuple[str, ...] = ("hub-a", "hub-b"), **more: Any
) -> Any:
    clock = Clock()
    ssm = Ssm(clock, script)
    kept: list[float] = []
    nodes = Nodes(ssm, parse_pair(PAIR), clock)
    replies = nodes.ask("look", names, wait=wait, keep=lambda: kept.append(clock.now), **more)
    assert set(replies) == set(names), "every name gets a reply"
    return replies, ssm, clock, kept


OK_B = invocation("Success", answer("stopped", "hub-b", B))


def test_both_are_asked_by_one_command_with_targets() -> None:
    replies, ssm, clock, _kept = ask(
        steady(a=invocation("Success", answer()), b=OK_B), active="hub-a", timeout=20
    )
    assert [replies["hub-a"].state, replies["hub-b"].state] == ["running", "stopped"]
    name, sent = ssm.calls[0]
    assert (name, ssm.names().count("send"), "get" in ssm.names()) == ("send", 1, False)
    assert sent["DocumentName"] == "HotStandbyNode"
    assert sent["Targets"] == [{"Key": "InstanceIds", "Values": [A, B]}] and "InstanceIds" not in sent
    assert sent["TimeoutSeconds"] == 30
    assert sent["Parameters"] == {"Action": ["look"], "Pair": ["hub-prod"], "Move": [""], "Epoch": [""],
                                  "Mode": ["normal"], "Timeout": ["20"], "Active": ["hub-a"],
                                  "ExecutionTimeout": ["35"]}  # fmt: skip
    assert clock.now < 0.5, "the first look comes soon"


@pytest.mark.parametrize(
    ("timeout", "told", "execution"), [(0.2, "1", "16"), (1.6, "2", "17"), (780, "780", "795")]
)
def test_a_nodes_own_time_and_ssms_bound(timeout: float, told: str, execution: str) -> None:
    _replies, ssm, _clock, _kept = ask(steady(a=invocation("Success", answer()), b=OK_B), timeout=timeout)
    sent = ssm.calls[0][1]["Parameters"]
    assert (sent["Timeout"], sent["ExecutionTimeout"]) == ([told], [execution])


def test_failed_with_an_answer_is_an_answer() -> None:
    """Exit code 3 means stopped: SSM calls that Failed."""
    failed = invocation("Failed", answer("stopped"), rc=3)
    replies, _ssm, _clock, _kept = ask(steady(a=failed, b=OK_B))
    assert isinstance(replies["hub-a"], Answer) and replies["hub-a"].state == "stopped"


def test_an_answer_before_standard_error_is_found() -> None:
    noisy = invocation("Failed", answer("stopped"), rc=3, errors="warning: locale\n" * 5)
    replies, ssm, _clock, _kept = ask(steady(a=noisy, b=OK_B))
    assert replies["hub-a"].state == "stopped" and "get" not in ssm.names()


def test_a_truncated_output_is_fetched_whole() -> None:
    long = invocation("Success", "noise\n" * 900 + answer())
    replies, ssm, _clock, _kept = ask(steady(a=long, b=OK_B))
    assert replies["hub-a"].state == "running"
    assert [arguments["InstanceId"] for name, arguments in ssm.calls if name == "get"] == [A]


def test_an_output_that_is_longer_than_ssm_keeps_is_no_answer() -> None:
    replies, _ssm, _clock, _kept = ask(
        steady(a=invocation("Success", "x" * 30_000 + "\n" + answer()), b=OK_B)
    )
    assert isinstance(replies["hub-a"], NoAnswer) and "SSM says Success" in replies["hub-a"].why


def test_a_missing_target_is_known_soon_and_the_other_heard() -> None:
    replies, _ssm, clock, _kept = ask(steady(b=OK_B))
    assert replies["hub-a"] == NoAnswer("its SSM agent is not registered or not online", reached=False)
    assert replies["hub-b"].state == "stopped"
    assert 2.0 <= clock.now < 4, "SSM may take a moment to resolve the targets, not the whole wait"


def test_a_target_that_is_listed_late_is_still_heard() -> None:
    late = invocation("Success", answer())
    running = invocation("InProgress")

    def script(seconds: float) -> Any:
        return {B: running if seconds < 6 else OK_B, **({A: late} if seconds > 5 else {})}

    replies, _ssm, _clock, _kept = ask(script)
    assert replies["hub-a"].state == "running" and replies["hub-b"].state == "stopped"


@pytest.mark.parametrize(
    ("status", "reached"), [("Pending", False), ("InProgress", True), ("Delayed", False)]
)
def test_what_never_ends_is_no_answer_after_the_wait(status: str, reached: bool) -> None:
    replies, ssm, clock, kept = ask(steady(a=invocation(status), b=OK_B), wait=20)
    assert replies["hub-a"] == NoAnswer(f"no answer in time (SSM: {status})", reached=reached)
    wait = 27 if reached else 20
    assert wait <= clock.now < wait + 2
    assert max(after - before for before, after in zip(kept, kept[1:])) <= 1.1, "the lease is kept meanwhile"
    assert "cancel" not in ssm.names()


def test_the_wait_may_be_given_up() -> None:
    seen: list[set[str]] = []

    def give_up(waited: float, replies: dict[str, Any]) -> bool:
        seen.append({name for name, reply in replies.items() if isinstance(reply, Answer)})
        return waited > 3

    replies, _ssm, clock, _kept = ask(steady(a=invocation("InProgress"), b=OK_B), wait=100, give_up=give_up)
    assert 3 < clock.now < 5 and isinstance(replies["hub-a"], NoAnswer)
    assert seen[-1] == {"hub-b"}


@pytest.mark.parametrize(
    ("details", "reached"),
    [
        ("DeliveryTimedOut", False),
        ("Undeliverable", False),
        ("ExecutionTimedOut", True),
        ("Terminated", True),
    ],
)
def test_a_timeout_says_what_ssm_says_and_proves_nothing(details: str, reached: bool) -> None:
    for output in ("", "half an ans"):
        gone = invocation("TimedOut", output, rc=-1, details=details)
        replies, _ssm, _clock, _kept = ask(steady(a=gone, b=OK_B))
        assert isinstance(replies["hub-a"], NoAnswer)
        assert f"SSM says {details}" in replies["hub-a"].why
        assert replies["hub-a"].reached == reached


@pytest.mark.parametrize("status", ["TimedOut", "Cancelled"])
def test_an_answer_counts_however_ssm_ended_it(status: str) -> None:
    replies, _ssm, _clock, _kept = ask(steady(a=invocation(status, answer("stopped")), b=OK_B))
    assert replies["hub-a"].state == "stopped"


def test_a_failure_shows_the_last_line_of_standard_error() -> None:
    broken = invocation("Failed", "", rc=127, errors="exec: /usr/local/bin/hotstandby: not found")
    replies, _ssm, _clock, _kept = ask(steady(a=broken, b=OK_B))
    assert replies["hub-a"].why == "SSM says Failed: exec: /usr/local/bin/hotstandby: not found"


@pytest.mark.parametrize(
    "text",
    [answer(node="hub-b", instance=B), answer(instance="i-0cccccccccccccccc"), answer(pair="hub-test")],
)
def test_an_answer_of_somebody_else_is_none(text: str) -> None:
    replies, _ssm, _clock, _kept = ask(steady(a=invocation("Success", text), b=OK_B))
    assert isinstance(replies["hub-a"], NoAnswer) and "expected" in replies["hub-a"].why
    assert replies["hub-a"].spoke, "something did answer: that is no silence"


def test_an_answer_once_heard_stays_heard() -> None:
    """The listing forgets it again: eventual consistency, read twice."""
    well = invocation("Success", answer())
    running = invocation("InProgress")

    def script(seconds: float) -> Any:
        return {A: well, B: running} if seconds < 1 else {B: running} if seconds < 4 else {B: OK_B}

    replies, _ssm, _clock, _kept = ask(script)
    assert replies["hub-a"].state == "running" and replies["hub-b"].state == "stopped"


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_passing_error_while_collecting_is_sat_out(error: Exception) -> None:
    replies, _ssm, clock, _kept = ask(errors_until(5, error))
    assert replies["hub-a"].state == "running" and clock.now < 7
    replies, _ssm, clock, _kept = ask(errors_until(1000, error), wait=20)
    found = replies["hub-a"]
    assert isinstance(found, NoAnswer) and not found.reached, "nothing is known, not even that it is missing"
    assert found.why.startswith("no answer in time (SSM ListCommandInvocations: "), "what failed is named"
    assert 20 <= clock.now < 22


def test_an_error_for_good_while_collecting_is_raised() -> None:
    with pytest.raises(CommandError, match="the right for this call is missing") as caught:
        ask(errors_until(1000, client_error("AccessDeniedException", "ListCommandInvocations")))
    assert not caught.value.passing


@pytest.mark.parametrize(
    ("error", "passing"),
    [*((error, True) for error in PASSING), (client_error("InvalidDocument", "SendCommand"), False),
     (client_error("AccessDeniedException", "SendCommand"), False), (NoCredentialsError(), False)],
)  # fmt: skip
def test_a_command_that_cannot_be_sent(error: Exception, passing: bool) -> None:
    clock = Clock()
    ssm = Ssm(clock, steady())
    ssm.send_error = error
    with pytest.raises(CommandError, match="SSM SendCommand: ") as caught:
        Nodes(ssm, parse_pair(PAIR), clock).ask("look", ["hub-a"], wait=5, keep=lambda: None)
    assert caught.value.passing == passing
    assert len(str(caught.value).splitlines()) == 1
    assert ssm.names() == ["send"], "never sent twice: the first may have gone through"


def test_a_late_answer() -> None:
    clock = Clock()
    ssm = Ssm(
        clock, lambda seconds: {A: invocation("Success", answer()) if seconds > 50 else invocation("Pending")}
    )
    nodes = Nodes(ssm, parse_pair(PAIR), clock)
    command_id = nodes.send("look", ["hub-a"])
    assert nodes.late(command_id, "look", "hub-a") is None
    clock.sleep(60)
    found = nodes.late(command_id, "look", "hub-a")
    assert found is not None and found.state == "running"
    assert nodes.late(command_id, "stop", "hub-a") is None, "an answer to another question"
    for error in (PASSING[0], client_error("AccessDeniedException", "ListCommandInvocations")):
        ssm.script = errors_until(10_000, error)
        assert nodes.late(command_id, "look", "hub-a") is None
