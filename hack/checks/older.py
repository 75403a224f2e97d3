# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes tests/integration/upgrade/older.tar.xz: the sources of an older build, which a rolling upgrade meets.

    python hack/checks/older.py [COMMIT]

It holds what deploy installs and how: plugins, the roles of nodes and table, and the two playbooks. A checkout of CI has no
history to take them from. The commit stands in the archive (`xz -dc older.tar.xz | git get-tar-commit-id`). Made once for each
build that is to be met; the same commit gives the same bytes.
"""

from __future__ import annotations

import lzma
import subprocess
import sys

from tree import ROOT

# the last build whose heartbeats say nothing of `held`, and whose watch does not tell which heartbeat stood still
COMMIT = "7cd7616"
TARGET = ROOT / "tests" / "integration" / "upgrade" / "older.tar.xz"
PATHS = (
    "galaxy.yml",
    "meta",
    "plugins",
    "roles/node",
    "roles/hub_node",
    "roles/pair_store",
    "playbooks/deploy.yml",
    "playbooks/failover.yml",
    "hack/build_zipapp.py",
)


def main(commit: str) -> int:
    command = ["git", "archive", "--format=tar", commit, *PATHS]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    TARGET.write_bytes(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME))
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes of {commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else COMMIT))
