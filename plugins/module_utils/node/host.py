# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard needs of the machine it runs on. Handed in, so that a machine can be simulated. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional, Protocol

from ..products.base import Process, Runner


class Terminated(BaseException):
    """SIGTERM, SIGINT or SIGHUP came: whatever is under way ends now. No Exception: no handler shall swallow it."""


class StateError(Exception):
    """A file of the guard cannot be read or written; one line that names it."""


class Pending(Protocol):
    """Something that was begun beside the main work."""

    def get(self, limit: float) -> Any:
        """Its result, or its exception raised; TimeoutError when it took longer than `limit` seconds from now."""


class Host(Runner, Protocol):
    """A machine. Paths are as the guard spells them (already below its root); times in seconds."""

    def monotonic(self) -> float:
        """A clock that only goes forward."""

    def time(self) -> float:
        """Wall clock, epoch seconds: for people's eyes only."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def boot_id(self) -> str:
        """Changes at each boot."""

    def uptime(self) -> Optional[float]:
        """Seconds since boot; None when unknown."""

    def instance_id(self) -> Optional[str]:
        """Who this machine is, asked afresh; None when nobody answers."""

    def me(self) -> Process:
        """This process."""

    def own_group(self) -> None:
        """Make this process the leader of a group of its own, so that ending the group ends what it began."""

    def try_lock(self, path: str) -> Optional[Any]:
        """Take a lock that dies with this process and that no child inherits; None when somebody holds it."""

    def unlock(self, handle: Any) -> None:
        """Give it back."""

    def write_locked(self, handle: Any, text: str) -> None:
        """Replace the text of a lock file that this process holds."""

    def read(self, path: str) -> Optional[str]:
        """A file's text; None when there is none. Raises StateError."""

    def write(self, path: str, text: str) -> None:
        """Replace a file, as a whole and lastingly (file and directory synced). Raises StateError."""

    def remove(self, path: str) -> None:
        """Remove a file lastingly; none there is well. Raises StateError."""

    def started(self, pid: int) -> Optional[int]:
        """Start time of a live process in ticks; None when there is none (a zombie is none)."""

    def end(self, pid: int, pgid: int, force: bool) -> None:
        """SIGTERM, or SIGKILL with `force`, to a group led by `pid`, or to the process alone when it leads none."""

    def mounts(self) -> Sequence[str]:
        """Mount points of this node. Raises StateError."""

    def free(self, path: str) -> Optional[int]:
        """Free bytes for unprivileged users; None when unknown."""

    def background(self, work: Callable[[], Any]) -> Pending:
        """Begin something that may hang; the process does not wait for it at its end."""

    def on_terminal(self) -> bool:
        """Whether a person sits at standard input."""

    def user(self) -> str:
        """Who the person is that runs this."""

    def log(self, text: str) -> None:
        """Keep one line for later; never fails."""
