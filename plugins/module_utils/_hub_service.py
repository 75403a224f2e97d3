# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ways to start and stop HULFT-HUB on this node: through the pair's guard, or by the product's own commands."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any, NoReturn, Optional

from ._ansible import ModuleFailure, one_line
from ._hub import ask_status, hub_of
from .products.base import Ran

STATUS_TIMEOUT = 10  # seconds the product may take to answer while it is waited for
PACE = 0.5  # seconds between two looks
GRACE = 30  # seconds the guard may take longer than the limit it was given


class Guard:
    """The command `hotstandby`: it asks the record, holds the node's lock, and proves what it says."""

    guarded = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._begin = time.monotonic()
        self.answer: Optional[dict[str, Any]] = None

    def seconds(self) -> float:
        return round(time.monotonic() - self._begin, 3)

    def _ask(self, *words: str) -> tuple[int, dict[str, Any]]:
        """(exit code, answer) of the guard. Errors: ModuleFailure."""
        command = self._params["command"]
        limit = self._params["timeout"] + GRACE
        try:
            done = subprocess.run(
                [command, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModuleFailure(f"{command} {words[0]}: no end within {limit} s", code="no_guard") from None
        except OSError as error:
            raise ModuleFailure(
                f"command: {command} cannot be run: {error.strerror or error}", code="no_guard"
            ) from None
        try:
            answer = json.loads(done.stdout.strip().splitlines()[-1])
            answer["state"], answer["detail"] = str(answer["state"]), dict(answer["detail"])
        except (IndexError, KeyError, TypeError, ValueError):
            said = one_line(done.stderr or done.stdout) or "nothing"
            raise ModuleFailure(
                f"{command} {words[0]}: ended with {done.returncode} and no answer; it says: {said}",
                code="no_guard",
            ) from None
        self.answer = answer
        return done.returncode, answer

    def look(self) -> tuple[str, bool]:
        """(state, whether that is proven)."""
        _rc, answer = self._ask("status")
        state = answer["state"]
        return state, state == "running" or answer["detail"].get("processes") == 0

    def start(self) -> str:
        rc, answer = self._ask("start", "--timeout", str(self._params["timeout"]))
        if rc != 0 or answer["state"] != "running":
            self._fail("start", rc, answer)
        return "running"

    def stop(self) -> str:
        words = ["--timeout", str(self._params["timeout"])]
        for name in ("mode", "reason", "by"):
            if self._params.get(name):
                words += [f"--{name}", self._params[name]]
        rc, answer = self._ask("stop", *words)
        if rc != 0 or answer["state"] != "stopped":
            self._fail("stop", rc, answer)
        return "stopped"

    def _fail(self, verb: str, rc: int, answer: Mapping[str, Any]) -> NoReturn:
        word = "refused" if rc == 5 else f"failed (exit code {rc}, {answer['state']})"
        text = answer["detail"].get("message") or "no reason given"
        raise ModuleFailure(
            f"{verb} {word}: {text}",
            state=answer["state"],
            answer=dict(answer),
            code=str(answer["detail"].get("code") or "not_stopped"),
        )


class Product:
    """The product's own commands, on a node of no pair."""

    guarded = False
    answer = None

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._begin = time.monotonic()
        self._hub, self._host = hub_of(params)

    def seconds(self) -> float:
        return round(time.monotonic() - self._begin, 3)

    def look(self) -> tuple[str, bool]:
        """(state, whether that is proven)."""
        state = str(ask_status(self._hub, self._host, STATUS_TIMEOUT)["state"])
        return state, state == "running" or (state == "stopped" and not self._hub.leftovers())

    def _until(self, goal: str, ordered: str, ran: Ran) -> str:
        """Wait until the goal is proven. Errors: ModuleFailure."""
        limit = self._params["timeout"]
        while True:
            state, proven = self.look()
            if state == goal and proven:
                return goal
            if self.seconds() >= limit:
                break
            time.sleep(PACE)
        left = [str(process.pid) for process in self._hub.leftovers()] if goal == "stopped" else []
        rest = f", processes left: {', '.join(left)}" if left else ""
        said = ""
        if ran.rc != 0:
            ended = "did not end" if ran.rc is None else f"ended with {ran.rc}"
            said = f"; {ordered} {ended}" + (f" and says: {ran.said}" if ran.said else "")
        raise ModuleFailure(
            f"not {goal} within {limit} s (timeout): it is {state}{rest}{said}",
            state=state,
            code="start_failed" if goal == "running" else "not_stopped",
        )

    def start(self) -> str:
        # what it starts shares our process group: make that one of our own
        self._host.own_group()
        return self._until("running", "hubcluster -start", self._hub.start(self._params["timeout"]))

    def stop(self) -> str:
        ran = self._hub.stop(self._params["mode"], self._params["timeout"])
        return self._until("stopped", "hubstop", ran)
