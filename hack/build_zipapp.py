# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the node command, one file that any Python 3.9 or newer runs: `build_zipapp.py [OUTPUT]`;
or the Lambda function's zip: `build_zipapp.py OUTPUT --function`.

The same sources and the same Python give the same bytes, so that a deploy changes nothing when nothing changed. Beside
each source lies its bytecode for the Python that builds: a node with the same Python starts in half the time, and any
other one ignores it and compiles the source.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
import tempfile
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "plugins" / "module_utils"
PACKAGE = "hotstandby"
MAIN = f"""import sys

from {PACKAGE}.node.client import begin

begin(sys.argv[0], sys.argv[1:])

from {PACKAGE}.node.main import entry

entry()
"""
TIME = (1980, 1, 1, 0, 0, 0)


def files(function: bool = False) -> dict[str, bytes]:
    """{name in the archive: content}: the core and the node's code, without what only Ansible runs (`_*.py`).

    The function gets the core alone, as sources: nobody knows which Python builds it and which runs it. Its handler is
    hotstandby.function.handler.
    """
    found = {} if function else {"__main__.py": MAIN.encode()}
    for path in SOURCES.rglob("*.py"):
        name = path.relative_to(SOURCES)
        if function and name.parts[0] in ("node", "products"):
            continue
        if not path.name.startswith("_") or path.name == "__init__.py":
            found[f"{PACKAGE}/{name.as_posix()}"] = path.read_bytes()
    return found


def bytecode(name: str, source: bytes) -> bytes:
    """The .pyc of one source, with its hash instead of a time, never checked against the source (PEP 552)."""
    code = compile(source, name, "exec", dont_inherit=True)
    try:
        body = marshal.dumps(code, 2)  # later versions write how often an object is shared, which is chance
    except ValueError:
        body = marshal.dumps(code)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source) + body


def members() -> dict[str, bytes]:
    """{name in the archive: content}: every source and its bytecode."""
    found = files()
    # __main__ is run as a source: runpy finds it by name, and it is a few lines
    compiled = {f"{name}c": bytecode(name, source) for name, source in found.items() if name != "__main__.py"}
    return {**found, **compiled}


def build(target: Path, function: bool = False) -> None:
    """Write the archive, as a whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            if not function:
                stream.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in sorted((files(True) if function else members()).items()):
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
    words = [word for word in sys.argv[1:] if word != "--function"]
    build(Path(words[0] if words else "build/hotstandby.pyz"), "--function" in sys.argv[1:])
