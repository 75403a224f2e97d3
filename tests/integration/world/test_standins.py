# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of HULFT-HUB is as strict as products.md says, and its journal tells the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.standins.hub.install import install
from sandbox.standins.journal import Journal
from sandbox.standins.words import dumps, loads
from sandbox.world.processes import find, kill


class Host:
    """A node with nothing on it but the stand-in."""

    def __init__(self, state: Path, name: str) -> None:
        self.state, self.name = state, name
        self.root = state / "nodes" / name
        self.etc = state / "shared" / "hub" / "etc"
        self.etc.mkdir(parents=True, exist_ok=True)
        self.exe = install(self.root, name, state, state / "journal")

    def run(self, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a product command with both variables set, or with what is given instead."""
        full = {
            "HULHUBETC": str(self.etc),
            "HULHUBEXE": str(self.exe),
            "PATH": "/usr/bin:/bin",
            **environment,
        }
        return subprocess.run(
            [str(self.exe / command), *arguments],
            env={key: value for key, value in full.items() if value},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def code(self, command: str, *arguments: str, **environment: str) -> int:
        """Only the exit code."""
        return self.run(command, *arguments, **environment).returncode

    def knobs(self, **knobs: Any) -> None:
        """Set this node's knobs to just these."""
        (self.root / "var" / "sandbox" / "knobs.json").write_text(json.dumps(knobs))

    def journal(self) -> dict[str, Any]:
        """What happened."""
        return Journal(str(self.state / "journal")).read()

    def daemons(self) -> list[int]:
        """Pids of everything of the product that is alive on this node."""
        return find(str(self.state), self.name)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    pair = Host(tmp_path, "hub-a"), Host(tmp_path, "hub-b")
    yield pair
    for host in pair:
        kill(str(tmp_path), host.name)
        assert not host.daemons()


def kinds(host: Host) -> list[tuple[str, str]]:
    return [(event["node"], event["event"]) for event in host.journal()["events"]]


def test_environment_is_needed(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    for command in ("hubcluster", "hubstop"):
        assert host.code(command, "-status", HULHUBETC="") == 12
        assert host.code(command, "-status", HULHUBEXE="") == 12
        assert host.code(command, "-status", HULHUBETC="/nowhere") == 12
        assert host.code(command, "-status", HULHUBEXE=str(host.exe / "hubd")) == 12
    (host.root / "proc").mkdir()
    (host.root / "proc" / "mounts").write_text("proc /proc proc rw 0 0\n")
    assert host.code("hubcluster", "-status") == 12
    (host.root / "proc" / "mounts").write_text(f"nfs:/hub {host.etc.parent} nfs4 rw 0 0\n")
    assert host.code("hubcluster", "-status") == 240


@pytest.mark.parametrize(
    "line",
    [
        "hubcluster",
        "hubcluster status",
        "hubcluster -stop",
        "hubcluster -status -timeout",
        "hubcluster -status -timeout 9",
        "hubcluster -status -timeout 61",
        "hubcluster -status -timeout ten",
        "hubcluster -status extra",
        "hubcluster -start -mutual",
        "hubcluster -start -endwait -msg",
        "hubstop -now",
        "hubstop -normal -force",
    ],
)
def test_bad_arguments(hosts: tuple[Host, Host], line: str) -> None:
    command, *arguments = line.split(" ")
    assert hosts[0].code(command, *arguments) == 102


def test_life(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    assert host.code("hubcluster", "-status") == 240
    assert host.code("hubstop") == 240
    assert host.code("hubcluster", "-start", "-msg") == 0
    assert host.code("hubcluster", "-status", "-timeout", "10") == 0
    assert (host.etc / "hubd.pid").read_text().split()[1] == "hub-a"
    assert host.code("hubcluster", "-start") == 116
    assert host.code("hubstop") == 0
    assert host.code("hubcluster", "-status") == 240
    assert not host.daemons()
    assert not (host.etc / "hubd.pid").exists()
    assert kinds(host) == [("hub-a", "start"), ("hub-a", "refused"), ("hub-a", "stop")]


def test_permission(hosts: tuple[Host, Host]) -> None:
    (hosts[0].exe / "hubd").chmod(0o644)
    assert hosts[0].code("hubcluster", "-status") == 250
    assert hosts[0].code("hubcluster", "-start") == 250


def test_too_few_files(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    line = f'ulimit -n 241; exec "{host.exe}/hubcluster" -start'
    environment = {"HULHUBETC": str(host.etc), "HULHUBEXE": str(host.exe)}
    assert subprocess.run(["/bin/sh", "-c", line], env=environment, check=False).returncode == 116
    assert kinds(host) == [("hub-a", "start-failed")]


def test_stale_pid_files_block_nothing(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    # a dead process, our own live pid with another start time (a reused pid), and the other host's
    for text in ("999999 hub-a 1", f"{os.getpid()} hub-a 1", f"{os.getpid()} hub-b 1", "nonsense"):
        (host.etc / "hubd.pid").write_text(text)
        assert host.code("hubcluster", "-start") == 0
        assert host.code("hubstop") == 0


def test_stop_waits_for_transfers_or_cuts_them(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    host.knobs(transfer_seconds=0.8)
    assert host.code("hubcluster", "-start") == 0
    begun = time.monotonic()
    assert host.code("hubstop", "-normal") == 0
    assert time.monotonic() - begun >= 0.8
    assert host.code("hubcluster", "-start") == 0
    done = host.run("hubstop", "-force")
    assert done.returncode == 0
    assert "650" in done.stdout


def test_draining_is_running(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    host.knobs(transfer_seconds=20)
    assert host.code("hubcluster", "-start") == 0
    waiting = subprocess.Popen(
        [host.exe / "hubstop"],
        env={"HULHUBETC": str(host.etc), "HULHUBEXE": str(host.exe)},
        stdout=subprocess.PIPE,
    )
    time.sleep(0.2)
    assert host.code("hubcluster", "-status") == 0
    assert host.code("hubstop", "-force") == 0
    assert waiting.wait(5) == 0
    assert waiting.stdout is not None
    waiting.stdout.close()


def test_knobs(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    host.knobs(start_fails=True)
    assert host.code("hubcluster", "-start") == 116
    host.knobs(start_seconds=0.5, stop_ignored=True)
    begun = time.monotonic()
    assert host.code("hubcluster", "-start") == 0
    assert time.monotonic() - begun >= 0.5
    assert host.code("hubstop") == 0
    assert host.code("hubcluster", "-status") == 0
    host.knobs(status_hangs=True)
    with subprocess.Popen(
        [host.exe / "hubcluster", "-status"], env={"HULHUBETC": str(host.etc), "HULHUBEXE": str(host.exe)}
    ) as asking:
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(0.5)
        asking.kill()


def test_endwait_and_detached_daemons(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    environment = {"HULHUBETC": str(host.etc), "HULHUBEXE": str(host.exe)}
    with subprocess.Popen(
        [host.exe / "hubcluster", "-start", "-endwait", "-mutual"], env=environment, start_new_session=True
    ) as waiting:
        while host.code("hubcluster", "-status") != 0:
            time.sleep(0.05)
        os.killpg(waiting.pid, signal.SIGKILL)
    assert host.code("hubcluster", "-status") == 0


def test_two_at_once_are_an_overlap(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    assert one.code("hubcluster", "-start") == 0
    assert one.journal()["overlaps"] == 0
    # across hosts nothing is promised: the second one starts
    assert two.code("hubcluster", "-start") == 0
    journal = one.journal()
    assert journal["overlaps"] == 1
    assert journal["events"][-1]["with"] == ["hub-a"]


def test_a_frozen_daemon_runs_and_a_killed_one_does_not(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    assert one.code("hubcluster", "-start") == 0
    main = Journal(str(one.state / "journal")).running()[0]["pid"]
    os.kill(main, signal.SIGSTOP)
    assert two.code("hubcluster", "-start") == 0
    assert one.journal()["overlaps"] == 1
    kill(str(one.state), "hub-a")
    kill(str(one.state), "hub-b")
    assert two.code("hubcluster", "-start") == 0
    assert one.journal()["overlaps"] == 1
    assert sorted(kinds(one)[-3:]) == [("hub-a", "killed"), ("hub-b", "killed"), ("hub-b", "start")]


def test_no_overlap_is_missed_in_a_race(hosts: tuple[Host, Host]) -> None:
    for _round in range(4):
        begun = [
            subprocess.Popen(
                [host.exe / "hubcluster", "-start"],
                env={"HULHUBETC": str(host.etc), "HULHUBEXE": str(host.exe)},
            )
            for host in hosts
        ]
        assert [process.wait(10) for process in begun] == [0, 0]
        for host in hosts:
            kill(str(host.state), host.name)
    journal = hosts[0].journal()
    assert journal["overlaps"] == 4
    assert sum(event["event"] == "start" for event in journal["events"]) == 8
    assert sum(event["event"] == "killed" for event in journal["events"]) == 8


def test_a_cut_line_loses_no_other(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    journal.write({"node": "a", "event": "one"})
    with open(journal.events_path, "a", encoding="utf-8") as handle:
        handle.write('{"node": "a", "ev')
    journal.write({"node": "a", "event": "two"})
    assert [event["event"] for event in journal.read()["events"]] == ["one", "two"]


WORDS = [
    None,
    True,
    False,
    0,
    -7,
    1.5,
    1e-9,
    2**70,
    "",
    'ä "quoted" \\ \n',
    [],
    {},
    [1, [2, {"a": None}]],
    {"k": {"n": 0.25, "l": [True]}},
]


@pytest.mark.parametrize("value", WORDS, ids=repr)
def test_its_json_is_that_of_the_json_package(value: Any) -> None:
    assert dumps(value) == json.dumps(value)
    assert loads(f" {json.dumps(value, indent=1)}\n") == loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "1 2", "{'a': 1}", "nothing", '"\n"'])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_a_command_loads_no_more_than_it_must(tmp_path: Path) -> None:
    """The product is a program in C: a double that takes long to start is measured as the product."""
    host = Host(tmp_path, "hub-a")
    front = (host.exe / "hubcluster").read_text()
    code = front[front.index("import os") : front.index("sys.exit")].replace("__file__", "sys.argv[1]")
    code = f"import sys\n{code}\nprint(*sys.modules)"
    argv = [sys.executable, "-S", "-E", "-c", code, str(host.exe / "hubcluster")]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "standins.hub.cluster" in loaded
    assert not loaded & {"json", "re", "enum", "typing", "contextlib", "signal", "collections", "functools"}
    compiled = list((host.root / "opt" / "hub" / "lib").rglob("cluster.*.pyc"))
    assert len(compiled) == 1, "who may not write there would compile it each time"
