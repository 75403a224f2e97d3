# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real machine below the guard."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import sys
import syslog
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from ..mounts import unescaped
from ..products.base import Process, ProductError, Ran, Silent
from . import metadata, proc
from .host import StateError

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
FILE = 3.0  # seconds that a file of the product gets to answer; a dead NFS server never does
LOG_LIMIT = 1 << 20  # bytes, then the log is set aside once


def parse_mounts(text: str) -> list[str]:
    """Mount points of a mount table, with its octal escapes undone."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 1:
            found.append(unescaped(fields[1]))
    return found


def _sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Work:
    def __init__(self, work: Callable[[], Any]) -> None:
        self._outcome: list[tuple[bool, Any]] = []
        # a daemon: the process must be able to end while this hangs
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._outcome.append((True, work()))
        except Exception as error:
            self._outcome.append((False, error))

    def get(self, limit: float) -> Any:
        """See Pending."""
        self._thread.join(max(limit, 0.0))
        if not self._outcome:
            raise TimeoutError
        well, value = self._outcome[0]
        if not well:
            raise value
        return value


class RealHost:
    """This machine. `root` prefixes the paths that belong to the machine, `managed` tells that it is an mi-... one."""

    def __init__(self, root: str = "", metadata_url: str = metadata.DEFAULT, managed: bool = False) -> None:
        self.root, self.metadata_url, self.managed = root, metadata_url, managed
        self.spent = 0.0  # seconds in the product's own commands so far

    # -- clock, identity

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(seconds, 0.0))

    def _kernel(self, path: str) -> str:
        # below a root its own file counts; a root without one shares the kernel's
        name = f"{self.root}/{path}"
        try:
            with open(name if os.path.exists(name) else f"/{path}", encoding="utf-8") as handle:
                return handle.read()
        except OSError:
            return ""

    def boot_id(self) -> str:
        return self._kernel("proc/sys/kernel/random/boot_id").strip()

    def uptime(self) -> Optional[float]:
        found = re.search(r"^btime (\d+)$", self._kernel("proc/stat"), re.MULTILINE)
        return max(0.0, time.time() - int(found[1])) if found else None

    def instance_id(self) -> Optional[str]:
        return metadata.instance_id(self.root, self.metadata_url, self.managed)

    def me(self) -> Process:
        pid = os.getpid()
        return Process(pid, os.getpgid(0), proc.started(pid) or 0, sys.executable, tuple(sys.argv))

    def own_group(self) -> None:
        if os.getpgid(0) != os.getpid():
            os.setpgid(0, 0)

    # -- lock

    def try_lock(self, path: str) -> Optional[Any]:
        try:
            os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StateError(f"{path}: {error.strerror or error}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # whoever removed the file meanwhile left us a lock that nobody else would meet
            same = os.path.exists(path) and os.path.samestat(os.fstat(handle), os.stat(path))
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise StateError(f"{path}: {error.strerror or error}") from None
        if not same:
            os.close(handle)
            return None
        return handle

    def unlock(self, handle: Any) -> None:
        try:
            os.close(handle)  # the only descriptor: closing it is what gives the lock back
        except OSError:
            pass

    def write_locked(self, handle: Any, text: str) -> None:
        data = text.encode()
        try:
            # one write that covers the old text: a reader sees the old or the new, or a line it cannot parse
            os.pwrite(handle, data, 0)
            os.ftruncate(handle, len(data))
        except OSError as error:
            raise StateError(f"lock: {error.strerror or error}") from None

    # -- files

    def read(self, path: str) -> Optional[str]:
        try:
            with open(path, encoding="utf-8") as handle:
                return handle.read(1 << 22)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{path}: {getattr(error, 'strerror', None) or error}") from None

    def write(self, path: str, text: str) -> None:
        folder = os.path.dirname(path)
        temporary = ""
        try:
            os.makedirs(folder, mode=0o750, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
            try:
                os.fchmod(handle, 0o640)
                os.write(handle, text.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, path)
            _sync_directory(folder)
        except BaseException as error:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
            if isinstance(error, OSError):
                raise StateError(f"{path}: {error.strerror or error}") from None
            raise

    def remove(self, path: str) -> None:
        try:
            os.unlink(path)
            _sync_directory(os.path.dirname(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"{path}: {error.strerror or error}") from None

    # -- processes and commands

    def started(self, pid: int) -> Optional[int]:
        return proc.started(pid)

    def end(self, pid: int, pgid: int, force: bool) -> None:
        proc.end(pid, pgid, force)

    def processes(self) -> list[Process]:
        return proc.live()

    def run(
        self,
        argv: Sequence[str],
        limit: float,
        env: Optional[Mapping[str, str]] = None,
        user: Optional[str] = None,
        group: str = "new",
    ) -> Ran:
        ran = proc.run(argv, limit, env, user, group)
        self.spent += ran.seconds
        return ran

    def cgroup_pids(self, path: str) -> list[int]:
        found: set[int] = set()
        for base in CGROUPS:
            for folder, _folders, files in os.walk(base + path):
                if "cgroup.procs" in files:
                    try:
                        with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as handle:
                            found.update(int(line) for line in handle)
                    except (OSError, ValueError):
                        continue  # it has just been removed, which means it was empty
        return sorted(pid for pid in found if pid and proc.started(pid) is not None)

    def real_path(self, path: str) -> str:
        try:
            return str(self.background(lambda: os.path.realpath(path)).get(FILE))
        except TimeoutError:
            return path

    def is_program(self, path: str) -> bool:
        look = self.background(lambda: os.path.isfile(path) and os.access(path, os.X_OK))
        try:
            return bool(look.get(FILE))
        except TimeoutError:
            return False

    def noted(self, path: str) -> Optional[tuple[str, float]]:
        def read() -> tuple[str, float]:
            with open(path, encoding="utf-8", errors="replace") as handle:
                return handle.read(4096), time.time() - os.fstat(handle.fileno()).st_mtime

        try:
            found: tuple[str, float] = self.background(read).get(FILE)
            return found
        except TimeoutError:
            raise Silent(f"{path} did not answer within {FILE:.0f} s") from None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ProductError(f"{path}: {error.strerror or error}") from None

    def age(self, process: Process) -> Optional[float]:
        if proc.started(process.pid) != process.started:
            return None
        return proc.age(process.started)

    def signal(self, process: Process, force: bool) -> None:
        proc.end_exactly(process, force)

    # -- mounts

    def mounts(self) -> Sequence[str]:
        path = f"{self.root}/proc/mounts" if self.root else "/proc/self/mounts"
        text = self.read(path)
        if text is None:
            raise StateError(f"{path}: there is no mount table")
        return parse_mounts(text)

    def free(self, path: str) -> Optional[int]:
        try:
            found = os.statvfs(path)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    # -- the rest

    def background(self, work: Callable[[], Any]) -> _Work:
        return _Work(work)

    def on_terminal(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    def user(self) -> str:
        for name in ("SUDO_USER", "LOGNAME", "USER"):
            if os.environ.get(name):
                return os.environ[name]
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"uid {os.getuid()}"

    def log(self, text: str) -> None:
        line = " ".join(text.split())
        path = f"{self.root}/var/log/hotstandby/guard.log"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.exists(path) and os.path.getsize(path) > LOG_LIMIT:
                os.replace(path, f"{path}.1")
            with open(path, "a", encoding="utf-8") as handle:
                handle.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
        except OSError:
            pass  # a full disk must not stop a stop
        if not self.root:
            syslog.syslog(syslog.LOG_NOTICE, f"hotstandby: {line}")
