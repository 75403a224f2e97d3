# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`run-exclusive`: a command on exactly one of several nodes. Its output is the command's own, then one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..answer import FAILED
from ..clients import make_client
from ..jobs import NODE, JobError, JobStoreError, Policy, make_key, tick_id
from ..jobs_dir import FolderJobs, check_mounted
from ..jobs_run import TEMPFAIL, Contender, JobStore, Outcome
from ..jobs_store import TableJobs, parse_store
from . import config as configuration
from .around import RealAround
from .config import Config, ConfigError
from .keeper import KeptCommand
from .light import light_client_of
from .outcome import one_line


def run(given: argparse.Namespace) -> int:
    """Prints one JSON line and returns the exit code. Never raises but for a bug."""
    try:
        argv = command_of(given.argv)
        config = config_of(given.config)
        node = node_name(os.environ, config)
        policy = Policy(given.lease, given.slots, given.after_failure, given.wait)
        key = make_key(given.job, run_id(given.run_id, os.environ, time.time(), given.every))
        store = open_store(given, config)
        around = RealAround().listen()
        outcome = Contender(store, key, node, policy, around, KeptCommand(argv, around), given.grace).run()
    except (JobError, ConfigError) as error:
        return _say(given, {"outcome": "refused", "message": str(error)}, FAILED)
    except JobStoreError as error:
        text = f"not run, the store cannot be used: {error}"
        return _say(given, {"outcome": "unavailable", "message": text}, TEMPFAIL)
    except Exception as error:
        return _say(given, {"outcome": "failed", "message": one_line(error)}, FAILED)
    return _say(given, told(outcome), outcome.exit)


def told(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values."""
    return {
        "outcome": outcome.outcome,
        "job": outcome.key.job,
        "run": outcome.key.run,
        "node": outcome.node,
        "rc": outcome.rc,
        "seconds": round(outcome.seconds, 3),
        "took_over": outcome.took_over,
        "overlap": round(outcome.overlap, 3),
        "message": outcome.message,
    }


def _say(given: argparse.Namespace, answer: Mapping[str, Any], code: int) -> int:
    text = json.dumps({"action": given.verb, **answer}, ensure_ascii=False) + "\n"
    try:
        if given.report:
            with open(given.report, "w", encoding="utf-8") as handle:
                handle.write(text)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"hotstandby {given.verb}: {error}\n")  # the exit code still tells
    if answer["outcome"] not in ("ran", "skipped"):
        sys.stderr.write(f"hotstandby {given.verb}: {answer['message']}\n")
    return code


def command_of(words: Sequence[str]) -> tuple[str, ...]:
    """What stands behind `--`. Raises JobError."""
    found = tuple(words[1:] if words and words[0] == "--" else words)
    if not found or not found[0]:
        raise JobError("command: say what to run behind --")
    return found


def config_of(path: str) -> Optional[Config]:
    """The node's configuration where there is one: jobs need no pair. Raises ConfigError when it cannot be used."""
    if path == configuration.DEFAULT and not os.path.exists(path):
        return None
    return configuration.load_config(path)


def node_name(environ: Mapping[str, str], config: Optional[Config]) -> str:
    """Who we are: HOTSTANDBY_NODE, the configuration's node, or the host name. Raises JobError."""
    found = environ.get("HOTSTANDBY_NODE") or (config.node.name if config else "") or socket.gethostname()
    if not NODE.fullmatch(found):
        raise JobError(f"HOTSTANDBY_NODE: {found[:80]!r} is not a name of printable ASCII without blanks")
    return found


def run_id(given: str, environ: Mapping[str, str], now: float, every: float) -> str:
    """The run that was named, Rundeck's execution, or the schedule's tick. Raises JobError."""
    return given or environ.get("RD_JOB_EXECID") or tick_id(now, every)


def region_of(given: argparse.Namespace, config: Optional[Config]) -> str:
    """The region that was named, the environment's, or the pair's; empty when there is none."""
    pair = config.pair.region if config else ""
    return str(
        given.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or pair or ""
    )


def store_of(given: argparse.Namespace) -> tuple[str, str]:
    """What --store names, looked at alone. Raises JobError."""
    kind, rest = parse_store(given.store)
    if kind != "dir" and getattr(given, "mounted", False):
        raise JobError(f"mounted: is for a folder (dir:PATH), and the store is {kind}:{rest}")
    return kind, rest


def open_store(given: argparse.Namespace, config: Optional[Config], reading: bool = False) -> JobStore:
    """The store that --store names; a folder is tried first, unless it is for `reading` only. Raises JobError, JobStoreError."""
    kind, rest = store_of(given)
    if kind == "dir":
        if getattr(given, "mounted", False):
            check_mounted(rest)
        old = (given.old_lock,) if getattr(given, "old_lock", "") else ()
        folder = FolderJobs(rest, given.lease, old)
        if not reading:
            folder.check()
        return folder
    region = region_of(given, config)
    if not region:
        raise JobError("region: say --region, or set AWS_REGION")
    endpoint = given.endpoint_url or (config.pair.endpoint_url if config else None) or None
    return TableJobs(_client(region, endpoint, given.lease), rest)


def _client(region: str, endpoint: Optional[str], lease: float) -> Any:
    # four tries to renew fit between a third of the lease and its two thirds, when each call may take a twelfth
    bound = max(lease / 2, 3.0)
    light = light_client_of("dynamodb", region, endpoint, bound)
    if light is not None:
        return light
    try:
        return make_client("dynamodb", region, endpoint, lease=bound)
    except ImportError as error:
        raise JobStoreError(f"this Python has no boto3 ({error})") from None
    except Exception as error:
        raise JobStoreError(f"no client for DynamoDB: {one_line(error)}") from None
