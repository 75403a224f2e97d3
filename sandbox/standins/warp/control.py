# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`fsctrl VERB [SERVICE]` and `fsstop`: they only send an order. Their exit codes mean nothing, but for 255 of fsctrl."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Optional

from ..tricks import frozen
from .flow import CUT, STOP
from .setting import NOT_SENT, Setting, odd

VERBS = ("status", "shutdown", "start", "stop", "restart", "kill", "gc")


def fsstop(arguments: list[str]) -> int:
    """Ask the service to stop; does not wait for it."""
    setting = Setting()
    if arguments:
        print("usage: fsstop")
    elif setting.knob("stop_ignored", False):
        print("stop requested")
    else:
        pid = setting.main_pid()
        if pid is None:
            print("the service is not running")
        else:
            os.kill(pid, STOP)  # the journal's lock proves that it is the daemon's own
            print("stop requested")
    return odd()


def fsctrl(arguments: list[str]) -> int:
    """A question or an order to the service."""
    setting = Setting()
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb not in VERBS or len(rest) > 1:
        print(f"usage: fsctrl {'|'.join(VERBS)} [ServiceName]")
        return odd()
    if verb == "status" and setting.knob("status_hangs", False):
        while True:  # it never answers; whoever asked must end it
            time.sleep(3600)
    about = _reach(setting)
    if about is None:
        print("fsctrl: the request could not be sent", file=sys.stderr)
        return NOT_SENT
    if verb == "status":
        return _status(about["services"], rest)
    if verb == "shutdown":
        if not setting.knob("stop_ignored", False):
            os.kill(about["pid"], CUT if rest == ["killall"] else STOP)
        return odd()
    if verb in ("start", "stop", "restart", "kill") and rest:
        word = "STOPPED" if verb in ("stop", "kill") else "RUNNING"
        with setting.journal.lock():
            orders: dict[str, Any] = {**about["services"], rest[0]: word}
            beside = f"{setting.orders}.new"
            with open(beside, "w", encoding="utf-8") as handle:
                json.dump(orders, handle)
            os.replace(beside, setting.orders)
    print("accepted")
    return odd()


def _reach(setting: Setting) -> Optional[dict[str, Any]]:
    """What the main process says of itself; None when it takes no requests."""
    for about in setting.journal.alive(setting.node, setting.service):
        if about.get("up") and not frozen(about["pid"]):
            return about
    return None


def _status(services: dict[str, str], names: list[str]) -> int:
    for name in names or sorted(services):
        print(f"{name:20} : {services[name]}" if name in services else f"{name}: there is no such service")
    return odd()
