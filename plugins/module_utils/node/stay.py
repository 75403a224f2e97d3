# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker and its Auto Scaling group: protected from scale-in while a message is in work, and let go when nothing is left.

A thread asks, so that no job waits for a group that does not answer; what fails is tried again and never stops the work.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

from ..clients import explain

AGAIN = (
    5.0  # seconds until what failed is tried again: an instance that has just booted is not in service yet
)
PATIENCE = 3.0  # seconds for which the first job waits for its protection
END = 10.0  # seconds that the last calls may take


class Stay:
    """`client` makes one of Auto Scaling; `instance` tells this instance's id, or None while nobody answers.

    `say` gets lines for people. Protection is asked for once when work begins and given up once when the queue is empty,
    not for each message. One that an earlier worker of this instance left on is given up too.
    """

    def __init__(
        self,
        group: str,
        hook: str,
        client: Callable[[], Any],
        instance: Callable[[], Optional[str]],
        say: Callable[[str], None],
    ) -> None:
        self._group, self._hook, self._make, self._instance, self._say = group, hook, client, instance, say
        self._changed = threading.Condition()
        self._wanted: Optional[bool] = None  # nothing is known to be wanted yet
        self._is: Optional[bool] = None  # nor what an earlier worker left
        self._leaving = self._left = self._over = False
        self._client: Any = None
        self._id: Optional[str] = None
        self._told = ""
        self._thread: Optional[threading.Thread] = None

    def begin(self) -> None:
        """From now on. After the keeper's fork."""
        self._thread = threading.Thread(target=self._run, name="stay", daemon=True)
        self._thread.start()

    def busy(self) -> None:
        """A message is in work from now on. Waits for the protection, but only at first and for PATIENCE."""
        with self._changed:
            if self._wanted:
                return
            self._wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is, PATIENCE)

    def idle(self) -> None:
        """Nothing is in work or waits."""
        with self._changed:
            if self._wanted is not False:
                self._wanted = False
                self._changed.notify_all()

    def end(self, leaving: bool) -> None:
        """The worker ends, nothing is in its hands. `leaving`: because the group ends this instance, which may go on now."""
        with self._changed:
            self._wanted, self._leaving, self._over = False, leaving, True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(END)

    # -- the thread

    def _due(self) -> bool:
        """Something is to be asked."""
        if self._leaving:
            return not self._left
        return self._wanted is not None and self._wanted is not self._is

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due() or self._over)
                if not self._due():
                    return
                wanted, leaving = bool(self._wanted), self._leaving
            failed = self._ask(wanted, leaving)
            with self._changed:
                if failed and self._over:
                    return  # who ends does not wait for another try: protection is given up by the next worker
                if failed:
                    self._changed.wait_for(lambda: self._over, AGAIN)
                else:
                    self._left = self._left or leaving
                    self._is = self._is if leaving else wanted
                    self._changed.notify_all()

    def _ask(self, wanted: bool, leaving: bool) -> bool:
        """One call. Returns whether it failed, which is told once."""
        what = "CompleteLifecycleAction" if leaving else "SetInstanceProtection"
        try:
            self._call(wanted, leaving)
        except Exception as error:
            self._client = None
            text = f"{explain(error, what)} on group {self._group}"
            if text != self._told:
                self._say(f"{text}; the work goes on")
            self._told = text
            return True
        self._told = ""
        return False

    def _call(self, wanted: bool, leaving: bool) -> None:
        self._id = self._id or self._instance()
        if self._id is None:
            raise OSError("the metadata service does not tell which instance this is")
        if self._client is None:
            self._client = self._make()
        if leaving:
            self._client.complete_lifecycle_action(
                AutoScalingGroupName=self._group,
                LifecycleHookName=self._hook,
                InstanceId=self._id,
                LifecycleActionResult="CONTINUE",
            )
        else:
            self._client.set_instance_protection(
                AutoScalingGroupName=self._group, InstanceIds=[self._id], ProtectedFromScaleIn=wanted
            )
