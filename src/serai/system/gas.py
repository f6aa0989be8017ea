# SPDX-License-Identifier: Apache-2.0
"""The gas part of a network as laws: nodes, pipes cut into cells, and everything that joins nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log, pi
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import CaseError, Mistake, NotClosed
from serai.laws.fluid import FITTED_TO, coefficients
from serai.units import GRAVITY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from serai.network import Network, Table
    from serai.system.columns import Fixed
    from serai.system.equations import Equations, Stamp

    Ints = NDArray[np.intp]
    Floats = NDArray[np.float64]
    # ((void row, ((flow column, sign), ...)), ...)
    Circulations = tuple[tuple[int, tuple[tuple[int, float], ...]], ...]

JOINING = ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors")
DROPPING = ("short_pipes", "valves", "check_valves", "control_valves")  # elements with a pressure drop as unknown
SAME_RATIO = 1e-12  # of the logarithms round a loop: what is not further from zero is one ratio written twice
STEADY_LOSS_FLOW = 1e-2  # kg/s over which the sign of a constant loss is smoothed
FRICTION_LAW = {
    "colebrook-white": "pipe_colebrook_white",
    "nikuradse": "pipe_nikuradse",
    "nikuradse-laminar": "pipe_nikuradse_laminar",
    "swamee-jain": "pipe_swamee_jain",
    "chen": "pipe_chen",
    "hofer": "pipe_hofer",
}
ROUGH_ONLY = ("pipe_given", "pipe_nikuradse", "pipe_nikuradse_laminar")  # no 64/Re branch: smoothed over Re = 10
SYMBOLS = ("b1", "b2", "b3", "b4", "b5")


@dataclass
class Edge:
    """One thing that joins two gas nodes: an element, one cell of a pipe, or a loss piece inside a station."""

    name: str
    kind: str
    element: str
    row: int
    start: int
    end: int


@dataclass(frozen=True)
class Joint:
    """An edge without resistance of its own: its equation, the column that sets it, and its value when open."""

    edge: int
    row: int
    control: int
    flow: int
    neutral: float


@dataclass
class GasGraph:
    """Nodes (the case's own first, then the hidden ones) and edges of the gas network that runs.

    names      of all nodes; the first `shown` are the case's
    height     [m] of all nodes
    edges      in the order of the flow columns
    momentum   stamps of pipe laws, and for each of their instances the edge it belongs to
    storage    the linepack stamp: volume V [m3] at each node that has any
    """

    names: list[str] = field(default_factory=list)
    shown: int = 0
    height: list[float] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    node: dict[str, int] = field(default_factory=dict)
    momentum: list[tuple[Stamp, Ints]] = field(default_factory=list)
    storage: list[Stamp] = field(default_factory=list)
    volume: Floats = field(default_factory=lambda: np.empty(0))  # of each edge that is a pipe cell, else 0
    joints: list[Joint] = field(default_factory=list)
    known_loops: dict[bytes, Circulations] = field(default_factory=dict)

    def hidden(self, name: str, height: float) -> int:
        """Add a node that the case does not show."""
        self.names.append(name)
        self.height.append(height)
        return len(self.names) - 1

    def ends(self) -> tuple[Ints, Ints]:
        """Return start and end node of every edge (n,), (n,)."""
        return (
            np.array([e.start for e in self.edges], dtype=np.intp),
            np.array([e.end for e in self.edges], dtype=np.intp),
        )


def graph(network: Network, cell: float | None) -> GasGraph:
    """Lay out nodes and edges; pipes longer than `cell` [m] are cut into equal cells (None: not cut)."""
    g = GasGraph()
    nodes = network.active("gas_nodes")
    for k, name in enumerate(nodes.names):
        g.node[name] = g.hidden(name, float(nodes["height"][k]))
    g.shown = len(g.names)
    for kind in JOINING:
        table = network.active(kind)
        for row, name in enumerate(table.names):
            start, end = (g.node.get(str(table[c][row]), -1) for c in ("from_node", "to_node"))
            if start < 0 or end < 0:  # a node out of service takes the element with it; `check` has said so
                continue
            if kind == "pipes":
                _cut(g, name, row, start, end, table["length"][row], cell)
            else:
                _element(g, kind, table, row, start, end)
    return g


def _cut(g: GasGraph, name: str, row: int, start: int, end: int, length: float, cell: float | None) -> None:
    n = 1 if cell is None else max(1, ceil(length / cell - 1e-9))
    h1, h2 = g.height[start], g.height[end]
    previous = start
    for k in range(1, n + 1):
        following = end if k == n else g.hidden(f"{name} [{k}/{n}]", h1 + (h2 - h1) * k / n)
        g.edges.append(Edge(name if n == 1 else f"{name} [cell {k}]", "pipes", name, row, previous, following))
        previous = following


def _element(g: GasGraph, kind: str, table: Table, row: int, start: int, end: int) -> None:
    """Add an element; losses in its inlet and outlet piping become edges to hidden nodes around it."""
    name = table.names[row]
    if kind in ("compressors", "control_valves"):
        start = _loss(g, table, row, "in", start)
        inner = _loss(g, table, row, "out", end)
        g.edges.append(Edge(name, kind, name, row, start, inner))
    elif kind == "valves" and table["loss_coefficient"][row] > 0:
        inner = g.hidden(f"{name} [loss]", g.height[start])
        g.edges.append(Edge(name, kind, name, row, start, inner))
        g.edges.append(Edge(f"{name} [loss]", "drag:loss", name, row, inner, end))
    else:
        g.edges.append(Edge(name, kind, name, row, start, end))


def _loss(g: GasGraph, table: Table, row: int, side: str, outer: int) -> int:
    """Put the loss pieces of one side between the outer node and the station; return the node at the station."""
    name = table.names[row]
    for label, column in ((f"constant:{side}", f"pressure_loss_{side}"), (f"drag:{side}", f"drag_factor_{side}")):
        if table[column][row] > 0:
            inner = g.hidden(f"{name} [{column}]", g.height[outer])
            ends = (outer, inner) if side == "in" else (inner, outer)
            g.edges.append(Edge(f"{name} [{column}]", label, name, row, *ends))
            outer = inner
    return outer


def add_gas(eq: Equations, network: Network, g: GasGraph, pressure: float, flow: float) -> None:
    """Add the columns, rows and laws of the gas network.

    pressure [Pa], flow [kg/s]: what counts as one; the largest known pressure and the total known supply.
    """
    c = eq.columns
    c.add("pressure", g.names, pressure, pressure)
    w = c.add("withdrawal", g.names[: g.shown], flow, 0.0)
    begin = [0.5 * flow if e.kind == "compressors" else 0.0 for e in g.edges]  # no flow, no work: a flat start
    m = c.add("flow", [e.name for e in g.edges], flow, np.array(begin))
    balance = eq.add_rows("mass balance", g.names, flow)
    start, end = g.ends()
    eq.add("passage", m.names, (balance[start], balance[end]), (m[:],))
    eq.add("withdrawal", w.names, (balance[: g.shown],), (w[:],))
    fluid = _fluid(network, network.gas.temperature, pressure)
    _pipes(eq, network, g, pressure)
    _drops(eq, g, pressure)
    _losses(eq, network, g, pressure, fluid)
    _stations(eq, network, g, pressure, fluid)


def _fluid(network: Network, temperature: float, pressure: float) -> dict[str, float]:
    """Coefficients of 1/Z and R_s T at a temperature; fits reach a third above the highest pressure in the case."""
    up_to = FITTED_TO if pressure > FITTED_TO / 8 else 1.5 * pressure
    b = coefficients(network.gas, temperature, up_to)
    return {**dict(zip(SYMBOLS, b, strict=True)), "RT": network.gas.specific_constant * temperature}


def _columns_of(eq: Equations, g: GasGraph, edges: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the columns of pressure at both ends and of flow, for edges."""
    start, end = g.ends()
    p, m = eq.columns["pressure"], eq.columns["flow"]
    return p[start[edges]], p[end[edges]], m[edges]


def _pipes(eq: Equations, network: Network, g: GasGraph, pressure: float) -> None:
    t, gas = network.active("pipes"), network.gas
    edges = np.array([k for k, e in enumerate(g.edges) if e.kind == "pipes"], dtype=np.intp)
    g.volume = np.zeros(len(g.edges))
    if not len(edges):
        return
    row = np.array([g.edges[k].row for k in edges])
    cells = np.bincount(row, minlength=len(t))[row]
    D, L = t["diameter"][row], t["length"][row] / cells
    A = pi * D * D / 4.0
    g.volume[edges] = A * L
    T = np.where(np.isnan(t["temperature"][row]), gas.temperature, t["temperature"][row])
    table = {x: _fluid(network, x, pressure) for x in np.unique(T)}
    start, end = g.ends()
    height = np.array(g.height)
    given = ~np.isnan(t["friction_factor"][row])
    law = FRICTION_LAW[gas.friction]
    _refuse_smooth(t, row[~given], law)
    for name, mine in (("pipe_given", given), (law, ~given)):
        k = np.flatnonzero(mine)
        if not len(k):
            continue
        names = [g.edges[i].name for i in edges[k]]
        rho = pressure / table[T[k[0]]]["RT"]
        rows = eq.add_rows("momentum", names, rho * pressure / 2.0)
        stamp = eq.add(
            name, names, (rows,), _columns_of(eq, g, edges[k]),
            **{s: np.array([table[x][s] for x in T[k]]) for s in (*SYMBOLS, "RT")},
            L=L[k], D=D[k], A=A[k], zeta=t["loss_coefficient"][row][k] / cells[k], E=t["efficiency"][row][k],
            eta=gas.viscosity, e=t["roughness"][row][k] / D[k],
            lam=np.where(given[k], t["friction_factor"][row][k], 0.01),
            eps=(10.0 if name in ROUGH_ONLY else 1.0) * A[k] * gas.viscosity / D[k],
            gh=GRAVITY * (height[end] - height[start])[edges[k]], rate=0.0, m_old=0.0,
        )  # fmt: skip
        g.momentum.append((stamp, edges[k]))
    _storage(eq, g, edges, T, table)


def _refuse_smooth(t: Table, rows: Ints, law: str) -> None:
    """Nikuradse's rough-wall formula has no answer for a wall without roughness."""
    if law not in ("pipe_nikuradse", "pipe_nikuradse_laminar"):
        return
    smooth = sorted({int(r) for r in rows if t["roughness"][r] <= 0.0})
    if smooth:
        text = (
            f"must be above 0 for {law.removeprefix('pipe_')} friction, got 0 ({{}}); choose colebrook-white or give it"
        )
        raise CaseError("friction", [Mistake("pipes.csv", r + 2, "roughness", text.format(t.names[r])) for r in smooth])


def _storage(eq: Equations, g: GasGraph, edges: Ints, T: Floats, table: dict[float, dict[str, float]]) -> None:
    """Give each node half the volume of the adjoining cells, one instance for each gas temperature."""
    start, end = g.ends()
    balance = {label: first for label, _, first, _ in eq.row_blocks}["mass balance"]
    for x in np.unique(T):
        mine = edges[x == T]
        V = np.bincount(start[mine], g.volume[mine] / 2.0, len(g.names))
        V += np.bincount(end[mine], g.volume[mine] / 2.0, len(g.names))
        at = np.flatnonzero(V)
        names = [g.names[k] for k in at]
        columns = (eq.columns["pressure"][at],)
        stamp = eq.add("linepack", names, (balance + at,), columns, **table[x], V=V[at], rate=0.0, mass_old=0.0)
        stamp.steady = False
        g.storage.append(stamp)


def _drops(eq: Equations, g: GasGraph, pressure: float) -> None:
    edges = np.array([k for k, e in enumerate(g.edges) if e.kind in DROPPING], dtype=np.intp)
    names = [g.edges[k].name for k in edges]
    d = eq.columns.add("drop", names, pressure, 0.0)
    rows = eq.add_rows("pressure drop", names, pressure)
    p1, p2, m = _columns_of(eq, g, edges)
    eq.add("drop", names, (rows,), (p1, p2, d[:]))
    _join(g, edges, rows, d[:], m, 0.0)


def _join(g: GasGraph, edges: Ints, rows: Ints, controls: Ints, flows: Ints, neutral: float) -> None:
    for e, row, control, flow in zip(*(x.tolist() for x in (edges, rows, controls, flows)), strict=True):
        g.joints.append(Joint(e, row, control, flow, neutral))


def circulations(g: GasGraph, fixed: Mapping[int, Fixed]) -> Circulations:
    """Return the equations that loops of open elements and fixed ratios make void, each with the flows round its loop.

    Open are drops known as 0 and ratios known as 1. NotClosed names the elements of a loop whose ratios contradict each
    other.
    """
    values = [fixed[j.control].value if j.control in fixed and j.flow not in fixed else np.nan for j in g.joints]
    key = np.array(values).tobytes()
    if key not in g.known_loops:
        g.known_loops[key] = tuple(_loops(g, values))
    return g.known_loops[key]


def _loops(g: GasGraph, values: list[float]) -> Iterator[tuple[int, tuple[tuple[int, float], ...]]]:
    """Grow a forest of joints that tie two pressures by a ratio; one that finds its ends tied closes a loop."""
    tree: dict[int, list[tuple[int, Joint, float, float]]] = {}
    root = list(range(len(g.names)))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for joint, value in zip(g.joints, values, strict=True):
        if value != joint.neutral and not (joint.neutral == 1.0 and value > 0.0):
            continue  # not known, or a drop: a loop with one is seen by the pivots
        a, b = g.edges[joint.edge].start, g.edges[joint.edge].end
        gain = log(value) if joint.neutral == 1.0 else 0.0
        if find(a) != find(b):
            root[find(a)] = find(b)
            tree.setdefault(a, []).append((b, joint, 1.0, gain))
            tree.setdefault(b, []).append((a, joint, -1.0, -gain))
            continue
        way = _path(tree, b, a)
        if abs(gain + sum(step for *_, step in way)) > SAME_RATIO:
            names = [g.edges[j.edge].element for j in (joint, *(j for j, *_ in way))]
            msg = (
                f"{', '.join(names)} form a loop whose pressure ratios contradict each other. Take one set-point "
                f"back; of two stations in parallel let one hold the pressure and give the other a flow."
            )
            raise NotClosed(msg, twice=names)
        yield joint.row, ((joint.flow, 1.0), *((j.flow, sense) for j, sense, _ in way))


def _path(
    tree: Mapping[int, list[tuple[int, Joint, float, float]]], start: int, end: int
) -> list[tuple[Joint, float, float]]:
    """Return the joints on the way from `start` to `end` through a forest, with their sense and gain along it."""
    came: dict[int, tuple[int, Joint, float, float]] = {}
    seen, todo = {start}, [start]
    while todo and end not in seen:
        node = todo.pop()
        for other, joint, sense, gain in tree.get(node, ()):
            if other not in seen:
                seen.add(other)
                came[other] = node, joint, sense, gain
                todo.append(other)
    out = []
    while end != start:
        end, joint, sense, gain = came[end]
        out.append((joint, sense, gain))
    return out


def _losses(eq: Equations, network: Network, g: GasGraph, pressure: float, fluid: dict[str, float]) -> None:
    """Resistors, and the loss pieces around stations and valves: constant or by drag."""
    constant: list[tuple[int, float]] = []
    drag: list[tuple[int, float, float]] = []
    for k, edge in enumerate(g.edges):
        what, _, side = edge.kind.partition(":")
        if edge.kind == "resistors":
            t = network.active("resistors")
            if t["pressure_loss"][edge.row] >= 0:
                constant.append((k, t["pressure_loss"][edge.row]))
            else:
                drag.append((k, t["drag_factor"][edge.row], t["diameter"][edge.row]))
        elif what == "constant":
            t = network.active(network.kind_of(edge.element))
            constant.append((k, t[f"pressure_loss_{side}"][edge.row]))
        elif edge.kind == "drag:loss":
            t = network.active("valves")
            drag.append((k, t["loss_coefficient"][edge.row], t["diameter"][edge.row]))
        elif what == "drag":
            t = network.active(network.kind_of(edge.element))
            drag.append((k, t[f"drag_factor_{side}"][edge.row], t[f"diameter_{side}"][edge.row]))
    if constant:
        edges, xi = np.array([k for k, _ in constant]), np.array([x for _, x in constant])
        names = [g.edges[k].name for k in edges]
        rows = eq.add_rows("constant loss", names, pressure)
        eq.add("resistor_constant", names, (rows,), _columns_of(eq, g, edges), xi=xi, eps=STEADY_LOSS_FLOW)
    if drag:
        edges = np.array([k for k, *_ in drag])
        names = [g.edges[k].name for k in edges]
        zeta, D = np.array([z for _, z, _ in drag]), np.array([d for *_, d in drag])
        rows = eq.add_rows("drag loss", names, pressure)
        eq.add(
            "resistor_drag", names, (rows,), _columns_of(eq, g, edges),
            **fluid, zeta=zeta, A=pi * D * D / 4.0, eps=STEADY_LOSS_FLOW,
        )  # fmt: skip


def _stations(eq: Equations, network: Network, g: GasGraph, pressure: float, fluid: dict[str, float]) -> None:
    edges = np.array([k for k, e in enumerate(g.edges) if e.kind == "compressors"], dtype=np.intp)
    if not len(edges):
        return
    t = network.active("compressors")
    row = np.array([g.edges[k].row for k in edges])
    names = [g.edges[k].name for k in edges]
    r = eq.columns.add("ratio", names, 1.0, 1.2)
    W = eq.columns.add("power", names, 1e6, 1e6)
    p1, p2, m = _columns_of(eq, g, edges)
    rows = eq.add_rows("pressure ratio", names, pressure)
    eq.add("ratio", names, (rows,), (p1, p2, r[:]))
    _join(g, edges, rows, r[:], m, 1.0)
    rows = eq.add_rows("compression power", names, 1e6)
    eq.add(
        "compression", names, (rows,), (p1, r[:], m, W[:]),
        **fluid, kappa=network.gas.heat_capacity_ratio, eff=t["efficiency"][row],
    )  # fmt: skip
