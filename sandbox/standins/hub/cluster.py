# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hubcluster -status [-timeout 10..60]` and `hubcluster -start [-msg] [-endwait [-mutual]]`."""

from __future__ import annotations

import os
import time

from ..tricks import frozen, stall
from .setting import (
    ALIVE,
    ARGUMENTS,
    CANCELLED,
    DEFAULT_RELAYS,
    FATAL,
    NO_CONNECTION,
    STOPPED,
    TIMED_OUT,
    Problem,
    Setting,
    run,
)

TYPE_CHECKING = False  # the products are programs in C: what loads slowly here would count as theirs
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal

USAGE = "usage: hubcluster -status [-timeout 10..60] | -start [-msg] [-endwait [-mutual]]"


def hubcluster(arguments: list[str]) -> int:
    """The command. Returns its exit code."""
    plan: dict[str, Any] = {}

    def check() -> None:
        plan.update(_parsed(arguments))

    def body(setting: Setting) -> int:
        if plan["verb"] == "status":
            return _status(setting, plan["timeout"])
        return _start(setting, plan["msg"], plan["endwait"])

    return run(body, check)


def _parsed(arguments: list[str]) -> dict[str, Any]:
    rest = list(arguments)
    verb = rest.pop(0) if rest else ""
    plan: dict[str, Any] = {"verb": verb.lstrip("-")}
    if verb == "-status":
        plan["timeout"] = 10
        if rest and rest[0] == "-timeout":
            number = rest[1] if len(rest) > 1 else ""
            if not (number.isascii() and number.isdigit() and 10 <= int(number) <= 60):
                raise Problem(ARGUMENTS, f"-timeout takes 10 to 60 seconds. {USAGE}")
            plan["timeout"] = int(number)
            rest = rest[2:]
    elif verb == "-start":
        plan["msg"] = _taken(rest, "-msg")
        plan["endwait"] = _taken(rest, "-endwait")
        plan["mutual"] = plan["endwait"] and _taken(rest, "-mutual")
    else:
        raise Problem(ARGUMENTS, USAGE)
    if rest:
        raise Problem(ARGUMENTS, f"unexpected argument {rest[0]!r}. {USAGE}")
    return plan


def _taken(rest: list[str], option: str) -> bool:
    if rest and rest[0] == option:
        rest.pop(0)
        return True
    return False


def _status(setting: Setting, timeout: int) -> int:
    if setting.knob("status_hangs", False):
        while True:  # it never answers; whoever asked must end it
            time.sleep(3600)
    end = time.monotonic() + timeout
    while True:
        daemons = setting.journal.alive(setting.node, setting.etc)
        if not daemons:
            print("hubd: stopped")
            return STOPPED
        if not any(frozen(daemon["pid"]) for daemon in daemons):
            break
        if time.monotonic() >= end:
            print("hubd: timed out")
            return TIMED_OUT
        time.sleep(0.2)
    if not any(daemon.get("up") for daemon in daemons):
        print("hubd: could not connect")
        return NO_CONNECTION
    print("hubd: alive")
    return ALIVE


def _start(setting: Setting, msg: bool, endwait: bool) -> int:
    if setting.knob("start_stalls", False):
        stall(setting.root)
    import resource

    needed = int(setting.knob("trans_rly_max", DEFAULT_RELAYS)) * 3 + 50
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < needed:
        return _failed(setting, f"ulimit -n is {soft}, {needed} are needed")
    if setting.knob("start_fails", False):
        return _failed(setting, "the daemons could not be started")
    ready, announce = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    hubd = os.path.join(setting.exe, "hubd")
    # the daemon detaches: a killed caller's process group must not take it along
    pid = os.posix_spawn(
        hubd,
        [hubd, "-report", "3"],
        setting.environment(),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, announce, 3),
            *((os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE],
    )
    os.close(announce)
    with os.fdopen(ready, "rb") as pipe:
        said = pipe.read().decode()
    if said == "up\n":
        if msg:
            print(f"hubd: started (pid {pid})")
        return _until_ended(pid) if endwait else ALIVE
    # a refusal has been journalled by the daemon that refused
    if said.startswith("refused"):
        raise Problem(FATAL, said.strip())
    return _failed(setting, "hubd ended while it started")


def _failed(setting: Setting, why: str) -> int:
    setting.journal.write({"node": setting.node, "event": "start-failed", "why": why, "pid": os.getpid()})
    raise Problem(FATAL, why)


def _until_ended(pid: int) -> int:
    _pid, status = os.waitpid(pid, 0)
    return CANCELLED if os.waitstatus_to_exitcode(status) == CANCELLED else ALIVE
