# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at every call of a simulated world, keeps the rules of the record, and makes trouble at a chosen call."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hotstandby.ops.plugins.module_utils.record import Record

from .world import World


class Watch:
    """Set as the network's hook. `trouble` is called once, at the moment `at`.

    Moments are counted from 0, two for each call: an even one is before the call has any effect, an odd one after it,
    before its caller hears of it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: list[str] = []  # what each moment was
        self.at = -1
        self.trouble: Callable[[], None] = lambda: None
        self.always: Callable[[str, str, bool], None] = lambda _service, _operation, _done: None
        self.what = ""
        self.violated: list[str] = []
        self.running = {name for name, node in world.nodes.items() if node.product == "running"}
        self.records: list[Record] = [world.record()]
        world.network.hook = self

    def __call__(self, service: str, operation: str, done: bool) -> None:
        if done and operation == "UpdateItem":
            self._written(self.world.record())
        moment = self.moments
        self.calls.append(f"{service}:{operation}")
        self.always(service, operation, done)
        if moment == self.at:
            self.what = f"{'after' if done else 'before'} {service}:{operation}"
            self.trouble()

    @property
    def moments(self) -> int:
        """How many there were so far."""
        return len(self.calls)

    def telling(self) -> list[int]:
        """The moments, less those in the middle of a row of one call, which all look alike."""
        calls = self.calls
        return [n for n, call in enumerate(calls) if calls[max(0, n - 2) : n + 3] != [call] * 5]

    def _written(self, record: Record) -> None:
        before = self.records[-1]
        self.records.append(record)
        named = record.active is not None and record.active != before.active
        rules = {
            "an epoch never shrinks": record.epoch >= before.epoch,
            "nobody is named between two nodes": record.active == before.active
            or None in (record.active, before.active),
            "every grant is a new epoch": not named
            or record.epoch > max(item.epoch for item in self.records[:-1]),
            "only a grant makes an epoch": record.epoch == before.epoch
            or (named and record.epoch == before.epoch + 1),
        }
        # kept, not raised: whoever writes takes an exception for a failure of the table
        self.violated += [rule for rule, kept in rules.items() if not kept]

    def check(self) -> None:
        """The promises that hold at any time, whatever happened."""
        assert not self.violated, f"{self.violated} ({self.what})"
        assert self.world.overlaps == 0, f"two ran at once ({self.what})"
        running = set(self.running)
        for _time, node, event in self.world.events:
            if event == "start":
                assert running <= {node}, (
                    f"{node} was started while {running} had not been stopped ({self.what})"
                )
                running.add(node)
            else:
                running.discard(node)

    def products(self) -> list[str]:
        """The nodes on which the product runs."""
        return [name for name, node in self.world.nodes.items() if node.product == "running"]
