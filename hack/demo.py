# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a pair comes up on this machine, its product is killed, moved with proof, and brought home.

Prints a timeline, writes build/demo.json, and ends with "DEMO ok" only when everything held.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
STEP_TEXT = {
    "acquire": "takes the record, so that nobody else moves",
    "confirm": "asks the active node how it is",
    "eligible": "asks the standby whether it can take over",
    "withdraw": "withdraws the permission: nobody may run",
    "stop": "stops the old side and proves it",
    "fence": "switches the old node off and proves it",
    "handover": "hands over what was in work",
    "promote": "grants, with a new epoch",
    "start": "starts the new side",
    "verify": "looks twice whether it runs",
    "redirect": "moves the address and reads it back",
    "settle": "writes the history and lets go",
}


class DemoError(Exception):
    """What went wrong, on one line."""


class Timeline:
    """Prints what happens, with the seconds since the demo began."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._bold, self._dim, self._plain = ("\033[1m", "\033[2m", "\033[0m") if colour else ("", "", "")

    def title(self, text: str) -> None:
        print(f"\n{self._bold}{text}{self._plain}", flush=True)

    def line(self, who: str, what: str, proof: str = "") -> None:
        seconds = time.monotonic() - self._begin
        print(f"{seconds:7.1f} s  {who:9} {what}", flush=True)
        if proof:
            print(f"{'':21}{self._dim}{proof}{self._plain}", flush=True)

    def step(self, step: dict[str, Any]) -> None:
        name, seconds = str(step["name"]), float(step["seconds"])
        text = STEP_TEXT.get(name, name)
        took = f"{seconds:6.2f} s" if seconds >= 0.005 else f"{'-':>8}"
        print(f"{'':11}{took}  {name:9} {text}: {self._bold}{step['outcome']}{self._plain}")
        if step.get("detail"):
            print(f"{'':21}  {self._dim}{step['detail']}{self._plain}", flush=True)


class Sandbox:
    """The sandbox by its command line, as a stranger would use it."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def run(self, *words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "sandbox", *words, "--state", str(self._state)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines() or ["(nothing)"]
            raise DemoError(f"sandbox {' '.join(words)} ended with {done.returncode}: {said[-1]}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def playbook(name: str, up: dict[str, Any], work: Path, *arguments: str) -> tuple[dict[str, Any], float]:
    """Run one of the collection's playbooks; returns ssm_failover's result and the seconds of the whole command."""
    result = work / f"{name}.json"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))},
        **up["env"],
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_HOME": str(work / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    command = [
        *(str(BIN / "ansible-playbook"), "-i", up["inventory"], f"hotstandby.ops.{name}"),
        *("-e", f"hotstandby_result_file={result}", *arguments),
    ]
    begin = time.monotonic()
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begin
    if done.returncode != 0 or not result.exists():
        raise DemoError(f"the playbook {name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    moved: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return moved, seconds


def tell(timeline: Timeline, name: str, moved: dict[str, Any], seconds: float) -> None:
    for step in moved["steps"]:
        timeline.step(step)
    downtime = moved.get("downtime_seconds")
    timeline.line(
        name,
        f"{moved['outcome']}: {moved['active']} is active, epoch {moved['epoch']}",
        f"down for {downtime} s; the whole command took {seconds:.1f} s",
    )
    if moved["outcome"] != "moved":
        raise DemoError(f"{name} ended with {moved['outcome']}: {moved.get('msg')}")


def show(timeline: Timeline, sandbox: Sandbox, work: Path) -> dict[str, Any]:
    timeline.title("A pair on this machine")
    up = sandbox.run("up")
    first, second = (node["name"] for node in up["pair"]["nodes"])
    timeline.line(
        "sandbox", f"{first} and {second} are up, deployed by hotstandby.ops.deploy; {first} runs the product"
    )

    timeline.title(f"The product on {first} dies")
    killed = sandbox.run("fault", first, "product-kill")
    timeline.line(
        "fault", f"kill -9 to every daemon on {first}", ", ".join(f"{k}: {v}" for k, v in killed.items())
    )

    timeline.title("ansible-playbook hotstandby.ops.failover")
    failover, seconds = playbook("failover", up, work, "-e", "reason='the demo killed it'")
    tell(timeline, "failover", failover, seconds)
    if failover["active"] != second:
        raise DemoError(f"the service should be on {second}, it is on {failover['active']}")

    timeline.title("ansible-playbook hotstandby.ops.switchback")
    switchback, seconds = playbook("switchback", up, work, "-e", "reason='home again'")
    tell(timeline, "switchback", switchback, seconds)
    if switchback["active"] != first:
        raise DemoError(f"the service should be on {first}, it is on {switchback['active']}")

    timeline.title("What the products themselves wrote down")
    journal = sandbox.run("journal")
    for event in journal["events"]:
        print(f"{'':11}{event['node']:8} {event['event']}")
    timeline.line("journal", f"instants at which two ran: {journal['overlaps']}")
    if journal["overlaps"] != 0:
        raise DemoError(f"two ran at once, {journal['overlaps']} time(s)")
    return {"failover": failover, "switchback": switchback, "overlaps": journal["overlaps"]}


def versions() -> dict[str, str]:
    names = ("ansible-core", "boto3", "moto")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def main() -> int:
    timeline = Timeline()
    work = Path(tempfile.mkdtemp(prefix="hotstandby-demo-"))
    sandbox = Sandbox(work / "pair")
    code = 0
    try:
        result = {**show(timeline, sandbox, work), "versions": versions()}
        out = ROOT / "build" / "demo.json"
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        timeline.line("demo", f"written: {out.relative_to(ROOT)}")
    except DemoError as error:
        print(f"\nDEMO FAILED: {error}", flush=True)
        code = 1
    finally:
        try:
            sandbox.run("down")
        except DemoError as error:
            print(f"DEMO FAILED: {error}", flush=True)
            code = 1
        if code == 0:
            shutil.rmtree(work, ignore_errors=True)
        else:
            print(f"what the sandbox left is in {work}")
    if code == 0:
        print("\nDEMO ok")
    return code


if __name__ == "__main__":
    sys.exit(main())
