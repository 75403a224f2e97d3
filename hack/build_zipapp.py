# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the node command: one file that any Python 3.9 or newer runs. `build_zipapp.py [OUTPUT]`.

The same sources give the same bytes, so that a deploy changes nothing when nothing changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "plugins" / "module_utils"
PACKAGE = "hotstandby"
MAIN = f"from {PACKAGE}.node.main import entry\n\nentry()\n"
TIME = (1980, 1, 1, 0, 0, 0)


def files() -> dict[str, bytes]:
    """{name in the archive: content}: the core and the node's code, without what only Ansible runs (`_*.py`)."""
    found = {"__main__.py": MAIN.encode()}
    for path in SOURCES.rglob("*.py"):
        name = path.relative_to(SOURCES)
        if not path.name.startswith("_") or path.name == "__init__.py":
            found[f"{PACKAGE}/{name.as_posix()}"] = path.read_bytes()
    return found


def build(target: Path) -> None:
    """Write the archive, as a whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in sorted(files().items()):
                    info = zipfile.ZipInfo(name, TIME)
                    info.compress_type = zipfile.ZIP_DEFLATED
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, content)
        os.chmod(temporary, 0o755)
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/hotstandby.pyz"))
