# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guarded start of ASTERIA Warp puts into the data before anything runs."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.freshness import Note
from ansible_collections.hotstandby.ops.plugins.module_utils.identity import Identity
from ansible_collections.hotstandby.ops.plugins.module_utils.mirror import Marker
from ansible_collections.hotstandby.ops.plugins.module_utils.node.config import parse_config
from ansible_collections.hotstandby.ops.plugins.module_utils.node.equip import equipped
from ansible_collections.hotstandby.ops.plugins.module_utils.node.marked import MarkedWarp
from ansible_collections.hotstandby.ops.plugins.module_utils.node.real import RealHost
from ansible_collections.hotstandby.ops.plugins.module_utils.products.base import Product, ProductError
from ansible_collections.hotstandby.ops.plugins.module_utils.products.hub import Hub


def product(root: Path, layout: str = "separate", service: str = "asteria_warp") -> Product:
    (root / "warp/boot/bin").mkdir(parents=True, exist_ok=True)
    (root / "data/system/conf").mkdir(parents=True, exist_ok=True)
    start = root / "warp/boot/bin/flowsvc"
    start.write_text(
        f"#!/bin/sh\ncat '{root}/data/.hotstandby-data' '{root}/data/system/conf/server.xconf' > '{root}/started' 2>&1\n"
    )
    start.chmod(0o755)
    given: dict[str, Any] = {"install_dir": f"{root}/warp", "data_dir": f"{root}/data", "layout": layout}
    if service == "hulft_hub":
        given = {"etc": "/etc", "exe": "/opt"}
    pair = {
        "name": "p", "region": "us-east-1", "table": "hotstandby", "service": service, "product": given,
        "nodes": [{"name": "a", "instance_id": "i-0aaaaaaaaaaaaaaaa"}, {"name": "b", "instance_id": "i-0bbbbbbbbbbbbbbbb"}],
    }  # fmt: skip
    config = parse_config(json.dumps({"schema": 1, "node": "b", "root": f"{root}/host", "pair": pair}), "x")
    return equipped(config, RealHost(config.root))


def test_separate_data_are_marked_with_the_epoch_that_was_seen(tmp_path: Path) -> None:
    seen = tmp_path / "host/var/lib/hotstandby/p/seen"
    seen.parent.mkdir(parents=True)
    warp = product(tmp_path)
    assert isinstance(warp, MarkedWarp)
    for epoch in (7, 7, 9):
        seen.write_text(f"{epoch}\n")
        assert warp.start(5).rc == 0
        told = json.loads((tmp_path / "started").read_text().splitlines()[0])
        # it was there before the product was
        assert told == {"pair": "p", "node": "b", "epoch": epoch}


def test_half_a_copy_is_neither_marked_nor_started(tmp_path: Path) -> None:
    warp = product(tmp_path)
    (tmp_path / "data/.hotstandby-sync").mkdir()
    (tmp_path / "data/.hotstandby-sync/state.json").write_text("{}")
    with pytest.raises(ProductError, match="a copy that has not ended"):
        warp.start(5)
    assert not (tmp_path / "data/.hotstandby-data").exists() and not (tmp_path / "started").exists()


def test_on_a_shared_folder_the_nodes_own_files_are_put_in_place(tmp_path: Path) -> None:
    warp = product(tmp_path, "shared")
    assert isinstance(warp, MarkedWarp) and "no files of its own are kept" in warp.unready()
    with pytest.raises(ProductError, match="no files are kept for b"):
        warp.start(5)
    assert not (tmp_path / "started").exists()
    data = tmp_path / "data"
    for node in "ba":
        (data / ".hotstandby-identity").unlink(missing_ok=True)
        (data / "system/conf/server.xconf").write_text(f"server {node}")
        Identity(str(data)).save(node)
    assert warp.unready() == "" and warp.start(5).rc == 0
    assert (tmp_path / "started").read_text().endswith("server b")
    assert not (data / ".hotstandby-data").exists()


def test_a_look_does_not_wait_for_a_shared_folder_that_has_just_died(tmp_path: Path) -> None:
    warp = product(tmp_path, "shared")
    assert isinstance(warp, MarkedWarp)
    os.mkfifo(tmp_path / "data/.hotstandby-identity")  # whoever opens it waits for ever
    assert ".hotstandby-identity did not answer within 3 s" in warp.unready()


def test_a_standby_tells_how_old_its_copy_is_until_it_makes_data_itself(tmp_path: Path) -> None:
    warp, note = product(tmp_path), tmp_path / "host/var/lib/hotstandby/p/sync"
    assert isinstance(warp, MarkedWarp)
    assert warp.copied() == {"source": None, "age": None, "looked": None, "drift": None}
    note.parent.mkdir(parents=True)
    note.write_text(Note("a", 1000.0, 1500.0, 2).text())
    (tmp_path / "data/.hotstandby-data").write_text(Marker("p", "a", 3).text())
    warp = dataclasses.replace(warp, clock=lambda: 2000.0)
    assert warp.copied() == {"source": "a", "age": 1000, "looked": 500, "drift": 2}
    for path, text in ((note, "half a no"), (tmp_path / "data/.hotstandby-data", "{")):
        kept = path.read_text()
        path.write_text(text)
        assert warp.copied()["age"] is None
        path.write_text(kept)
    (note.parent / "seen").write_text("4\n")
    assert warp.start(5).rc == 0 and warp.copied()["source"] == "b" and warp.copied()["age"] is None
    shared = product(tmp_path, "shared")
    assert isinstance(shared, MarkedWarp) and shared.copied() == {}


def test_other_products_are_as_they_were(tmp_path: Path) -> None:
    assert isinstance(product(tmp_path, service="hulft_hub"), Hub)
