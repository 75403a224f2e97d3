# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a requeue: made by modules and the node command, handed to the core, which starts none itself."""

from __future__ import annotations

import collections
import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Optional, Union

from .requeue import Listed
from .requeue_move import Outcome
from .requeue_run import Spread, one_by_one

WORKERS = 8
TICK = 0.5  # seconds after which a caller hears that nothing came yet
HANDFUL = (
    16  # outcomes that a thread collects before it wakes the caller, which costs more than a copy's own work
)


def threads(workers: int = WORKERS) -> Spread:
    """A spread over `workers` threads, which each take the next item when they are done with one."""
    if workers <= 1:
        return one_by_one

    def spread(work: Callable[[Listed], Outcome], items: Iterable[Listed]) -> Iterator[Optional[Outcome]]:
        # a new pool each time: whatever goes wrong, nothing of it outlives the page
        todo = collections.deque(items)
        left = len(todo)
        if not left:
            return
        done: queue.SimpleQueue[Union[list[Outcome], BaseException]] = queue.SimpleQueue()

        def pull() -> None:
            mine: list[Outcome] = []
            try:
                while todo:
                    try:
                        item = todo.popleft()
                    except IndexError:
                        break  # another thread was faster
                    mine.append(work(item))
                    if len(mine) >= HANDFUL:
                        done.put(mine)
                        mine = []
            except BaseException as error:
                done.put(error)
            done.put(mine)

        with ThreadPoolExecutor(max_workers=min(workers, left)) as pool:
            try:
                for _number in range(min(workers, left)):
                    pool.submit(pull)
                while left:
                    try:
                        found = done.get(timeout=TICK)
                    except queue.Empty:
                        yield None
                        continue
                    if isinstance(found, BaseException):
                        raise found
                    left -= len(found)
                    yield from found
            finally:
                todo.clear()  # a caller that stops listening starts nothing more

    return spread
