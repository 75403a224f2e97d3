# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages in a real browser: they fit a phone, follow its light or dark, run nothing and fetch nothing."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.page import index_page, move_page

from tests.unit.core.test_page import HOSTILE, hostile

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((shutil.which(name) for name in NAMES if shutil.which(name)), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
PHONE = 360  # pixels

MEASURE = """
<iframe id=it width=%d height=800 srcdoc="%s"></iframe><pre id=said></pre>
<script>
const parts = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
const light = colour => {
  const [r, g, b] = parts(colour).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
it.onload = () => {
  // behind a text lies the nearest background that is not transparent
  const behind = one => {
    const colour = it.contentWindow.getComputedStyle(one).backgroundColor;
    return colour.endsWith(", 0)") && one.parentElement ? behind(one.parentElement) : colour;
  };
  const texts = [...it.contentDocument.querySelectorAll("h1,h2,p,a,dt,dd,b,span")];
  const page = it.contentDocument, seen = {
    width: page.documentElement.scrollWidth, scripts: page.scripts.length, images: page.images.length,
    title: page.title, background: it.contentWindow.getComputedStyle(page.body).backgroundColor,
    fetched: it.contentWindow.performance.getEntriesByType("resource").length,
    smallest: Math.min(...[...page.querySelectorAll("p,dt,dd,b,span")].map(
      one => parseFloat(it.contentWindow.getComputedStyle(one).fontSize))),
    contrast: Math.min(...texts.map(
      one => contrast(light(it.contentWindow.getComputedStyle(one).color), light(behind(one))))),
  };
  said.textContent = JSON.stringify(seen);
};
</script>
"""


def measured(page: str, folder: Path, *flags: str) -> dict[str, Any]:
    assert BROWSER is not None
    outer = folder / "outer.html"
    outer.write_text(
        "<!doctype html><meta charset=utf-8>" + MEASURE % (PHONE, html.escape(page)), encoding="utf-8"
    )
    argv = [
        BROWSER, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--window-size=900,900",
        "--virtual-time-budget=5000", "--dump-dom", outer.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found and found[1], (done.stdout[-500:], done.stderr[-1000:])
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    return seen


@pytest.mark.parametrize("kind", ["move", "index"])
def test_a_page_fits_a_phone_and_does_nothing_by_itself(kind: str, tmp_path: Path) -> None:
    if BROWSER is None:
        assert os.environ.get("CI") != "true", "chromium is needed here"
        pytest.skip("no chromium: the pages were NOT looked at in a browser")
    long = {**hostile(), "message": "a" * 400, "reason": "https://example.invalid/" + "b" * 300}
    long["steps"] += [{"name": "stop", "outcome": outcome, "seconds": 1.0} for outcome in ("ok", "broken")]
    page = move_page(long, HOSTILE, {HOSTILE: HOSTILE}) if kind == "move" else index_page([long] * 5, HOSTILE)
    light = measured(page, tmp_path, "--blink-settings=preferredColorScheme=1")
    assert light["width"] <= PHONE, light
    assert (light["scripts"], light["images"], light["fetched"]) == (0, 0, 0)
    assert "alert(1)" in light["title"] and light["smallest"] >= 12
    dark = measured(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    # what WCAG (AA) asks of text of any size
    assert min(light["contrast"], dark["contrast"]) >= 4.5, (light, dark)
    assert {light["background"], dark["background"]} == {"rgb(255, 255, 255)", "rgb(20, 23, 27)"}
