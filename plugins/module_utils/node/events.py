# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deaths as events (pidfds, where the kernel has them), and systemd's notification socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from . import proc

MOST = 128  # processes that are followed; a product's daemons are few, its children may be many
PidFd = Callable[[int], int]
PIDFD: Optional[PidFd] = getattr(os, "pidfd_open", None)  # Linux 5.3 and later


class Deaths:
    """The processes whose end matters. `fds` become readable when one ends; `check` tells whether one has."""

    def __init__(self, pidfd: Optional[PidFd] = PIDFD) -> None:
        self._pidfd = pidfd
        self._known: dict[tuple[int, int], int] = {}  # -> pidfd, or -1 where there are none

    @property
    def fds(self) -> list[int]:
        """Descriptors to poll."""
        return [fd for fd in self._known.values() if fd >= 0]

    @property
    def blind(self) -> bool:
        """Whether some can only be looked at now and then."""
        return any(fd < 0 for fd in self._known.values())

    def follow(self, pids: Sequence[tuple[int, int]]) -> int:
        """Follow exactly these (pid, start ticks); returns how many live."""
        wanted = list(pids)[:MOST]
        for key in [key for key in self._known if key not in wanted]:
            self._drop(key)
        for key in wanted:
            if key not in self._known:
                fd = self._open(key[0])
                self._known[key] = fd
                if proc.started(key[0]) != key[1]:
                    self._drop(key)  # it has ended, or its number is another's already
        return len(self._known)

    def _open(self, pid: int) -> int:
        if self._pidfd is None:
            return -1
        try:
            return self._pidfd(pid)
        except OSError:
            return -1  # an old kernel, or it is gone, which the look at its start ticks tells

    def _drop(self, key: tuple[int, int]) -> None:
        fd = self._known.pop(key)
        if fd >= 0:
            os.close(fd)

    def check(self, readable: Sequence[int]) -> int:
        """How many have ended, given the readable descriptors; those are followed no more."""
        ended = [
            key
            for key, fd in self._known.items()
            if fd in readable or (fd < 0 and proc.started(key[0]) != key[1])
        ]
        for key in ended:
            self._drop(key)
        return len(ended)


def notifier(environ: Mapping[str, str]) -> Callable[[str], None]:
    """How to tell systemd something (sd_notify); does nothing where nobody listens. Never raises."""
    address = str(environ.get("NOTIFY_SOCKET") or "")
    if not address:
        return lambda _text: None
    target = "\0" + address[1:] if address.startswith("@") else address
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def tell(text: str) -> None:
        try:
            channel.sendto(text.encode(), socket.MSG_DONTWAIT, target)
        except OSError:
            pass  # systemd notices by itself when it hears nothing

    return tell
