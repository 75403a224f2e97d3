# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a move tells: its steps in words, what the nodes are sent, every write of the record."""

from __future__ import annotations

from typing import Any

from tests.simulation.world import World

ADDRESS = "elastic_ip eipalloc-0123456789abcdef0"
TO_A = f"{ADDRESS}: points to i-0aaaaaaaaaaaaaaaa"
STATUS = "ansible-playbook hotstandby.ops.status"
AGAIN = "ansible-playbook hotstandby.ops.failover -e to="
WELL = "hub-a answers that the service runs"


class Seen:
    """A world's commands and writes of the record, as they happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.writes: list[tuple[Any, ...]] = []
        self.logs: list[int] = []  # how many steps each write kept
        world.network.hook = self._hook

    def _hook(self, _service: str, operation: str, done: bool) -> None:
        if not (done and operation == "UpdateItem"):
            return
        record = self.world.record()
        move = record.move
        step = (
            "" if move is None else f"{move.step}{'<' if move.rollback else ''}{'!' if move.fenced else ''}"
        )
        self.logs.append(0 if move is None else len(move.log))
        write = (record.state, record.active, record.epoch, step, record.lease is not None)
        if not self.writes or self.writes[-1] != write:  # a renewal alone is none
            self.writes.append(write)

    @property
    def sent(self) -> list[tuple[Any, ...]]:
        """(action, nodes, whether the move is named, epoch, mode, timeout, active)"""
        found = []
        for _service, operation, arguments in self.world.network.calls:
            if operation == "SendCommand":
                told = {key: value[0] for key, value in arguments["Parameters"].items()}
                nodes = "".join(value[3] for value in arguments["Targets"][0]["Values"])
                found.append((told["Action"], "".join(sorted(nodes)), bool(told["Move"]), told["Epoch"], told["Mode"],
                              told["Timeout"], told["Active"]))  # fmt: skip
        return found


def order(action: str, nodes: str, epoch: int, timeout: int) -> tuple[Any, ...]:
    return (action, nodes, True, str(epoch), "normal", str(timeout), "")


def told(result: Any) -> list[tuple[str, str, str]]:
    return [(step["name"], step["outcome"], step["detail"]) for step in result.steps]


def dead(world: World) -> World:
    """The product of the active node dies; the node is well."""
    world.product(world.nodes["hub-a"], "stopped")
    return world
