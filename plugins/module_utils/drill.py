# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill: everything that a move needs, tried without moving. Each question has one of three answers, and a way to mend it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Optional

from .answer import Answer, Reply
from .budget import ANSWER
from .clients import ClientMaker, error_code, explain
from .confirm import glance
from .event import OWN
from .evidence import NO, UNKNOWN, YES, ineligible, restored
from .health import UNWATCHED, agent_evidence
from .lease import Holder, LeaseHeld, LeaseLost, free_lease
from .pair import PairSpec
from .ports import Ports
from .proof import said
from .record import Record, StoreError
from .run_command import CommandError
from .runbook import command
from .tried import RUN_COMMAND, SKIPPED, Check, calls, of, unknown, way

COLD = 15.0  # seconds for the function's cold start, and for what it asks beside the nodes


def patience(pair: PairSpec) -> float:
    """The "lease" of clients that may wait for a function which starts cold and waits for a silent node: see clients.timing."""
    return 6 * (COLD + pair.timeouts.confirm + ANSWER) + 15


class Drill:
    """One drill of one pair. `function` is the name of its function and of its alarm; `writes` allows the lock to be taken."""

    def __init__(
        self,
        pair: PairSpec,
        ports: Ports,
        clients: ClientMaker,
        owner: str,
        function: str,
        writes: bool = True,
    ) -> None:
        self._pair, self._ports, self._clients = pair, ports, clients
        self._owner, self._function, self._writes = owner, function, writes

    def run(self) -> list[Check]:
        """All checks in the order of a move. Never raises for anything that a pair or AWS can do."""
        try:
            record = self._ports.store.read()
        except StoreError as error:
            return [Check("record", UNKNOWN, str(error), "mend the way to the table: table, region, rights")]
        checks = [self._record(record)]
        if self._unsteady(record):
            return checks  # who would be active, and who the standby, is not known
        checks.append(self._lock(record))
        checks += self._nodes(record)
        checks += calls(self._pair, self._ports, self._clients, record)
        checks += self._automation([check.name for check in checks if check.failed])
        return checks

    # -- the record

    def _unsteady(self, record: Record) -> bool:
        strange = dict(record.nodes) != self._pair.instance_ids()
        return strange or record.state != "steady" or record.active is None

    def _record(self, record: Record) -> Check:
        if dict(record.nodes) != self._pair.instance_ids():
            told = "it names other instances than the inventory; nothing else was tried"
            return Check("record", NO, told, command("deploy"))
        if record.state != "steady" or record.active is None:
            target = record.move.target if record.move else self._pair.nodes[0].name
            told = f"it is {record.state}; nothing else was tried"
            return Check("record", NO, told, command("failover", to=target))
        if record.paused:
            who = f"{record.paused.get('by')} ({record.paused.get('reason')})"
            return Check(
                "record",
                NO,
                f"paused by {who}: nothing moves by itself",
                command("maintenance", state="resumed"),
            )
        return Check("record", YES, f"{record.active} is active with epoch {record.epoch}")

    def _lock(self, record: Record) -> Check:
        if not self._writes:
            return Check("lock", SKIPPED, "check mode takes no lock")
        try:
            # a move that holds it while the record is steady still must not lose it to a drill
            free = free_lease(self._ports.store, record, self._ports.clock)
            holder = Holder(self._ports.store, self._ports.clock, free, self._owner, self._pair.lease)
            holder.write()
            holder.release()
        except LeaseHeld as error:
            return Check("lock", NO, f"a move is at work ({error})", "wait for its end, and drill again")
        except (LeaseLost, StoreError) as error:
            return unknown("lock", str(error), "let the caller do UpdateItem on the table")
        return Check("lock", YES, "taken and given back")

    # -- the nodes

    def _ask(self, active: str) -> dict[str, Reply]:
        return glance(self._pair, self._ports, [node.name for node in self._pair.nodes], active)

    def _nodes(self, record: Record) -> Iterator[Check]:
        active = str(record.active)
        standby = record.other(active)
        try:
            replies = self._ask(active)
            # asked as if it were the standby, the active node reads the record with its own rights too
            turned = self._ask(standby)
        except CommandError as error:
            yield unknown("run command", str(error), RUN_COMMAND)
            return
        for name, reply in replies.items():
            well = isinstance(reply, Answer)
            yield Check(
                f"run command {name}",
                YES if well else UNKNOWN,
                said(reply),
                "" if well else "mend the node's SSM agent",
            )
        old = restored(record, replies)
        if old:
            yield Check("epoch", NO, old, command("deploy"))
        reply = replies[active]
        if isinstance(reply, Answer):
            up = reply.state == "running"
            yield Check(
                "service", YES if up else NO, f"{active}: {said(reply)}", "" if up else command("failover")
            )
        for name, heard in ((active, turned[active]), (standby, replies[standby])):
            if isinstance(heard, Answer):
                read = heard.detail.get("record")
                why = str(heard.detail.get("record_why") or f"the record was {read}")
                mend = (
                    "" if read == "read" else "give the node's role GetItem on the table, and see its network"
                )
                yield Check(
                    f"record from {name}", YES if read == "read" else NO, why if mend else "read", mend
                )
        trouble = ineligible(self._pair, standby, replies[standby])
        yield Check(
            "standby", NO if trouble else YES, trouble or f"{standby} could take over",
            "mend that on the standby" if trouble else "",
        )  # fmt: skip

    # -- the automation

    def _automation(self, mine: Sequence[str]) -> Iterator[Check]:
        """`mine` is what the caller could not do either: it is said once."""
        again = command("automation")
        alarm = self._ports.alarm(self._ports.store.now())
        watched = alarm.detail != UNWATCHED
        function = self._configured()
        if not watched and function is None:
            yield Check("automation", SKIPPED, "none is set up: people move this pair", again)
            return
        # an alarm that says no is one whose newest point is fresh and well
        state = {NO: YES, YES: NO}.get(alarm.answer, UNKNOWN)
        yield Check(
            "alarm", state, str(alarm), "" if state == YES else f"look at the health check, or {again}"
        )
        for name, found in agent_evidence(self._clients("ssm"), self._pair).items():
            yield of(f"agent {name}", found, "mend the node's SSM agent")
        if function is None:
            yield Check("function", NO, f"there is no function '{self._function}'", again)
            return
        yield from self._function_checks(function, again, mine)

    def _configured(self) -> Optional[Mapping[str, Any]]:
        try:
            found: Mapping[str, Any] = self._clients("lambda").get_function_configuration(
                FunctionName=self._function
            )
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            return {"error": explain(error, "Lambda GetFunctionConfiguration")}
        return found

    def _function_checks(
        self, function: Mapping[str, Any], again: str, mine: Sequence[str]
    ) -> Iterator[Check]:
        if "error" in function:
            yield unknown("function", str(function["error"]), "let the caller read the function")
            return
        variables = (function.get("Environment") or {}).get("Variables") or {}
        same = _same(variables.get("HOTSTANDBY_PAIR"), self._pair)
        detail = "it knows this pair" if same else "it was set up for another description of the pair"
        yield Check("function", YES if same else NO, detail, "" if same else again)
        for kind in ("alarm", "reconcile"):
            rule = f"{self._function}-{kind}"
            ask = functools.partial(self._rule, rule, str(function["FunctionArn"]))
            yield self._tried(f"rule {rule}", ask, again)
        yield from self._own(again, mine)
        topic = variables.get("HOTSTANDBY_TOPIC")
        mend = f"confirm a subscription, or name people in failover_automation_subscriptions: {again}"
        yield self._tried("people", lambda: self._people(topic), mend)

    def _own(self, again: str, mine: Sequence[str]) -> Iterator[Check]:
        """What the function itself says to a test event."""
        answers: list[Mapping[str, Any]] = []

        def look() -> tuple[str, str]:
            result, detail, tried = self._test()
            answers.extend(tried)
            return result, detail

        where = f"see what it names, and its log /aws/lambda/{self._function}"
        yield self._tried("function's own look", look, where)
        bad = [one for one in answers if one.get("result") not in (YES, SKIPPED)]
        for one in bad:
            result, detail = str(one.get("result")), str(one.get("detail"))
            if one.get("name") not in mine:
                yield Check(f"function's own {one.get('name')}", result, detail, way(result, detail, again))
        if answers and not bad:
            yield Check("function's rights", YES, f"{len(answers)} things tried with its own rights")
        elif not answers:
            told = "it did not try them: it failed, or is of an older build"
            yield Check("function's rights", UNKNOWN, told, again)

    @staticmethod
    def _tried(name: str, ask: Callable[[], tuple[str, str]], mend: str) -> Check:
        try:
            result, detail = ask()
        except Exception as error:
            return unknown(name, explain(error, str(getattr(error, "operation_name", name))), mend)
        return Check(name, result, detail, "" if result == YES else mend)

    def _rule(self, rule: str, arn: str) -> tuple[str, str]:
        """Whether the rule is on, has the right cause, leads to the function, and may invoke it."""
        events = self._clients("events")
        found = events.describe_rule(Name=rule)
        if found.get("State") != "ENABLED":
            return NO, f"it is {found.get('State')}"
        if rule.endswith("-alarm"):
            meant = f":alarm:{self._function}"
            if not any(alarm.endswith(meant) for alarm in _alarms(found.get("EventPattern"))):
                return NO, f"it is not about the alarm {self._function}"
        elif not found.get("ScheduleExpression"):
            return NO, "it has no schedule"
        if arn not in [target["Arn"] for target in events.list_targets_by_rule(Rule=rule)["Targets"]]:
            return NO, "it does not lead to the function"
        policy = json.loads(self._clients("lambda").get_policy(FunctionName=self._function)["Policy"])
        for statement in policy.get("Statement", []):
            if (
                found["Arn"] in json.dumps(statement.get("Condition", {}))
                and statement.get("Effect") == "Allow"
            ):
                return YES, "it leads to the function and may invoke it"
        return NO, "the function's policy does not let it invoke"

    def _test(self) -> tuple[str, str, list[Mapping[str, Any]]]:
        """A marked test event: the function tries its own rights, moves nothing, and says what it would tell."""
        asked = {OWN: {"action": "test", "pair": self._pair.name}}
        answer = self._clients("lambda").invoke(
            FunctionName=self._function, Payload=json.dumps(asked).encode()
        )
        said = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError") or not isinstance(said, Mapping) or said.get("outcome") != "test":
            return NO, f"it answered {json.dumps(said)[:300]}", []
        tried = [one for one in said.get("checks") or () if isinstance(one, Mapping)]
        notices = [
            str(text) for key, text in dict(said.get("notices") or {}).items() if not key.startswith("ended:")
        ]
        if notices:
            return NO, "; ".join(notices)[:600], tried
        return YES, "it sees everything that it needs", tried

    def _people(self, topic: Any) -> tuple[str, str]:
        if not topic:
            return NO, "the function has no topic: nobody is told"
        found = self._clients("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        confirmed = [item for item in found if item.get("SubscriptionArn") != "PendingConfirmation"]
        if not confirmed:
            return NO, f"nobody gets the messages of {topic}"
        return YES, f"{len(confirmed)} confirmed subscription(s)"


def _alarms(pattern: Any) -> list[str]:
    """The ARNs of the alarms that an event pattern is about."""
    try:
        found = json.loads(str(pattern))
        return [str(arn) for arn in found["resources"]]
    except (ValueError, KeyError, TypeError):
        return []


def _same(told: Any, pair: PairSpec) -> bool:
    """Whether the function's description is the inventory's."""
    try:
        return bool(json.loads(str(told)) == json.loads(json.dumps(pair.to_dict())))
    except ValueError:
        return False


def lines(checks: Sequence[Check]) -> list[str]:
    """The checks for people, what to mend below each."""
    found = []
    for check in checks:
        found.append(
            f"{check.result.upper() if check.failed else check.result:8} {check.name}: {check.detail}"
        )
        if check.mend and check.failed:
            found.append(f"{'':8} -> {check.mend}")
    bad = [check.name for check in checks if check.failed]
    found.append(f"{len(checks)} tried, not well: {', '.join(bad) or 'none'}")
    return found
