# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`consume`: works the messages of a queue, one after the other; a message is deleted only after its command exited with 0."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from ..answer import FAILED
from ..jobs import JobError, JobStoreError, Key, Policy, check_policy, make_key
from ..jobs_queue import (
    TEMPFAIL,
    Message,
    Rules,
    check_rules,
    environment,
    hidden_for,
    job_of,
    parse_names,
    parse_queue,
)
from ..jobs_run import Contender, JobStore
from .around import RealAround
from .config import ConfigError
from .job_run import command_of, config_of, node_name, open_store, region_of, store_of
from .keeper import Keeping, KeptCommand
from .metadata import Session, address, from_metadata
from .notices import GROUP, Notices
from .outcome import one_line
from .queue import Queue, QueueError
from .queue_held import Delivery, Held
from .queue_report import Report, clients_of
from .queue_work import KILL_AFTER, Work, body_file
from .stay import Stay


@dataclass
class Count:
    """What became of the messages."""

    received: int = 0
    done: int = 0
    failed: int = 0
    returned: int = 0
    skipped: int = 0
    undeleted: int = 0
    why: str = ""


@dataclass(frozen=True)
class Once:
    """Exactly once: where the runs are kept, and who we are."""

    store: JobStore
    job: str
    node: str
    lease: float


def run(given: argparse.Namespace) -> int:
    """Prints one JSON line when it ends, and returns the exit code. Never raises but for a bug."""
    try:
        argv = command_of(given.argv)
        config = config_of(given.config)
        rules = rules_of(given)
        endpoint = given.endpoint_url or (config.pair.endpoint_url if config else None) or ""
        place = parse_queue(given.queue, given.region, endpoint, region_of(given, config))
        if given.mounted and not given.store:
            raise JobError("mounted: is of no use without store")
        key = check_once(given, place.name, rules) if given.store else ""
        node = node_name(os.environ, config)
        if given.check:
            return _end(Count(why="the options make sense (--check)"), 0)
        once = Once(open_store(given, config), key, node, given.lease) if key else None
    except (JobError, ConfigError) as error:
        return _end(Count(why=str(error)), FAILED)
    except JobStoreError as error:
        return _end(Count(why=f"the store cannot be used: {error}"), TEMPFAIL)
    around = RealAround(Notices(Session(address())) if given.notices else None, grace=rules.finish).listen()
    consumer = Consumer(
        Queue(place, rules, given.lease if once else rules.visibility), rules, argv, around, once
    )
    consumer.report = Report(
        place.name,
        node,
        given.log_group,
        given.metrics,
        clients_of(place.region, place.endpoint),
        lambda text: consumer.say("", text),
    )
    if given.group:
        consumer.stay = Stay(
            given.group,
            given.hook,
            lambda: clients_of(place.region, place.endpoint)("autoscaling"),
            lambda: from_metadata(address()),
            lambda text: consumer.say("", text),
        )
    try:
        code = consumer.work()
    except Exception as error:
        consumer.count.why, code = one_line(error), FAILED
    return _end(consumer.count, code)


def check_once(given: argparse.Namespace, queue: str, rules: Rules) -> str:
    """The job that the queue's messages are runs of, once all that --store needs is well. Raises JobError."""
    store_of(given)
    check_policy(Policy(given.lease))
    if rules.visibility < 2 * given.lease:
        raise JobError(
            f"visibility: {rules.visibility:g} is less than twice the lease: a message would be shown again "
            "while its run is contended for"
        )
    return make_key(given.job or job_of(queue), "any").job


def rules_of(given: argparse.Namespace) -> Rules:
    """The rules on the command line. Raises JobError."""
    return check_rules(
        Rules(
            visibility=given.visibility,
            limit=given.limit,
            backoff=given.backoff,
            longest_backoff=max(given.backoff, Rules.longest_backoff),
            finish=given.grace,
            poll=given.poll,
            patience=given.patience,
            idle_exit=given.idle_exit,
            max=given.max,
            # a group's messages keep their order only one at a time
            prefetch=1 if given.queue.endswith(".fifo") else given.prefetch,
            names=parse_names(given.env),
        )
    )


def _end(count: Count, code: int) -> int:
    text = ", ".join(
        f"{getattr(count, name)} {name}"
        for name in ("received", "done", "failed", "returned", "skipped", "undeleted")
        if getattr(count, name)
    )
    message = count.why if code == FAILED else f"ended: {count.why}" + (f"; {text}" if text else "")
    try:
        sys.stdout.write(json.dumps({"action": "consume", **vars(count), "message": message}) + "\n")
        sys.stdout.flush()
    except OSError:
        pass  # nobody listens any more; the exit code still tells
    if code:
        sys.stderr.write(f"hotstandby consume: {message}\n")
    return code


class Consumer:
    """Works one message after the other."""

    def __init__(
        self, queue: Queue, rules: Rules, argv: Sequence[str], around: RealAround, once: Optional[Once] = None
    ) -> None:
        self._queue, self._rules, self._argv = queue, rules, tuple(argv)
        self._around, self._once = around, once
        self._held = Held(queue, rules, around, self.say)
        self._keeping = Keeping()
        self.report: Optional[Report] = None
        self.stay: Optional[Stay] = None
        self.count = Count()

    def work(self) -> int:
        """Until told to end, --max or --idle-exit; the exit code."""
        self._keeping.begin()
        if self.report is not None:
            self.report.begin()  # after the fork: a keeper has no threads
        if self.stay is not None:
            self.stay.begin()
        try:
            return self._loop()
        finally:
            self._keeping.end()
            self._held.give_back()
            self._held.flush(patient=True)
            if self.stay is not None:
                self.stay.end(leaving=self._around.why == GROUP)
            if self.report is not None:
                self.report.end()
            self.count.returned += self._held.returned
            self.count.undeleted += self._held.undeleted

    def _loop(self) -> int:
        rules, around, held = self._rules, self._around, self._held
        heard = idle = around.monotonic()
        pause = 1.0
        begun = 0
        while True:
            if around.stopping():
                self.count.why = around.why
                return 0
            if rules.max is not None and begun >= rules.max:
                self.count.why = f"{rules.max} messages (--max)"
                return 0
            delivery = held.next()
            if delivery is not None:
                begun += 1
                if self.stay is not None:
                    self.stay.busy()
                self._one(delivery)
                held.over()
                heard = idle = around.monotonic()
                continue
            left = math.inf if rules.idle_exit is None else idle + rules.idle_exit - around.monotonic()
            try:
                found = held.fetch(
                    min(rules.poll, max(1.0, left) if left > 0 else 0.0),
                    None if rules.max is None else rules.max - begun,
                )
            except QueueError as error:
                # a host that boots has no network yet: that is no reason to go, and no idle queue either
                if around.monotonic() - heard > rules.patience:
                    self.count.why = f"the queue was out of reach for {rules.patience:g} s: {error}"
                    return TEMPFAIL
                self.say("", f"the queue is out of reach: {error}")
                around.sleep(pause)
                pause = min(pause * 2, 15.0)
                idle = around.monotonic()
                continue
            heard, pause = around.monotonic(), 1.0
            self.count.received += found
            if not found and self.stay is not None:
                self.stay.idle()
            if not found and left <= 0:
                self.count.why = f"idle for {rules.idle_exit:g} s"
                return 0

    def say(self, message_id: str, text: str) -> None:
        """A line for people, about a message or about none."""
        try:
            sys.stderr.write(f"hotstandby consume: {message_id + ': ' if message_id else ''}{text}\n")
            sys.stderr.flush()
        except OSError:
            pass  # nobody reads it; the work goes on

    def _one(self, delivery: Delivery) -> None:
        message = delivery.message
        if self._around.stopping():
            self.count.returned += 1
            self._hide(message, 0.0, "given back, the consumer ends")
            return
        body = body_file(message)
        output = self.report.output(message) if self.report is not None else None
        said = None if output is None else output.handle
        try:
            env = environment(message, self._rules, self._queue.place.url)
            command = KeptCommand(self._argv, self._around, env, (body, said, said), keeping=self._keeping)
            work = Work(
                self._queue,
                delivery,
                self._held,
                self._rules,
                self._around,
                command,
                lambda text: self.say(message.id, text),
            )
            if self._once is None:
                self._after(message, work.run().rc, work)
            else:
                self._exactly_once(message, work, self._once)
        finally:
            os.close(body)
            if output is not None:
                output.closed = True

    def _exactly_once(self, message: Message, work: Work, once: Once) -> None:
        key = Key(once.job, message.id)
        policy = Policy(once.lease, after_failure="next")
        outcome = Contender(once.store, key, once.node, policy, work, work, KILL_AFTER).run()
        if outcome.outcome == "skipped" and outcome.done:
            self.count.skipped += 1
            self._delete(message, outcome.message)
        elif outcome.outcome == "skipped":
            # a second delivery while the first is at work: looked at again when that has ended or its lease has
            self.count.skipped += 1
            self._hide(message, once.lease, outcome.message)
        elif outcome.outcome == "ran" and outcome.rc is not None:
            self._after(message, outcome.rc, work)
        else:
            # unavailable, lost, interrupted, unrecorded: not known to be done, so somebody looks at it again
            self.count.returned += 1
            soon = 0.0 if self._around.stopping() else min(once.lease, self._rules.visibility)
            self._hide(message, soon, outcome.message)

    def _after(self, message: Message, rc: int, work: Work) -> None:
        if self.report is not None:
            self.report.result(message, rc == 0)
        seconds = hidden_for(rc, message, self._rules, self._around.stopping())
        if seconds is None:
            self._delete(message, "done")
            return
        told = "took too long" if work.too_long else f"exit code {rc}"
        if seconds == 0.0:
            self.count.returned += 1
            self._hide(message, 0.0, f"{told}: given back")
            if not self._around.stopping():
                self._around.sleep(1.0)  # so that another consumer may have it
            return
        self.count.failed += 1
        self._hide(message, seconds, f"{told} at delivery {message.receives}: again in {seconds:g} s")

    def _hide(self, message: Message, seconds: float, why: str) -> None:
        try:
            self._queue.hide(message, seconds)
        except QueueError as error:
            why += f" (shown again when its visibility ends: {error})"
        self.say(message.id, why)

    def _delete(self, message: Message, why: str) -> None:
        def told(more: str) -> None:
            self.count.done += why == "done"
            self.say(message.id, why + more)

        self._held.done(message, told)
