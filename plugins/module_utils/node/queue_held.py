# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages in one consumer's hands: those that wait for their turn, and those that are done and not deleted yet.

Several are fetched at once only where jobs are short, so that nobody sits on what another consumer could work; what waits is
kept out of sight like what is at work, and given back when the one before it takes long. What is done is deleted together
with what was done just before it: who dies in between has it worked again, as always, and never loses it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, Optional, Protocol

from ..jobs_queue import Message, Pace, Rules
from .queue import QueueError

LINGER = 0.2  # seconds for which a message that is done waits for others
AGAIN = 1.0  # seconds until a delete is tried again
LATE = 30.0  # seconds for which it is
BATCH = 10  # SQS's own limit


class Calls(Protocol):
    """What is needed of queue.Queue."""

    def receive(self, most: int, seconds: float) -> list[Message]:
        """See Queue."""

    def hide(self, message: Message, seconds: float) -> None:
        """See Queue."""

    def delete(self, messages: Sequence[Message]) -> dict[str, QueueError]:
        """See Queue."""


class Around(Protocol):
    """What is needed of around.RealAround."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it."""

    def stopping(self) -> bool:
        """Whether somebody asked for an end."""

    def left(self) -> float:
        """Seconds until everything is to be over; infinite while nobody asked for an end."""


@dataclass
class Delivery:
    """A message, since when it may have been received, and since when it is out of everybody's sight for another visibility."""

    message: Message
    received: float
    extended: float
    tried: float


@dataclass(frozen=True)
class _Done:
    message: Message
    since: float
    told: Callable[[str], None]  # once it is deleted, with what is to be added


class Held:
    """`say` gets a message's ID and a line about it; `undeleted` counts what stays, to be shown again."""

    def __init__(self, queue: Calls, rules: Rules, around: Around, say: Callable[[str, str], None]) -> None:
        self._queue, self._rules, self._around, self._say = queue, rules, around, say
        self._waiting: deque[Delivery] = deque()
        self._done: list[_Done] = []
        self._again = -math.inf  # not before that is a delete tried again
        self._begun: Optional[float] = None
        self.pace = Pace(rules.prefetch)
        self.returned = self.undeleted = 0

    # -- one after the other

    def fetch(self, seconds: float, most: Optional[int] = None) -> int:
        """Wait for messages, at most so many; how many came. What is done is deleted first. Raises QueueError."""
        self.flush(patient=True)
        wanted = self.pace.wanted()
        # when the queue hid them is not known: at the earliest when it was asked, and we may have been frozen since
        asked = self._around.monotonic()
        found = self._queue.receive(wanted if most is None else min(wanted, most), seconds)
        if self.pace.most > 1:
            # who was given back before is not to wait again behind a long one
            found.sort(key=lambda message: -message.receives)
        self._waiting.extend(Delivery(message, asked, asked, asked) for message in found)
        return len(found)

    def next(self) -> Optional[Delivery]:
        """The next that is surely still ours; None when none waits."""
        self.tick()
        while self._waiting:
            found = self._waiting.popleft()
            if self._around.monotonic() - found.extended < self._rules.visibility * 2 / 3:
                self._begun = self._around.monotonic()
                return found
            self.returned += 1
            self._say(found.message.id, "waited too long and is shown again, not worked here")
        return None

    def over(self) -> None:
        """The one at work has ended."""
        if self._begun is not None:
            self.pace.took(self._around.monotonic() - self._begun)
            self._begun = None

    # -- while one is at work

    def due(self) -> float:
        """Seconds until `tick` has something to do."""
        moments = [one.tried + self._rules.visibility / 3 for one in self._waiting]
        if self._waiting and self._begun is not None:
            moments.append(self._begun + self.pace.LONG)
        if self._done:
            moments.append(max(self._done[0].since + LINGER, self._again))
        return max(0.0, min(moments, default=math.inf) - self._around.monotonic())

    def tick(self) -> None:
        """What is due; at most one call that fails, since whoever is at work waits meanwhile."""
        now = self._around.monotonic()
        if self._waiting and (
            self._around.stopping() or (self._begun is not None and now - self._begun >= self.pace.LONG)
        ):
            self.give_back()
            return
        for one in self._waiting:
            if now - one.tried < self._rules.visibility / 3:
                continue
            try:
                self._queue.hide(one.message, self._rules.visibility)
                one.tried = one.extended = now
            except QueueError:
                one.tried = self._around.monotonic() - self._rules.visibility / 4  # again in a twelfth
                return
        if self._done and now >= max(self._done[0].since + LINGER, self._again):
            self.flush(patient=False)

    def give_back(self) -> None:
        """Whatever waits is for somebody else, at once."""
        reached = True
        while self._waiting:
            one = self._waiting.popleft()
            self.returned += 1
            why = "given back, not worked here"
            try:
                if reached:
                    self._queue.hide(one.message, 0.0)
            except QueueError as error:
                reached, why = False, f"not worked here: {error}"
            self._say(one.message.id, why if reached else f"{why} (shown again when its visibility ends)")

    # -- what is done

    def done(self, message: Message, told: Callable[[str], None]) -> None:
        """It is to be deleted, soon; `told` is called when it was."""
        self._done.append(_Done(message, self._around.monotonic(), told))

    def flush(self, patient: bool) -> None:
        """Delete what is done. `patient`: until it is, or it is too late to try, or to end; else one try."""
        while self._done:
            batch = self._done[:BATCH]
            try:
                failed = self._queue.delete([one.message for one in batch])
            except QueueError as error:
                failed = {one.message.receipt: error for one in batch}
            now = self._around.monotonic()
            kept = [one for one in batch if not self._settled(one, failed.get(one.message.receipt), now)]
            self._done[: len(batch)] = kept
            if kept:
                self._again = now + AGAIN
                if not patient:
                    return
                self._around.sleep(min(AGAIN, self._around.left()))

    def _settled(self, one: _Done, error: Optional[QueueError], now: float) -> bool:
        if error is None or error.gone:
            one.told(", and the queue is gone" if error else "")
            return True
        if now - one.since <= min(LATE, self._rules.visibility) and self._around.left() > 0:
            return False
        self.undeleted += 1
        self._say(one.message.id, f"done, but it cannot be deleted and will be shown again: {error}")
        return True
