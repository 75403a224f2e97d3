# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSM Run Command: send, wait, and one truthful outcome. A timeout proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .answer import Answer, NoAnswer, Reply, parse_answer
from .clients import error_code, explain, is_passing
from .document import NAME as DOCUMENT
from .document import parameters as document_parameters
from .lease import Clock
from .pair import PairSpec

DONE = frozenset({"Success", "Cancelled", "TimedOut", "Failed"})
UNDELIVERED = frozenset(
    {"DeliveryTimedOut", "Undeliverable"}
)  # no proof that it never ran, but it was not seen to
ERROR_MARK = "----------ERROR-------"  # where ListCommandInvocations appends standard error
DELIVERY = 30  # seconds; the least that SSM takes
GRACE = 2.0  # seconds in which SSM resolves Targets; a node missing after that is not registered
PATIENCE = 7.0  # seconds more for a node that began: its agent, its start and SSM's way back take their time
# seconds between polls, then one second: an answer is never found later than about a tenth of what it took
PACE = (
    *(0.06, *(0.02,) * 8),
    *(0.04,) * 8,
    *(0.08,) * 4,
    *(0.1,) * 6,
    *(0.15,) * 4,
    *(0.2,) * 4,
    *(0.3,) * 3,
    *(0.5,) * 4,
    0.75,
)


class CommandError(Exception):
    """SSM itself failed or refused. `passing` tells whether another attempt may succeed."""

    code = "ssm_failed"

    def __init__(self, text: str, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True)
class Outcome:
    """What became of one command on one instance. `rc` is None when it is not known; times in seconds."""

    command_id: str
    instance_id: str
    status: str
    status_details: str
    rc: Optional[int]
    stdout: str
    stderr: str
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether SSM will not change this any more."""
        return self.status in DONE


def _call(client: Any, method: str, name: str, **arguments: Any) -> dict[str, Any]:
    try:
        response: dict[str, Any] = getattr(client, method)(**arguments)
    except Exception as error:
        raise CommandError(explain(error, f"SSM {name}"), is_passing(error)) from error
    return response


def pace(attempt: int) -> float:
    """Seconds to wait before poll number `attempt` (from 0)."""
    return PACE[attempt] if attempt < len(PACE) else 1.0


def send(
    client: Any,
    document: str,
    parameters: Mapping[str, Sequence[str]],
    instance_ids: Sequence[str],
    delivery: int = DELIVERY,
    by_targets: bool = False,
) -> str:
    """Send a command; returns its id. `delivery` bounds a late start, in seconds. Raises CommandError."""
    where: dict[str, Any] = {"InstanceIds": list(instance_ids)}
    if by_targets:
        where = {"Targets": [{"Key": "InstanceIds", "Values": list(instance_ids)}]}
    response = _call(
        client,
        "send_command",
        "SendCommand",
        DocumentName=document,
        Parameters={key: list(value) for key, value in parameters.items()},
        TimeoutSeconds=max(delivery, DELIVERY),
        **where,
    )
    return str(response["Command"]["CommandId"])


def fetch(client: Any, command_id: str, instance_id: str) -> Optional[Outcome]:
    """One invocation, with up to 24,000 characters of output; None while SSM does not know it yet."""
    try:
        got = client.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except Exception as error:
        if error_code(error) == "InvocationDoesNotExist":
            return None
        raise CommandError(explain(error, "SSM GetCommandInvocation"), is_passing(error)) from error
    rc = got.get("ResponseCode", -1)
    return Outcome(
        command_id=command_id,
        instance_id=instance_id,
        status=got["Status"],
        status_details=got.get("StatusDetails", got["Status"]),
        rc=rc if isinstance(rc, int) and rc >= 0 else None,
        stdout=got.get("StandardOutputContent", ""),
        stderr=got.get("StandardErrorContent", ""),
    )


def listing(client: Any, command_id: str) -> dict[str, Outcome]:
    """All invocations of a command by instance id, outputs cut at 2,500 characters."""
    found: dict[str, Outcome] = {}
    arguments: dict[str, Any] = {"CommandId": command_id, "Details": True}
    while True:
        page = _call(client, "list_command_invocations", "ListCommandInvocations", **arguments)
        for item in page.get("CommandInvocations", []):
            plugins = item.get("CommandPlugins") or [{}]
            rc = plugins[-1].get("ResponseCode", -1)
            text, _mark, errors = str(plugins[-1].get("Output", "")).partition(ERROR_MARK)
            found[item["InstanceId"]] = Outcome(
                command_id=command_id,
                instance_id=item["InstanceId"],
                status=item["Status"],
                status_details=item.get("StatusDetails", item["Status"]),
                rc=rc if isinstance(rc, int) and rc >= 0 else None,
                stdout=text,
                stderr=errors.strip(),
            )
        if not page.get("NextToken"):
            return found
        arguments["NextToken"] = page["NextToken"]


def cancel(client: Any, command_id: str, instance_ids: Sequence[str]) -> None:
    """Ask SSM to cancel: a request, not a proof. Raises CommandError."""
    _call(client, "cancel_command", "CancelCommand", CommandId=command_id, InstanceIds=list(instance_ids))


def run(
    client: Any,
    clock: Clock,
    document: str,
    parameters: Mapping[str, Sequence[str]],
    instance_id: str,
    delivery: int,
    execution: int,
) -> Outcome:
    """Run a command on one instance and wait for its end; on a timeout cancel it and say what is known.

    The wait is bounded by `delivery` + `execution` seconds. Raises CommandError when SSM refuses the command.
    """
    began = clock.monotonic()
    command_id = send(client, document, parameters, [instance_id], delivery)
    deadline = began + max(delivery, DELIVERY) + execution
    last: Optional[Outcome] = None
    attempt = 0
    while True:
        clock.sleep(pace(attempt))
        attempt += 1
        trouble = ""
        try:
            last = fetch(client, command_id, instance_id) or last
        except CommandError as error:
            if not error.passing:
                raise
            trouble = str(error)
        seconds = round(clock.monotonic() - began, 3)
        if last is not None and last.ended:
            return _replace(last, seconds=seconds)
        if clock.monotonic() >= deadline:
            try:
                cancel(client, command_id, [instance_id])
            except CommandError as error:
                trouble = str(error)
            waiting = last or Outcome(command_id, instance_id, "TimedOut", "", None, "", "")
            return _replace(
                waiting, status="TimedOut", status_details=trouble or "NoAnswerInTime", seconds=seconds
            )


def _replace(outcome: Outcome, **changes: Any) -> Outcome:
    import dataclasses

    return dataclasses.replace(outcome, **changes)


GiveUp = Callable[[float, "dict[str, Reply]"], bool]


class Nodes:
    """The two nodes of a pair, asked by the document HotStandbyNode. `keep` is called in every wait loop."""

    def __init__(self, client: Any, pair: PairSpec, clock: Clock) -> None:
        self._client = client
        self._pair = pair
        self._clock = clock
        self._sent: dict[
            str, float
        ] = {}  # when, by our clock: what was done since then is waited for already

    def send(
        self,
        action: str,
        names: Iterable[str],
        *,
        move: str = "",
        epoch: Optional[int] = None,
        mode: str = "normal",
        timeout: float = 20,
        active: str = "",
    ) -> str:
        """Send one command to the nodes of these names; returns its id. Raises CommandError."""
        limit = max(1, round(timeout))
        command_id = send(
            self._client,
            DOCUMENT,
            document_parameters(
                action=action,
                pair=self._pair.name,
                move=move,
                epoch=epoch,
                mode=mode,
                timeout=limit,
                active=active,
                execution_timeout=max(5, limit + 15),
            ),
            [self._pair.node(name).instance_id for name in names],
            by_targets=True,
        )
        self._sent[command_id] = self._clock.monotonic()
        return command_id

    def collect(
        self,
        command_id: str,
        action: str,
        names: Iterable[str],
        wait: float,
        keep: Callable[[], None],
        give_up: Optional[GiveUp] = None,
    ) -> dict[str, Reply]:
        """Wait up to `wait` seconds for answers, a little more for a node that began; every name gets a reply.

        `give_up` is told the seconds waited and the replies so far, and may end the wait. Raises CommandError only when SSM refuses for good.
        """
        replies: dict[str, Reply] = {name: NoAnswer("no answer in time") for name in names}
        began = self._clock.monotonic()
        gone = began - self._sent.pop(command_id, began)
        attempt = 0
        while True:
            self._clock.sleep(max(0.0, pace(attempt) - gone))
            attempt, gone = attempt + 1, 0.0
            keep()
            waited = self._clock.monotonic() - began
            open_names = self._poll(command_id, action, replies, waited)
            begun = any(getattr(replies[name], "reached", False) for name in open_names)
            limit = wait + (PATIENCE if begun else 0.0)
            if not open_names or waited >= limit or (give_up is not None and give_up(waited, replies)):
                return replies

    def _poll(self, command_id: str, action: str, replies: dict[str, Reply], waited: float) -> list[str]:
        """Update `replies` in place; returns the names that may still answer."""
        try:
            found = listing(self._client, command_id)
        except CommandError as error:
            if not error.passing:
                raise
            found = {}
            waited = 0.0  # a failed listing tells nothing about who is missing
            for name, known in replies.items():
                if isinstance(known, NoAnswer):
                    replies[name] = NoAnswer(f"no answer in time ({error})", known.reached)
        waiting = []
        for name, known in replies.items():
            if isinstance(known, Answer):
                continue
            outcome = found.get(self._pair.node(name).instance_id)
            if outcome is None:
                if waited < GRACE:
                    waiting.append(name)
                else:
                    replies[name] = NoAnswer("its SSM agent is not registered or not online")
            elif not outcome.ended:
                began = outcome.status not in ("Pending", "Delayed")
                replies[name] = NoAnswer(f"no answer in time (SSM: {outcome.status_details})", reached=began)
                waiting.append(name)
            else:
                replies[name] = self._read(name, action, outcome)
        return waiting

    def _read(self, name: str, action: str, outcome: Outcome) -> Reply:
        """The node's answer out of an ended invocation, read even when SSM says Failed."""
        node = self._pair.node(name)
        reply = parse_answer(outcome.stdout, self._pair.name, name, node.instance_id, action)
        if isinstance(reply, Answer):
            return reply
        whole = None
        if outcome.status not in ("Cancelled", "TimedOut"):
            try:  # the listing cuts long outputs; the whole one may hold the answer
                whole = fetch(self._client, outcome.command_id, node.instance_id)
            except CommandError:
                pass  # then the cut one is all there is
        if whole is not None and whole.stdout:
            reply = parse_answer(whole.stdout, self._pair.name, name, node.instance_id, action)
        if isinstance(reply, NoAnswer):
            said = outcome.stderr.splitlines()[-1][:200] if outcome.stderr else reply.why
            reached = outcome.status_details not in UNDELIVERED
            return NoAnswer(f"SSM says {outcome.status_details}: {said}", reached=reached, spoke=reply.spoke)
        return reply

    def ask(
        self,
        action: str,
        names: Iterable[str],
        *,
        wait: float,
        keep: Callable[[], None],
        give_up: Optional[GiveUp] = None,
        **arguments: Any,
    ) -> dict[str, Reply]:
        """Send and collect. Raises CommandError."""
        asked = list(names)
        command_id = self.send(action, asked, **arguments)
        return self.collect(command_id, action, asked, wait, keep, give_up)

    def late(self, command_id: str, action: str, name: str) -> Optional[Answer]:
        """The answer of a command sent earlier, if it has come by now; None otherwise. Never raises."""
        replies: dict[str, Reply] = {name: NoAnswer("")}
        try:
            self._poll(command_id, action, replies, 0.0)
        except CommandError:
            return None
        reply = replies[name]
        return reply if isinstance(reply, Answer) else None
