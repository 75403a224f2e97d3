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


def _ask(base: urllib.parse.SplitResult, method: str, path: str, headers: dict[str, str]) -> Optional[str]:
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.hostname or "", base.port, timeout=LIMIT)
    try:
        connection.request(method, base.path.rstrip("/") + path, headers=headers)
        response = connection.getresponse()
        text = response.read(4096).decode("ascii", "replace").strip()
        return text if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


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
