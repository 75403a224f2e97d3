# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""warp_identity as a playbook calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

RunModule = Callable[..., dict[str, Any]]


def test_save_restore_plan_and_repeat(run_module: RunModule, tmp_path: Path) -> None:
    conf = tmp_path / "data dir/system/conf/server.xconf"
    conf.parent.mkdir(parents=True)
    given = {"data_dir": str(tmp_path / "data dir"), "config": str(tmp_path / "none.json")}
    stamp = tmp_path / "data dir/.hotstandby-identity"
    for node in "ba":
        stamp.unlink(missing_ok=True)
        conf.write_text(f"server {node}")
        plan = run_module("warp_identity", check=True, state="saved", node=node, **given)
        assert plan["changed"] and not stamp.exists()
        done = run_module("warp_identity", state="saved", node=node, **given)
        assert (done["changes"], done["diff"]) == (plan["changes"], plan["diff"])
    assert not run_module("warp_identity", state="saved", node="a", **given)["changed"]
    plan = run_module("warp_identity", check=True, state="restored", node="b", **given)
    assert plan["changed"] and conf.read_text() == "server a"
    done = run_module("warp_identity", state="restored", node="b", **given)
    assert (done["changes"], done["node"]) == (
        [{"path": "system/conf/server.xconf", "change": "placed"}],
        "b",
    )
    assert (
        conf.read_text() == "server b"
        and not run_module("warp_identity", state="restored", node="b", **given)["changed"]
    )
    refused = run_module("warp_identity", state="saved", node="a", **given)
    assert (
        refused["failed"]
        and "the live files are b's" in refused["msg"]
        and refused["code"] == "identity_refused"
    )
    plan = run_module("warp_identity", check=True, state="cleared", node="b", **given)
    assert plan["changed"] and plan["kept"] == ["a", "b"] and conf.exists()
    done = run_module("warp_identity", state="cleared", node="b", **given)
    assert (done["changes"], done["node"], done["kept"]) == (plan["changes"], None, ["a", "b"])
    assert not conf.exists() and run_module("warp_identity", state="restored", node="b", **given)["changed"]
    for wrong, said in (
        ({"node": None}, "node: "),
        ({"node": "a/b"}, "node: "),
        ({"preserve": ["/"]}, "preserve: "),
    ):
        assert said in run_module("warp_identity", **{"state": "saved", "node": "b", **given, **wrong})["msg"]
