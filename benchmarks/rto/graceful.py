# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's switchover in this process, for run.py: prints when it began (epoch seconds), then moves."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "collections")]

import boto3  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.clients import client_config  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.pair import parse_pair  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.ports import ports_for  # noqa: E402
from ansible_collections.hotstandby.ops.plugins.module_utils.transition import Transition  # noqa: E402


def main() -> int:
    """Returns 0 when it moved."""
    info: dict[str, Any] = json.loads(sys.argv[1])
    pair, env = parse_pair(info["pair"]), info["env"]
    session = boto3.session.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    made = {
        name: session.client(
            name,
            region_name=info["region"],
            endpoint_url=info["endpoint_url"],
            config=client_config(pair.lease),
        )
        for name in ("dynamodb", "ssm", "ec2", "cloudwatch")
    }
    ports = ports_for(pair, made.__getitem__)
    request = Request(mode="switchover", by="benchmark", owner="benchmark", reason="benchmark")
    print(time.time(), flush=True)
    result = Transition(pair, ports, request).run()
    if result.outcome != "moved":
        print(f"{result.outcome}: {result.message}", file=sys.stderr)
    return 0 if result.outcome == "moved" else 1


if __name__ == "__main__":
    raise SystemExit(main())
