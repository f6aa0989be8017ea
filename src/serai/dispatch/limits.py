# SPDX-License-Identifier: Apache-2.0
"""What a state must keep: a range for each column, and rows that are functions of several columns.

The ranges are those that `Result.breaks` checks: node pressures, flows, supplies, offtakes, station ratio, power, inlet
and outlet pressure, voltages, active and reactive power of generators. Beside them, what an element cannot do: a
compressor, an open control valve and a check valve carry no flow backwards, a station does not expand (ratio below 1),
a control valve does not raise a pressure. Rows: the loading of grid branches, the gas left in the pipes at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array

from serai.simulate.certificate import stored
from serai.system.gas import JOINING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from serai.dispatch.horizon import Horizon
    from serai.system import Fixed, System

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]


NET_SUPPLY = "net supply"  # of a node: its supplies less its offtakes; the only quantity that is said with turned sign


@dataclass
class Ranges:
    """Low and high (n_column,), SI, of every column; +-inf = free. `source[column, side]` says which limit it is."""

    low: Floats
    high: Floats
    source: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)

    def narrow(self, column: int, low: float, high: float, what: tuple[str, str]) -> None:
        """Keep the tighter of the present range and (low, high) for a column; nan = no limit; `what` names it."""
        if low > self.low[column]:
            self.low[column] = low
            self.source[column, "low"] = what
        if high < self.high[column]:
            self.high[column] = high
            self.source[column, "high"] = what

    def free(self, column: int) -> None:
        """Take the limits of a column away."""
        self.low[column], self.high[column] = -np.inf, np.inf


def ranges(system: System, fixed: Mapping[int, Fixed]) -> Ranges:
    """Return the ranges of all columns of a system; an element whose flow is fixed at 0 is closed: it has no others."""
    n = system.equations.columns.size
    r = Ranges(np.full(n, -np.inf), np.full(n, np.inf))
    if system.gas.names:
        _nodes(r, system)
        _terminals(r, system)
        _edges(r, system, fixed)
    if system.power.names:
        _grid(r, system, fixed)
    return r


def _nodes(r: Ranges, system: System) -> None:
    t, p = system.network.active("gas_nodes"), system.equations.columns["pressure"]
    for k, name in enumerate(t.names):
        if name in p.index:
            r.narrow(p.index[name], t["pressure_min"][k], t["pressure_max"][k], ("pressure", name))


def _terminals(r: Ranges, system: System) -> None:
    """Sum the flow limits of the supplies and offtakes of each node; a Known one counts with its value."""
    w, net = system.equations.columns["withdrawal"], system.network
    known = {(k.where, k.quantity): k.value for k in system.knowns}
    sums: dict[int, list[float]] = {}
    names: dict[int, str] = {}
    for kind, quantity, sign in (("supplies", "supply", -1.0), ("offtakes", "withdrawal", 1.0)):
        t = net.active(kind)
        for k, name in enumerate(t.names):
            node = system.gas.node.get(str(t["node"][k]))
            if node is None:
                continue
            value = known.get((name, quantity))
            least, most = (t["flow_min"][k], t["flow_max"][k]) if value is None else (value, value)
            least = 0.0 if np.isnan(least) else least
            most = np.inf if np.isnan(most) else most
            total = sums.setdefault(node, [0.0, 0.0])
            total[0] += min(sign * least, sign * most)
            total[1] += max(sign * least, sign * most)
            if value is None:
                names[node] = name
    for node, name in names.items():  # where all are known, the column is data
        quantity = NET_SUPPLY if name in net["supplies"] else "net withdrawal"
        r.narrow(w.first + node, sums[node][0], sums[node][1], (quantity, name))


def _edges(r: Ranges, system: System, fixed: Mapping[int, Fixed]) -> None:
    c, net = system.equations.columns, system.network
    m = c["flow"]
    for k, e in enumerate(system.gas.edges):
        if e.kind not in JOINING:
            continue
        column = m.first + k
        shut = column in fixed and fixed[column].value == 0.0
        t = net.active(e.kind)
        if not shut:
            r.narrow(column, t["flow_min"][e.row], t["flow_max"][e.row], ("flow", e.element))
            least = t["flow_min"][e.row]
            if e.kind == "check_valves" or (e.kind in ("compressors", "control_valves") and not least < 0.0):
                r.narrow(column, 0.0, np.inf, ("flow", e.element))
        if e.kind == "compressors" and not shut:
            ratio, power = c["ratio"].index[e.name], c["power"].index[e.name]
            r.narrow(ratio, 1.0, t["ratio_max"][e.row], ("ratio", e.element))
            r.narrow(power, -np.inf, t["power_max"][e.row], ("power", e.element))
        if e.kind == "control_valves" and not shut:
            drop = c["drop"].index[e.name]
            r.narrow(drop, 0.0, t["pressure_differential_max"][e.row], ("pressure_drop", e.element))
        if e.kind in ("compressors", "control_valves") and not shut:
            _ends(r, system, e.kind, e.row)


def _ends(r: Ranges, system: System, kind: str, row: int) -> None:
    """Limit the inlet and outlet pressures of a station."""
    t, p = system.network.active(kind), system.equations.columns["pressure"]
    name = t.names[row]
    inlet, outlet = (system.gas.node[str(t[end][row])] for end in ("from_node", "to_node"))
    r.narrow(p.first + inlet, t["pressure_in_min"][row], np.inf, ("inlet_pressure", name))
    r.narrow(p.first + outlet, -np.inf, t["pressure_out_max"][row], ("outlet_pressure", name))


def _grid(r: Ranges, system: System, fixed: Mapping[int, Fixed]) -> None:
    net, c, g = system.network, system.equations.columns, system.power
    buses = net.active("buses")
    for k, name in enumerate(buses.names):
        node = g.at(name)
        if node >= 0:
            limits = buses["magnitude_min"][k], buses["magnitude_max"][k]
            r.narrow(c["magnitude"].first + node, *limits, ("magnitude", name))
    t = net.active("generators")
    top = net.limit("generators", "active_power_max", t)
    for k, name in enumerate(t.names):
        if g.at(name) < 0:
            continue
        column = c["active_power"].index[name]
        if column not in fixed or fixed[column].value != 0.0:  # a unit that stands is not below its smallest output
            r.narrow(column, t["active_power_min"][k], top[k], ("active_power", name))
        if c["magnitude"].first + g.at(name) in fixed:  # a voltage that is not chosen is let go at a reactive limit
            continue
        limits = t["reactive_power_min"][k], t["reactive_power_max"][k]
        r.narrow(c["reactive_power"].index[name], *limits, ("reactive_power", name))


# ----------------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Row:
    """Limits on functions of a state: low <= g(X) <= high, all scaled so that a violation of 1 is a gross one.

    names      (quantity, element) of each of the n functions
    at         X (T, n_column) -> values (n,) and slopes (n, T n_free) in the horizon's coordinates
    unit       SI of one in a value
    """

    names: tuple[tuple[str, str], ...]
    low: Floats
    high: Floats
    unit: float
    at: Callable[[Floats], tuple[Floats, csr_array]]


def loading(horizon: Horizon, *, of: str = "current", near: tuple[Floats, float] | None = None) -> Row | None:
    """Return the loading of grid branches with a rating, at both ends in every moment: |I| or |S| over it, at most 1.

    of    "current" as `Result.loading` has it, or "apparent power", as MATPOWER's optimal power flow takes it
    near  (states (T, n_column), share): only branches that some of these states load beyond the share
    """
    g = horizon.system.power
    if not g.names:
        return None
    rating = g.branches.rating[g.alive_branch]
    mine = np.flatnonzero(rating > 0.0)
    if near is not None and len(mine):
        all_of_them = loading(horizon, of=of)
        values = all_of_them.at(near[0])[0] if all_of_them is not None else np.empty(0)
        mine = mine[values.reshape(-1, len(mine)).max(axis=0) > near[1]]
    if not len(mine):
        return None
    f, t = (end[mine] for end in g.ends)
    y = [part[g.alive_branch][mine] / rating[mine] for part in g.branches.admittances()]
    names = tuple(("loading", str(n)) for n in g.branches.name[g.alive_branch][mine]) * (2 * horizon.moments)
    rows = _Loading(horizon, (f, t), (y[0], y[1], y[3], y[2]), by_power=of == "apparent power")
    return Row(names, np.full(len(names), -np.inf), np.ones(len(names)), 1.0, rows.at)


@dataclass(frozen=True)
class _Loading:
    horizon: Horizon
    ends: tuple[Ints, Ints]
    y: tuple[Any, Any, Any, Any]  # own and mutual admittance over the rating, at the from and at the to end
    by_power: bool

    def at(self, X: Floats) -> tuple[Floats, csr_array]:
        """Return |I| or |S| over the rating (T 2n,) and the slopes."""
        h, n = self.horizon, len(self.ends[0])
        values, parts = [], []
        for t in range(h.moments):
            for side in (0, 1):
                v, slopes = self._end(X[t], side)
                at = np.arange(n) + (2 * t + side) * n
                values.append(v)
                for columns, slope in slopes:
                    local = h.local[columns]
                    keep = local >= 0
                    parts.append((at[keep], local[keep] + t * h.n, (slope * h.scale[columns])[keep]))
        r, c, v = (np.concatenate(k) for k in zip(*parts, strict=True))
        shape = (2 * n * h.moments, h.n * h.moments)
        return np.concatenate(values), coo_array((v, (r, c)), shape=shape).tocsr()

    def _end(self, x: Floats, side: int) -> tuple[Floats, list[tuple[Ints, Floats]]]:
        """Return the loading at one end and its slopes in angle and magnitude of both, I = own V1 + mutual V2."""
        c = self.horizon.system.equations.columns
        k1, k2 = self.ends[side], self.ends[1 - side]
        own, mutual = self.y[2 * side], self.y[2 * side + 1]
        a, v = c["angle"].first, c["magnitude"].first
        e1, e2 = np.exp(1j * x[a + k1]), np.exp(1j * x[a + k2])
        v1, v2 = x[v + k1], x[v + k2]
        current = own * v1 * e1 + mutual * v2 * e2
        size = np.maximum(np.abs(current), 1e-9)
        turn = np.conj(current) / size
        d = {
            "a1": (turn * 1j * own * v1 * e1).real, "v1": (turn * own * e1).real,
            "a2": (turn * 1j * mutual * v2 * e2).real, "v2": (turn * mutual * e2).real,
        }  # fmt: skip
        if self.by_power:
            d = {k: v1 * s for k, s in d.items()}
            d["v1"] = d["v1"] + size
            size = v1 * size
        return size, [(a + k1, d["a1"]), (v + k1, d["v1"]), (a + k2, d["a2"]), (v + k2, d["v2"])]


def linepack_kept(horizon: Horizon, least: float) -> Row:
    """Return the limit that the pipes hold at least `least` [kg] of gas after the last moment."""
    c = horizon.system.equations.columns["pressure"]

    def at(X: Floats) -> tuple[Floats, csr_array]:
        x = X[-1]
        up, down = x.copy(), x.copy()
        up[c.span] += 1.0  # Pa; the density is a polynomial: a central difference is exact to round-off
        down[c.span] -= 1.0
        slope = np.zeros(len(x))
        slope[c.span] = (stored(horizon.system, up) - stored(horizon.system, down)) / 2.0
        row = (slope * horizon.slope(x) / least)[horizon.free]
        where = np.arange(horizon.n) + (horizon.moments - 1) * horizon.n
        shape = (1, horizon.n * horizon.moments)
        total = float(stored(horizon.system, x).sum()) / least
        return np.array([total]), coo_array((row, (np.zeros(horizon.n, np.intp), where)), shape=shape).tocsr()

    return Row((("linepack at the end", "all pipes"),), np.ones(1), np.full(1, np.inf), least, at)


def ramps(horizon: Horizon, most: Mapping[int, tuple[float, tuple[str, str]]]) -> Row | None:
    """Return the limits |x_t - x_(t-1)| <= most of columns: column -> (most [SI], (quantity, element)).

    The state before the first moment counts as moment 0.
    """
    h, before = horizon, horizon.before
    columns = np.array([c for c in most if h.local[c] >= 0], dtype=np.intp)
    if not len(columns) or before is None:
        return None
    size = np.array([max(most[int(c)][0], 1e-9) for c in columns])
    names = tuple((f"ramp of {most[int(c)][1][0]}", most[int(c)][1][1]) for c in columns) * h.moments
    n, local = len(columns), h.local[columns]

    def at(X: Floats) -> tuple[Floats, csr_array]:
        now = X[:, columns] / size
        past = np.vstack([before[None, columns] / size, now[:-1]])
        slope = h.slope(X[:, columns], columns) / size
        parts = []
        for t in range(h.moments):
            row = np.arange(n) + t * n
            parts.append((row, local + t * h.n, slope[t]))
            if t:
                parts.append((row, local + (t - 1) * h.n, -slope[t - 1]))
        r, c, v = (np.concatenate(k) for k in zip(*parts, strict=True))
        matrix = coo_array((v, (r, c)), shape=(n * h.moments, h.n * h.moments))
        return (now - past).ravel(), matrix.tocsr()

    ones = np.ones(len(names))
    return Row(names, -ones, ones, 1.0, at)


def joined(rows: Iterable[Row | None]) -> list[Row]:
    """Return the rows that exist."""
    return [r for r in rows if r is not None]
