# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one process that holds the endpoint and the world. `up` starts it detached; it ends on `down` or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .endpoint import Endpoint
from .paths import Layout, SandboxError, write_json
from .standins.journal import start_time
from .world import describe, faults
from .world.world import World

PREFIX = "world-"  # of the control paths: POST /_sandbox/world-VERB

Payload = dict[str, Any]


def serve(
    layout: Layout,
    latency: float,
    automation: str = "none",
    product: str = "hulft_hub",
    shared: bool = False,
) -> int:
    """Hold a sandbox until it is told to end. `latency` in seconds, added to every AWS call."""
    # nothing here may ever reach for credentials of the machine it runs on
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    endpoint = Endpoint(latency=latency)
    endpoint.start()
    world = World(layout, endpoint, automation != "none", automation == "fast", product, shared)
    try:
        world.build()
        for verb, handler in handlers(world, ended).items():
            endpoint.control[PREFIX + verb] = answering(handler)
        about = {"pid": os.getpid(), "start": start_time(os.getpid()), "url": endpoint.url}
        write_json(layout.daemon, {**about, "control_port": endpoint.port})
        ended.wait()
    finally:
        world.end()
        endpoint.stop()
    return 0


def handlers(world: World, ended: threading.Event) -> dict[str, Callable[[Payload], Payload]]:
    """What the command line may ask for, by verb."""

    def down(_payload: Payload) -> Payload:
        world.end()
        threading.Timer(0.1, ended.set).start()  # once this answer is out
        return {}

    return {
        "describe": lambda _payload: describe.description(world),
        "install": lambda payload: world.install(str(payload["node"])),
        "ready": lambda _payload: world.ready(),
        "reset": lambda _payload: world.reset(),
        "status": lambda _payload: describe.status(world),
        "journal": lambda _payload: world.journal(),
        "fault": lambda payload: world.fault(str(payload["target"]), str(payload["kind"])),
        "clear": lambda payload: world.clear(payload.get("target")),
        "automation": lambda _payload: world.automation.report() if world.automation else {},
        "trap": lambda payload: faults.trap(world, payload),
        "traps": lambda _payload: {"traps": world.endpoint.faults.traps.listed()},
        "ssm": lambda payload: faults.late_ssm(world, payload),
        "release": lambda payload: faults.release(world, str(payload["run"])),
        "down": down,
    }


def answering(handler: Callable[[Payload], Payload]) -> Callable[[Payload], Payload]:
    """{"answer": ...}, or {"error": one line}."""

    def answer(payload: Payload) -> Payload:
        try:
            return {"answer": handler(payload)}
        except SandboxError as error:
            return {"error": str(error)}
        except Exception as error:
            import traceback

            traceback.print_exc(file=sys.stderr)
            return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}

    return answer
