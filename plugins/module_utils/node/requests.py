# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`claim`, `finish` and `requeue`: a worker's side of requests in S3. Needs no pair, but takes the pair's settings."""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import random
import sys
import tempfile
import time
from typing import Any, Optional

from ..answer import FAILED, REFUSED
from ..clients import bulk_config, client_config, explain
from ..handover import by_owner, rules_of
from ..requeue import Listed, RequeueError, Rules, granted_owner, make_rules
from ..requeue_claim import Claimed, Gone, claim, finish
from ..requeue_pool import WORKERS, threads
from ..requeue_run import Report, requeue
from ..requeue_s3 import Bucket, S3Error
from . import config as configuration
from . import metadata
from .config import Config, ConfigError
from .outcome import one_line

NOTHING = 3  # nothing waits
FIRST = 20  # a worker tries the oldest of so many in any order, so that workers do not meet at one


def run(given: argparse.Namespace) -> int:
    """Do one of the three; prints one JSON line and returns the exit code. Never raises but for a signal."""
    try:
        return _do(given)
    except (RequeueError, ConfigError, S3Error) as error:
        return _say({"action": given.verb, "message": str(error)}, FAILED)
    except Gone as error:
        return _say({"action": given.verb, "message": str(error), "refused": True}, REFUSED)
    except Exception as error:
        return _say({"action": given.verb, "message": one_line(error)}, FAILED)


def _say(answer: dict[str, Any], code: int) -> int:
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    if code != 0 and code != NOTHING:
        sys.stderr.write(f"hotstandby {answer.get('action', '')}: {answer.get('message', '')}\n")
    return code


def _client(region: str, endpoint_url: str, given: argparse.Namespace) -> Any:
    import boto3

    where: dict[str, Any] = {"region_name": region or None, "endpoint_url": endpoint_url or None}
    session = boto3.session.Session()
    keys: dict[str, str] = {}
    names = (given.key_parameter, given.secret_parameter)
    if any(names):
        if not all(names):
            raise RequeueError("key_parameter: an access key and its secret need both parameters")
        keys = _keys(session.client("ssm", config=client_config(30.0), **where), *names)
    return session.client("s3", config=bulk_config(WORKERS, endpoint_url or None), **where, **keys)


def _keys(ssm: Any, key_name: str, secret_name: str) -> dict[str, str]:
    """The keys as boto3 takes them; they stay in this process."""
    try:
        found = ssm.get_parameters(Names=[key_name, secret_name], WithDecryption=True)
    except Exception as error:
        raise S3Error(explain(error, "SSM GetParameters")) from None
    if found.get("InvalidParameters"):
        raise S3Error(f"SSM has no parameter {', '.join(sorted(found['InvalidParameters']))}")
    values = {item["Name"]: item["Value"] for item in found["Parameters"]}
    return {"aws_access_key_id": values[key_name], "aws_secret_access_key": values[secret_name]}


def _settings(given: argparse.Namespace) -> tuple[Rules, str, str, Optional[Config]]:
    """(rules, region, endpoint, the node's configuration when the pair is what was meant)."""
    names = ("source_prefix", "target_prefix", "pattern", "owner", "owner_in", "requester_pays", "min_age",
             "max_attempts", "failed_prefix", "on_conflict")  # fmt: skip
    options = {name: getattr(given, name, None) for name in names}
    options = {name: value for name, value in options.items() if value is not None}
    if given.bucket:
        return make_rules(given.bucket, **options), given.region, given.endpoint_url, None
    config = configuration.load_config(given.config)
    if config.metadata_url:
        os.environ.setdefault(metadata.VARIABLE, config.metadata_url)  # boto3 gets its credentials there
    pair = config.pair
    if pair.requeue is None:
        raise RequeueError("bucket: say --bucket, or give the pair a requeue")
    base = rules_of(pair)
    kept = {
        field.name: getattr(base, field.name) for field in dataclasses.fields(base) if field.name != "bucket"
    }
    rules = make_rules(base.bucket, **{**kept, **options})
    return rules, given.region or pair.region, given.endpoint_url or pair.endpoint_url or "", config


def _uptime() -> float:
    with open("/proc/uptime", encoding="ascii") as handle:
        return float(handle.read().split()[0])


def _owned(rules: Rules, config: Optional[Config]) -> Rules:
    """The rules with this node's owner, NODE.EPOCH, where the pair's layout asks for one."""
    if config is None or rules.owner or not by_owner(config.pair):
        return rules
    epoch = _seen(config)
    if not epoch:
        raise RequeueError("owner: this node has not been granted an epoch yet")
    return dataclasses.replace(rules, owner=f"{config.node.name}.{epoch}")


def _seen(config: Config) -> int:
    path = os.path.join(config.root or "/", "var/lib/hotstandby", config.pair.name, "seen")
    try:
        with open(path, encoding="ascii") as handle:
            return int(handle.read().strip() or 0)
    except (OSError, ValueError):
        return 0


def _do(given: argparse.Namespace) -> int:
    rules, region, endpoint, config = _settings(given)
    bucket = Bucket(_client(region, endpoint, given), rules.bucket, time.sleep, rules.requester_pays)
    if given.verb == "requeue":
        return _requeue(bucket, rules, config, given)
    rules = _owned(rules, config)
    if given.verb == "claim":
        return _claim(bucket, rules, given)
    to = finish(bucket, rules, given.key, "" if given.delete else given.finish_prefix)
    return _say({"action": "finish", "key": given.key, "at": to, "message": "done"}, 0)


def _requeue(bucket: Bucket, rules: Rules, config: Optional[Config], given: argparse.Namespace) -> int:
    if given.before_boot:
        rules = dataclasses.replace(rules, min_age=max(rules.min_age, _uptime()))
    if not 1 <= given.workers <= 64:
        raise RequeueError(f"workers: must be between 1 and 64, not {given.workers}")
    each = [rules]
    if config is not None and not rules.owner and by_owner(config.pair):
        # everything that this node ever claimed: under none of these it works now, since this runs before its worker
        owners = [granted_owner(name) for name in bucket.folders(rules.source_prefix)]
        mine = [
            found for found in owners if found and found[0] == config.node.name and found[1] <= _seen(config)
        ]
        each = [dataclasses.replace(rules, owner=f"{name}.{epoch}") for name, epoch in mine]
    total, progress = Report(conditional=bucket.conditional), Progress()
    try:
        for one in each:
            total.merge(requeue(bucket, one, threads(given.workers), check=given.check, progress=progress))
    finally:
        progress.end()
    return _say(_told(total), FAILED if total.failed or total.error else 0)


class Progress:
    """On long runs somebody at a terminal sees that it goes on, page by page; cron sees nothing."""

    def __init__(self) -> None:
        self._shown = False

    def __call__(self, report: Report) -> None:
        if sys.stderr.isatty():
            self._shown = True
            sys.stderr.write(f"\r{report.requeued + report.quarantined} moved, {report.requests} requests ")
            sys.stderr.flush()

    def end(self) -> None:
        """What is printed next begins on a line of its own."""
        if self._shown:
            sys.stderr.write("\n")
            sys.stderr.flush()


def _told(report: Report) -> dict[str, Any]:
    names = (
        "requeued",
        "quarantined",
        "conflicts",
        "duplicates",
        "skipped",
        "failed",
        "left",
        "requests",
        "conditional",
    )
    message = report.text() + (
        f": {report.error or report.first_failure}" if report.failed or report.error else ""
    )
    return {"action": "requeue", **{name: getattr(report, name) for name in names}, "message": message}


def _order(page: list[Listed]) -> list[Listed]:
    """The oldest first, the first few in any order."""
    oldest = sorted(page, key=lambda listed: listed.modified)
    first = oldest[:FIRST]
    random.shuffle(first)
    return first + oldest[FIRST:]


def _claim(bucket: Bucket, rules: Rules, given: argparse.Namespace) -> int:
    def meant(key: str) -> bool:
        # a key with a line break does not survive a shell's $(...)
        return fnmatch.fnmatchcase(key, rules.pattern) and not (given.plain and "\n" in key)

    found = claim(bucket, rules, meant, _order)
    won = found.won
    answer: dict[str, Any] = {"action": "claim", "lost": found.lost, "doubtful": list(found.doubtful)}
    if won is None:
        if given.plain:
            return NOTHING
        return _say({**answer, "key": None, "message": "nothing waits"}, NOTHING)
    if given.get:
        _fetch(bucket, won, given.get)
    if given.plain:
        sys.stdout.write(won.key + "\n")
        sys.stdout.flush()
        return 0
    told = {"bucket": rules.bucket, "key": won.key, "at": won.at, "etag": won.etag, "size": won.size}
    return _say({**answer, **told, "message": "claimed"}, 0)


def _fetch(bucket: Bucket, won: Claimed, path: str) -> None:
    """Write the request into a file, as a whole or not at all."""
    body = bucket.read(won.at, won.etag)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".hotstandby-")
    try:
        with os.fdopen(handle, "wb") as stream:
            while True:
                chunk = body.read(1 << 20)
                if not chunk:
                    break
                stream.write(chunk)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
