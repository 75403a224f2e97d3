# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SSM is asked, when and how often; and answers of it that lack what they usually carry."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer, NoAnswer, Reply
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair
from ansible_collections.hotstandby.ops.plugins.module_utils.run_command import (
    PACE,
    CommandError,
    Nodes,
    Outcome,
    cancel,
    fetch,
    listing,
    pace,
    run,
    send,
)

from tests.simulation.aws import Clock, client_error
from tests.simulation.ssm import PASSING, A, B, Ssm, answer, errors_until, invocation, steady
from tests.simulation.world import PAIR


class Late(Clock):
    """A clock that begins somewhere and is never exact."""

    def __init__(self, begin: float = 5000.0, drift: float = 0.0) -> None:
        super().__init__()
        self.now, self.drift = begin, drift

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds + self.drift)


class Polled(Ssm):
    """SSM that takes no time, and notes when it was polled."""

    def __init__(self, clock: Clock, script: Callable[[float], dict[str, dict[str, Any]]]) -> None:
        super().__init__(clock, script)
        self.polled: list[float] = []

    def _found(self) -> dict[str, dict[str, Any]]:
        self.polled.append(round(self.clock.now - self.sent_at, 6))
        return self.script(self.polled[-1])


class Fixed:
    """SSM with one answer for every call; notes the calls."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    def _call(self, **arguments: Any) -> Any:
        self.calls.append(dict(arguments))
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return said

    send_command = get_command_invocation = list_command_invocations = cancel_command = _call


# when polls come, in seconds from the start: by the pace, then once a second
POLLS = [round(seconds, 6) for seconds in itertools.accumulate([*PACE, 1.0, 1.0, 1.0])]


# -- single calls


def test_the_pace_is_quick_at_first_and_then_once_a_second() -> None:
    assert [pace(number) for number in range(len(PACE) + 2)] == [*PACE, 1.0, 1.0]
    assert pace(0) < 0.2 and pace(1000) == 1.0


def test_one_invocation_is_asked_by_its_command_and_instance() -> None:
    whole = {"Status": "Failed", "StatusDetails": "ExecutionTimedOut", "ResponseCode": 3,
             "StandardOutputContent": "out", "StandardErrorContent": "err"}  # fmt: skip
    ssm = Fixed(whole)
    assert fetch(ssm, "c-9", A) == Outcome("c-9", A, "Failed", "ExecutionTimedOut", 3, "out", "err", 0.0)
    assert ssm.calls == [{"CommandId": "c-9", "InstanceId": A}]


def test_one_invocation_that_says_little_is_read_as_that() -> None:
    assert fetch(Fixed({"Status": "Pending"}), "c-9", A) == Outcome(
        "c-9", A, "Pending", "Pending", None, "", ""
    )


def test_one_invocation_that_cannot_be_fetched_names_the_call() -> None:
    for code, passing in (("ThrottlingException", True), ("AccessDeniedException", False)):
        with pytest.raises(CommandError, match=rf"^SSM GetCommandInvocation: .*{code}") as caught:
            fetch(Fixed(client_error(code, "GetCommandInvocation")), "c-9", A)
        assert caught.value.passing is passing


def test_a_listing_that_says_little_is_read_as_that() -> None:
    assert listing(Fixed({}), "c-9") == {}
    for plugins in ({}, {"CommandPlugins": []}, {"CommandPlugins": [{}]}, {"CommandPlugins": None}):
        page = {"CommandInvocations": [{"InstanceId": A, "Status": "Pending", **plugins}]}
        assert listing(Fixed(page), "c-9") == {A: Outcome("c-9", A, "Pending", "Pending", None, "", "")}


def test_a_listing_takes_the_last_plugin_and_cuts_standard_error_off() -> None:
    plugins = [{"Output": "first", "ResponseCode": 1},
               {"Output": "out\n----------ERROR-------\n err \n----------ERROR-------\nx", "ResponseCode": 0}]  # fmt: skip
    item = {"InstanceId": A, "Status": "Success", "StatusDetails": "Done", "CommandPlugins": plugins}
    ssm = Fixed({"CommandInvocations": [item]})
    found = listing(ssm, "c-9")[A]
    assert found == Outcome("c-9", A, "Success", "Done", 0, "out\n", "err \n----------ERROR-------\nx")
    assert ssm.calls == [{"CommandId": "c-9", "Details": True}]


def test_a_listing_goes_through_its_pages_by_their_tokens() -> None:
    pages = [{"CommandInvocations": [{"InstanceId": name, "Status": "Pending"}], "NextToken": token}
             for name, token in ((A, "t-1"), (B, ""))]  # fmt: skip
    ssm = Fixed(*pages)
    assert list(listing(ssm, "c-9")) == [A, B]
    assert [call.get("NextToken") for call in ssm.calls] == [None, "t-1"]


def test_a_cancel_names_the_command_and_the_instances() -> None:
    ssm = Fixed({})
    cancel(ssm, "c-9", (A, B))
    assert ssm.calls == [{"CommandId": "c-9", "InstanceIds": [A, B]}]
    with pytest.raises(CommandError, match=r"^SSM CancelCommand: "):
        cancel(Fixed(PASSING[0]), "c-9", [A])


@pytest.mark.parametrize(("delivery", "seconds"), [(None, 30), (5, 30), (30, 30), (31, 31), (600, 600)])
def test_a_command_is_sent_with_its_bound(delivery: int | None, seconds: int) -> None:
    ssm = Fixed({"Command": {"CommandId": "c-9"}})
    more = {} if delivery is None else {"delivery": delivery}
    assert send(ssm, "Doc", {"commands": ("a", "b")}, (A,), **more) == "c-9"
    assert ssm.calls == [{"DocumentName": "Doc", "Parameters": {"commands": ["a", "b"]}, "InstanceIds": [A],
                          "TimeoutSeconds": seconds}]  # fmt: skip


# -- run


def test_run_sends_what_it_was_told_and_polls_at_its_pace() -> None:
    clock = Late()
    ssm = Polled(
        clock, lambda seconds: {A: invocation("Success" if seconds > POLLS[-2] else "InProgress", "x")}
    )
    outcome = run(ssm, clock, "Doc", {"commands": ["id"]}, A, 45, 60)
    assert (outcome.status, outcome.seconds) == ("Success", POLLS[-1])
    assert ssm.calls[0] == ("send", {"DocumentName": "Doc", "Parameters": {"commands": ["id"]},
                                     "InstanceIds": [A], "TimeoutSeconds": 45})  # fmt: skip
    assert ssm.polled == POLLS


def test_run_tells_its_seconds_to_the_thousandth() -> None:
    clock = Late(drift=0.00049)
    ssm = Polled(clock, steady(a=invocation("Success")))
    assert run(ssm, clock, "Doc", {}, A, 30, 60).seconds == round(PACE[0], 3)


def test_run_ends_when_its_time_is_over_not_a_poll_later() -> None:
    clock = Late(begin=0.0)
    ssm = Polled(clock, lambda _seconds: {})
    outcome = run(ssm, clock, "Doc", {}, A, 30, 3)
    assert outcome == Outcome("c-1", A, "TimedOut", "NoAnswerInTime", None, "", "", round(clock.now, 3))
    assert 33 <= clock.now < 34
    exact = Late(begin=0.0)
    times: list[float] = []

    def script(seconds: float) -> dict[str, dict[str, Any]]:
        times.append(seconds)
        return {}

    exact.monotonic = lambda: 33.0 if len(times) >= 3 else 0.0  # type: ignore[method-assign]
    run(Polled(exact, script), exact, "Doc", {}, A, 30, 3)
    assert len(times) == 3


def test_run_keeps_what_it_last_heard_and_says_what_was_in_the_way() -> None:
    def script(seconds: float) -> dict[str, dict[str, Any]]:
        if seconds > 20:
            raise PASSING[0]
        return {A: invocation("InProgress", "half", rc=-1, errors="e")}

    clock = Late()
    outcome = run(Polled(clock, script), clock, "Doc", {}, A, 30, 5)
    assert (outcome.status, outcome.rc, outcome.stdout, outcome.stderr) == ("TimedOut", None, "half", "e")
    assert outcome.status_details.startswith("SSM GetCommandInvocation: ")
    assert outcome.seconds == round(clock.now - 5000, 3)


def test_run_forgets_a_trouble_that_has_passed() -> None:
    def script(seconds: float) -> dict[str, dict[str, Any]]:
        if seconds < 10:
            raise PASSING[0]
        return {}

    clock = Late()
    assert run(Polled(clock, script), clock, "Doc", {}, A, 30, 5).status_details == "NoAnswerInTime"


# -- both nodes


def nodes(script: Callable[[float], Any], clock: Clock | None = None) -> tuple[Nodes, Polled, Clock]:
    clock = clock or Late()
    ssm = Polled(clock, script)
    return Nodes(ssm, parse_pair(PAIR), clock), ssm, clock


OK_A, OK_B = invocation("Success", answer()), invocation("Success", answer("stopped", "hub-b", B))


def test_the_nodes_are_sent_every_parameter() -> None:
    asked, ssm, _clock = nodes(steady())
    assert (
        asked.send("stop", ["hub-b"], move="m-1", epoch=7, mode="force", timeout=90, active="hub-a") == "c-1"
    )
    sent = ssm.calls[0][1]
    assert sent["DocumentName"] == "HotStandbyNode"
    assert sent["Targets"] == [{"Key": "InstanceIds", "Values": [B]}]
    assert sent["Parameters"] == {"Action": ["stop"], "Pair": ["hub-prod"], "Move": ["m-1"], "Epoch": ["7"],
                                  "Mode": ["force"], "Timeout": ["90"], "Active": ["hub-a"],
                                  "ExecutionTimeout": ["105"]}  # fmt: skip


def test_a_question_with_nothing_said_gets_the_plain_parameters() -> None:
    asked, ssm, _clock = nodes(steady())
    asked.send("status", ["hub-a"])
    assert ssm.calls[0][1]["Parameters"] == {
        "Action": ["status"], "Pair": ["hub-prod"], "Move": [""], "Epoch": [""], "Mode": ["normal"],
        "Timeout": ["20"], "Active": [""], "ExecutionTimeout": ["35"]}  # fmt: skip


def test_the_nodes_are_polled_at_the_pace_and_the_lease_is_kept_before_each() -> None:
    asked, ssm, clock = nodes(
        lambda seconds: {A: OK_A if seconds > POLLS[-2] else invocation("InProgress"), B: OK_B}
    )
    kept: list[float] = []
    replies = asked.ask(
        "look", ["hub-a", "hub-b"], wait=20, keep=lambda: kept.append(round(clock.now - 5000, 6))
    )
    assert [type(reply) for reply in replies.values()] == [Answer, Answer]
    assert ssm.polled == kept == POLLS


def test_who_gives_up_is_told_the_seconds_and_the_replies() -> None:
    asked, _ssm, _clock = nodes(steady(a=invocation("InProgress"), b=OK_B))
    told: list[tuple[float, Reply]] = []

    def give_up(waited: float, replies: dict[str, Reply]) -> bool:
        told.append((round(waited, 6), replies["hub-a"]))
        return len(told) == 3

    asked.ask("look", ["hub-a", "hub-b"], wait=20, keep=lambda: None, give_up=give_up)
    assert told == [
        (seconds, NoAnswer("no answer in time (SSM: InProgress)", reached=True)) for seconds in POLLS[:3]
    ]


class Steps(Late):
    """Time stands still but for what each sleep is told to be."""

    def __init__(self, step: float) -> None:
        super().__init__(0.0)
        self.step = step

    def sleep(self, seconds: float) -> None:
        self.now += self.step


@pytest.mark.parametrize(
    ("status", "polls"), [("Pending", 5), ("Delayed", 5), ("InProgress", 12), ("Cancelling", 12)]
)
def test_the_wait_ends_on_time_and_a_node_that_began_gets_seven_seconds_more(status: str, polls: int) -> None:
    asked, ssm, _clock = nodes(steady(a=invocation(status), b=OK_B), Steps(1.0))
    asked.ask("look", ["hub-a", "hub-b"], wait=5, keep=lambda: None)
    assert len(ssm.polled) == polls


def test_a_node_is_taken_for_missing_after_two_seconds_not_later() -> None:
    asked, ssm, _clock = nodes(steady(b=OK_B), Steps(1.0))
    replies = asked.ask("look", ["hub-a", "hub-b"], wait=20, keep=lambda: None)
    assert replies["hub-a"] == NoAnswer("its SSM agent is not registered or not online")
    assert ssm.polled == [1.0, 2.0]


def test_a_failed_listing_keeps_what_was_known_of_each_node() -> None:
    def script(seconds: float) -> dict[str, dict[str, Any]]:
        if seconds > 2:
            raise PASSING[0]
        return {A: invocation("InProgress"), B: OK_B}

    asked, _ssm, clock = nodes(script)
    replies = asked.ask("look", ["hub-a", "hub-b"], wait=20, keep=lambda: None)
    found = replies["hub-a"]
    assert isinstance(found, NoAnswer) and found.reached
    assert found.why.startswith("no answer in time (SSM ListCommandInvocations: ")
    assert isinstance(replies["hub-b"], Answer)
    assert 27 <= clock.now - 5000 < 28, "it began: it gets its seven seconds although the listing fails"


def test_a_failed_listing_makes_nobody_missing() -> None:
    asked, _ssm, _clock = nodes(errors_until(1000, PASSING[0]))
    replies = asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)
    assert "not registered" not in getattr(replies["hub-a"], "why", "")
    asked, _ssm, _clock = nodes(errors_until(3.0, PASSING[0]))
    assert isinstance(asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)["hub-a"], Answer)


@pytest.mark.parametrize(
    ("status", "fetched"), [("Success", True), ("Failed", True), ("Cancelled", False), ("TimedOut", False)]
)
def test_a_whole_output_is_fetched_only_where_a_command_ended_by_itself(status: str, fetched: bool) -> None:
    asked, ssm, _clock = nodes(steady(a=invocation(status, "cut", rc=1)))
    asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)
    assert ssm.calls.count(("get", {"CommandId": "c-1", "InstanceId": A})) == int(fetched)
    assert ssm.names().count("get") == int(fetched)


def test_no_answer_says_what_ssm_said_with_the_last_line_that_was_printed() -> None:
    long = "first\n" + "x" * 300
    for errors, said in ((long, "x" * 200), ("one\ntwo", "two")):
        asked, _ssm, _clock = nodes(
            steady(a=invocation("Failed", "", rc=1, details="NonZero", errors=errors))
        )
        found = asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)["hub-a"]
        assert found == NoAnswer(f"SSM says NonZero: {said}", reached=True)


def test_an_output_that_cannot_be_fetched_whole_is_no_answer_and_no_error() -> None:
    class NoGet(Polled):
        def get_command_invocation(self, **arguments: Any) -> Any:
            raise client_error("AccessDeniedException", "GetCommandInvocation")

    clock = Late()
    asked = Nodes(NoGet(clock, steady(a=invocation("Success", "cut"))), parse_pair(PAIR), clock)
    found = asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)["hub-a"]
    assert isinstance(found, NoAnswer) and found.reached and found.why.startswith("SSM says Success: ")


def test_an_answer_to_another_question_is_no_answer() -> None:
    asked, _ssm, _clock = nodes(steady(a=invocation("Success", answer(action="stop"))))
    assert isinstance(asked.ask("look", ["hub-a"], wait=20, keep=lambda: None)["hub-a"], NoAnswer)
    assert isinstance(asked.ask("stop", ["hub-a"], wait=20, keep=lambda: None)["hub-a"], Answer)


def test_who_gives_up_before_anything_is_listed_has_no_answer_in_time() -> None:
    asked, ssm, _clock = nodes(steady())
    replies = asked.ask("look", ["hub-a"], wait=20, keep=lambda: None, give_up=lambda _waited, _replies: True)
    assert replies == {"hub-a": NoAnswer("no answer in time", reached=False)} and len(ssm.polled) == 1


def test_late_asks_once_and_waits_for_nothing() -> None:
    asked, ssm, clock = nodes(steady(a=OK_A))
    found = asked.late("c-1", "look", "hub-a")
    assert isinstance(found, Answer) and ssm.names() == ["list"] and clock.now == 5000
    assert asked.late("c-1", "look", "hub-b") is None
