# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HULFT-HUB Server: `hubcluster` and `hubstop`, judged by their exit codes and, for proof, by what processes are left."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Optional

from .base import Process, Ran, Runner, Status

RUNNING, STOPPED = 0, 240
NO_ANSWER = {100: "timed out", 112: "could not connect", 113: "could not send", 114: "could not receive"}
BROKEN = {12: "environment", 102: "arguments", 250: "rights"}
ODD = {116: "a fatal error", 230: "cancelled by a forced stop"}
SHORTEST, LONGEST = 10, 60  # seconds that `-status -timeout` takes
CUT = re.compile(r"\b650\b")  # a transfer that a forced stop ended
WORDS = 6  # words of a command line in which an interpreter may name the product's program


def judge_status(rc: Optional[int], timed_out: bool) -> str:
    """What an exit code of `hubcluster -status` means: running, stopped, hung or unknown (never guessed as down)."""
    if timed_out or rc is None or rc in NO_ANSWER:
        return "hung"
    return {RUNNING: "running", STOPPED: "stopped"}.get(rc, "unknown")


def explain_status(rc: Optional[int], limit: float, said: str = "") -> str:
    """The same as one line for people."""
    if rc == RUNNING:
        return "every daemon is alive"
    if rc == STOPPED:
        return "hubcluster says stopped"
    if rc is None:
        return f"hubcluster -status gave no answer within {limit:.0f} s"
    if rc in BROKEN:
        why = f"the check is broken: hubcluster -status complains of its {BROKEN[rc]} (exit code {rc})"
    else:
        why = f"hubcluster -status: {NO_ANSWER.get(rc) or ODD.get(rc) or 'unexpected'} (exit code {rc})"
    return f"{why}: {said}" if said else why


def _inside(word: str, places: tuple[str, ...]) -> bool:
    return any(word.startswith(place) for place in places)


def is_query(argv: tuple[str, ...]) -> bool:
    """Whether a command line is `hubcluster -status`: a question by whomever, not the product."""
    return any(
        os.path.basename(word) == "hubcluster" and argv[index + 1 : index + 2] == ("-status",)
        for index, word in enumerate(argv[:WORDS])
    )


def is_stop(argv: tuple[str, ...]) -> bool:
    """Whether a command line is `hubstop`."""
    return any(os.path.basename(word) == "hubstop" for word in argv[:WORDS])


@dataclass(frozen=True)
class Hub:
    """One node's HULFT-HUB. `exe` and `etc` are HULHUBEXE and HULHUBETC; `user` runs its commands (default: us)."""

    exe: str
    etc: str
    runner: Runner
    user: Optional[str] = None

    def _run(self, program: str, *arguments: str, limit: float, group: str = "new") -> Ran:
        env = {"HULHUBEXE": self.exe, "HULHUBETC": self.etc}
        argv = [os.path.join(self.exe, program), *arguments]
        return self.runner.run(argv, limit, env=env, user=self.user, group=group)

    def status(self, limit: float) -> Status:
        """Ask once. The product's own limit is 10 s at least, so ours is the one that ends the command."""
        own = str(min(max(SHORTEST, math.ceil(limit)), LONGEST))
        ran = self._run("hubcluster", "-status", "-timeout", own, limit=limit)
        state = judge_status(ran.rc, ran.rc is None)
        return Status(state, explain_status(ran.rc, limit, ran.said if state == "unknown" else ""), ran.rc)

    def start(self, limit: float) -> Ran:
        """Start every daemon; returns once they are up."""
        return self._run("hubcluster", "-start", limit=limit, group="own")

    def stop(self, mode: str, limit: float) -> Ran:
        """Stop: normal waits for running transfers, force cuts them."""
        word = "-force" if mode == "force" else "-normal"
        return self._run("hubstop", word, limit=limit, group="left")

    def transfers_cut(self, output: str) -> list[str]:
        """The lines that tell of a transfer ended with code 650; such a transfer is not resent by itself."""
        return [" ".join(line.split()) for line in output.splitlines() if CUT.search(line)]

    def _own(self) -> list[Process]:
        """Processes whose program, or a word of whose command line, lies in the product's directory."""
        places = tuple({self.exe.rstrip("/") + "/", self.runner.real_path(self.exe).rstrip("/") + "/"})
        return [
            process
            for process in self.runner.processes()
            if _inside(process.exe, places) or any(_inside(word, places) for word in process.argv[:WORDS])
        ]

    def leftovers(self) -> list[Process]:
        """Whatever runs from the product's directory, but for questions and stops."""
        return [item for item in self._own() if not is_query(item.argv) and not is_stop(item.argv)]

    def stopping(self) -> bool:
        """Whether a `hubstop` of this node still runs."""
        return any(is_stop(item.argv) for item in self._own())

    def installed(self) -> bool:
        """Whether its commands are there."""
        return all(self.runner.is_program(os.path.join(self.exe, name)) for name in ("hubcluster", "hubstop"))

    def autostart(self) -> Optional[bool]:
        """Its own installer sets up none, and whatever somebody added by hand cannot be told."""
        return None
