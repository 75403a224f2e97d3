# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this machine can carry the node command, asked before anything is written. Prints one JSON object.

Arguments: the controller's time (epoch seconds), whether boto3 must be there (yes or no), then every directory that will be
written to. Runs on any Python 3, so that it can say that a Python is too old.
"""
# ruff: noqa: UP031, UP036, RUF005

import json
import os
import shutil
import sys
import time

NEEDED = 16 << 20  # bytes
SKEW = 240  # seconds; AWS refuses what is signed more than five minutes off


def parent_of(path):
    """The nearest directory that is there already."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path


def trouble_of(path):
    """Why nothing can be written below that directory; empty when it can."""
    at = parent_of(path)
    probe = os.path.join(at, ".hotstandby-probe-%d" % os.getpid())
    try:
        with open(probe, "w") as handle:
            handle.write("x" * 4096)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        return "%s cannot be written to (%s): mend that" % (at, error.strerror or error)
    finally:
        if os.path.exists(probe):
            os.unlink(probe)
    free = shutil.disk_usage(at).free
    if free < NEEDED:
        return "%s has only %d KiB free: make room for %d MiB" % (at, free >> 10, NEEDED >> 20)
    return ""


def problems(now, boto3, paths):
    """Every reason against it, for people."""
    found = []
    here = "%s on this host" % sys.executable
    advice = "set hotstandby_python, or set hotstandby_boto3 to venv"
    if sys.version_info < (3, 9):
        found.append("%s is Python %d.%d, 3.9 is needed: %s" % ((here,) + sys.version_info[:2] + (advice,)))
    elif boto3:
        try:
            import boto3 as _found  # noqa: F401
        except ImportError:
            found.append("%s has no boto3: install python3-boto3, or %s" % (here, advice))
    off = time.time() - now
    if abs(off) > SKEW:
        way = "ahead of" if off > 0 else "behind"
        found.append(
            "its clock is %d s %s the controller's, and AWS refuses calls that are off by 300 s: set the clock (chrony)"
            % (abs(off), way)
        )
    for trouble in [trouble_of(path) for path in paths]:
        if trouble and trouble not in found:
            found.append(trouble)
    return found


if __name__ == "__main__":
    print(json.dumps({"problems": problems(float(sys.argv[1]), sys.argv[2] == "yes", sys.argv[3:])}))
