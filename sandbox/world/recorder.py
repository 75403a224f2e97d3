# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair's record as it was at each epoch, so that a backup of it can be restored."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from . import cloud

INTERVAL = 0.1  # seconds

Item = dict[str, Any]


class Recorder:
    """Looks at the record all the time and keeps, for each epoch, the last one in steady state (else the last)."""

    def __init__(self, pair: str) -> None:
        self.pair = pair
        self.kept: dict[int, Item] = {}
        self.replaced: tuple[Item, Item] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()

    def forget(self) -> None:
        """A fresh pair has no past."""
        self.kept.clear()
        self.replaced = None

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            # while the table is being made or replaced there may be nothing to see
            with suppress(Exception):
                self.note(cloud.record(self.pair))

    def note(self, item: Item | None) -> None:
        """Keep one more state of the record."""
        if item is None:
            return
        epoch = int(item["epoch"]["N"])
        before = self.kept.get(epoch)
        if before is None or item["state"]["S"] == "steady" or before["state"]["S"] != "steady":
            self.kept[epoch] = item

    def earlier(self, item: Item) -> Item:
        """The record one epoch earlier; one that has no past gets the same content with a lower epoch."""
        epoch = int(item["epoch"]["N"])
        past = [known for known in self.kept if known < epoch]
        if past:
            return self.kept[max(past)]
        return {**item, "epoch": {"N": str(epoch - 1)}}
