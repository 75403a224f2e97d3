# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: a container with systemd. Its disk outlives a power loss; its processes do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..paths import Layout, SandboxError, read_json, write_json
from ..standins.hub.install import install
from ..standins.journal import Journal
from ..world.agent import __file__ as AGENT
from .podman import environment, folder, inspect, podman

SHARED = "/shared/hub"  # as every host sees it
JOURNAL = "/sandbox/journal"
BOOT_SECONDS = 60.0
GONE_SECONDS = 20.0


def in_namespace(pid: int) -> list[int]:
    """Every process that shares the pid namespace of `pid`, that one first."""
    wanted = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != pid:
            with suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/pid") == wanted:
                    found.append(int(name))
    return [pid, *found]


class Host:
    """`name` is the node's, `container` podman's, `address` its own on the pair's network."""

    def __init__(self, layout: Layout, name: str, instance_id: str, key: str, address: str) -> None:
        self.layout, self.name, self.instance_id, self.key = layout, name, instance_id, key
        self.address = address
        self.secret = f"secret-of-{key}"
        self.container = f"{prefix(layout)}-{name}"
        self.metadata_url = ""
        self.struck = 0.0  # when the last fault took effect, in seconds since the epoch

    @property
    def files(self) -> Path:
        """What the host gets from outside: product, knobs, the agent's configuration."""
        return self.layout.root(self.name)

    def make(self, image: str, network: str, url: str) -> None:
        """Lay its files and run it. `url` is the endpoint's."""
        install(self.files, self.name, self.layout.state, Path(JOURNAL), "/usr/bin/python3")
        config = {
            "url": url,
            "key": self.key,
            "instance_id": self.instance_id,
            "root": "/",
            "node": self.name,
        }
        write_json(self.files / "var" / "sandbox" / "agent-config.json", config)
        mounts = {
            folder(self.layout.shared): SHARED,
            folder(self.layout.journal): JOURNAL,
            folder(self.files / "var" / "sandbox"): "/var/sandbox",
            self.files / "opt" / "hub": "/opt/hub",
            Path(AGENT).parent: "/opt/agent:ro",
        }
        volumes = [word for source, target in mounts.items() for word in ("-v", f"{source}:{target}")]
        network_words = ["--network", network, "--ip", self.address]
        podman(
            *("run", "-d", "--name", self.container, "--hostname", self.name, "--systemd=always"),
            *network_words,
            *volumes,
            image,
            "/lib/systemd/systemd",
        )
        # the product's own user may not: it would compile it again at each command
        self.run("python3", "-m", "compileall", "-q", "/opt/hub/lib")

    def run(self, *argv: str, timeout: float = 120, user: str = "root") -> tuple[int, str]:
        """Run a program on it as somebody logged in there would: (exit code, output)."""
        ran = subprocess.run(
            ["podman", "exec", "--user", user, self.container, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **environment()},
        )
        return ran.returncode, ran.stdout

    def state(self) -> str:
        """running, paused, exited, or empty when it does not exist."""
        return str(inspect(self.container).get("State", {}).get("Status", ""))

    def until_booted(self) -> None:
        """Wait until systemd says that it is up, well or degraded."""
        end = time.monotonic() + BOOT_SECONDS
        while True:
            _rc, said = self.run("systemctl", "is-system-running")
            if said.strip() in ("running", "degraded"):
                return
            if time.monotonic() > end:
                raise SandboxError(f"{self.name} does not come up: {said.strip()[-200:]}")
            time.sleep(0.2)

    def kill(self, *words: bytes) -> None:
        """Kill -9 whatever runs there with one of these words on its command line, and what it has begun meanwhile."""
        pid = int(inspect(self.container).get("State", {}).get("Pid") or 0)
        found = in_namespace(pid) if pid else []
        self.struck = time.time()  # podman's own time is no part of the fault
        end = time.monotonic() + GONE_SECONDS
        while found and time.monotonic() < end:
            hit = False
            for one in found:
                with suppress(OSError):
                    line = Path(f"/proc/{one}/cmdline").read_bytes()
                    if any(word in line for word in words):
                        os.kill(one, signal.SIGKILL)
                        hit = True
            found = in_namespace(pid) if hit else []

    def power_off(self) -> None:
        """The plug is pulled: every process dies before any of them runs another instruction."""
        about = inspect(self.container).get("State", {})
        pid = int(about.get("Pid") or 0)
        if about.get("Status") not in ("running", "paused") or pid == 0:
            if not about:  # believed off and running would be the worst of all faults
                raise SandboxError(f"podman knows nothing of {self.container}")
            return
        with suppress(OSError):
            # what is frozen has its signal waiting and dies as it thaws
            found = in_namespace(pid)
            self.struck = time.time()
            for one in found:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
        if about.get("Status") == "paused":
            podman("unpause", self.container, check=False)
        end = time.monotonic() + GONE_SECONDS
        while self.state() in ("running", "paused"):
            if time.monotonic() > end:
                raise SandboxError(f"{self.name} does not go down")
            time.sleep(0.05)

    def power_on(self) -> None:
        """It boots; returns before it is up."""
        podman("start", self.container)

    def freeze(self) -> None:
        """Everything stands still. The journal's lock is held meanwhile, so that none freezes with it."""
        with Journal(str(self.layout.journal)).lock():
            podman("pause", self.container)

    def thaw(self) -> None:
        """Everything goes on."""
        if self.state() == "paused":
            podman("unpause", self.container)

    def networks(self) -> list[str]:
        """The networks it is attached to."""
        return sorted(inspect(self.container).get("NetworkSettings", {}).get("Networks") or {})

    def cut(self, network: str) -> None:
        """Pull the network cable."""
        if network in self.networks():
            podman("network", "disconnect", network, self.container)

    def join(self, network: str) -> None:
        """Plug it in again."""
        if network not in self.networks():
            podman("network", "connect", "--ip", self.address, network, self.container)

    def remove(self) -> None:
        """Away with it and its disk."""
        podman("rm", "-f", "-t", "0", self.container, check=False)

    def clean(self) -> None:
        """Everything mended that was set on it from outside."""
        for name in ("knobs.json", "agent.json"):
            (self.files / "var" / "sandbox" / name).unlink(missing_ok=True)

    def knob(self, **knobs: float) -> None:
        """What its product does wrong on purpose, and how long it takes for everything."""
        path = self.files / "var" / "sandbox" / "knobs.json"
        path.write_text(json.dumps(knobs))

    def knobs(self) -> dict[str, Any]:
        """What was set."""
        return read_json(self.files / "var" / "sandbox" / "knobs.json")


def prefix(layout: Layout) -> str:
    """Name of everything of this sandbox that podman has: one machine may hold several."""
    import zlib

    return f"hotstandby-{zlib.crc32(str(layout.state).encode()):08x}"
