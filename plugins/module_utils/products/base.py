# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard knows of any product, and what a product may ask of its host. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol, runtime_checkable

KEPT = 300  # characters of a product's output that an answer carries


class ProductError(Exception):
    """A product's command cannot even be run: one line that says what is wrong on this host."""


class Silent(ProductError):
    """A file did not answer in time, as on a network file system whose server is gone."""


@dataclass(frozen=True)
class Process:
    """One live process; `started` is the kernel's start time in ticks, which tells it from a later one of that pid."""

    pid: int
    pgid: int
    started: int
    exe: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """One command. `rc` is None when it had not ended after its limit (`left`: it goes on; else it was ended)."""

    rc: Optional[int]
    output: str
    seconds: float
    left: bool = False

    @property
    def said(self) -> str:
        """The end of its output on one line, bounded."""
        return " ".join(self.output.split())[-KEPT:]


@dataclass(frozen=True)
class Status:
    """What the product says of itself: running, stopped, hung (no answer) or unknown (the check is broken)."""

    state: str
    message: str
    rc: Optional[int] = None


class Runner(Protocol):
    """What a product needs of its host."""

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Optional[Mapping[str, str]] = None,
        user: Optional[str] = None,
        group: str = "new",
    ) -> Ran:
        """Run a command for at most `limit` seconds. Raises ProductError when it cannot be run.

        `group`: "new" = a session of its own, ended at the limit; "own" = in the caller's process group, so that ending
        the caller's group ends it, ended at the limit too; "left" = a session of its own, left to go on at the limit.
        """

    def processes(self) -> list[Process]:
        """Every live process of this host but the caller."""

    def cgroup_pids(self, path: str) -> list[int]:
        """Pids in a control group and below it; empty when there is no such group."""

    def real_path(self, path: str) -> str:
        """The path without symbolic links."""

    def is_program(self, path: str) -> bool:
        """Whether an executable file is there."""

    def noted(self, path: str) -> Optional[tuple[str, float]]:
        """A small file's text and how many seconds ago it was written; None when there is none. Raises ProductError, in time."""

    def age(self, process: Process) -> Optional[float]:
        """Seconds since that very process began; None when it has ended."""

    def signal(self, process: Process, force: bool) -> None:
        """SIGTERM, or SIGKILL with `force`, to that very process and to no later one of its pid. Gone is well."""


@runtime_checkable
class Cutting(Protocol):
    """A product whose forced stop cuts work short, and says which."""

    def transfers_cut(self, output: str) -> list[str]:
        """What its stop printed of work that it cut, one text each; empty for none."""


@runtime_checkable
class Lasting(Protocol):
    """A product that may be up without any process of its own."""

    def lasts(self) -> bool:
        """Whether it is up all the same."""


@runtime_checkable
class Wary(Protocol):
    """A product that may be there and still not be fit to take over."""

    def unready(self) -> str:
        """Why it cannot take over although it is there, on one short line; empty when nothing is known against it."""


@runtime_checkable
class Copied(Protocol):
    """A product whose data are copied from node to node."""

    def copied(self) -> dict[str, Any]:
        """What this node knows of the age of its copy: see freshness.told. Empty where nothing is copied."""


class Product(Protocol):
    """How one kind of service is started, stopped and judged. Times in seconds."""

    def status(self, limit: float) -> Status:
        """Ask the product once; no answer within `limit` is hung."""

    def start(self, limit: float) -> Ran:
        """Order the start and wait for it, in the caller's process group."""

    def stop(self, mode: str, limit: float) -> Ran:
        """Order the stop (normal or force); it goes on when it takes longer than `limit`."""

    def leftovers(self) -> list[Process]:
        """Processes of the product on this node; any of them refutes a stop. Raises ProductError."""

    def stopping(self) -> bool:
        """Whether a stop of the product is still under way. Raises ProductError."""

    def installed(self) -> bool:
        """Whether the product can be run here."""

    def autostart(self) -> Optional[bool]:
        """Whether it starts by itself at boot; None when that cannot be told."""
