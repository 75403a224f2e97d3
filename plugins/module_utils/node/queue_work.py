# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One message's work: its visibility is extended while the command runs, and its command ended while that still can be."""

from __future__ import annotations

import os
from typing import Callable, Optional

from ..jobs_queue import Message, Rules
from ..jobs_run import Command, Exit
from .around import RealAround
from .queue import QueueError
from .queue_held import Calls, Delivery, Held

KILL_AFTER = 10.0  # seconds between SIGTERM and SIGKILL


def body_file(message: Message) -> int:
    """The body as a file to be read from its beginning; a descriptor. No pipe: nobody has to read it."""
    handle = os.memfd_create("message", os.MFD_CLOEXEC)
    data = message.body.encode("utf-8", "surrogatepass")
    while data:
        data = data[os.write(handle, data) :]
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


class Work:
    """Stands between whoever runs a command and the command: both what it runs (a Command) and its surroundings."""

    def __init__(
        self,
        queue: Calls,
        delivery: Delivery,
        held: Held,
        rules: Rules,
        around: RealAround,
        command: Command,
        say: Callable[[str], None],
    ) -> None:
        self._queue, self._message, self._held, self._rules = queue, delivery.message, held, rules
        self._around, self._command, self._say = around, command, say
        self._received, self._extended, self._tried = delivery.received, delivery.extended, delivery.tried
        self._began = self._gone = False
        self.too_long = False

    # -- surroundings

    def monotonic(self) -> float:
        """See RealAround."""
        return self._around.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, and keep the message."""
        self._around.sleep(min(seconds, self._due()))
        self._keep()

    def stopping(self) -> bool:
        """Whether the command is to end now: at once while it has not begun, else when its time to finish is over."""
        return self._around.stopping() and (not self._began or self._around.left() <= 0)

    # -- the command

    def start(self, renewed_at: float, lease: float) -> None:
        """Begin it."""
        self._began = True
        self._command.start(renewed_at, lease)

    def renewed(self, renewed_at: float) -> None:
        """The lease of the run, where there is one."""
        self._command.renewed(renewed_at)

    def end(self, grace: float) -> None:
        """End it."""
        self._command.end(grace)

    def wait(self, seconds: float) -> Optional[Exit]:
        """Its end, waited for at most so long; the message is kept meanwhile."""
        if self._around.stopping():
            seconds = min(seconds, 0.5)
        found = self._command.wait(max(0.0, min(seconds, self._due())))
        if found is not None:
            return found
        self._keep()
        if not self.too_long and self.monotonic() - self._received >= self._rules.most:
            self.too_long = True
            self._say(f"runs for {self._rules.most:g} s: ended, before its message is shown again")
            self._command.end(KILL_AFTER)
        return None

    def run(self) -> Exit:
        """To the end, without a lease of its own: what cannot be extended goes on all the same."""
        self.start(self.monotonic(), float("inf"))
        asked = False
        while True:
            found = self.wait(3600.0)
            if found is not None:
                return found
            if self.stopping() and not asked:
                asked = True
                self.end(KILL_AFTER)

    # -- the message

    def _due(self) -> float:
        """Seconds until something has to be done; what is never done again would be due for ever."""
        now, third = self.monotonic(), self._rules.visibility / 3
        # whether to stop is asked as often as ever
        due = [self._held.due(), third if self._gone else self._tried + third - now]
        if not self.too_long:
            due.append(self._received + self._rules.most - now)
        return max(0.0, min(due))

    def _keep(self) -> None:
        """Extend at each third of the visibility; what fails is tried again at a twelfth, and the work goes on."""
        now = self.monotonic()
        if self._gone or now - self._tried < self._rules.visibility / 3:
            self._held.tick()
            return
        # never beyond SQS's own limit, which would refuse the whole call
        left = 43200.0 - (now - self._received) - 1
        try:
            self._queue.hide(self._message, min(self._rules.visibility, left))
            self._tried = self._extended = now
        except QueueError as error:
            self._gone = error.gone
            self._tried = self.monotonic() - self._rules.visibility / 4
            if now - self._extended >= self._rules.visibility:
                self._say(
                    f"its message may be worked a second time, its visibility cannot be extended: {error}"
                )
                self._extended = now
