# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ways to start and stop a product on this node: through the pair's guard, or by its own commands (HULFT-HUB's)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Optional

from ._ansible import Module, ModuleFailure, one_line
from ._hub import ModuleHost, ask_status, hub_of
from .products.base import Cutting, Ran

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

    @property
    def cut(self) -> list[str]:
        """The transfers that a forced stop cut, as far as the product told."""
        return list((self.answer or {}).get("detail", {}).get("transfers_cut") or [])

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
        state, detail = answer["state"], answer["detail"]
        if state == "running":
            # on its way down it still says so, and one that is held would not be started again
            return state, not detail.get("stopping") and not answer.get("held")
        return state, detail.get("processes") == 0

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
    start_words, stop_words = "hubcluster -start", "hubstop"  # as a message names the orders

    def __init__(self, params: Mapping[str, Any], product: Optional[tuple[Any, ModuleHost]] = None) -> None:
        self._params = params
        self._begin = time.monotonic()
        self._product: Any
        self._product, self._host = product or hub_of(params)
        self.cut: list[str] = []

    def seconds(self) -> float:
        return round(time.monotonic() - self._begin, 3)

    def ask(self) -> str:
        """The product's state. Errors: ModuleFailure."""
        return str(ask_status(self._product, self._host, STATUS_TIMEOUT)["state"])

    def look(self) -> tuple[str, bool]:
        """(state, whether that is proven)."""
        state = self.ask()
        if state == "running":
            return state, not self._product.stopping()
        return state, state == "stopped" and not self._product.leftovers()

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
        left = [str(process.pid) for process in self._product.leftovers()] if goal == "stopped" else []
        rest = f", processes left: {', '.join(left)}" if left else ""
        ended = "" if ran.rc == 0 else "did not end" if ran.rc is None else f"ended with {ran.rc}"
        words = [ended] * bool(ended) + [f"says: {ran.said}"] * bool(ran.said)
        said = f"; {ordered} {' and '.join(words)}" if words else ""
        raise ModuleFailure(
            f"not {goal} within {limit} s (timeout): it is {state}{rest}{said}",
            state=state,
            code="start_failed" if goal == "running" else "not_stopped",
        )

    def start(self) -> str:
        # what it starts shares our process group: make that one of our own
        self._host.own_group()
        while self._product.stopping() and self.seconds() < self._params["timeout"]:
            time.sleep(PACE)
        return self._until("running", self.start_words, self._product.start(self._params["timeout"]))

    def stop(self) -> str:
        ran = self._product.stop(self._params["mode"], self._params["timeout"])
        self.cut = self._product.transfers_cut(ran.output) if isinstance(self._product, Cutting) else []
        return self._until("stopped", self.stop_words, ran)


SERVICE_OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
    "mode": {"type": "str", "choices": ["normal", "force"], "default": "normal"},
    "timeout": {"type": "int", "default": 180},
    "reason": {"type": "str"},
    "config": {"type": "path", "default": "/etc/hotstandby/pair.json"},
    "command": {"type": "path", "default": "/usr/local/bin/hotstandby"},
}


def serve(
    module: Module, product: Callable[[Mapping[str, Any]], Product], name: str, cuts: bool = False
) -> dict[str, Any]:
    """What hub_service and warp_service do: the result of bringing the service where it shall be. Errors: ModuleFailure.

    `cuts`: a forced stop of the product cuts transfers, and tells which.
    """
    params = module.params
    if params["timeout"] < 1:
        raise ModuleFailure(f"timeout: must be at least 1 second, not {params['timeout']}", code="bad_option")
    way = Guard(params) if os.path.exists(params["config"]) else product(params)
    goal = "running" if params["state"] == "started" else "stopped"
    before, proven = way.look()
    changed = not (before == goal and proven)
    after = goal if changed else before
    if changed and not module.check_mode:
        after = way.start() if goal == "running" else way.stop()
        # one that was on its way down has been started again
        changed = before != after or (goal == "running" and not proven)
    would = changed and module.check_mode
    state = before if would else after
    text = {"running": f"{name} runs", "stopped": f"{name} is stopped"}.get(state, f"{name} is {state}")
    return {
        "changed": changed,
        "state": state,
        "guarded": way.guarded,
        "seconds": way.seconds(),
        **({"transfers_cut": way.cut} if cuts else {}),
        "answer": way.answer,
        "msg": f"{text}; it would be {'started' if after == 'running' else 'stopped'}" if would else text,
        "diff": {"before": {"state": before}, "after": {"state": after}},
    }
