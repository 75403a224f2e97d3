# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role puts beside the node command."""

from __future__ import annotations

import socket as socketlib
import subprocess
from pathlib import Path

import jinja2
import yaml

TEMPLATES = Path(__file__).parents[3] / "roles" / "node" / "templates"


def drop_in(version: int) -> list[str]:
    text = (TEMPLATES / "unit.conf.j2").read_text(encoding="utf-8")
    made = jinja2.Environment(trim_blocks=True).from_string(text)
    return made.render(
        ansible_managed="managed", __node_bin="/usr/local/bin", __node_systemd=version
    ).splitlines()


def test_a_unit_asks_the_guard_as_root_whoever_it_runs_as_and_before_anything_of_its_own() -> None:
    # without "+" it would run as the unit's User=, who may not read what the guard remembers: it would never start
    before = "ExecCondition=+/bin/sh -c '/usr/local/bin/hotstandby may-start || exit 255'"
    asks = [line for line in drop_in(252) if line.startswith("Exec")]
    assert asks == [before] == [line for line in drop_in(243) if line.startswith("Exec")]
    assert "Restart=no" in drop_in(252) and "Restart=no" in drop_in(219)


def test_a_systemd_that_knows_no_condition_asks_with_what_it_has() -> None:
    for version in (219, 239, 242):
        asks = [line for line in drop_in(version) if line.startswith("Exec")]
        assert asks == ["ExecStartPre=+/usr/local/bin/hotstandby may-start"]


def test_the_daemon_is_kept_alive_and_what_it_started_lives_on_without_it() -> None:
    lines = (TEMPLATES / "hotstandby-watch.service.j2").read_text(encoding="utf-8").splitlines()
    for line in (
        "Type=notify",
        "Restart=always",
        "KillMode=process",
        "WatchdogSec=20",
        "RuntimeDirectoryMode=0700",
    ):
        assert line in lines, line
    # a product that the daemon starts inherits these: they would hide its files or take its rights
    names = {line.partition("=")[0] for line in lines}
    assert not names & {"ProtectSystem", "ProtectHome", "PrivateTmp", "NoNewPrivileges", "User", "MemoryMax"}


def test_without_a_socket_the_launcher_starts_as_ever(tmp_path: Path) -> None:
    text = (TEMPLATES / "hotstandby.sh.j2").read_text(encoding="utf-8")
    socket, client = tmp_path / "x.sock", tmp_path / "client.py"
    for old, new in (
        ("{{ __node_socket | quote }}", str(socket)),
        ("{{ (__node_lib ~ '/hotstandby.pyz') | quote }}", "program"),
        ("{{ (__node_etc ~ '/pair.json') | quote }}", "config"),
        ("{{ __node_client | quote }}", str(client)),
        ("{{ __node_python | quote }}", "/bin/echo"),
    ):
        assert old in text
        text = text.replace(old, new)

    def run() -> str:
        ran = subprocess.run(
            ["/bin/sh", "-c", text, "hotstandby", "a b", "c"], capture_output=True, text=True, check=False
        )
        return ran.stdout.strip()

    assert run() == "program --config config a b c"
    with socketlib.socket(socketlib.AF_UNIX) as listener:
        listener.bind(str(socket))
        assert run() == "program --config config a b c", (
            "half an upgrade: the program itself is all that is needed"
        )
        client.touch()
        assert run() == f"-I -S {client} program --config config a b c"


def test_the_daemon_is_restarted_when_anything_that_it_has_read_changes() -> None:
    tasks = yaml.safe_load((TEMPLATES.parent / "tasks" / "watch.yml").read_text(encoding="utf-8"))
    state = tasks[1]["ansible.builtin.systemd_service"]["state"]
    for name in ("__node_watch_written", "__node_program", "__node_written"):
        assert f"{name} is changed" in state
