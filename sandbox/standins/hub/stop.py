# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hubstop [-normal|-force]`: returns once the daemons have ended."""

from __future__ import annotations

import os
import select

from .setting import ALIVE, ARGUMENTS, CUT, STOPPED, Problem, Setting, run

TYPE_CHECKING = False  # the products are programs in C: what loads slowly here would count as theirs
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal


def hubstop(arguments: list[str]) -> int:
    """The command. Returns its exit code: 0 stopped, 240 there was nothing to stop."""

    def check() -> None:
        if arguments not in ([], ["-normal"], ["-force"]):
            raise Problem(ARGUMENTS, "usage: hubstop [-normal|-force]")

    return run(lambda setting: _stop(setting, arguments == ["-force"]), check)


def _stop(setting: Setting, force: bool) -> int:
    if setting.knob("stop_ignored", False):
        print("hubd: stopped")
        return ALIVE
    daemons = setting.journal.alive(setting.node, setting.etc)
    if not daemons:
        print("hubd: not running")
        return STOPPED
    handles = []
    for daemon in daemons:
        try:
            handle = os.pidfd_open(daemon["pid"])
        except OSError:
            continue  # it has just ended
        # still the same process, now that the handle pins it?
        if daemon["pid"] in [other["pid"] for other in setting.journal.alive(setting.node, setting.etc)]:
            signal.pidfd_send_signal(handle, signal.SIGUSR1 if force else signal.SIGTERM)
            handles.append(handle)
    if force and any(daemon.get("transferring") for daemon in daemons):
        print(f"transfer ended: code {CUT}")
    for handle in handles:
        select.select([handle], [], [])
    print("hubd: stopped")
    return ALIVE
