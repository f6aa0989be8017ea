# SPDX-License-Identifier: Apache-2.0
"""The power part of a network as laws: nodes that are energised, branches, shunts, loads, generators, links."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.network.branches import PiBranches, pi_branches
from serai.network.topology import power_topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.network.tables import Table
    from serai.system.equations import Equations, Stamp

    Ints = NDArray[np.intp]
    Floats = NDArray[np.float64]

CONTROLS = ("active_power", "reactive_power", "magnitude", "angle")


@dataclass
class PowerGraph:
    """Electrical nodes (closed couplers merged), which of them are energised, and the branches between them.

    node_of_bus  row of `buses` -> number among the energised nodes, -1 = dead or out of service
    names        of the energised nodes: their first bus, star points after
    island       number of the electrical island of each energised node (n,)
    dead         names of buses in service that no reference reaches
    """

    node_of_bus: Ints
    names: list[str]
    island: Ints
    dead: list[str]
    branches: PiBranches
    alive_branch: Ints  # rows of `branches` that carry current
    ends: tuple[Ints, Ints]  # their energised nodes
    alive_stub: Ints
    stub_node: Ints
    generators: list[str] = field(default_factory=list)
    bus_of: dict[str, int] = field(default_factory=dict)  # bus, load, generator, shunt -> energised node or -1
    controlled: list[int] = field(default_factory=list)  # nodes whose magnitude generators hold
    position_limits: Floats = field(default_factory=lambda: np.empty((0, 2)))
    branch_stamp: Stamp | None = None
    sharing: Stamp | None = None  # generators that share what their node or island lacks ...
    following: frozenset[str] = frozenset()  # ... and those of them that do so beside a set-point

    def at(self, name: str) -> int:
        """Return the energised node of a bus, load, generator or shunt; -1 when it is dead."""
        return self.bus_of.get(name, -1)


def graph(network: Network, referenced: set[str], closed: Mapping[str, float]) -> PowerGraph:
    """Merge couplers, connect branches, and keep what can be reached from the buses with a known angle.

    closed  positions of switches (1 or 0) that go before the case's own
    """
    topology = power_topology(network, closed)
    branches = pi_branches(network, topology.node_of_bus, topology.ends)
    n = branches.node_count
    ones = np.ones(len(branches))
    joined = coo_array((ones, (branches.from_node, branches.to_node)), shape=(n, n))
    _, island = connected_components(joined, directed=False)
    buses = network["buses"]
    node_of_bus = np.asarray(topology.node_of_bus, dtype=np.intp)
    live = {island[node_of_bus[buses.row(b)]] for b in referenced if b in buses and node_of_bus[buses.row(b)] >= 0}
    alive = np.isin(island, list(live)) if n else np.zeros(0, bool)
    number = np.where(alive, np.cumsum(alive) - 1, -1)
    names = [""] * int(alive.sum())
    node = np.asarray(np.where(node_of_bus >= 0, number[node_of_bus], -1) if n else np.full(len(buses), -1), np.intp)
    dead = []
    for row, bus in reversed(list(enumerate(buses.names))):
        if node[row] >= 0:
            names[node[row]] = bus
        elif buses["status"][row] == "in service":
            dead.append(bus)
    for k, star in enumerate(branches.star_name):
        at = number[n - len(branches.star_name) + k]
        if at >= 0:
            names[at] = f"{star} [star]"
    running = np.flatnonzero(alive[branches.from_node]) if n else np.empty(0, np.intp)
    stub = np.flatnonzero(alive[branches.stub_node]) if n else np.empty(0, np.intp)
    g = PowerGraph(
        node, names, np.asarray(island[alive], dtype=np.intp), dead[::-1], branches, running,
        (number[branches.from_node[running]], number[branches.to_node[running]]), stub,
        number[branches.stub_node[stub]],
    )  # fmt: skip
    g.bus_of.update({b: int(node[k]) for k, b in enumerate(buses.names)})
    for kind in ("loads", "generators", "shunts"):
        t = network[kind]
        for k, name in enumerate(t.names):
            running_here = t["status"][k] == "in service"
            g.bus_of[name] = g.bus_of.get(str(t["bus"][k]), -1) if running_here else -1
    g.generators = [x for x in network["generators"].names if g.at(x) >= 0]
    return g


def add_power(
    eq: Equations, network: Network, g: PowerGraph, known: Mapping[str, set[str]], *, distributed: bool
) -> None:
    """Add the columns, rows and laws of the grid; `known` tells which quantities are known at each element."""
    S = network.base_power
    c = eq.columns
    a = c.add("angle", g.names, 1.0, 0.0)
    v = c.add("magnitude", g.names, 1.0, 1.0)
    P = c.add("active_withdrawal", g.names, S, 0.0)
    Q = c.add("reactive_withdrawal", g.names, S, 0.0)
    rowP = eq.add_rows("active power balance", g.names, S)
    rowQ = eq.add_rows("reactive power balance", g.names, S)
    eq.add("consumption", g.names, (rowP,), (P[:],))
    eq.add("consumption", g.names, (rowQ,), (Q[:],))
    f, t = g.ends
    yff, yft, ytf, ytt = (y[g.alive_branch] * S for y in g.branches.admittances())
    g.branch_stamp = eq.add(
        "branch", [str(x) for x in g.branches.name[g.alive_branch]],
        (rowP[f], rowQ[f], rowP[t], rowQ[t]), (a[f], v[f], a[t], v[t]),
        Gff=yff.real, Bff=yff.imag, Gft=yft.real, Bft=yft.imag,
        Gtf=ytf.real, Btf=ytf.imag, Gtt=ytt.real, Btt=ytt.imag,
    )  # fmt: skip
    stubs = [str(x) for x in g.branches.stub_name[g.alive_stub]]
    k, B = g.stub_node, g.branches.stub_b[g.alive_stub] * S
    eq.add("shunt", stubs, (rowP[k], rowQ[k]), (v[k],), G=g.branches.stub_g[g.alive_stub] * S, B=B)
    _shunts(eq, network, g, (rowP, rowQ))
    _loads(eq, network, g, (rowP, rowQ))
    _generators(eq, network, g, known, (rowP, rowQ), distributed=distributed)
    _links(eq, network, g, (rowP, rowQ))


def _shunts(eq: Equations, network: Network, g: PowerGraph, rows: tuple[Ints, Ints]) -> None:
    t = network["shunts"]
    mine = [k for k, name in enumerate(t.names) if g.at(name) >= 0]
    if not mine:
        return
    names = [t.names[k] for k in mine]
    node = np.array([g.at(x) for x in names])
    buses = network["buses"]
    nominal = np.array([buses["voltage"][buses.row(str(t["bus"][k]))] for k in mine])
    own = t["voltage"][mine]
    factor = t["steps"][mine] * np.where(np.isnan(own), 1.0, (nominal / own) ** 2)
    G, B = t["active_power"][mine] * factor, -t["reactive_power"][mine] * factor
    eq.add("shunt", names, (rows[0][node], rows[1][node]), (eq.columns["magnitude"][node],), G=G, B=B)


def _loads(eq: Equations, network: Network, g: PowerGraph, rows: tuple[Ints, Ints]) -> None:
    """Give loads that depend on the voltage columns of their own; the others are part of their bus's withdrawal."""
    t = network["loads"]
    S = network.base_power
    v = eq.columns["magnitude"]
    for quantity, side, row in (("load_active_power", "active", rows[0]), ("load_reactive_power", "reactive", rows[1])):
        z, i = (t[f"constant_{x}_{side}"] for x in ("impedance", "current"))
        mine = [int(k) for k in np.flatnonzero(depends_on_voltage(t)) if g.at(t.names[k]) >= 0]
        if not mine:
            continue
        names = [t.names[k] for k in mine]
        node = np.array([g.at(x) for x in names])
        own = eq.columns.add(quantity, names, S, 0.0)
        eq.add("voltage_dependent_load", names, (row[node],), (own[:], v[node]), z=z[mine], i=i[mine])


def depends_on_voltage(loads: Table) -> NDArray[np.bool_]:
    """Tell which loads have shares of constant impedance or current (n,)."""
    columns = ("impedance_active", "current_active", "impedance_reactive", "current_reactive")
    return np.asarray(np.any([loads[f"constant_{c}"] != 0.0 for c in columns], axis=0))


def _generators(
    eq: Equations,
    network: Network,
    g: PowerGraph,
    known: Mapping[str, set[str]],
    rows: tuple[Ints, Ints],
    *,
    distributed: bool,
) -> None:
    S = network.base_power
    names = g.generators
    node = np.array([g.at(x) for x in names], dtype=np.intp)
    P = eq.columns.add("active_power", names, S, 0.0)
    Q = eq.columns.add("reactive_power", names, S, 0.0)
    eq.add("production", names, (rows[0][node],), (P[:],))
    eq.add("production", names, (rows[1][node],), (Q[:],))
    holding = np.array([k for k, x in enumerate(names) if "magnitude" in known.get(x, ())], dtype=np.intp)
    _share_reactive(eq, network, g, holding, node)
    _share_active(eq, network, g, known, node, distributed=distributed)


def _share_reactive(eq: Equations, network: Network, g: PowerGraph, holding: Ints, node: Ints) -> None:
    """Generators that hold one node's voltage share its reactive power: Q = Qmin + position (Qmax - Qmin).

    So a node has one position, 0 at all lower limits and 1 at all upper ones. Where one side has no limit, each makes
    the same beyond its limit on the other side (position 0), in units of the base power; where no side has, beyond 0.
    """
    t = network["generators"]
    S = network.base_power
    row = np.array([t.row(g.generators[k]) for k in holding], dtype=np.intp)
    low, high = t["reactive_power_min"][row], t["reactive_power_max"][row]
    g.controlled = sorted(set(node[holding].tolist()))
    order = {n: k for k, n in enumerate(g.controlled)}
    group = np.array([order[n] for n in node[holding]], dtype=np.intp)
    count = len(g.controlled)
    below, above = (np.bincount(group, ~np.isfinite(limit), count) == 0 for limit in (low, high))  # all have this limit
    ranged = np.bincount(group, np.where((below & above)[group], high - low, 0.0), count) > 0
    offset = np.where(below[group], low, np.where(above[group], high, 0.0))
    share = np.where(ranged[group], high - low, S)
    upper = np.where(above, np.where(ranged, 1.0, 0.0), np.inf)
    g.position_limits = np.stack([np.where(below, 0.0, -np.inf), upper], axis=1)
    s = eq.columns.add("position", [g.names[n] for n in g.controlled], 1.0, 0.5)
    names = [g.generators[k] for k in holding]
    rows = eq.add_rows("reactive power share", names, S)
    Q = eq.columns["reactive_power"]
    eq.add("share", names, (rows,), (Q[holding], s[group]), offset=offset, share=share)


def _share_active(
    eq: Equations, network: Network, g: PowerGraph, known: Mapping[str, set[str]], node: Ints, *, distributed: bool
) -> None:
    """Generators without a set-point of active power swing; several at one node share by their largest output.

    Distributed: all units of an island with a participation follow one signal beside their set-points,
    P = set-point + participation x signal; a unit without a set-point has 0. `System.fix` writes the set-points.
    """
    t = network["generators"]
    S = network.base_power
    row = np.array([t.row(x) for x in g.generators], dtype=np.intp)
    free = np.array(["active_power" not in known.get(x, ()) for x in g.generators], dtype=bool)
    part = t["participation"][row] * distributed
    several = np.bincount(node[free], minlength=len(g.names))[node] > 1
    largest = t["active_power_max"][row]
    mine = np.flatnonzero((part > 0) | (free & several & ~np.isin(g.island[node], g.island[node[part > 0]])))
    weight = np.where(part > 0, part, np.where(largest > 0, largest, S))[mine]
    group_of = np.where(part > 0, g.island[node], len(g.names) + node)[mine]
    groups, at = np.unique(group_of, return_inverse=True)
    scale = S / float(weight.max(initial=0.0)) if len(mine) else 1.0
    s = eq.columns.add("imbalance", [f"imbalance {k + 1}" for k in range(len(groups))], scale, 0.0)
    names = [g.generators[k] for k in mine]
    g.following = frozenset(x for x, k in zip(names, mine, strict=True) if not free[k])
    rows = eq.add_rows("active power share", names, S)
    P = eq.columns["active_power"]
    g.sharing = eq.add("share", names, (rows,), (P[mine], s[at]), offset=0.0, share=weight)


def _links(eq: Equations, network: Network, g: PowerGraph, rows: tuple[Ints, Ints]) -> None:
    """Direct-current links: what is sent leaves one bus, what is received enters the other; each end has its var."""
    t = network.active("hvdc_links")
    S = network.base_power
    ends = [(g.at(str(t["from_bus"][k])), g.at(str(t["to_bus"][k]))) for k in range(len(t))]
    mine = [k for k, (f, to) in enumerate(ends) if f >= 0 and to >= 0]
    if not mine:
        return
    names = [t.names[k] for k in mine]
    f, to = (np.array([ends[k][e] for k in mine]) for e in (0, 1))
    c = eq.columns
    sent, received = c.add("link_sent", names, S, 0.0), c.add("link_received", names, S, 0.0)
    Qf, Qt = c.add("link_reactive_from", names, S, 0.0), c.add("link_reactive_to", names, S, 0.0)
    own = eq.add_rows("direct-current link", names, S)
    constant, part = t["loss_constant"][mine], t["loss_share"][mine]
    eq.add("direct_current_link", names, (own,), (sent[:], received[:]), constant=constant, part=part)
    eq.add("consumption", names, (rows[0][f],), (sent[:],))
    eq.add("production", names, (rows[0][to],), (received[:],))
    eq.add("production", names, (rows[1][f],), (Qf[:],))
    eq.add("production", names, (rows[1][to],), (Qt[:],))
