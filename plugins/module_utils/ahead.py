# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start that is sent ahead of its grant: the target's guard waits for the grant, so the way there costs no downtime."""

from __future__ import annotations

from typing import Optional

from .answer import Answer, Reply
from .confirm import MARGIN
from .run_command import CommandError
from .session import Session


class Ahead:
    """Only with profile fast, and never in a recovery, which stops the target too. A courtesy: without it the start is sent
    after the grant."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sent: dict[int, str] = {}  # the command by the epoch that it waits for

    def send(self) -> None:
        """Send it, once for each epoch; the stop of the source has been sent. Raises LeaseLost and StoreError."""
        session = self._session
        pair, move, epoch = session.pair, session.move, session.record.epoch + 1
        if pair.profile != "fast" or move.kind == "recovery" or move.rollback or epoch in self._sent:
            return
        limit = pair.timeouts.stop + pair.timeouts.start
        session.holder.ready()
        try:
            self._sent[epoch] = session.ports.nodes.send(
                "start", [move.target], move=move.id, epoch=epoch, timeout=limit
            )
        except CommandError:
            return

    def reply(self) -> Optional[Reply]:
        """What became of it now that the epoch is granted; None when nothing was sent or it was not carried out.

        Raises CommandError.
        """
        session = self._session
        command_id = self._sent.pop(session.record.epoch, None)
        if command_id is None:
            return None
        name, wait = session.move.target, session.pair.timeouts.start + MARGIN
        reply = session.ports.nodes.collect(command_id, "start", [name], wait, session.keep)[name]
        tried = not reply.refused if isinstance(reply, Answer) else reply.reached
        return reply if tried else None
