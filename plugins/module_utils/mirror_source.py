# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy asks of the side it copies from, over ssh or on this host: one shell script, one answer. Changes nothing."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from .mirror import MARKER, MirrorError, Place
from .products.base import Process
from .products.warp import is_ours, is_query, is_stop

# prints "word value" lines; what may hold anything is in hexadecimal. Paths come as quoted assignments before it
SCRIPT = r"""
LC_ALL=C; export LC_ALL
hex() { od -An -v -tx1 | tr -d ' \n'; }
chain() {
  here=$(cd -- "$1" 2>/dev/null && pwd -P) || return 0
  set -- "$here"
  while [ "$here" != / ]; do
    here=${here%/*}; here=${here:-/}
    set -- "$@" "$here"
  done
  stat -c %d:%i -- "$@" | tr '\n' ' '
}
filled() { for name in "$1"/* "$1"/.[!.]* "$1"/..?*; do [ -e "$name" ] || [ -L "$name" ] && return; done; return 1; }
if [ -z "$brief" ]; then
  read -r boot < /proc/sys/kernel/random/boot_id; echo "boot $boot"
  echo "rsync $(rsync --version 2>/dev/null | tr '\n' ' ')"
  for tree in install data; do
    eval "path=\$$tree"
    [ -n "$path" ] || continue
    echo "chain $tree $(chain "$path")"
    [ -d "$path/" ] && echo "real $tree $(cd -- "$path" && pwd -P | hex)"
    eval "looks=\$looks_$tree"
    for name in $looks; do [ -e "$path/$name" ] && echo "looks $tree"; done
    filled "$path" && echo "filled $tree"
  done
  for name in $parents; do
    [ -L "$data/$name" ] && echo "link $name"
    [ -e "$data/$name" ] && [ ! -d "$data/$name" ] && echo "odd $name"
  done
fi
if [ -n "$data" ] && [ -e "$data/$marker" ]; then
  if text=$(cat -- "$data/$marker" 2>/dev/null | hex) && [ -n "$text" ]; then echo "marker $text"; else echo "marker 00"; fi
fi
[ -n "$data" ] && [ -e "$data/$work" ] && echo "unfinished yes"
[ -n "$token" ] && [ -n "$data" ] && [ -e "$data/$token" ] && echo "token yes"
node=$(sed -n 's/^ *"node": *"\([A-Za-z0-9._-]*\)".*/\1/p' "$config" 2>/dev/null | head -n 1)
[ -n "$node" ] && echo "node $node"
if [ -n "$install" ]; then
  real=$(cd -- "$install" 2>/dev/null && pwd -P) || real=$install
  [ -n "$brief" ] && echo "real install $(printf %s "$real" | hex)"
  {
    grep -lsF -e "$install/" -e "$real/" /proc/[0-9]*/cmdline | sed 's,^/proc/\([0-9]*\)/.*,\1,'
    ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F -e " $install/" -e " $real/" | sed 's,.*/proc/\([0-9]*\)/exe.*,\1,'
  } | sort -u | while read -r pid; do
    echo "process $pid $(readlink "/proc/$pid/exe" 2>/dev/null | tr -d '\n' | hex) $(hex < "/proc/$pid/cmdline")"
  done 2>/dev/null
fi
echo "end"
"""
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,253}\Z|[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]+)?\Z")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?\Z")


@dataclass(frozen=True)
class Seen:
    """A source as it was found. Paths are real ones; `filled` and `looks` name trees; `running` are Warp's processes."""

    boot: str
    rsync: str
    places: dict[str, Place]
    looks: frozenset[str]
    filled: frozenset[str]
    links: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    marker: Optional[str] = None
    node: Optional[str] = None
    unfinished: bool = False
    token: bool = False
    running: tuple[int, ...] = ()


def _unhex(word: str) -> str:
    return os.fsdecode(bytes.fromhex(word))


def _process(words: Sequence[str]) -> Process:
    exe, line = (words[1], words[2]) if len(words) > 2 else ("", words[-1])
    argv = bytes.fromhex(line).split(b"\0")[:-1] if len(words) > 1 else []
    return Process(int(words[0]), 0, 0, _unhex(exe), tuple(os.fsdecode(word) for word in argv))


def parse_seen(text: str, paths: dict[str, str], option: str = "source") -> Seen:
    """The script's answer for {tree: path}. Raises MirrorError when it is not complete."""
    lines = [line.split(" ") for line in text.split("\n") if line]
    if not lines or lines[-1] != ["end"]:
        raise MirrorError(f"{option}: the source gave no whole answer", code="sync_source")
    one: dict[str, str] = {}
    many: dict[str, list[list[str]]] = {}
    for word, *rest in lines:
        one.setdefault(word, " ".join(rest))
        many.setdefault(word, []).append(rest)
    chains = {rest[0]: tuple(part for part in rest[1:] if part) for rest in many.get("chain", [])}
    reals = {rest[0]: _unhex(rest[1]).rstrip("\n") for rest in many.get("real", []) if len(rest) > 1}
    places = {
        tree: Place(f"{option}_{tree}_dir", reals.get(tree, path), chains.get(tree, ()))
        for tree, path in paths.items()
    }
    within = tuple({path.rstrip("/") + "/" for path in (paths.get("install"), reals.get("install")) if path})
    found = [_process(rest) for rest in many.get("process", [])]
    running = [
        item.pid
        for item in found
        if is_ours(item, within) and not is_query(item.argv) and not is_stop(item.argv)
    ]
    marker = _unhex(one["marker"]) if "marker" in one else None
    return Seen(
        boot=one.get("boot", ""),
        rsync=one.get("rsync", ""),
        places=places,
        looks=frozenset(rest[0] for rest in many.get("looks", [])),
        filled=frozenset(rest[0] for rest in many.get("filled", [])),
        links=tuple(rest[0] for rest in many.get("link", [])),
        odd=tuple(rest[0] for rest in many.get("odd", [])),
        marker=marker,
        node=one.get("node"),
        unfinished="unfinished" in one,
        token="token" in one,
        running=tuple(running),
    )


@dataclass(frozen=True)
class Source:
    """Where a copy comes from. `host` is empty for this one; `ssh` are further words of the ssh command."""

    host: str = ""
    user: str = ""
    ssh: tuple[str, ...] = ()
    control: str = ""  # path of the socket by which one connection serves every call; empty for none
    limit: float = 60.0

    def check(self) -> None:
        """Raises MirrorError for a name that ssh or rsync would read as something else."""
        if self.host and not HOST.match(self.host):
            raise MirrorError(f"source_host: '{self.host}' is no host name or address", code="bad_option")
        if self.user and not USER.match(self.user):
            raise MirrorError(f"source_user: '{self.user}' is no user name", code="bad_option")
        if self.user and not self.host:
            raise MirrorError("source_user: belongs to source_host", code="bad_option")

    def remote(self) -> str:
        """rsync's --rsh; empty for this host."""
        return shlex.join(self._ssh()) if self.host else ""

    def _ssh(self) -> list[str]:
        words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10"]
        words += ["-o", "ServerAliveCountMax=3"]
        if self.control:
            words += [
                "-o",
                "ControlMaster=auto",
                "-o",
                f"ControlPath={self.control}",
                "-o",
                "ControlPersist=30",
            ]
        return [*words, *self.ssh]

    def spell(self, path: str) -> str:
        """A directory of the source as rsync's argument."""
        if not self.host:
            return path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{path}" if self.user else f"{host}:{path}"

    def _command(self) -> list[str]:
        if not self.host:
            return ["sh", "-s"]
        return [*self._ssh(), "--", self._who(), "sh -s"]

    def _who(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    def look(
        self,
        paths: dict[str, str],
        looks: dict[str, tuple[str, ...]],
        parents: Sequence[str] = (),
        token: str = "",
        work: str = "",
        config: str = "/etc/hotstandby/pair.json",
        brief: bool = False,
    ) -> Seen:
        """Ask the source about {tree: path}; `brief`: only what may change during a copy. Raises MirrorError."""
        given = {
            "install": paths.get("install", ""),
            "data": paths.get("data", ""),
            **{f"looks_{tree}": " ".join(names) for tree, names in looks.items()},
            # names of our own choice or without blanks: the shell splits them
            "parents": " ".join(name for name in parents if " " not in name),
            "marker": MARKER,
            "token": token,
            "work": work,
            "config": config,
            "brief": "yes" if brief else "",
        }
        head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())
        where = f"source_host: {self.host}" if self.host else "the source"
        try:
            done = subprocess.run(
                self._command(),
                input=os.fsencode(head + SCRIPT),
                capture_output=True,
                timeout=self.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MirrorError(f"{where}: no answer within {self.limit:.0f} s", code="sync_source") from None
        except OSError as error:
            raise MirrorError(
                f"{where}: cannot be asked: {error.strerror or error}", code="sync_source"
            ) from None
        if done.returncode != 0:
            said = " ".join(os.fsdecode(done.stderr).split())[-300:] or f"exit code {done.returncode}"
            raise MirrorError(f"{where}: cannot be asked: {said}", code="sync_source")
        return parse_seen(os.fsdecode(done.stdout), paths)

    def close(self) -> None:
        """End the connection that calls shared; never fails."""
        if not (self.host and self.control):
            return
        try:
            subprocess.run(
                [*self._ssh(), "-O", "exit", "--", self._who()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            pass
