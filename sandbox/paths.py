# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of a sandbox lies, below its state directory."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

MARKER = "hotstandby-sandbox"
CHECKOUT = Path(__file__).resolve().parents[1]
COLLECTIONS = CHECKOUT / "build" / "collections"


class SandboxError(Exception):
    """What a user is told, on one line."""


class Layout:
    """Paths below a state directory (made absolute and free of links, since processes are known by it)."""

    def __init__(self, state: str | Path) -> None:
        self.state = Path(os.path.realpath(state))
        self.marker = self.state / MARKER
        self.daemon = self.state / "daemon.json"  # {pid, start, url}; written once the endpoint answers
        self.daemon_log = self.state / "daemon.log"
        self.build_log = self.state / "build.log"
        self.deploy_log = self.state / "deploy.log"
        self.automation_log = self.state / "automation.log"
        self.description = self.state / "sandbox.json"  # what `up` printed; there only when it is complete
        self.inventory = self.state / "inventory.yml"
        self.nodes = self.state / "nodes"
        self.shared = self.state / "shared" / "hub"
        self.etc = self.shared / "etc"
        self.trees = self.shared / "warp"  # both of ASTERIA Warp's, where the nodes share them
        self.journal = self.state / "journal"
        self.snapshot = self.state / "snapshot"

    def root(self, node: str) -> Path:
        """The `hotstandby_root` of a node."""
        return self.nodes / node


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(value, indent=1))
    beside.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty when there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def link_collection() -> None:
    """The checkout as a collection, for ansible-playbook: the link that `make setup` makes too."""
    link = COLLECTIONS / "ansible_collections" / "hotstandby" / "ops"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(CHECKOUT, link.parent))


def program(name: str) -> str:
    """A program of this Python's own environment, else of the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name
