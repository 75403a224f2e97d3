# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves as HTML pages for people: one for each move with its timeline and evidence, and one for the last ones. Pure.

A page carries everything that it shows: no script, no font, no picture, no address of anybody else. Every text of the history
is escaped; it may hold whatever people and nodes have written.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .report import moment

GOOD = ("moved", "ok", "unchanged", "resumed")
BAD = ("broken", "failed", "refused", "unfinished", "not_confirmed", "unfenced")
MOST = 10**11  # seconds since 1970 that a moment or a duration can be at most
FIRST_DOWN, LAST_DOWN = ("stop", "fence"), "verify"  # the steps between which the service is down

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d6dae0;--card:#f6f8fa;--good:#1a6b35;
--bad:#b3261e;--warn:#8a5a00;--bar:#3b6fb5;--down:#c4453b}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ed;--soft:#a2abb6;--line:#363c44;--card:#1d2126;
--good:#6cc785;--bad:#ff8f86;--warn:#e8b45a;--bar:#7aa7e8;--down:#f0776d}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:54rem;margin:0 auto;padding:1rem}
h1{font-size:1.35rem;line-height:1.3;margin:.2rem 0 .6rem}
h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
a{color:inherit}
p{margin:.3rem 0}
.soft{color:var(--soft)}
.tag{display:inline-block;border:1px solid currentColor;border-radius:.3rem;padding:0 .4rem;font-size:.85rem;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.6rem;margin:1rem 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.4rem .6rem}
dt{font-size:.8rem;color:var(--soft)}
dd{margin:0;font-weight:600}
.id{display:block;font-weight:400;font-size:.8rem}
ol,ul{list-style:none;margin:0;padding:0}
li{border-top:1px solid var(--line);padding:.6rem 0}
.head{display:flex;flex-wrap:wrap;gap:.2rem .7rem;align-items:baseline}
.head b{min-width:5.5rem}
.head .time{margin-left:auto;font-variant-numeric:tabular-nums;color:var(--soft)}
.track{height:.45rem;background:var(--card);border:1px solid var(--line);border-radius:.25rem;margin:.35rem 0;overflow:hidden}
.track i{display:block;height:100%;min-width:2px;background:var(--bar)}
.track i.down{background:var(--down)}
"""


def esc(value: Any) -> str:
    """A text for HTML, on one line, without what no reader can see."""
    text = "".join(char if char.isprintable() else " " for char in str(value))
    return html.escape(text, quote=True)


def _number(value: Any) -> Optional[float]:
    # neither NaN nor what no clock shows: it would be no number of a page's name
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MOST
    return float(value) if known else None


def _tag(outcome: Any) -> str:
    kind = "good" if outcome in GOOD else "bad" if outcome in BAD else "warn"
    return f'<span class="tag {kind}">{esc(str(outcome).replace("_", " "))}</span>'


def _seconds(value: Any) -> str:
    number = _number(value)
    return "unknown" if number is None else f"{number:.2f} s"


def _whole(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def file_name(move: Mapping[str, Any]) -> str:
    """The name of a move's page: letters, digits, '.', '_' and '-', whatever its id holds."""
    ident = str(move.get("id") or "")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", ident):
        ident = hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest()[:16]
    began = _number(move.get("began"))
    return f"move-{int(began or 0):011d}-{ident}.html"


def _title(move: Mapping[str, Any]) -> str:
    return f"{move.get('kind')} {move.get('source')} \u2192 {move.get('target')}"


def _facts(move: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    def node(name: Any) -> str:
        ident = nodes.get(name)
        return f'{esc(name)} <span class="id soft">{esc(ident)}</span>' if ident else esc(name)

    facts = {
        "Down for": esc(_seconds(move.get("downtime_seconds"))),
        "Epoch": esc(move.get("epoch")),
        "From": node(move.get("source")),
        "To": node(move.get("target")),
        "Active afterwards": esc(move.get("active") or "nobody"),
        "Began": esc(moment(move.get("began"))),
        "Ended": esc(moment(move.get("ended"))),
        "By": esc(move.get("by") or "unknown"),
    }
    return (
        "<dl>"
        + "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts.items())
        + "</dl>"
    )


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    """The steps in their order, each with a bar where it lies in the whole."""
    took = [max(0.0, _number(step.get("seconds")) or 0.0) for step in steps]
    whole = sum(took) or 1.0
    names = [step.get("name") for step in steps]
    first = next((index for index, name in enumerate(names) if name in FIRST_DOWN), len(steps))
    last = max((index for index, name in enumerate(names) if name == LAST_DOWN), default=len(steps))
    items, before = [], 0.0
    for index, step in enumerate(steps):
        left, width = 100 * before / whole, 100 * took[index] / whole
        before += took[index]
        down = first <= index <= last
        drawn = (
            f'<div class="track" role="img" aria-label="from {before - took[index]:.2f} s to {before:.2f} s">'
            f'<i{" class=down" if down else ""} style="margin-left:{min(left, 99.5):.2f}%;width:{width:.2f}%"></i></div>'
        )
        items.append(
            f'<li><div class="head"><b>{esc(step.get("name"))}</b>{_tag(step.get("outcome"))}'
            f'<span class="time">{esc(_seconds(step.get("seconds")))}</span></div>{drawn}'
            f"<p>{esc(step.get('detail') or '-')}</p></li>"
        )
    return "<ol>" + "\n".join(items) + "</ol>" if items else "<p>No step was recorded.</p>"


def move_page(move: Mapping[str, Any], pair: str, nodes: Optional[Mapping[str, Any]] = None) -> str:
    """One move as a page. `move` is a history item, `nodes` {name: instance id}."""
    steps = [step for step in move.get("steps") or () if isinstance(step, Mapping)]
    parts = [
        f'<p class="soft"><a href="index.html">{esc(pair)}</a></p>',
        f"<h1>{esc(_title(move))} {_tag(move.get('outcome'))}</h1>",
        f"<p>{esc(move.get('message') or '')}</p>",
    ]
    if move.get("reason"):
        parts.append(f"<p><b>Reason:</b> {esc(move['reason'])}</p>")
    if move.get("unfenced"):
        parts.append(f'<p class="bad"><b>Started without proof:</b> {esc(move["unfenced"])}</p>')
    parts.append(_facts(move, nodes or {}))
    if nodes:
        parts.append('<p class="soft">Instance ids are those of the inventory when this page was made.</p>')
    # nobody knows since when a service that failed by itself was down
    before = " The service had failed before that." if move.get("kind") == "failover" else ""
    parts.append(
        '<h2>Steps and their evidence</h2><p class="soft">Red, and the time for which it was down: from the stop that was sent '
        f"to the service verified.{before}</p>"
    )
    parts.append(_steps(steps))
    return _whole(f"{pair}: {_title(move)}", "\n".join(parts))


def index_page(moves: Sequence[Mapping[str, Any]], pair: str) -> str:
    """The last moves, newest first, each with a link to its page."""
    items = []
    for move in moves:
        down = _number(move.get("downtime_seconds"))
        spent = "" if down is None else f", down for {down:.2f} s"
        reason = f": {esc(move['reason'])}" if move.get("reason") else ""
        items.append(
            f'<li><div class="head"><a href="{esc(file_name(move))}"><b>{esc(_title(move))}</b></a>{_tag(move.get("outcome"))}'
            f'<span class="time">{esc(moment(move.get("ended")))}</span></div>'
            f"<p>Epoch {esc(move.get('epoch'))}, active {esc(move.get('active') or 'nobody')}{spent}</p>"
            f'<p class="soft">By {esc(move.get("by") or "unknown")}{reason}</p></li>'
        )
    listed = "<ul>" + "\n".join(items) + "</ul>" if items else "<p>No move was ever recorded.</p>"
    return _whole(f"Moves of {pair}", f"<h1>Moves of {esc(pair)}</h1>\n{listed}")


def pages(
    moves: Sequence[Mapping[str, Any]], pair: str, nodes: Optional[Mapping[str, Any]] = None
) -> dict[str, str]:
    """{file name: page} of a whole report."""
    found = {file_name(move): move_page(move, pair, nodes) for move in moves}
    return {"index.html": index_page(moves, pair), **found}
