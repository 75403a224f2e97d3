# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command finds around itself: its node, both trees, its identity, its knobs."""

from __future__ import annotations

import glob
import json
import os
import re
import sys
import time
from typing import Any, Optional

from ..journal import Journal

NOT_SENT = 255
DATA = os.path.join(
    "data", "asteria home"
)  # DATA_DIR below the node's root, with a space as some sites have it
SERVICES = ("http", "scheduler")


def odd() -> int:
    """An exit code that means nothing: a caller that believes it is soon found out."""
    return os.getpid() % 3


class Setting:
    """A node as its product sees it."""

    def __init__(self) -> None:
        self.install = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))
        self.root = os.path.dirname(os.path.dirname(self.install))
        with open(os.path.join(self.root, "var", "sandbox", "node.json"), encoding="utf-8") as handle:
            about = json.load(handle)
        self.node, self.state = str(about["node"]), str(about["state"])
        self.journal = Journal(about["journal"])
        self.data = os.path.join(self.root, DATA)
        # one service for the pair, wherever its trees lie: two that run at once are an overlap
        self.service = os.path.join(str(about["journal"]), "asteria-warp")
        self.pid_file = os.path.join(self.data, "log", "flowsvc.pid")
        self.orders = os.path.join(self.data, "log", "orders.json")

    def knob(self, name: str, default: Any) -> Any:
        """A knob of this node (`<root>/var/sandbox/knobs.json`), read afresh."""
        try:
            with open(os.path.join(self.root, "var", "sandbox", "knobs.json"), encoding="utf-8") as handle:
                return json.load(handle).get(name, default)
        except (OSError, ValueError):
            return default

    def main_pid(self) -> Optional[int]:
        """The main process of this node that the journal knows to be alive."""
        alive = self.journal.alive(self.node, self.service)
        return int(alive[0]["pid"]) if alive else None

    def server(self) -> str:
        """The server's name in server.xconf; empty when there is none."""
        try:
            with open(os.path.join(self.data, "system", "conf", "server.xconf"), encoding="utf-8") as handle:
                found = re.search(r'<server [^>]*name="([^"]*)"', handle.read())
        except (OSError, UnicodeDecodeError):
            return ""
        return found[1] if found else ""

    def licence_trouble(self) -> str:
        """Why this node may not run: no licence of its own server, or only expired ones. Empty when it may."""
        server = self.server()
        if server != self.node:
            return f"server.xconf is of '{server}', this is {self.node}"
        ends = []
        for path in glob.glob(os.path.join(glob.escape(self.data), "system", "license", "*")):
            try:
                with open(path, encoding="utf-8") as handle:
                    lines = dict(line.strip().split("=", 1) for line in handle if "=" in line)
                if lines.get("server") == server:
                    ends.append(float(lines["expires"]))
            except (OSError, UnicodeDecodeError, ValueError, KeyError):
                continue
        if not ends:
            return f"there is no licence for server {server}"
        return "" if max(ends) > time.time() else f"the licence of {server} has expired"

    def log(self, text: str) -> None:
        """A line in the product's own log."""
        try:
            with open(os.path.join(self.data, "log", "FlowService.log"), "a", encoding="utf-8") as handle:
                handle.write(f"{time.time():.3f} {text}\n")
        except OSError:
            pass

    def environment(self) -> dict[str, str]:
        """What a process of this node runs with, whoever started it."""
        return {"PATH": "/usr/bin:/bin", "SANDBOX_NODE": f"{self.state}:{self.node}"}

    def java(self, *words: str) -> list[str]:
        """The command line of a java-like process."""
        jar = os.path.join(self.install, "server", "lib", "flow.jar")
        return [os.path.join(self.install, "jre", "bin", "java"), "-cp", jar, *words]
