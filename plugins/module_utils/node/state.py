# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of its pair: the lock and its holder, the highest epoch seen, the floor, held."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Callable, Optional

from .host import Host, StateError

MARKER = ".hotstandby-pair"


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as it wrote into it. `started` are its start ticks; `oath`: a start without the record."""

    pid: int
    pgid: int
    verb: str
    epoch: Optional[int]
    started: int
    oath: bool = False
    boot: str = ""  # the boot id: after a reboot pid and start ticks may be somebody else's


def parse_holder(text: Optional[str]) -> Optional[Holder]:
    """The holder that a lock file names; None when it names none (free, or somebody is just writing)."""
    try:
        raw = json.loads(text or "")
        epoch = raw["epoch"]
        return Holder(
            pid=int(raw["pid"]),
            pgid=int(raw["pgid"]),
            verb=str(raw["verb"]),
            epoch=None if epoch is None else int(epoch),
            started=int(raw["started"]),
            oath=bool(raw.get("oath")),
            boot=str(raw.get("boot", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Memory:
    """What is remembered; `trouble` is set when some of it cannot be read (then numbers are at least these)."""

    seen: int = 0
    floor: int = 0
    held: Optional[Mapping[str, Any]] = None
    trouble: str = ""


class State:
    """The files of one pair on this node, below `<root>/var/lib/hotstandby/PAIR/`."""

    def __init__(self, host: Host, root: str, pair: str) -> None:
        self.host = host
        self.folder = f"{root}/var/lib/hotstandby/{pair}"
        self.lock_path = f"{self.folder}/lock"
        self.check_path = f"{self.folder}/check"
        self.sync_path = f"{self.folder}/sync"  # a note on the copy here: see freshness

    # -- lock

    def take(self) -> Optional[Any]:
        """The lock, or None when somebody holds it. Raises StateError."""
        return self.host.try_lock(self.lock_path)

    def sign(self, handle: Any, verb: str, epoch: Optional[int], oath: bool = False) -> None:
        """Say who holds the lock. Raises StateError."""
        me = self.host.me()
        holder = Holder(me.pid, me.pgid, verb, epoch, me.started, oath, self.host.boot_id())
        self.host.write_locked(handle, json.dumps(asdict(holder)) + "\n")

    def release(self, handle: Any) -> None:
        """Clear the name and give the lock back; never fails."""
        try:
            self.host.write_locked(handle, "")
        except StateError:
            pass  # a stale name is recognised by its start ticks
        self.host.unlock(handle)

    def holder(self) -> Optional[Holder]:
        """The live process that the lock names; None when it names none, or one that is gone."""
        try:
            holder = parse_holder(self.host.read(self.lock_path))
        except StateError:
            return None
        if holder is None or self.host.started(holder.pid) != holder.started:
            return None
        if holder.boot not in ("", self.host.boot_id()):
            return None
        return holder

    # -- memory

    def _number(self, name: str) -> int:
        text = self.host.read(f"{self.folder}/{name}")
        if text is None:
            return 0
        word = text.strip()
        if not (word.isascii() and word.isdigit()):
            raise StateError(f"{self.folder}/{name}: holds no epoch")
        return int(word)

    def recall(self) -> Memory:
        """Everything remembered; never raises."""
        trouble: list[str] = []

        def kept(read: Callable[[], Any], otherwise: Any) -> Any:
            try:
                return read()
            except StateError as error:
                trouble.append(str(error))
                return otherwise

        seen = kept(lambda: self._number("seen"), 0)
        floor = kept(lambda: self._number("floor"), 0)
        text = kept(lambda: self.host.read(f"{self.folder}/held"), None)
        return Memory(seen, floor, None if text is None else _held(text), trouble[0] if trouble else "")

    def see(self, epoch: int) -> None:
        """Remember an epoch lastingly. Raises StateError."""
        self.host.write(f"{self.folder}/seen", f"{epoch}\n")

    def raise_floor(self, epoch: int) -> int:
        """Raise the floor lastingly, never lower it; returns it. Raises StateError."""
        try:
            floor = max(self._number("floor"), epoch)
        except StateError:
            floor = epoch  # what stood there was no epoch
        self.host.write(f"{self.folder}/floor", f"{floor}\n")
        return floor

    def hold(self, by: str, reason: str) -> None:
        """Remember that a person stopped it on purpose. Raises StateError."""
        value = {"by": by[:100], "reason": reason[:300], "time": int(self.host.time())}
        self.host.write(f"{self.folder}/held", json.dumps(value) + "\n")

    def let_go(self) -> None:
        """Forget held. Raises StateError."""
        self.host.remove(f"{self.folder}/held")


def _held(text: str) -> Mapping[str, Any]:
    """Whatever stands there holds: a damaged file still says that somebody wrote one."""
    try:
        raw = json.loads(text)
    except ValueError:
        raw = None
    if not isinstance(raw, Mapping):
        return {"by": "unknown", "reason": "the file 'held' is damaged", "time": None}
    return {key: raw.get(key) for key in ("by", "reason", "time")}
