# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a requeue mean, and the names it makes: pure."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import (
    ATTEMPTS,
    OWNER,
    Head,
    Listed,
    RequeueError,
    granted_owner,
    make_rules,
    matches,
    other_names,
    too_young,
    wanted,
)
from hypothesis import given
from hypothesis import strategies as st


def listed(key: str, **more: Any) -> Listed:
    return Listed(key, '"e"', 1, **{"modified": 100.0, **more})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bucket": "s3://requests/processing"}, "bucket: 's3://"),
        ({"bucket": ""}, "bucket: "),
        ({"source_prefix": ""}, "source_prefix: must not be empty"),
        ({"target_prefix": "/"}, "target_prefix: must not be empty"),
        ({"source_prefix": "/processing/"}, "source_prefix: must not begin with a slash"),
        ({"source_prefix": "a\nb/"}, "source_prefix: must be text on one line"),
        ({"target_prefix": "processing/"}, "target_prefix: is the same as source_prefix"),
        ({"target_prefix": "processing"}, "target_prefix: is the same as source_prefix"),
        ({"target_prefix": "processing/wait/"}, "lie within each other"),
        ({"source_prefix": "wait/processing/"}, "lie within each other"),
        (
            {"max_attempts": 3, "failed_prefix": "wait/failed/"},
            "failed_prefix: wait/failed/ and target_prefix",
        ),
        ({"max_attempts": 3}, "failed_prefix: max_attempts and failed_prefix need each other"),
        ({"failed_prefix": "failed/"}, "max_attempts: max_attempts and failed_prefix need each other"),
        ({"max_attempts": -1, "failed_prefix": "failed/"}, "max_attempts: must be a whole number"),
        ({"max_attempts": 1.5, "failed_prefix": "failed/"}, "max_attempts: must be a whole number"),
        ({"min_age": -1}, "min_age: must be a number of seconds"),
        ({"min_age": float("nan")}, "min_age: must be a number of seconds"),
        ({"owner": "a/b"}, "owner: 'a/b' is not a name"),
        ({"owner": "../x"}, "owner: "),
        ({"owner_in": "name"}, "owner_in: must be one of key, metadata"),
        ({"on_conflict": "overwrite"}, "on_conflict: must be one of keep_both, skip, fail"),
        ({"pattern": ""}, "pattern: must be text"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(RequeueError) as caught:
        make_rules(**{"bucket": "requests", **given})
    assert text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bucket",
    ["requests", "my-ap-abc123-s3alias", "arn:aws:s3:ap-northeast-1:123456789012:accesspoint/requests"],
)
def test_names_of_buckets(bucket: str) -> None:
    rules = make_rules(bucket, source_prefix="in/work")
    assert (rules.bucket, rules.source, rules.target_prefix) == (bucket, "in/work/", "wait/")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("a-request.json", True), ("sub/b-request.json", True), ("c d+1-request.json", True),
        ("注文[1]-request.json", True), ("./dot-request.json", True), ("a//b-request.json", True),
        ("x-request.json.tmp", False), ("t-request.json ", False), ("A-REQUEST.JSON", False), ("", False),
    ],
)  # fmt: skip
def test_the_pattern(key: str, meant: bool) -> None:
    assert matches(make_rules("requests"), f"processing/{key}") is meant


def test_age_is_the_store_s_own() -> None:
    rules = make_rules("requests", min_age=60)
    assert [too_young(rules, listed("k"), now) for now in (None, 150.0, 160.0, 160.5)] == [
        True,
        True,
        True,
        False,
    ]
    assert not too_young(make_rules("requests"), listed("k"), None)


def test_where_an_object_goes() -> None:
    plain = wanted(make_rules("requests"), listed("processing/a/r"), None)
    assert plain is not None and (plain.to, plain.metadata) == ("wait/a/r", None)
    owned = make_rules("requests", owner="hub-a")
    assert owned.source == "processing/hub-a/"
    found = wanted(owned, listed("processing/hub-a/r"), None)
    assert found is not None and found.to == "wait/r"


def test_attempts_are_counted_and_end_in_quarantine() -> None:
    rules = make_rules("requests", max_attempts=2, failed_prefix="failed")
    key = listed("processing/r")
    tried = [
        wanted(rules, key, Head('"e"', 1, metadata={"order": "7", **before}))
        for before in ({}, {ATTEMPTS: "1"}, {ATTEMPTS: "2"}, {ATTEMPTS: "many"})
    ]
    assert all(tried)
    told = [(one.to, one.quarantine, dict(one.metadata or {})[ATTEMPTS]) for one in tried if one]
    assert told == [
        ("wait/r", False, "1"),
        ("wait/r", False, "2"),
        ("failed/r", True, "2"),
        ("wait/r", False, "1"),
    ]
    assert all(one is not None and (one.metadata or {})["order"] == "7" for one in tried)


def test_an_owner_in_the_metadata() -> None:
    rules = make_rules("requests", owner="hub-a", owner_in="metadata")
    assert rules.source == "processing/"
    assert wanted(rules, listed("processing/r"), Head('"e"', 1, metadata={OWNER: "hub-b"})) is None
    mine = wanted(rules, listed("processing/r"), Head('"e"', 1, metadata={OWNER: "hub-a", "order": "7"}))
    assert mine is not None and (mine.to, mine.metadata) == ("wait/r", {"order": "7"})


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(
    name=TEXT,
    folder=st.sampled_from(["", "a/", "a//b/"]),
    pattern=st.sampled_from(["*request.json", "*", "a*", "*.json", "*/*"]),
)
def test_a_second_name_still_matches(name: str, folder: str, pattern: str) -> None:
    key = f"wait/{folder}{name}request.json"
    names = list(other_names(key, "wait/", '"etag"', pattern))
    assert names == list(other_names(key, "wait/", '"etag"', pattern)), "a second run finds the first one's"
    assert key not in names and len(set(names)) == len(names)
    if fnmatch.fnmatchcase(key[5:], pattern):
        assert names and all(fnmatch.fnmatchcase(each[5:], pattern) for each in names)
    assert set(names).isdisjoint(other_names(key, "wait/", '"other"', pattern))


def test_no_second_name_where_the_pattern_is_one_name() -> None:
    assert list(other_names("wait/request.json", "wait/", '"e"', "request.json")) == []


def test_owners_that_a_grant_made() -> None:
    assert granted_owner("hub-a.7") == ("hub-a", 7) and granted_owner("hub.a.12") == ("hub.a", 12)
    assert granted_owner("hub-a") is None and granted_owner("hub-a.x") is None
