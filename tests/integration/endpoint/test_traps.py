# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traps at single calls, rights and latency of one key."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sandbox.endpoint.traps import Trap

KEY = "AKIACONTROLLER000000"


@pytest.mark.parametrize("before", [True, False])
def test_a_trap_springs_once_at_its_call(endpoint: Any, client: Any, before: bool) -> None:
    sprung: list[int] = []
    trap = Trap(
        KEY, "ssm:PutParameter", before, lambda: sprung.append(1), count=2, holds='"Value": "b"', cut=True
    )
    endpoint.faults.traps.arm(trap)
    ssm = client("ssm")
    for number, value in enumerate("abb"):
        name, cut = f"p{number}{before}", number == 2
        if cut:
            with pytest.raises(ConnectionClosedError):
                ssm.put_parameter(Name=name, Value=value, Type="String")
        else:
            ssm.put_parameter(Name=name, Value=value, Type="String")
        found = ssm.get_parameters(Names=[name])["Parameters"]
        # what is caught before is never done
        assert bool(found) is not (cut and before)
    assert sprung == [1] and trap.sprung
    ssm.put_parameter(Name=f"again{before}", Value="b", Type="String")


def test_a_call_is_withheld_until_it_is_released(endpoint: Any, client: Any) -> None:
    endpoint.faults.traps.arm(Trap(KEY, "dynamodb:ListTables", True, lambda: None, hold=True))
    asking = threading.Thread(target=client("dynamodb").list_tables)
    asking.start()
    asking.join(0.3)
    assert asking.is_alive()
    endpoint.faults.traps.release()
    asking.join(5)
    assert not asking.is_alive()


def test_a_fault_can_be_a_traps_act(endpoint: Any, client: Any) -> None:
    endpoint.faults.traps.arm(
        Trap(KEY, "ec2:DescribeRegions", False, lambda: endpoint.faults.down.add("ec2"))
    )
    client("ec2").describe_regions()
    with pytest.raises(ClientError):
        client("ec2").describe_regions()


def test_one_key_is_slow(endpoint: Any, client: Any) -> None:
    endpoint.faults.slow[KEY] = 0.3
    begun = time.monotonic()
    client("dynamodb").list_tables()
    assert time.monotonic() - begun >= 0.3
    endpoint.faults.clear()
    assert endpoint.faults.slow == {}
