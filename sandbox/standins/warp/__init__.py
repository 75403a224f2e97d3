# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ASTERIA Warp's stand-in: `flowsvc`, `fsstop`, `fsctrl` and java-like processes, as strict as the vendor's pages."""
