# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon that holds the hosts' AWS, and the command line that starts, asks and ends it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..control import DEPLOY_SECONDS, alive, ask, last_line
from ..daemon import PREFIX, answering
from ..endpoint import Endpoint
from ..paths import CHECKOUT, MARKER, Layout, SandboxError, read_json, write_json
from ..standins.journal import Journal, start_time
from ..world import cloud, processes
from .access import variables
from .automation import automate, deploy
from .podman import environment, why_not
from .world import Hosts, clear_ground, ground

BEGIN_SECONDS = 900.0  # an image may have to be made first
END_SECONDS = 60.0


def description(hosts: Hosts) -> dict[str, Any]:
    """What `up` prints."""
    return {
        "endpoint_url": hosts.endpoint.url,
        "region": cloud.REGION,
        "inventory": str(hosts.layout.inventory),
        "pair": hosts.pair(),
        "shared_dir": str(hosts.layout.shared),
        "env": {
            "AWS_ACCESS_KEY_ID": cloud.CONTROLLER_KEY,
            "AWS_SECRET_ACCESS_KEY": cloud.CONTROLLER_SECRET,
            "AWS_DEFAULT_REGION": cloud.REGION,
            "AWS_REGION": cloud.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **environment(),
        },
        "nodes": {
            name: {
                "instance_id": host.instance_id,
                "container": host.container,
                "address": host.address,
                "metadata_url": host.metadata_url,
                "access": variables(hosts.layout, host),
            }
            for name, host in hosts.hosts.items()
        },
    }


def write_inventory(hosts: Hosts) -> None:
    """The pair as an Ansible inventory: the hosts over ssh, every path where it belongs."""
    import yaml

    nodes = {
        name: {
            "hotstandby_metadata_url": host.metadata_url,
            **variables(hosts.layout, host),
        }
        for name, host in hosts.hosts.items()
    }
    group = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "hotstandby_pair": hosts.pair(),
    }
    text = yaml.safe_dump({"hotstandby": {"hosts": nodes, "vars": group}}, sort_keys=False)
    hosts.layout.inventory.write_text(text)


def serve(layout: Layout, latency: float = 0.0, automation: str = "none") -> int:
    """Hold the hosts until told to end. `latency` in seconds, added to every AWS call."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    clear_ground(layout)
    hosts = Hosts(layout, Endpoint(host=ground(layout), latency=latency), automation)
    hosts.endpoint.start()

    def down(_payload: dict[str, Any]) -> dict[str, Any]:
        threading.Timer(0.2, ended.set).start()  # once this answer is out
        return {}

    def deny(payload: dict[str, Any]) -> dict[str, Any]:
        hosts.endpoint.faults.deny = {(str(key), str(action)) for key, action in payload["deny"]}
        return {}

    handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "describe": lambda _payload: description(hosts),
        "status": lambda _payload: hosts.status(),
        "journal": lambda _payload: Journal(str(layout.journal)).read(),
        "fault": lambda payload: hosts.fault(str(payload["target"]), str(payload["kind"])),
        "deny": deny,
        "automation": lambda _payload: hosts.automation(),
        "start": lambda _payload: hosts.start(),
        "begin": lambda _payload: hosts.begin(),
        "down": down,
    }
    try:
        hosts.make()
        write_inventory(hosts)
        write_json(layout.state / "hosts.json", description(hosts))
        for verb, handler in handlers.items():
            hosts.endpoint.control[PREFIX + verb] = answering(handler)
        about = {"pid": os.getpid(), "start": start_time(os.getpid()), "url": hosts.endpoint.url}
        write_json(layout.daemon, about)
        ended.wait()
    finally:
        clear_ground(layout)
        hosts.endpoint.stop()
    return 0


def up(layout: Layout, latency: int = 0, automation: str = "none") -> dict[str, Any]:
    """Two hosts that have booted, and their AWS; nothing deployed, unless they are to move by themselves.

    `latency` in milliseconds. Raises SandboxError.
    """
    if alive(layout):
        return ask(layout, "describe")
    why = why_not()
    if why:
        raise SandboxError(why)
    if layout.state.exists() and any(layout.state.iterdir()) and not layout.marker.exists():
        raise SandboxError(f"{layout.state} is not empty and not a sandbox's: give another directory")
    down(layout)
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.marker.write_text(f"{MARKER}\n")
    argv = [sys.executable, "-m", "sandbox.hosts", "daemon", "--state", str(layout.state)]
    argv += ["--latency", str(latency), "--automation", automation]
    env = {**os.environ, processes.OWNER: str(layout.state), "PYTHONPATH": str(CHECKOUT)}
    with layout.daemon_log.open("ab") as log:
        daemon = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=layout.state, env=env, start_new_session=True
        )  # fmt: skip
    limit = time.monotonic() + BEGIN_SECONDS
    while not alive(layout):
        if daemon.poll() is not None or time.monotonic() > limit:
            raise SandboxError(f"the hosts did not come up: {last_line(layout)} (see {layout.daemon_log})")
        time.sleep(0.1)
    about = ask(layout, "describe")
    if automation != "none":
        deploy(layout, about["env"])
        ask(layout, "start", timeout=DEPLOY_SECONDS)
        automate(layout, about["env"])
        ask(layout, "begin", timeout=DEPLOY_SECONDS)
    return about


def down(layout: Layout) -> dict[str, Any]:
    """Everything away: containers, network, daemon. Files stay."""
    if alive(layout):
        pid = int(read_json(layout.daemon)["pid"])
        with suppress(SandboxError):  # one that does not answer is killed below
            ask(layout, "down", timeout=20)
        limit = time.monotonic() + END_SECONDS
        while time.monotonic() < limit and processes.state_of(pid) not in processes.ENDED:
            time.sleep(0.05)
    processes.kill_all(processes.OWNER, str(layout.state))
    layout.daemon.unlink(missing_ok=True)
    if not why_not():
        clear_ground(layout)
    return {"down": True}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    top = argparse.ArgumentParser(prog="python -m sandbox.hosts", description="A pair of systemd hosts.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = {
        name: verbs.add_parser(name)
        for name in ("up", "down", "status", "journal", "fault", "automation", "daemon")
    }
    for one in made.values():
        one.add_argument("--state", required=True, metavar="DIR")
    for one in (made["up"], made["daemon"]):
        one.add_argument("--latency", type=int, default=0, metavar="MS", help="added to every AWS call")
        one.add_argument("--automation", choices=["none", "minute", "fast"], default="none")
    made["fault"].add_argument("target", metavar="HOST")
    made["fault"].add_argument("kind", metavar="KIND")
    options = top.parse_args(arguments)
    layout = Layout(options.state)
    try:
        if options.verb == "daemon":
            return serve(layout, options.latency / 1000, options.automation)
        if options.verb == "up":
            answer = up(layout, options.latency, options.automation)
        elif options.verb == "down":
            answer = down(layout)
        elif options.verb == "fault":
            answer = ask(layout, "fault", target=options.target, kind=options.kind)
        else:
            answer = ask(layout, options.verb)
    except SandboxError as error:
        print(f"sandbox.hosts: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=1))
    return 0
