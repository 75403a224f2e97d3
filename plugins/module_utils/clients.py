# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of AWS, all made the same way. boto3 is imported only here, and only when a client is made."""

from __future__ import annotations

from typing import Any, Callable, Optional

ClientMaker = Callable[[str], Any]

# Error codes that a later attempt may not meet: nothing is known of what happened.
PASSING = frozenset(
    {
        "InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "RequestTimeout", "ServiceUnavailable",
        "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException", "Unavailable",
        "500", "502", "503", "504",
    }
)  # fmt: skip


def timing(lease: float) -> dict[str, Any]:
    """Arguments of botocore's Config such that one call with its retries fits into the last third of a lease (seconds)."""
    bound = max(lease / 3, 0.3)
    attempts = 2 if bound >= 4 else 1
    # standard mode waits at most one second before the second attempt
    each = (bound - (attempts - 1)) / attempts
    return {
        "connect_timeout": min(each / 4, 2.0),
        "read_timeout": each - min(each / 4, 2.0),
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "tcp_keepalive": True,
    }


def _addressing(endpoint_url: Optional[str]) -> dict[str, Any]:
    """A store that is not Amazon's is asked with the bucket in the path, which each of them understands."""
    own = bool(endpoint_url) and ".amazonaws." not in str(endpoint_url)
    return {"s3": {"addressing_style": "path" if own else "auto"}}


def client_config(lease: float, endpoint_url: Optional[str] = None, silence: float = 0.0) -> Any:
    """The one botocore Config of the core: time limits and retries, from the lease in seconds.

    `silence` is for long polls: one attempt, that may say nothing for so many seconds.
    """
    from botocore.config import Config

    limits = timing(lease)
    if silence:
        limits.update(read_timeout=silence, retries={"mode": "standard", "total_max_attempts": 1})
    return Config(user_agent_extra="hotstandby.ops", **_addressing(endpoint_url), **limits)


def bulk_config(workers: int, endpoint_url: Optional[str] = None) -> Any:
    """The Config for many calls by `workers` threads: one attempt each, since the caller counts and repeats them."""
    from botocore.config import Config

    # where a checksum is not needed, older stores do not know it
    known = "request_checksum_calculation" in Config.OPTION_DEFAULTS
    plain = {"request_checksum_calculation": "when_required"} if known else {}
    return Config(
        **_addressing(endpoint_url),
        **plain,
        user_agent_extra="hotstandby.ops",
        connect_timeout=5,
        read_timeout=120,  # a server-side copy of 5 GB takes its time
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=max(workers, 1) + 2,
        parameter_validation=False,
        tcp_keepalive=True,
    )


def make_client(
    service: str,
    region: str,
    endpoint_url: Optional[str] = None,
    lease: float = 30.0,
    silence: float = 0.0,
    **extra: Any,
) -> Any:
    """A boto3 client of its own session (threads and forks share nothing). `lease` in seconds bounds each call."""
    import boto3

    return boto3.session.Session().client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        config=client_config(lease, endpoint_url, silence),
        **extra,
    )


RIGHT = "the right for this call is missing"


def error_code(error: BaseException) -> str:
    """The service's code of a botocore error, or the exception's name."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(code or type(error).__name__)


def is_passing(error: BaseException) -> bool:
    """Whether another attempt may succeed: throttling, a server's fault, or no answer at all."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        # credentials and parameters do not mend themselves; connections do
        return not any(
            word in type(error).__name__
            for word in ("Credential", "ParamValidation", "Token", "Profile", "NoRegion")
        )
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error_code(error) in PASSING or (isinstance(status, int) and status >= 500)


def explain(error: BaseException, call: str) -> str:
    """One line that names the call, what the service said, and what is missing when a right is."""
    code = error_code(error)
    text = " ".join(str(error).split())[:300]
    if code in ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "UnauthorizedException"):
        return f"{call}: {RIGHT} ({code}): {text}"
    if "Credential" in type(error).__name__:
        return f"{call}: no usable AWS credentials were found ({text})"
    return f"{call}: {text}"
