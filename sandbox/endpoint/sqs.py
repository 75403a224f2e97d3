# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQS as it is: a long poll holds nobody else up, and what is visible cannot be hidden by who once received it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from . import errors
from .actions import Asked
from .http import HttpRequest, HttpResponse

STEP = 0.02  # seconds between two looks of a long poll
LONGEST = 20.0


def _parameters(request: HttpRequest) -> dict[str, Any]:
    text = request.body.decode("utf-8", "replace")
    try:
        found = json.loads(text) if text.startswith("{") else dict(parse_qsl(text, keep_blank_values=True))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _at_once(request: HttpRequest, parameters: dict[str, Any]) -> HttpRequest:
    """The same request as a short poll."""
    asked = {**parameters, "WaitTimeSeconds": 0}
    body = json.dumps(asked) if request.body.startswith(b"{") else urlencode(asked)
    return replace(request, body=body.encode())


def _queue(parameters: dict[str, Any], backend: Any) -> Any:
    name = str(parameters.get("QueueUrl", "")).rpartition("/")[2]
    return backend.queues.get(name)


def refusal(request: HttpRequest, asked: Asked, backend: Any) -> HttpResponse | None:
    """What moto lets pass: the visibility of a message that is not in flight."""
    if asked.action != "ChangeMessageVisibility":
        return None
    parameters = _parameters(request)
    queue = _queue(parameters, backend)
    for message in () if queue is None else queue._messages:
        if message.had_receipt_handle(parameters.get("ReceiptHandle")) and message.visible:
            return errors.failure(asked, 400, "MessageNotInflight", "The specified message isn't in flight.")
    return None


def receive(request: HttpRequest, backend: Any, once: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """A poll of the length that was asked for; `once` makes a short one, under the service's lock."""
    parameters = _parameters(request)
    queue = _queue(parameters, backend)
    wait = parameters.get("WaitTimeSeconds", getattr(queue, "receive_message_wait_time_seconds", 0))
    until = time.monotonic() + min(float(wait or 0), LONGEST)
    short = _at_once(request, parameters)
    while True:
        answer = once(short)
        empty = answer.status == 200 and b"ReceiptHandle" not in answer.body
        left = until - time.monotonic()
        if not empty or left <= 0 or request.client_gone():
            return answer
        time.sleep(min(STEP, left))


def show_again(region: str, name: str) -> bool:
    """Show one message that is at work to somebody else too: at least once is what a standard queue promises."""
    from .mended import backend

    queue = backend("sqs", region).queues.get(name)
    for message in () if queue is None else list(queue._messages):
        if not message.visible:
            message.change_visibility(0)
            return True
    return False
