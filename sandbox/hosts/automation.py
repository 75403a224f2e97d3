# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which nobody types anything: deployed, the service running, daemons and timers at work, the function in place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..control import DEPLOY_SECONDS, playbook
from ..paths import Layout
from ..world.mover import Mover

PERIOD = 60  # seconds between the hosts' own health checks, by their own timers
MINUTE = 60.0  # seconds that the schedule's minute lasts: these hosts bend nothing


class HostMover(Mover):
    """The checks are the hosts' own."""

    def _mend(self, alarm: Any) -> None:
        # who waits for the first whole period of a real minute waits for nothing but that
        alarm.update_state("sandbox begin", "{}", "OK")


def deploy(layout: Layout, env: Mapping[str, str]) -> None:
    """The collection's own playbook, as an operator runs it. Raises SandboxError."""
    _play(layout, env, layout.deploy_log, "hotstandby.ops.deploy", "-ehotstandby_serve=always")


def automate(layout: Layout, env: Mapping[str, str]) -> None:
    """The same for the automation; the service runs already, or the daemons would have it moved. Raises SandboxError."""
    _play(layout, env, layout.automation_log, "hotstandby.ops.automation")


def _play(layout: Layout, env: Mapping[str, str], log: Path, *arguments: str) -> None:
    playbook(layout, {**env, "ANSIBLE_PIPELINING": "true"}, log, arguments, 3 * DEPLOY_SECONDS)
