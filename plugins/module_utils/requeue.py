# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes back to waiting, and under which name: the options of a requeue and the decisions about one object. Pure."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

ATTEMPTS = "hotstandby-attempts"  # object metadata: how often this request went back to waiting
OWNER = "hotstandby-owner"  # object metadata: who claimed it
CONFLICTS = ("keep_both", "skip", "fail")
OWNER_PLACES = ("key", "metadata")
KEPT_NAMES = 4  # names tried when two different objects want one

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}|arn:[A-Za-z0-9-]+:s3[A-Za-z0-9:/._-]+")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# hub-a.7: the node hub-a in the epoch 7
_GRANTED = re.compile(r"(.+)\.([0-9]{1,18})")


class RequeueError(ValueError):
    """An option makes no sense. Its text is one line that names the option."""


@dataclass(frozen=True)
class Rules:
    """A validated requeue. Prefixes end in a slash, `min_age` is in seconds, `max_attempts` 0 counts nothing."""

    bucket: str
    source_prefix: str = "processing/"
    target_prefix: str = "wait/"
    pattern: str = "*request.json"
    min_age: float = 0.0
    owner: str = ""
    owner_in: str = "key"
    max_attempts: int = 0
    failed_prefix: str = ""
    on_conflict: str = "keep_both"
    requester_pays: bool = False

    @property
    def source(self) -> str:
        """The prefix that is listed: with the owner in the key only this owner's."""
        if self.owner and self.owner_in == "key":
            return f"{self.source_prefix}{self.owner}/"
        return self.source_prefix

    @property
    def needs_metadata(self) -> bool:
        """Whether each object has to be looked at before it is copied."""
        return self.max_attempts > 0 or (bool(self.owner) and self.owner_in == "metadata")


@dataclass(frozen=True)
class Listed:
    """An object as a list names it. `size` in bytes, `modified` in epoch seconds on S3's clock."""

    key: str
    etag: str
    size: int
    modified: float
    storage: str = "STANDARD"


@dataclass(frozen=True)
class Head:
    """What HeadObject tells: `extra` are the arguments that give a new object the same properties."""

    etag: str
    size: int
    encryption: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    modified: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """Where an object shall go. `metadata` None: as it is; `quarantine`: it was tried too often."""

    to: str
    quarantine: bool = False
    metadata: Optional[Mapping[str, str]] = None


def prefix(option: str, value: object) -> str:
    """A prefix with its slash at the end. Raises RequeueError."""
    if not isinstance(value, str) or not value.strip("/ "):
        raise RequeueError(f"{option}: must not be empty: that would be the whole bucket")
    if value.startswith("/"):
        raise RequeueError(f"{option}: must not begin with a slash: {value!r}")
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise RequeueError(f"{option}: must be text on one line")
    return value if value.endswith("/") else f"{value}/"


def _apart(first: str, one: str, second: str, other: str) -> None:
    if one == other:
        raise RequeueError(f"{second}: is the same as {first} ({one}): an object moved onto itself is lost")
    if one.startswith(other) or other.startswith(one):
        raise RequeueError(f"{second}: {other} and {first} {one} lie within each other")


def bucket_name(value: object) -> str:
    """A bucket, an access point's alias or its ARN. Raises RequeueError."""
    if not isinstance(value, str) or not _BUCKET.fullmatch(value):
        raise RequeueError(f"bucket: {value!r} is not a bucket's name, nor an access point's alias or ARN")
    return value


def owner_name(value: object) -> str:
    """Whose work. Raises RequeueError."""
    if not isinstance(value, str) or not _OWNER.fullmatch(value):
        raise RequeueError(f"owner: {value!r} is not a name (letters, digits, '.', '_', '-')")
    return value


def _number(option: str, value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise RequeueError(f"{option}: must be {kind}, not {value!r}")
    return value


def make_rules(bucket: object, **given: Any) -> Rules:
    """Validate the options, which are those of the module; None means the default. Raises RequeueError."""
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    found["bucket"] = bucket_name(bucket)
    for name in ("source_prefix", "target_prefix"):
        found[name] = prefix(name, found.get(name, getattr(Rules, name)))
    _apart("source_prefix", found["source_prefix"], "target_prefix", found["target_prefix"])
    if found.get("failed_prefix"):
        found["failed_prefix"] = prefix("failed_prefix", found["failed_prefix"])
        for name in ("source_prefix", "target_prefix"):
            _apart(name, found[name], "failed_prefix", found["failed_prefix"])
    pattern = found.get("pattern", Rules.pattern)
    if not isinstance(pattern, str) or not pattern:
        raise RequeueError("pattern: must be text, such as *request.json")
    if found.get("owner"):
        owner_name(found["owner"])
    for name, allowed in (("owner_in", OWNER_PLACES), ("on_conflict", CONFLICTS)):
        if found.get(name, getattr(Rules, name)) not in allowed:
            raise RequeueError(f"{name}: must be one of {', '.join(allowed)}, not {found[name]!r}")
    _number("min_age", found.get("min_age", 0.0), "a number of seconds")
    attempts = _number("max_attempts", found.get("max_attempts", 0), "a whole number, 0 for no limit")
    if attempts != int(attempts):
        raise RequeueError(f"max_attempts: must be a whole number, not {attempts!r}")
    if bool(attempts) != bool(found.get("failed_prefix")):
        needs = "failed_prefix" if attempts else "max_attempts"
        raise RequeueError(f"{needs}: max_attempts and failed_prefix need each other")
    return Rules(**found)


def matches(rules: Rules, key: str) -> bool:
    """Whether a listed key is meant: fnmatch over what follows the prefix; `*` covers slashes too, case counts."""
    return fnmatch.fnmatchcase(key[len(rules.source) :], rules.pattern)


def folder_marker(listed: Listed) -> bool:
    """Whether an object only stands for a folder."""
    return listed.key.endswith("/") and listed.size == 0


def too_young(rules: Rules, listed: Listed, now: Optional[float]) -> bool:
    """Whether `min_age` spares it. `now` is S3's clock; a time that is not known spares as well."""
    if not rules.min_age:
        return False
    return now is None or now - listed.modified <= rules.min_age


def attempts(metadata: Mapping[str, str]) -> int:
    """How often this request went back to waiting already; what cannot be read counts as never."""
    text = metadata.get(ATTEMPTS, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def wanted(rules: Rules, listed: Listed, head: Optional[Head]) -> Optional[Wanted]:
    """Where an object goes; None when it is somebody else's. `head` is needed when `rules.needs_metadata`."""
    below = listed.key[len(rules.source) :]
    if not rules.needs_metadata or head is None:
        return Wanted(rules.target_prefix + below)
    if rules.owner and rules.owner_in == "metadata" and head.metadata.get(OWNER) != rules.owner:
        return None
    kept = {name: value for name, value in head.metadata.items() if name != OWNER}
    if not rules.max_attempts:
        return Wanted(rules.target_prefix + below, metadata=kept)
    tried = attempts(head.metadata)
    if tried >= rules.max_attempts:
        return Wanted(rules.failed_prefix + below, quarantine=True, metadata=kept)
    return Wanted(rules.target_prefix + below, metadata={**kept, ATTEMPTS: str(tried + 1)})


def other_names(key: str, root: str, etag: str, pattern: str) -> Iterator[str]:
    """Names below `root` for an object whose own is taken, each still matching the pattern.

    They depend on nothing but key and bytes, so that a second run finds what the first one made.
    """
    below = key[len(root) :]
    folder, slash, name = below.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    for number in range(KEPT_NAMES):
        token = hashlib.sha256(f"{etag} {number} {below}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
        shapes = [f"{token}-{name}", f"{stem}-{token}{dot}{extension}" if stem else f"{name}-{token}"]
        shapes += [f"{name}-{token}", f"{token}/{name}"]
        for shape in shapes:
            if fnmatch.fnmatchcase(f"{folder}{slash}{shape}", pattern):
                yield f"{root}{folder}{slash}{shape}"
                break


def granted_owner(name: str) -> Optional[tuple[str, int]]:
    """(node, epoch) of an owner in the form NODE.EPOCH; None for any other name."""
    found = _GRANTED.fullmatch(name)
    return (found[1], int(found[2])) if found else None
