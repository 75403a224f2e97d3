# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's SSM agent: one process, run as a file with `python -I -S agent.py CONFIG`, stdlib only.

CONFIG is JSON {url, key, instance_id, root, node}; `node` is the value of SANDBOX_NODE. It polls the endpoint, runs
each script with `/bin/sh -c` in a process group of its own and the barest environment, ends that group (and only it:
daemons that left it live on) at the time limit or when cancelled, and reports.

Its faults are read for each command from `<root>/var/sandbox/agent.json`: {slow: seconds, lost: bool}.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from typing import Any

LIMIT = 48_000  # bytes of each output that are reported; the endpoint cuts further


class Agent:
    """Polls and runs. `running` holds the process of each command, or None until it has one."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.root = str(config["root"])
        parts = urllib.parse.urlsplit(str(config["url"]))
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.lock = threading.Lock()
        self.running: dict[str, subprocess.Popen[bytes] | None] = {}
        self.cancelled: set[str] = set()

    def ask(self, path: str, **payload: Any) -> dict[str, Any]:
        """One POST to the endpoint. Raises OSError or ValueError when it does not answer properly."""
        body = json.dumps({"key": self.config["key"], "instance_id": self.config["instance_id"], **payload})
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("POST", f"/_sandbox/agent/{path}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise ValueError(f"{path}: HTTP {response.status}")
            answer = json.loads(text)
            return answer if isinstance(answer, dict) else {}
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def serve(self) -> None:
        """Poll for ever. An endpoint that does not answer is asked again."""
        while True:
            try:
                answer = self.ask("poll")
            except (OSError, ValueError):
                time.sleep(0.2)
                continue
            for command_id in answer.get("cancel") or []:
                self.cancel(str(command_id))
            invocation = answer.get("invocation")
            if invocation:
                faults = self.faults()
                if faults.get("lost"):
                    os._exit(1)  # in mid-command: nobody will ever report it
                threading.Thread(target=self.run, args=(invocation, faults), daemon=True).start()

    def faults(self) -> dict[str, Any]:
        """The agent's own faults at this moment."""
        try:
            with open(os.path.join(self.root, "var", "sandbox", "agent.json"), encoding="utf-8") as handle:
                found = json.load(handle)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def cancel(self, command_id: str) -> None:
        """End a command's process group; it is reported as Cancelled."""
        with self.lock:
            self.cancelled.add(command_id)
            process = self.running.get(command_id)
        if process is not None:
            _end(process)

    def run(self, invocation: dict[str, Any], faults: dict[str, Any]) -> None:
        """Run one command and report it."""
        command_id = str(invocation["command_id"])
        time.sleep(float(faults.get("slow") or 0))
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self.lock:
                process = None
                if command_id not in self.cancelled:
                    # files, not pipes: a daemon that keeps its output open must not hold the command up
                    process = subprocess.Popen(
                        ["/bin/sh", "-c", str(invocation["script"])],
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=err,
                        cwd="/",
                        env=self.environment(invocation.get("env")),
                        start_new_session=True,
                    )
                self.running[command_id] = process
            late = process is not None and self._wait(
                process, float(invocation.get("execution_timeout") or 3600)
            )
            with self.lock:
                self.running.pop(command_id, None)
                cancelled = command_id in self.cancelled
                self.cancelled.discard(command_id)
            rc = -1 if process is None or late or cancelled else process.returncode
            status = "Cancelled" if cancelled else "TimedOut" if late else "Failed" if rc else "Success"
            self.report(command_id, rc, _text(out), _text(err), status)

    def _wait(self, process: subprocess.Popen[bytes], limit: float) -> bool:
        """Wait for the script; True when its time ran out and its process group was killed."""
        handle = os.pidfd_open(process.pid)
        try:
            events = select.poll()  # Popen.wait with a limit only looks, each 50 ms
            events.register(handle, select.POLLIN)
            late = not events.poll(limit * 1000)
        finally:
            os.close(handle)
        if late:
            _end(process)
        process.wait()
        return late

    def environment(self, given: Any) -> dict[str, str]:
        """The barest environment, and where this node's files are."""
        env = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": os.path.join(self.root, "root"),
            # a machine of its own has no root to be told
            **({} if self.root == "/" else {"HOTSTANDBY_ROOT": self.root}),
            "SANDBOX_NODE": str(self.config["node"]),
            **env,
        }

    def report(self, command_id: str, rc: int, stdout: str, stderr: str, status: str) -> None:
        """Tell the endpoint, for as long as it takes."""
        told = False
        while not told:
            told = self._told(command_id=command_id, rc=rc, stdout=stdout, stderr=stderr, status=status)

    def _told(self, **report: Any) -> bool:
        try:
            self.ask("report", **report)
        except (OSError, ValueError):
            time.sleep(0.2)
            return False
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group of a script that has not been waited for yet."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended


def _text(handle: Any) -> str:
    handle.seek(0)
    data: bytes = handle.read(LIMIT)
    return data.decode("utf-8", "replace")


def main() -> None:
    """Run the agent of the node whose configuration file is the only argument."""
    with open(sys.argv[1], encoding="utf-8") as handle:
        config = json.load(handle)
    Agent(config).serve()


if __name__ == "__main__":
    main()
