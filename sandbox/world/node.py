# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node: its files below its root, its processes, its agent. A node is a process group without a machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from ..paths import Layout, read_json, write_json
from ..standins.hub import install as hub
from ..standins.warp import install as warp
from . import processes
from .agent import __file__ as AGENT


class SandboxNode:
    """`name` is its sandbox name; `key` and `secret` its AWS key; `clone_of` the name of what it was copied from."""

    def __init__(
        self,
        layout: Layout,
        name: str,
        instance_id: str,
        key: str,
        clone_of: str | None = None,
        product: str = "hulft_hub",
        shared: bool = False,
    ) -> None:
        self.layout, self.name, self.instance_id, self.key = layout, name, instance_id, key
        self.clone_of, self.product, self.shared = clone_of, product, shared
        self.secret = f"secret-of-{key}"
        self.root = layout.root(name)
        self.url = ""  # of the endpoint
        self.metadata_url = ""
        self.powered = False
        self.watches = False  # whether `hotstandby watch` runs here
        self.faults: set[str] = set()
        self.lock = threading.RLock()
        self.agent: subprocess.Popen[bytes] | None = None

    # -- files

    @property
    def knobs(self) -> Path:
        """What its product does wrong on purpose."""
        return self.root / "var" / "sandbox" / "knobs.json"

    @property
    def agent_faults(self) -> Path:
        """What its agent does wrong on purpose."""
        return self.root / "var" / "sandbox" / "agent.json"

    def lay(self, bare: bool = False) -> None:
        """The files of a fresh host: the product installed (or `bare`), the shared folder mounted."""
        for name in (
            "etc",
            "root",
            "tmp",
            "usr/local/bin",
            "usr/local/lib",
            "var/lib",
            "var/log",
            "var/sandbox",
        ):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.mount(True)
        self.install(bare)

    def install(self, bare: bool = False) -> None:
        """Install the product under this node's sandbox name; `bare`: only what it needs beside a shared installation."""
        if self.product == "asteria_warp":
            trees = self.layout.trees if self.shared else None
            warp.install(self.root, self.name, self.layout.state, self.layout.journal, trees=trees, bare=bare)
        else:
            hub.install(self.root, self.name, self.layout.state, self.layout.journal)

    def copy_from(self, other: SandboxNode) -> None:
        """Become an image of another node; paths below its root are ours then, as they would be on a machine."""
        shutil.copytree(
            other.root, self.root, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "boot.log")
        )
        old = re.compile(re.escape(os.fsencode(other.root)) + rb"(?![A-Za-z0-9._-])")
        for path in self.root.rglob("*"):
            if path.is_symlink() or not path.is_file() or b"\0" in (data := path.read_bytes()):
                continue
            ours = old.sub(os.fsencode(self.root), data)
            if other.metadata_url:
                ours = ours.replace(other.metadata_url.encode(), self.metadata_url.encode())
            if ours != data:
                path.write_bytes(ours)
        self.install(bare=self.shared)

    def mount(self, there: bool) -> None:
        """Write its mount table, with the shared folder or without."""
        lines = ["proc /proc proc rw 0 0", "/dev/vda1 / ext4 rw,relatime 0 0"]
        if there:
            escaped = (
                str(self.layout.shared).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
            )
            lines.append(f"sandbox:/hub {escaped} nfs4 rw,relatime 0 0")
        table = self.root / "proc" / "mounts"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(lines) + "\n")

    # -- processes

    @property
    def label(self) -> str:
        """Value of SANDBOX_NODE of its processes."""
        return processes.label(str(self.layout.state), self.name)

    def environment(self) -> dict[str, str]:
        """As bare as cron's, and where its files are."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.root / "root"),
            "HOTSTANDBY_ROOT": str(self.root),
            processes.VARIABLE: self.label,
        }

    def found(self) -> list[int]:
        """Pids of all that runs on it."""
        return processes.find(str(self.layout.state), self.name)

    def boot(self, alone: bool = True) -> None:
        """Power on: a new boot id, the agent, and (unless not `alone`) `hotstandby boot`, in the background."""
        with self.lock:
            self.powered = True
            kernel = self.root / "proc" / "sys" / "kernel" / "random"
            kernel.mkdir(parents=True, exist_ok=True)
            (kernel / "boot_id").write_text(f"{uuid.uuid4()}\n")
            (self.root / "proc" / "stat").write_text(f"btime {int(time.time())}\n")
            faults = read_json(self.agent_faults)
            faults.pop("lost", None)  # that agent died; this one is another
            write_json(self.agent_faults, faults)
            self.faults -= {"agent-offline", "agent-lost", "node-hang", "power-off", "start-stalls:frozen"}
            self.start_agent()
            command = self.command()
            if alone:
                self.start_watch()
            if alone and command.exists():
                log = (self.root / "var" / "log" / "boot.log").open("ab")
                with log:
                    begun = self.spawn([str(command), "boot"], log)
                threading.Thread(target=begun.wait, daemon=True).start()

    def command(self) -> Path:
        """Its node command."""
        return self.root / "usr" / "local" / "bin" / "hotstandby"

    def spawn(self, argv: list[str], output: Any) -> subprocess.Popen[bytes]:
        """Begin a program on the node."""
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=self.environment(),
            start_new_session=True,
        )

    def run(self, argv: list[str], timeout: float = 60) -> tuple[int, str]:
        """Run a program on the node: (exit code, output). TimeoutExpired when it takes longer."""
        with self.lock:
            begun = self.spawn(argv, subprocess.PIPE)
        try:
            output, _none = begun.communicate(timeout=timeout)
        finally:
            if begun.poll() is None:
                processes.kill_pids([begun.pid])
                begun.wait()
        return begun.returncode, output.decode("utf-8", "replace")

    def start_agent(self) -> None:
        """Start the agent unless it lives."""
        with self.lock:
            if self.agent is not None and self.agent.poll() is None:
                return
            config = self.root / "var" / "sandbox" / "agent-config.json"
            about = {"url": self.url, "key": self.key, "instance_id": self.instance_id}
            config.write_text(json.dumps({**about, "root": str(self.root), "node": self.label}))
            with (self.root / "var" / "log" / "agent.log").open("ab") as log:
                # a link's target would do too, but the interpreter must be the one with this environment
                self.agent = self.spawn([sys.executable, "-I", "-S", AGENT, str(config)], log)

    def start_watch(self) -> None:
        """Keep `hotstandby watch` running, as its unit does, once it is installed."""
        command = self.command()
        if self.watches and command.exists():
            # as systemd does with Restart=always
            loop = 'while :; do "$0" watch; sleep 1; done'
            with (self.root / "var" / "log" / "watch.log").open("ab") as log:
                begun = self.spawn(["/bin/sh", "-c", loop, str(command)], log)
            threading.Thread(target=begun.wait, daemon=True).start()

    def stop_agent(self) -> None:
        """Kill the agent alone; scripts that it began live on."""
        with self.lock:
            if self.agent is not None:
                self.agent.kill()
                self.agent.wait()

    def agent_alive(self) -> bool:
        """Whether the agent's process is there."""
        return self.agent is not None and self.agent.poll() is None

    def power_off(self) -> int:
        """Everything dead at once; returns how many processes there were."""
        with self.lock:
            self.powered = False
            count = processes.kill(str(self.layout.state), self.name)
            if self.agent is not None:
                self.agent.wait()
            self.faults.discard("node-hang")
            return count

    def freeze(self) -> int:
        """Everything stands still."""
        with self.lock:
            return processes.freeze(str(self.layout.state), self.name, self.layout.journal)

    def thaw(self) -> int:
        """Everything goes on."""
        with self.lock:
            return processes.thaw(str(self.layout.state), self.name)
