# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that copy trees share: their options, the node's place in its pair, and its lock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from ._ansible import ModuleFailure
from ._hub import ModuleHost
from ._warp import TREES
from .freshness import noted, parse_note
from .mirror import PRESERVE, RUNTIME, Report, shown
from .mirror_restore import own_files
from .mirror_run import Job
from .mirror_source import Source
from .node.config import Config, ConfigError, load_config
from .node.host import StateError
from .node.state import State
from .products.base import ProductError
from .products.warp import Warp

CONFIG = "/etc/hotstandby/pair.json"
COPY_OPTIONS: dict[str, Any] = {
    **TREES,
    "preserve": {"type": "list", "elements": "str", "default": list(PRESERVE)},
    "exclude": {"type": "list", "elements": "str", "default": list(RUNTIME)},
    "require_stopped": {"type": "bool", "default": True},
    "backup_dir": {"type": "path"},
    "keep": {"type": "int", "default": 5},
    "max_delete": {"type": "float", "default": 50.0},
    "reason": {"type": "str", "default": ""},
    "config": {"type": "path", "default": CONFIG},
    "lock_timeout": {"type": "int", "default": 60},
}
PACE = 0.2  # seconds between two looks at the lock


def check_numbers(params: Mapping[str, Any]) -> None:
    """Errors: ModuleFailure that names the option."""
    for name, low, high in (("keep", 1, 1000), ("max_delete", 0, 100), ("lock_timeout", 0, 3600)):
        if not low <= params[name] <= high:
            raise ModuleFailure(
                f"{name}: must be from {low} to {high}, not {params[name]}", code="bad_option"
            )


def config_of(params: Mapping[str, Any]) -> Optional[Config]:
    """This node's place in its pair; None on a host of no pair. Errors: ModuleFailure."""
    if not os.path.exists(params["config"]):
        return None
    try:
        return load_config(params["config"])
    except ConfigError as error:
        raise ModuleFailure(f"config: {error}", code="bad_option") from None


def stopped_here(params: Mapping[str, Any]) -> str:
    """Why the product here is not known to be stopped; empty when no process of it is left."""
    try:
        left = Warp(params["install_dir"], params["data_dir"], ModuleHost()).leftovers()
    except ProductError as error:
        return str(error)
    return f"pid {', '.join(str(item.pid) for item in left[:5])}" if left else ""


def backup_dir(params: Mapping[str, Any]) -> str:
    """Where backups lie: as given, else beside data_dir."""
    return str(params["backup_dir"] or os.path.normpath(params["data_dir"]) + ".hotstandby-backup")


def job_of(params: Mapping[str, Any], config: Optional[Config], source: Optional[Source] = None) -> Job:
    """The copy that a module's options describe."""
    trees = {
        name: (params.get(f"source_{name}_dir") or params[f"{name}_dir"], params[f"{name}_dir"])
        for name in ("install", "data")
    }
    pair = None if config is None else config.pair
    other = None if config is None else config.other.name
    return Job(
        trees=trees,
        backup_dir=backup_dir(params),
        source=source or Source(),
        preserve=tuple(params["preserve"]),
        exclude=tuple(params["exclude"]),
        delete=params.get("delete", True),
        max_delete=params["max_delete"],
        require_stopped=params["require_stopped"],
        live=params.get("live", False),
        force_direction=params.get("force_direction", False),
        reason=params["reason"],
        own_node=None if config is None else config.node.name,
        source_node=params.get("source_node") or other,
        pair=None if pair is None else pair.name,
        config=params["config"],
    )


@contextmanager
def node_lock(params: Mapping[str, Any], config: Optional[Config], verb: str) -> Iterator[None]:
    """The node's own lock, so that no guarded start meets a tree in the middle of a copy. Errors: ModuleFailure."""
    if config is None:
        yield
        return
    state = State(ModuleHost(), config.root, config.pair.name)
    end = time.monotonic() + params["lock_timeout"]
    try:
        while (handle := state.take()) is None:
            if time.monotonic() >= end:
                holder = state.holder()
                who = f"{holder.verb} (pid {holder.pid})" if holder else "another command"
                raise ModuleFailure(
                    f"{who} holds this node's lock: let it end, then say this again", code="lock_busy"
                )
            time.sleep(PACE)
    except StateError as error:
        raise ModuleFailure(f"{error}: the node's lock cannot be taken", code="state_not_written") from None
    try:
        state.sign(handle, verb, None)
        yield
    finally:
        state.release(handle)


def note_copy(config: Optional[Config], source: Optional[str], begun: float, drift: int) -> None:
    """Remember on a node of a pair how its copy was found; on any other host do nothing. Errors: ModuleFailure."""
    if config is None or source is None:
        return
    host = ModuleHost()
    path = State(host, config.root, config.pair.name).sync_path
    try:
        host.write(path, noted(parse_note(host.read(path)), source, begun, drift).text())
    except StateError as error:
        raise ModuleFailure(
            f"{error}: how old the copy is cannot be noted", code="state_not_written"
        ) from None


def forget_copy(config: Optional[Config]) -> None:
    """What is put back is as old as its backup: nobody knows any more how old the copy is. Errors: ModuleFailure."""
    if config is None:
        return
    host = ModuleHost()
    try:
        host.remove(State(host, config.root, config.pair.name).sync_path)
    except StateError as error:
        raise ModuleFailure(
            f"{error}: how old the copy is cannot be noted", code="state_not_written"
        ) from None


@contextmanager
def source_of(params: Mapping[str, Any]) -> Iterator[Source]:
    """Where the copy comes from; one ssh connection serves all of it."""
    folder = tempfile.mkdtemp(prefix="hs-") if params["source_host"] else ""
    source = Source(
        host=params["source_host"] or "",
        user=params["source_user"] or "",
        ssh=tuple(params["ssh_args"]),
        control=os.path.join(folder, "ssh") if folder else "",
    )
    try:
        source.check()
        yield source
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def result_of(report: Report, seconds: float, check: bool) -> dict[str, Any]:
    """What sync and restore return."""
    changes = [item for found in report.changes.values() for item in found.changes]
    deleted = sum(item.deleted for item in report.changes.values())
    lines = [f"{item['tree']} {item['change']:10} {item['path']}" for item in report.listed()]
    word = "would be" if check else "were"
    text = f"{len(changes) - deleted} entries {word} copied or changed, {deleted} {word} deleted"
    return {
        "changed": report.changed,
        "files": len(changes) - deleted,
        "bytes": sum(item.bytes for item in report.changes.values()),
        "deleted": deleted,
        "changes": report.listed(),
        "preserved": [
            {**item, "path": shown(str(item["path"]))} for item in own_files(report.before, report.after)
        ],
        "backup": report.backup,
        "notes": [shown(note) for note in report.notes],
        "seconds": round(seconds, 3),
        "msg": text if report.changed else "both trees are equal but for the files that stay",
        "diff": {"prepared": "\n".join([*lines, ""]) if lines else ""},
    }
