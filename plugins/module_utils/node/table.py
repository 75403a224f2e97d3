# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair's table as a node uses it: boto3 is loaded when it is first needed, and a failed client is made anew."""

from __future__ import annotations

import time
from typing import Any, Callable, Optional, TypeVar

from ..clients import make_client
from ..pair import PairSpec
from ..record import Heartbeat, Record, RecordUnreadable, StoreError
from ..store import RecordStore

T = TypeVar("T")

COMMAND = 5.0  # seconds for one call of a command to the table
_WARM: dict[tuple[str, str, float], Any] = {}  # clients that the daemon made for the commands it forks


def node_client(service: str, pair: PairSpec, limit: float) -> Any:
    """A client whose calls, retries included, are bounded to about `limit` seconds. Raises StoreError without boto3."""
    made = _WARM.get((service, pair.name, limit))
    if made is not None:
        return made
    try:
        return make_client(service, pair.region, pair.endpoint_url, lease=3 * limit)
    except ImportError as error:
        raise RecordUnreadable(f"this Python has no boto3 ({error}): the record cannot be read") from None
    except Exception as error:
        raise RecordUnreadable(f"no client for {service}: {' '.join(str(error).split())}") from None


def daemon_client(service: str, pair: PairSpec, limit: float) -> Any:
    """The same for the daemon: without boto3 wherever that can be. Raises StoreError."""
    from .light import light_client  # only the daemon needs what it loads

    return light_client(service, pair, 3 * limit) or node_client(service, pair, limit)


def warm_client(service: str, pair: PairSpec) -> bool:
    """Make a client for commands that are forked later, which never connects in this process; whether there is one.

    One of boto3's is not kept: without credentials it would be of no use, and it tells nobody whether it has some.
    """
    from .light import light_client

    made = light_client(service, pair, 3 * COMMAND)
    if made is None:
        return False
    _WARM[(service, pair.name, COMMAND)] = made
    return True


class Table:
    """RecordStore's reads and the heartbeat, each bounded to `limit` seconds. All raise StoreError."""

    def __init__(
        self,
        pair: PairSpec,
        limit: float,
        make: Callable[..., Any] = node_client,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pair, self.limit, self._make, self._monotonic = pair, limit, make, monotonic
        self._store: Optional[RecordStore] = None

    def _ready(self) -> RecordStore:
        if self._store is None:
            client = self._make("dynamodb", self.pair, self.limit)
            self._store = RecordStore(client, self.pair.table, self.pair.name, self._monotonic)
        return self._store

    def _do(self, work: Callable[[RecordStore], T]) -> T:
        try:
            return work(self._ready())
        except StoreError:
            # a client made before the network was up keeps having no credentials
            self._store = None
            _WARM.clear()
            raise

    def prepare(self) -> None:
        """Load boto3 and make the client; what is wrong shows at the first read."""
        try:
            self._ready()
        except StoreError:
            pass

    def now(self) -> Optional[float]:
        """The store's own time in epoch seconds; None before it answered."""
        return None if self._store is None else self._store.now()

    def read(self) -> Record:
        """The record, strongly consistent."""
        return self._do(lambda store: store.read())

    def heartbeat(self, node: str) -> Optional[Heartbeat]:
        """A node's last heartbeat."""
        return self._do(lambda store: store.heartbeat(node))

    def beat(
        self, node: str, instance_id: str, boot_id: str, epoch: int, state: str, held: bool = False
    ) -> None:
        """Write this node's heartbeat."""
        self._do(lambda store: store.put_heartbeat(node, instance_id, boot_id, epoch, state, held))
