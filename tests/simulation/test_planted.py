# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every planted fault is caught, and the schedules that catch them are clean on the real core."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation import hunt
from tests.simulation.det import plan

LEAST = 40


class Planted:
    """One plant; a class of its own, so that workers take one each."""

    name = ""

    def test_it_is_caught(self) -> None:
        found = hunt.hunt(self.name)
        assert found["caught"], f"{self.name} survives: {found['by']}"

    def test_the_real_core_is_clean(self) -> None:
        known = hunt.load(self.name)
        if known is None:  # caught by a plain move, which test_exhaustive runs
            return
        verdict = plan.run(known)
        assert not verdict.broken, plan.explain(known)


for _name in hunt.names():
    _title = "TestPlanted" + _name.title().replace("-", "")
    globals()[_title] = type(_title, (Planted,), {"name": _name})


def test_there_are_enough() -> None:
    assert len(hunt.names()) >= LEAST


def test_a_patch_that_fits_no_more_says_so(tmp_path: Path) -> None:
    core = hunt.copied(tmp_path)
    (core / "lease.py").write_text("# rewritten\n")
    with pytest.raises(hunt.Misfit, match=r"fits 0 places of lease\.py"):
        hunt.apply(hunt.FOLDER / "lease-not-renewed.patch", core)


def test_a_core_without_a_plant_is_not_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hunt finds what was planted, not itself."""
    (tmp_path / "nothing.patch").write_text("A patch that changes nothing.\n")
    monkeypatch.setattr(hunt, "FOLDER", tmp_path)
    assert hunt.hunt("nothing", seeds=20)["caught"] is False
