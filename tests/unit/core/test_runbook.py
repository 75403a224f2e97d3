# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both runbooks explain each kind of message, and nothing that is not in the code; a message says where and what next."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.runbook import addressed, help_for, told

ROOT = Path(__file__).resolve().parents[3]
BOOKS = ("docs/runbook.md", "docs/runbook.ja.md")
# whoever makes one of these must say which kind it is
CODED = {"Ended", "EnrollError", "MaintenanceError", "failed", "_broke", "ModuleFailure"}
WELL = {"rejoined", "unchanged", "moved"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def text_of(node: ast.expr | None) -> list[str]:
    """The texts that an expression may come to."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and node.value else []
    if isinstance(node, ast.IfExp):
        return text_of(node.body) + text_of(node.orelse)
    return []


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def codes() -> set[str]:
    """Every code that the collection's Python and playbooks can say."""
    found: set[str] = set()
    for _path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "code":
                        found.update(text_of(keyword.value))
                if name_of(node) == "Decision" and node.args:
                    found.update(text_of(node.args[0]))
                if name_of(node) == "told" and len(node.args) == 3:
                    found.update(text_of(node.args[1]))
            if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [
                "code"
            ]:
                found.update(text_of(node.value))
    for folder in ("playbooks", "roles"):
        for path in (ROOT / folder).rglob("*.yml"):
            found.update(re.findall(r"runbook\.md#(\w+)", path.read_text(encoding="utf-8")))
    return found


def headings(book: str) -> list[str]:
    return re.findall(r"^### ([a-z_]+)$", (ROOT / book).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("book", BOOKS)
def test_each_kind_of_message_has_one_entry_and_none_is_stale(book: str) -> None:
    found = headings(book)
    assert sorted(found) == sorted(set(found))
    assert sorted(set(found) ^ codes()) == []


@pytest.mark.parametrize("book", BOOKS)
def test_each_entry_says_what_it_means_and_what_to_do(book: str) -> None:
    text = (ROOT / book).read_text(encoding="utf-8")
    entries = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    for entry in entries:
        lines = [
            line for line in re.split(r"^## ", entry, flags=re.MULTILINE)[0].splitlines()[1:] if line.strip()
        ]
        assert len(lines) >= 2, entry
    assert not set("\u201c\u201d\u2018\u2019") & set(text)


def test_both_books_have_the_same_entries_in_the_same_order_and_the_same_commands() -> None:
    english, japanese = ((ROOT / book).read_text(encoding="utf-8") for book in BOOKS)
    assert headings(BOOKS[0]) == headings(BOOKS[1])
    assert re.findall(r"^```shell\n(.*?)^```", english, re.MULTILINE | re.DOTALL) == re.findall(
        r"^```shell\n(.*?)^```", japanese, re.MULTILINE | re.DOTALL
    )


def test_no_refusal_is_without_a_code() -> None:
    bare = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node) in CODED:
                given = {keyword.arg for keyword in node.keywords}
                first = text_of(node.args[0]) if node.args else []
                well = name_of(node) == "Ended" and (not first or set(first) <= WELL)
                # None: a whole result is handed on, which has its code
                if not given & {"code", None} and not well:
                    bare.append(f"{path.name}:{node.lineno}")
    assert bare == []


def test_a_message_ends_with_what_to_type() -> None:
    assert told("it failed.", "broken", "do this") == "it failed (see docs/runbook.md#broken). Next: do this"
    assert told("it failed.") == "it failed." and help_for("") == ""


def test_next_commands_name_inventory_and_group_wherever_they_stand() -> None:
    before = {
        "msg": "run ansible-playbook hotstandby.ops.failover -e to=b",
        "steps": [{"detail": "x"}],
        "epoch": 7,
    }
    after = addressed(before, ["/etc/my hosts.yml"], "batch")
    assert after["msg"] == (
        "run ansible-playbook hotstandby.ops.failover -e to=b -i '/etc/my hosts.yml' -e hotstandby_group=batch"
    )
    assert (after["steps"], after["epoch"]) == (before["steps"], 7)
    assert addressed(before, [], "hotstandby") == before


def test_what_stands_after_a_command_stays_where_it_is() -> None:
    text = "choose: 'ansible-playbook hotstandby.ops.failover -e to=hub.a'. Or ansible-playbook hotstandby.ops.status, then"
    assert addressed([text], ["inv"]) == [
        "choose: 'ansible-playbook hotstandby.ops.failover -e to=hub.a -i inv'. Or ansible-playbook hotstandby.ops.status -i "
        "inv, then"
    ]
