# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 of moto without its 100 MB of instance type offerings, which are read when a region's are asked for."""

from __future__ import annotations

import os
import sys
from typing import Any

MODULE = "moto.ec2.models.instance_types"
FOLDER = "instance_type_offerings"


class Offerings(dict[str, Any]):
    """The offerings of one kind of place, by region."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, region: str) -> Any:
        from moto.utilities.utils import load_resource

        found = load_resource(os.path.join("ec2", "resources", FOLDER, self._kind, f"{region}.json"))
        self[region] = [{**one, "LocationType": self._kind} for one in found]
        return self[region]

    def get(self, region: str, default: Any = None) -> Any:
        """As of any mapping, but reads first."""
        try:
            return self[region]
        except FileNotFoundError:
            return default


def load() -> None:
    """Import moto's EC2. Has no effect when that was done before, by whomever."""
    if MODULE in sys.modules:
        return
    from moto.utilities import utils

    real = utils.load_resource

    def light(path: str, *args: Any, **kwargs: Any) -> Any:
        return [] if FOLDER in str(path) else real(path, *args, **kwargs)

    utils.load_resource = light
    try:
        from moto.ec2.models import instance_types
    finally:
        utils.load_resource = real
    offerings = instance_types.INSTANCE_TYPE_OFFERINGS
    for kind in list(offerings):
        offerings[kind] = Offerings(kind)
