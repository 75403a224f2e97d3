# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a consumer holds: fetched ahead only of short jobs, kept out of sight, given back, deleted together and never lost."""

from __future__ import annotations

import math

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_queue import Message, Pace, Rules
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Exit
from ansible_collections.hotstandby.ops.plugins.module_utils.node.queue import Queue, QueueError
from ansible_collections.hotstandby.ops.plugins.module_utils.node.queue_held import Delivery, Held
from ansible_collections.hotstandby.ops.plugins.module_utils.node.queue_work import Work


class Around:
    def __init__(self) -> None:
        self.now, self.stop, self.until = 0.0, False, math.inf

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def stopping(self) -> bool:
        return self.stop

    def left(self) -> float:
        return max(0.0, self.until - self.now)


class Calls:
    """A queue of twenty messages; `fails` is what each call meets."""

    def __init__(self, receives: int = 1) -> None:
        self.waiting = [Message(f"m{number}", f"r{number}", "", receives) for number in range(20)]
        self.asked: list[int] = []
        self.hidden: list[tuple[str, float]] = []
        self.deleted: list[list[str]] = []
        self.fails: list[QueueError] = []
        self.failing: set[str] = set()
        self.slow: list[tuple[Around, float]] = []

    def receive(self, most: int, seconds: float) -> list[Message]:
        for around, takes in self.slow:
            around.now += takes
        self.asked.append(most)
        found, self.waiting = self.waiting[:most], self.waiting[most:]
        return found

    def hide(self, message: Message, seconds: float) -> None:
        for error in self.fails:
            raise error
        self.hidden.append((message.id, seconds))

    def delete(self, messages: list[Message]) -> dict[str, QueueError]:  # type: ignore[override]
        for error in self.fails:
            raise error
        self.deleted.append([message.id for message in messages if message.receipt not in self.failing])
        return {message.receipt: QueueError("no") for message in messages if message.receipt in self.failing}


class Rig:
    def __init__(self, visibility: float = 30.0, prefetch: int = 10) -> None:
        self.around, self.calls, self.said = Around(), Calls(), list[str]()
        rules = Rules(visibility=visibility, prefetch=prefetch)
        self.held = Held(
            self.calls, rules, self.around, lambda name, text: self.said.append(f"{name}: {text}")
        )

    def work(self, seconds: float) -> str:
        """The next message, worked so long."""
        found = self.held.next()
        assert found is not None
        self.around.now += seconds
        self.held.tick()
        self.held.over()
        self.held.done(found.message, lambda more: self.said.append(f"{found.message.id}: done{more}"))
        return found.message.id


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_nothing_is_fetched_ahead_until_jobs_are_known_to_be_short(rig: Rig) -> None:
    assert rig.held.fetch(1) == 1
    rig.work(0.01)
    assert rig.held.fetch(1) == 10 and rig.calls.asked == [1, 10]
    assert rig.held.fetch(1, most=3) == 3


@pytest.mark.parametrize(("each", "wanted"), [(0.001, 10), (0.1, 5), (0.4, 1), (5.0, 1)])
def test_as_much_as_half_a_second_of_work_is_fetched(each: float, wanted: int) -> None:
    pace = Pace(10)
    pace.took(each)
    assert pace.wanted() == wanted


def test_one_long_job_is_remembered_for_a_thousand() -> None:
    pace = Pace(10)
    pace.took(1.0)
    for _job in range(999):
        pace.took(0.01)
        assert pace.wanted() == 1
    pace.took(0.01)
    assert pace.wanted() == 10


def test_what_waits_behind_a_long_job_is_given_back_after_a_second(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.01)
    rig.held.fetch(1)
    assert rig.held.next() is not None
    assert rig.held.due() == 1.0
    rig.around.now += 0.9
    rig.held.tick()
    assert not rig.calls.hidden
    rig.around.now += 0.1
    rig.held.tick()
    assert rig.calls.hidden == [(f"m{number}", 0.0) for number in range(2, 11)] and rig.held.returned == 9


def test_what_waits_is_given_back_as_soon_as_the_consumer_is_to_end(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.01)
    rig.held.fetch(1)
    rig.held.next()
    rig.around.stop = True
    rig.held.tick()
    assert len(rig.calls.hidden) == 9 and all(seconds == 0.0 for _name, seconds in rig.calls.hidden)


def test_what_waits_is_kept_out_of_sight_at_each_third_of_the_visibility() -> None:
    rig = Rig(visibility=3.0)
    rig.held.fetch(1)
    rig.work(0.01)
    rig.held.fetch(1)
    for _job in range(9):
        rig.work(0.9)
    assert rig.held.next() is not None, "the last one, nine jobs later"
    assert {seconds for _name, seconds in rig.calls.hidden} == {3.0} and not rig.held.returned


def test_what_could_not_be_kept_is_not_worked(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.01)
    rig.held.fetch(1)
    rig.calls.fails = [QueueError("no network")]
    rig.around.now += 20.0
    assert rig.held.next() is None and rig.held.returned == 10
    assert rig.said[-1] == "m10: waited too long and is shown again, not worked here"


def test_who_was_delivered_before_is_worked_first(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.01)
    rig.calls.waiting[4] = Message("again", "r", "", 2)
    rig.held.fetch(1)
    assert rig.work(0.01) == "again"


def test_what_is_done_is_deleted_together_and_before_the_next_is_fetched(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.001)
    rig.held.fetch(1)
    assert rig.calls.deleted == [["m0"]]
    for _job in range(10):
        rig.work(0.001)
    assert rig.calls.deleted == [["m0"]] and rig.said == ["m0: done"]
    rig.held.fetch(1)
    assert rig.calls.deleted[1:] == [[f"m{number}" for number in range(1, 11)]] and len(rig.said) == 11


def test_what_is_done_waits_a_fifth_of_a_second_at_most(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.001)
    assert rig.held.due() == pytest.approx(0.2)
    rig.around.now += 0.2
    rig.held.tick()
    assert rig.calls.deleted == [["m0"]]


def test_what_cannot_be_deleted_is_tried_again_and_told(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.001)
    rig.held.fetch(1)
    rig.work(0.001)
    rig.work(0.001)
    rig.calls.failing = {"r2"}
    rig.held.flush(patient=False)
    assert rig.calls.deleted[-1] == ["m1"] and rig.held.due() == pytest.approx(1.0)
    rig.held.flush(patient=True)
    assert (
        rig.held.undeleted == 1
        and rig.said[-1] == "m2: done, but it cannot be deleted and will be shown again: no"
    )
    assert rig.around.now > 30


def test_what_cannot_be_deleted_holds_no_end_up_beyond_the_grace(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.0)
    rig.around.stop, rig.around.until = True, 5.5
    rig.calls.fails = [QueueError("no network")]
    rig.held.flush(patient=True)
    assert (rig.around.now, rig.held.undeleted) == (5.5, 1)


def test_a_message_is_as_old_as_the_request_for_it(rig: Rig) -> None:
    """Frozen between the queue's answer and its reading: it is hidden anew before it is worked, or not worked."""
    rig.calls.slow = [(rig.around, 25.0)]
    rig.held.fetch(20)
    assert rig.held.next() is not None and rig.calls.hidden == [("m0", 30.0)]
    rig.held.over()
    rig.held.fetch(20)
    rig.calls.fails = [QueueError("no network")]
    assert rig.held.next() is None and rig.held.returned == 10


def test_a_queue_that_is_gone_needs_no_delete(rig: Rig) -> None:
    rig.held.fetch(1)
    rig.work(0.001)
    rig.calls.fails = [QueueError("gone", gone=True)]
    rig.held.flush(patient=True)
    assert rig.said == ["m0: done, and the queue is gone"] and not rig.held.undeleted


def test_only_what_sqs_says_was_deleted_is(rig: Rig) -> None:
    class Client:
        def delete_message_batch(self, **given: object) -> dict[str, object]:
            assert given["QueueUrl"] == "url"
            return {"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "Code": "ReceiptHandleIsInvalid"}]}

    place = type("Place", (), {"url": "url", "name": "work"})()
    queue = Queue(place, Rules(), make=lambda *_given: Client())
    messages = [Message(f"m{number}", f"r{number}", "") for number in range(3)]
    found = {receipt: str(error) for receipt, error in queue.delete(messages).items()}
    assert (
        sorted(found) == ["r1", "r2"]
        and "ReceiptHandleIsInvalid" in found["r1"]
        and "no answer" in found["r2"]
    )


class Job:
    """A command that takes so long, on the clock of `around`; counts how often its end was waited for."""

    def __init__(self, around: Around, seconds: float) -> None:
        self.around, self.until, self.waits, self.ended = around, seconds, 0, 0

    def start(self, renewed_at: float, lease: float) -> None:
        pass

    def renewed(self, renewed_at: float) -> None:
        pass

    def end(self, grace: float) -> None:
        self.ended += 1

    def wait(self, seconds: float) -> Exit | None:
        self.waits += 1
        assert self.waits < 1000, "it waits for nothing, again and again"
        self.around.now = min(self.until, self.around.now + seconds)
        return Exit(0, self.around.now) if self.around.now >= self.until else None


def job(rig: Rig, seconds: float, **rules: float) -> tuple[Job, Exit, bool]:
    """One message's command, to its end: (the command, its end, whether it took too long)."""
    made = Job(rig.around, seconds)
    given = Rules(visibility=30.0, **rules)
    work = Work(
        rig.calls,
        Delivery(Message("m", "r", "", 1), 0.0, 0.0, 0.0),
        rig.held,
        given,
        rig.around,
        made,
        rig.said.append,
    )  # type: ignore[arg-type]
    return made, work.run(), work.too_long


def test_a_job_whose_queue_has_gone_goes_on_and_waits_as_any_other(rig: Rig) -> None:
    made, end, _too_long = job(rig, 300.0)
    assert (end.rc, made.waits) == (0, 30)
    rig.around.now, rig.calls.fails = 0.0, [QueueError("there is no such queue", gone=True)]
    made, end, _too_long = job(rig, 300.0)
    assert (end.rc, made.waits, made.ended) == (0, 30, 0)


def test_a_job_that_took_too_long_is_ended_once_and_its_end_waited_for(rig: Rig) -> None:
    made, end, too_long = job(rig, 100.0, limit=60.0)
    assert too_long and (end.rc, made.ended) == (0, 1) and made.waits <= 12
