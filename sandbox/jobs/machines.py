# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of an Auto Scaling group: each one a folder, its user data run for real, and the processes that come of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..endpoint import Caller, Endpoint, ec2
from ..endpoint.mended import regions
from ..world.processes import kill_all, with_environment

OWNER = "SANDBOX_INSTANCE"
# stand-ins for what user data asks of an operating system; a unit is started again whenever it ends, as Restart=always says
SYSTEMCTL = """#!/bin/sh
case "$1 $2" in
"daemon-reload ") exit 0 ;;
"enable --now") ;;
*) echo "systemctl $*: not known here" >&2; exit 1 ;;
esac
run=$(sed -n 's/^ExecStart=//p' "$HOTSTANDBY_ROOT/etc/systemd/system/$3")
[ -x "$HOTSTANDBY_ROOT$run" ] || { echo "$3: cannot be run" >&2; exit 1; }
while :; do "$HOTSTANDBY_ROOT$run" >>"$HOTSTANDBY_ROOT/journal" 2>&1; [ -e "$HOTSTANDBY_ROOT/off" ] && exit; sleep 0.2; done </dev/null >/dev/null 2>&1 &
"""
SHUTDOWN = '#!/bin/sh\n: >"$HOTSTANDBY_ROOT/off"\n'
BOOT = 60.0  # seconds that user data may take


class Machines:
    """The hypervisor of an endpoint whose instances belong to groups.

    `doomed` counts the next instances that lose power while they boot. `stop_seconds` is how long an instance that is
    ended waits for its service. `events` is what happened, the oldest first: (epoch seconds, instance, text).
    """

    def __init__(self, endpoint: Endpoint, place: Path, region: str) -> None:
        self._endpoint, self._place, self._region = endpoint, place, region
        self._number = 0
        self._lock = threading.Lock()
        self.doomed = 0
        self.stop_seconds = 5.0
        self.events: list[tuple[float, str, str]] = []
        place.mkdir(parents=True, exist_ok=True)
        self._bin = place / "bin"
        self._bin.mkdir(exist_ok=True)
        for name, text in (("systemctl", SYSTEMCTL), ("shutdown", SHUTDOWN)):
            (self._bin / name).write_text(text, encoding="utf-8")
            (self._bin / name).chmod(0o755)

    def close(self) -> None:
        """Nothing runs any more."""
        kill_all(OWNER, f"{self._place}:", prefix=True)
        shutil.rmtree(self._place, ignore_errors=True)

    def note(self, instance_id: str, text: str) -> None:
        """For the record."""
        self.events.append((time.time(), instance_id, text))

    def root(self, instance_id: str) -> Path:
        """An instance's own folder."""
        return self._place / instance_id

    def journal(self, instance_id: str) -> str:
        """What its service said."""
        found = self.root(instance_id) / "journal"
        return found.read_text(encoding="utf-8") if found.exists() else ""

    # -- the hypervisor

    def on_start(self, instance_id: str) -> None:
        """Returns once it is up; its user data goes on by itself, as on AWS."""
        instance = self._find(instance_id)
        root = self.root(instance_id)
        root.mkdir()
        with self._lock:
            self._number += 1
            key = f"ASIAWORKER{self._number:010d}"
            doomed, self.doomed = self.doomed > 0, max(0, self.doomed - 1)
        self._endpoint.keys[key] = Caller(instance_id, "node", instance_id)
        url = self._endpoint.add_metadata(instance_id, key, f"secret-{self._number}", self._region)
        self.note(instance_id, "boots")
        if doomed:
            self.power_off(instance_id)
            return
        script = root / "user-data"
        script.write_text(instance.sandbox_user_data, encoding="utf-8")
        environment = {
            "PATH": f"{self._bin}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(root),
            "HOTSTANDBY_ROOT": str(root),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
            OWNER: f"{self._place}:{instance_id}",
        }
        threading.Thread(target=self._run, args=(instance_id, script, environment), daemon=True).start()

    def on_terminate(self, instance_id: str) -> None:
        """A shutdown: the service gets SIGTERM and some time, then everything is dead."""
        root = self.root(instance_id)
        (root / "off").touch()
        end = time.monotonic() + self.stop_seconds
        for pid in self._processes(instance_id):
            if b"consume" in _command(pid):
                _terminate(pid)
        while self._processes(instance_id) and time.monotonic() < end:
            time.sleep(0.05)
        kill_all(OWNER, f"{self._place}:{instance_id}")
        self._endpoint.remove_metadata(instance_id)
        self.note(instance_id, "is gone")

    def on_stop(self, instance_id: str, force: bool) -> None:
        """No group stops its instances."""
        raise NotImplementedError("a worker of a group is ended, never stopped")

    def on_reboot(self, instance_id: str) -> None:
        """No group reboots its instances."""
        raise NotImplementedError("a worker of a group is ended, never rebooted")

    # -- faults

    def power_off(self, instance_id: str) -> None:
        """Its host fails: everything on it is dead at once, and EC2 notices."""
        kill_all(OWNER, f"{self._place}:{instance_id}")
        self._endpoint.status_checks[instance_id] = "impaired"
        self.note(instance_id, "loses power")

    # -- inside

    def _run(self, instance_id: str, script: Path, environment: dict[str, str]) -> None:
        with (script.parent / "console").open("ab") as console:
            done = subprocess.Popen(
                [sys.executable, str(script)], env=environment, cwd=script.parent, stdin=subprocess.DEVNULL,
                stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
            try:
                rc = done.wait(BOOT)
            except subprocess.TimeoutExpired:
                rc = None
        if rc == 0:
            self.note(instance_id, "has its program and works")
            return
        if (script.parent / "off").exists() and self._find(instance_id).sandbox_shutdown == "terminate":
            self.note(instance_id, "could not begin, and ends itself")
            for backend in regions("ec2"):
                with self._endpoint.moto.lock("ec2"):
                    for instance in backend.all_instances():
                        if instance.id == instance_id:
                            ec2.terminate(backend, instance)

    def _find(self, instance_id: str) -> Any:
        for backend in regions("ec2"):
            for instance in backend.all_instances():
                if instance.id == instance_id:
                    return instance
        raise LookupError(instance_id)

    def _processes(self, instance_id: str) -> list[int]:
        return with_environment(OWNER, f"{self._place}:{instance_id}")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, 15)
    except ProcessLookupError:
        pass
