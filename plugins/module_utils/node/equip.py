# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's product, with what a guarded start has to do to its data first."""

from __future__ import annotations

from ..products import product_for
from ..products.base import Product
from ..products.warp import Warp
from .config import Config
from .host import Host
from .state import State


def equipped(config: Config, host: Host) -> Product:
    """The product of this node."""
    product = product_for(config.pair, config.node.name, host)
    if not isinstance(product, Warp):
        return product
    from .marked import MarkedWarp  # no other product needs what it loads

    state = State(host, config.root, config.pair.name)
    return MarkedWarp(
        product.install_dir,
        product.data_dir,
        product.runner,
        product.user,
        product.required,
        product.pattern,
        node=config.node.name,
        pair=config.pair.name,
        shared=config.pair.product_of(config.node.name).get("layout") == "shared",
        seen=lambda: state.recall().seen,
        note=lambda: host.read(state.sync_path),
        clock=host.time,
    )
