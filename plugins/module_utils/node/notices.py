# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this instance is about to end, as its metadata service tells: a spot notice, or its Auto Scaling group's wish."""

from __future__ import annotations

import datetime
import json
import math
import time
from typing import Callable, Optional, Protocol

from .around import Notice, boottime

SPOT = "/latest/meta-data/spot/instance-action"
LIFECYCLE = "/latest/meta-data/autoscaling/target-lifecycle-state"
GROUP = "the Auto Scaling group"
SILENT = 30.0  # seconds for which a service that does not answer is left alone
AHEAD = 115.0  # seconds that a spot notice leaves at most: two minutes, less what passed until it was seen
MARGIN = 15.0  # of them kept for SIGKILL and for giving the message back


class Service(Protocol):
    """What is needed of metadata.Session."""

    def get(self, path: str) -> Optional[str]:
        """See Session."""


def spot_notice(text: str, now: float) -> Notice:
    """What a spot notice means at that wall-clock time. One that makes no sense is believed: it leaves the two minutes."""
    left = AHEAD
    try:
        found = json.loads(text)
        end = datetime.datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%SZ")
        left = min(left, end.replace(tzinfo=datetime.timezone.utc).timestamp() - now)
    except (ValueError, KeyError, TypeError):
        pass
    return Notice("a spot notice", max(0.0, left - MARGIN))


class Notices:
    """Asks; a service that hangs is asked seldom, so that the work does not wait for it."""

    def __init__(
        self,
        service: Service,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._service, self._clock, self._wall = service, clock, wall
        self._silent_until = -math.inf

    def __call__(self) -> Optional[Notice]:
        """Why to end; None when nothing is known of an end."""
        if self._clock() < self._silent_until:
            return None
        spot = self._service.get(SPOT)
        if spot:
            return spot_notice(spot, self._wall())
        state = None if spot is None else self._service.get(LIFECYCLE)
        if state is None:
            self._silent_until = self._clock() + SILENT
        return Notice(GROUP) if state == "Terminated" else None
