# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of jobs: who may do what next, how records are kept, and what a folder must give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import jobs, jobs_dir
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import (
    Again,
    Claim,
    Ended,
    Held,
    JobConflict,
    JobError,
    JobStoreError,
    Policy,
    Result,
    Run,
    Slot,
    Watch,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Contender, Exit
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_store import TableJobs, parse_store

FOREVER = float("inf")
KEY = jobs.make_key("nightly", "r1")
SLOT = Slot("hub-a", "t1", "v1", 30.0)
HELD = Run(KEY, "1", (SLOT,))
DONE = Run(KEY, "2", result=Result("hub-a", "t1", 0, 1.0))


def seen(run: Run, now: float, watch: Watch | None = None) -> Watch:
    return jobs.look(watch or Watch(), run, now)


def test_a_free_run_is_claimed_and_a_done_one_never() -> None:
    policy = Policy()
    assert jobs.decide(policy, None, Watch(), 0, FOREVER) == Claim()
    assert jobs.decide(policy, DONE, Watch(), 1e9, FOREVER) == Ended(DONE.result)
    assert jobs.decide(policy, Run(KEY, "3"), Watch(), 0, FOREVER) == Claim()


def test_a_holder_is_replaced_only_after_its_whole_lease_by_the_watchers_clock() -> None:
    watch = seen(HELD, 100.0)
    assert isinstance(jobs.decide(Policy(), HELD, watch, 130.0, FOREVER), Again)
    assert jobs.decide(Policy(), HELD, watch, 130.1, FOREVER) == Claim(SLOT)


def test_a_renewal_begins_the_watch_anew_and_ends_it_without_wait() -> None:
    renewed = jobs.renewed(HELD, "t1", "v2")
    watch = seen(renewed, 120.0, seen(HELD, 100.0))
    assert jobs.decide(Policy(), renewed, watch, 140.0, FOREVER) == Held(renewed.slots[0])
    assert isinstance(jobs.decide(Policy(wait=99.0), renewed, watch, 149.0, 199.0), Again)
    assert jobs.decide(Policy(wait=99.0), renewed, watch, 150.1, 199.0) == Claim(renewed.slots[0])


def test_patience_ends() -> None:
    watch = seen(HELD, 100.0)
    assert jobs.decide(Policy(wait=5.0), HELD, watch, 105.0, 105.0) == Held(SLOT)
    assert jobs.decide(Policy(wait=5.0), HELD, watch, 104.99, 105.0).seconds <= 0.02


def test_a_semaphore_has_as_many_holders_as_slots_and_no_end() -> None:
    policy = Policy(slots=2)
    assert jobs.decide(policy, HELD, seen(HELD, 0), 0, FOREVER) == Claim()
    full = jobs.claimed(KEY, HELD, Slot("hub-b", "t2", "v1", 30.0), None, "2")
    assert isinstance(jobs.decide(policy, full, seen(full, 0), 0, FOREVER), Again)
    after = jobs.ended(full, policy, Result("hub-a", "t1", 0, 1.0), False, "3")
    assert after.result is None and [slot.node for slot in after.slots] == ["hub-b"]


@pytest.mark.parametrize(
    ("after_failure", "interrupted", "rc", "final"),
    [
        ("stop", False, 7, True),
        ("next", False, 7, False),
        ("stop", True, 143, False),
        ("next", False, 0, True),
        ("stop", True, 0, True),
    ],
)
def test_what_ends_a_run(after_failure: str, interrupted: bool, rc: int, final: bool) -> None:
    found = jobs.ended(
        HELD, Policy(after_failure=after_failure), Result("hub-a", "t1", rc, 1.0), interrupted, "2"
    )
    assert (found.result is not None) is final and not found.slots
    assert len(found.failures) == (0 if final else 1)
    assert jobs.settled(found, "t1") and not jobs.settled(found, "t2")


def test_a_record_survives_its_store_and_nonsense_is_unknown() -> None:
    run = jobs.claimed(KEY, jobs.ended(HELD, Policy(after_failure="next"), Result("hub-a", "t1", 7, 1.5), False, "2"),
                       Slot("hub-b", "t2", "v", 5.0), None, "3")  # fmt: skip
    assert jobs.parse_run(KEY, jobs.dump_run(run)) == run
    good = jobs.dump_run(run)
    for bad in (
        [],
        {},
        {**good, "schema": 2},
        {**good, "run": "other"},
        {**good, "slots": None},
        {**good, "result": {"rc": "x"}},
    ):
        with pytest.raises(JobStoreError):
            jobs.parse_run(KEY, bad)


def test_failures_and_replaced_ones_are_kept_within_bounds() -> None:
    run = Run(KEY, "1")
    for number in range(jobs.KEPT + 5):
        slot = Slot("n", str(number), "v", 1.0)
        run = jobs.claimed(KEY, run, slot, None, "x")
        run = jobs.claimed(KEY, run, Slot("m", f"m{number}", "v", 1.0), slot, "y")
        run = jobs.ended(run, Policy(after_failure="next"), Result("m", f"m{number}", 1, 0.0), False, "z")
    assert len(run.failures) == len(run.replaced) == jobs.KEPT and run.failures[-1].token == "m24"


@pytest.mark.parametrize(
    ("age", "asked", "expected"),
    [(0, None, ""), (19.9, None, ""), (20, None, "term"), (25, None, "kill"), (1e6, None, "kill"), (1, 1, "term"), (1, 6, "kill")],
)  # fmt: skip
def test_the_keeper_ends_what_was_not_renewed(age: float, asked: float | None, expected: str) -> None:
    """Lease 30, grace 5; `asked`: seconds since the end was asked for."""
    now = 1000.0
    since = None if asked is None else now - asked
    assert jobs.duty(now, now - age, 30.0, since, 5.0) == expected


def test_the_keeper_sleeps_until_it_has_something_to_do() -> None:
    assert jobs.next_duty(0, 0, 30.0) == 20.0
    assert jobs.next_duty(21, 0, 30.0) == 4.0
    assert jobs.next_duty(1, 0, 30.0, 0.5, 2.0) == 1.5
    assert jobs.next_duty(0, 0, FOREVER) == FOREVER


def test_ticks() -> None:
    assert jobs.tick_id(1764097199.9, 60) == "2025-11-25T18:59:00Z"
    assert jobs.tick_id(1764097200.0, 60) == "2025-11-25T19:00:00Z"
    assert jobs.tick_id(1764097200.0, 86400) == "2025-11-25T00:00:00Z"
    with pytest.raises(JobError, match="every"):
        jobs.tick_id(0, 0)


@pytest.mark.parametrize(("job", "run", "named"), [("", "1", "job"), ("a/b", "1", "job"), ("..", "1", "job"), ("a", "", "run"),
                                                   ("a", "x y", "run"), ("a", "x" * 201, "run"), ("a", "é", "run")])  # fmt: skip
def test_bad_names_are_refused_by_name(job: str, run: str, named: str) -> None:
    with pytest.raises(JobError, match=f"^{named}:"):
        jobs.make_key(job, run)


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (Policy(lease=0.5), "lease"),
        (Policy(slots=0), "slots"),
        (Policy(after_failure="x"), "after_failure"),
        (Policy(wait=-1), "wait"),
    ],
)
def test_bad_policies_are_refused_by_name(policy: Policy, named: str) -> None:
    with pytest.raises(JobError, match=f"^{named}:"):
        jobs.check_policy(policy)


def test_stores_are_named() -> None:
    assert parse_store("dynamodb:hotstandby") == ("dynamodb", "hotstandby")
    assert parse_store("dir:/shared/jobs/") == ("dir", "/shared/jobs")
    for bad in ("", "dir:", "dir:relative", "s3:bucket", "dynamodb:", "hotstandby"):
        with pytest.raises(JobError, match=r"^store:"):
            parse_store(bad)


# -- a folder


def folder(tmp_path: Path, **more: Any) -> jobs_dir.FolderJobs:
    return jobs_dir.FolderJobs(str(tmp_path), 30.0, **more)


def test_a_folder_keeps_a_record_and_refuses_a_stale_write(tmp_path: Path) -> None:
    store = folder(tmp_path)
    store.check()
    assert os.listdir(tmp_path) == [] and store.read(KEY) is None
    store.write(None, HELD)
    with pytest.raises(JobConflict):
        store.write(None, HELD)
    for number in range(2, 9):
        before = store.read(KEY)
        assert before is not None
        store.write(before, jobs.renewed(before, "t1", f"v{number}"))
        with pytest.raises(JobConflict):
            store.write(before, DONE)
    found = store.read(KEY)
    assert found is not None and found.slots[0].version == "v8"
    assert len(os.listdir(tmp_path / "nightly.jobs" / "run-r1")) == 2, "replaced versions are removed"


def renewed_run(version: str) -> Run:
    return Run(KEY, version, (Slot("hub-a", "t1", version, 30.0),))


def test_a_writer_that_slept_past_removed_versions_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, slow = folder(tmp_path), folder(tmp_path)
    store.write(None, renewed_run("1"))
    real = slow._make

    def make(key: jobs.Key, number: int, after: Run) -> None:
        for version in range(1, 6):  # meanwhile
            store.write(renewed_run(str(version)), renewed_run(str(version + 1)))
        real(key, number, after)

    monkeypatch.setattr(slow, "_make", make)
    with pytest.raises(JobConflict):
        slow.write(renewed_run("1"), DONE)
    assert store.read(KEY) == renewed_run("6")


def test_runs_with_odd_ids_have_folders_of_their_own(tmp_path: Path) -> None:
    store = folder(tmp_path)
    ids = ["a/b", "a%2Fb", "..", "x" * 200, "x" * 199 + "y", "2025-11-25T19:00:00Z"]
    for run in ids:
        key = jobs.make_key("j", run)
        store.write(None, Run(key, run))
    assert [store.read(jobs.make_key("j", run)).version for run in ids] == ids  # type: ignore[union-attr]


class Fake:
    """`os` of a file system that lacks something."""

    def __init__(self, **calls: Any) -> None:
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        return self.calls.get(name) or getattr(os, name)


def no_links(*_arguments: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def open_anyway(path: str, flags: int, mode: int = 0o777) -> int:
    return os.open(path, flags & ~os.O_EXCL, mode)


@pytest.mark.parametrize(
    ("calls", "named"),
    [
        ({"link": no_links}, "hard links"),
        ({"open": open_anyway}, "exclusive create"),
        (
            {"link": lambda one, two: Path(two).write_bytes(Path(one).read_bytes())},
            "link does not fail|count",
        ),
        ({"rename": no_links}, "renamed"),
    ],
)
def test_a_file_system_that_cannot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: dict[str, Any], named: str
) -> None:
    monkeypatch.setattr(jobs_dir, "os", Fake(**calls))
    with pytest.raises(JobStoreError, match=named):
        folder(tmp_path).check()
    assert os.listdir(tmp_path) == []


def test_a_missing_or_broken_folder_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(JobStoreError, match="mounted"):
        folder(tmp_path / "none").check()
    with pytest.raises(JobStoreError):
        folder(tmp_path / "none").read(KEY)
    store = folder(tmp_path)
    store.write(None, HELD)
    (tmp_path / "nightly.jobs" / "run-r1" / "000000000002").write_text("{")
    with pytest.raises(JobStoreError, match="no record"):
        store.read(KEY)


@pytest.mark.parametrize("name", ["nightly", "nightly.lock", "lockdir", "elsewhere"])
def test_a_lock_of_the_old_kind_is_a_holder_without_a_name(tmp_path: Path, name: str) -> None:
    store = folder(tmp_path, old=(str(tmp_path / "elsewhere"),))
    (tmp_path / name).mkdir()
    found = store.read(KEY)
    assert found is not None and found.slots[0].node == "" and found.slots[0].seconds == 30.0
    assert isinstance(jobs.decide(Policy(), found, seen(found, 0), 30.0, FOREVER), Again)
    with pytest.raises(JobConflict):
        store.write(None, HELD)
    mine = Slot("hub-b", "t2", "v", 30.0)
    store.write(found, jobs.claimed(KEY, found, mine, found.slots[0], "1"))
    after = store.read(KEY)
    assert after is not None and after.slots == (mine,) and after.replaced == ("a lock without an owner",)
    assert not (tmp_path / name).exists()


def test_a_folder_with_something_in_it_is_no_lock_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nightly").mkdir()
    (tmp_path / "nightly" / "data").write_text("x")
    store = folder(tmp_path)
    assert store.read(KEY) is None
    store.write(None, HELD)
    assert (tmp_path / "nightly" / "data").exists()


# -- a table


class Refused(Exception):
    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class Client:
    """One item; `fails` is raised by the next put, after it took effect when `landed`."""

    def __init__(self, fails: str = "", status: int = 400, landed: bool = False) -> None:
        self.item: Any = None
        self.fails, self.status, self.landed = fails, status, landed
        self.calls: list[str] = []

    def get_item(self, **asked: Any) -> dict[str, Any]:
        self.calls.append("get")
        assert asked["ConsistentRead"] is True
        return {"Item": self.item} if self.item else {}

    def put_item(self, **asked: Any) -> None:
        self.calls.append("put")
        if not self.fails or self.landed:
            self.item = asked["Item"]
        if self.fails:
            raise Refused(self.fails, self.status)


def test_a_lost_answer_is_settled_by_reading() -> None:
    client = Client("InternalServerError", 500, landed=True)
    TableJobs(client, "t").write(None, HELD)
    assert client.calls == ["put", "get"]
    with pytest.raises(JobStoreError):
        TableJobs(Client("InternalServerError", 500), "t").write(None, HELD)
    client = Client("InternalServerError", 500)
    TableJobs(other := Client(), "t").write(None, DONE)
    client.item = other.item
    with pytest.raises(JobConflict):
        TableJobs(client, "t").write(None, HELD)


@pytest.mark.parametrize(("code", "named"), [("ResourceNotFoundException", "no table 't'"), ("ValidationException", "keys pair"),
                                             ("AccessDeniedException", "right")])  # fmt: skip
def test_a_table_that_cannot_be_used_is_told_why(code: str, named: str) -> None:
    client = Client(code)
    with pytest.raises(JobStoreError, match=named):
        TableJobs(client, "t").write(None, HELD)
    assert client.calls == ["put"]


class Shared:
    """A store in which, once our slot is given up, somebody else writes before we hear of it: the write seems to have failed."""

    def __init__(self, taken: bool) -> None:
        self.run: Run | None = None
        self.taken = taken

    def read(self, key: jobs.Key) -> Run | None:
        return self.run

    def write(self, before: Run | None, after: Run) -> None:
        if before is None:
            self.run = after
            return
        assert before == self.run and not after.slots, "the semaphore is given up"
        other = Slot("hub-b", "t2", "w1", 30.0)
        over = before.slots[0] if self.taken else None
        self.run = jobs.claimed(after.key, before if self.taken else after, other, over, "9")
        raise JobConflict(self.run)


class Moment:
    """Neither time nor a signal."""

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing is waited for")

    def stopping(self) -> bool:
        return False


class Done:
    """A command that has succeeded."""

    def start(self, renewed_at: float, lease: float) -> None: ...

    def renewed(self, renewed_at: float) -> None: ...

    def wait(self, seconds: float) -> Exit:
        return Exit(0, 0.0)

    def end(self, grace: float) -> None: ...


@pytest.mark.parametrize(("taken", "outcome", "code"), [(False, "ran", 0), (True, "lost", 75)])
def test_a_slot_that_was_given_up_is_not_lost_to_whoever_came_next(
    taken: bool, outcome: str, code: int
) -> None:
    told = Contender(Shared(taken), KEY, "hub-a", Policy(slots=1), Moment(), Done()).run()
    assert (told.outcome, told.exit) == (outcome, code), told.message
