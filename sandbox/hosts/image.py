# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a host: a minimal distribution with systemd, made here and kept below build/hosts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

from ..paths import CHECKOUT, SandboxError
from .podman import podman, there

CACHE = CHECKOUT / "build" / "hosts"
MIRROR = "http://deb.debian.org/debian"
SUITES = ("bookworm", "bullseye", "trixie")  # Debian 12, 11 and 13
DEFAULT = {"hub-a": "bookworm", "hub-b": "trixie"}
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-boto3,rsync,cron,logrotate,sudo,openssh-server,procps,iproute2,nginx-light,faketime"
AGENT = """[Unit]
Description=The sandbox's SSM agent
After=network.target
[Service]
ExecStart=/usr/bin/python3 -I -S /opt/agent/agent.py /var/sandbox/agent-config.json
Restart=always
RestartSec=1
# as the real agent's unit: what a command started lives on when the agent ends
KillMode=process
[Install]
WantedBy=multi-user.target
"""
# a service of the distribution must not run before somebody wants it, and a container has no console to wait for
HOOK = """set -eu
chroot "$1" useradd --system --create-home --uid 990 hulft
chroot "$1" useradd --create-home --uid 1990 --password '*' --shell /bin/sh keeper
printf 'UsePAM no\nPasswordAuthentication no\n' >"$1"/etc/ssh/sshd_config.d/sandbox.conf
chroot "$1" systemctl disable nginx.service
chroot "$1" systemctl enable amazon-ssm-agent.service
chroot "$1" systemctl mask systemd-udevd.service getty.target apt-daily.timer apt-daily-upgrade.timer \
  dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/var/cache/apt "$1"/var/lib/apt/lists
"""


def suite_of(name: str) -> str:
    """The distribution of a host. HOTSTANDBY_SUITES names others, as `hub-a=bookworm,hub-b=trixie`."""
    given = dict(
        item.partition("=")[::2] for item in os.environ.get("HOTSTANDBY_SUITES", "").split(",") if item
    )
    return given.get(name) or DEFAULT.get(name, SUITES[0])


def key(suite: str) -> str:
    """What the image depends on, in short."""
    facts = [MIRROR, suite, PACKAGES, AGENT, HOOK]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def image(suite: str) -> str:
    """The image's name; it is made when it is not there (a minute or two). Raises SandboxError."""
    if suite not in SUITES:
        raise SandboxError(f"there is no image of {suite!r} (there are {', '.join(SUITES)})")
    name = f"localhost/hotstandby-host:{key(suite)}"
    if there("image", name):
        return name
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{suite}-{key(suite)}.tar"
    if not archive.exists():
        _make(archive, suite)
    podman("import", "--quiet", str(archive), name, timeout=600)
    return name


def _make(archive: Path, suite: str) -> None:
    unit = CACHE / "amazon-ssm-agent.service"
    unit.write_text(AGENT)
    hook = CACHE / "customize.sh"
    hook.write_text(HOOK)
    half = archive.with_suffix(".half.tar")
    half.unlink(missing_ok=True)
    argv = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        f"--customize-hook=copy-in {unit} /etc/systemd/system",
        f'--customize-hook=sh {hook} "$1"',
        suite,
        str(half),
        MIRROR,
    ]
    with (CACHE / "image.log").open("wb") as log:
        try:
            ran = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=900, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxError(f"mmdebstrap: {error}") from error
    if ran.returncode != 0:
        raise SandboxError(f"mmdebstrap ended with {ran.returncode}, see {CACHE / 'image.log'}")
    half.rename(archive)
