# SPDX-License-Identifier: Apache-2.0
"""The laws without memory: grid, plants, stations and regulators, without the pipes between them.

Gas in motion is stored in pipes, so in a moving day the balance of a pipe at one instant does not close, and a steady
estimate would take linepack for leaks. All other laws hold at every instant. Without pipes each node at a station or
plant gives and takes what it likes; what is left is a scan that can be tested as it stands. What pipes do is followed
by the watch (`leaks`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from serai.estimate.meters import Meter, readable
from serai.known import Known
from serai.network.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.network import Network

PIPES = ("pipes", "short_pipes", "valves", "check_valves", "resistors", "supplies", "offtakes")
HELD = {"compressors": ("from_node", "to_node"), "control_valves": ("from_node", "to_node"), "plants": ("gas_node",),
        "drives": ("fuel_node",)}  # fmt: skip
STANDS = ("open", "ratio", "outlet_pressure", "inlet_pressure", "flow", "power", "pressure_drop")


def instant(network: Network) -> Network:
    """Return a network of the laws without memory: no pipes, and only the gas nodes at which something stands."""
    if not len(network["gas_nodes"]):
        return network
    nodes = {
        str(n) for kind, columns in HELD.items() for c in columns for n in (network[kind][c] if kind in network.tables
        and len(network[kind]) else ()) if n
    }  # fmt: skip
    tables = {k: t for k, t in network.tables.items() if k not in PIPES}
    tables["gas_nodes"] = network["gas_nodes"].where(np.array([n in nodes for n in network["gas_nodes"].names]))
    bare = replace(network, tables=tables, _kinds={})
    for kind in ("instruments", "setpoints"):
        t = network[kind]
        if len(t):
            tables[kind] = t.where(np.array([str(w) in bare for w in t["where"]]))
    return replace(network, tables=tables, _kinds={})


def meters(network: Network) -> tuple[Meter, ...]:
    """Return the meters of a network without pipes, and one without readings that frees what every node gives."""
    own = [Meter(i.quantity, i.where, i.tag, i.station) for i in instruments(network)]
    free = [Meter("withdrawal", n) for n in network["gas_nodes"].names]
    return (*(m for m in own if readable(network, m.quantity, m.where)), *free)


def start(network: Network, shown: Iterable[Known], pressures: Mapping[str, float]) -> list[Known]:
    """Return set-points from which the search begins: those shown that are of this network, pressures of its nodes."""
    kept = [k for k in shown if k.where in network and network.kind_of(k.where) != "gas_nodes"]
    return [*kept, *(Known("pressure", n, pressures[n]) for n in network["gas_nodes"].names if n in pressures)]


def standing(network: Network, shown: Iterable[Known]) -> tuple[tuple[str, str, float], ...]:
    """Return what is shown of positions: by which quantity each station is held, and what is in service and open."""
    found = []
    for k in shown:
        if k.where not in network:
            continue
        if network.kind_of(k.where) in ("compressors", "control_valves") and k.quantity in STANDS:
            found.append((k.where, k.quantity, k.value if k.quantity == "open" else 0.0))
        elif k.quantity in ("in_service", "closed", "steps", "tap_position"):
            found.append((k.where, k.quantity, k.value))
    return tuple(sorted(found))
