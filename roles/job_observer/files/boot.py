# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First boot of a worker: fetch the program with the instance's own role, prove it by its hash, start it as a service."""

import datetime
import hashlib
import http.client
import json
import os
import shlex
import subprocess
import sys
import time
import urllib.parse

# in user data that module stands above, and this line is left out
from hotstandby.sigv4 import Keys, sign

ROOT = os.environ.get("HOTSTANDBY_ROOT", "")
UNIT = """[Unit]
Description=Works the messages of {name}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/opt/hotstandby/work
Restart=always
RestartSec=5
KillMode=mixed
TimeoutStopSec={stop}

[Install]
WantedBy=multi-user.target
"""


def ask(url, method="GET", headers=None):
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=20)
    try:
        connection.request(method, parts.path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise OSError(f"{parts.netloc} answered {response.status} to {parts.path}: {body[:300]!r}")
        return body
    finally:
        connection.close()


def metadata(path):
    base = (
        os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/") + "/latest/"
    )
    token = ask(base + "api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}).decode()
    return ask(base + "meta-data/" + path, headers={"X-aws-ec2-metadata-token": token}).decode()


def credentials():
    path = "iam/security-credentials/"
    found = json.loads(metadata(path + metadata(path).split()[0]))
    return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])


def fetch(given):
    parts = urllib.parse.urlsplit(given["url"])
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = sign(credentials(), "s3", given["region"], "GET", parts.netloc, parts.path,
                   {"x-amz-content-sha256": empty}, b"", now)  # fmt: skip
    found = ask(given["url"], headers=headers)
    if hashlib.sha256(found).hexdigest() != given["sha256"]:
        raise ValueError("the program is not the one that was uploaded: its hash differs")
    return found


def patiently(given):
    end = time.monotonic() + given["patience"]
    while True:
        try:
            return fetch(given)
        except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException) as error:
            if time.monotonic() > end:
                raise
            print(f"hotstandby: {error}; again in 2 s", file=sys.stderr, flush=True)
            time.sleep(2)


def put(path, data, mode):
    path = ROOT + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        stream.write(data)
    os.chmod(path, mode)


def boot(given):
    try:
        program = patiently(given)
        put("/opt/hotstandby/hotstandby.pyz", program, 0o755)
        run = " ".join(
            shlex.quote(word)
            for word in [sys.executable, ROOT + "/opt/hotstandby/hotstandby.pyz", *given["argv"]]
        )
        node = shlex.quote(metadata("instance-id"))
        put("/opt/hotstandby/work", f"#!/bin/sh\nexport HOTSTANDBY_NODE={node}\nexec {run}\n".encode(), 0o755)
        put("/etc/systemd/system/hotstandby-worker.service", UNIT.format(**given).encode(), 0o644)
        if given["setup"]:
            subprocess.run(["/bin/sh", "-e", "-c", given["setup"]], check=True)
        for words in (["daemon-reload"], ["enable", "--now", "hotstandby-worker.service"]):
            subprocess.run(["systemctl", *words], check=True)
    except Exception as error:
        # the group replaces what is gone, and never what stands there and does nothing
        print(f"hotstandby: this instance cannot work, and ends: {error}", file=sys.stderr, flush=True)
        subprocess.run(["shutdown", "-h", "now"], check=False)
        sys.exit(1)
