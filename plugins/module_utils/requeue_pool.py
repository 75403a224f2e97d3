# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a requeue: made by modules and the node command, handed to the core, which starts none itself."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Callable, Optional

from .requeue import Listed
from .requeue_move import Outcome
from .requeue_run import Spread, one_by_one

WORKERS = 8
TICK = 0.5  # seconds after which a caller hears that nothing came yet


def threads(workers: int = WORKERS) -> Spread:
    """A spread over `workers` threads; at most a few items per thread are under way at once."""
    if workers <= 1:
        return one_by_one

    def spread(work: Callable[[Listed], Outcome], items: Iterable[Listed]) -> Iterator[Optional[Outcome]]:
        # a new pool each time: whatever goes wrong, nothing of it outlives the page
        todo = collections.deque(items)
        if not todo:
            return
        with ThreadPoolExecutor(max_workers=min(workers, len(todo))) as pool:
            under_way: set[Future[Outcome]] = set()
            try:
                while todo or under_way:
                    while todo and len(under_way) < 4 * workers:
                        under_way.add(pool.submit(work, todo.popleft()))
                    finished, under_way = wait(under_way, timeout=TICK, return_when=FIRST_COMPLETED)
                    if not finished:
                        yield None
                    for future in finished:
                        yield future.result()
            finally:
                for future in under_way:
                    future.cancel()

    return spread
