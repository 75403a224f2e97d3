# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's way in to the hosts: ssh with a key that only this sandbox knows, and host keys that are checked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ..paths import Layout, SandboxError
from .host import Host

USERS = {"root": "/root", "keeper": "/home/keeper"}
# a host that lost its power must not be waited for through the connection that is kept open to it
OPTIONS = "-o StrictHostKeyChecking=yes -o ServerAliveInterval=3 -o ServerAliveCountMax=3 -o ControlMaster=auto -o ControlPersist=60s"


def key(layout: Layout) -> Path:
    """The private key, made when it is not there."""
    path = layout.state / "ssh" / "id"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sandbox", "-f", str(path)]
        try:
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxError(f"ssh-keygen: {error}") from error
    return path


def known(layout: Layout) -> Path:
    """The known_hosts of this sandbox."""
    return layout.state / "ssh" / "known_hosts"


def admit(layout: Layout, host: Host) -> None:
    """Let the key in, and remember the host by its own key. Raises SandboxError."""
    public = key(layout).with_suffix(".pub").read_text().strip()
    for user, home in USERS.items():
        script = (
            'mkdir -p "$0/.ssh" && printf "%s\\n" "$1" >"$0/.ssh/authorized_keys" && chmod -R go= "$0/.ssh"'
        )
        code, said = host.run("sh", "-c", script, home, public, user=user)
        if code != 0:
            raise SandboxError(f"{host.name} does not take the key of {user}: {said.strip()[-200:]}")
    code, said = host.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    if code != 0:
        raise SandboxError(f"{host.name} has no host key: {said.strip()[-200:]}")
    with known(layout).open("a") as out:
        out.write(f"{host.address} {' '.join(said.split()[:2])}\n")


def variables(layout: Layout, host: Host) -> dict[str, Any]:
    """What Ansible needs to reach it."""
    return {
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_host": host.address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key(layout)),
        "ansible_ssh_args": f"{OPTIONS} -o UserKnownHostsFile={known(layout)}",
        # a socket's name must be short, wherever the checkout is
        "ansible_control_path_dir": str(layout.state / "ssh"),
        "ansible_ssh_pipelining": True,
        "ansible_ssh_retries": 2,
    }
