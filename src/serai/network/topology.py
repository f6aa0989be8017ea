# SPDX-License-Identifier: Apache-2.0
"""What hangs together: switch positions turned into electrical nodes, and the islands of gas and power.

A closed coupler makes its two buses one node; an open switch at a branch opens that end of the branch. A switch out of
service conducts as little as an open one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.network.tables import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network.network import Network
    from serai.network.tables import Table

    Flags = NDArray[np.bool_]

GAS_EDGES = ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors")
BRANCH_KINDS = ("lines", "transformers", "transformers3", "branches")


def end_columns(kind: str) -> tuple[str, ...]:
    """Return the columns that name the places where an element of `kind` ends, in order."""
    return tuple(c.name for c in KINDS[kind].columns if c.refers in (("buses",), ("gas_nodes",)))


@dataclass(frozen=True)
class PowerTopology:
    """Buses merged into electrical nodes, and which ends of branches are connected.

    node_of_bus  (n_bus,) node of each row of `buses`; -1 = out of service
    names        (n_node,) names of the merged buses, joined by ` + `
    ends         kind -> (n, 2) or (n, 3): whether each end of each row of lines, transformers, transformers3 and
                 branches is connected, in the order of `end_columns`
    """

    node_of_bus: NDArray[np.int64]
    names: tuple[str, ...]
    ends: Mapping[str, Flags] = field(default_factory=dict)


def power_topology(network: Network, closed: Mapping[str, float] | None = None) -> PowerTopology:
    """Turn the positions of breakers, disconnectors and couplers into electrical nodes.

    The positions are the set-points `closed` of the network's day (closed where nothing is said); `closed` (switch ->
    1 or 0) goes before them.
    """
    buses, switches = network["buses"], network["switches"]
    given = network.knowns() if len(switches) else []
    positions = {k.where: k.value for k in given if k.quantity == "closed"} | dict(closed or {})
    conducts = _in_service(switches) & np.array([positions.get(s, 1.0) != 0.0 for s in switches], dtype=bool)
    on = _in_service(buses)
    coupled = [
        (buses.row(a), buses.row(b))
        for a, b, c in zip(switches["bus"], switches["to_bus"], conducts, strict=True)
        if b and c
    ]
    label = _components(len(buses), [(a, b) for a, b in coupled if on[a] and on[b]])
    node_of_bus = np.full(len(buses), -1, dtype=np.int64)
    _, node_of_bus[on] = _numbered(label[on])
    merged: dict[int, list[str]] = {}
    for name, node in zip(buses, node_of_bus, strict=True):
        merged.setdefault(int(node), []).append(name)
    names = tuple(" + ".join(merged[k]) for k in range(int(node_of_bus.max(initial=-1)) + 1))
    opened = {
        (str(s), str(b)) for s, b, c in zip(switches["branch"], switches["bus"], conducts, strict=True) if s and not c
    }
    return PowerTopology(
        node_of_bus, names, {kind: _connected(network[kind], buses, on, opened) for kind in BRANCH_KINDS}
    )


def _in_service(t: Table) -> Flags:
    return np.asarray(t["status"] == "in service", dtype=bool).reshape(len(t))


def _connected(t: Table, buses: Table, on: Flags, opened: set[tuple[str, str]]) -> Flags:
    columns = end_columns(t.kind)
    ends = np.zeros((len(t), len(columns)), dtype=bool)
    for i, (name, status) in enumerate(zip(t["name"], t["status"], strict=True)):
        for k, column in enumerate(columns):
            bus = t[column][i]
            ends[i, k] = status == "in service" and on[buses.row(bus)] and (name, bus) not in opened
    return ends


def _components(n: int, edges: Collection[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the component of each of n points."""
    a, b = np.array(list(edges), dtype=np.int64).reshape(len(edges), 2).T
    graph = coo_array((np.ones(len(edges)), (a, b)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1] if n else np.zeros(0), dtype=np.int64)


def _numbered(labels: NDArray[Any]) -> tuple[int, NDArray[np.int64]]:
    """Number labels by first appearance: nodes then stand in the order of their first bus."""
    numbers: dict[int, int] = {}
    found = np.array([numbers.setdefault(int(x), len(numbers)) for x in labels], dtype=np.int64)
    return len(numbers), found


def islands(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Return the names of each connected component, the largest first."""
    row = {name: i for i, name in enumerate(names)}
    count, label = _numbered(_components(len(names), [(row[a], row[b]) for a, b in edges if a in row and b in row]))
    groups: list[list[str]] = [[] for _ in range(count)]
    for name, k in zip(names, label, strict=True):
        groups[k].append(name)
    return sorted(map(tuple, groups), key=len, reverse=True)


def gas_islands(network: Network, without: Collection[str] = ()) -> list[tuple[str, ...]]:
    """Return the names of the gas nodes in service of each island; elements named in `without` connect nothing."""
    edges = []
    for kind in GAS_EDGES:
        t = network.active(kind)
        edges += [(a, b) for e, a, b in zip(t["name"], t["from_node"], t["to_node"], strict=True) if e not in without]
    return islands(network.active("gas_nodes").names, edges)


def power_islands(network: Network, topology: PowerTopology | None = None) -> list[tuple[str, ...]]:
    """Return the names of the buses in service of each alternating-current island (HVDC links do not join islands)."""
    topology = topology or power_topology(network)
    buses = network["buses"]
    first = {k: b for b, k in reversed(list(zip(buses, topology.node_of_bus, strict=True)))}
    edges = [(b, first[k]) for b, k in zip(buses, topology.node_of_bus, strict=True) if k >= 0]
    for kind in BRANCH_KINDS:
        t, columns = network[kind], end_columns(kind)
        for i, connected in enumerate(topology.ends[kind]):
            edges += pairwise(str(t[c][i]) for c, on in zip(columns, connected, strict=True) if on)
    return islands(network.active("buses").names, edges)
