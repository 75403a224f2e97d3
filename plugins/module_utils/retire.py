# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair's last day: may its record go, and may its nodes be connected to. Stops and starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .answer import NoAnswer
from .checks import PairError
from .confirm import glance
from .evidence import Evidence
from .pair import PairSpec
from .ports import Ports
from .record import Record, RecordMissing
from .runbook import command, told


class RetireError(Exception):
    """The record stays; the text says on one line why and what to do, `code` where it is explained."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Retirement:
    """One `remove` of a pair's record. `without` names a node that is gone for good, and need not answer."""

    pair: PairSpec
    ports: Ports
    without: str = ""
    check: bool = False

    def run(self) -> Optional[Record]:
        """The record that went (in check mode: would go), None when there was none. Raises RetireError, StoreError, CommandError."""
        self._known()
        try:
            record = self.ports.store.read()
        except RecordMissing:
            return None
        if record.state != "steady":
            raise RetireError(
                f"the pair is {record.state}: finish that first ({command('failover', to=record.active or self.pair.nodes[0].name)}), "
                "then remove it",
                code="broken" if record.state == "broken" else "move_unfinished",
            )
        if self.without and self.without == record.active:
            raise RetireError(
                f"without: {self.without} is the active node, and its service would be left to itself: move it away first "
                f"({command('failover', to=record.other(self.without))}), then remove the pair",
                code="remove_active",
            )
        self._reach(record.active or "")
        if not self.check:
            self.ports.store.forget(record, [node.name for node in self.pair.nodes])
        return record

    def _known(self) -> None:
        if self.without:
            try:
                self.pair.node(self.without)
            except PairError as error:
                raise RetireError(f"without: {error}", code="no_such_node") from error

    def _reach(self, active: str) -> None:
        """Refuse while a node that would be connected to cannot be. One whose command is gone already is there all the same."""
        names = [node.name for node in self.pair.nodes if node.name != self.without]
        for name, reply in glance(self.pair, self.ports, names, active).items():
            if isinstance(reply, NoAnswer) and not reply.reached:
                power = self.ports.instance(self.pair.node(name).instance_id)
                raise RetireError(self._silent(name, reply, power, active), code="remove_silent")

    @staticmethod
    def _silent(name: str, reply: NoAnswer, power: Evidence, active: str) -> str:
        text = (
            f"{name} gives no answer ({reply.why}; {power}), so what deploy found there could not be put back: nothing was "
            "removed on either node"
        )
        if name == active:
            return told(text, "remove_silent", command("status"))
        back, gone = command("rejoin", node=name), command("remove", without=name)
        return told(
            text,
            "remove_silent",
            f"{back}, then remove the pair; or, when that machine is gone for good: {gone}",
        )
