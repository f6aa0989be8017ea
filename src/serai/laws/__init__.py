# SPDX-License-Identifier: Apache-2.0
"""What must hold: one scalar formula per physical equation, each with its slopes. `LAWS` is the register."""

from serai.laws import gas, links, power
from serai.laws.law import LAWS, Law

__all__ = ["LAWS", "Law", "gas", "links", "power"]
