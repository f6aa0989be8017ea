# SPDX-License-Identifier: Apache-2.0
"""Pipes parted at their stations: the laws that carry pressures from one scan to the next, and their slopes.

Compressor stations and control valves are taken out. What flows through one leaves the pipes at its inlet and enters
them at its outlet: an exchange with the pipes like that of a field or a town, unknown, and usually metered. So nothing
here depends on what a station does, is told to do or is said to do; a start or a stop is a flow that changes.

    p' = step(p, u, E)        one implicit Euler step of the exact laws (`serai.laws.gas`)
    dp' = A dp + T (W du + leak) + G dE

p  pressures of all nodes, those between cells included (n,) [Pa]     u  exchanges (n_exchange,) [kg/s]
E  efficiencies of the pipes (n_pipe,)                                W  exchange to withdrawal of nodes (n, n_exchange)
T  pressure after the step for a kilogram a second more taken from a node (n, n): a leak is a column of it

Inertia is left out of the momentum: D/(lam v) is below 20 s in a pipe that carries much, a scan is 60 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from serai.errors import SeraiError
from serai.known import Known
from serai.simulate.certificate import density_of
from serai.system import Closed, System
from serai.system import gas as gas_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

KEPT = ("gas_nodes", "pipes", "short_pipes", "valves", "check_valves", "resistors")
STATIONS = ("compressors", "control_valves")
NUDGE = 1e-5  # relative change of an efficiency by which its slope is taken
TINY = 1e-9  # kg/s: says that an island without any exchange is to be kept


@dataclass(frozen=True)
class Exchange:
    """Gas that the pipes give or take at a place.

    quantity, where   as an instrument says it: supply, withdrawal, plant_fuel, fuel or flow, of an element
    at                (node, share of the exchange that is withdrawn there: 1, or -1 where it enters)
    flow              what is usual [kg/s]
    """

    quantity: str
    where: str
    at: tuple[tuple[str, float], ...]
    flow: float = 0.0


@dataclass(frozen=True)
class Slopes:
    """How a step moves with what it starts from (see the module): A (n, n), T (n, n), G (n, n_pipe)."""

    A: Floats
    T: Floats
    G: Floats


def exchanges(network: Network, flows: Mapping[tuple[str, str], float]) -> list[Exchange]:
    """Return every exchange of the gas network with its usual flow [kg/s] by (quantity, element); 0 where not given."""
    out = []
    for kind, quantity, column, share in (
        ("supplies", "supply", "node", -1.0),
        ("offtakes", "withdrawal", "node", 1.0),
        ("plants", "plant_fuel", "gas_node", 1.0),
    ):
        t = network.active(kind)
        out += [Exchange(quantity, n, ((str(t[column][k]), share),)) for k, n in enumerate(t.names)]
    drives = network.active("drives")
    compressors = network.active("compressors")
    for k in range(len(drives)):
        station = str(drives["compressor"][k])
        if drives["kind"][k] == "gas turbine" and station in compressors:
            node = str(drives["fuel_node"][k]) or str(compressors["from_node"][compressors.row(station)])
            out.append(Exchange("fuel", station, ((node, 1.0),)))
    for kind in STATIONS:
        t = network.active(kind)
        for k, n in enumerate(t.names):
            out.append(Exchange("flow", n, ((str(t["from_node"][k]), 1.0), (str(t["to_node"][k]), -1.0))))
    return [replace(x, flow=float(flows.get((x.quantity, x.where), 0.0))) for x in out]


def parted(network: Network) -> Network:
    """Return the pipes alone: no stations, no grid, and no node that hangs on no pipe."""
    bare = replace(network, tables={k: network.tables[k] for k in KEPT if k in network.tables}, _kinds={})
    g = gas_part.graph(bare, None)
    start, end = g.ends()
    n = len(g.names)
    if not n or not len(start):
        msg = f"{network.name}: no pipes, so no gas in motion"
        raise SeraiError(msg)
    part = connected_components(coo_array((np.ones(len(start)), (start, end)), shape=(n, n)), directed=False)[1]
    piped = np.unique(part[[s for s, e in zip(start, g.edges, strict=True) if e.kind == "pipes"]])
    lost = [g.names[k] for k in range(g.shown) if part[k] not in piped]
    return bare.with_status(lost) if lost else bare


class Pipes:
    """The step and its slopes, for one network and one length of scan.

    nodes       names (n,), those of the case first, then those between cells; places (pipe, share of its length)
    exchanges   whose ends lie on these pipes; W (n, n_exchange)
    pipes       names (n_pipe,) of the efficiencies; efficiency (n_pipe,) as the case has them
    """

    def __init__(self, network: Network, given: Sequence[Exchange], *, cell: float, scan: float) -> None:
        self.scan = scan
        self.network = parted(network)
        active = set(self.network.active("gas_nodes").names)
        self.exchanges = tuple(
            replace(x, at=tuple((n, s) for n, s in x.at if n in active))
            for x in given
            if any(n in active for n, _ in x.at)
        )
        nominal: dict[str, float] = dict.fromkeys(active, TINY)
        for x in self.exchanges:
            for node, share in x.at:
                nominal[node] += share * x.flow
        knowns = [Known("withdrawal", n, value) for n, value in nominal.items()]
        self.system = System(self.network, knowns, cell=cell, steady=False)
        g = self.system.gas
        self.nodes = tuple(g.names)
        self.shown = g.shown
        self.W = np.zeros((len(g.names), len(self.exchanges)))
        for k, x in enumerate(self.exchanges):
            for node, share in x.at:
                self.W[g.node[node], k] += share
        for stamp in g.storage:
            stamp.set(rate=1.0 / scan)
        self.closed = Closed(self.system, self.system.fix(), transient=True)
        c = self.system.equations.columns
        self._p, self._w = c["pressure"].span, c["withdrawal"].span
        self._lay_slopes()

    def _lay_slopes(self) -> None:
        table = self.network.active("pipes")
        self.pipes = tuple(table.names)
        self.efficiency = np.array(table["efficiency"], float)
        self._of_pipe: list[Ints] = []
        for stamp, edges in self.system.gas.momentum:
            elements = [self.system.gas.edges[e].element for e in edges]
            self._of_pipe.append(np.array([table.row(e) for e in elements], dtype=np.intp))
            if not np.array_equal(stamp.rows.shape[1:], edges.shape):
                msg = "a momentum law without its edges"
                raise SeraiError(msg)
        self._balance = next(
            first for label, _, first, _ in self.system.equations.row_blocks if label == "mass balance"
        )

    # ---------------------------------------------------------------- step

    def start(self, pressures: Mapping[str, float]) -> Floats:
        """Return a first state (n_column,) from pressures [Pa] of some nodes: others take the nearest along pipes."""
        x = self.system.equations.columns.start()
        p = np.array([pressures.get(n, np.nan) for n in self.nodes])
        start, end = self.system.gas.ends()
        while np.isnan(p).any():
            before = int(np.isnan(p).sum())
            for a, b in ((start, end), (end, start)):
                fill = np.isnan(p[b]) & ~np.isnan(p[a])
                p[b[fill]] = p[a[fill]]
            if int(np.isnan(p).sum()) == before:
                p[np.isnan(p)] = self.system.pressure_scale if np.isnan(p).all() else np.nanmean(p)
        x[self._p] = p
        return x

    def pressures(self, x: Floats) -> Floats:
        """Return the pressures (n,) [Pa] in a state (n_column,)."""
        return x[self._p]

    def put(self, x: Floats, p: Floats) -> Floats:
        """Return the state with other pressures (n,)."""
        x = x.copy()
        x[self._p] = p
        return x

    def step(self, x: Floats, u: Floats, efficiency: Floats, spilt: Floats | None = None) -> Floats:
        """Return the state one scan after x (n_column,), with exchanges u (n_exchange,) [kg/s] during it.

        spilt  what leaks besides, at nodes that have volume (n,) [kg/s]
        """
        self._set(x, u, efficiency, spilt)
        return self.closed.solve().x

    def _set(self, x: Floats, u: Floats, efficiency: Floats, spilt: Floats | None = None) -> None:
        for stamp in self.system.gas.storage:
            mass = stamp.get("V") * density_of(x[stamp.columns[0]], stamp)
            if spilt is not None:  # what leaks during the step is as good as gone before it
                mass -= spilt[stamp.rows[0] - self._balance] * self.scan
            stamp.set(mass_old=mass)
        self._efficient(efficiency)
        self.closed.x[:] = x
        self.closed.x[self._w] = (self.W @ u)[: self.shown]

    def _efficient(self, efficiency: Floats) -> None:
        for (stamp, _), rows in zip(self.system.gas.momentum, self._of_pipe, strict=True):
            stamp.set(E=efficiency[rows])

    # -------------------------------------------------------------- slopes

    def slopes(self, x: Floats, u: Floats, efficiency: Floats) -> Slopes:
        """Return the slopes of the step that ends in the state x (n_column,), as if it had begun there."""
        self._set(x, u, efficiency)
        closed, n, size = self.closed, len(self.nodes), self.system.equations.size
        rows, columns, values = closed.triplets(closed.x)
        inside = columns >= 0
        J = csc_array(coo_array((values[inside], (rows[inside], columns[inside])), shape=(size, closed.n)))
        lu = splu(J)
        local = np.full(self.system.equations.columns.size, -1)
        local[closed.free] = np.arange(closed.n)
        at = local[self._p]
        scale = self.system.equations.columns["pressure"].scale
        rhs = np.zeros((size, n + len(self.pipes)))
        rhs[self._balance + np.arange(n), np.arange(n)] = closed.row_scales[self._balance + np.arange(n)]
        rhs[:, n:] = -self._by_efficiency(efficiency)
        answer = lu.solve(rhs)[at] * scale
        T = answer[:, :n]
        kept = np.zeros(n)
        for stamp in self.system.gas.storage:
            nodes = stamp.rows[0] - self._balance
            p = x[stamp.columns[0]]
            rise = (density_of(p + 1.0, stamp) - density_of(p - 1.0, stamp)) / 2.0
            np.add.at(kept, nodes, stamp.get("V") * rise / self.scan)
        return Slopes(-T * kept, T, answer[:, n:])

    def _by_efficiency(self, efficiency: Floats) -> Floats:
        """Return the slopes of the scaled residual in the efficiencies (size, n_pipe): each row has one pipe."""
        found = []
        for nudge in (1.0 + NUDGE, 1.0 - NUDGE):
            self._efficient(efficiency * nudge)
            found.append(self._residual())
        self._efficient(efficiency)
        slope = (found[0] - found[1]) / (2.0 * NUDGE)
        out = np.zeros((slope.size, len(self.pipes)))
        for (stamp, _), pipe in zip(self.system.gas.momentum, self._of_pipe, strict=True):
            out[stamp.rows[0], pipe] = slope[stamp.rows[0]] / efficiency[pipe]
        return out

    def _residual(self) -> Floats:
        closed = self.closed
        z = closed.x[closed.free] / closed.column_scales[closed.free]
        closed.matrix()
        return closed.evaluate(z)[0].copy()

    def flows(self, x: Floats, names: Iterable[str]) -> Floats:
        """Return flows [kg/s] into pipes or other edges, at their first cell."""
        index = self.system.equations.columns["flow"].index
        return np.array([x[index.get(n, index.get(f"{n} [cell 1]", -1))] for n in names])

    def cuts(self) -> dict[str, int]:
        """Return into how many cells each pipe is cut."""
        out: dict[str, int] = {}
        for edge in self.system.gas.edges:
            if edge.kind == "pipes":
                out[edge.element] = out.get(edge.element, 0) + 1
        return out

    def place(self, node: int) -> tuple[str, float]:
        """Return the element of a node: its own name and 0, or a pipe and the share of its length before it."""
        name = self.nodes[node]
        if node < self.shown:
            return name, 0.0
        pipe, _, cell = name.rpartition(" [")
        k, _, n = cell.rstrip("]").partition("/")
        return pipe, int(k) / int(n) if n else 0.0
