# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy of both trees costs beside the same rsync by hand, and beside ansible.posix.synchronize.

    python benchmarks/sync/run.py [--files N] [--rounds N] [--ssh | --host NAME] [--synchronize]

Local by default; `--ssh` copies from this machine's own trees over ssh from itself, by an ssh daemon of its own on a free
loopback port with a key of its own; `--host NAME` by one that is there (NAME has to be this machine). Each figure is the
median of the rounds, taken alternately.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import Job, Mirror  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_source import Source  # noqa: E402


def fill(root: Path, count: int) -> None:
    """A source of `count` files of 0.1 to 8 KiB in 200 directories, and a destination with its own identity."""
    rng = random.Random(1)
    for node in "ab":
        for name in ("system/conf/server.xconf", f"system/license/{node}.key"):
            path = root / node / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(node)
        start = root / node / "install" / "boot" / "bin" / "flowsvc"
        start.parent.mkdir(parents=True, exist_ok=True)
        start.write_text("start")
    block = rng.randbytes(8192)
    for number in range(count):
        path = root / "a" / "data" / "home" / f"folder{number % 200}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(block[: rng.randrange(100, 8192)])


def empty(root: Path) -> None:
    shutil.rmtree(root / "b" / "data" / "home", ignore_errors=True)


def change(root: Path, count: int, turn: int) -> None:
    """One file in a hundred changes."""
    for number in range(turn % 100, count, 100):
        path = root / "a" / "data" / "home" / f"folder{number % 200}" / f"file{number}"
        path.write_bytes(os.urandom(1000))


SSH: list[str] = []  # further arguments of ssh


@contextlib.contextmanager
def daemon() -> Iterator[None]:
    """An ssh daemon on a free loopback port that lets in the key made for it, until the end."""
    # sbin is in no user's PATH; an unpacked one that is not installed may be in it
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        sys.exit("--ssh: there is no sshd here (package openssh-server)")
    with (
        tempfile.TemporaryDirectory(prefix="hotstandby-ssh-") as folder,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        port = free.getsockname()[1]
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"], check=True
            )
        settings = {
            "ListenAddress": f"127.0.0.1:{port}", "HostKey": f"{folder}/host", "AuthorizedKeysFile": f"{folder}/user.pub",
            "StrictModes": "no", "UsePAM": "no", "PasswordAuthentication": "no", "PidFile": "none",
        }  # fmt: skip
        Path(folder, "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        free.close()
        running = subprocess.Popen([program, "-D", "-e", "-f", f"{folder}/config"], stderr=subprocess.DEVNULL)
        SSH[:] = ["-p", str(port), "-i", f"{folder}/user", "-o", f"UserKnownHostsFile={folder}/known"]
        SSH.extend(["-o", "StrictHostKeyChecking=accept-new"])
        try:
            argv = ["ssh", *SSH, "-o", "BatchMode=yes", "127.0.0.1", "true"]
            until = time.monotonic() + 30
            while subprocess.run(argv, capture_output=True, check=False).returncode != 0:
                if time.monotonic() > until or running.poll() is not None:
                    sys.exit("--ssh: the daemon did not answer")
                time.sleep(0.1)
            yield
        finally:
            running.terminate()
            running.wait()


def ours(root: Path, host: str) -> float:
    """What warp_sync does within one module's process; Python's own start is what any module of Ansible pays."""
    trees = {name: (f"{root}/a/{name}", f"{root}/b/{name}") for name in ("data", "install")}
    source = Source(host, ssh=tuple(SSH), control=f"{root}/ssh" if host else "")
    job = Job(trees, f"{root}/backups", source, max_delete=100.0)
    begun = time.monotonic()
    Mirror(job, lambda: "").run()
    return time.monotonic() - begun


def by_hand(root: Path, host: str) -> float:
    """The same runs with the same options, as somebody would type them."""
    excludes = ["system/license/*", "system/conf/server.xconf", "log/"]
    found = []
    for name in ("install", "data"):
        words = ["-rlptgoHSAX", "--modify-window=-1", "--no-devices", "--no-specials", "--delete-delay"]
        words += ["-e", shlex.join(["ssh", *SSH, "-o", "BatchMode=yes"])] if host else []
        words += ["--backup", f"--backup-dir={root}/by-hand", *(f"--exclude=/{item}" for item in excludes)]
        source = f"{host}:{root}/a/{name}/" if host else f"{root}/a/{name}/"
        found.append(["rsync", *words, source, f"{root}/b/{name}/"])
    return seconds(found)


def synchronize(root: Path, host: str) -> float:
    tool = str(Path(sys.executable).parent / "ansible")
    found = []
    where = host or "localhost"
    words = ["-i", f"{where},", where, "-m", "ansible.posix.synchronize"]
    words += ["-c", "ssh", "--ssh-extra-args", shlex.join(SSH)] if host else ["-c", "local"]
    for name in ("install", "data"):
        given = {
            "src": f"{root}/a/{name}/", "dest": f"{root}/b/{name}/", "delete": True, "mode": "pull" if host else "push",
            "rsync_opts": ["--exclude=/system/", "--exclude=/log/"], **({"ssh_connection_multiplexing": True} if host else {}),
        }  # fmt: skip
        if host:
            # it has no option for the port of a host that the inventory does not know
            given |= {"dest_port": int(SSH[1]), "private_key": SSH[3], "verify_host": False} if SSH else {}
        found.append([tool, *words, "-a", json.dumps(given)])
    return seconds(found)


def seconds(commands: list[list[str]]) -> float:
    begun = time.monotonic()
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.monotonic() - begun


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--files", type=int, default=20000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--host", default="")
    words.add_argument("--ssh", action="store_true")
    words.add_argument("--synchronize", action="store_true")
    given = words.parse_args()
    ways: dict[str, Callable[[Path, str], float]] = {"rsync by hand": by_hand, "warp_sync": ours}
    if given.synchronize:
        ways["synchronize"] = synchronize
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hotstandby-sync-")))
        if given.ssh:
            stack.enter_context(daemon())
            given.host = "127.0.0.1"
        fill(root, given.files)
        print(
            f"{given.files} files, {'over ssh to ' + given.host if given.host else 'local'}, median of {given.rounds}"
        )
        turn = 0
        for case in ("first copy", "no change", "1 % changed"):
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _round in range(given.rounds):
                for name, way in ways.items():
                    turn += 1
                    if case == "first copy":
                        empty(root)
                    elif case == "1 % changed":
                        change(root, given.files, turn)
                    taken[name].append(way(root, given.host))
            base = statistics.median(taken["rsync by hand"])
            for name, found in taken.items():
                middle = statistics.median(found)
                print(f"{case:12} {name:14} {middle:7.2f} s  {middle / base:5.2f} x")


if __name__ == "__main__":
    main()
