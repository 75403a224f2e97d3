# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ASTERIA Warp: judged by its main process, which its pid file names, and by what `fsctrl status` prints.

The exit codes of its commands mean nothing but 255 of `fsctrl`: the question could not be sent. Child processes are the
main process's business and are never judged; for the proof of a stop every process of the product counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from .base import Process, ProductError, Ran, Runner, Silent, Status

PID_FILE = "log/flowsvc.pid"  # below data_dir
START, STOP, CONTROL = "boot/bin/flowsvc", "boot/bin/fsstop", "server/bin/fsctrl"  # below install_dir
UNDER_WAY = ".hotstandby-sync/state.json"  # below data_dir, while a copy is under way
NOT_SENT = (255, -1)
SLACK = 5.0  # seconds by which a process may seem younger than the pid file it wrote
FOREGROUND = 3.0  # seconds after which a start command that has not ended is left to be the service itself
KILLALL = 10.0  # seconds that a forced stop gives the product's own way before SIGKILL
TOLD = 200  # characters of a reason in an answer
WORDS = 64  # words of a command line in which an interpreter may name the product's files
INTERPRETERS = re.compile(r"(?:java|javaw|sh|bash|dash|ash|ksh|perl|env|python[0-9.]*)\Z")
# the vendor's text is not published: a line with a service's name and, last, a word for its state
PATTERN = r"^\s*(?P<service>[\w.@-]+)\s*[:=]?\s+.*?\b(?P<state>[A-Za-z_]+)\s*$"
UP = frozenset({"running", "started", "active", "alive", "up", "online"})
DOWN = frozenset({"stopped", "stop", "inactive", "dead", "down", "offline", "terminated"})


def parse_services(text: str, pattern: str = PATTERN) -> dict[str, str]:
    """{service: running, stopped or unknown} as `fsctrl status` prints them; lines that do not match are left out."""
    found = {}
    for match in re.finditer(pattern, text, re.MULTILINE):
        word = (match["state"] or "").lower()
        found[str(match["service"])] = "running" if word in UP else "stopped" if word in DOWN else "unknown"
    return found


def _begins(word: str, places: tuple[str, ...]) -> bool:
    """Whether a word is, or names after '=' or ':' as in -Dhome=PATH and class paths, something in these places."""
    return any(word.startswith(place) or f"={place}" in word or f":{place}" in word for place in places)


def is_ours(process: Process, places: tuple[str, ...]) -> bool:
    """Whether a process runs from these directories: its program does, or an interpreter was given a file of them.

    A stranger that only names such a file (an editor, a copy under way) is none.
    """
    first = process.argv[0] if process.argv else ""
    if any(process.exe.startswith(place) or first.startswith(place) for place in places):
        return True
    programs = {os.path.basename(process.exe), os.path.basename(first)}
    if not any(INTERPRETERS.match(program) for program in programs):
        return False
    return any(_begins(word, places) for word in process.argv[1:WORDS])


def _called(argv: Sequence[str]) -> tuple[str, str]:
    """(command, first argument) of a command line of the product's control commands; empty for any other."""
    for index, word in enumerate(argv[:6]):
        name = os.path.basename(word).rpartition(".")[0] or os.path.basename(word)
        if name in ("fsctrl", "fsstop", "flowsvc"):
            return name, argv[index + 1] if len(argv) > index + 1 else ""
    return "", ""


def is_query(argv: Sequence[str]) -> bool:
    """Whether a command line is a question to the product, by whomever."""
    name, verb = _called(argv)
    return name == "fsctrl" and verb != "shutdown"


def is_stop(argv: Sequence[str]) -> bool:
    """Whether a command line is an order to stop."""
    name, verb = _called(argv)
    return name == "fsstop" or (name == "fsctrl" and verb == "shutdown")


def parse_pid(text: str) -> Optional[int]:
    """The pid that a pid file holds; None when it holds none."""
    word = text.strip().split()[0] if text.strip() else ""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 and int(word) > 1 else None


@dataclass(frozen=True)
class Main:
    """What the pid file leads to: `process` when it is believed. `pid` as written, `why` for people.

    `verdict`: believed, gone (no such process, or a stranger's), later (ours, but younger than the file), none (no file),
    silent (the file does not answer).
    """

    verdict: str
    why: str
    pid: Optional[int] = None
    process: Optional[Process] = None


@dataclass(frozen=True)
class Found:
    """One status: the state as the guard knows it, with the main process's pid and the services' states."""

    status: Status
    pid: Optional[int] = None
    services: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Warp:
    """One node's ASTERIA Warp. `user` runs its commands (default: us); `required` services must run for it to be up."""

    install_dir: str
    data_dir: str
    runner: Runner
    user: Optional[str] = None
    required: tuple[str, ...] = ()
    pattern: str = PATTERN

    def _command(self, name: str) -> str:
        return os.path.join(self.install_dir, name)

    def _run(self, name: str, *words: str, limit: float, group: str = "new") -> Ran:
        return self.runner.run([self._command(name), *words], limit, user=self.user, group=group)

    # -- processes

    def _own(self) -> list[Process]:
        """Every process of the product on this node, control commands included."""
        given = self.install_dir.rstrip("/") + "/"
        real = self.runner.real_path(self.install_dir).rstrip("/") + "/"
        places = tuple(place for place in (given, real) if place != "/")
        return [item for item in self.runner.processes() if is_ours(item, places)]

    def leftovers(self) -> list[Process]:
        """Every process of the product, but for questions and stops."""
        return [item for item in self._own() if not is_query(item.argv) and not is_stop(item.argv)]

    def stopping(self) -> bool:
        """Whether an order to stop still runs."""
        return any(is_stop(item.argv) for item in self._own())

    def main(self, own: Sequence[Process]) -> Main:
        """The main process, if the pid file's is Warp's (one of `own`) and not younger than the file."""
        path = os.path.join(self.data_dir, PID_FILE)
        try:
            noted = self.runner.noted(path)
        except Silent as error:
            return Main("silent", str(error))
        if noted is None:
            return Main("none", f"there is no {path}")
        text, file_age = noted
        pid = parse_pid(text)
        if pid is None:
            return Main("none", f"{path} holds no pid")
        process = next((item for item in own if item.pid == pid), None)
        if process is None:
            return Main("gone", f"{path} names {pid}, which is no process of it", pid)
        age = self.runner.age(process)
        if age is None:
            return Main("gone", f"{path} names {pid}, which has just ended", pid)
        if age < file_age - SLACK:
            why = f"{path} names {pid}, which began {file_age - age:.0f} s after that file was written"
            return Main("later", why, pid)
        return Main("believed", f"the main process is {pid}", pid, process)

    # -- status

    def _ask(self, limit: float, *name: str) -> tuple[Optional[str], str]:
        """(what `fsctrl status` prints, why it printed nothing)."""
        ran = self._run(CONTROL, "status", *name, limit=limit)
        if ran.rc is None:
            return None, f"fsctrl status gave no answer within {limit:.0f} s"
        if ran.rc in NOT_SENT:
            said = f": {ran.said}" if ran.said else ""
            return None, f"fsctrl could not send its question (exit code 255){said}"
        return ran.output, ""

    def look(self, limit: float) -> Found:
        """Ask once, within about `limit` seconds. Raises ProductError when the question cannot be asked."""
        own = self.leftovers()
        main = self.main(own)
        if main.verdict == "believed":
            return self._serving(main, limit)
        if main.verdict == "later":
            return Found(Status("unknown", f"the check is broken: {main.why}"))
        if main.verdict == "silent" and own:
            return Found(Status("hung", f"{main.why}, and {len(own)} processes of it run"))
        if not own:
            half = "; a copy of its trees has not ended" if main.verdict != "silent" and self._half() else ""
            return Found(Status("stopped", f"{main.why}; no process of it runs{half}"))
        if main.verdict == "gone":
            return Found(
                Status("stopped", f"{main.why}; the main process is gone, {len(own)} others are left")
            )
        # nobody can tell which process is the main one; while it starts that is as it should be
        text, why = self._ask(limit)
        if text is None and any(_called(item.argv)[0] == "flowsvc" for item in own):
            return Found(Status("hung", f"{main.why} although it is being started; {why}"))
        return Found(
            Status("unknown", f"the check is broken: {main.why} although {len(own)} processes of it run")
        )

    def _serving(self, main: Main, limit: float) -> Found:
        """The answer of a live main process: it and every required service must give one."""
        share = max(limit / (1 + len(self.required)), 1.0)
        text, why = self._ask(share)
        if text is None:
            return Found(Status("hung", f"{main.why}; {why}"), main.pid)
        services = parse_services(text, self.pattern)
        for name in self.required:
            if name in services:
                continue
            told, why = self._ask(share, name)
            if told is None:
                return Found(Status("hung", f"{main.why}; {why}"), main.pid, services)
            services[name] = parse_services(told, self.pattern).get(name, "unknown")
        dead = [name for name in self.required if services[name] == "stopped"]
        odd = [name for name in self.required if services[name] == "unknown"]
        if dead:
            return Found(
                Status("hung", f"{main.why}; service {', '.join(dead)} is stopped"), main.pid, services
            )
        if odd:
            text = f"fsctrl status does not tell how {', '.join(odd)} is: mend product.status_pattern or the name"
            return Found(Status("unknown", f"the check is broken: {text}"), main.pid, services)
        return Found(Status("running", main.why), main.pid, services)

    def status(self, limit: float) -> Status:
        """Ask once; see look."""
        return self.look(limit).status

    # -- start and stop

    def _half(self) -> bool:
        """Whether a copy of the trees is under way, or was cut short. Raises ProductError."""
        return self.runner.noted(os.path.join(self.data_dir, UNDER_WAY)) is not None

    def refuse_half(self) -> None:
        """Raises ProductError on trees that a copy has left half done."""
        if self._half():
            raise ProductError(
                f"{self.data_dir} holds a copy that has not ended: end it (playbook sync, module warp_sync), or go back "
                "(warp_backup, state restored)"
            )

    def start(self, limit: float) -> Ran:
        """Order the start as the product's user. A command that does not end is the service: it is left alone.

        Raises ProductError on trees that a copy has left half done.
        """
        self.refuse_half()
        ran = self._run(START, limit=min(limit, FOREGROUND), group="left")
        # no exit code of it means anything: whoever called asks for the status until the limit
        return Ran(0, ran.output, ran.seconds, ran.left)

    def stop(self, mode: str, limit: float) -> Ran:
        """Order the stop. Force cuts: the product's own `shutdown killall`, then SIGKILL for what is left.

        Processes without a main process hear no command any more: they are ended by a signal.
        """
        force = mode == "force"
        alive = self.main(self.leftovers()).verdict == "believed"
        ran = Ran(0, "", 0.0)
        if alive and force:
            ran = self._run(CONTROL, "shutdown", "killall", limit=min(limit / 2, KILLALL))
        elif alive or not self.leftovers():
            ran = self._run(STOP, limit=limit, group="left")
        if force or not alive:
            for item in self.leftovers():
                self.runner.signal(item, force)
        return Ran(0 if ran.rc is not None else None, ran.output, ran.seconds, ran.left)

    # -- installation

    def unready(self) -> str:
        """See Wary: a copy that has not ended, or a folder that does not answer."""
        try:
            half = self._half()
        except ProductError as error:
            return str(error)[:TOLD]
        return "the copy of its trees has not ended (run playbook sync again, or go back)" if half else ""

    def installed(self) -> bool:
        """Whether its commands are there, and its trees whole: what a copy has left half done cannot take over."""
        return not self.unready() and all(
            self.runner.is_program(self._command(name)) for name in (START, STOP, CONTROL)
        )

    def autostart(self) -> Optional[bool]:
        """Whatever starts it at boot was set up by hand, which cannot be told from here."""
        return None
