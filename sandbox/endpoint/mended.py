# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""moto, mended and called in this process: one Flask application and one lock per service, made when first needed."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import addresses, cloudwatch, dynamodb, ec2, functions, groups, s3, schedules, sqs, ssm_api
from .actions import Asked
from .http import HttpRequest, HttpResponse
from .model import ACCOUNT

if TYPE_CHECKING:
    from . import Endpoint

CORE = {"dynamodb": "dynamodb", "ec2": "ec2", "ssm": "ssm", "monitoring": "cloudwatch", "s3": "s3"}
MODULES = {
    **CORE,
    **{
        name: name
        for name in ("lambda", "events", "sns", "sqs", "logs", "iam", "route53", "scheduler", "autoscaling")
    },
}
MODULES["elasticloadbalancing"] = "elbv2"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Mended:
    """Calls moto. `endpoint` is what the mended parts ask for faults, agents and the hypervisor."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._apps: dict[str, WsgiApp] = {}
        # moto is racy: two winners of one conditional write were seen, so one call at a time in each service
        self._locks = {service: threading.RLock() for service in MODULES}

    def warm(self) -> None:
        """Make the applications that every pair needs, the ones first needed first."""
        for service in CORE:
            self.app(service)

    def lock(self, service: str) -> threading.RLock:
        """Held while a call of that service runs."""
        return self._locks[service]

    def app(self, service: str) -> WsgiApp:
        """The service's WSGI application."""
        with self._locks[service]:
            if service not in self._apps:
                from moto.moto_server.werkzeug_app import create_backend_app

                mend = {
                    "ec2": ec2.mend,
                    "ssm": ssm_api.mend,
                    "monitoring": cloudwatch.mend,
                    "dynamodb": dynamodb.mend,
                    "lambda": functions.mend,
                    "s3": s3.mend,
                    "elasticloadbalancing": addresses.mend_targets,
                    "autoscaling": groups.mend,
                    "scheduler": schedules.mend,
                }
                if service in mend:
                    mend[service](self._endpoint)
                self._apps[service] = create_backend_app(MODULES[service])
            return self._apps[service]

    def call(self, request: HttpRequest, asked: Asked) -> HttpResponse:
        """Answer one request. Raises whatever moto raises when it does not know a thing."""
        if asked.action == "ReceiveMessage":
            return sqs.receive(
                request, backend("sqs", asked.region), lambda short: self._locked(short, asked)
            )
        return self._locked(request, asked)

    def _locked(self, request: HttpRequest, asked: Asked) -> HttpResponse:
        with self._locks[asked.service]:
            if asked.service == "dynamodb":
                refused = dynamodb.refusal(request, asked, backend("dynamodb", asked.region))
                if refused is not None:
                    return refused
            if asked.service == "sqs":
                refused = sqs.refusal(request, asked, backend("sqs", asked.region))
                if refused is not None:
                    return refused
            if asked.service == "s3":
                return self._s3(request, asked)
            return self._moto(request, asked)

    def _s3(self, request: HttpRequest, asked: Asked) -> HttpResponse:
        known = backend("s3", "aws")
        refused = s3.refusal(request, asked, self._endpoint, known)
        if refused is not None:
            return refused
        if asked.action != "DeleteObjects":
            return self._moto(request, asked)
        allowed, kept = s3.batch(request, asked, self._endpoint, known)
        answer = self._moto(allowed, asked) if b"<Key>" in allowed.body or not kept else None
        return s3.batch_answer(answer, kept)

    def _moto(self, request: HttpRequest, asked: Asked) -> HttpResponse:
        app, environ = self.app(asked.service), _environ(request, asked)
        found: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> None:
            found.append((int(status.split(" ", 1)[0]), headers))

        chunks = app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = found[-1]
        return HttpResponse(status, body, dict(headers))


def _environ(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    headers = request.headers
    body = request.body
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "RAW_URI": request.target,
        "REQUEST_URI": request.target,
        "QUERY_STRING": request.query_string,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": headers.get("host", "").rpartition(":")[2] or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        if name not in ("content-type", "content-length", "transfer-encoding"):
            environ["HTTP_" + re.sub(r"-", "_", name.upper())] = value
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = ACCOUNT
    return environ


def backend(service: str, region: str) -> Any:
    """moto's own state of one service in one region. `service` is moto's name for it."""
    from moto.backends import get_backend

    return get_backend(service)[ACCOUNT][region]


def regions(service: str) -> list[Any]:
    """Every region's state that exists by now."""
    from moto.backends import get_backend

    return list(get_backend(service)[ACCOUNT].values())
