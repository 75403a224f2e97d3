# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Signature Version 4, for the few requests that are made without botocore. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Keys:
    """Credentials; `until` in seconds of the monotonic clock, None for ever."""

    key: str
    secret: str
    token: str = ""
    until: Optional[float] = None


def sign(
    keys: Keys,
    service: str,
    region: str,
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    now: str,
) -> dict[str, str]:
    """The headers of a signed request without a query, names in lower case.

    `path` is the canonical one (S3: as it is sent; others: quoted once more), `now` as 20260102T030405Z.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    named.update({"host": host, "x-amz-date": now})
    if keys.token:
        named["x-amz-security-token"] = keys.token
    names = sorted(named)
    listed = ";".join(names)
    lines = "".join(f"{name}:{named[name]}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    whole = f"{method}\n{path}\n\n{lines}\n{listed}\n{digest}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(whole.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    named["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return named
