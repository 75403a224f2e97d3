# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd unit: judged by `systemctl show`, and for proof by its control group being empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from .base import Process, ProductError, Ran, Runner, Status

PROPERTIES = ("LoadState", "ActiveState", "SubState", "ControlGroup", "UnitFileState", "Result", "MainPID")
QUICK = 10.0  # seconds for a question to systemd
AUTOSTART = {"enabled": True, "enabled-runtime": True, "disabled": False, "static": False, "masked": False}


def parse_show(text: str) -> dict[str, str]:
    """`systemctl show` as {property: value}; lines without '=' are left out."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def judge_unit(shown: Mapping[str, str], processes: int) -> Status:
    """What a unit's properties mean; `processes` are left in its control group."""
    load, active, sub = shown.get("LoadState"), shown.get("ActiveState"), shown.get("SubState", "")
    if load != "loaded":
        return Status("unknown", f"the check is broken: the unit is {load or 'not told of'} on this host")
    text = f"systemd says {active} ({sub})"
    if active in ("active", "reloading"):
        return Status("running", text)
    if active == "deactivating":
        # its main process works off a stop, or it is gone and only what it left is being ended
        if shown.get("Result", "success") == "success" and shown.get("MainPID", "0") != "0":
            return Status("running", text)
        return Status("unknown", f"{text}, {shown.get('Result') or 'no result'}: neither up nor stopped")
    if active == "failed" and processes:
        return Status("unknown", f"{text}, and {processes} of its processes are left")
    if active in ("inactive", "failed"):
        return Status("stopped", text)
    # activating may be a start or an auto-restart: neither up nor stopped
    return Status("unknown", f"{text}: neither up nor stopped")


@dataclass(frozen=True)
class Systemd:
    """One node's unit."""

    unit: str
    runner: Runner

    def _show(self, limit: float) -> dict[str, str]:
        """Raises ProductError when systemd does not answer properly."""
        argv = ["systemctl", "show", "-p", ",".join(PROPERTIES), "--", self.unit]
        ran = self.runner.run(argv, limit)
        if ran.rc is None:
            raise ProductError(f"systemctl show gave no answer within {limit:.0f} s")
        shown = parse_show(ran.output)
        if ran.rc != 0 or "ActiveState" not in shown:
            raise ProductError(f"systemctl show failed (exit code {ran.rc}): {ran.said}")
        return shown

    def _pids(self, shown: Mapping[str, str]) -> set[int]:
        # an inactive unit may not name the group any more that its processes still fill
        groups = {shown.get("ControlGroup") or "", f"/system.slice/{self.unit}"} - {"", "/"}
        return {pid for group in groups for pid in self.runner.cgroup_pids(group)}

    def status(self, limit: float) -> Status:
        """Ask systemd. Its silence is a broken check, not the unit's."""
        try:
            shown = self._show(limit)
        except ProductError as error:
            return Status("unknown", f"the check is broken: {error}")
        return judge_unit(shown, len(self._pids(shown)))

    def start(self, limit: float) -> Ran:
        """Start the unit and wait for it. A stop replaces the job if this command is ended."""
        return self.runner.run(["systemctl", "start", "--", self.unit], limit, group="own")

    def stop(self, mode: str, limit: float) -> Ran:
        """Stop the unit; force kills its processes."""
        ordered = self.runner.run(["systemctl", "stop", "--no-block", "--", self.unit], min(limit, QUICK))
        if mode == "force":
            self.runner.run(["systemctl", "kill", "-s", "SIGKILL", "--", self.unit], min(limit, QUICK))
        return ordered

    def leftovers(self) -> list[Process]:
        """Processes in the unit's control group. Raises ProductError when systemd does not answer."""
        pids = self._pids(self._show(QUICK))
        known = {process.pid: process for process in self.runner.processes()}
        return [known[pid] for pid in sorted(pids) if pid in known]

    def lasts(self) -> bool:
        """Whether a unit that has ended its processes counts as active: a oneshot that remains."""
        return self._show(QUICK).get("ActiveState") == "active"

    def stopping(self) -> bool:
        """Whether systemd says deactivating. Raises ProductError when systemd does not answer."""
        return self._show(QUICK).get("ActiveState") == "deactivating"

    def installed(self) -> bool:
        """Whether systemd knows the unit."""
        try:
            return self._show(QUICK).get("LoadState") == "loaded"
        except ProductError:
            return False

    def autostart(self) -> Optional[bool]:
        """Whether the unit is enabled; None when systemd does not tell."""
        try:
            return AUTOSTART.get(self._show(QUICK).get("UnitFileState", ""))
        except ProductError:
            return None
