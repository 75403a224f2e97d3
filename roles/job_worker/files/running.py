# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes are this worker, and their end. Prints one JSON object.

Arguments: the worker's program; with seconds behind it they get SIGTERM (the message in work is finished or given back), and
are waited for. Exits with 1 when one of them outlasts that: nothing is killed here.
"""
# ruff: noqa: UP031

import json
import os
import signal
import sys
import time


def read(pid, name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as handle:
            return handle.read()
    except OSError:
        return b""  # it has ended meanwhile


def workers(program):
    """{pid: its parent} of those that run `consume` of that program; a worker has a keeper beside it, its child."""
    found = {}
    wanted = b"\0%s\0consume\0" % os.fsencode(program)
    for pid in os.listdir("/proc"):
        if pid.isdigit() and wanted in read(pid, "cmdline"):
            stat = read(pid, "stat").rpartition(b") ")[2].split()
            if stat and stat[0] not in (b"Z", b"X"):
                found[int(pid)] = int(stat[1])
    return found


def main(program, seconds=None):
    found = workers(program)
    first = sorted(pid for pid, parent in found.items() if parent not in found)
    if seconds is None or not found:
        print(json.dumps({"running": first}))
        return 0
    for pid in first:
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            pass  # it has ended meanwhile
    end = time.monotonic() + float(seconds)
    while workers(program) and time.monotonic() < end:
        time.sleep(0.1)
    left = sorted(workers(program))
    print(json.dumps({"running": left}))
    if left:
        sys.stderr.write("process %s was told to end and still runs after %s s; nothing was removed\n"
                         % (", ".join(map(str, left)), seconds))  # fmt: skip
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
