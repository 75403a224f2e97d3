# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sandbox for each worker; a fresh pair for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pair.rig import Rig


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Rig]:
    state = Path(tempfile.mkdtemp(prefix="hotstandby-"))
    rig = Rig(state)
    yield rig
    rig.down()
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def rig(sandbox: Rig) -> Iterator[Rig]:
    sandbox.reset()
    yield sandbox
    journal = sandbox.journal()
    assert journal["overlaps"] == 0, journal
