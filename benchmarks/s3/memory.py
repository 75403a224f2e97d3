# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a requeue takes, by the number of keys: `memory.py [COUNT...]`; COUNT with a `c` behind it: `--check`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

from build_zipapp import build  # noqa: E402

from tests.integration.endpoint.long_run import peak  # noqa: E402


def main() -> None:
    program = ROOT / "build" / "hotstandby.pyz"
    build(program)
    for word in sys.argv[1:] or ("1000", "100000", "1000c", "1000000c"):
        count, check = int(word.rstrip("c")), ["--check"] if word.endswith("c") else []
        began = time.monotonic()
        found = peak(program, count, *check)
        print(
            f"{count:>9} keys {' '.join(check):7} {found / 1024:6.1f} MiB {time.monotonic() - began:7.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
