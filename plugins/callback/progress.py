# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
short_description: Shows what a long step of hotstandby.ops waits for, and for how long
version_added: 0.1.0
description:
  - A module cannot print while it runs. Modules of this collection that run on the controller write down which step begins, and
    this callback shows it, and every few seconds how long it has been waiting.
  - Silent when standard output is not a terminal, so that logs and AWX stay as they are.
author:
  - hotstandby.ops contributors (@hotstandby)
requirements:
  - enable it, for example with C(ANSIBLE_CALLBACKS_ENABLED=hotstandby.ops.progress) or C(callbacks_enabled) in ansible.cfg
options:
  interval:
    description:
      - Seconds after which a step that still waits is shown again.
    type: float
    default: 5
    ini:
      - section: callback_hotstandby_progress
        key: interval
    env:
      - name: HOTSTANDBY_PROGRESS_INTERVAL
"""

import json
import os
import sys
import tempfile
import threading
import time
from typing import Any, Optional

from ansible.plugins.callback import CallbackBase
from ansible_collections.hotstandby.ops.plugins.module_utils.progress import VARIABLE

PACE = 0.2  # seconds between two looks at the file


class Watcher:
    """Turns the lines of a progress file into lines for a person. Times in seconds of one clock that only grows."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._rest = ""
        self._step: Optional[dict[str, Any]] = None
        self._began = self._shown = 0.0

    def feed(self, text: str, now: float) -> list[str]:
        """What to show for new text of the file; a line that is not whole yet is kept."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        shown = []
        for line in lines:
            try:
                step = json.loads(line)
                said = f"{step['step']}: waiting for {step['waits_for']}"
            except (ValueError, KeyError, TypeError):
                continue
            limit = step.get("limit")
            shown.append(said + (f", at most {limit:.0f} s" if isinstance(limit, (int, float)) else ""))
            self._step, self._began, self._shown = step, now, now
        return shown

    def still(self, now: float) -> list[str]:
        """What to show when nothing new was written."""
        if self._step is None or now - self._shown < self._interval:
            return []
        self._shown = now
        return [
            f"{self._step['step']}: still waiting for {self._step['waits_for']}, {now - self._began:.0f} s"
        ]

    def end(self) -> None:
        """The task has ended: nothing is waited for."""
        self._step = None


class CallbackModule(CallbackBase):
    """Tails the file in a thread of ansible's main process, and only there."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "hotstandby.ops.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = ""
        self._done = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._watcher: Optional[Watcher] = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin to watch when a person looks on."""
        if not sys.stdout.isatty():
            return
        handle, self._path = tempfile.mkstemp(prefix="hotstandby-progress-")
        os.close(handle)
        # workers and the modules that they run on this machine inherit it
        os.environ[VARIABLE] = self._path
        self._watcher = Watcher(float(self.get_option("interval")))
        self._thread = threading.Thread(target=self._watch, args=(self._watcher,), daemon=True)
        self._thread.start()

    def _watch(self, watcher: Watcher) -> None:
        with open(self._path, encoding="utf-8") as handle:
            while not self._done.wait(PACE):
                now = time.monotonic()
                for line in watcher.feed(handle.read(), now) or watcher.still(now):
                    self._display.display(f"  ... {line}")

    def _ended(self, *_args: Any, **_kwargs: Any) -> None:
        if self._watcher is not None:
            self._watcher.end()

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_on_unreachable = _ended

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Stop watching and leave nothing behind."""
        self._done.set()
        if self._thread is not None:
            self._thread.join(2)
        if self._path:
            os.environ.pop(VARIABLE, None)
            os.unlink(self._path)
            self._path = ""
