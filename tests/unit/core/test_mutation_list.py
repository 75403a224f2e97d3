# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutants that are argued rather than killed: each still is about a line that there is, and has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LISTED = [
    line
    for line in (ROOT / "tests" / "mutation" / "survivors.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("entry", LISTED, ids=[str(number) for number in range(len(LISTED))])
def test_an_argued_mutant_is_about_a_line_that_there_is(entry: str) -> None:
    file, function, *rest = entry.split(" :: ")
    mutant, why = " :: ".join(rest[:-1]), rest[-1]
    old = mutant.partition(" => ")[0]
    source = (ROOT / "plugins" / "module_utils" / file).read_text(encoding="utf-8")
    assert f"def {function.rpartition('.')[2]}(" in source
    assert old in " ".join(line.strip() for line in source.splitlines())
    assert len(why.split()) >= 4


def test_few_are_argued() -> None:
    assert 0 < len(LISTED) < 100 and sorted(LISTED) == LISTED
