# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of ASTERIA Warp on one shared folder: built by the guide's steps, moved away and back, each node as itself."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import identity as module
from ansible_collections.hotstandby.ops.plugins.module_utils.identity import Identity, Stamp

from sandbox.standins.warp.install import MONTH, licence
from tests.integration.pair.rig import Rig

CONF = "system/conf/server.xconf"


class Shared(Rig):
    """The sandbox with ASTERIA Warp on a shared folder, built by `warp_build`, one installation after the other."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, "--product", "asteria_warp", "--layout", "shared")
        self.data = Path(os.path.realpath(self.info["pair"]["nodes"][0]["product"]["data_dir"]))

    def identity(self) -> Identity:
        return Identity(str(self.data))

    def live(self) -> dict[str, str]:
        return {name: (self.data / name).read_text() for name in self.identity().live()}

    def kept(self, node: str) -> dict[str, str]:
        folder = self.data / ".identity" / node
        return {name: (folder / name).read_text() for name in self.identity().kept(node)}

    def crash_of_a_start(self, node: str, step: int) -> None:
        """Leave the folder as a start of `node` leaves it whose machine dies at the step-th file it puts in place."""

        class Dead(BaseException):
            pass

        real, left = os.replace, [step]

        def dying(source: str, target: str) -> None:
            if left[0] == 0:
                raise Dead
            left[0] -= 1
            real(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.os, "replace", dying)
            with pytest.raises(Dead):
                self.identity().restore(node)


@pytest.fixture(scope="module")
def pair() -> Iterator[Shared]:
    state = Path(tempfile.mkdtemp(prefix="hotstandby-"))
    made = Shared(state)
    yield made
    journal = made.journal()
    made.down()
    shutil.rmtree(state, ignore_errors=True)
    assert journal["overlaps"] == 0
    # no node ever ran with another one's identity
    assert not [event for event in journal["events"] if event["event"] in ("wrong-identity", "start-failed")]


def test_each_node_runs_as_itself_through_crash_failover_and_switchback(pair: Shared) -> None:
    names = ("warp-a", "warp-b")
    built = {node: pair.kept(node) for node in names}
    assert [sorted(files) for files in built.values()] == [
        [CONF, f"system/license/{node}.key"] for node in names
    ]
    assert pair.running() == ["warp-a"] and pair.live() == built["warp-a"]
    # the licence is renewed while it runs; then b's own start dies halfway, and a is gone too
    renewed = licence("warp-a", time.time() + 2 * MONTH)
    (pair.data / "system/license/warp-a.key").write_text(renewed)
    pair.fault("warp-a", "product-kill")
    pair.crash_of_a_start("warp-b", 3)
    assert pair.identity().stamp() == Stamp("warp-b", False) and pair.live() != built["warp-b"]
    moved = pair.failover()
    assert moved.rc == 0 and moved.outcome == "moved" and pair.running() == ["warp-b"], moved.text
    assert pair.live() == built["warp-b"] == pair.kept("warp-b")
    assert pair.kept("warp-a") == {**built["warp-a"], "system/license/warp-a.key": renewed}
    home = pair.playbook("switchback")
    assert home.rc == 0 and pair.running() == ["warp-a"], home.text
    # with the licence that was renewed, not with the one it was built with
    assert pair.live() == pair.kept("warp-a") and renewed in pair.live().values()


def test_a_standby_without_its_own_files_cannot_take_over_until_it_is_built_again(pair: Shared) -> None:
    (pair.data / ".identity/warp-b").rename(pair.state / "lost")
    refused = pair.failover(mode="switchover", to="warp-b")
    assert refused.rc != 0 and refused.outcome == "refused" and pair.running() == ["warp-a"], refused.text
    assert "warp-b is not ready: no files of its own are kept on the shared folder" in refused.text
    unsaid = pair.playbook("warp_build")
    assert unsaid.rc != 0 and "installed: say on which of warp-a and warp-b" in unsaid.text
    assert pair.running() == ["warp-a"]
    # as the guide has it: a's files make room, b is installed, a's files come back, a is started
    mine = pair.live()
    room = pair.playbook("warp_build", installed="warp-a")
    assert room.rc == 0 and "Next: install on warp-b into the same folder" in room.text, room.text
    assert pair.live() == {} and pair.kept("warp-a") == mine and pair.running() == []
    pair.ask("install", node="warp-b")
    ready = pair.playbook("warp_build", installed="warp-b")
    assert ready.rc == 0 and "Those of warp-a are in place" in ready.text, ready.text
    assert pair.running() == ["warp-a"] and pair.live() == mine
    assert sorted(pair.kept("warp-b")) == [CONF, "system/license/warp-b.key"]
