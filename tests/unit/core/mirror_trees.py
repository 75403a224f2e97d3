# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes' trees on this machine, what they hold, and who watches the files that nothing may overwrite."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import MARKER, WORK, Marker, Report
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror_run import Job, Mirror

OWN = (
    "system/license/a.key",
    "system/license/b.key",
    "system/conf/server.xconf",
    "log/flowsvc.pid",
    "log/x.log",
)
LONG = "あ" * 83 + "n" * 6  # 255 bytes
NAMES = (
    "plain",
    "with space",
    "-leading",
    "--delete",
    "new\nline",
    "注文[1]",
    "a|b",
    "b\\#101",
    "*",
    " ",
    "~",
    LONG,
)


class Trees:
    """Both trees of nodes a (the source) and b, below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for node in "ab":
            self.write(node, "install", "boot/bin/flowsvc", "start")
            self.write(node, "data", "system/conf/server.xconf", f"server {node}")
            self.write(node, "data", f"system/license/{node}.key", f"licence {node}")
            self.write(node, "data", "log/flowsvc.pid", node)
        self.job = Job(
            {"data": (self.path("a", "data"), self.path("b", "data")),
             "install": (self.path("a", "install"), self.path("b", "install"))},
            str(root / "backups"),
        )  # fmt: skip

    def path(self, node: str, tree: str, name: str = "") -> str:
        folder = {"install": "opt warp", "data": "asteria home"}[tree]
        return os.path.join(str(self.root), node, folder, name).rstrip("/")

    def write(self, node: str, tree: str, name: str, text: str | bytes) -> Path:
        path = Path(self.path(node, tree, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def mark(self, node: str, maker: str, epoch: int, pair: str = "p") -> None:
        self.write(node, "data", MARKER, Marker(pair, maker, epoch).text())

    def fill(self) -> None:
        """Names of every kind on the source; on the destination some of them older, and some that must go."""
        for number, name in enumerate(NAMES):
            self.write("a", "data", f"home/{name}", f"new {number}")
            if number % 2:
                self.write("b", "data", f"home/{name}", f"old {number}")
        # files of these names elsewhere are ordinary ones
        self.write("a", "data", "home/app/system/license/A.key", "ordinary")
        self.write("b", "data", "home/app/system/license/B.key", "to be removed")
        self.write("a", "data", "home/app/system/conf/server.xconf", "ordinary")
        self.write("b", "data", "home/stale", "stale")
        self.write("b", "data", "home/gone/deep/file", "stale")
        self.write("b", "data", "system/lib/old.jar", "stale")
        self.write("a", "data", "system/lib/new.jar", "new")
        home = self.path("a", "data", "home")
        os.link(f"{home}/plain", f"{home}/hard")
        os.symlink("/etc/passwd", f"{home}/leaves")
        os.symlink("nowhere", f"{home}/dangling")
        os.mkfifo(f"{home}/fifo")
        os.mkdir(f"{home}/empty")
        with open(f"{home}/sparse", "wb") as handle:
            handle.truncate(1 << 22)
        self.write("a", "install", "server/lib/flow.jar", os.urandom(300_000))
        self.write("b", "install", "server/lib/flow.jar", os.urandom(300_000))
        self.write("b", "install", "server/lib/stale.jar", "stale")

    def mirror(self, run: Any = None, stopped: str = "", **changes: Any) -> Mirror:
        more = {} if run is None else {"run": run}
        return Mirror(replace(self.job, **{"max_delete": 100.0, **changes}), lambda: stopped, **more)

    def sync(self, check: bool = False, **how: Any) -> Report:
        return self.mirror(**how).run(check)

    def state(self, node: str, own: bool = False) -> dict[str, Any]:
        """{path: content and mode} of both trees; with `own` only the node's own files, else only the others."""
        found: dict[str, Any] = {}
        for tree in ("data", "install"):
            root = self.path(node, tree)
            for folder, folders, files in os.walk(root):
                for name in [*folders, *files]:
                    path = os.path.join(folder, name)
                    short = os.path.relpath(path, root)
                    mine = tree == "data" and short in OWN
                    if mine is own and not short.startswith((WORK, MARKER, ".hotstandby-")):
                        found[f"{tree}:{short}"] = look(path)
        return found


def look(path: str) -> tuple[Any, ...]:
    about = os.lstat(path)
    mode = stat.S_IMODE(about.st_mode)
    if stat.S_ISLNK(about.st_mode):
        return "link", os.readlink(path)
    if stat.S_ISREG(about.st_mode):
        return "file", mode, int(about.st_mtime), Path(path).read_bytes()
    return "other", stat.S_IFMT(about.st_mode), mode


WRITES = (
    0x2 | 0x4 | 0xC0 | 0x100 | 0x200 | 0x400 | 0x800
)  # modify, attrib, moved, create, delete, delete and move self


@contextmanager
def witness(*paths: str) -> Iterator[Callable[[], list[tuple[str, int, str]]]]:
    """Watch paths at every instant; yields what tells (path, mask, name) of every write, move or delete so far."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_NONBLOCK)
    assert handle >= 0
    watched = {}
    for path in paths:
        watch = libc.inotify_add_watch(handle, os.fsencode(path), WRITES)
        assert watch >= 0, os.strerror(ctypes.get_errno())
        watched[watch] = path

    def told() -> list[tuple[str, int, str]]:
        found = []
        while True:
            try:
                data = os.read(handle, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                watch, mask, _cookie, length = struct.unpack("iIII", data[:16])
                found.append((watched[watch], mask, data[16 : 16 + length].rstrip(b"\0").decode()))
                data = data[16 + length :]

    try:
        yield told
    finally:
        os.close(handle)
