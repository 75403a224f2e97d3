# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of real hosts as an operator and a tester have it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from sandbox.hosts.podman import environment, inspect
from tests.integration.pair.rig import BIN, Played, Rig, Run

LONG = 180.0  # seconds that anything on a busy machine may take


class HostRig(Rig):
    """Two systemd hosts. Nothing is deployed until a test does it."""

    module = "sandbox.hosts"
    patience = 900  # an image may have to be made first

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "ANSIBLE_PIPELINING": "true"}

    def shell(self, node: str, *argv: str, user: str = "root") -> str:
        """What a program on the host prints, whatever it exits with."""
        container = self.info["nodes"][node]["container"]
        done = subprocess.run(
            ["podman", "exec", "--user", user, container, *argv],
            capture_output=True, text=True, timeout=LONG, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment()},
        )  # fmt: skip
        return done.stdout + done.stderr

    def mount(self, node: str, *words: str, program: str = "mount") -> None:
        """Mount something on the host from outside of it: nobody inside may."""
        pid = inspect(self.info["nodes"][node]["container"])["State"]["Pid"]
        argv = ["nsenter", "-t", str(pid), "-m", "-p", program, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LONG, check=False)
        assert done.returncode == 0, done.stderr

    def umount(self, node: str, *paths: str) -> None:
        for path in paths:
            self.mount(node, "-l", path, program="umount")

    def file(self, path: Path) -> Played:
        """Run a playbook that is a file of the test's own."""
        argv = [str(BIN / "ansible-playbook"), "-i", self.info["inventory"], str(path)]
        return Run(argv, self.state, self.env, self.state / "none.json").end(1200)

    def has(self, node: str, path: str) -> bool:
        return self.shell(node, "stat", "-c", "there", path).strip() == "there"

    def running(self) -> list[str]:
        found = self.status()["hosts"]
        return [name for name in self.names if found[name]["product"]]

    def until(self, what: Any, seconds: float = LONG) -> None:
        super().until(what, seconds)

    def shown(self, node: str, unit: str, *properties: str) -> dict[str, str]:
        """What systemd tells of a unit."""
        text = self.shell(node, "systemctl", "show", "-p", ",".join(properties), "--", unit)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def power_on(self, node: str) -> None:
        """EC2 starts it; returns once it has booted and asked the record whether it may run the service."""
        ec2 = self.client("ec2")
        instance = self.info["nodes"][node]["instance_id"]
        self.until(lambda: self.power(node) in ("stopped", "running"))
        ec2.start_instances(InstanceIds=[instance])
        self.until(lambda: self.power(node) == "running")
        self.until(lambda: self.asked_at_boot(node))

    def asked_at_boot(self, node: str) -> bool:
        """Whether the boot check of this boot has ended."""
        found = self.shown(node, "hotstandby-boot.service", "ActiveState", "ExecMainExitTimestampMonotonic")
        ended = found.get("ExecMainExitTimestampMonotonic", "0") != "0"
        return ended and found["ActiveState"] in ("inactive", "failed")

    def playbook(self, name: str, *arguments: str, env: dict[str, str] | None = None, **extra: Any) -> Played:
        return self.begin(name, *arguments, env=env, **extra).end(1200)

    def deploy(self, *arguments: str, **extra: Any) -> Played:
        return self.playbook("deploy", *arguments, **extra)


def changed(text: str) -> dict[str, int]:
    """{host: number of changed tasks} of a play recap."""
    found = {}
    for line in text.rpartition("PLAY RECAP")[2].splitlines():
        name, _colon, rest = line.partition(":")
        words = dict(word.split("=") for word in rest.split() if "=" in word)
        if "changed" in words:
            found[name.strip()] = int(words["changed"])
    return found
