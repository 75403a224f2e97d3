# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ASTERIA Warp with what a guarded start puts into its data first: whose they are, or the node's own files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from ..freshness import parse_note, told
from ..identity import Identity, parse_stamp
from ..mirror import MARKER, Marker, MirrorError, parse_marker
from ..mirror_tree import read_text, write_text
from ..products.base import ProductError, Ran
from ..products.warp import TOLD, Warp
from .host import StateError


@dataclass(frozen=True)
class MarkedWarp(Warp):
    """ASTERIA Warp on a node of a pair. Its start runs under the node's lock, with the granted epoch seen already."""

    node: str = ""
    pair: str = ""
    shared: bool = False
    seen: Callable[[], int] = int  # the highest epoch that this node has seen
    note: Callable[[], Optional[str]] = lambda: None  # text of the note on its copy
    clock: Callable[[], float] = time.time

    def start(self, limit: float) -> Ran:
        """Make the data this node's, then start. Raises ProductError."""
        try:
            if self.shared:
                Identity(self.data_dir).restore(self.node)
            else:
                self._mark()
        except MirrorError as error:
            raise ProductError(str(error)) from None
        return super().start(limit)

    def unready(self) -> str:
        """See Wary: on a shared folder this node's own files must be kept, or be in place."""
        why = super().unready()
        if why or not self.shared:
            return why
        try:
            identity = Identity(self.data_dir)
            # a folder that has just died is not waited for: whoever looks has little time
            found = self.runner.noted(identity.stamp_path)
            stamp = None if found is None else parse_stamp(found[0], identity.stamp_path)
            if (stamp is not None and stamp.node == self.node) or identity.kept(self.node):
                return ""
        except (MirrorError, ProductError) as error:
            return str(error)[:TOLD]
        return "no files of its own are kept on the shared folder (run playbook warp_build)"

    def copied(self) -> dict[str, Any]:
        """See Copied. A file that cannot be read is no age."""
        if self.shared:
            return {}
        note, made_by = None, None
        try:
            path = os.path.join(self.data_dir, MARKER)
            found = self.runner.noted(path)
            marker = None if found is None else parse_marker(found[0], path)
            made_by = None if marker is None else marker.node
            note = parse_note(self.note())
        except (MirrorError, ProductError, StateError):
            note = None
        return told(note, made_by, self.clock())

    def _mark(self) -> None:
        """From here on the data of this node are made by it: `.hotstandby-data` says so before anything runs."""
        self.refuse_half()
        marker = Marker(self.pair, self.node, self.seen())
        path = os.path.join(self.data_dir, MARKER)
        if read_text(path) != marker.text():
            write_text(path, marker.text())
