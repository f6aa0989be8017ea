# SPDX-License-Identifier: Apache-2.0
"""What really happens, for `leaks.py`: a moving day on a finer grid, with a gas and pipes the filter does not know.

A world is one truth: efficiencies of the pipes off by up to 3 %, another temperature and composition, cells of 5 km and
steps of 30 s where the filter has 20 km and 60 s. In it many days run at once (`Batch.march`): withdrawals follow the
day's profiles with a wander of their own, units of stations stop and start, leaks open. Readings are taken from a world
with clocks that jitter, biases that stay and white noise.
"""

from dataclasses import dataclass, field, replace

import numpy as np

import serai as sr
from serai import Known
from serai.estimate.moving import FLOWS, nodes_of
from serai.estimate.moving_model import KEPT, STATIONS, exchanges
from serai.network.tables import Table
from serai.simulate.measured import measured
from serai.simulate.transient import set_step
from serai.system import Closed, System
from serai.system.batch import CONVERGED, Batch

STEP = 30.0  # s
FINE = 5e3  # m
JITTER = 5.0  # s, standard deviation of the clocks
EFFICIENCY = 0.03
WARMER, HEAVIER = 4.0, 0.01  # K, share of the molar mass: standard deviations of what the filter does not know
WANDER, MEMORY = 0.01, 7200.0  # of withdrawals: standard deviation, s
STOPPED = (0.004, 0.012)  # of a station's outlet pressure that goes when a unit stops: its flow halves for a while
RAMP = 600.0  # s, of a start or a stop


def usual(net, hour=None, knowns=()):
    """Return usual flows of all exchanges, ratios of stations and pressures of nodes, from the case's steady state."""
    day = sr.steady(net, knowns, hour=hour)
    flows = {}
    for x in exchanges(net, {}):
        value = float(measured(day, x.quantity, x.where)) if (x.quantity != "flow" or x.where in net) else 0.0
        flows[x.quantity, x.where] = float(np.nan_to_num(value))
    pressures = {str(n): float(v) for n, v in zip(day.pressure["gas_node"].values, day.pressure.values, strict=True)}
    ratios = {n: float(day.ratio[n].values) for n in net.active("compressors").names}
    along = {n: float(day.flow[n].values) for n in net.active("pipes").names}
    return flows, pressures, ratios, along


@dataclass
class Case:
    """One network on one day, as the filter knows it and as its days run."""

    net: object
    meters: list
    flows: dict
    pressures: dict
    ratios: dict
    along: dict
    hourly: dict  # (quantity, where) -> (n_hour,) flows through the day
    swing: str
    held: dict = field(default_factory=dict)  # control valve -> outlet pressure


def split(net, places):
    """Return the network with a node in each pipe of `places` [(pipe, share of its length)] and the nodes' names."""
    pipes, nodes = net["pipes"], net["gas_nodes"]
    p = {c: list(v) for c, v in pipes.columns.items()}
    g = {c: list(v) for c, v in nodes.columns.items()}
    names = []
    for pipe, share in sorted(set(places)):
        pieces = [k for k in range(len(p["name"])) if str(p["name"][k]).split(" #")[0] == pipe]
        at = pieces[-1]
        done = sum(p["length"][k] for k in pieces[:-1])
        whole = done + p["length"][at]
        first = share * whole - done
        name = f"leak {pipe} {share:.4f}"
        a, b = str(p["from_node"][at]), str(p["to_node"][at])
        ha, hb = (g["height"][list(map(str, g["name"])).index(n)] for n in (a, b))
        like = list(map(str, g["name"])).index(a)
        for c, v in g.items():
            v.append(name if c == "name" else ha + (hb - ha) * first / p["length"][at] if c == "height" else v[like])
        for c, v in p.items():
            v.append(f"{pipe} #{share:.4f}" if c == "name" else name if c == "from_node" else v[at])
        p["length"][-1] = p["length"][at] - first
        p["length"][at] = first
        p["to_node"][at] = name
        names.append(name)
    pipes, nodes = (Table(k, {c: np.array(v) for c, v in x.items()}) for k, x in (("pipes", p), ("gas_nodes", g)))
    return net.with_tables(pipes=pipes, gas_nodes=nodes), names


def at_rest(system, whole):
    """Return the steady state (n_column,) of a system in cells, begun from that of its whole pipes."""
    known = Closed(whole, whole.fix()).solve(cold=True).x
    closed, of, columns = Closed(system, system.fix()), whole.equations.columns, system.equations.columns
    for quantity, block in columns.blocks.items():
        for name, column in block.index.items():
            place = of[quantity].index.get(name.split(" [cell ")[0] if quantity == "flow" else name)
            if place is not None and column not in closed.fixed:
                closed.x[column] = known[place]
    p, q = columns["pressure"], of["pressure"]
    node = whole.gas.node
    for edge in whole.gas.edges:
        if edge.kind == "pipes":
            cells = sum(e.element == edge.element for e in system.gas.edges)
            first, last = (known[q.first + node[whole.gas.names[k]]] for k in (edge.start, edge.end))
            for k in range(1, cells):
                squared = first**2 + (last**2 - first**2) * k / cells
                closed.x[p.index[f"{edge.element} [{k}/{cells}]"]] = np.sqrt(squared)
    return closed.solve().x


class World:
    """One truth, in which many days run side by side."""

    def __init__(self, case, seed, places=()):
        self.case, self.random = case, np.random.default_rng(seed)
        r, net = self.random, case.net
        gas = net.gas
        heavier = 1.0 + HEAVIER * r.standard_normal()
        self.net = replace(
            net,
            gas=replace(
                gas, temperature=gas.temperature + WARMER * r.standard_normal(), molar_mass=gas.molar_mass * heavier,
                critical_temperature=gas.critical_temperature * (1.0 + 0.8 * (heavier - 1.0)),
            ),
            tables={k: net.tables[k] for k in (*KEPT, *STATIONS, "supplies") if k in net.tables}, _kinds={},
        )  # fmt: skip
        pipes = self.net["pipes"]
        off = 1.0 + r.uniform(-EFFICIENCY, EFFICIENCY, len(pipes))
        supplies = self.net["supplies"]
        only = supplies.where(np.array([n == case.swing for n in supplies.names]))
        only = only.replace(needs_power=np.array([""]))  # there is no grid here
        self.net = self.net.with_tables(pipes=pipes.replace(efficiency=pipes["efficiency"] * off), supplies=only)
        self.net, self.leaks = split(self.net, places)
        self._solve()

    def _solve(self):
        case = self.case
        self.exchanges = [x for x in exchanges(case.net, case.flows) if x.quantity != "flow"]
        self.swing_node = str(self.net["supplies"]["node"][0])
        nodal = dict.fromkeys(self.net.active("gas_nodes").names, 0.0)
        for x in self.exchanges:
            for n, share in x.at:
                nodal[n] += share * x.flow
        knowns = [Known("withdrawal", n, w) for n, w in nodal.items() if n != self.swing_node]
        knowns.append(Known("pressure", case.swing, case.pressures[self.swing_node]))
        knowns += [Known("ratio", n, max(1.0, r)) for n, r in case.ratios.items()]
        knowns += [Known("outlet_pressure", n, p) for n, p in case.held.items()]
        self.system = System(self.net, knowns, cell=FINE)
        self.base = at_rest(self.system, System(self.net, knowns))
        set_step(self.system, self.base, STEP)
        self.closed = Closed(self.system, self.system.fix(), transient=True)
        self.batch = Batch(self.closed, self.base)
        c = self.system.equations.columns
        self.nodes = [n for n in nodal if n != self.swing_node and c["withdrawal"].index[n] in self.closed.fixed]
        self.given = np.array(
            [c["withdrawal"].index[n] for n in self.nodes] + [c["ratio"].index[n] for n in case.ratios]
        )
        self.W = np.zeros((len(self.nodes), len(self.exchanges)))
        self.at_swing = np.zeros(len(self.exchanges))
        row = {n: k for k, n in enumerate(self.nodes)}
        for k, x in enumerate(self.exchanges):
            for n, share in x.at:
                if n == self.swing_node:
                    self.at_swing[k] += share
                elif n in row:
                    self.W[row[n], k] += share
        self._wanted()

    def _wanted(self):
        """Lay out what each meter reads: a column kept, or an exchange that is given."""
        case, c = self.case, self.system.equations.columns
        place = {(x.quantity, x.where): k for k, x in enumerate(self.exchanges)}
        keep, self.reads = [], []
        for m in nodes_of(case.net, case.meters):
            if m.quantity in FLOWS and m.quantity != "flow" and m.where != case.swing:
                self.reads.append(("given", place[m.quantity, m.where]))
                continue
            if m.where == case.swing and m.quantity in FLOWS:
                column = c["withdrawal"].index[self.swing_node]
            elif m.quantity == "flow":
                column = c["flow"].index[m.where]
            else:
                column = c["pressure"].index[m.where]
            self.reads.append(("swing" if m.where == case.swing and m.quantity in FLOWS else "column", len(keep)))
            keep.append(column)
        self.keep = np.array(keep)

    # ---------------------------------------------------------------- days

    def plan(self, days, seed, hours):
        """Draw what happens on days side by side: exchanges (n_step, days, n_exchange), ratios (.., n_station)."""
        r = np.random.default_rng(seed)
        n = round(3600.0 * hours / STEP)
        t = (np.arange(1, n + 1) * STEP / 3600.0)[:, None] + r.uniform(0.0, 24.0, days)[None, :]
        k = np.floor(t).astype(int) % 24
        share = t - np.floor(t)
        u = np.empty((n, days, len(self.exchanges)), np.float64)
        keep = np.exp(-STEP / MEMORY)
        wander = np.empty((n, days, len(self.exchanges)))
        now = r.standard_normal((days, len(self.exchanges)))
        for i in range(n):
            now = keep * now + np.sqrt(1.0 - keep**2) * r.standard_normal(now.shape)
            wander[i] = now
        smooth = np.exp(-STEP / 600.0)
        for i in range(1, n):  # gas is not taken by the second: a first-order lag of ten minutes
            wander[i] = smooth * wander[i - 1] + (1.0 - smooth) * wander[i]
        for j, x in enumerate(self.exchanges):
            h = self.case.hourly[x.quantity, x.where]
            u[..., j] = ((1.0 - share) * h[k] + share * h[(k + 1) % 24]) * (1.0 + WANDER * wander[..., j])
        return u, self._starts_and_stops(r, n, days)

    def _starts_and_stops(self, r, n, days):
        names = list(self.case.ratios)
        lift = np.array([max(1.0, x) for x in self.case.ratios.values()])
        out = np.broadcast_to(lift, (n, days, len(names))).copy()
        running = np.flatnonzero(lift > 1.02)
        per_day = round(86400.0 / STEP)
        for d in range(days):
            for begin in range(0, n, per_day):
                for s in r.choice(running, min(2, running.size), replace=False):
                    a = begin + int(r.integers(0, per_day // 2))
                    b = a + int(r.integers(round(3600.0 / STEP), round(4 * 3600.0 / STEP)))
                    t = np.arange(n)
                    ramp = RAMP / STEP
                    gone = np.clip((t - a) / ramp, 0.0, 1.0) - np.clip((t - b) / ramp, 0.0, 1.0)
                    out[:, d, s] *= 1.0 - r.uniform(*STOPPED) * gone
        return out

    def run(self, plan, start=None, leaks=()):
        """Run days: exact readings (n_day, n_step + 1, n_meter) every STEP, and the last states.

        leaks  for each day (node, [kg/s], step from which on), or None
        """
        u, ratios = plan
        values = np.concatenate([u @ self.W.T, ratios], axis=2)
        row = {n: k for k, n in enumerate(self.nodes)}
        for d, leak in enumerate(leaks):
            if leak is not None:
                values[leak[2] :, d, row[leak[0]]] += leak[1]
        begin = self.base if start is None else start
        days = self.batch.march(begin, STEP, self.given, values, self.keep)
        if (days.status != CONVERGED).any():
            msg = f"{int((days.status != CONVERGED).sum())} days of {len(days.status)} found no answer"
            raise RuntimeError(msg)
        out = np.empty((*days.x.shape[:2], len(self.reads)))
        flow = np.concatenate([u[:1], u]).transpose(1, 0, 2)
        others = flow @ self.at_swing
        for j, (kind, k) in enumerate(self.reads):
            if kind == "given":
                out[..., j] = flow[..., k]
            elif kind == "column":
                out[..., j] = days.x[..., k]
            else:
                own = next(i for i, x in enumerate(self.exchanges) if x.where == self.case.swing)
                out[..., j] = -(days.x[..., k] - (others - self.at_swing[own] * flow[..., own]))
        return out, days.end


def read(case, exact, seed, scan=60.0):
    """Return readings (n_scan, n_meter) of one day from its exact course (n_step + 1, n_meter), by the meters' seeds.

    seed  (of the biases, of the noise): biases stay with a station, noise is new every day
    """
    flow = np.array([m.quantity in FLOWS for m in case.meters])
    bias = np.array([m.bias for m in case.meters])
    stays = np.random.default_rng(seed[0])
    off = np.where(flow, stays.uniform(-1.0, 1.0, bias.size) * bias, stays.standard_normal(bias.size) * bias / 2.0)
    r = np.random.default_rng(seed[1])
    n = (exact.shape[0] - 1) * STEP / scan
    at = (np.arange(1, int(n) + 1) * scan)[:, None] + JITTER * r.standard_normal((int(n), bias.size))
    at = np.clip(at / STEP, 0.0, exact.shape[0] - 1.000001)
    k = at.astype(int)
    j = np.arange(bias.size)[None, :]
    true = exact[k, j] + (at - k) * (exact[k + 1, j] - exact[k, j])
    sigma = np.hypot([m.sigma for m in case.meters], np.array([m.share for m in case.meters]) * true)
    return true + np.where(flow, off * true, off) + sigma * r.standard_normal(true.shape)
