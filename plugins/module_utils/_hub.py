# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HULFT-HUB modules share: their options, and the product's commands run within a time limit."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ._ansible import ModuleFailure, one_line
from .products.hub import judge_status

HUB_OPTIONS: dict[str, Any] = {
    "exe": {"type": "path", "required": True},
    "etc": {"type": "path", "required": True},
    "user": {"type": "str"},
}
# exit codes by which the product says that the question was wrong: nothing is known of the service
BROKEN_CHECK = {12: "environment", 102: "arguments", 250: "rights"}
GRACE = 3  # seconds the product may take longer than the limit it was given, before it counts as hung


@dataclass(frozen=True)
class Ran:
    """One command that ended or was ended. `rc` is None when it had to be killed; times in seconds."""

    rc: Optional[int]
    stdout: str
    stderr: str
    seconds: float


def _identity(user: Optional[str]) -> dict[str, Any]:
    """Popen's arguments to run as another user; empty when it is ourselves."""
    if user is None:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ModuleFailure(f"user: there is no user '{user}' on this host") from None
    if entry.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise ModuleFailure(f"user: only root can run the product's commands as '{user}'; use become")
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def run_hub(params: Mapping[str, Any], command: Sequence[str], limit: float) -> Ran:
    """Run one of the product's commands; after `limit` seconds its whole process group is ended.

    `command` is the name of a file in `exe` and its arguments. Errors: ModuleFailure.
    """
    program = os.path.join(params["exe"], command[0])
    if not os.path.isfile(program):
        raise ModuleFailure(f"exe: {program} does not exist on this host")
    environment = {**os.environ, "HULHUBEXE": params["exe"], "HULHUBETC": params["etc"]}
    begin = time.monotonic()
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            **_identity(params["user"]),
        )
    except OSError as error:
        raise ModuleFailure(f"exe: {program} cannot be run: {error.strerror or error}") from None
    try:
        out, err = process.communicate(timeout=limit)
        rc: Optional[int] = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        rc = None
    return Ran(rc, out, err, round(time.monotonic() - begin, 3))


def ask_status(params: Mapping[str, Any], timeout: int) -> dict[str, Any]:
    """Ask the product whether it runs: {running, state, rc, stdout, seconds}. Errors: ModuleFailure."""
    if not 10 <= timeout <= 60:
        raise ModuleFailure(f"timeout: must be from 10 to 60 seconds, not {timeout}")
    ran = run_hub(params, ["hubcluster", "-status", "-timeout", str(timeout)], timeout + GRACE)
    if ran.rc in BROKEN_CHECK:
        said = one_line(ran.stderr or ran.stdout)
        raise ModuleFailure(
            f"hubcluster -status complains of its {BROKEN_CHECK[ran.rc]} (exit code {ran.rc}): mend exe, etc or user"
            + (f"; it says: {said}" if said else ""),
            rc=ran.rc,
        )
    state = judge_status(ran.rc, ran.rc is None)
    return {
        "running": state == "running",
        "state": state,
        "rc": ran.rc,
        "stdout": ran.stdout,
        "seconds": ran.seconds,
    }
