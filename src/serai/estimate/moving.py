# SPDX-License-Identifier: Apache-2.0
"""The state of gas in motion from readings, one scan after the other: a Kalman filter on the exact laws.

State: pressures p of all nodes and cells, exchanges u with the pipes (fields, towns, plants, stations) as random walks,
a slow bias for each meter, a slow efficiency for each pipe.

    p' = step(p, u', E)                      the exact laws, one implicit step (`moving_model`)
    z  = u (1 + b) + noise                   a flow meter
    z  = p + c + noise                       a pressure gauge

The step is solved in full at every scan; only the gain is computed ahead, for the regime of flows the filter was laid
out for (`moving_gain`). A reading that is missing is given what the others say of it, V_mo V_oo^-1 nu_o: the update is
then exactly the one without it. A meter silent for `PATIENCE` scans is taken for dead, and the gain is laid out anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from serai.errors import SeraiError
from serai.estimate.moving_gain import DOUBLINGS, Stage, stages
from serai.estimate.moving_model import Exchange, Pipes, exchanges
from serai.network.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Bools = NDArray[np.bool_]

FLOWS = ("supply", "withdrawal", "plant_fuel", "fuel", "flow")
STATION = ("flow", "fuel")  # what a station moves and burns: it starts and stops
PRESSURES = ("pressure", "inlet_pressure", "outlet_pressure")
DAY = 86400.0
PATIENCE = 10  # scans
IDLE, SMALL = 200.0, 3.0  # times the constant part of its meter's noise: what a station, or else, moves at least
DEAD = 1e12  # times its variance: what a dead meter's reading is worth


@dataclass(frozen=True)
class Meter:
    """One instrument of the gas network.

    sigma, share   standard deviation of the white noise: a part that stays [Pa or kg/s], a part of the reading
    bias           standard deviation of what it is off by all the time: [Pa], or of the reading for flows
    """

    tag: str
    quantity: str
    where: str
    sigma: float
    share: float
    bias: float


@dataclass(frozen=True)
class Assumed:
    """What the filter takes for granted of what moves, standard deviations.

    first_pressure   [Pa] of pressures at the start; first_flow of unmetered exchanges, of their usual flow
    efficiency       of pipes at the start; the drifts are those of a day
    station, supply, metered, unmetered   change of an exchange in one scan, of its usual flow
    cell             [Pa] by which the step is off at a node in one scan
    """

    first_pressure: float = 2e5
    first_flow: float = 0.3
    efficiency: float = 0.03
    efficiency_drift: float = 0.002
    bias_drift: float = 0.0003
    gauge_drift: float = 0.3
    station: float = 0.3
    supply: float = 0.03
    metered: float = 0.004
    unmetered: float = 1.5e-3
    cell: float = 30.0


def meters(network: Network) -> list[Meter]:
    """Return the meters of flow and the gauges of pressure that a case lists; the class is twice the noise."""
    out = []
    for i in instruments(network):
        if i.quantity in FLOWS and network.kind_of(i.where) != "pipes":
            out.append(Meter(i.tag, i.quantity, i.where, i.sigma, i.share, 2.0 * i.share or 0.01))
        elif i.quantity in PRESSURES:
            out.append(Meter(i.tag, i.quantity, i.where, i.sigma, i.share, 2.0 * i.sigma))
    return out


@dataclass(frozen=True)
class Scan:
    """What one scan said.

    innovation   reading less forecast (n_meter,), a missing one filled with what the others say of it
    heard        which meters spoke
    stage        number of the gain in force
    """

    innovation: Floats
    heard: Bools
    stage: int


@dataclass
class State:
    """All that the filter remembers between scans; plain arrays and numbers, so that it can be kept and restored.

    x             last state of the laws (n_column,)
    u, e          exchanges [kg/s], efficiencies
    b, c          relative bias of flow meters, bias of gauges [Pa]
    age           scans since the gain was laid out
    silent        scans since each meter spoke (n_meter,)
    """

    x: Floats
    u: Floats
    e: Floats
    b: Floats
    c: Floats
    age: int = 0
    silent: Ints = field(default_factory=lambda: np.zeros(0, np.intp))


class Layout:
    """Where everything stands in the state of the filter, and which meter reads what."""

    def __init__(self, pipes: Pipes, given: Sequence[Meter], usual: Floats) -> None:
        place = {(x.quantity, x.where): k for k, x in enumerate(pipes.exchanges)}
        g = pipes.system.gas
        flows = [m for m in given if m.quantity in FLOWS and (m.quantity, m.where) in place]
        gauges = [m for m in given if m.quantity in PRESSURES and m.where in g.node]
        self.flow_meters, self.gauges = tuple(flows), tuple(gauges)
        self.meters = (*flows, *gauges)
        self.exchange = np.array([place[m.quantity, m.where] for m in flows], dtype=np.intp)
        self.node = np.array([g.node[m.where] for m in gauges], dtype=np.intp)
        n, nu, nf, ng, ne = len(pipes.nodes), len(pipes.exchanges), len(flows), len(gauges), len(pipes.pipes)
        edges = np.cumsum([0, n, nu, nf, ng, ne])
        self.p, self.u, self.b, self.c, self.e = (slice(*x) for x in pairwise(edges.tolist()))
        self.size = int(edges[-1])
        fixed, share = (np.array([getattr(m, k) for m in flows]) for k in ("sigma", "share"))
        station = np.array([m.quantity in STATION for m in flows], dtype=bool)
        self.scale = np.maximum(np.abs(usual), 1e-3)
        np.maximum.at(self.scale, self.exchange, np.where(station, IDLE, SMALL) * fixed)
        noise = np.hypot(fixed, share * self.scale[self.exchange])
        self.noise = np.concatenate([noise, [m.sigma for m in gauges]])
        if (self.noise <= 0.0).any():
            bad = [m.tag for m, s in zip(self.meters, self.noise, strict=True) if s <= 0.0]
            msg = f"meters without noise: {', '.join(bad[:6])}. Give a sigma above 0"
            raise SeraiError(msg)

    def readings(self) -> Floats:
        """Return H (n_meter, n_state)."""
        nf, ng = len(self.flow_meters), len(self.gauges)
        H = np.zeros((nf + ng, self.size))
        i = np.arange(nf)
        H[i, self.u.start + self.exchange] = 1.0
        H[i, self.b.start + i] = self.scale[self.exchange]
        j = np.arange(ng)
        H[nf + j, self.p.start + self.node] = 1.0
        H[nf + j, self.c.start + j] = 1.0
        return H


def nodes_of(network: Network, given: Sequence[Meter]) -> list[Meter]:
    """Return the meters with every gauge put to its node (inlets and outlets of stations, fields, offtakes)."""
    out = []
    for m in given:
        kind = network.kind_of(m.where)
        if m.quantity not in PRESSURES or kind == "gas_nodes":
            out.append(m)
            continue
        t = network[kind]
        column = {"outlet_pressure": "to_node", "inlet_pressure": "from_node"}.get(m.quantity, "node")
        out.append(replace(m, where=str(t[column][t.row(m.where)])))
    return out


class Moving:
    """The filter. Readings go in scan by scan; what they surprised it by comes out.

    network   what exists; its stations may do what they like
    usual     usual flow [kg/s] of every exchange by (quantity, element), as of a steady state of the day
    pressures usual pressures [Pa] of nodes, a first guess
    """

    def __init__(
        self,
        network: Network,
        usual: Mapping[tuple[str, str], float],
        pressures: Mapping[str, float],
        *,
        given: Sequence[Meter] | None = None,
        assumed: Assumed | None = None,
        cell: float = 20e3,
        scan: float = 60.0,
    ) -> None:
        listed = list(given) if given is not None else meters(network)
        self.assumed = assumed or Assumed()
        all_of_them: list[Exchange] = exchanges(network, usual)
        self.pipes = Pipes(network, all_of_them, cell=cell, scan=scan)
        u = np.array([x.flow for x in self.pipes.exchanges])
        self.layout = Layout(self.pipes, nodes_of(network, listed), u)
        self.tags = tuple(m.tag for m in self.layout.meters)
        lo = self.layout
        x = self.pipes.start(pressures)
        for _ in range(3):
            x = self.pipes.step(x, u, self.pipes.efficiency)
        self.regime = self.pipes.slopes(x, u, self.pipes.efficiency)
        self.H = lo.readings()
        self.F, self.Q, P = self._matrices()
        self.dead = np.zeros(len(self.tags), bool)
        self._lay(P)
        x = self.pipes.put(x, self.pipes.pressures(self.pipes.start(pressures)))
        self.state = State(
            x, u, self.pipes.efficiency.copy(), np.zeros(len(lo.flow_meters)), np.zeros(len(lo.gauges)),
            silent=np.zeros(len(self.tags), np.intp),
        )  # fmt: skip

    # ------------------------------------------------------------------ layout

    def _matrices(self) -> tuple[Floats, Floats, Floats]:
        """Return F, Q and the first P (n_state, n_state)."""
        lo, s, a, pipes = self.layout, self.regime, self.assumed, self.pipes
        F = np.eye(lo.size)
        F[lo.p, lo.p], F[lo.p, lo.u], F[lo.p, lo.e] = s.A, s.T @ pipes.W, s.G
        metered = np.zeros(len(pipes.exchanges), bool)
        metered[lo.exchange] = True
        station = np.array([x.quantity in STATION for x in pipes.exchanges])
        supply = np.array([x.quantity == "supply" for x in pipes.exchanges])
        moves = np.where(supply, a.supply, a.metered)
        walk = np.where(station, a.station, np.where(metered, moves, a.unmetered)) * lo.scale
        drift = np.sqrt(pipes.scan / DAY)
        q = np.zeros(lo.size)
        q[lo.b], q[lo.e] = a.bias_drift * drift, a.efficiency_drift * drift
        gauge = np.array([m.bias for m in lo.gauges])
        q[lo.c] = a.gauge_drift * gauge * drift
        q[lo.p] = a.cell
        Q = np.diag(q**2)
        into = np.zeros((lo.size, len(walk)))
        into[lo.p], into[lo.u] = F[lo.p, lo.u], np.eye(len(walk))
        Q += (into * walk**2) @ into.T
        first = np.zeros(lo.size)
        first[lo.p], first[lo.e], first[lo.c] = a.first_pressure, a.efficiency, gauge
        first[lo.u] = np.where(metered, 1.0, a.first_flow) * lo.scale
        first[lo.b] = [m.bias for m in lo.flow_meters]
        return F, Q, np.diag(first**2)

    def _lay(self, P: Floats, doublings: int = DOUBLINGS) -> None:
        R = self.layout.noise**2 * np.where(self.dead, DEAD, 1.0)
        self.stages: list[Stage] = stages(self.F, self.Q, self.H, R, P, doublings=doublings)
        self._factors: dict[tuple[int, bytes], Any] = {}

    def stage(self) -> int:
        """Return the number of the gain that holds now."""
        return int(np.searchsorted([s.since for s in self.stages], self.state.age, side="right")) - 1

    # -------------------------------------------------------------------- scan

    def forecast(self) -> tuple[Floats, Floats]:
        """Return the state one scan on (n_column,) and what every meter would read there (n_meter,)."""
        s, lo = self.state, self.layout
        x = self.pipes.step(s.x, s.u, s.e)
        flow = s.u[lo.exchange] * (1.0 + s.b)
        return x, np.concatenate([flow, self.pipes.pressures(x)[lo.node] + s.c])

    def scan(self, values: Floats) -> Scan:
        """Take the readings of one scan (n_meter,) in the order of `tags`, SI, nan where there is none."""
        s, lo = self.state, self.layout
        x, expected = self.forecast()
        heard = np.isfinite(values)
        if heard.any():  # otherwise the link is silent, not the meters
            self._listen(heard)
        heard = heard & ~self.dead
        stage = self.stage()
        nu = self._filled(np.where(heard, values - expected, 0.0), heard, stage)
        change = self.stages[stage].K @ nu
        self.state = State(
            self.pipes.put(x, self.pipes.pressures(x) + change[lo.p]),
            s.u + change[lo.u], np.clip(s.e + change[lo.e], 0.5, 1.5), s.b + change[lo.b], s.c + change[lo.c],
            age=s.age + 1, silent=s.silent,
        )  # fmt: skip
        return Scan(nu, heard, stage)

    def _listen(self, heard: Bools) -> None:
        """Count the silence of every meter; lay the gain out anew when one has died or come back."""
        self.state.silent = np.where(heard, 0, self.state.silent + 1)
        dead = self.state.silent >= PATIENCE
        if (dead != self.dead).any():
            self.dead = dead
            P = self.stages[self.stage()].P
            self._lay(P)
            self.state.age = 0

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take up a state that was kept (`tags`, `x`, `u`, `e`, `b`, `c`, `age`, `silent`, `dead`)."""
        if list(saved["tags"]) != list(self.tags) or np.shape(saved["x"]) != self.state.x.shape:
            msg = "the state that was kept is of other meters or other pipes: begin anew"
            raise SeraiError(msg)
        dead = np.array(saved["dead"], bool)
        if (dead != self.dead).any():
            self.dead = dead
            self._lay(self.stages[-1].P)
        x, u, e, b, c = (np.array(saved[k], float) for k in ("x", "u", "e", "b", "c"))
        self.state = State(x, u, e, b, c, age=int(saved["age"]), silent=np.array(saved["silent"], np.intp))

    def _filled(self, nu: Floats, heard: Bools, stage: int) -> Floats:
        """Return the innovations with the missing ones as the others have them."""
        if heard.all() or not heard.any():
            return nu
        key = (stage, heard.tobytes())
        V = self.stages[stage].V
        if key not in self._factors:
            if len(self._factors) > 8:
                self._factors.clear()
            self._factors[key] = cho_factor(V[np.ix_(heard, heard)], lower=True)
        nu = nu.copy()
        nu[~heard] = V[np.ix_(~heard, heard)] @ cho_solve(self._factors[key], nu[heard])
        return nu
