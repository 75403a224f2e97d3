# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role warp_housekeeping below a directory of its own; what it installed is then run as systemd would."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pair.rig import BIN, ROOT

DAY = 86400.0


class Host:
    """A directory that stands for a host: `work` holds the files, `root` what is installed."""

    def __init__(self, place: Path) -> None:
        self.place, self.work, self.root = place, place / "work", place / "root"
        self.work.mkdir()
        self.root.mkdir()

    def put(self, name: str, days: float) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (time.time() - days * DAY,) * 2)
        return path

    def role(self, rules: list[dict[str, Any]], *words: str, **given: Any) -> tuple[int, str, int]:
        """(exit code, output, changed tasks) of one run."""
        variables = {
            "warp_housekeeping_rules": rules, "warp_housekeeping_root": str(self.root), "warp_housekeeping_become": False,
            **given,
        }  # fmt: skip
        play = [{"hosts": "localhost", "gather_facts": False, "connection": "local",
                 "vars": {"ansible_python_interpreter": sys.executable},
                 "roles": [{"role": "hotstandby.ops.warp_housekeeping", "vars": variables}]}]  # fmt: skip
        (self.place / "play.yml").write_text(json.dumps(play))
        collections = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(ROOT / "build" / "collections")
        ran = subprocess.run(
            [BIN / "ansible-playbook", "-i", "localhost,", *words, self.place / "play.yml"],
            capture_output=True, text=True, check=False, timeout=300,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_NOCOLOR": "1"},
        )  # fmt: skip
        changed = int(ran.stdout.rpartition("changed=")[2].split()[0]) if "changed=" in ran.stdout else -1
        return ran.returncode, ran.stdout + ran.stderr, changed

    def installed(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def left(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.work))
            for path in self.work.rglob("*")
            if path.is_symlink() or not path.is_dir()
        )

    def run_unit(self) -> None:
        unit = (self.root / "etc/systemd/system/hotstandby-warp-housekeeping.service").read_text()
        for line in unit.splitlines():
            if line.startswith("ExecStart="):
                subprocess.run(shlex.split(line.removeprefix("ExecStart=")), check=True, capture_output=True)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_only_what_a_rule_names_goes_and_a_dry_run_comes_first(host: Host) -> None:
    outside = host.place / "outside.tmp"
    outside.write_text("x")
    os.utime(outside, (0, 0))
    for name, days in (("in/a.tmp", 5), ("in/deep/b.part", 5), ("in/young.tmp", 1), ("in/a.csv", 50), ("other/c.tmp", 50),
                       ("in/-rf.tmp", 5), ("in/受注 1.tmp", 5)):  # fmt: skip
        host.put(name, days)
    os.symlink(outside, host.work / "in" / "link.tmp")
    os.symlink(host.work / "other", host.work / "in" / "folder")
    rules = [{"path": str(host.work / "in"), "age": 3, "patterns": ["*.tmp", "*.part"]}]
    before = host.left()
    code, text, changed = host.role(rules)
    assert (code, changed) == (0, 0) and host.installed() == [] and host.left() == before, text
    assert (
        "would be removed" in text and "in/a.tmp" in text and "young" not in text and "link.tmp" not in text
    )
    code, text, changed = host.role(rules, warp_housekeeping_dry_run=False)
    assert code == 0 and changed > 0, text
    assert host.installed() == [
        "etc/systemd/system/hotstandby-warp-housekeeping.service",
        "etc/systemd/system/hotstandby-warp-housekeeping.timer",
    ]
    assert host.role(rules, warp_housekeeping_dry_run=False)[2] == 0
    host.run_unit()
    assert host.left() == ["in/a.csv", "in/folder", "in/link.tmp", "in/young.tmp", "other/c.tmp"]
    assert outside.exists() and (host.work / "in" / "deep").is_dir()
    if shutil.which("systemd-analyze"):
        unit = host.root / "etc/systemd/system/hotstandby-warp-housekeeping.service"
        told = subprocess.run(
            ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
    code, text, _changed = host.role(rules, warp_housekeeping_state="absent")
    assert code == 0 and host.installed() == [] and host.left()[0] == "in/a.csv", text


def test_a_whole_directory_goes_to_systemd_tmpfiles(host: Host) -> None:
    rules = [{"path": str(host.work / "all"), "age": 1}]
    host.put("all/new.bin", 0)
    host.put("all/.hotstandby-data", 0)
    # its content is old, its inode is from today: neither listed nor removed
    host.put("all/old.bin", 50)
    code, text, _changed = host.role(rules)
    assert code == 0 and "nothing is old enough" in text, text
    (host.work / "all/old.bin").rename(host.place / "away.bin")
    code, text, _changed = host.role(rules, warp_housekeeping_dry_run=False)
    assert code == 0 and host.installed() == ["etc/tmpfiles.d/hotstandby-warp.conf"], text
    config = host.root / "etc/tmpfiles.d/hotstandby-warp.conf"
    assert f'e "{host.work}/all" - - - 1d' in config.read_text()
    if shutil.which("systemd-tmpfiles"):
        # all times of a file count there, and ctime cannot be set: an age of zero stands for the days that passed
        now = host.place / "now.conf"
        now.write_text(config.read_text().replace(" 1d", " 0"))
        subprocess.run(["systemd-tmpfiles", "--clean", config], check=True, capture_output=True)
        assert host.left() == ["all/.hotstandby-data", "all/new.bin"]
        subprocess.run(["systemd-tmpfiles", "--clean", now], check=True, capture_output=True)
        assert host.left() == ["all/.hotstandby-data"]


@pytest.mark.parametrize(
    "path",
    ["/", "/data", "/etc/asteria", "relative/path", "/data/../etc", "/data/a*", "/data/a b%i", "/data/work/"],
)
def test_a_directory_that_could_mean_more_is_refused(host: Host, path: str) -> None:
    code, text, _changed = host.role([{"path": path, "age": 3}], warp_housekeeping_dry_run=False)
    assert code != 0 and "warp_housekeeping_rules" in text and host.installed() == []


def test_a_link_a_missing_directory_and_a_bad_pattern_are_refused(host: Host) -> None:
    (host.work / "real").mkdir()
    os.symlink(host.work / "real", host.work / "link")
    for rule in (
        {"path": str(host.work / "link"), "age": 3},
        {"path": str(host.work / "none"), "age": 3},
        {"path": str(host.work / "real"), "age": 0},
        {"path": str(host.work / "real"), "age": 3, "patterns": ['*" -o -name "*']},
    ):
        code, text, _changed = host.role([rule], warp_housekeeping_dry_run=False)
        assert code != 0 and "warp_housekeeping_rules" in text and host.installed() == [], rule


@pytest.mark.parametrize("patterns", [[], ["*.key"]])
@pytest.mark.parametrize(
    ("own", "rule"),
    [
        ("data/system/license/a.key", "data"),
        ("data/system/license/a.key", "data/system/license"),
        ("data/.identity/warp-a/system/conf/server.xconf", "data"),
        ("data/.identity/warp-a/a.key", "data/.identity/warp-a"),
        ("opt/warp/boot/bin/flowsvc", "opt"),
    ],
)
def test_no_rule_reaches_a_nodes_own_files_or_the_product(
    host: Host, own: str, rule: str, patterns: list[str]
) -> None:
    host.put(own, 500)
    rules = [{"path": str(host.work / rule), "age": 3, "patterns": patterns}]
    code, text, _changed = host.role(rules, warp_housekeeping_dry_run=False)
    assert code != 0 and "which is the product's or a node's own" in " ".join(text.split()), text
    assert host.installed() == [] and host.left() == [own]
