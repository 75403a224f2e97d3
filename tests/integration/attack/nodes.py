# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attacker does to the nodes by hand: kill a guard, order by SSM with an old epoch, start the product bare."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.world import processes
from tests.integration.pair.rig import Rig


def memory(rig: Rig, node: str, name: str) -> str:
    """A file of the guard's memory on a node; empty when there is none."""
    path = Path(rig.info["nodes"][node]["root"], "var/lib/hotstandby", rig.info["pair"]["name"], name)
    try:
        return path.read_text()
    except OSError:
        return ""


def holder(rig: Rig, node: str, verb: str) -> dict[str, Any]:
    """Who holds the lock of a node for that verb; empty when nobody does."""
    try:
        found = json.loads(memory(rig, node, "lock"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("verb") == verb else {}


class GuardKiller(threading.Thread):
    """Kills the guard of a node (SIGSTOP, then SIGKILL) as soon as it holds the lock for `verb` and `ready` says so.

    A context: it looks for as long as the body runs, however slow the machine is.
    """

    def __init__(self, rig: Rig, node: str, verb: str, ready: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.rig, self.node, self.verb, self.ready = rig, node, verb, ready
        self.killed = 0
        self.found: dict[str, str] = {}
        self._over = threading.Event()

    def __enter__(self) -> GuardKiller:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join(10)

    def run(self) -> None:
        while not self._over.wait(0.0005):
            pid = int(holder(self.rig, self.node, self.verb).get("pid", 0))
            if pid and self.ready():
                os.kill(pid, signal.SIGSTOP)
                self.found = {name: memory(self.rig, self.node, name).strip() for name in ("seen", "floor")}
                os.kill(pid, signal.SIGKILL)
                self.killed = pid
                return


def runs(rig: Rig, node: str, program: str) -> bool:
    """Whether a program of the product, such as hubstop, is at work on a node."""
    path = f"{rig.info['nodes'][node]['root']}/opt/hub/bin/{program}".encode()
    return any(path in processes.command(pid)[:4] for pid in processes.find(str(rig.state), node))


def knobs(rig: Rig, node: str, **values: Any) -> None:
    """What the product of a node does on purpose, such as start_seconds."""
    path = Path(rig.info["nodes"][node]["root"], "var/sandbox/knobs.json")
    path.write_text(json.dumps(values))


def order(rig: Rig, node: str, action: str, epoch: int | None, seconds: float = 25.0) -> dict[str, Any]:
    """A command of some old move, sent with the SSM document; returns the node's answer."""
    sent = send(rig, node, action, epoch)
    return answered(rig, node, sent, seconds)


def send(rig: Rig, node: str, action: str, epoch: int | None) -> str:
    """Send it; returns the command's id."""
    values = {"Action": action, "Pair": rig.info["pair"]["name"], "Move": "old", "Timeout": "15"}
    if epoch is not None:
        values["Epoch"] = str(epoch)
    sent = rig.client("ssm").send_command(
        DocumentName="HotStandbyNode",
        InstanceIds=[rig.info["nodes"][node]["instance_id"]],
        Parameters={name: [value] for name, value in values.items()},
    )
    return str(sent["Command"]["CommandId"])


def answered(rig: Rig, node: str, command_id: str, seconds: float = 25.0) -> dict[str, Any]:
    """Wait for a command's answer."""
    ssm, end = rig.client("ssm"), time.monotonic() + seconds
    while True:
        time.sleep(0.15)
        found = ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"][0]
        if found["Status"] in ("Success", "Failed"):
            text = found["CommandPlugins"][0]["Output"].partition("----------ERROR")[0]
            answer: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
            return answer
        assert time.monotonic() < end, found


def start_bare(rig: Rig, node: str) -> None:
    """What a person does who knows no guard: hubcluster -start."""
    root = Path(rig.info["nodes"][node]["root"])
    exe = root / "opt/hub/bin"
    env = {
        "PATH": "/usr/bin:/bin",
        "HULHUBETC": rig.info["pair"]["product"]["etc"],
        "HULHUBEXE": str(exe),
        **rig.node_env(node),
    }
    done = subprocess.run(
        [str(exe / "hubcluster"), "-start"], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def rewrite(rig: Rig, **attributes: Any) -> None:
    """Change attributes of the record behind everybody's back, in DynamoDB's own form."""
    item = {**rig.record(), **attributes}
    rig.client("dynamodb").put_item(TableName=rig.info["pair"]["table"], Item=item)


def epoch_of(rig: Rig) -> int:
    """The record's epoch."""
    return int(rig.record()["epoch"]["N"])
