# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of `run-exclusive` and `consume`; what they do is loaded only when one of them is meant."""

from __future__ import annotations

import argparse
from typing import Any, Callable

VERBS = ("run-exclusive", "consume")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}") from None
    if not 0 <= value <= 366 * 86400:
        raise argparse.ArgumentTypeError(f"not between 0 and a year: {text!r}")
    return value


def _slots(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"not a number of slots (1 to 100): {text!r}")
    return int(text)


def add_store(verb: Any, required: bool) -> None:
    """Where the records are, and how they are reached."""
    verb.add_argument(
        "--store",
        required=required,
        default="",
        metavar="dynamodb:TABLE|dir:PATH",
        help="where the runs are kept",
    )
    verb.add_argument(
        "--mounted", action="store_true", help="with dir: only, refuse a folder on the root file system"
    )
    verb.add_argument("--lease", type=_positive, default=30.0, metavar="S", help="default 30")
    verb.add_argument("--region", default="", help="else the environment's, or the pair's")
    verb.add_argument("--endpoint-url", default="", metavar="URL")
    verb.add_argument("--json", action="store_true", help=argparse.SUPPRESS)


def add_verbs(add: Callable[..., Any]) -> None:
    """The commands. `add` is a subparsers' add_parser."""
    text = "run a command on exactly one of the nodes that try the same run; exit code 75 when the store does not answer"
    verb = add("run-exclusive", help=text, description=text)
    add_store(verb, required=True)
    verb.add_argument("--job", required=True, metavar="NAME")
    verb.add_argument(
        "--run",
        dest="run_id",
        default="",
        metavar="ID",
        help="else RD_JOB_EXECID, or the tick that --every makes",
    )
    verb.add_argument(
        "--every",
        type=_positive,
        default=60.0,
        metavar="S",
        help="the schedule's period, for --run; default 60",
    )
    verb.add_argument(
        "--after-failure",
        choices=("stop", "next"),
        default="stop",
        help="a failure ends the run (stop, the default), or the next node may try",
    )
    verb.add_argument(
        "--wait", type=_positive, metavar="S", help="wait so long for the result, and exit with its code"
    )
    verb.add_argument(
        "--slots",
        type=_slots,
        metavar="N",
        help="a semaphore: each caller runs, at most N of the job at once",
    )
    verb.add_argument(
        "--grace", type=_positive, default=10.0, metavar="S", help="between SIGTERM and SIGKILL; default 10"
    )
    verb.add_argument("--old-lock", default="", metavar="DIR", help="a lock that mkdir made, with dir: only")
    verb.add_argument(
        "--report", default="", metavar="FILE", help="write the JSON line there, not to the output"
    )
    verb.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND...")

    _add_consume(add)


def _add_consume(add: Callable[..., Any]) -> None:
    text = "work the messages of a queue; one is deleted only after its command exited with 0"
    verb = add("consume", help=text, description=text)
    verb.add_argument("--queue", required=True, metavar="URL")
    verb.add_argument(
        "--check", action="store_true", help="say whether the options make sense, and do no more"
    )
    verb.add_argument("--max", type=int, metavar="N", help="end after so many messages")
    verb.add_argument(
        "--prefetch",
        type=int,
        default=10,
        metavar="N",
        help="of short jobs fetch so many messages at once; default 10, 1 for one at a time",
    )
    verb.add_argument("--idle-exit", type=_positive, metavar="S", help="end when nothing came for so long")
    verb.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="ATTRIBUTE[=VARIABLE]",
        help="a message attribute to hand on",
    )
    verb.add_argument(
        "--visibility",
        type=_positive,
        default=60.0,
        metavar="S",
        help="extended at each third of it; default 60",
    )
    verb.add_argument("--limit", type=_positive, metavar="S", help="the most that a command may take")
    verb.add_argument(
        "--backoff",
        type=_positive,
        default=30.0,
        metavar="S",
        help="after a failure, doubled each time; default 30",
    )
    verb.add_argument(
        "--grace",
        type=_positive,
        default=30.0,
        metavar="S",
        help="left to a command to finish in; default 30",
    )
    verb.add_argument("--poll", type=_positive, default=20.0, metavar="S", help="one long poll; default 20")
    verb.add_argument(
        "--patience", type=_positive, default=600.0, metavar="S", help="for a queue out of reach; default 600"
    )
    verb.add_argument(
        "--notices", action="store_true", help="ask the instance metadata whether this instance is to end"
    )
    verb.add_argument(
        "--log-group", default="", metavar="NAME", help="of CloudWatch Logs, for what the commands write"
    )
    verb.add_argument(
        "--metrics", action="store_true", help="tell CloudWatch which jobs succeeded, and how old they were"
    )
    verb.add_argument(
        "--group",
        default="",
        metavar="NAME",
        help="this instance's Auto Scaling group: kept from scaling in while a message is in work",
    )
    verb.add_argument(
        "--hook",
        default="hand-back",
        metavar="NAME",
        help="the group's hook for an instance that ends, let go when nothing is left; default hand-back",
    )
    add_store(verb, required=False)
    verb.add_argument("--job", default="", metavar="NAME", help="with --store; default the queue's name")
    verb.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND...")


def run(given: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    # what no other command needs
    if given.verb == "consume":
        from . import consume

        return consume.run(given)
    from . import job_run

    return job_run.run(given)
