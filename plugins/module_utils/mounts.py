# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount tables of Linux, read as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

WAITING = "autofs"  # a place where something is mounted on demand, and is not yet


def unescaped(field: str) -> str:
    """A field of a mount table, with its octal escapes undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(text: str) -> list[tuple[str, str]]:
    """(mount point, file system type) of each line of /proc/PID/mountinfo, in its order."""
    found = []
    for line in text.splitlines():
        first, dash, second = line.partition(" - ")
        fields = first.split(" ")
        if dash and len(fields) > 4:
            found.append((unescaped(fields[4]), second.split(" ")[0]))
    return found


def mounted_at(path: str, mounts: Iterable[tuple[str, str]]) -> str:
    """The mount point that an absolute path without links lies on, or is; empty when the table has none for it.

    What waits to be mounted on demand is passed over: the path lies on whatever is below that.
    """
    points = {point for point, kind in mounts if kind != WAITING}
    while path not in points:
        if path in ("/", ""):
            return ""
        path = path.rpartition("/")[0] or "/"
    return path
