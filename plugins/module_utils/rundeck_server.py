# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two Rundeck servers work on one database, judged by both nodes' rundeck-config.properties. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

URL = "dataSource.url"
LINE = re.compile(r"\s*((?:\\.|[^\\=:\s])+)\s*[=:]?\s*(.*)", re.DOTALL)
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
# each node's own machine, whatever it is
OWN = re.compile(r"(?i)localhost(\.localdomain)?|127\.[0-9.]+|\[?::1\]?|0\.0\.0\.0")
ADVICE = "put the database on a server of its own, and give both nodes the same dataSource.url"


def _plain(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        word = found[1]
        return chr(int(word[1:], 16)) if len(word) == 5 else ESCAPES.get(word, word)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", meant, text, flags=re.DOTALL)


def parse_properties(text: str) -> dict[str, str]:
    """A Java properties file: continued lines, escapes, `=`, `:` or a blank between name and value; the last one counts."""
    found: dict[str, str] = {}
    # an odd number of backslashes at its end continues a line, unless it is a comment
    whole = ""
    for raw in text.splitlines():
        line = raw.lstrip() if whole or raw.lstrip()[:1] in ("#", "!") else raw
        if not whole and line[:1] in ("#", "!"):
            continue
        whole += line
        if (len(whole) - len(whole.rstrip("\\"))) % 2:
            whole = whole[:-1]
            continue
        name = LINE.fullmatch(whole)
        if name:
            found[_plain(name[1])] = _plain(name[2])
        whole = ""
    name = LINE.fullmatch(whole)
    if name:
        found[_plain(name[1])] = _plain(name[2])
    return found


def shown(url: str) -> str:
    """The URL for people: what may be a password is left out."""
    return re.sub(r"//[^/@\s]*@", "//", re.split(r"[?;]", url, maxsplit=1)[0])[:200]


def host_of(url: str) -> str:
    """The database's host in a JDBC URL, lower case; empty when there is none that we know of."""
    found = re.match(
        r"jdbc:[a-z0-9:]+?(?://|:thin:@(?://)?)(?:[^/@\s]*@)?(\[[^\]]*\]|[^:/;?\s]*)", url, re.IGNORECASE
    )
    return found[1].lower() if found else ""


def wrong_url(url: Optional[str]) -> str:
    """Why that cannot be the database of two servers; empty when it can."""
    if not url:
        return f"{URL} is not set, and Rundeck then keeps its database in files of the node's own"
    if url.lower().startswith("jdbc:h2"):
        return f"{URL} is {shown(url)}, a database in files of the node's own"
    if not url.lower().startswith("jdbc:"):
        return f"{URL} is {shown(url)}, which is no JDBC URL: which database it means is not known"
    if OWN.fullmatch(host_of(url)):
        return f"{URL} is {shown(url)}, which is each node's own machine"
    return ""


def _sealed(found: Mapping[str, str]) -> dict[str, str]:
    """How keys are sealed in the database: the other server must be able to read them."""
    return {
        name: value
        for name, value in found.items()
        if re.match(r"rundeck\.(config\.)?storage\.converter\.", name)
    }


def problems(files: Mapping[str, Optional[str]], path: str) -> list[str]:
    """What is against it, for people, without any secret; empty when both servers work on one database.

    `files` {node: the file's text, or None when it could not be read}: of such a node nothing is known, which is no yes.
    """
    read = {node: parse_properties(text) for node, text in files.items() if text is not None}
    found = [
        f"{node}: {path} cannot be read, so which database it works on is not known; install Rundeck there, or say where the "
        "file is (rundeck_server_config)"
        for node in files
        if node not in read
    ]
    for node, said in read.items():
        why = wrong_url(said.get(URL))
        if why:
            found.append(f"{node}: {why}; {ADVICE}")
    if found:
        return found
    urls = {said[URL] for said in read.values()}
    if len(urls) > 1:
        each = " and ".join(f"{shown(said[URL])} on {node}" for node, said in read.items())
        found.append(f"the nodes' databases differ, at least in how they are written: {each}; {ADVICE}")
    if len({tuple(sorted(_sealed(said).items())) for said in read.values()}) > 1:
        found.append(
            "rundeck.storage.converter.* differs between the nodes: one could not read the keys that the other has stored; "
            "make these lines equal"
        )
    return found
