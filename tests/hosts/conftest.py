# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pair of hosts for the whole session. In CI a machine that cannot have hosts fails; elsewhere it is said."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.hosts.podman import why_not
from tests.hosts.rig import HostRig


@pytest.fixture(scope="session")
def hosts() -> Iterator[HostRig]:
    why = why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(f"no hosts: {why}")
    if why:
        pytest.skip(f"NOT RUN: no hosts: {why}")
    if os.environ.get("HOTSTANDBY_HOSTS"):  # somebody has brought them up and will take them away
        yield HostRig(Path(os.environ["HOTSTANDBY_HOSTS"]))
        return
    state = Path(tempfile.mkdtemp(prefix="hotstandby-hosts-"))
    rig = HostRig(state)
    yield rig
    rig.down()
    shutil.rmtree(state, ignore_errors=True)
