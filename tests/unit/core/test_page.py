# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of moves: everything is escaped, nothing comes from elsewhere, and whatever the history holds makes a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hotstandby.ops.plugins.filter.pages import make
from ansible_collections.hotstandby.ops.plugins.module_utils.page import (
    file_name,
    index_page,
    move_page,
    pages,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.world import World

HOSTILE = (
    "</p><script>alert(1)</script><img src=//evil.example onerror=alert(1)>\" ' & \x1b[31m\n\u2028\u202e注文"
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "p", "a", "b", "h1", "h2", "span", "dl", "div", "dt", "dd", "ol",
    "ul", "li", "i",
}  # fmt: skip


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check(page: str) -> Seen:
    seen = Seen(page)
    assert set(seen.tags) <= TAGS and seen.open == []
    assert not [
        name for name, _value in seen.attributes if name.startswith("on") or name in ("src", "srcset")
    ]
    for name, value in seen.attributes:
        if name == "href":
            assert value and re.fullmatch(r"[A-Za-z0-9._-]+\.html", value)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style and "http" not in style
    assert "default-src 'none'" in page
    return seen


def hostile() -> dict[str, Any]:
    step = {"name": HOSTILE, "outcome": HOSTILE, "seconds": 1.5, "detail": HOSTILE * 20}
    texts = (
        "id",
        "kind",
        "source",
        "target",
        "active",
        "outcome",
        "message",
        "reason",
        "by",
        "unfenced",
        "epoch",
    )
    return {
        **dict.fromkeys(texts, HOSTILE),
        "began": 1.0,
        "ended": 2.0,
        "downtime_seconds": 3.0,
        "steps": [step],
    }


def test_nothing_that_people_wrote_becomes_a_tag() -> None:
    for page in pages([hostile()], HOSTILE, {HOSTILE: HOSTILE}).values():
        seen = check(page)
        assert "alert(1)" in seen.text, "it is shown, as the text that it is"
        assert not re.search("[\x00-\x08\x1b\u2028\u202e]", page)


def test_a_real_move_is_told_with_its_steps_evidence_and_nodes() -> None:
    world = World().steady()
    world.product(world.nodes["hub-a"], "stopped")
    assert world.run(reason="it died").outcome == "moved"
    (move,) = world.ports().store.history(1)
    made = pages([move], "hub-prod", {"hub-a": "i-0aaaaaaaaaaaaaaaa"})
    assert list(made) == ["index.html", file_name(move)]
    seen = check(made[file_name(move)])
    for word in (
        "failover hub-a",
        "moved",
        "Reason:",
        "it died",
        "i-0aaaaaaaaaaaaaaaa",
        "keiko",
        "8",
        "Down for",
        "had failed before that",
        "when this page was made",
    ):
        assert word in seen.text, word
    steps = [str(step["name"]) for step in move["steps"]]
    places = [seen.text.index(str(step["detail"])) for step in move["steps"] if step["detail"]]
    assert places == sorted(places) and "withdraw" in steps
    assert made[file_name(move)].count("class=down") == len(
        steps[steps.index("stop") : steps.index("verify") + 1]
    )
    assert f'href="{file_name(move)}"' in made["index.html"]


KEYS = ("id", "kind", "began", "ended", "steps", "outcome", "downtime_seconds", "message", "epoch")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.lists(st.dictionaries(st.sampled_from(["name", "seconds", "detail"]), NUMBERS | st.text()))


@pytest.mark.parametrize(
    "began", [float("inf"), float("-inf"), float("nan"), 1e300, 10**400, True, "soon", None]
)
def test_a_moment_that_no_clock_shows_is_unknown(began: Any) -> None:
    assert file_name({"id": "m1", "began": began}) == "move-00000000000-m1.html"
    check(move_page({"id": "m1", "began": began, "downtime_seconds": began}, "p"))


@given(st.dictionaries(st.sampled_from(KEYS), st.none() | st.floats() | st.text() | st.booleans() | STEPS))
def test_whatever_the_history_holds_makes_a_page(move: dict[str, Any]) -> None:
    if not isinstance(move.get("steps"), list):
        move.pop("steps", None)
    check(move_page(move, "p"))
    check(index_page([move], "p"))


def test_what_is_not_so_is_not_said() -> None:
    page = move_page({"id": "m1", "kind": "switchover"}, "p")
    assert "had failed" not in page and "Instance ids" not in page


def test_an_empty_history_and_nonsense() -> None:
    assert "No move was ever recorded" in make([], "p")["index.html"]
    with pytest.raises(AnsibleFilterError, match="a list of moves"):
        make({"a": 1}, "p")
    with pytest.raises(AnsibleFilterError, match="a list of moves"):
        make(["x"], "p")
