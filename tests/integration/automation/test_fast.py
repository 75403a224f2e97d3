# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile fast: the daemons on both nodes see deaths and silence and call the function; what they cannot see moves nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.filter.plan import plan

from tests.integration.automation.fast import LONG, beats, moved
from tests.integration.pair.rig import Rig

pytestmark = pytest.mark.sandbox
BUSY = 10.0  # seconds that a machine which does more may add; nothing can make a decision early


@pytest.fixture(scope="module")
def fast() -> Iterator[Rig]:
    state = Path(tempfile.mkdtemp(prefix="hotstandby-"))
    rig = Rig(state, "--automation", "fast")
    yield rig
    rig.down()
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def rig(fast: Rig) -> Iterator[Rig]:
    fast.reset()
    beats(fast, *fast.names)
    yield fast
    journal = fast.journal()
    assert journal["overlaps"] == 0, journal
    assert fast.status()["unimplemented"] == []


def said(rig: Rig, node: str) -> str:
    return (Path(rig.info["nodes"][node]["root"]) / "var/log/hotstandby/guard.log").read_text()


def began(rig: Rig) -> list[dict[str, Any]]:
    return [message for message in rig.ask("automation")["messages"] if message["kind"] == "began"]


def foretold(rig: Rig, name: str) -> tuple[float, float]:
    """Least and most seconds from this failure to the decision, as the calculator says for a function that is warm."""
    found = plan(rig.info["pair"], delay=0.0)[name]
    return found["least"], found["most"]


def acted(rig: Rig, failed: float, action: str) -> float:
    """Seconds from a failure to the function's first call of this kind after it."""
    calls = [call for call in rig._control("calls")["calls"] if call["caller"] == "function"]
    return float(
        min(call["time"] for call in calls if call["action"] == action and call["time"] > failed) - failed
    )


def test_a_death_is_an_event_and_the_pair_moves(rig: Rig) -> None:
    failed = time.time()
    rig.torment("hub-a", "product-kill")
    rig.until(lambda: moved(rig), LONG)
    assert acted(rig, failed, "SendCommand") <= foretold(rig, "product_dead")[1] + BUSY
    assert "calling the function: the product is stopped here" in said(rig, "hub-a")
    rig.until(lambda: began(rig), LONG)
    assert "the watch on hub-a says" in began(rig)[0]["text"]
    assert rig.record()["epoch"]["N"] == "2" and rig.events("stop") == []
    assert rig.status()["nodes"]["hub-a"]["ec2"] == "running", "a node that answers is not fenced"


@pytest.mark.parametrize("fault", ["node-hang", "partition"])
def test_silence_is_noticed_by_the_standby_and_the_silent_node_is_fenced(rig: Rig, fault: str) -> None:
    failed = time.time()
    rig.torment("hub-a", fault)
    rig.until(lambda: moved(rig), LONG)
    least, most = foretold(rig, "node_lost")
    assert least <= acted(rig, failed, "StopInstances") <= most + BUSY
    assert "calling the function: the heartbeat of hub-a has stood still" in said(rig, "hub-b")
    assert rig.status()["nodes"]["hub-a"]["ec2"] == "stopped"


def test_what_nobody_can_see_moves_nothing(rig: Rig) -> None:
    """The table gone for both, then the standby itself frozen and thawed."""

    def refused(node: str) -> int:
        calls = rig._control("calls")["calls"]
        return len([call for call in calls if call["caller"] == node and call["status"] == 503])

    rig.torment("aws", "dynamodb-down")
    for node in rig.names:
        rig.until(lambda node=node: refused(node) >= 8, LONG)
    rig.ask("clear", target="aws")
    beats(rig, *rig.names)
    rig.torment("hub-b", "node-hang")
    beats(rig, "hub-a", count=6)
    rig.ask("clear", target="hub-b")
    beats(rig, *rig.names)
    assert "stood still for" in said(rig, "hub-b")
    assert rig.running() == ["hub-a"] and rig.record()["epoch"]["N"] == "1"
    assert began(rig) == [] and [node for node, _event in rig.events("start", "stop")] == ["hub-a"]
