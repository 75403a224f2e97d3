# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A queue as a consumer uses it: clients are made anew when their credentials were replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ..clients import error_code, explain, make_client
from ..jobs_queue import Message, Place, Rules, parse_message
from .light import light_client_of

# the credentials that a client has kept are no longer good; new ones may be where they came from
ROTATED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
     "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "InvalidSecurity", "AuthFailure"}
)  # fmt: skip
GONE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"})


class QueueError(Exception):
    """A call failed; one line. `gone`: there is no such queue (any more)."""

    def __init__(self, text: str, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


def _make(place: Place, silence: float, lease: float) -> Any:
    light = light_client_of("sqs", place.region, place.endpoint, lease, silence)
    if light is not None:
        return light
    return make_client("sqs", place.region, place.endpoint, lease=lease, silence=silence)


class Queue:
    """Calls of SQS. All raise QueueError."""

    def __init__(
        self,
        place: Place,
        rules: Rules,
        lease: float = 30.0,
        make: Callable[[Place, float, float], Any] = _make,
    ) -> None:
        self.place, self._rules, self._make_client = place, rules, make
        self._lease = min(rules.visibility, lease, 30.0)  # so long may nobody wait for a call
        self._clients: dict[float, Any] = {}

    def _call(self, name: str, silence: float = 0.0, **arguments: Any) -> Any:
        for attempt in (1, 2):
            try:
                if silence not in self._clients:
                    self._clients[silence] = self._make_client(self.place, silence, self._lease)
                return getattr(self._clients[silence], name)(QueueUrl=self.place.url, **arguments)
            except Exception as error:
                code = error_code(error)
                rotated = code in ROTATED or "Credential" in code or "Token" in code
                # whatever it was, a client that was made before the network was up is made anew
                self._clients.clear()
                if rotated and attempt == 1:
                    continue
                text = explain(error, f"SQS {name} on {self.place.name}")
                raise QueueError(text, code in GONE) from error
        raise AssertionError("unreachable")

    def receive(self, most: int, seconds: float) -> list[Message]:
        """The next messages, `most` (10 at most) of them, waited for at most so long (20 s is SQS's own limit)."""
        whole = int(max(0.0, min(20.0, seconds)))
        found = self._call(
            "receive_message",
            self._rules.poll + 10.0,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=whole,
            VisibilityTimeout=int(self._rules.visibility),
            MessageAttributeNames=["All"],
            AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        ).get("Messages")
        return [parse_message(raw) for raw in found or ()]

    def hide(self, message: Message, seconds: float) -> None:
        """Let nobody see the message for so many seconds from now; 0 gives it back."""
        self._call("change_message_visibility", ReceiptHandle=message.receipt, VisibilityTimeout=int(seconds))

    def delete(self, messages: Sequence[Message]) -> dict[str, QueueError]:
        """The messages (10 at most) are done; what could not be deleted, by receipt."""
        if len(messages) == 1:
            self._call("delete_message", ReceiptHandle=messages[0].receipt)
            return {}
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt} for number, message in enumerate(messages)
        ]
        answer = self._call("delete_message_batch", Entries=entries)
        # only what is said to have been deleted was
        done = {str(entry.get("Id")) for entry in answer.get("Successful") or ()}
        why = {
            str(entry.get("Id")): f"{entry.get('Code')} {entry.get('Message', '')}".strip()
            for entry in answer.get("Failed") or ()
        }
        return {
            message.receipt: QueueError(
                f"SQS delete_message_batch on {self.place.name}: {why.get(key, 'no answer')}"
            )
            for key, message in ((str(number), message) for number, message in enumerate(messages))
            if key not in done
        }
