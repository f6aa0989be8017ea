# SPDX-License-Identifier: Apache-2.0
"""What a nomination asks of a gas network: who feeds and takes how much, between which limits, over which elements.

Everything is taken from the laws that `serai.steady` solves (`serai.system.System`): the same edges, the same pieces
for the losses in a station's piping, the same parameters. So a bound on this model is a bound on those laws.

Every law along an edge is written in the potential Phi(p) = integral of rho dp (see `serai.laws.fluid`), scaled to

    u = Phi / (rho_ref 1 bar)          about the bar near REFERENCE, and monotone in p

A level pipe is then u1 - u2 = R(m) *exactly*, for any friction law and any compressibility: R is the drag of the law
itself, sampled. What is not exact in u is bounded from both sides in `relaxation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import BadNomination, SeraiError
from serai.known import Known
from serai.laws.fluid import density, potential
from serai.system import System, override
from serai.system.gas import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.system.equations import Stamp

    Floats = NDArray[np.float64]
    Curve = Callable[[Floats], Floats]

BAR = 1e5
REFERENCE = 50.0 * BAR  # where u counts bars
LOWEST, HIGHEST = 0.1 * BAR, 130.0 * BAR  # Pa, taken where a node has no limit; the fits of Z hold to 130 bar
BALANCED = 1e-6  # of the entries: by so much entries and exits may differ, the swing makes it up
KINDS = {
    "pipes": "pipe", "short_pipes": "short", "valves": "valve", "check_valves": "check", "control_valves": "control",
    "compressors": "station",
}  # fmt: skip


@dataclass(frozen=True)
class Fluid:
    """The potential of the gas at one temperature, scaled; all functions take and return arrays.

    coefficients  b1..b5 and R_s T of `serai.laws.fluid`
    """

    coefficients: tuple[float, ...]
    reference: float

    def u(self, p: Floats | float) -> Floats:
        """Return the scaled potential at pressures [Pa]."""
        return np.asarray(potential.py_func(np.asarray(p, float), *self.coefficients)[0] / self.reference)

    def rho(self, p: Floats | float) -> Floats:
        """Return the density [kg/m3] at pressures [Pa]."""
        return np.asarray(density.py_func(np.asarray(p, float), *self.coefficients)[0])

    def p(self, u: Floats | float) -> Floats:
        """Return the pressure [Pa] of scaled potentials: read from a table, then three steps of Newton."""
        u = np.maximum(np.asarray(u, float), 0.0)
        places, values = self.table
        p = np.maximum(np.interp(u, values, places), 1.0)
        for _ in range(3):
            value, slope = potential.py_func(p, *self.coefficients)
            p = np.maximum(p - (value - u * self.reference) / slope, 1e-3)
        return np.asarray(p)

    @cached_property
    def table(self) -> tuple[Floats, Floats]:
        """Pressures [Pa] and their scaled potentials, dense enough to begin Newton from."""
        p = np.linspace(0.0, 1.7 * HIGHEST, 3000)
        return p, self.u(p)


@dataclass(frozen=True)
class Edge:
    """One edge of the gas graph.

    kind        pipe, short, valve, check, control, station, constant (loss) or drag (loss)
    start, end  nodes; flow between flow_low and flow_high [kg/s], positive from start to end
    curve       of a pipe or drag: m [kg/s] -> loss [u]; of a constant loss: share of `loss` [Pa]
    own, height of a pipe: its fluid, and gravity times the height gained [J/kg]
    loss        [Pa] of a constant loss
    """

    name: str
    element: str
    kind: str
    row: int
    start: int
    end: int
    flow_low: float
    flow_high: float
    curve: Curve | None = None
    own: Fluid | None = None
    height: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class Drive:
    """A turbine that burns gas at a node: fuel [kg/s] = shaft power / heat [J/kg]."""

    name: str
    station: str
    node: int
    heat: float


@dataclass(frozen=True)
class Task:
    """A nomination, ready to be checked.

    names         of all nodes, the case's own first, then hidden ones inside stations
    low, high     [Pa] pressure limits of the nodes (n,); those of hidden nodes are LOWEST and HIGHEST
    limited       whether the case gives the limit (n, 2)
    draw          [kg/s] least and most that leaves each node (n, 2), without fuel; equal where nominated
    swing         the supply or offtake that takes rounding and fuel, and its node
    knowns        the nominated flows as Knowns
    """

    network: Network
    fluid: Fluid
    names: tuple[str, ...]
    low: Floats
    high: Floats
    limited: NDArray[np.bool_]
    draw: Floats
    edges: tuple[Edge, ...]
    drives: tuple[Drive, ...]
    swing: str
    swing_node: int
    knowns: tuple[Known, ...]
    free: tuple[str, ...]
    total: float
    kappa: float = 1.3
    efficiency: Mapping[str, float] = field(default_factory=dict)

    def where(self, node: int) -> str:
        """Return the name of a node."""
        return self.names[node]


def pose(network: Network, nomination: Mapping[str, float] | None = None, swing: str | None = None) -> Task:
    """Return the task of a nomination.

    nomination  element (supply, offtake, or a node with one of them) -> flow [kg/s], above zero in its own direction;
                what is not named keeps the network's own set-point, what has none is free between its flow limits
    swing       the supply or offtake that takes the rounding and the fuel of drives; not given = the largest supply

    Raises UnknownName, and BadNomination with everything that is wrong.
    """
    if len(network.active("buses")):
        msg = (
            f"{network.name} has a power grid: a nomination is checked on gas alone. Give the network without its grid "
            f"and the gas of its plants as offtakes; `dispatch` looks at both."
        )
        raise SeraiError(msg)
    flows = _flows(network, nomination or {})
    swing = _swing(network, flows, swing)
    mistakes = [*_beyond(network, flows), *_unbalanced(network, flows)]
    if mistakes:
        raise BadNomination(network.name, mistakes)
    knowns = tuple(flows.values())
    node = str(_tap(network, swing)[0])
    top = float(np.nanmax(network.active("gas_nodes")["pressure_max"], initial=0.0)) or 50.0 * BAR
    system = System(network, override(network, knowns, [Known("pressure", swing, top)]), steady=False)
    return _task(system, flows, swing, node)


def _tap(network: Network, name: str) -> tuple[str, str, float, float]:
    """Return node, quantity and flow limits [kg/s] of a supply or offtake."""
    kind = network.kind_of(name)
    if kind not in ("supplies", "offtakes"):
        msg = f"{name} is one of {kind}: a flow is nominated for a supply or an offtake"
        raise BadNomination(network.name, [msg])
    t, quantity = network[kind], {"supplies": "supply", "offtakes": "withdrawal"}[kind]
    row = t.row(name)
    return str(t["node"][row]), quantity, float(t["flow_min"][row]), float(t["flow_max"][row])


def _flows(network: Network, nomination: Mapping[str, float]) -> dict[str, Known]:
    """Return the nominated flow of each supply and offtake that has one, as Knowns."""
    own = {k.where: k for k in network.knowns() if k.quantity in ("supply", "withdrawal")}
    mistakes = []
    at: dict[str, list[str]] = {}
    for kind in ("supplies", "offtakes"):
        t = network.active(kind)
        for row, name in enumerate(t.names):
            at.setdefault(str(t["node"][row]), []).append(name)
    for name, value in nomination.items():
        taps = [name]
        if network.kind_of(name) == "gas_nodes":
            taps = at.get(name, [])
            if len(taps) != 1:
                told = f"has {', '.join(taps)}: name one of them" if taps else "has no supply or offtake"
                mistakes.append(f"{name} {told}")
                continue
        _, quantity, _, _ = _tap(network, taps[0])
        if not np.isfinite(value):
            mistakes.append(f"{name}: the flow must be a finite number, got {value}")
            continue
        own[taps[0]] = Known(quantity, taps[0], float(value), source="nomination")
    if mistakes:
        raise BadNomination(network.name, mistakes)
    running = {n for taps in at.values() for n in taps} | set(network.active("gas_nodes").names)
    return {where: k for where, k in own.items() if where in running}


def _swing(network: Network, flows: Mapping[str, Known], swing: str | None) -> str:
    if swing is not None:
        _tap(network, swing)
        return swing
    supplies = network.active("supplies").names
    if not supplies:
        raise BadNomination(network.name, ["has no supply: nothing can be carried"])
    free = [n for n in supplies if n not in flows]
    return free[0] if free else max(supplies, key=lambda n: flows[n].value)


def _beyond(network: Network, flows: Mapping[str, Known]) -> list[str]:
    """Return a sentence for every nominated flow beyond the limits of its supply or offtake."""
    out = []
    for name, known in flows.items():
        if network.kind_of(name) == "gas_nodes":
            continue
        _, _, low, high = _tap(network, name)
        room = 1e-6 * max(abs(low) if np.isfinite(low) else 0.0, abs(high) if np.isfinite(high) else 0.0, 1e-3)
        if known.value < low - room or known.value > high + room:
            out.append(f"{name}: {known.value:.6g} kg/s is beyond its limits, {low:.6g} to {high:.6g} kg/s")
    return out


def _unbalanced(network: Network, flows: Mapping[str, Known]) -> list[str]:
    taps = [*network.active("supplies").names, *network.active("offtakes").names]
    if any(n not in flows for n in taps):
        return []
    entries = sum(k.value for k in flows.values() if k.quantity == "supply")
    exits = sum(k.value for k in flows.values() if k.quantity == "withdrawal")
    if abs(entries - exits) <= BALANCED * max(abs(entries), abs(exits)):
        return []
    what = "entries exceed exits" if entries > exits else "exits exceed entries"
    return [f"does not balance: {what} by {abs(entries - exits):.6g} of {max(entries, exits):.6g} kg/s"]


# -------------------------------------------------------------------------------------------------------------- model


def _task(system: System, flows: Mapping[str, Known], swing: str, swing_node: str) -> Task:
    net, g = system.network, system.gas
    nodes = net.active("gas_nodes")
    n = len(g.names)
    low, high = np.full(n, LOWEST), np.full(n, HIGHEST)
    limited = np.zeros((n, 2), bool)
    for side, (array, column) in enumerate(((low, "pressure_min"), (high, "pressure_max"))):
        given = np.array([nodes[column][nodes.row(name)] for name in g.names[: g.shown]])
        known = np.isfinite(given) & (given > 0.0)
        array[: g.shown][known] = given[known]
        limited[: g.shown, side] = known
    pipes = net.active("pipes")
    for e in g.edges:
        if e.kind == "pipes" and np.isfinite(pipes["pressure_max"][e.row]):
            for k in (e.start, e.end):
                high[k], limited[k, 1] = min(high[k], float(pipes["pressure_max"][e.row])), True
    draw, free = _draw(net, g.node, n, flows)
    if not free:  # the swing takes the rounding, as it does in the exact laws
        at = g.node[swing_node]
        draw[at] -= draw[:, 0].sum()
    fluid = _fluids(system)
    total = float(np.maximum(draw[:, 0], 0.0).sum())
    return Task(
        network=net, fluid=fluid, names=tuple(g.names), low=low, high=high, limited=limited, draw=draw,
        edges=tuple(_edges(system, fluid)), drives=tuple(_drives(system)), swing=swing, swing_node=g.node[swing_node],
        knowns=tuple(flows.values()), free=tuple(free), total=max(total, 1e-3), kappa=net.gas.heat_capacity_ratio,
        efficiency=dict(zip(net.active("compressors").names, net.active("compressors")["efficiency"], strict=True))
        if len(net.active("compressors")) else {},
    )  # fmt: skip


def _draw(net: Network, node: Mapping[str, int], n: int, flows: Mapping[str, Known]) -> tuple[Floats, list[str]]:
    """Return least and most that leaves each node (n, 2) [kg/s], and the supplies and offtakes without a nomination."""
    draw = np.zeros((n, 2))
    free = []
    for kind, sign in (("supplies", -1.0), ("offtakes", 1.0)):
        t = net.active(kind)
        for row, name in enumerate(t.names):
            at = node.get(str(t["node"][row]))
            if at is None:
                continue
            if name in flows:
                draw[at] += sign * flows[name].value
                continue
            free.append(name)
            bounds = [float(t[c][row]) for c in ("flow_min", "flow_max")]
            bounds = [0.0 if np.isnan(bounds[0]) else bounds[0], np.inf if np.isnan(bounds[1]) else bounds[1]]
            draw[at] += sorted(sign * b for b in bounds)
    for name, at in node.items():
        if name in flows:
            draw[at] = flows[name].value
    return draw, free


def _fluids(system: System) -> Fluid:
    """Return the fluid of the network at its own temperature."""
    for s in system.equations.stamps:
        if "b1" in s.law.parameters and s.law.name in ("compression", "resistor_drag"):
            return _fluid_of(s, 0)
    gas = system.network.gas.temperature
    pipes = system.network.active("pipes")
    for s, edges in system.gas.momentum:
        for k, e in enumerate(edges):
            own = pipes["temperature"][system.gas.edges[e].row]
            if np.isnan(own) or own == gas:
                return _fluid_of(s, k)
    for s, _ in system.gas.momentum:
        return _fluid_of(s, 0)
    msg = f"{system.network.name}: has no pipe: there is nothing to check"
    raise SeraiError(msg)


def _fluid_of(stamp: Stamp, k: int) -> Fluid:
    coefficients = tuple(float(stamp.get(s)[k]) for s in (*SYMBOLS, "RT"))
    return Fluid(coefficients, float(density.py_func(REFERENCE, *coefficients)[0]) * BAR)


def _edges(system: System, fluid: Fluid) -> list[Edge]:
    g, net, eq = system.gas, system.network, system.equations
    first = eq.columns["flow"].first
    more: dict[int, dict[str, object]] = {}
    for s in eq.stamps:
        column = {"resistor_constant": 2, "resistor_drag": 2}.get(s.law.name, 2 if "lam" in s.law.parameters else -1)
        for k in range(len(s.names)) if column >= 0 else ():
            more[int(s.columns[column, k]) - first] = _law_of(s, k, fluid)
    out = []
    for number, e in enumerate(g.edges):
        low, high = -np.inf, np.inf
        kind = KINDS.get(e.kind, "")
        if e.kind in KINDS or e.kind == "resistors":
            t = net.active(e.kind)
            low, high = (float(t[c][e.row]) for c in ("flow_min", "flow_max"))
            low, high = -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high
        given = more.get(number, {})
        kind = kind or str(given.pop("kind"))
        given.pop("kind", None)
        out.append(Edge(e.name, e.element, kind, e.row, e.start, e.end, low, high, **given))  # type: ignore[arg-type] # keyed by symbol
    return out


def _law_of(stamp: Stamp, k: int, fluid: Fluid) -> dict[str, object]:
    """Return the curve of a pipe or loss over the flow: the formula of the law itself, at no pressure."""
    formula = stamp.law.formula
    parameters = tuple(float(x) for x in stamp.parameters[:, k])
    if stamp.law.name == "resistor_constant":
        xi, eps = parameters
        return {"kind": "constant", "loss": xi, "curve": lambda m: m / np.sqrt(m * m + eps * eps)}
    if stamp.law.name == "resistor_drag":
        zeta, A, eps = (float(stamp.get(s)[k]) for s in ("zeta", "A", "eps"))
        scale = zeta / (2.0 * A * A * fluid.reference)
        return {"kind": "drag", "curve": lambda m: scale * m * np.sqrt(m * m + eps * eps)}
    own = _fluid_of(stamp, k)
    reference = fluid.reference

    def loss(m: Floats) -> Floats:
        return np.array([-formula(0.0, 0.0, x, *parameters)[0] for x in np.ravel(m).tolist()]) / reference

    same = own.coefficients == fluid.coefficients
    return {"kind": "pipe", "curve": loss, "own": None if same else own, "height": float(stamp.get("gh")[k])}


def _drives(system: System) -> list[Drive]:
    """Return the turbines that burn gas of the network."""
    net, t = system.network, system.network.active("drives")
    out = []
    for k, name in enumerate(t.names):
        station = str(t["compressor"][k])
        if t["kind"][k] != "gas turbine" or station not in net.active("compressors"):
            continue
        c = net["compressors"]
        node = str(t["fuel_node"][k]) or str(c["from_node"][c.row(station)])
        heat = net.gas.net_heating_value / net.gas.standard_density * float(t["efficiency"][k])
        out.append(Drive(name, station, system.gas.node[node], heat))
    return out


__all__ = ["BAR", "Drive", "Edge", "Fluid", "Task", "pose"]
