# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of `claim`, `finish` and `requeue`; what they do is loaded only when one of them is meant."""

from __future__ import annotations

import argparse
from typing import Any, Callable

VERBS = ("claim", "finish", "requeue")


def add_verbs(add: Callable[..., Any]) -> None:
    """The three commands. `add` is a subparsers' add_parser."""
    texts = {
        "claim": "take one waiting request; exit code 3 when nothing waits",
        "finish": "a claimed request is done",
        "requeue": "let what this owner had in work wait again",
    }
    for name, text in texts.items():
        verb = add(name, help=text, description=text)
        verb.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
        verb.add_argument("--bucket", default="", help="without it the pair's")
        verb.add_argument("--region", default="")
        verb.add_argument("--endpoint-url", default="")
        verb.add_argument(
            "--key-parameter", default="", metavar="NAME", help="SSM parameter with the access key"
        )
        verb.add_argument(
            "--secret-parameter", default="", metavar="NAME", help="SSM parameter with the secret key"
        )
        verb.add_argument("--source-prefix", metavar="PREFIX", help="in work; default processing/")
        verb.add_argument("--target-prefix", metavar="PREFIX", help="waiting; default wait/")
        verb.add_argument("--pattern", metavar="GLOB", help="default *request.json")
        verb.add_argument("--owner", metavar="NAME", help="whose work; the pair's layout 'owner' knows it")
        verb.add_argument("--owner-in", choices=("key", "metadata"))
        verb.add_argument("--requester-pays", action="store_true", default=None)
        if name == "claim":
            verb.add_argument("--get", default="", metavar="FILE", help="write the request into this file")
            verb.add_argument("--plain", action="store_true", help="print the key alone")
        if name == "finish":
            verb.add_argument("key", help="as claim printed it")
            verb.add_argument("--finish-prefix", default="finish/", metavar="PREFIX")
            verb.add_argument("--delete", action="store_true", help="keep nothing of it")
        if name == "requeue":
            verb.add_argument("--min-age", type=float, metavar="SECONDS")
            verb.add_argument(
                "--before-boot", action="store_true", help="only what was in work before this host booted"
            )
            verb.add_argument("--max-attempts", type=int, metavar="N")
            verb.add_argument("--failed-prefix", metavar="PREFIX")
            verb.add_argument("--on-conflict", choices=("keep_both", "skip", "fail"))
            verb.add_argument("--workers", type=int, default=8, metavar="N")
            verb.add_argument("--check", action="store_true", help="list, and write nothing")
