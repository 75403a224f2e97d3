# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the sandbox: one verb, JSON on stdout; an error is one line on stderr and exit 1."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from . import control
from .paths import Layout, SandboxError, read_json


def parser() -> argparse.ArgumentParser:
    """The arguments of every verb."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description="A complete pair on one machine.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    texts = {
        "up": "start a pair: endpoint, two deployed nodes, the product on the first",
        "reset": "a fresh pair without a new start",
        "down": "end every process that was started",
        "status": "what really is",
        "fault": "let something go wrong: fault NODE KIND, fault aws KIND; KIND clear mends it",
        "clear": "mend a node, aws, or everything",
        "journal": "what the stand-in products recorded",
    }
    made = {name: verbs.add_parser(name, help=text) for name, text in texts.items()}
    made["daemon"] = verbs.add_parser("daemon")  # what `up` starts; nobody else needs it
    for one in made.values():
        one.add_argument(
            "--state", required=True, metavar="DIR", help="where everything of this sandbox lies"
        )
    up = made["up"]
    for one in (up, made["daemon"]):
        one.add_argument("--product", choices=["hulft_hub", "asteria_warp"], default="hulft_hub")
        one.add_argument(
            "--layout", choices=["separate", "shared"], default="separate", help="of ASTERIA Warp's trees"
        )
        one.add_argument("--automation", choices=["none", "minute", "fast"], default="none")
        one.add_argument("--latency", type=int, default=0, metavar="MS", help="added to every AWS call")
    made["fault"].add_argument("target", metavar="NODE", help="a node's name, or aws")
    made["fault"].add_argument("kind", metavar="KIND")
    made["clear"].add_argument("target", nargs="?", metavar="NODE")
    return top


def up(layout: Layout, options: argparse.Namespace) -> dict[str, Any]:
    """Start a pair, or describe the one that runs."""
    if options.latency < 0:
        raise SandboxError("--latency is a number of milliseconds")
    if options.layout == "shared" and options.product != "asteria_warp":
        raise SandboxError("--layout shared is for asteria_warp: HULFT-HUB always has its shared folder")
    there = read_json(layout.description)
    if there and control.alive(layout):
        print(
            f"sandbox: a pair runs in {layout.state} already; reset or down is yours to say", file=sys.stderr
        )
        return there
    control.prepare(layout)
    try:
        control.begin(layout, options.latency, options.automation, options.product, options.layout)
        env = control.ask(layout, "describe")["env"]
        if options.layout == "shared":
            control.build(layout, env)
        control.deploy(layout, env)
        if options.automation != "none":
            control.automate(layout, env)
        return control.ask(layout, "ready")
    except BaseException:
        control.end(layout)
        raise


def down(layout: Layout) -> dict[str, Any]:
    """End everything; the logs and the journal stay."""
    killed = control.end(layout)
    left = control.remaining(layout)
    layout.description.unlink(missing_ok=True)
    if left:
        raise SandboxError(f"processes are left: {left}")
    return {"down": True, "killed": killed, "left": 0}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """What the verb answers."""
    layout = Layout(options.state)
    if options.verb == "up":
        return up(layout, options)
    if options.verb == "down":
        return down(layout)
    if options.verb == "fault":
        return control.ask(layout, "fault", target=options.target, kind=options.kind)
    if options.verb == "clear":
        return control.ask(layout, "clear", target=options.target)
    return control.ask(layout, options.verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.verb == "daemon":
            from .daemon import serve

            latency, shared = options.latency / 1000, options.layout == "shared"
            return serve(Layout(options.state), latency, options.automation, options.product, shared)
        answer = run(options)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=1))
    return 0
