# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy would do: both trees are asked at once, and too many deletions are refused before the first one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from . import mirror_tree as tree_of
from .mirror import VANISHED, Changes, MirrorError, Place, explain_rsync, too_many

T = TypeVar("T")


def at_once(call: Callable[[str], T], names: Iterable[str]) -> dict[str, T]:
    """Call with each name at the same time. An error of a call is raised once all have ended."""
    done: dict[str, T] = {}
    failed: list[BaseException] = []

    def one(name: str) -> None:
        try:
            done[name] = call(name)
        except BaseException as error:  # raised again below, in the thread that asked
            failed.append(error)

    wanted = list(names)
    others = [threading.Thread(target=one, args=(name,)) for name in wanted[1:]]
    for other in others:
        other.start()
    for name in wanted[:1]:
        one(name)
    for other in others:
        other.join()
    if failed:
        raise failed[0]
    return {name: done[name] for name in wanted}


def plan(
    places: Mapping[str, Place],
    ask: Callable[[str], tuple[int, Changes, str]],
    excludes: Callable[[str], tuple[str, ...]],
    limit: float,
) -> dict[str, Changes]:
    """What would be done; `ask` is a dry run of a tree, `limit` the percentage that may be deleted. Raises MirrorError."""
    found = {}
    for name, (rc, changes, stderr) in at_once(ask, places).items():
        if rc not in (0, VANISHED):
            raise MirrorError(f"{explain_rsync(rc, stderr, name)}. Nothing was changed", code="sync_failed")
        found[name] = changes
        if changes.deleted:
            there = tree_of.count(places[name].path, excludes(name))
            why = too_many(changes.deleted, there, limit, f"{name}_dir")
            if why:
                raise MirrorError(f"max_delete: {why}", code="sync_max_delete")
    return found
