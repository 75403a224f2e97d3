# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dying at every call: rounds of moves, each killed at a call that none was killed at before, then taken up again.

A controller is killed before each call, and after each call that changes something: after a read the world is as before
the next call. Up to the withdrawal nothing has changed, so there the kills follow each other; from then on each is
followed by a run that must end the move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.attack.controller import Controller, Crash, commanded
from tests.integration.pair.rig import Rig

READS = ("Get", "List", "Describe", "StopInstances:DryRun", "SendCommand:look", "SendCommand:status")
ENDS = ("moved", "unchanged", "rolled_back", "not_confirmed")
ROUNDS = 60


def worth(label: str) -> bool:
    """Whether a kill here differs from one at the next call."""
    when, _space, call = label.partition(" ")
    return when == "before" or not call.startswith(READS)


class Crashes:
    """One kind of move under attack. `setup` prepares a round and returns the request; `first` begins the kills."""

    def __init__(
        self,
        rig: Rig,
        setup: Callable[[], dict[str, Any]],
        first: str = "",
        last: str = "",
        **pair: Any,
    ) -> None:
        self.rig, self.setup, self.first, self.last, self.pair = rig, setup, first, last, pair
        self.done: list[str] = []
        self._number = self._helped = 0

    def controller(self, crash: bool) -> Controller:
        """The next one, under its own name; with `crash` it dies at the first call that none died at."""
        self._number += 1
        begun, ended = not self.first, False

        def deadly(label: str) -> bool:
            nonlocal begun, ended
            begun = begun or label == f"before {self.first}"
            ended = ended or (bool(self.last) and label == f"before {self.last}")
            if not begun or ended or label in self.done or not worth(label):
                return False
            self.done.append(label)
            return True

        owner = f"run-{self._number}"
        return Controller(self.rig, owner, deadly if crash else lambda _label: False, **self.pair)

    def all(self) -> list[str]:
        """Rounds until a move meets no call that is new; returns where the controllers died."""
        for _round in range(ROUNDS):
            if not self.round():
                return self.done
        raise AssertionError(f"still new calls: {self.done}")

    def round(self) -> bool:
        """One move to its end; whether a controller died on the way, or was helped past calls that none died at."""
        request = self.setup()
        helped = self._helped
        before = int(self.rig.record()["epoch"]["N"])
        died = False
        while True:
            running = self.controller(crash=True)
            try:
                self._ended(self._patiently(running, request), before)
                return died or self._helped > helped
            except Crash as crash:
                died = True
                follow = self.told(running, str(crash))
            if self.withdrawn():
                break
        # every other time exactly what the status told is typed
        again = follow if follow and self._number % 2 else request
        self._ended(self._patiently(self.controller(crash=False), again), before)
        return True

    def _patiently(self, running: Controller, request: dict[str, Any]) -> Any:
        """Its result; a call that outlasts a lease of 2 s on a busy machine is what the operator would repeat."""
        result = running.move(**request)
        for _again in range(5):
            if result.outcome not in ("refused", "unfinished") or "timeout" not in result.message.lower():
                break
            self._helped += 1
            result = self.controller(crash=False).move(**request)
        return result

    def withdrawn(self) -> bool:
        """Whether the record has left the steady state of before, or returned from it."""
        record = self.rig.record()
        return record["state"]["S"] != "steady" or "NULL" in record["lease"]

    def told(self, dead: Controller, where: str) -> dict[str, Any]:
        """A status after a death tells the truth; returns the request that it says ends the move."""
        ask = len(self.done) % 5 == 0
        earlier = self.running() if ask else []
        told, item = Controller(self.rig, "nobody", **self.pair).status(ask), self.rig.record()
        screen = "\n".join(told["screen"])
        assert told["readable"] and len(told["screen"]) <= 20, where
        assert (told["active"], told["epoch"]) == (item["active"].get("S"), int(item["epoch"]["N"])), where
        assert told["state"] == item["state"]["S"], where
        if ask:
            later = self.running()  # an order of the dead one may have been carried out in between
            for name, node in told["nodes"].items():
                true = {"running" if name in running else "stopped" for running in (earlier, later)}
                assert node["state"] in {"unknown", *true}, (where, told)
        if "M" not in item["move"]:
            return {}
        move = {name: value.get("S") for name, value in item["move"]["M"].items()}
        for name in ("id", "kind", "source", "target", "step"):
            assert told["move"][name] == move[name], where
        assert f"{move['source']} -> {move['target']} at step {move['step']}" in screen, (where, screen)
        assert told["lease"] == dead.owner and dead.owner in screen, (where, screen)
        if told["state"] == "steady":
            return {}
        follow = commanded(told["next"])
        assert follow == {"to": move["target"]}, (where, told["next"])
        return follow

    def running(self) -> list[str]:
        """The nodes whose product runs, from the world's own truth."""
        nodes = self.rig.ask("status")["nodes"]
        return [name for name in self.rig.names if nodes[name]["product"]]

    def _ended(self, result: Any, before: int) -> None:
        where = f"after {self.done[-1:]}: {result.outcome}, {result.message}"
        assert result.outcome in ENDS, where
        item = self.rig.record()
        assert item["state"]["S"] == "steady" and "NULL" in item["move"] and "NULL" in item["lease"], where
        assert self.running() == [item["active"]["S"]], where
        assert int(item["epoch"]["N"]) > before, where
        assert item["pending"]["L"] == [], where
        address = self.rig.client("ec2").describe_addresses()["Addresses"][0]["InstanceId"]
        assert address == self.rig.info["nodes"][item["active"]["S"]]["instance_id"], where
        journal = self.rig.ask("journal")
        assert journal["overlaps"] == 0, (where, journal)
