# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and signals as a job's caller sees them."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from dataclasses import dataclass
from types import FrameType
from typing import Callable, Optional

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _nothing() -> None:
    pass


def boottime() -> float:
    """Seconds since boot, those during which the machine was suspended too: a lease does not stand still meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Notice:
    """Why to end, other than a signal, and the seconds until it happens whatever we do."""

    why: str
    within: float = math.inf


class RealAround:
    """`notice` is asked in every wait for a reason to end other than a signal, at most each `every` seconds; `grace` is how
    long an end may take, and `ending` is called again and again until it is over, as often as it is looked for."""

    def __init__(
        self,
        notice: Optional[Callable[[], Optional[Notice]]] = None,
        every: float = 5.0,
        grace: float = math.inf,
    ) -> None:
        self._notice, self._every, self._grace = notice, every, grace
        self.ending: Callable[[], None] = _nothing
        self._next = 0.0
        self._until = math.inf
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.why = ""

    def listen(self) -> RealAround:
        """Take SIGTERM, SIGINT and SIGHUP as the wish to end."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        self.stop(signal.Signals(number).name)

    def stop(self, why: str, within: float = math.inf) -> None:
        """End, for that reason, in so many seconds or the grace; whoever waits wakes up."""
        if not self.why:
            self.why, self._until = why, boottime() + min(self._grace, within)
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # so many signals wait already

    def monotonic(self) -> float:
        """See boottime."""
        return boottime()

    def stopping(self) -> bool:
        """Whether somebody asked for an end."""
        if not self.why and self._notice is not None and boottime() >= self._next:
            found = self._notice()
            self._next = boottime() + self._every
            if found is not None:
                self.stop(found.why, found.within)
        elif self.why:
            self.ending()
        return bool(self.why)

    def left(self) -> float:
        """Seconds until everything is to be over; infinite while nobody asked for an end."""
        return max(0.0, self._until - boottime())

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it."""
        self.wait((), seconds)

    def wait(self, files: tuple[int, ...], seconds: float) -> bool:
        """Wait until one of the files can be read, a signal comes, or the time is over; whether a file can be read."""
        if self._notice is not None and not self.why:
            seconds = min(seconds, self._every)
        ready, _w, _x = select.select([self._read, *files], [], [], max(0.0, seconds))
        if self._read in ready:
            os.read(self._read, 4096)
            ready.remove(self._read)
        return bool(ready)
