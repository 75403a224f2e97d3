# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a queue as work: what a command gets of one, and what becomes of it afterwards. Pure: no I/O, no clock."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .jobs import JOB, JobError

TEMPFAIL = 75  # what a command exits with that wants its message given back at once
LONGEST = 43200.0  # seconds after which SQS shows a message again, however often it was extended
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# what would change how a command is found, loaded or authorized, instead of what it works on
RESERVED = re.compile(
    r"PATH|HOME|SHELL|USER|LOGNAME|IFS|ENV|BASH_.*|LD_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS|GIT_.*|AWS_.*"
    r"|HOTSTANDBY_.*|.*_(PROXY|proxy)"
)


@dataclass(frozen=True)
class Message:
    """One delivery. `receives` counts the deliveries so far, this one included; `attributes` {name: text}; `sent` in epoch
    seconds, 0 when that is not known."""

    id: str
    receipt: str
    body: str
    receives: int = 1
    attributes: Mapping[str, str] = field(default_factory=dict)
    sent: float = 0.0


@dataclass(frozen=True)
class Rules:
    """How a queue is worked; seconds throughout. `visibility` is extended at each third of it; `limit` is the most that a
    command may take; `finish` is left to a command to end by itself once the consumer is to end; `names` are pairs of an
    attribute and the variable that it becomes. `idle_exit` and `max` end the consumer; `patience` is how long the queue
    may be out of reach; `prefetch` is how many short jobs' messages are fetched at once."""

    visibility: float = 60.0
    limit: Optional[float] = None
    backoff: float = 30.0
    longest_backoff: float = 900.0
    finish: float = 30.0
    poll: float = 20.0
    patience: float = 600.0
    idle_exit: Optional[float] = None
    max: Optional[int] = None
    prefetch: int = 10
    names: tuple[tuple[str, str], ...] = ()

    @property
    def most(self) -> float:
        """When a command is ended at the latest: while its message is still out of everybody's sight."""
        return min(self.limit or LONGEST, LONGEST - max(self.visibility, 300.0))


def check_rules(rules: Rules) -> Rules:
    """The same rules. Raises JobError that names the option."""
    if not 3 <= rules.visibility <= LONGEST / 2:
        raise JobError(f"visibility: {rules.visibility:g} is outside 3 to {LONGEST / 2:g} seconds")
    room = LONGEST - max(rules.visibility, 300.0)
    if rules.limit is not None and not 1 <= rules.limit <= room:
        raise JobError(
            f"limit: {rules.limit:g} is outside 1 to {room:g} seconds: SQS shows a message again 12 hours after it was "
            "received, whatever is done, and it would be worked twice; let longer work begin elsewhere"
        )
    for name, value, low, high in (
        ("backoff", rules.backoff, 0, LONGEST),
        ("grace", rules.finish, 0, LONGEST),
        ("poll", rules.poll, 0, 20),
        ("patience", rules.patience, 0, 366 * 86400),
    ):
        if not low <= value <= high:
            raise JobError(f"{name}: {value:g} is outside {low} to {high:g} seconds")
    if not 1 <= rules.prefetch <= 10:
        raise JobError(f"prefetch: {rules.prefetch} is outside 1 to 10")
    if rules.max is not None and rules.max < 1:
        raise JobError(f"max: {rules.max} is not at least 1")
    return rules


class Pace:
    """How many messages to fetch at once: as many as half a second of work, and one where any took long.

    Whoever holds messages that wait keeps them from others, and giving one back counts as a delivery of it: so one job of
    LONG seconds is remembered for a thousand jobs.
    """

    HOLD = 0.5  # seconds of work that may wait here
    LONG = 1.0  # seconds after which those that wait behind a job are given back
    ALONE = 1000

    def __init__(self, most: int) -> None:
        self.most = most
        self._each = math.inf  # nothing is known yet
        self._alone = 0

    def wanted(self) -> int:
        """From 1 to `most`."""
        if self._alone:
            return 1
        return max(1, min(self.most, int(self.HOLD / max(self._each, 0.001))))

    def took(self, seconds: float) -> None:
        """So long took a job: the longest counts, and is forgotten slowly."""
        self._alone = self.ALONE if seconds >= self.LONG else max(0, self._alone - 1)
        self._each = max(seconds, self._each * 0.8 if self._each < math.inf else 0.0)


def parse_names(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of (attribute, variable) from `ATTRIBUTE` or `ATTRIBUTE=VARIABLE`. Raises JobError."""
    found: list[tuple[str, str]] = []
    for text in given:
        name, equals, variable = text.partition("=")
        variable = variable if equals else name
        if not name or not VARIABLE.fullmatch(variable):
            raise JobError(
                f"env: '{text[:80]}' names no variable: letters, digits and underscores, no digit first"
            )
        if RESERVED.fullmatch(variable):
            raise JobError(f"env: {variable} is not for a message to set; give it another name: {name}=OTHER")
        if variable in [other for _name, other in found]:
            raise JobError(f"env: {variable} is named twice")
        found.append((name, variable))
    return tuple(found)


def parse_message(raw: Mapping[str, Any]) -> Message:
    """A message as boto3 gives it. Binary attributes are left out."""
    attributes = {
        str(name): str(value["StringValue"])
        for name, value in (raw.get("MessageAttributes") or {}).items()
        if isinstance(value, Mapping) and "StringValue" in value
    }
    told = raw.get("Attributes") or {}
    count, sent = str(told.get("ApproximateReceiveCount", "1")), str(told.get("SentTimestamp", "0"))
    return Message(
        str(raw["MessageId"]),
        str(raw["ReceiptHandle"]),
        str(raw.get("Body", "")),
        int(count) if count.isascii() and count.isdigit() else 1,
        attributes,
        int(sent) / 1000 if sent.isascii() and sent.isdigit() else 0.0,
    )


def environment(message: Message, rules: Rules, queue: str) -> dict[str, str]:
    """What a command finds in its environment: the attributes that were asked for, an absent one empty, and whose work it is."""
    found = {variable: message.attributes.get(name, "").replace("\0", "") for name, variable in rules.names}
    return {
        **found,
        "HOTSTANDBY_QUEUE": queue,
        "HOTSTANDBY_MESSAGE_ID": message.id,
        "HOTSTANDBY_RECEIVES": str(message.receives),
    }


def hidden_for(rc: int, message: Message, rules: Rules, asked: bool) -> Optional[float]:
    """For how many seconds a message is hidden after its command; None: it is done, delete it.

    `asked`: the consumer was told to end, so that what did not succeed goes to somebody else at once.
    """
    if rc == 0:
        return None
    if rc == TEMPFAIL or asked:
        return 0.0
    return float(min(rules.backoff * 2 ** min(message.receives - 1, 30), rules.longest_backoff))


@dataclass(frozen=True)
class Place:
    """Where a queue is. `endpoint` None: Amazon's own."""

    url: str
    name: str
    region: str
    endpoint: Optional[str]


def parse_queue(url: str, region: str = "", endpoint: str = "", otherwise: str = "") -> Place:
    """The queue's place from its URL; what was given wins, and `otherwise` is the region of a URL that names none.

    Raises JobError."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    words = [] if not host else [word for word in parts.path.split("/") if word]
    if not host or parts.scheme not in ("http", "https") or not words:
        raise JobError(f"queue: '{url[:100]}' is not the URL of a queue")
    own = re.fullmatch(r"(?:sqs\.)?([a-z0-9-]+)\.(?:queue\.)?amazonaws\.com(?:\.cn)?", host)
    found = region or (own[1] if own else otherwise)
    if not found:
        raise JobError("region: say --region, or set AWS_REGION")
    return Place(url, words[-1], found, endpoint or (None if own else f"{parts.scheme}://{parts.netloc}"))


def job_of(queue: str) -> str:
    """The job that a queue's messages are runs of."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", queue)[:100]
    return name if JOB.fullmatch(name) else f"queue-{name}"[:100]
