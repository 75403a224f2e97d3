# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that people are told to type work where they type them."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).parents[3] / "plugins"


def test_sudo_finds_the_node_command() -> None:
    # sudo's own search path has no /usr/local/bin on Red Hat and Amazon Linux
    told = [text for path in SOURCES.rglob("*.py") for text in re.findall(r"sudo \S+", path.read_text())]
    assert [text for text in told if "hotstandby" in text and text != "sudo /usr/local/bin/hotstandby"] == []
    assert "sudo /usr/local/bin/hotstandby" in told
