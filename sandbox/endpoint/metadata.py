# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance metadata, version 2 only: one port for each instance."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .http import HttpRequest, HttpResponse, Server
from .model import ACCOUNT

ROLE = "hotstandby-node"


@dataclass(frozen=True)
class Identity:
    """What an instance is told about itself."""

    instance_id: str
    access_key: str
    secret: str
    region: str
    zone: str


class MetadataServer:
    """Answers for one instance. A token is asked for with PUT and needed for every GET."""

    def __init__(self, identity: Identity, host: str = "127.0.0.1") -> None:
        self.identity, self.host = identity, host
        self.told: dict[str, str] = {}  # more paths, and what is there
        self._tokens: dict[str, float] = {}
        self._server = Server(self._answer, name=f"metadata-{identity.instance_id}", host=host)
        self._server.start()

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://{self.host}:{self._server.port}"

    def stop(self) -> None:
        """Answer no more."""
        self._server.stop()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        path = request.path.rstrip("/")
        if path == "/latest/api/token":
            return self._token(request)
        if request.method != "GET":
            return HttpResponse(405)
        if self._tokens.get(request.headers.get("x-aws-ec2-metadata-token", ""), 0) < time.monotonic():
            return HttpResponse(401)
        text = self._tree().get(path)
        return (
            HttpResponse(404)
            if text is None
            else HttpResponse(200, text.encode(), {"Content-Type": "text/plain"})
        )

    def _token(self, request: HttpRequest) -> HttpResponse:
        if request.method != "PUT":
            return HttpResponse(405)
        if "x-forwarded-for" in request.headers:
            return HttpResponse(403)
        asked = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not asked.isdigit() or not 1 <= int(asked) <= 21_600:
            return HttpResponse(400)
        now = time.monotonic()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(32)
        self._tokens[token] = now + int(asked)
        headers = {"Content-Type": "text/plain", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": asked}
        return HttpResponse(200, token.encode(), headers)

    def _tree(self) -> dict[str, str]:
        me = self.identity
        now = datetime.now(timezone.utc).replace(microsecond=0)
        credentials = {
            "Code": "Success",
            "LastUpdated": _stamp(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": me.access_key,
            "SecretAccessKey": me.secret,
            "Token": "sandbox",
            "Expiration": _stamp(now + timedelta(hours=6)),
        }
        document = {
            "accountId": ACCOUNT,
            "availabilityZone": me.zone,
            "instanceId": me.instance_id,
            "region": me.region,
            "version": "2017-09-30",
        }
        meta = "/latest/meta-data"
        return {
            f"{meta}/instance-id": me.instance_id,
            f"{meta}/placement/region": me.region,
            f"{meta}/placement/availability-zone": me.zone,
            f"{meta}/iam/security-credentials": ROLE,
            f"{meta}/iam/security-credentials/{ROLE}": json.dumps(credentials),
            "/latest/dynamic/instance-identity/document": json.dumps(document),
            meta: "iam/\ninstance-id\nplacement/",
            **self.told,
        }


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
