# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`flowsvc` starts the main process, which keeps its java-like children, looks at its licences, and ends on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Optional

from ..journal import Running
from ..tricks import stall
from .setting import SERVICES, Setting, odd

CHILDREN = 2
TICK = 0.1  # seconds between two looks at children, licences and orders
STOP, CUT, CHILD = signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD


def flowsvc(arguments: list[str]) -> int:
    """Start the service; returns once it is up or has failed. The exit code tells neither."""
    setting = Setting()
    if arguments:
        print("usage: flowsvc")
        return odd()
    if setting.knob("start_stalls", False):
        stall(setting.root)
    pid = setting.main_pid()
    if pid is not None:
        setting.journal.write(
            {"node": setting.node, "event": "refused", "pid": os.getpid(), "why": f"{pid} runs"}
        )
        print(f"flowsvc: already running ({pid})")
        return odd()
    ready, announce = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    java = setting.java("flow.Main", "-report", "3")
    os.posix_spawn(
        java[0],
        java,
        setting.environment(),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, announce, 3),
            *((os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, STOP, CUT, signal.SIGPIPE],
    )
    os.close(announce)
    with os.fdopen(ready, "rb") as pipe:
        print(f"flowsvc: {pipe.read().decode().strip() or 'ended while it started'}")
    return odd()


def java(arguments: list[str]) -> int:
    """What a java-like process is: the main one, or a child that lives as long as its standard input."""
    words = arguments[arguments.index("-cp") + 2 :]
    if words[0] == "flow.Main":
        signal.pthread_sigmask(signal.SIG_BLOCK, {STOP, CUT, CHILD})
        os.set_inheritable(int(words[2]), False)
        return _Main(Setting(), int(words[2])).live()
    signal.signal(STOP, signal.SIG_DFL)
    while os.read(0, 64):
        pass
    if Setting().knob("orphans", False):
        while True:  # it does not notice that its parent is gone
            time.sleep(3600)
    return 0


class _Main:
    def __init__(self, setting: Setting, report: int) -> None:
        self.setting, self.report = setting, report
        self.life, self.keep = os.pipe()
        self.children: list[int] = []

    def live(self) -> int:
        setting = self.setting
        why = "the service could not be started" if setting.knob("start_fails", False) else ""
        why = why or setting.licence_trouble()
        if why:
            setting.log(why)
            event = "wrong-identity" if why.startswith("server.xconf") else "start-failed"
            setting.journal.write({"node": setting.node, "event": event, "why": why, "pid": os.getpid()})
            self._say(f"failed: {why}")
            return 1
        running = setting.journal.enter(setting.node, setting.service, up=False, services={})
        with open(setting.pid_file, "w", encoding="ascii") as handle:
            handle.write(f"{os.getpid()}\n")
        if os.path.exists(setting.orders):
            os.unlink(setting.orders)
        caught = self._wait(float(setting.knob("start_seconds", 0)))
        if caught is None:
            self._keep_children()
            running.describe(up=True, services=dict.fromkeys(SERVICES, "RUNNING"))
            self._say("started")
            caught = self._serve(running)
        self._end(running, caught)
        return 0

    def _say(self, text: str) -> None:
        try:
            os.write(self.report, f"{text}\n".encode())
        except BrokenPipeError:
            pass  # whoever started us is gone
        os.close(self.report)

    def _keep_children(self) -> None:
        while len(self.children) < CHILDREN:
            java = self.setting.java(f"flow.Worker{len(self.children)}")
            self.children.append(
                os.posix_spawn(
                    java[0],
                    java,
                    self.setting.environment(),
                    file_actions=[(os.POSIX_SPAWN_DUP2, self.life, 0)],
                    setsigmask=[],
                )
            )

    def _wait(self, seconds: float) -> Optional[int]:
        """A stop signal within that time, or None; dead children are reaped on the way."""
        end = time.monotonic() + seconds
        while True:
            info = signal.sigtimedwait({STOP, CUT, CHILD}, max(0.0, end - time.monotonic()))
            if info is None:
                return None
            if info.si_signo in (STOP, CUT):
                return info.si_signo
            if info.si_signo != CHILD:
                return None  # thawed after the time was over, Python returns no signal at all
            while self.children:
                pid, _status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self.children.remove(pid)

    def _serve(self, running: Running) -> int:
        while True:
            caught = self._wait(TICK)
            if caught is not None:
                return caught
            self._keep_children()
            self._obey(running)
            why = self.setting.licence_trouble()
            if why:
                self.setting.log(f"{why}: the flow service stops")
                return STOP

    def _obey(self, running: Running) -> None:
        """The orders that fsctrl has left for single services."""
        try:
            with open(self.setting.orders, encoding="utf-8") as handle:
                wanted = {**running.about["services"], **json.load(handle)}
        except (OSError, ValueError):
            return
        if wanted != running.about["services"]:
            running.describe(services=wanted)

    def _end(self, running: Running, caught: int) -> None:
        if caught == STOP:
            self._wait(float(self.setting.knob("stop_seconds", 0)))
        orphans = bool(self.setting.knob("orphans", False))
        os.close(self.keep)
        for pid in [] if orphans else list(self.children):
            os.kill(pid, signal.SIGKILL)  # still our own child: it has not been reaped
        while self.children and not orphans:
            self.children.remove(os.waitpid(-1, 0)[0])
        try:
            os.unlink(self.setting.pid_file)
        except OSError:
            pass
        self.setting.journal.leave(running, **({"cut": True} if caught == CUT else {}))
