# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built command on a bucket of any number of keys, and the memory that it takes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("endless.py")


@contextlib.contextmanager
def endless(count: int) -> Iterator[str]:
    """The address of an S3 with so many keys, in a process of its own."""
    server = subprocess.Popen([sys.executable, str(SERVER), str(count)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.communicate()


def started(program: Path, url: str, *words: str, stderr: Any) -> subprocess.Popen[str]:
    env = {
        "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "secret",
        "LC_ALL": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    argv = [sys.executable, str(program), "requeue", "--bucket", "requests", "--region", "eu-west-1"]
    return subprocess.Popen(
        [*argv, "--endpoint-url", url, *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        text=True,
    )  # fmt: skip


def peak(program: Path, count: int, *words: str) -> int:
    """The most memory that a run over so many keys has used, in KiB."""
    with endless(count) as url:
        process = started(program, url, *words, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        told = json.loads(process.stdout.read())
        assert process.stderr.read() == ""  # as under cron
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, told["requeued"], told["failed"]) == (0, count, 0), told
    return used.ru_maxrss
