# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress on a terminal: shown while a step waits, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.integration.pair.rig import BIN, Rig

pytestmark = pytest.mark.sandbox
ENABLED = {
    "ANSIBLE_CALLBACKS_ENABLED": "hotstandby.ops.progress",
    "HOTSTANDBY_PROGRESS_INTERVAL": "1",
    "ANSIBLE_NOCOLOR": "1",
}


def on_terminal(rig: Rig, *arguments: str) -> str:
    """What ansible-playbook prints on a terminal."""
    ours, theirs = pty.openpty()
    argv = [str(BIN / "ansible-playbook"), "-i", rig.info["inventory"], *arguments]
    run = subprocess.Popen(
        argv, cwd=rig.state, env={**rig.env, **ENABLED, "TMPDIR": str(rig.state)},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
    except OSError:
        pass  # a terminal ends so when its last program has gone
    finally:
        os.close(ours)
    assert run.wait(300) == 0, text.decode()
    return text.decode()


def test_a_terminal_is_shown_what_is_waited_for_and_a_log_is_not(rig: Rig) -> None:
    rig.torment("hub-a", "agent-slow:4")
    text = on_terminal(rig, "hotstandby.ops.switchback", "-e", "to=hub-b")
    assert "... stop: waiting for hub-a to stop the service, with proof, at most" in text, text
    assert "... stop: still waiting for hub-a" in text and "... verify: waiting for hub-b" in text
    assert list(Path(rig.state).glob("hotstandby-progress-*")) == []
    rig.torment("hub-a", "clear")
    quiet = rig.playbook("switchback", env=ENABLED)
    assert quiet.outcome == "moved" and "waiting for" not in quiet.text
