# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance that is about to end: what is told, how long is left, and a metadata service that hangs."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node.around import Notice, RealAround
from ansible_collections.hotstandby.ops.plugins.module_utils.node.metadata import Session
from ansible_collections.hotstandby.ops.plugins.module_utils.node.notices import (
    GROUP,
    LIFECYCLE,
    SPOT,
    Notices,
    spot_notice,
)

NOON = 1764158400.0  # 2025-11-26T12:00:00Z


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ('{"action": "terminate", "time": "2025-11-26T12:01:00Z"}', 45.0),
        (
            '{"action": "stop", "time": "2025-11-26T14:00:00Z"}',
            100.0,
        ),  # our clock is behind: two minutes at most
        ('{"action": "stop", "time": "2025-11-26T11:00:00Z"}', 0.0),
        ("{}", 100.0),
        ("<html>", 100.0),
    ],
)
def test_a_spot_notice_leaves_what_its_time_leaves(text: str, within: float) -> None:
    assert spot_notice(text, NOON) == Notice("a spot notice", within)


class Service:
    def __init__(self, **told: str | None) -> None:
        self.told, self.asked = told, list[str]()

    def get(self, path: str) -> str | None:
        self.asked.append(path)
        return self.told.get({SPOT: "spot", LIFECYCLE: "state"}[path], "")


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        (Service(), None),
        (Service(state="InService"), None),
        (Service(state="Terminated"), Notice(GROUP)),
        (Service(state=None), None),
        (Service(spot="{}", state="Terminated"), Notice("a spot notice", 100.0)),
    ],
)
def test_what_is_told(service: Service, wanted: Notice | None) -> None:
    assert Notices(service)() == wanted


def test_a_service_that_does_not_answer_is_left_alone_for_a_while() -> None:
    now = [1000.0]
    service = Service(spot=None)
    notices = Notices(service, clock=lambda: now[0])
    for _look in range(5):
        assert notices() is None
    assert service.asked == [SPOT]
    now[0] += 31
    service.told = {"state": "Terminated"}
    assert notices() == Notice(GROUP)


@pytest.fixture
def deaf() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_service_that_hangs_costs_one_request(deaf: str) -> None:
    before = time.monotonic()
    notices = Notices(Session(deaf, limit=0.1))
    for _look in range(20):
        assert notices() is None
    assert time.monotonic() - before >= 0.1 and Session("http://127.0.0.1:1").get(SPOT) is None


def test_an_end_has_the_grace_or_what_the_notice_leaves() -> None:
    around = RealAround(lambda: Notice("a spot notice", 45.0), grace=30.0)
    assert around.left() == math.inf and around.stopping()
    assert 25 < around.left() <= 30 and around.why == "a spot notice"
    around.stop("SIGTERM", 0.0)
    assert around.left() > 25, "the first reason counts"
    around = RealAround(lambda: Notice("a spot notice", 0.0), grace=30.0)
    assert around.stopping() and around.left() == 0
    ends = list[int]()
    around.ending = lambda: ends.append(1)
    assert around.stopping() and around.stopping() and len(ends) == 2
