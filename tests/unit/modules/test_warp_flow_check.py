# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""warp_flow_check on files: every form in which a setting may stand, every bound, and nothing passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunModule = Callable[..., dict[str, Any]]
WELL = """<?xml version="1.0" encoding="UTF-8"?>
<Project name="orders">
  <Flow name="receive" OtherServerRetry="true" BeginCheckpoint="Use">
    <Http url="http://localhost:21380/orders"/>
    <File><Property name="Path">/shared/asteria/work/in.csv</Property></File>
  </Flow>
  <Flow name="send">
    <Property name="OtherServerRetry" value="true"/>
    <BeginCheckpoint>Use</BeginCheckpoint>
  </Flow>
</Project>
"""
ILL = """<?xml version="1.0"?>
<p:Project xmlns:p="urn:x">
  <p:Flow name="receive" OtherServerRetry="false">
    <Http url="http://10.0.1.10:21380/orders"/>
    <Http url="http://110.0.1.10/ and 10.0.1.100 and 10.0.1.10.example.com"/>
    <Http>
      https://WARP-A/orders
    </Http>
    <Property name="Path" value="/tmp/in.csv"/>
    <Property name="Text" value="/tmpfiles/in.csv, /opt/tmp/x"/>
    <Property name="Path"><![CDATA[C:\\work\\in.csv]]></Property>
  </p:Flow>
</p:Project>
"""
GIVEN = {"addresses": ["10.0.1.10", "warp-a"], "shared_paths": ["/shared/asteria", "/tmp/shared"]}


def put(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def places(result: dict[str, Any]) -> list[tuple[int, str]]:
    return [(item["line"], item["rule"]) for item in result["findings"]]


def test_a_project_that_survives_a_switch_has_no_findings(run_module: RunModule, tmp_path: Path) -> None:
    put(tmp_path, "app/well.xfp", WELL)
    put(tmp_path, "app/notes.txt", ILL)
    result = run_module("warp_flow_check", paths=[str(tmp_path)], **GIVEN)
    assert (result["findings"], result["files"], result["skipped"], result["changed"]) == ([], 1, [], False)
    assert result["msg"] == "0 findings in 1 file"


def test_each_trouble_is_named_with_its_line_why_and_what_to_write(
    run_module: RunModule, tmp_path: Path
) -> None:
    path = put(tmp_path, "ill.xfp", ILL)
    result = run_module("warp_flow_check", check=True, paths=[path], **GIVEN)
    assert places(result) == [
        (3, "no-checkpoint"), (3, "no-checkpoint"), (4, "own-address"), (6, "own-address"),
        (9, "local-path"), (11, "local-path"),
    ]  # fmt: skip
    first, second, third = result["findings"][:3]
    assert (first["value"], first["instead"]) == ("BeginCheckpoint: not set", "BeginCheckpoint=Use")
    assert (second["value"], second["instead"]) == ("OtherServerRetry: false", "OtherServerRetry=true")
    assert third == {
        "file": path, "line": 4, "rule": "own-address", "value": "url: http://10.0.1.10:21380/orders",
        "why": "after a switch this calls the node that was left", "instead": "localhost",
    }  # fmt: skip
    off = run_module("warp_flow_check", paths=[path], checkpoints=False, local_paths=[], **GIVEN)
    assert places(off) == [(4, "own-address"), (6, "own-address")]


def test_a_shared_place_below_a_local_one_is_well(run_module: RunModule, tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.xml",
        '<a><b path="/tmp/shared/x"/><b path="/tmp/sharedx/x"/><b path="file:///tmp/y"/></a>',
    )
    result = run_module("warp_flow_check", paths=[str(tmp_path)], **GIVEN)
    assert [item["value"] for item in result["findings"]] == ["path: /tmp/sharedx/x", "path: file:///tmp/y"]


@pytest.mark.parametrize("encoding", ["shift_jis", "cp932", "euc-jp", "iso-2022-jp", "utf-16", "utf-8-sig"])
def test_japanese_encodings_are_read(run_module: RunModule, tmp_path: Path, encoding: str) -> None:
    told = {"utf-8-sig": "UTF-8", "cp932": "Windows-31J"}.get(encoding, encoding)
    told = "cp932" if told == "Windows-31J" else told
    text = f'<?xml version="1.0" encoding="{told}"?>\n<受注>\n<宛先 値="10.0.1.10"/><名前>/tmp/受注</名前></受注>'
    put(tmp_path, "j.xml", text.encode(encoding))
    result = run_module("warp_flow_check", paths=[str(tmp_path)], **GIVEN)
    assert result["skipped"] == [] and places(result) == [(3, "local-path"), (3, "own-address")]
    assert result["findings"][1]["value"] == "値: 10.0.1.10"


def test_a_sites_own_rule(run_module: RunModule, tmp_path: Path) -> None:
    put(tmp_path, "a.xml", '<a><Property name="proxy" value="old"/><Property name="other" value="old"/></a>')
    mine = {"id": "proxy", "pattern": "^old$", "setting": "prox.", "why": "it is gone", "instead": "new"}
    result = run_module("warp_flow_check", paths=[str(tmp_path)], rules=[mine])
    assert [(item["rule"], item["value"], item["instead"]) for item in result["findings"]] == [
        ("proxy", "proxy: old", "new")
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ("<a><b></a>", "no XML"),
        ("", "no XML"),
        ("<a>" * 300 + "</a>" * 300, "nested deeper"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "'klingon' is not known"),
        (b'<?xml version="1.0" encoding="euc-jp"?><a>\xff</a>', "not in its encoding"),
        ("<a>" + "x" * 3000 + "</a>", "larger than max_bytes"),
    ],
)
def test_what_cannot_be_read_is_told(
    run_module: RunModule, tmp_path: Path, text: str | bytes, why: str
) -> None:
    path = put(tmp_path, "bad.xml", text)
    put(tmp_path, "good.xml", "<a b='/tmp/x'/>")
    result = run_module("warp_flow_check", paths=[str(tmp_path)], max_bytes=2800)
    assert [item["file"] for item in result["skipped"]] == [path] and why in result["skipped"][0]["why"]
    assert (result["files"], len(result["findings"])) == (1, 1), "the rest was read"
    strict = run_module("warp_flow_check", paths=[str(tmp_path)], max_bytes=2800, strict=True)
    assert strict["failed"] and "1 finding in 1 file, 1 file could not be read" in strict["msg"]
    assert strict["findings"] and strict["skipped"]


def test_links_and_pipes_are_never_followed(run_module: RunModule, tmp_path: Path) -> None:
    secret = put(tmp_path, "outside/secret.xml", "<a b='/tmp/x'/>")
    (tmp_path / "in").mkdir()
    os.symlink(secret, tmp_path / "in" / "link.xml")
    os.symlink(tmp_path / "outside", tmp_path / "in" / "folder")
    os.mkfifo(tmp_path / "in" / "pipe.xml")
    result = run_module("warp_flow_check", paths=[str(tmp_path / "in")])
    told = {Path(item["file"]).name: item["why"] for item in result["skipped"]}
    assert result["findings"] == [] and "symbolic link" in told["link.xml"] and "no XML" in told["pipe.xml"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"paths": ["/nowhere/at/all"]}, "paths: /nowhere/at/all is neither"),
        ({"max_files": 1}, "max_files: there are more than 1 files"),
        ({"max_bytes": 0}, "max_bytes: must be at least 1"),
        ({"flow_element": "("}, "flow_element: '(' is no regular expression"),
        ({"rules": [{"id": "x", "pattern": "[", "why": "w", "instead": "i"}]}, "rules: x: pattern: '['"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    run_module: RunModule, tmp_path: Path, given: dict[str, Any], why: str
) -> None:
    for name in ("a.xml", "b.xml"):
        put(tmp_path, name, "<a/>")
    result = run_module("warp_flow_check", **{"paths": [str(tmp_path)], **given})
    assert result["failed"] and why in result["msg"]
