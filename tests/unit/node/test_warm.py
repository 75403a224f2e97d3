# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon on a node below a temporary root: its socket, who may use it, and what happens when it is not there."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.node import client, events, helpers, proc, warm

LONG = 60.0


def until(true: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Daemon:
    """`hotstandby watch` of a NodeBox."""

    def __init__(self, box: Any) -> None:
        self.box = box
        box.pair["profile"] = "fast"
        box.write()
        self.socket = box.root / "run/hotstandby/hub-prod.sock"
        self.process = box.begin("watch")
        until(lambda: self.socket.exists() or self.process.poll() is not None, "the daemon did not listen")
        assert self.process.poll() is None, self.process.communicate()

    def ask(self, *arguments: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """A command as the launcher runs it where there is a socket."""
        python, *rest = self.box.argv(*arguments)
        env = {"PATH": "/usr/bin:/bin", "HOME": "/", client.VARIABLE: str(self.socket)}
        ran = subprocess.run(
            [python, "-I", "-S", client.__file__, *rest],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    def say(self, line: bytes) -> bytes:
        """Something that is not our own client."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            folder = os.open(self.socket.parent, os.O_PATH)
            channel.connect(f"/proc/self/fd/{folder}/{self.socket.name}")
            os.close(folder)
            channel.settimeout(LONG)
            channel.sendall(line)
            channel.shutdown(socket.SHUT_WR)
            return channel.recv(4096)

    def log(self) -> str:
        path = self.box.root / "var/log/hotstandby/guard.log"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


@pytest.fixture
def daemon(node: Any) -> Iterator[Daemon]:
    made = Daemon(node)
    yield made
    made.end()


def test_it_answers_as_the_command_itself_does(daemon: Daemon) -> None:
    """Start, look, stop under the same rules: epoch, floor, lock; and nobody but the owner may ask."""
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700
    code, answer = daemon.ask("ssm", "--action", "start", "--pair", "hub-prod", "--epoch", "7")
    assert (code, answer["state"], answer["seen"]) == (0, "running", 7), answer
    assert daemon.ask("status")[1]["state"] == daemon.box.run("status")[1]["state"] == "running"
    assert daemon.ask("look")[1]["detail"]["record_epoch"] == 7
    code, answer = daemon.ask("ssm", "--action", "stop", "--pair", "hub-prod", "--epoch", "7")
    assert (code, answer["state"], answer["floor"]) == (0, "stopped", 7)
    code, answer = daemon.ask("start")
    assert (code, answer["detail"]["code"]) == (5, "epoch_floor")
    assert daemon.ask("status")[0] == 3 and daemon.ask("status", "--move", 'a"b')[1]["move"] == 'a"b'
    daemon.process.send_signal(signal.SIGSTOP)
    try:  # one that hangs does not make its node mute: the client waits a moment for its word, and does it itself
        assert daemon.ask("status")[0] == 3
        code, answer = daemon.ask("ssm", "--action", "look", "--pair", "hub-prod")
        assert (code, answer["state"]) == (3, "stopped")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert daemon.ask("status")[0] == 3  # and the requests that nobody waits for any more hold nothing up


def test_what_is_not_its_own_is_refused_and_done_by_the_command_itself(daemon: Daemon) -> None:
    config = str(daemon.box.config)
    right = client.version(str(daemon.box.archive), config)
    for line in (
        b"\n",
        b"[1]\n",
        b'{"version":1,"argv":["status"],"users":{}}\n',
        json.dumps({"version": "another", "argv": ["status"], "users": {}}).encode() + b"\n",
        json.dumps({"version": right, "argv": ["boot"], "users": {}}).encode() + b"\n",
        json.dumps({"version": right, "argv": ["start", "--without-record"], "users": {}}).encode() + b"\n",
    ):
        assert "refused" in json.loads(daemon.say(line)), line
    # a configuration that was written anew is another version: the old daemon does not speak for it, and ends
    daemon.box.pair["timeouts"] = {"confirm": 7}
    daemon.box.write()
    assert daemon.ask("status")[1]["state"] == "stopped"
    assert daemon.process.wait(60) == 0
    assert daemon.ask("status")[1]["state"] == "stopped"


def test_a_caller_that_goes_takes_its_command_with_it(daemon: Daemon) -> None:
    slow = daemon.box.exe / "slow"
    slow.write_text("7\n")
    python, *rest = daemon.box.argv("ssm", "--action", "start", "--pair", "hub-prod", "--epoch", "7")
    env = {"PATH": "/usr/bin:/bin", "HOME": "/", client.VARIABLE: str(daemon.socket)}
    caller = subprocess.Popen([python, "-I", "-S", *rest], env=env, stdout=subprocess.DEVNULL)
    lock = daemon.box.folder / "lock"
    until(lambda: lock.exists() and '"start"' in lock.read_text(), "the start did not take the lock")
    assert daemon.ask("status")[0] == 3, "a command that hangs must not hang the next one"
    caller.kill()
    caller.wait()
    until(lambda: lock.read_text() == "", "the start went on without its caller")
    slow.unlink()


def test_there_is_one_on_a_node_and_none_in_another_profile(daemon: Daemon) -> None:
    second = daemon.box.begin("watch")
    _out, err = second.communicate(timeout=60)
    assert second.returncode == 1 and "another watch" in err
    daemon.end()
    del daemon.box.pair["profile"]
    daemon.box.write()
    third = daemon.box.begin("watch")
    _out, err = third.communicate(timeout=60)
    assert third.returncode == 1 and "hotstandby_pair.profile" in err


def test_it_beats_and_notices_a_death(daemon: Daemon) -> None:
    """No function is there to be called: that is said, and nothing else happens."""

    def beat() -> Any:
        key = {"pair": {"S": "hub-prod"}, "item": {"S": "heartbeat#hub-a"}}
        return daemon.box.table.get_item(TableName="hotstandby", Key=key).get("Item", {})

    assert daemon.ask("start")[0] == 0 and "calling" not in daemon.log()
    until(lambda: beat().get("state") == {"S": "running"}, "no heartbeat says running")
    first = beat()["beat"]
    until(lambda: beat()["beat"] != first, "the heartbeat stands still")
    calling, failed = (daemon.log().count(text) for text in ("calling the function", "was not reached"))
    daemon.box.end()
    until(lambda: daemon.log().count("calling the function") > calling, "the death was not noticed")
    until(lambda: daemon.log().count("was not reached") > failed, "the failed call was not said")
    until(lambda: daemon.ask("status")[0] == 3, "something started it")


# -- the parts


def test_what_a_command_has_started_outlives_it_however_late_it_ends(tmp_path: Path) -> None:
    """A host without an idle CPU may let it stand still between its answer and its end."""
    told = tmp_path / "told"

    def still(_frame: Any, event: str, what: Any) -> None:
        if event == "c_return" and what.__name__ == "sendall":
            os.kill(os.getpid(), signal.SIGSTOP)

    def run(_argv: Any) -> int:
        service = subprocess.Popen(["sleep", "600"])  # in the group of who started it, as a product may stay
        told.write_text(f"{os.getpid()} {service.pid}")
        sys.stdout.write("{}")
        sys.setprofile(still)
        return 0

    path = str(tmp_path / "socket")
    server = warm.Server(path, "1", run, lambda: None)

    def turn() -> bool:
        poll = select.poll()
        for fd, wanted in server.fds.items():
            poll.register(fd, wanted)
        server.serve([fd for fd, _events in poll.poll(50)])
        return True

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(path)
        channel.sendall(b'{"version":"1","argv":["start"],"users":{}}\n')
        until(lambda: turn() and told.exists() and told.read_text(), "it was not begun")
        channel.settimeout(LONG)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += channel.recv(4096)
    command, service = map(int, told.read_text().split())
    try:
        assert answer == client.TAKEN + b'{"exit":0,"answer":{}}\n'
        until(lambda: turn() and proc.started(command) is None, "the command that stands still is not ended")
        assert proc.started(service) is not None, "the service was ended with the command that had started it"
    finally:
        os.kill(service, signal.SIGKILL)


def test_a_helper_that_hangs_or_dies_is_replaced() -> None:
    def serve(given: dict[str, Any]) -> Any:
        if given["do"] == "hang":
            time.sleep(600)
        if given["do"] == "die":
            os._exit(3)
        return given["do"]

    helper = helpers.Helper("test", serve, 0.3)

    def run(do: str) -> Any:
        until(lambda: helper.ask({"do": do}), "it takes no work")
        assert not helper.ask({"do": "second"})
        found: list[Any] = []

        def over() -> bool:
            done, value = helper.reply()
            found.append(value)
            return done

        until(over, "it never ends")
        return found[-1]

    assert [run(word) for word in ("a", "hang", "b", "die", "c")] == ["a", None, "b", None, "c"]
    helper.end()


@pytest.mark.parametrize("pidfd", [events.PIDFD, None])
def test_an_end_is_an_event(pidfd: Any) -> None:
    child = subprocess.Popen(["sleep", "600"])
    started = proc.started(child.pid)
    assert started is not None
    deaths = events.Deaths(pidfd)
    assert deaths.follow([(child.pid, started), (child.pid, started + 1)]) == 1
    assert deaths.check([]) == 0
    fds = deaths.fds
    child.kill()
    child.wait()
    assert deaths.check(fds) == 1 and deaths.check(fds) == 0
    assert deaths.fds == [] and deaths.follow([(child.pid, started)]) == 0


def test_systemd_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        events.notifier({"NOTIFY_SOCKET": str(path)})("READY=1")
        assert listener.recv(100) == b"READY=1"
    events.notifier({"NOTIFY_SOCKET": str(path)})("WATCHDOG=1")  # nobody listens: no matter
    events.notifier({})("READY=1")
