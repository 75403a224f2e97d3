# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox from outside: is its daemon there, ask it, start it, end it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from .paths import CHECKOUT, COLLECTIONS, MARKER, Layout, SandboxError, link_collection, program, read_json
from .standins.journal import start_time
from .world import processes
from .world.automation import PERIOD, PERIODS

BEGIN_SECONDS = 40.0
END_SECONDS = 10.0
DEPLOY_SECONDS = 300.0
TAIL = 30  # lines of a failed deploy that are shown


def alive(layout: Layout) -> bool:
    """Whether the daemon lives: the very process that wrote its file, not one with a reused pid."""
    about = read_json(layout.daemon)
    return bool(about) and start_time(int(about["pid"])) == about["start"]


def ask(layout: Layout, verb: str, timeout: float = 90, **payload: Any) -> dict[str, Any]:
    """One question to the daemon. SandboxError when it is not there or says no."""
    if not alive(layout):
        raise SandboxError(f"no sandbox runs in {layout.state}: python -m sandbox up --state {layout.state}")
    request = urllib.request.Request(
        f"{read_json(layout.daemon)['url']}/_sandbox/world-{verb}",
        json.dumps(payload).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as response:
            answer = json.loads(response.read())
    except (OSError, ValueError) as error:
        raise SandboxError(f"the sandbox in {layout.state} does not answer: {error}") from error
    if "error" in answer:
        raise SandboxError(str(answer["error"]))
    result: dict[str, Any] = answer["answer"]
    return result


def remaining(layout: Layout) -> list[int]:
    """Pids of everything that this sandbox started and that is alive."""
    state = str(layout.state)
    own = processes.with_environment(processes.OWNER, state)
    nodes = processes.with_environment(processes.VARIABLE, f"{state}:", prefix=True)
    return sorted({*own, *nodes})


def end(layout: Layout) -> int:
    """End every process, gently where the daemon lives. Returns how many were left to be killed."""
    if alive(layout):
        try:
            ask(layout, "down", timeout=END_SECONDS)
            pid = int(read_json(layout.daemon)["pid"])
            limit = time.monotonic() + END_SECONDS
            while time.monotonic() < limit and processes.state_of(pid) not in processes.ENDED:
                time.sleep(0.02)
        except SandboxError:
            pass  # it is killed below
    left = len(remaining(layout))
    processes.until_none(lambda: remaining(layout), processes.KILL)
    layout.daemon.unlink(missing_ok=True)
    return left


def prepare(layout: Layout) -> None:
    """An empty state directory with our marker. What a half-made sandbox left is removed; nothing else ever is."""
    if layout.state.exists() and any(layout.state.iterdir()) and not layout.marker.exists():
        raise SandboxError(f"{layout.state} is not empty and not a sandbox's: give another directory")
    if layout.marker.exists():
        end(layout)
        for path in layout.state.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.marker.write_text(f"{MARKER}\n")


def begin(
    layout: Layout,
    latency: int,
    automation: str = "none",
    product: str = "hulft_hub",
    trees: str = "separate",
) -> None:
    """Start the daemon, detached, and wait until it answers. `latency` in milliseconds."""
    argv = [
        sys.executable,
        "-m",
        "sandbox",
        "daemon",
        "--state",
        str(layout.state),
        "--latency",
        str(latency),
        "--automation",
        automation,
        "--product",
        product,
        "--layout",
        trees,
    ]
    environment = {**os.environ, processes.OWNER: str(layout.state), "PYTHONPATH": str(CHECKOUT)}
    environment.pop(processes.VARIABLE, None)
    with layout.daemon_log.open("ab") as log:
        daemon = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=layout.state,
            env=environment,
            start_new_session=True,
        )
    limit = time.monotonic() + BEGIN_SECONDS
    while not alive(layout):
        if daemon.poll() is not None or time.monotonic() > limit:
            raise SandboxError(f"the daemon did not come up: {last_line(layout)} (see {layout.daemon_log})")
        time.sleep(0.05)


def last_line(layout: Layout) -> str:
    """The daemon's last word."""
    lines = layout.daemon_log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def build(layout: Layout, env: dict[str, str]) -> None:
    """Keep each node's own files of the shared folder by the collection's own playbook, one installation after the other.

    SandboxError with the tail on stderr.
    """
    names = [node["name"] for node in ask(layout, "describe")["pair"]["nodes"]]
    for name in names:
        if name != names[0]:
            ask(layout, "install", node=name)
        playbook(
            layout,
            env,
            layout.build_log,
            ["hotstandby.ops.warp_build", f"-einstalled={name}", "-estart=false"],
        )


def deploy(layout: Layout, env: dict[str, str]) -> None:
    """Run the collection's own deploy playbook; its output is deploy.log. SandboxError with the tail on stderr."""
    playbook(layout, env, layout.deploy_log, ["hotstandby.ops.deploy"])


def automate(layout: Layout, env: dict[str, str]) -> None:
    """Run the collection's own automation playbook, with a shorter minute. SandboxError with the tail on stderr."""
    shorter = [
        f"-efailover_automation_period={PERIOD}",
        f"-efailover_automation_evaluation_periods={PERIODS}",
        f"-e_failover_automation_minute={PERIOD}",
    ]
    playbook(layout, env, layout.automation_log, ["hotstandby.ops.automation", *shorter])


def playbook(
    layout: Layout, env: dict[str, str], log: Any, arguments: Sequence[str], seconds: float = DEPLOY_SECONDS
) -> None:
    """ansible-playbook with this sandbox's inventory and environment. Raises SandboxError."""
    link_collection()
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))
    }
    environment = {
        **inherited,
        **env,
        processes.OWNER: str(layout.state),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(layout.state / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
    }
    argv = [program("ansible-playbook"), "-i", str(layout.inventory), *arguments]
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=layout.state,
                env=environment,
                timeout=seconds,
                check=False,
            )
            failure = f"ended with {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"took more than {seconds:.0f} s"
        except OSError as error:
            failure = f"could not be run: {error}"
    if failure:
        tail = log.read_text(errors="replace").splitlines()[-TAIL:]
        print("\n".join(tail), file=sys.stderr)
        raise SandboxError(f"the playbook {arguments[0]} {failure} (all of it: {log})")
