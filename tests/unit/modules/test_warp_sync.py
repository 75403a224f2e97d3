# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""warp_sync and warp_backup as a playbook calls them: results, check mode, the way back, and the node's lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils import mirror_tree
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import MARKER

from tests.unit.core.mirror_trees import Trees

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    made = Trees(tmp_path)
    made.fill()
    return made


def given(trees: Trees, **more: Any) -> dict[str, Any]:
    return {
        "install_dir": trees.path("b", "install"), "data_dir": trees.path("b", "data"),
        "config": str(trees.root / "none.json"), **more,
    }  # fmt: skip


def source(trees: Trees, **more: Any) -> dict[str, Any]:
    mine = {"source_install_dir": trees.path("a", "install"), "source_data_dir": trees.path("a", "data")}
    return given(trees, max_delete=100, **mine, **more)


def test_check_and_diff_tell_what_the_run_does(run_module: RunModule, trees: Trees) -> None:
    plan = run_module("warp_sync", check=True, **source(trees))
    assert plan["changed"] and plan["backup"] is None
    done = run_module("warp_sync", **source(trees))
    for name in ("changes", "files", "bytes", "deleted", "diff"):
        assert plan[name] == done[name], name
    assert done["deleted"] >= 5 and done["files"] > 10 and done["bytes"] > 300_000
    assert "data deleted    home/stale\n" in done["diff"]["prepared"]
    assert [item["path"] for item in done["preserved"]] == [
        "system/conf/server.xconf",
        "system/license/b.key",
    ]
    assert all(item["sha256"] == item["sha256_before"] for item in done["preserved"])
    assert done["backup"].startswith(trees.path("b", "data") + ".hotstandby-backup/")
    for check in (True, False):
        again = run_module("warp_sync", check=check, **source(trees))
        assert (again["changed"], again["changes"], again["diff"]) == (False, [], {"prepared": ""})


def test_back_to_before_is_one_command(run_module: RunModule, trees: Trees) -> None:
    saved = run_module("warp_backup", state="saved", **given(trees))
    before, own = trees.state("b"), trees.state("b", own=True)
    synced = run_module("warp_sync", **source(trees))
    trees.write("b", "data", "system/license/b.key", "renewed meanwhile")
    own = trees.state("b", own=True)
    # the newest is what the sync replaced
    plan = run_module("warp_backup", check=True, state="restored", **given(trees))
    assert plan["changed"] and plan["backup"] == synced["backup"] and trees.state("b") != before
    back = run_module("warp_backup", state="restored", **given(trees))
    assert back["used"] == [synced["backup"]] and trees.state("b") == before
    run_module("warp_sync", **source(trees))
    whole = run_module(
        "warp_backup", state="restored", backup=os.path.basename(saved["backup"]), **given(trees)
    )
    assert whole["changed"] and trees.state("b") == before
    # a renewed licence is never replaced by the one in a backup
    assert trees.state("b", own=True) == own
    assert not run_module("warp_backup", state="restored", backup=saved["backup"], **given(trees))["changed"]


def test_backups_are_kept_n_times_and_share_what_did_not_change(run_module: RunModule, trees: Trees) -> None:
    made = [run_module("warp_backup", state="saved", keep=2, **given(trees)) for _turn in range(3)]
    assert made[2]["removed"] == [made[0]["backup"]]
    folder = Path(made[2]["backup"]).parent
    assert sorted(path.name for path in folder.iterdir()) == [Path(item["backup"]).name for item in made[1:]]
    jars = [Path(item["backup"], "install/server/lib/flow.jar").stat() for item in made[1:]]
    assert jars[0].st_ino == jars[1].st_ino and folder.stat().st_mode & 0o77 == 0
    plan = run_module("warp_backup", check=True, state="saved", **given(trees))
    assert plan["changed"] and len(list(folder.iterdir())) == 2


def test_the_marker_of_a_restored_copy_is_as_old_as_the_copy(run_module: RunModule, trees: Trees) -> None:
    trees.mark("a", "a", 3)
    run_module("warp_sync", **source(trees))
    saved = run_module("warp_backup", state="saved", **given(trees))
    trees.mark("a", "a", 4)
    trees.write("a", "data", "home/plain", "later")
    run_module("warp_sync", **source(trees))
    marker = Path(trees.path("b", "data", MARKER))
    assert '"epoch": 4' in marker.read_text()
    run_module("warp_backup", state="restored", backup=saved["backup"], **given(trees))
    assert '"epoch": 3' in marker.read_text()


def test_what_is_refused_names_its_option(run_module: RunModule, trees: Trees) -> None:
    before = trees.state("b")
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("warp_sync", source(trees, keep=0), "keep: "), ("warp_sync", {**source(trees), "max_delete": 101}, "max_delete: "),
        ("warp_sync", source(trees, preserve=["../x"]), "preserve: "), ("warp_sync", source(trees, exclude=["a/**"]), "exclude: "),
        ("warp_sync", source(trees, source_user="x"), "source_user: "), ("warp_sync", source(trees, source_host="-x"), "source_host: "),
        ("warp_sync", given(trees), "same directory"), ("warp_sync", {**source(trees), "max_delete": 1}, "max_delete: "),
        ("warp_backup", given(trees, state="restored", backup="gone"), "backup: "),
        ("warp_backup", given(trees, state="restored"), "backup_dir: there is no backup"),
        ("warp_backup", given(trees, state="saved", backup_dir=trees.path("b", "data", "kept")), "backup_dir: "),
        ("warp_backup", {**given(trees, state="saved"), "data_dir": str(trees.root / "gone")}, "data_dir: "),
    ]  # fmt: skip
    for module, options, said in cases:
        failed = run_module(module, **options)
        assert failed["failed"] and said in failed["msg"] and failed["help"].startswith("docs/runbook.md#"), (
            said
        )
    assert trees.state("b") == before


@pytest.fixture
def state(run_module: RunModule, trees: Trees, pair: dict[str, Any], tmp_path: Path) -> Path:
    """Makes this host node hub-b of a pair; where its guard keeps what it remembers. The configuration is pair.json."""
    root = tmp_path / "root"
    product = {"install_dir": trees.path("b", "install"), "data_dir": trees.path("b", "data")}
    nodes = [{key: node[key] for key in ("name", "instance_id")} for node in pair["nodes"]]
    whole = {**pair, "service": "asteria_warp", "product": product, "nodes": nodes}
    config = run_module("pair_config", pair=whole, node="hub-b", root=str(root))["config"]
    (tmp_path / "pair.json").write_text(json.dumps(config))
    found = root / "var/lib/hotstandby/hub-test"
    found.mkdir(parents=True)
    return found


def test_a_comparison_changes_nothing_and_is_noted(
    run_module: RunModule, trees: Trees, state: Path, tmp_path: Path
) -> None:
    trees.mark("a", "hub-a", 3, "hub-test")
    options = {**source(trees), "config": str(tmp_path / "pair.json")}
    before = trees.state("b")

    def note() -> Any:
        return json.loads((state / "sync").read_text())

    # a question leaves no note, and a copy while the source runs is not the whole of it
    run_module("warp_sync", check=True, compare=True, **options)
    assert not (state / "sync").exists()
    found = run_module("warp_sync", compare=True, **options)
    assert found["changed"] is False and found["drift"] == found["files"] + found["deleted"] > 10
    assert trees.state("b") == before and (note()["source"], note()["equal"]) == ("hub-a", None)
    run_module("warp_sync", live=True, **options)
    assert note()["equal"] is None
    run_module("warp_sync", **options)
    copied = note()
    assert copied["drift"] == 0 and copied["equal"] == copied["looked"] > found["seconds"]
    trees.write("a", "data", "home/later", "new")
    assert run_module("warp_sync", compare=True, **options)["drift"] == 1
    assert note()["equal"] == copied["equal"] < note()["looked"] and note()["drift"] == 1
    # a restore that is refused has put nothing back
    refused = {**given(trees), "config": options["config"], "backup": "gone", "state": "restored"}
    assert run_module("warp_backup", **refused)["failed"] and (state / "sync").exists()
    lock = mirror_tree.lock(trees.path("b", "data"))
    assert run_module("warp_backup", **{**refused, "backup": None})["code"] == "sync_busy"
    assert (state / "sync").exists()
    os.close(lock)
    # what is put back is older than anybody knows
    run_module("warp_backup", check=True, state="restored", **{**given(trees), "config": options["config"]})
    assert (state / "sync").exists()
    run_module("warp_backup", state="restored", **{**given(trees), "config": options["config"]})
    assert not (state / "sync").exists()


def test_a_start_and_a_copy_wait_for_each_other(
    run_module: RunModule, trees: Trees, state: Path, tmp_path: Path
) -> None:
    lock = state / "lock"
    options = {**source(trees), "config": str(tmp_path / "pair.json"), "lock_timeout": 0}
    with open(lock, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        refused = run_module("warp_sync", **options)
        assert refused["failed"] and refused["code"] == "lock_busy"
        assert run_module("warp_sync", check=True, **options)["changed"]
    # this node is hub-b: its source is hub-a, and nobody else's copy
    trees.mark("a", "hub-c", 3, "hub-test")
    assert "the source hub-a holds a copy of hub-c's data" in run_module("warp_sync", **options)["msg"]
    trees.mark("a", "hub-a", 3, "hub-test")
    assert run_module("warp_sync", **options)["changed"]
    assert not run_module("warp_sync", **options)["changed"]
