# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one directory tree equal to another but for files that stay: the decisions. Pure; mirror_run does it.

Two trees make a set: "data" (with the node-specific files and the marker) and "install". rsync on the receiving node is
the engine; each run is asked first what it would do, and does then just that.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from .products.warp import PID_FILE

MARKER = ".hotstandby-data"  # who made the data of a tree
WORK = ".hotstandby-sync"  # below a tree, while a copy is under way: temporary files, and what says so
IDENTITY, STAMP = (
    ".identity",
    ".hotstandby-identity",
)  # of shared folders: each node's own files, and whose are in place
PRESERVE = ("system/license/*", "system/conf/server.xconf")
RUNTIME = ("log/",)
UNNAMED, UNNAMED_END = ".hotstandby-", ".new"  # around the name of a file that is being written
# what no copy ever carries or deletes
OURS = (MARKER, f"{WORK}/", STAMP, f"{IDENTITY}/", f"{UNNAMED}*{UNNAMED_END}")
NEVER = {"data": (PID_FILE,)}  # nor this, whatever else is excluded: it names a process of one host
LOOKS = {  # one of these is in a tree that is Warp's
    "install": ("boot/bin/flowsvc", "server/bin/fsctrl", "boot/bin/flowsvc.exe"),
    "data": ("system/conf", "system/license"),
}
NAMED = 5000  # changes up to which a run is told what to look at
LISTED = 1000  # changes that a result lists
VANISHED, PARTIAL, DISK_FULL = 24, 23, 11
# times are compared to the nanosecond: two files of one size from one second need not be the same
COMMON = ("-rlptgoHS", "--modify-window=-1")
NAME = re.compile(r"\\#([0-7]{3})")
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


class MirrorError(Exception):
    """Nothing was lost: one line that says what is wrong and names the option. `code`: where the runbook explains it."""

    code = "sync_refused"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code


# -- markers


@dataclass(frozen=True)
class Marker:
    """Which node of which pair made a tree's data, and with which epoch."""

    pair: str
    node: str
    epoch: int

    def text(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self)) + "\n"


def parse_marker(text: Optional[str], where: str) -> Optional[Marker]:
    """The marker of a file's text, None for no file. Raises MirrorError: a damaged one says that somebody made data."""
    if text is None:
        return None
    try:
        raw = json.loads(text)
        pair, node, epoch = raw["pair"], raw["node"], raw["epoch"]
        if (
            not (NODE.match(pair) and NODE.match(node))
            or isinstance(epoch, bool)
            or not isinstance(epoch, int)
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise MirrorError(f"{where}: holds no marker: look who made this data, then remove it") from None
    return Marker(pair, node, epoch)


def judge_direction(
    source: Optional[Marker],
    target: Optional[Marker],
    source_node: Optional[str] = None,
    own_node: Optional[str] = None,
    pair: Optional[str] = None,
) -> str:
    """Why the marked data must not be copied that way; empty when it may be.

    `source_node` and `own_node` are who the two hosts are, `pair` theirs; None where nobody told.
    """
    if source is None and target is None:
        return ""
    if source is None:
        return f"the source has no {MARKER}, here {target.node if target else ''} made the data: nobody knows which is newer"
    for marker, where in ((source, "the source"), (target, "the destination")):
        if marker is not None and marker.pair != (pair or source.pair):
            return f"{where} holds data of pair '{marker.pair}', not of '{pair or source.pair}'"
    if source_node is not None and source.node != source_node:
        return f"the source {source_node} holds a copy of {source.node}'s data: copy from {source.node}"
    if own_node is not None and source.node == own_node:
        return f"the source holds a copy of this node's own data ({own_node})"
    if target is None or target.epoch < source.epoch:
        return ""
    if target.epoch > source.epoch:
        return (
            f"the destination's data are newer: made by {target.node} with epoch {target.epoch}, the source's by "
            f"{source.node} with epoch {source.epoch}"
        )
    if target.node == source.node:
        return ""
    return f"both have data of epoch {source.epoch}, made by {source.node} and {target.node}"


# -- patterns and paths


def clean_patterns(option: str, given: Iterable[str]) -> tuple[str, ...]:
    """Patterns relative to a tree's root, as rsync's but anchored and without '**'. Raises MirrorError."""
    found = []
    for pattern in given:
        bare = pattern.lstrip("/")
        words = bare.rstrip("/").split("/")
        if not bare.rstrip("/") or any(word in ("", ".", "..") for word in words):
            raise MirrorError(f"{option}: '{pattern}' is no path below a tree", code="bad_option")
        if "**" in bare or "\0" in bare or "\\" in bare:
            raise MirrorError(
                f"{option}: '{pattern}': neither ** nor backslashes, name the directory", code="bad_option"
            )
        found.append(bare)
    return tuple(dict.fromkeys(found))


def literal_parents(patterns: Iterable[str]) -> tuple[str, ...]:
    """The directories above what patterns name, as far as they are spelled without wildcards; each once, short first."""
    found: dict[str, None] = {}
    for pattern in patterns:
        words = pattern.rstrip("/").split("/")
        for count in range(1, len(words)):
            if any(char in "".join(words[:count]) for char in "*?["):
                break
            found["/".join(words[:count])] = None
    return tuple(sorted(found, key=lambda name: (name.count("/"), name)))


def check_path(option: str, path: str) -> str:
    """An absolute path of one line that is not the root, without a trailing slash. Raises MirrorError."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise MirrorError(f"{option}: '{path}' must be an absolute path without '..'", code="bad_option")
    if any(ord(char) < 32 for char in path):
        raise MirrorError(f"{option}: the path must be on one line", code="bad_option")
    clean = os.path.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise MirrorError(f"{option}: '/' is no tree of a product", code="bad_option")
    return clean


@dataclass(frozen=True)
class Place:
    """A directory as its host knows it: (device, inode) of itself, then of each directory above it; empty: not there."""

    option: str
    path: str
    chain: tuple[str, ...] = ()


def overlap(one: Place, other: Place, same_host: bool) -> str:
    """Why two trees must not be source and destination, or two trees of one set; empty when they are apart."""
    if not (same_host and one.chain and other.chain):
        return ""
    if one.chain[0] == other.chain[0] and (one.chain[0] != "new" or one.path == other.path):
        return f"{one.option} and {other.option} are the same directory ({one.path})"
    if one.chain[0] in other.chain[1:]:
        return f"{other.option} ({other.path}) lies inside {one.option} ({one.path})"
    if other.chain[0] in one.chain[1:]:
        return f"{one.option} ({one.path}) lies inside {other.option} ({other.path})"
    return ""


# -- rsync


@dataclass(frozen=True)
class Engine:
    """How rsync is called for every tree. `remote` is its -e command line, empty for a local source."""

    program: str = "rsync"
    remote: str = ""
    acls: bool = False
    xattrs: bool = False
    delete: bool = True
    timeout: int = 120  # seconds without any traffic
    beside: bool = (
        False  # whether a file is written beside its place: other file systems are mounted below the tree
    )


def rsync_argv(
    engine: Engine,
    source: str,
    target: str,
    excludes: Sequence[str],
    backup: Optional[str] = None,
    most: Optional[int] = None,
    dry: bool = False,
    named: bool = False,
) -> list[str]:
    """The command line of one tree's run. `most` deletions at most; `backup` takes what is replaced or deleted.

    `named`: only what standard input names is looked at (see `names_of`), and nothing is deleted.
    """
    argv = [engine.program, *COMMON, "--no-devices", "--no-specials", "--out-format=%i|%l|%n"]
    argv += ["-A"] if engine.acls else []
    argv += ["-X"] if engine.xattrs else []
    argv += [f"--rsh={engine.remote}", "-s", f"--timeout={engine.timeout}"] if engine.remote else []
    argv += ["--no-recursive", "--dirs", "--from0", "--files-from=-", "--no-implied-dirs"] if named else []
    argv += ["--delete-delay"] if engine.delete and not named else []
    # renamed into place, which is a whole file at once on one file system only
    argv += ["--dry-run"] if dry else [] if engine.beside else [f"--temp-dir={WORK}"]
    argv += [f"--max-delete={most}"] if most is not None and engine.delete and not named else []
    argv += ["--backup", f"--backup-dir={backup}"] if backup and not dry else []
    argv += [f"--exclude=/{pattern}" for pattern in (*OURS, *excludes)]
    return [*argv, "--", source.rstrip("/") + "/", target.rstrip("/") + "/"]


@dataclass(frozen=True)
class Change:
    """One thing that differs: `what` is created, updated, attributes or deleted; `kind` rsync's letter (f, d, L)."""

    path: str
    what: str
    kind: str
    size: int = 0


@dataclass(frozen=True)
class Changes:
    """What one run of rsync lists. `skipped` are sockets, fifos and devices of the source."""

    changes: tuple[Change, ...] = ()
    skipped: tuple[str, ...] = ()
    linked: bool = False  # whether some of them are hard links

    @property
    def deleted(self) -> int:
        """How many entries are deleted."""
        return sum(change.what == "deleted" for change in self.changes)

    @property
    def bytes(self) -> int:
        """Bytes of the files whose content is copied."""
        return sum(change.size for change in self.changes)


def _name(text: str) -> str:
    return NAME.sub(lambda found: chr(int(found[1], 8)), text)


def decode(output: bytes) -> str:
    """rsync's output, byte for byte in surrogates where it is no UTF-8."""
    return output.decode("utf-8", "surrogateescape")


def parse_changes(output: str) -> Changes:
    """What `--out-format=%i|%l|%n` printed. A directory whose time alone differs is no change."""
    changes, skipped, linked = [], [], False
    for line in output.split("\n"):
        if line.startswith("skipping non-regular file "):
            skipped.append(_unescaped(line[len("skipping non-regular file ") :].strip().strip('"')))
            continue
        words = line.split("|", 2)
        if len(words) < 3 or not words[1].isdigit() or len(words[0]) < 9:
            continue
        item, size, name = words
        path = _unescaped(name)
        is_root = path in ("./", ".")
        if item.startswith("*deleting"):
            changes.append(Change(path.rstrip("/"), "deleted", "d" if path.endswith("/") else "f"))
            continue
        kind, told = item[1], item[2:]
        linked = linked or item[0] == "h"
        if kind == "d" and item[0] == "." and set(told) <= {".", "t"}:
            continue
        if is_root and item[0] == "c":
            path = "./"
        copied = item[0] in "<>" and kind == "f"
        what = "created" if set(told) <= {"+"} else "updated" if copied or item[0] in "ch" else "attributes"
        changes.append(Change(path.rstrip("/"), what, kind, int(size) if copied else 0))
    return Changes(tuple(changes), tuple(skipped), linked)


def names_of(plan: Changes) -> Optional[bytes]:
    """What a run has to look at to do a plan without reading the whole tree again: each path and the directories above it.

    None where a whole run is needed: something is deleted, hard links change, or most of the tree does.
    """
    if plan.deleted or plan.linked or not 0 < len(plan.changes) <= NAMED:
        return None
    found: dict[str, None] = {}
    for change in plan.changes:
        words = change.path.split("/")
        for count in range(1, len(words)):
            found["/".join(words[:count]) + "/"] = None
        found[change.path] = None
    return b"".join(os.fsencode(name) + b"\0" for name in found)


def _unescaped(name: str) -> str:
    """rsync writes what is not printable as \\#ooo, byte by byte."""
    if "\\#" not in name:
        return name
    raw = re.sub(rb"\\#([0-7]{3})", lambda found: bytes([int(found[1], 8)]), os.fsencode(name))
    return os.fsdecode(raw)


def too_many(deleted: int, there: int, limit: float, tree: str) -> str:
    """Why that many deletions need a word; empty when they do not."""
    if deleted == 0 or 100.0 * deleted <= limit * max(there, 1):
        return ""
    share = 100.0 * deleted / max(there, 1)
    return (
        f"{deleted} of {there} entries of {tree} would be deleted ({share:.0f} %, max_delete is {limit:g}): look whether the "
        "source is complete, then give a higher max_delete"
    )


def explain_rsync(rc: Optional[int], stderr: str, tree: str) -> str:
    """One line on an rsync that did not succeed."""
    last = [line.strip() for line in stderr.splitlines() if line.strip()]
    notable = [line for line in last if not line.startswith("rsync error") and "code 23" not in line]
    said = "; ".join((notable or last)[:3])[:600]
    if rc == 25:
        return f"{tree}: more was to be deleted than rsync had announced: the source changed meanwhile; run it again ({said})"
    if rc is not None and rc < 0:
        return f"{tree}: rsync was ended by signal {-rc}"
    hint = "; the disk is full" if "No space left" in stderr else ""
    return f"{tree}: rsync ended with {rc}{hint}: {said}"


def shown(path: str) -> str:
    """A path as text for people and JSON, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Kept:
    """One preserved file: its path below data_dir and its SHA-256 (None: it is not there)."""

    path: str
    sha256: Optional[str]


@dataclass(frozen=True)
class Report:
    """What a copy did, or in check mode would do. `changes` by tree; `preserved` before and after."""

    changes: Mapping[str, Changes]
    before: tuple[Kept, ...]
    after: tuple[Kept, ...]
    marked: bool = False
    backup: Optional[str] = None
    rounds: int = 1
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def changed(self) -> bool:
        """Whether anything differs or differed."""
        return self.marked or any(item.changes for item in self.changes.values())

    def listed(self) -> list[dict[str, Any]]:
        """The changes for a result: {tree, path, change}, bounded, in the order of their paths."""
        found = [
            {"tree": tree, "path": shown(change.path), "change": change.what}
            for tree, item in sorted(self.changes.items())
            for change in sorted(item.changes, key=lambda change: change.path)
        ]
        return found[:LISTED]
