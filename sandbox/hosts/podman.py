# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman as this sandbox uses it: runc, limits that no machine refuses, one line for every failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..paths import CHECKOUT, SandboxError

CONFIGURATION = CHECKOUT / "build" / "hosts" / "containers.conf"
# crun refuses hybrid control groups, and higher limits than the machine's own cannot be given
SETTINGS = """[containers]
default_ulimits = ["nofile=10000:20000", "nproc=10000:10000"]
[engine]
runtime = "runc"
"""
PROGRAMS = ("podman", "runc", "mmdebstrap", "ssh", "ssh-keygen")


def why_not() -> str:
    """Why real hosts cannot be had here; empty when they can."""
    if os.geteuid() != 0:
        return "hosts need root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(missing)} not installed" if missing else ""


def environment() -> dict[str, str]:
    """What podman (Ansible's connection to a host included) must find in its environment."""
    if not CONFIGURATION.exists():
        CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
        CONFIGURATION.write_text(SETTINGS)
    return {"CONTAINERS_CONF": str(CONFIGURATION)}


def podman(*arguments: str, timeout: float = 120, check: bool = True) -> str:
    """Run it and return what it printed. Raises SandboxError."""
    argv = ["podman", *arguments]
    try:
        ran = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **environment()},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"{' '.join(argv[:3])}: {error}") from error
    if check and ran.returncode != 0:
        raise SandboxError(f"{' '.join(argv[:3])}: {' '.join(ran.stderr.split())[-500:]}")
    return ran.stdout.strip()


def there(kind: str, name: str) -> bool:
    """Whether podman has that container, image or network."""
    argv = ["podman", kind, "exists", name]
    return subprocess.run(argv, check=False, env={**os.environ, **environment()}).returncode == 0


def inspect(name: str) -> dict[str, Any]:
    """What podman knows of a container; empty when there is none."""
    found = json.loads(podman("container", "inspect", name, check=False) or "[]")
    return dict(found[0]) if found else {}


def folder(path: Path) -> Path:
    """A directory that every user on a host may write to, as on a shared folder without identities."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    return path
