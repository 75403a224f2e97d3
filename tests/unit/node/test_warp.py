# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process is Warp's, and what it, its pid file and its text mean. Ages and processes are made up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import (
    Process,
    ProductError,
    Ran,
    Silent,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.products.warp import (
    Warp,
    is_ours,
    is_query,
    is_stop,
    parse_pid,
    parse_services,
)

INSTALL, DATA = "/opt/warp", "/data/asteria home"
PID_FILE = f"{DATA}/log/flowsvc.pid"
PLACES = ("/opt/warp/", "/real/warp/")


def process(pid: int, exe: str, *argv: str) -> Process:
    return Process(pid, pid, 1, exe, argv)


def java(pid: int, *words: str) -> Process:
    return process(pid, "/usr/lib/jvm/bin/java", "java", "-cp", "/opt/warp/server/lib/flow.jar", *words)


class Machine:
    """A host whose processes, pid file and answers are as a test says."""

    def __init__(self, *processes: Process, pid: str | None = None, file_age: float = 10.0) -> None:
        self.found = list(processes)
        self.file = None if pid is None else (pid, file_age)
        self.ages: dict[int, float] = {}
        self.answers: dict[str, Ran] = {"status": Ran(0, "http : RUNNING\n", 0.1)}
        self.ran: list[tuple[str, str | None, str]] = []
        self.signals: list[tuple[int, bool]] = []
        self.copying: tuple[str, float] | None = None

    def run(
        self, argv: Sequence[str], limit: float, env: Mapping[str, str] | None = None,
        user: str | None = None, group: str = "new",
    ) -> Ran:  # fmt: skip
        command = " ".join([argv[0].rpartition("/")[2], *argv[1:]])
        self.ran.append((command, user, group))
        return self.answers.get(command.partition(" ")[2] or command, Ran(1, "", 0.1))

    def processes(self) -> list[Process]:
        return self.found

    def real_path(self, path: str) -> str:
        return path.replace("/opt/warp", "/real/warp")

    def is_program(self, path: str) -> bool:
        return path.startswith("/opt/warp/")

    def cgroup_pids(self, path: str) -> list[int]:
        return []

    def noted(self, path: str) -> tuple[str, float] | None:
        if path == f"{DATA}/.hotstandby-sync/state.json":
            return self.copying
        assert path == PID_FILE
        return self.file

    def age(self, item: Process) -> float | None:
        return self.ages.get(item.pid, 11.0)

    def signal(self, item: Process, force: bool) -> None:
        self.signals.append((item.pid, force))


def warp(machine: Any, **more: Any) -> Warp:
    return Warp(INSTALL, DATA, machine, "asteria", **more)


@pytest.mark.parametrize(
    ("item", "ours"),
    [
        (process(2, "/opt/warp/jre/bin/java", "java"), True),
        (process(2, "/real/warp/jre/bin/java", "x"), True),
        (process(2, "", "/opt/warp/boot/bin/flowsvc"), True),  # another user's: no exe is shown
        (process(2, "/bin/sh", "sh", "/opt/warp/boot/bin/flowsvc"), True),
        (java(2, "flow.Main"), True),
        (process(2, "/usr/bin/java", "java", "-Dhome=/opt/warp/x", "a.B"), True),
        (process(2, "/usr/bin/java", "java", "-cp", "/a.jar:/opt/warp/b.jar"), True),
        (process(2, "/usr/bin/python3.11", "python3", "/real/warp/x"), True),
        (process(2, "/usr/bin/vim", "vim", "/opt/warp/server/conf/x"), False),
        (process(2, "/usr/bin/rsync", "rsync", "--server", ".", "/opt/warp/"), False),
        (process(2, "/bin/sh", "sh", "-c", "tail -f /opt/warp/log"), False),
        (process(2, "/opt/warpdrive/bin/java", "java"), False),
        (process(2, "/usr/bin/java", "java", "-jar", "/home/me/other.jar"), False),
        (process(2, "", ""), False),
    ],
)
def test_whose_a_process_is(item: Process, ours: bool) -> None:
    assert is_ours(item, PLACES) is ours


def test_questions_and_stops_are_no_leftovers() -> None:
    query = ("/opt/warp/server/bin/fsctrl", "status", "http")
    stop = ("sh", "/opt/warp/boot/bin/fsstop")
    kill = ("/opt/warp/server/bin/fsctrl.sh", "shutdown", "killall")
    assert is_query(query) and not is_stop(query)
    assert is_stop(stop) and is_stop(kill) and not is_query(kill)
    machine = Machine(process(2, "", *query), process(3, "/bin/sh", *stop), process(4, "", *kill))
    assert warp(machine).leftovers() == [] and warp(machine).stopping()


@pytest.mark.parametrize(
    ("text", "pid"),
    [("4711\n", 4711), (" 4711 x", 4711), ("", None), ("x", None), ("-1", None), ("0", None), ("1", None), ("٣", None)],
)  # fmt: skip
def test_a_pid_file(text: str, pid: int | None) -> None:
    assert parse_pid(text) == pid


def test_the_text_of_fsctrl() -> None:
    text = "ASTERIA Warp Enterprise\nhttp   : RUNNING\nflow\tsince 10:00   Started\nmail: stopped\nftp = Zombie\n"
    found = {"ASTERIA": "unknown", "http": "running", "flow": "running", "mail": "stopped", "ftp": "unknown"}
    assert parse_services(text) == found
    assert parse_services("svc/http is UP!", r"svc/(?P<service>\w+) is (?P<state>\w+)") == {"http": "running"}
    assert parse_services("") == {}


def test_a_main_process_that_answers_runs() -> None:
    machine = Machine(java(40, "flow.Main"), java(41, "flow.Worker"), pid="40\n")
    found = warp(machine).look(5)
    assert (found.status.state, found.pid, found.services) == ("running", 40, {"http": "running"})
    assert machine.ran == [("fsctrl status", "asteria", "new")]


@pytest.mark.parametrize(
    ("ran", "state"),
    [(Ran(255, "", 0.1), "hung"), (Ran(-1, "", 0.1), "hung"), (Ran(None, "", 5.0), "hung"), (Ran(1, "", 0.1), "running")],
)  # fmt: skip
def test_only_255_of_fsctrl_means_something(ran: Ran, state: str) -> None:
    machine = Machine(java(40), pid="40")
    machine.answers["status"] = ran
    assert warp(machine).status(5).state == state


def test_a_strangers_process_is_neither_believed_nor_signalled() -> None:
    machine = Machine(process(40, "/usr/sbin/nginx", "nginx"), pid="40")
    assert warp(machine).status(5).state == "stopped"
    warp(machine).stop("force", 5)
    assert machine.signals == [] and machine.ran[-1][0] == "fsstop"


def test_a_later_process_of_its_own_with_that_pid_is_unknown() -> None:
    machine = Machine(java(40, "flow.Worker"), pid="40", file_age=1000.0)
    found = warp(machine).look(5)
    assert (found.status.state, found.pid) == (
        "unknown",
        None,
    ) and "began 989 s after" in found.status.message


def test_a_dead_main_process_is_down_although_children_live_and_they_refute_the_proof() -> None:
    machine = Machine(java(41, "flow.Worker"), pid="40")
    assert warp(machine).status(5).state == "stopped"
    assert [item.pid for item in warp(machine).leftovers()] == [41]
    warp(machine).stop("normal", 5)
    warp(machine).stop("force", 5)
    assert machine.signals == [(41, False), (41, True)]
    assert machine.ran == []


def test_without_a_pid_file() -> None:
    assert warp(Machine()).status(5).state == "stopped"
    assert warp(Machine(java(40))).status(5).state == "unknown"
    starting = Machine(process(40, "/bin/sh", "sh", "/opt/warp/boot/bin/flowsvc"))
    starting.answers["status"] = Ran(255, "", 0.1)
    assert warp(starting).status(5).state == "hung"
    assert warp(Machine(java(40), pid="nonsense")).status(5).state == "unknown"


@pytest.mark.parametrize(
    ("text", "state"),
    [("RUNNING", "running"), ("STOPPED", "hung"), ("Zombie", "unknown"), ("", "unknown")],
)
def test_a_required_service(text: str, state: str) -> None:
    machine = Machine(java(40), pid="40")
    machine.answers["status"] = Ran(0, "other : RUNNING\n", 0.1)
    machine.answers["status http"] = Ran(2, f"http : {text}\n", 0.1)
    assert warp(machine, required=("http",)).status(5).state == state


def test_commands_run_as_the_products_user() -> None:
    machine = Machine(java(40), pid="40")
    machine.answers["flowsvc"] = Ran(7, "said", 0.1)
    assert warp(machine).start(60).rc == 0
    warp(machine).stop("normal", 60)
    warp(machine).stop("force", 60)
    assert machine.ran == [
        ("flowsvc", "asteria", "left"), ("fsstop", "asteria", "left"), ("fsctrl shutdown killall", "asteria", "new"),
    ]  # fmt: skip
    assert machine.signals == [(40, True)]
    assert warp(machine).installed() and warp(machine).autostart() is None


def test_an_unreadable_pid_file_is_no_answer() -> None:
    class Odd(Machine):
        def noted(self, path: str) -> tuple[str, float] | None:
            raise ProductError(f"{path}: Stale file handle")

    with pytest.raises(ProductError, match="Stale"):
        warp(Odd(java(40))).status(5)


def test_a_folder_that_does_not_answer_is_hung_while_it_runs_and_stopped_when_it_does_not() -> None:
    class Gone(Machine):
        def noted(self, path: str) -> tuple[str, float] | None:
            raise Silent(f"{path} did not answer within 3 s")

    found = warp(Gone(java(40))).status(5)
    assert found.state == "hung" and "did not answer" in found.message
    # no process of it is left: whatever the folder holds, it does not run
    assert warp(Gone()).status(5).state == "stopped"
    assert not warp(Gone()).installed() and "did not answer" in warp(Gone()).unready()
    dead = Gone(java(40))
    warp(dead).stop("force", 5)
    assert dead.signals == [(40, True)]


def test_nothing_is_started_on_half_a_copy() -> None:
    machine = Machine()
    machine.copying = ("{}", 1.0)
    with pytest.raises(ProductError, match="a copy that has not ended"):
        warp(machine).start(5)
    assert machine.ran == [] and not warp(machine).installed()
    assert "the copy of its trees has not ended" in warp(machine).unready()
    found = warp(machine).status(5)
    assert found.state == "stopped" and "a copy of its trees has not ended" in found.message
