# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real host: locks, groups, files and processes of this machine."""

from __future__ import annotations

import getpass
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import metadata, proc
from ansible_collections.hotstandby.ops.plugins.module_utils.node.host import StateError
from ansible_collections.hotstandby.ops.plugins.module_utils.node.real import RealHost, parse_mounts
from ansible_collections.hotstandby.ops.plugins.module_utils.node.state import State
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import ProductError

BASE = "ansible_collections.hotstandby.ops.plugins.module_utils.node"
# seconds that no other run of these tests sleeps, so that its processes are told apart
UNIQUE = f".{os.getpid()}"

HOLD = f"""
import sys, time
from {BASE}.real import RealHost
from {BASE}.state import State
host = RealHost(sys.argv[1]); host.own_group()
state = State(host, sys.argv[1], "p")
handle = state.take()
state.sign(handle, "start", 7)
print("held", flush=True)
"""


@pytest.fixture
def spawn() -> Iterator[Any]:
    """Start Python code with the core on its path; it is ended with its group afterwards."""
    begun: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        argv = [sys.executable, "-c", code, *arguments]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)
        begun.append(process)
        assert process.stdout is not None and process.stdout.readline().strip()
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(done: Any, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(done())


def test_a_lock_is_exclusive_signed_and_dies_with_its_process(tmp_path: Path, spawn: Any) -> None:
    process = spawn(HOLD + "time.sleep(60)", str(tmp_path))
    state = State(RealHost(str(tmp_path)), str(tmp_path), "p")
    assert state.take() is None
    holder = state.holder()
    assert holder is not None and (holder.pid, holder.pgid, holder.verb, holder.epoch) == (
        process.pid, process.pid, "start", 7,
    )  # fmt: skip
    process.kill()
    process.wait()
    handle = state.take()
    assert handle is not None and state.holder() is None  # the stale name is not believed
    state.release(handle)
    assert Path(state.lock_path).read_text() == ""


def test_no_child_inherits_the_lock(tmp_path: Path, spawn: Any) -> None:
    code = HOLD + "import subprocess; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    process = spawn(code, str(tmp_path))
    state = State(RealHost(str(tmp_path)), str(tmp_path), "p")
    assert until(lambda: len([item for item in proc.live() if item.pgid == process.pid]) == 2)
    os.kill(process.pid, signal.SIGKILL)  # alone: the child lives on
    process.wait()
    left = [item for item in proc.live() if item.pgid == process.pid]
    handle = state.take()
    for item in left:
        proc.end(item.pid, 0, force=True)
    assert len(left) == 1 and handle is not None
    state.release(handle)


def test_ending_a_start_ends_what_it_began_but_not_what_left_its_group(tmp_path: Path, spawn: Any) -> None:
    code = (
        HOLD
        + f"""
host.run(["/bin/sh", "-c", "setsid sleep 61{UNIQUE} & sleep 62{UNIQUE}"], 60, group="own") if len(sys.argv) > 1 else None
# {tmp_path}
"""
    )
    process = spawn(code, str(tmp_path))

    def sleeping(seconds: str) -> list[int]:
        return [item.pid for item in proc.live() if item.argv == ("sleep", seconds + UNIQUE)]

    assert until(lambda: sleeping("61") and sleeping("62"))
    daemon = sleeping("61")
    try:
        host = RealHost(str(tmp_path))
        holder = State(host, str(tmp_path), "p").holder()
        assert holder is not None
        os.kill(process.pid, signal.SIGSTOP)  # even frozen
        assert until(lambda: ") T " in Path(f"/proc/{process.pid}/stat").read_text())
        host.end(holder.pid, holder.pgid, force=False)
        assert not until(lambda: process.poll() is not None, 0.3)
        host.end(holder.pid, holder.pgid, force=True)
        process.wait(5)
        assert until(lambda: not sleeping("62")) and sleeping("61") == daemon
    finally:
        for pid in daemon:
            proc.end(pid, 0, force=True)


def test_a_pid_with_another_start_time_is_nobody(tmp_path: Path) -> None:
    host = RealHost(str(tmp_path))
    state = State(host, str(tmp_path), "p")
    handle = state.take()
    state.sign(handle, "start", 7)
    assert state.holder() is not None
    named = json.loads(Path(state.lock_path).read_text())
    host.write_locked(handle, json.dumps({**named, "started": named["started"] + 1}))
    assert state.holder() is None
    state.release(handle)


def test_our_own_group_is_never_signalled() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        proc.end(process.pid, os.getpgid(0), force=True)
        assert process.wait(5) == -signal.SIGKILL
    finally:
        process.kill()


def test_files_are_replaced_whole_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    host = RealHost(str(tmp_path))
    path = tmp_path / "state" / "seen"
    host.write(str(path), "7\n")
    assert synced == [False, True]
    assert path.read_text() == "7\n" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    monkeypatch.setattr(
        os, "replace", lambda *_names: (_none for _none in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(StateError, match="seen: No space left"):
        host.write(str(path), "8\n")
    assert path.read_text() == "7\n" and os.listdir(path.parent) == ["seen"]
    host.remove(str(path))
    host.remove(str(path))
    assert host.read(str(path)) is None and host.read(f"{path}/x") is None


def test_the_floor_is_never_lowered_on_disk(tmp_path: Path) -> None:
    state = State(RealHost(str(tmp_path)), str(tmp_path), "p")
    assert [state.raise_floor(epoch) for epoch in (3, 9, 4)] == [3, 9, 9]
    state.see(5)
    state.hold("ann", "why")
    memory = state.recall()
    assert (memory.seen, memory.floor, memory.held and memory.held["by"], memory.trouble) == (5, 9, "ann", "")
    (Path(state.folder) / "seen").write_text("-1")
    assert "seen" in state.recall().trouble


def test_a_command_is_ended_at_its_limit_with_what_it_began() -> None:
    ran = proc.run(["/bin/sh", "-c", f"echo here; sleep 63{UNIQUE} & sleep 63{UNIQUE}"], 0.3)
    assert ran.rc is None and not ran.left and ran.said == "here"
    assert until(lambda: not [item for item in proc.live() if item.argv == ("sleep", f"63{UNIQUE}")])


def test_a_command_can_be_left_to_go_on() -> None:
    ran = proc.run(["sleep", f"64{UNIQUE}"], 0.2, group="left")
    left = [item.pid for item in proc.live() if item.argv == ("sleep", f"64{UNIQUE}")]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert ran.rc is None and ran.left and len(left) == 1


def test_a_daemon_that_keeps_its_output_open_does_not_hold_us_up() -> None:
    begun = time.monotonic()
    ran = proc.run(["/bin/sh", "-c", f"setsid sleep 65{UNIQUE} & echo up"], 10)
    for item in proc.live():
        if item.argv == ("sleep", f"65{UNIQUE}"):
            os.kill(item.pid, signal.SIGKILL)
    assert ran.rc == 0 and ran.said == "up" and time.monotonic() - begun < 5


def test_output_is_bounded_from_its_end() -> None:
    ran = proc.run(["/bin/sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x; echo; echo the end"], 10)
    assert len(ran.output) <= proc.OUTPUT and len(ran.said) <= 300 and ran.said.endswith("the end")


def test_a_full_disk_stops_no_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(proc.tempfile, "TemporaryFile", full)
    assert proc.run(["/bin/sh", "-c", "echo told; exit 3"], 10).said == "told"
    done = proc.run(["/bin/sh", "-c", f"echo lost; : > {tmp_path}/ran; exit 4"], 10, group="left")
    assert (done.rc, done.output, (tmp_path / "ran").exists()) == (4, "", True)


def test_what_cannot_be_run_is_said_on_one_line() -> None:
    with pytest.raises(ProductError, match=r"/no/such/program cannot be run: No such file"):
        proc.run(["/no/such/program"], 1)
    with pytest.raises(ProductError, match=r"product.user: there is no user 'nobody-here'"):
        proc.run(["true"], 1, user="nobody-here")
    assert proc.identity(getpass.getuser()) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_runs_the_command() -> None:
    assert proc.run(["id", "-un"], 5, user="nobody").said == "nobody"


def test_stat_with_an_odd_name() -> None:
    rest = " ".join(str(number) for number in range(1, 50))
    assert parse_stat_of(f"12 (a) b ( c) S 1 34 {rest}") == ("S", 34, 17)
    assert proc.started(2**22 + 1) is None


def parse_stat_of(text: str) -> tuple[str, int, int]:
    return proc.parse_stat(text)


def test_a_zombie_is_no_process() -> None:
    process = subprocess.Popen(["true"])
    assert until(lambda: proc.started(process.pid) is None)
    process.wait()


def test_mount_points_are_unescaped() -> None:
    assert parse_mounts("a /x\\040y\\011z\\134w nfs rw 0 0\n\nb / ext4 rw 0 0\n") == ["/x y\tz\\w", "/"]


class _Metadata(BaseHTTPRequestHandler):
    answer = "i-0aaaaaaaaaaaaaaaa"

    def do_PUT(self) -> None:
        self._say("TOKEN" if self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") else "", 200)

    def do_GET(self) -> None:
        good = (
            self.headers.get("X-aws-ec2-metadata-token") == "TOKEN"
            and self.path == "/latest/meta-data/instance-id"
        )
        self._say(type(self).answer, 200 if good else 401)

    def _say(self, text: str, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


def test_the_instance_id_is_asked_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert metadata.from_metadata(url) == "i-0aaaaaaaaaaaaaaaa"
        monkeypatch.setattr(_Metadata, "answer", "<html>login</html>")
        assert metadata.from_metadata(url) is None
    finally:
        server.shutdown()
        server.server_close()
    assert metadata.from_metadata(url) is None and metadata.from_metadata("nonsense") is None


def test_a_managed_instance_is_asked_of_the_agent(tmp_path: Path) -> None:
    path = tmp_path / metadata.REGISTRATION
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"ManagedInstanceID": "mi-0123456789abcdef0", "Region": "x"}))
    assert RealHost(str(tmp_path), "http://127.0.0.1:1", managed=True).instance_id() == "mi-0123456789abcdef0"
    # an EC2 node never takes a file for itself
    assert RealHost(str(tmp_path), "http://127.0.0.1:1").instance_id() is None


def test_what_hangs_in_the_background_is_given_up() -> None:
    host = RealHost()
    with pytest.raises(TimeoutError):
        host.background(lambda: time.sleep(2)).get(0.05)
    with pytest.raises(ValueError, match="x"):
        host.background(lambda: int("x")).get(5)
    assert host.background(lambda: 7).get(5) == 7


def test_boot_id_and_log_below_a_root(tmp_path: Path) -> None:
    host = RealHost(str(tmp_path))
    assert len(host.boot_id()) == 36
    path = tmp_path / "proc/sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True)
    path.write_text("another\n")
    (tmp_path / "proc/stat").write_text(f"btime {int(time.time()) - 100}\n")
    assert host.boot_id() == "another" and 99 <= (host.uptime() or 0) <= 102
    host.log("two\nlines")
    assert (tmp_path / "var/log/hotstandby/guard.log").read_text().endswith("Z two lines\n")
