# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first day on two real hosts: what is told beforehand, each refusal, and a running service that is adopted.

The tests build on each other, in this order. The service has been started on hub-a by hand, as it was before there was a pair.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts.rig import HostRig, Played, changed

BOTO3 = "/usr/lib/python3/dist-packages/boto3"
LATE = '#!/bin/sh\nexec faketime -f +1h /usr/bin/python3 "$@"\n'
ENVIRONMENT = ("env", "HULHUBETC=/shared/hub/etc", "HULHUBEXE=/opt/hub/bin")


def by_hand(rig: HostRig, node: str, *command: str) -> str:
    return rig.shell(node, *ENVIRONMENT, *command, user="hulft")


def daemons(rig: HostRig, node: str) -> list[str]:
    """The product's main process there, as pid and command; its manager comes and goes in normal operation."""
    found = rig.shell(node, "ps", "-e", "-o", "pid=,args=").splitlines()
    return sorted(line.strip() for line in found if "/opt/hub/bin/hubd" in line)


@pytest.fixture(scope="module")
def fresh(hosts: HostRig) -> HostRig:
    """Nothing is deployed, and the service runs on hub-a."""
    if hosts.has("hub-a", "/etc/hotstandby/pair.json"):
        why = "somebody has deployed on these hosts already"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(f"NOT RUN: {why}")
    assert hosts.running() == []
    said = by_hand(hosts, "hub-a", "/opt/hub/bin/hubcluster", "-start")
    assert hosts.running() == ["hub-a"], said
    return hosts


def untouched(rig: HostRig) -> bool:
    """Whether neither hosts nor AWS have anything of ours."""
    ours = ("/etc/hotstandby", "/usr/local/lib/hotstandby", "/usr/local/bin/hotstandby")
    there = [node for node in rig.names for path in ours if rig.has(node, path)]
    return not there and rig.client("dynamodb").list_tables()["TableNames"] == []


@contextmanager
def inventory(rig: HostRig, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """The same inventory, changed; `change` gets hub-b's variables."""
    before = rig.info["inventory"]
    content = yaml.safe_load(Path(before).read_text(encoding="utf-8"))
    change(content["hotstandby"]["hosts"]["hub-b"])
    path = rig.state / "changed.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    rig.info["inventory"] = str(path)
    try:
        yield
    finally:
        rig.info["inventory"] = before


def refused(rig: HostRig, *arguments: str, **extra: Any) -> Played:
    """A deploy that is refused and leaves no trace; the service on hub-a does not notice."""
    before = daemons(rig, "hub-a")
    played = rig.deploy(*arguments, **extra)
    assert played.rc != 0, played.text
    assert untouched(rig) and daemons(rig, "hub-a") == before != [], played.text
    return played


def test_check_mode_tells_and_changes_nothing(fresh: HostRig) -> None:
    played = fresh.deploy("--check", "--diff")
    assert played.rc == 0, played.text
    for told in ("/usr/local/bin/hotstandby", "hotstandby-boot.service", '"schema": 1'):
        assert told in played.text
    assert untouched(fresh)


def test_a_host_that_cannot_carry_it_is_told_everything_at_once(fresh: HostRig) -> None:
    fresh.shell(
        "hub-b", "sh", "-c", f"mv {BOTO3} {BOTO3}.away; printf '%s' '{LATE}' >/opt/late; chmod +x /opt/late"
    )
    # /var is read-only there, and the disk of /usr/local is full
    fresh.mount("hub-b", "--bind", "/var", "/var")
    fresh.mount("hub-b", "-o", "remount,ro,bind", "/var")
    fresh.mount("hub-b", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/usr/local/lib")
    try:
        with inventory(fresh, lambda host: host.update(hotstandby_python="/opt/late")):
            played = refused(fresh)
    finally:
        fresh.umount("hub-b", "/usr/local/lib", "/var")
        fresh.shell("hub-b", "mv", f"{BOTO3}.away", BOTO3)
    told = played.text.partition("hub-b: ")[2]
    for said in (
        "has no boto3: install python3-boto3",
        "its clock is 36",
        "/var/lib cannot be written to (Read-only file system)",
        "/usr/local/lib has only",
        "Nothing was installed",
    ):
        assert said in told, played.text


def test_sudo_refused_and_a_changed_host_key(fresh: HostRig) -> None:
    with inventory(fresh, lambda host: host.update(ansible_user="keeper")):
        played = refused(fresh)
    assert "hub-b" in played.text and "sudo" in played.text, played.text
    other = fresh.state / "other-keys"
    known = (fresh.state / "ssh" / "known_hosts").read_text(encoding="utf-8")
    lines = [line.split() for line in known.splitlines()]
    # hub-b's address with a key that is not its own
    swapped = [f"{words[0]} {words[1]} {words[2][:-6] + 'AAAAAA'}" for words in lines]
    other.write_text("\n".join(swapped) + "\n", encoding="utf-8")

    def elsewhere(host: dict[str, Any]) -> None:
        args = host["ansible_ssh_args"].replace(str(fresh.state / "ssh" / "known_hosts"), str(other))
        host.update(ansible_ssh_args=args, ansible_control_path_dir=str(fresh.state / "ssh2"))

    with inventory(fresh, elsewhere):
        played = refused(fresh)
    shutil.rmtree(fresh.state / "ssh2", ignore_errors=True)
    assert "UNREACHABLE" in played.text and "Host key verification failed" in played.text, played.text


def test_a_service_that_runs_on_both_is_refused_before_anything_is_installed(fresh: HostRig) -> None:
    unit = {**fresh.info["pair"], "name": "both", "service": "systemd", "product": {"unit": "nginx.service"}}
    extra = fresh.state / "both.json"
    extra.write_text(json.dumps({"hotstandby_pair": unit}), encoding="utf-8")
    for node in fresh.names:
        fresh.shell(node, "systemctl", "start", "nginx.service")
    try:
        played = refused(fresh, f"-e@{extra}")
        assert "runs on both nodes (hub-a and hub-b)" in played.text and "runs_on_both" in played.text
        for node in fresh.names:
            assert fresh.shown(node, "nginx.service", "ActiveState")["ActiveState"] == "active"
    finally:
        for node in fresh.names:
            fresh.shell(node, "systemctl", "stop", "nginx.service")


def test_a_running_service_is_adopted_on_either_scheduler_and_again_without_a_change(fresh: HostRig) -> None:
    before = daemons(fresh, "hub-a")
    fresh.shell("hub-b", "mv", "/etc/machine-id", "/etc/machine-id.away")  # nothing of ours may need it
    with inventory(fresh, lambda host: host.update(hotstandby_scheduler="cron")):
        first = fresh.deploy()
        assert first.rc == 0, first.text
        assert min(changed(first.text).values()) > 0
        assert "hub-a is named with epoch 1, where the service runs" in first.text
        second = fresh.deploy()
    fresh.shell("hub-b", "mv", "-f", "/etc/machine-id.away", "/etc/machine-id")
    assert second.rc == 0, second.text
    assert changed(second.text) == dict.fromkeys(fresh.names, 0), second.text
    assert daemons(fresh, "hub-a") == before and fresh.running() == ["hub-a"]
    assert fresh.shown("hub-a", "hotstandby-healthcheck.timer", "ActiveState")["ActiveState"] == "active"
    assert fresh.shown("hub-a", "hotstandby-boot.service", "UnitFileState")["UnitFileState"] == "enabled"
    assert fresh.has("hub-b", "/etc/cron.d/hotstandby")
    third = fresh.deploy()  # the other scheduler takes over in place
    assert third.rc == 0, third.text
    assert changed(third.text)["hub-a"] == 0 and not fresh.has("hub-b", "/etc/cron.d/hotstandby")
    assert fresh.shown("hub-b", "hotstandby-healthcheck.timer", "ActiveState")["ActiveState"] == "active"
    assert daemons(fresh, "hub-a") == before


def test_without_become_where_the_user_owns_the_paths(fresh: HostRig, tmp_path: Path) -> None:
    play = {
        "hosts": "hub-b",
        "gather_facts": False,
        "vars": {
            "ansible_user": "keeper",
            "hotstandby_root": "/home/keeper/there",
            "hotstandby_become": False,
            "hotstandby_scheduler": "cron",
        },
        "roles": ["hotstandby.ops.node"],
    }
    path = tmp_path / "keeper.yml"
    path.write_text(yaml.safe_dump([play]), encoding="utf-8")
    first = fresh.file(path)
    assert first.rc == 0 and changed(first.text)["hub-b"] > 0, first.text
    second = fresh.file(path)
    assert second.rc == 0 and changed(second.text)["hub-b"] == 0, second.text
    owners = fresh.shell("hub-b", "find", "/home/keeper/there", "!", "-user", "keeper")
    assert owners == "" and fresh.has("hub-b", "/home/keeper/there/usr/local/bin/hotstandby")
    fresh.shell("hub-b", "rm", "-rf", "/home/keeper/there")
