# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stand-in command finds around itself: its node, its environment, its knobs; and the exit codes."""

from __future__ import annotations

import os
import sys

from ..journal import Journal
from ..words import loads

TYPE_CHECKING = False  # the products are programs in C: what loads slowly here would count as theirs
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

ALIVE = 0
ENVIRONMENT = 12
TIMED_OUT = 100
ARGUMENTS = 102
NO_CONNECTION = 112
FATAL = 116
CANCELLED = 230
STOPPED = 240
PERMISSION = 250
CUT = 650  # the code with which a transfer ends that a forced stop cuts; reported, never an exit code

DEFAULT_RELAYS = 64  # TransRlyMax


class Problem(Exception):
    """Ends the command with `code` and one line on stderr."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Setting:
    """A node as its product sees it. Raises Problem (12, 250) when the environment is not fit."""

    def __init__(self) -> None:
        self.exe = os.path.dirname(os.path.realpath(sys.argv[0]))
        self.root = os.path.dirname(os.path.dirname(os.path.dirname(self.exe)))
        with open(os.path.join(self.root, "var", "sandbox", "node.json"), encoding="utf-8") as handle:
            about = loads(handle.read())
        self.node, self.state = str(about["node"]), str(about["state"])
        self.journal = Journal(about["journal"])
        self.etc = self._directory("HULHUBETC")
        if os.path.realpath(self._directory("HULHUBEXE")) != self.exe:
            raise Problem(ENVIRONMENT, f"HULHUBEXE is not the directory of this command ({self.exe})")
        if not self._mounted():
            raise Problem(
                ENVIRONMENT, f"HULHUBETC is not there: the shared folder is not mounted ({self.etc})"
            )
        if not os.access(self.etc, os.R_OK | os.W_OK | os.X_OK) or not self._executable():
            raise Problem(PERMISSION, "no permission to the configuration or to the daemons")

    def _directory(self, variable: str) -> str:
        value = os.environ.get(variable, "")
        if not value:
            raise Problem(ENVIRONMENT, f"{variable} is not set")
        if not os.path.isdir(value):
            raise Problem(ENVIRONMENT, f"{variable} is not a directory: {value}")
        return value

    def _mounted(self) -> bool:
        """Whether this node's mount table has the folder that the configuration lies on (true without a table)."""
        try:
            with open(os.path.join(self.root, "proc", "mounts"), encoding="utf-8") as handle:
                points = [line.split(" ")[1].replace("\\040", " ") for line in handle if line.count(" ") >= 2]
        except OSError:
            return True
        etc = os.path.realpath(self.etc)
        return any(
            etc == point or etc.startswith(point.rstrip("/") + "/") for point in points if point != "/"
        )

    def _executable(self) -> bool:
        return all(os.access(os.path.join(self.exe, name), os.X_OK) for name in ("hubd", "hubmgrd"))

    def knob(self, name: str, default: Any) -> Any:
        """A knob of this node (`<root>/var/sandbox/knobs.json`), read afresh."""
        try:
            with open(os.path.join(self.root, "var", "sandbox", "knobs.json"), encoding="utf-8") as handle:
                return loads(handle.read()).get(name, default)
        except (OSError, ValueError):
            return default

    @property
    def pid_file(self) -> str:
        """hubd.pid in the shared configuration: `PID NODE START`, START being the kernel's start time."""
        return os.path.join(self.etc, "hubd.pid")

    def environment(self) -> dict[str, str]:
        """What a daemon of this node runs with, whoever started it."""
        return {
            "PATH": "/usr/bin:/bin",
            "HULHUBETC": self.etc,
            "HULHUBEXE": self.exe,
            "SANDBOX_NODE": f"{self.state}:{self.node}",
        }


def run(body: Callable[[Setting], int], check: Optional[Callable[[], None]] = None) -> int:
    """Run a command: its environment is judged first, then its arguments (`check`), then the body."""
    try:
        setting = Setting()
        if check is not None:
            check()
        return body(setting)
    except Problem as problem:
        print(f"{os.path.basename(sys.argv[0])}: {problem}", file=sys.stderr)
        return problem.code
