# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who this machine is: asked of the instance metadata service (IMDSv2) or of the SSM agent's registration, each time."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.parse
from typing import Optional

DEFAULT = "http://169.254.169.254"
VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
REGISTRATION = "var/lib/amazon/ssm/registration"
INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
MANAGED = re.compile(r"mi-[0-9a-f]{17}")
LIMIT = 1.0  # seconds for each of the two requests


def _answer(
    base: urllib.parse.SplitResult, method: str, path: str, headers: dict[str, str], limit: float = LIMIT
) -> tuple[int, str]:
    """(status, text); status 0 when nothing answers in time."""
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.hostname or "", base.port, timeout=limit)
    try:
        connection.request(method, base.path.rstrip("/") + path, headers=headers)
        response = connection.getresponse()
        text = response.read(4096).decode("ascii", "replace").strip()
        return response.status, text
    except (OSError, http.client.HTTPException, ValueError):
        return 0, ""
    finally:
        connection.close()


def _ask(base: urllib.parse.SplitResult, method: str, path: str, headers: dict[str, str]) -> Optional[str]:
    status, text = _answer(base, method, path, headers)
    return text if status == 200 else None


def address() -> str:
    """Where the service is."""
    return os.environ.get(VARIABLE) or DEFAULT


class Session:
    """IMDSv2 asked again and again: one token for many requests, and each request `limit` seconds at most."""

    def __init__(self, url: str, limit: float = 0.5) -> None:
        self._base, self._limit, self._token = urllib.parse.urlsplit(url), limit, ""

    def get(self, path: str) -> Optional[str]:
        """What it tells; empty when there is nothing of that name, None when it does not answer."""
        for _attempt in (1, 2):
            if not self._token:
                asked = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
                status, text = _answer(self._base, "PUT", "/latest/api/token", asked, self._limit)
                if status != 200 or not text:
                    return None
                self._token = text
            named = {"X-aws-ec2-metadata-token": self._token}
            status, text = _answer(self._base, "GET", path, named, self._limit)
            if status == 401:
                self._token = ""  # it has ended, or the service began anew
                continue
            return text if status == 200 else "" if status == 404 else None
        return None


def ask(url: str, path: str) -> Optional[str]:
    """What IMDSv2 tells at a path; None when it does not answer."""
    try:
        base = urllib.parse.urlsplit(url)
        if not base.hostname or base.port == 0:
            return None
    except ValueError:
        return None
    token = _ask(base, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    if not token:
        return None
    return _ask(base, "GET", path, {"X-aws-ec2-metadata-token": token})


def from_metadata(url: str) -> Optional[str]:
    """The instance id as IMDSv2 tells it; None when it does not answer, or with something else."""
    found = ask(url, "/latest/meta-data/instance-id")
    return found if found and INSTANCE.fullmatch(found) else None


def from_registration(root: str) -> Optional[str]:
    """The managed-instance id (mi-...) that the SSM agent registered under; None when there is none."""
    try:
        with open(os.path.join(root or "/", REGISTRATION), encoding="utf-8") as handle:
            found = json.load(handle).get("ManagedInstanceID")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and MANAGED.fullmatch(found) else None


def instance_id(root: str, url: str, managed: bool) -> Optional[str]:
    """Who this machine is. `managed` (the pair knows it as mi-...) tells where to look; a file never stands in for IMDS."""
    return from_registration(root) if managed else from_metadata(url)
