# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a folder is mounted, by the mount table of a real host; and the refusal that stands on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import JobNotMounted, JobStoreError
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_dir import check_mounted
from ansible_collections.hotstandby.ops.plugins.module_utils.mounts import mounted_at, parse_mountinfo

CODE = "from ansible_collections.hotstandby.ops.plugins.module_utils.node.main import entry; entry()"
ROOT = Path(__file__).resolve().parents[3]
# an EC2 instance with EFS, an automounter, and a bind mount with a space in its name
HOST = r"""22 1 259:1 / / rw,noatime shared:1 - xfs /dev/nvme0n1p1 rw,attr2,inode64,noquota
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
31 22 0:26 / /run rw,nosuid,nodev shared:9 - tmpfs tmpfs rw,size=3128k,mode=755
48 22 0:42 / /shared rw,relatime shared:72 - nfs4 fs-0a1b.efs.ap-northeast-1.amazonaws.com:/ rw,vers=4.1,addr=10.0.1.7
51 22 0:44 / /net rw,relatime shared:80 - autofs systemd-1 rw,fd=51,pgrp=1,timeout=0,direct
52 51 0:45 / /net/jobs rw,relatime shared:81 master:3 - nfs4 nas:/jobs rw
53 22 0:46 / /late rw,relatime shared:82 - autofs systemd-1 rw,fd=52,pgrp=1,timeout=0,direct
60 22 259:1 /srv/data /mnt/my\040data rw - xfs /dev/nvme0n1p1 rw
"""


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/shared", "/shared"),
        ("/shared/hub/runs", "/shared"),
        ("/sharedness", "/"),
        ("/srv/runs", "/"),
        ("/", "/"),
        ("/net/jobs/runs", "/net/jobs"),
        ("/net/other", "/"),
        ("/late/runs", "/"),
        ("/mnt/my data/runs", "/mnt/my data"),
    ],
)
def test_what_a_path_lies_on(path: str, where: str) -> None:
    assert mounted_at(path, parse_mountinfo(HOST)) == where


def test_a_table_that_says_nothing() -> None:
    assert parse_mountinfo("") == [] == parse_mountinfo("nonsense\n1 2 3 - x\n")
    assert mounted_at("/shared", []) == ""


def table(tmp_path: Path, *mounted: Path) -> str:
    lines = [line for line in HOST.splitlines() if " / / " in line]
    lines += [
        f"90 22 0:99 / {str(path).replace(' ', chr(92) + '040')} rw - nfs4 nas:/x rw" for path in mounted
    ]
    found = tmp_path / "mountinfo"
    found.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(found)


def test_an_unmounted_folder_is_refused_and_a_mounted_one_is_not(tmp_path: Path) -> None:
    share = tmp_path / "the share"
    (share / "runs").mkdir(parents=True)
    with pytest.raises(JobNotMounted, match=r"lies on the root file system.*runbook.md#job_not_mounted"):
        check_mounted(str(share / "runs"), table(tmp_path))
    check_mounted(str(share / "runs"), table(tmp_path, share))
    # a link is followed to where the files are
    link = tmp_path / "link"
    link.symlink_to(share / "runs")
    check_mounted(str(link), table(tmp_path, share))
    with pytest.raises(JobNotMounted):
        check_mounted(str(link), table(tmp_path, link))


def test_what_cannot_be_told_is_refused_too(tmp_path: Path) -> None:
    there, gone = tmp_path, tmp_path / "none"
    for path, mountinfo in ((there, gone), (gone, Path(table(tmp_path, there)))):
        with pytest.raises(
            JobStoreError, match=r"whether it is mounted cannot be told .*/none: No such file"
        ):
            check_mounted(str(path), str(mountinfo))


def test_this_host_says_it_of_itself() -> None:
    """The real table: /proc is a mount of its own wherever there is one, and / is not."""
    check_mounted("/proc/self")
    with pytest.raises(JobNotMounted):
        check_mounted("/")


def hotstandby(*words: str) -> tuple[int, str]:
    """(exit code, what its JSON line says)."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "build/collections"), "HOTSTANDBY_NODE": "a"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])["message"]


def test_the_commands_run_nothing_there(tmp_path: Path) -> None:
    command = ("--", "touch", str(tmp_path / "ran"))
    run = ("run-exclusive", "--job", "j", "--run", "1", "--mounted")
    code, said = hotstandby(*run, "--store", "dir:/", *command)
    assert code == 75 and said.startswith("not run, ") and "dir:/: lies on the root file system" in said
    code, said = hotstandby(*run, "--store", "dynamodb:t", *command)
    assert code == 1 and said.startswith("mounted: is for a folder (dir:PATH)")
    queue = ("consume", "--queue", "http://127.0.0.1:9/1/q", "--region", "ap-northeast-1", "--mounted")
    code, said = hotstandby(*queue, "--store", "dir:/", *command)
    assert code == 75 and "lies on the root file system" in said
    code, said = hotstandby(*queue, "--check", *command)
    assert code == 1 and said == "mounted: is of no use without store"
    assert not (tmp_path / "ran").exists() and not list(Path("/").glob(".hotstandby*"))
