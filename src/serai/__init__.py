# SPDX-License-Identifier: Apache-2.0
"""Serai: one model of a country's gas pipelines and power grid, solved exactly.

import serai as sr

net = sr.read("turkmenistan")
now = sr.steady(net)
now.pressure["Gedaim"]
"""

from serai.errors import SeraiError
from serai.known import Event, Known, Series, at
from serai.network import Gas, Network, read, table, write
from serai.network.check import check
from serai.network.from_pandapipes import from_pandapipes
from serai.network.from_pandapower import from_pandapower
from serai.simulate import Result, outages, steady, transient

__version__ = "0.1.0"

__all__ = [
    "Event",
    "Gas",
    "Known",
    "Network",
    "Result",
    "SeraiError",
    "Series",
    "at",
    "check",
    "from_pandapipes",
    "from_pandapower",
    "outages",
    "read",
    "steady",
    "table",
    "transient",
    "write",
]
