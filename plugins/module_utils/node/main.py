# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `hotstandby` on a node. Prints one JSON line, whatever happens; exits as answer.py says."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, Optional

from ..answer import FAILED, Answer, dump_answer
from ..runbook import help_for
from . import config as configuration
from . import job_verbs, metadata, request_verbs, rules
from .check import healthcheck, put_metric
from .config import Config, ConfigError
from .equip import equipped
from .guard import Guard
from .host import Host, Terminated
from .look import look, status
from .outcome import Outcome, failed, one_line, refused
from .real import RealHost
from .rules import Asked, Decision
from .serve import Standing, serve
from .table import COMMAND, Table

ACTIONS = ("look", "status", "start", "stop", "may-start", "boot", "healthcheck")
REMOTE = ("look", "status", "start", "stop", "may-start")


class UsageError(Exception):
    """The command line makes no sense."""

    code = "usage"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _epoch(text: str) -> Optional[int]:
    if text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"not an epoch: {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 86400):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return float(text)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"not HOST:PORT: {text!r}")
    return host.strip("[]"), int(port)


@functools.cache
def parser() -> argparse.ArgumentParser:
    """The command line. Made once: a command that the daemon forks finds it there."""
    top = _Parser(prog="hotstandby", description="Asks or orders this node of a pair. Prints one JSON line.")
    top.add_argument("--config", default=configuration.DEFAULT, metavar="FILE")
    top.add_argument("--json", action="store_true", help="taken for granted")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="COMMAND", parser_class=_Parser)
    texts = {
        "look": "everything about this node: product, record, whether it could take over",
        "status": "does the product run?",
        "start": "start the product, if the record names this node",
        "stop": "stop the product and prove it; automation leaves it stopped",
        "may-start": "may the product be started here? Exit code 0 or 5",
        "boot": "what runs at boot: start the product if the record says so",
        "healthcheck": "what runs each minute: judge, beat, put the metric",
        "watch": "the daemon of profile fast: runs until it is ended",
        "serve": "answer GET /active: 200 on the active node, 503 elsewhere",
        "ssm": "what the SSM document HotStandbyNode runs",
    }
    made = {name: verbs.add_parser(name, help=text, description=text) for name, text in texts.items()}
    for name, verb in made.items():
        verb.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
        if name not in ("healthcheck", "watch", "serve"):
            verb.add_argument("--timeout", type=_seconds, metavar="SECONDS")
        verb.add_argument("--move", default="", help=argparse.SUPPRESS)
        if name in ("look", "ssm"):
            verb.add_argument("--active", default="", metavar="NODE", help="the node believed to be active")
        if name in ("start", "stop", "may-start", "ssm"):
            verb.add_argument(
                "--epoch", type=_epoch, metavar="N", help="the epoch of the move that orders this"
            )
        if name in ("stop", "ssm"):
            verb.add_argument("--mode", choices=("normal", "force"))
        if name in ("start", "stop"):
            verb.add_argument("--reason", default="", metavar="TEXT", help="why, for everyone who wonders")
        if name == "stop":
            verb.add_argument("--by", default="", metavar="NAME", help="who stops it (default: you)")
    made["start"].add_argument(
        "--without-record",
        action="store_true",
        help="the table is gone, and you swear that the other node is off",
    )
    made["serve"].add_argument("--listen", type=_address, default=("0.0.0.0", 8008), metavar="HOST:PORT")
    made["serve"].add_argument("--interval", type=_seconds, default=1.0, metavar="SECONDS")
    made["serve"].add_argument("--max-age", type=_seconds, default=5.0, metavar="SECONDS")
    made["ssm"].add_argument("--action", choices=REMOTE, required=True)
    made["ssm"].add_argument("--pair", required=True)
    request_verbs.add_verbs(verbs.add_parser)
    job_verbs.add_verbs(verbs.add_parser)
    return top


def _held(guard: Guard) -> bool:
    """Whether a person stopped it, or nobody can tell."""
    memory = guard.state.recall()
    return memory.held is not None or bool(memory.trouble)


def act(
    guard: Guard, table: Table, action: str, given: argparse.Namespace, instance_id: Optional[str]
) -> Outcome:
    """Do one action. `given` is the parsed command line."""
    pair, remote = guard.config.pair, given.verb == "ssm"
    timeouts = pair.timeouts
    default = {"start": timeouts.start, "boot": timeouts.start, "stop": timeouts.stop}.get(
        action, timeouts.confirm
    )
    limit = float(getattr(given, "timeout", None) or default)
    epoch: Optional[int] = getattr(given, "epoch", None)
    reason: str = getattr(given, "reason", "")
    if remote and given.pair != pair.name:
        return refused(
            Decision("other_pair", f"this node belongs to pair '{pair.name}', not to '{given.pair}'")
        )
    if action == "look":
        return look(guard, instance_id, limit, given.active)
    if action == "status":
        return status(guard, limit)
    if action == "may-start":
        return guard.may_start(Asked(rules.ASK, epoch))
    if action == "boot":
        return guard.boot(limit)
    if action == "healthcheck":
        return healthcheck(guard, table, put_metric(pair))
    if action == "serve":
        standing = Standing(
            table.read,
            lambda: _held(guard),
            guard.host.instance_id,
            guard.host.monotonic,
            guard.config.node.name,
            given.max_age,
        )
        return serve(standing, given.listen, given.interval, guard.host.sleep)
    if action == "stop":
        if remote and epoch is None:
            return refused(Decision("no_epoch", "a stop from afar needs an epoch"))
        return guard.stop(epoch, given.mode or pair.stop.mode, limit, reason, getattr(given, "by", ""))
    if getattr(given, "without_record", False):
        return guard.start(Asked(rules.OATH), limit, reason)
    who = rules.ORDER if remote or epoch is not None else rules.PERSON
    return guard.start(Asked(who, epoch), limit, reason)


def answer(
    config: Config, guard: Guard, action: str, given: argparse.Namespace, outcome: Outcome, who: str
) -> Answer:
    """The node's answer."""
    memory = guard.state.recall()
    spent = getattr(guard.host, "spent", 0.0)
    detail = {**outcome.detail, "product_seconds": round(spent, 3)} if spent else outcome.detail
    return Answer(
        pair=config.pair.name,
        node=config.node.name,
        instance_id=who,
        boot_id=guard.host.boot_id(),
        action=action,
        move=given.move,
        epoch=getattr(given, "epoch", None),
        state=outcome.state,
        seen=memory.seen,
        floor=memory.floor,
        held=memory.held,
        detail=detail,
    )


def _nobody(action: str, message: str, code: str) -> Answer:
    """An answer of a node that does not know who it is."""
    detail = {"message": message, "code": code, "help": help_for(code)}
    return Answer("", "", "", "", action, "", None, "unknown", 0, 0, None, detail)


def _broke(message: str, code: str) -> Outcome:
    """Nothing is known, and it is nobody's rule."""
    return Outcome("unknown", FAILED, {"message": message, "code": code, "help": help_for(code)})


def _say(text: Answer) -> None:
    try:
        sys.stdout.write(dump_answer(text) + "\n")
        sys.stdout.flush()
        if sys.stderr.isatty():
            help_text = f" (see {text.detail['help']})" if text.detail.get("help") else ""
            sys.stderr.write(f"{text.node or 'hotstandby'}: {text.state}: {text.message}{help_text}\n")
    except OSError:
        pass  # nobody listens any more; the exit code still tells


def _make(
    config: Config, host: Optional[Host], action: str, given: argparse.Namespace
) -> tuple[Guard, Table]:
    # boto3 gets its credentials from the same place
    if config.metadata_url:
        os.environ.setdefault(metadata.VARIABLE, config.metadata_url)
    url = metadata.address()
    machine = host or RealHost(config.root, url, managed=config.node.instance_id.startswith("mi-"))
    table = Table(config.pair, COMMAND)
    return Guard(config, machine, equipped(config, machine), table), table


def main(argv: Optional[Sequence[str]] = None, host: Optional[Host] = None) -> int:
    """Run one command; returns the exit code. Never raises."""
    action, message, code = "", "", ""
    try:
        given = parser().parse_args(argv)
        action = given.action if given.verb == "ssm" else given.verb
        if action in request_verbs.VERBS:
            from . import requests  # what no other command needs

            return requests.run(given)
        if action in job_verbs.VERBS:
            return job_verbs.run(given)
        config = configuration.load_config(given.config)
    except UsageError as error:
        message, code = f"usage: {error}", error.code
    except ConfigError as error:
        message, code = str(error), error.code
    if message:
        _say(_nobody(action, message, code))
        if not sys.stderr.isatty():
            sys.stderr.write(f"hotstandby: {message}\n")
        return FAILED
    guard, table = _make(config, host, action, given)
    if action == "watch":
        return _watch(guard, given.config)
    who: Optional[str] = None
    try:
        # asked beside the work: it takes two requests, and a machine without the service must not wait for it
        asking = guard.host.background(guard.host.instance_id)
        if action == "look":
            who = asking.get(2 * metadata.LIMIT + 1)
        outcome = act(guard, table, action, given, who)
        who = who or asking.get(2 * metadata.LIMIT + 1)
    except Terminated:
        text = f"{action} was ended by a signal; nothing is known of its end: ask with status"
        outcome = _broke(text, code="ended_by_signal")
    except TimeoutError:
        outcome = failed("unknown", "the instance metadata did not answer in time", code="instance_unknown")
    except Exception as error:
        outcome = _broke(one_line(error), code="unexpected")
    _say(answer(config, guard, action, given, outcome, who or ""))
    return outcome.code


def _serve(argv: Sequence[str]) -> int:
    """One command that the daemon has forked."""
    terminate_politely()
    return main(argv)


def _watch(guard: Guard, config_path: str) -> int:
    """Run the daemon; it prints nothing but why it does not run."""
    # no other command needs what it loads
    from .watch_real import watch

    try:
        why = watch(guard, sys.argv[0], config_path, _serve)
    except Terminated:
        return 0
    if why:
        sys.stderr.write(f"hotstandby: {why}\n")
    return FAILED if why else 0


def _on_signal(_number: int, _frame: Optional[FrameType]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # once is enough: cleaning up must not be interrupted
    raise Terminated


def terminate_politely() -> None:
    """Let a signal end what is under way, with what it cleans up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)


def entry() -> NoReturn:
    """The program."""
    terminate_politely()
    code = FAILED
    try:
        code = main()
    except Terminated:
        pass  # ended before there was anything to tell
    except SystemExit as done:  # --help
        code = done.code if isinstance(done.code, int) else 0
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            pass
        # whatever hangs in the background must not keep the program alive
        os._exit(code)
