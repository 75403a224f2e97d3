# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door: who calls, what goes wrong, what is known, then moto; and the sandbox's own paths."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from . import errors
from .actions import Asked, known, resolve
from .http import Disconnect, HttpRequest, HttpResponse
from .model import ACCOUNT, Caller

if TYPE_CHECKING:
    from . import Endpoint

OWN = "/_sandbox/"


class Front:
    """The application that the endpoint serves."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._turns: dict[str, int] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer. Raises Disconnect for a caller behind a partition."""
        if request.path.startswith(OWN):
            return self._own(request, request.path[len(OWN) :])
        asked = resolve(request)
        caller = self._endpoint.keys.get(asked.key)
        began = time.time()
        status = 0
        try:
            response = self._trapped(request, asked, caller)
            status = response.status
            return response
        finally:
            self._endpoint.log.add(
                time=began,
                key=asked.key,
                caller=caller.name if caller else "",
                service=asked.service,
                action=asked.action,
                target=asked.target,
                write=asked.write,
                status=status,
            )

    def _trapped(self, request: HttpRequest, asked: Asked, caller: Caller | None) -> HttpResponse:
        traps = self._endpoint.faults.traps
        trap = traps.caught(asked, request.body)
        if trap is not None and trap.before and traps.spring(trap):
            raise Disconnect
        response = self._aws(request, asked, caller)
        if trap is not None and not trap.before and traps.spring(trap):
            raise Disconnect
        return response

    def _aws(self, request: HttpRequest, asked: Asked, caller: Caller | None) -> HttpResponse:
        endpoint, faults = self._endpoint, self._endpoint.faults
        if asked.key in faults.partitioned:
            raise Disconnect
        if caller is None:
            return errors.unknown_key(asked)
        wait = endpoint.latency + faults.slow.get(asked.key, 0.0)
        if wait > 0:
            time.sleep(wait)
            if asked.key in faults.partitioned:
                raise Disconnect
        if asked.service in faults.down:
            return errors.unavailable(asked)
        if asked.key in faults.expired:
            return errors.expired(asked)
        if faults.burst_left(asked.service):
            return errors.throttled(asked)
        if faults.throttle and self._turn(asked.key):
            return errors.throttled(asked)
        if faults.denies(asked.key, asked.service, asked.action):
            return errors.denied(asked, caller.name)
        if not known(asked):
            return self._unknown(asked)
        if asked.service == "sts":
            return _identity(caller)
        try:
            response = endpoint.moto.call(request, asked)
        except NotImplementedError as error:
            return self._unknown(asked, str(error))
        except Exception as error:
            # a fault of the sandbox, and never AWS's: 5xx would be retried and believed
            traceback.print_exc(file=sys.stderr)
            return self._unknown(asked, f"{type(error).__name__}: {error}")
        if response.status >= 500:
            return self._unknown(asked, f"moto answered {response.status}")
        if asked.key in faults.partitioned:
            raise Disconnect  # it was done, and the answer is lost
        return response

    def _unknown(self, asked: Asked, why: str = "") -> HttpResponse:
        what = f"{asked.service}:{asked.action or '?'}"
        self._endpoint.unimplemented.append(f"{what} ({why})" if why else what)
        return errors.not_implemented(asked, why)

    def _turn(self, key: str) -> bool:
        """Whether it is this key's turn to be throttled: every other call, the first one included."""
        with self._lock:
            self._turns[key] = self._turns.get(key, 0) + 1
            return self._turns[key] % 2 == 1

    # -- the sandbox's own

    def _own(self, request: HttpRequest, path: str) -> HttpResponse:
        endpoint = self._endpoint
        if request.method == "GET" and path == "calls":
            calls = [call.to_dict() for call in list(endpoint.calls)]
            return HttpResponse.of_json({"calls": calls, "unimplemented": list(endpoint.unimplemented)})
        if request.method != "POST":
            return HttpResponse.of_json({"error": "POST is needed"}, 405)
        try:
            payload = json.loads(request.body or b"{}")
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            return HttpResponse.of_json({"error": "a JSON object is needed"}, 400)
        if path in ("agent/poll", "agent/report"):
            return self._agent(request, path.rpartition("/")[2], payload)
        handler = endpoint.control.get(path)
        if handler is None:
            return HttpResponse.of_json({"error": f"nothing answers to {path}"}, 404)
        try:
            return HttpResponse.of_json(handler(payload))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return HttpResponse.of_json({"error": f"{type(error).__name__}: {error}"}, 500)

    def _agent(self, request: HttpRequest, verb: str, payload: dict[str, Any]) -> HttpResponse:
        endpoint = self._endpoint
        key, instance_id = str(payload.get("key")), str(payload.get("instance_id"))
        if key in endpoint.faults.partitioned:
            raise Disconnect
        caller = endpoint.keys.get(key)
        if caller is None or caller.instance_id != instance_id:
            return HttpResponse.of_json({"error": "the key is not this instance's"}, 403)
        if "ssm" in endpoint.faults.down:
            return HttpResponse.of_json({"error": "ServiceUnavailable"}, 503)
        if verb == "report":
            endpoint.agents.report(payload)
            return HttpResponse.of_json({})
        return endpoint.agents.poll(request, instance_id, lambda: key not in endpoint.faults.partitioned)


def _identity(caller: Caller) -> HttpResponse:
    """GetCallerIdentity."""
    session = caller.instance_id or caller.name
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/hotstandby-{caller.kind}/{session}"
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{arn}</Arn><UserId>AROASANDBOX:{session}</UserId><Account>{ACCOUNT}</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>sandbox</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return HttpResponse(200, body.encode(), {"Content-Type": "text/xml"})
