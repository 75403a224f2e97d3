# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's configuration file: which pair, which of its nodes, below which root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..checks import PairError
from ..pair import Node, PairSpec, parse_pair

SCHEMA = 1
DEFAULT = "/etc/hotstandby/pair.json"
KEYS = {"schema", "node", "root", "metadata_url", "pair"}


class ConfigError(Exception):
    """The file cannot be used; one line that names the file and the key."""

    code = "bad_config"


@dataclass(frozen=True)
class Config:
    """This node's place in its pair. `root` prefixes the paths that the node command owns."""

    pair: PairSpec
    node: Node
    root: str = ""
    metadata_url: Optional[str] = None

    @property
    def other(self) -> Node:
        """The other node of the pair."""
        return self.pair.other(self.node.name)


def parse_config(text: str, path: str) -> Config:
    """Read the file's text. Raises ConfigError."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from None
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path}: must hold a mapping")
    if raw.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: schema: {raw.get('schema')!r} is not {SCHEMA}, run deploy")
    unknown = sorted(str(key) for key in set(raw) - KEYS)
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]}: no such key (there are {', '.join(sorted(KEYS))})")
    root, url = raw.get("root") or "", raw.get("metadata_url")
    if not isinstance(root, str) or (root and not root.startswith("/")):
        raise ConfigError(f"{path}: root: must be an absolute path or empty")
    if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        raise ConfigError(f"{path}: metadata_url: must be an http address or null")
    try:
        pair = parse_pair(raw.get("pair"))
        name: Any = raw.get("node")
        if not isinstance(name, str):
            raise ConfigError(f"{path}: node: must be the name of one of the pair's nodes")
        node = pair.node(name)
    except PairError as error:
        raise ConfigError(f"{path}: {error}") from None
    return Config(pair, node, root.rstrip("/"), url)


def load_config(path: str) -> Config:
    """Read the file. Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}; run deploy"
        ) from None
    return parse_config(text, path)
