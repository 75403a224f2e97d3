# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DynamoDB, Lambda, SQS, CloudWatch and Auto Scaling as a node calls them, without boto3: that alone is 40 MB and most of a command's time.

Made only where the credentials are those of the instance, or of the environment, and nothing asks for botocore's own
settings (a proxy, a profile, an endpoint of the environment); everywhere else boto3 is used. The time limits and attempts
are those of clients.py, the errors carry what botocore's ClientError carries, so that callers cannot tell them apart.
"""

from __future__ import annotations

import datetime
import html
import http.client
import json
import os
import random
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Callable, Optional

from ..clients import is_passing, timing
from ..pair import PairSpec
from ..sigv4 import Keys, sign
from . import metadata

ROLE = "/latest/meta-data/iam/security-credentials/"
EARLY = 600.0  # seconds before the end of credentials at which new ones are fetched
LARGEST = 1 << 24  # bytes of an answer
# any of these means that somebody set botocore up in a way of their own
SETTINGS = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL_AUTO_SCALING", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy",
)  # fmt: skip
SUFFIXES = {"cn": "amazonaws.com.cn"}
COMMERCIAL = ("af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us")


class NoCredentialsError(Exception):
    """The instance gives none. Named as botocore's is, since that is what a name is judged by."""


class ServiceError(Exception):
    """The service refused or failed; `response` has the form of botocore's ClientError."""

    def __init__(self, operation: str, status: int, code: str, message: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the {operation} operation: {message}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


def plain_surroundings(environ: Mapping[str, str]) -> bool:
    """Whether nothing here asks for what only botocore knows."""
    if any(environ.get(name) for name in SETTINGS):
        return False
    home = environ.get("HOME") or "/root"
    return not any(os.path.exists(os.path.join(home, ".aws", name)) for name in ("config", "credentials"))


def keys_of_environment(environ: Mapping[str, str]) -> Optional[Keys]:
    """Credentials that the environment carries."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return Keys(key, secret, environ.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def keys_of_instance(url: str) -> Optional[Keys]:
    """Credentials of the instance's role, from IMDSv2; None when it gives none."""
    text = metadata.ask(url, ROLE)
    role = text.splitlines()[0].strip() if text else ""
    found = metadata.ask(url, ROLE + urllib.parse.quote(role)) if role else None
    try:
        raw = json.loads(found or "")
        end = datetime.datetime.strptime(raw["Expiration"], "%Y-%m-%dT%H:%M:%SZ")
        left = end.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()
        return Keys(raw["AccessKeyId"], raw["SecretAccessKey"], raw["Token"], time.monotonic() + left)
    except (ValueError, KeyError, TypeError):
        return None


class Credentials:
    """Fetched when needed, and again before they end."""

    def __init__(self, fetch: Callable[[], Optional[Keys]]) -> None:
        self._fetch, self._keys = fetch, fetch()

    def get(self) -> Keys:
        """Raises NoCredentialsError."""
        now = time.monotonic()
        keys = self._keys
        if keys is None or (keys.until is not None and keys.until - now < EARLY):
            self._keys = self._fetch() or keys
        if self._keys is None or (self._keys.until is not None and self._keys.until <= now):
            raise NoCredentialsError("the instance metadata gives no credentials")
        return self._keys


class LightClient:
    """The few methods that a node calls, with boto3's names, arguments and answers."""

    def __init__(
        self,
        service: str,
        region: str,
        url: str,
        credentials: Credentials,
        lease: float,
        silence: float = 0.0,
    ) -> None:
        self._service, self._region, self._credentials = service, region, credentials
        self._parts = urllib.parse.urlsplit(url)
        given = timing(lease)
        self._connect, self._read = float(given["connect_timeout"]), float(given["read_timeout"])
        self._attempts = int(given["retries"]["total_max_attempts"])
        if silence:  # a long poll: one attempt, that may say nothing for so long
            self._read, self._attempts = silence, 1
        self._connection: Optional[http.client.HTTPConnection] = None
        self._pid = os.getpid()

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """DynamoDB GetItem."""
        return self._json("DynamoDB_20120810.GetItem", arguments)

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """DynamoDB PutItem."""
        return self._json("DynamoDB_20120810.PutItem", arguments)

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        """SQS ReceiveMessage."""
        return self._json("AmazonSQS.ReceiveMessage", arguments)

    def change_message_visibility(self, **arguments: Any) -> dict[str, Any]:
        """SQS ChangeMessageVisibility."""
        return self._json("AmazonSQS.ChangeMessageVisibility", arguments)

    def delete_message(self, **arguments: Any) -> dict[str, Any]:
        """SQS DeleteMessage."""
        return self._json("AmazonSQS.DeleteMessage", arguments)

    def delete_message_batch(self, **arguments: Any) -> dict[str, Any]:
        """SQS DeleteMessageBatch."""
        return self._json("AmazonSQS.DeleteMessageBatch", arguments)

    def create_log_stream(self, **arguments: Any) -> dict[str, Any]:
        """CloudWatch Logs CreateLogStream."""
        return self._json("Logs_20140328.CreateLogStream", arguments, "1.1")

    def put_log_events(self, **arguments: Any) -> dict[str, Any]:
        """CloudWatch Logs PutLogEvents."""
        return self._json("Logs_20140328.PutLogEvents", arguments, "1.1")

    def put_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """CloudWatch PutMetricData; the service is called monitoring."""
        return self._json("GraniteServiceVersion20100801.PutMetricData", arguments)

    def invoke(self, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:
        """Lambda Invoke."""
        path = f"/2015-03-31/functions/{urllib.parse.quote(FunctionName, safe='')}/invocations"
        headers = {"X-Amz-Invocation-Type": InvocationType, "Content-Type": "application/json"}
        status, found, raw = self._call("Invoke", path, headers, Payload)
        return {"StatusCode": status, "Payload": raw, "ResponseMetadata": found}

    def set_instance_protection(self, **arguments: Any) -> dict[str, Any]:
        """Auto Scaling SetInstanceProtection."""
        return self._query("SetInstanceProtection", "2011-01-01", arguments)

    def complete_lifecycle_action(self, **arguments: Any) -> dict[str, Any]:
        """Auto Scaling CompleteLifecycleAction."""
        return self._query("CompleteLifecycleAction", "2011-01-01", arguments)

    def _query(self, operation: str, version: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A call of the query protocol whose answer says nothing but that it was done."""
        form = {"Action": operation, "Version": version}
        for name, value in arguments.items():
            if isinstance(value, list):
                form.update({f"{name}.member.{number}": str(one) for number, one in enumerate(value, 1)})
            else:
                form[name] = str(value).lower() if isinstance(value, bool) else str(value)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urllib.parse.urlencode(form, quote_via=urllib.parse.quote).encode()
        _status, found, _raw = self._call(operation, "/", headers, body)
        return {"ResponseMetadata": found}

    def _json(self, target: str, arguments: Mapping[str, Any], kind: str = "1.0") -> dict[str, Any]:
        operation = target.rpartition(".")[2]
        headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{kind}"}
        _status, found, raw = self._call(operation, "/", headers, json.dumps(arguments).encode())
        answer = json.loads(raw or b"{}")  # SQS has nothing to say to some calls
        if not isinstance(answer, dict):
            raise ServiceError(operation, 500, "InternalFailure", "the answer makes no sense")
        return {**answer, "ResponseMetadata": found}

    def _call(
        self, operation: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], bytes]:
        for attempt in range(1, self._attempts + 1):
            try:
                return self._once(operation, path, headers, body)
            except Exception as error:
                if attempt == self._attempts or not is_passing(error):
                    raise
                time.sleep(random.random())
        raise AssertionError("unreachable")

    def _once(
        self, operation: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], bytes]:
        keys = self._credentials.get()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        host = self._parts.netloc
        quoted = urllib.parse.quote(path, safe="/-_.~")
        signed = sign(keys, self._service, self._region, "POST", host, quoted, headers, body, now)
        response = self._send(path, body, signed)
        raw = response.read(LARGEST)
        found = {name.lower(): value for name, value in response.getheaders()}
        if response.status >= 300:
            raise _error(operation, response.status, found, raw)
        return response.status, {"HTTPStatusCode": response.status, "HTTPHeaders": found}, raw

    def _send(self, path: str, body: bytes, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if self._pid != os.getpid():  # a connection is never shared with the process that we were forked from
            self._connection, self._pid = None, os.getpid()
        kept = self._connection
        if kept is not None:
            try:
                kept.request("POST", path, body, dict(headers))
                return kept.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._drop()  # the other side closes what lies idle
            except BaseException:
                self._drop()
                raise
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        made = kind(self._parts.hostname or "", self._parts.port, timeout=self._connect)
        self._connection = made
        try:
            made.connect()
            made.sock.settimeout(self._read)
            made.request("POST", path, body, dict(headers))
            return made.getresponse()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _error(operation: str, status: int, headers: Mapping[str, str], raw: bytes) -> ServiceError:
    try:
        told = json.loads(raw)
    except ValueError:
        text = raw.decode("utf-8", "replace")
        told = {
            name: html.unescape(found.group(1))
            for name, pattern in (("__type", r"<Code>([^<]*)"), ("message", r"<Message>([^<]*)"))
            if (found := re.search(pattern, text))
        }
    told = told if isinstance(told, dict) else {}
    code = str(headers.get("x-amzn-errortype") or told.get("__type") or status)
    message = told.get("message") or told.get("Message") or told.get("Type") or ""
    return ServiceError(operation, status, code.partition(":")[0].rpartition("#")[2], str(message))


def light_client(service: str, pair: PairSpec, lease: float) -> Optional[LightClient]:
    """A client of the pair's region; None where boto3 has to make it. Never raises."""
    return light_client_of(service, pair.region, pair.endpoint_url, lease)


def light_client_of(
    service: str, region: str, endpoint_url: Optional[str], lease: float, silence: float = 0.0
) -> Optional[LightClient]:
    """A client of that region (`silence` as in clients.client_config); None where boto3 has to make it. Never raises."""
    area = region.partition("-")[0]
    known = area in SUFFIXES or (
        area in COMMERCIAL and not region.startswith(("us-iso", "us-gov", "eu-isoe"))
    )
    if not plain_surroundings(os.environ) or not known:
        return None
    url = endpoint_url or f"https://{service}.{region}.{SUFFIXES.get(area, 'amazonaws.com')}"
    found = keys_of_environment(os.environ)
    if found is None and os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    base = metadata.address()
    credentials = Credentials((lambda: found) if found else (lambda: keys_of_instance(base)))
    try:
        credentials.get()
    except NoCredentialsError:
        return None
    return LightClient(service, region, url, credentials, lease, silence)
