# SPDX-License-Identifier: Apache-2.0
"""The rows of the relaxation: every law of the gas network between straight lines, every choice a whole number.

Columns: u of every node, the flow x of every chain of edges (its other edges are sign x + offset), what leaves at nodes
that are free, fuel, and one 0/1 for each mode of a device. A law that is exact in u and m is kept exact; each other one
lies between lines that never exclude it (`nomination_curves`). "Big M" constants come from the bounds of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.nomination_curves import FLOOR, Band, Line, band, outside, sampled
from serai.dispatch.nomination_model import BAR, HIGHEST
from serai.dispatch.nomination_program import INFINITY, TINY, Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.dispatch.nomination_bounds import Bounds, Chain
    from serai.dispatch.nomination_machines import Envelope
    from serai.dispatch.nomination_model import Edge, Task
    from serai.network import Table

    Floats = NDArray[np.float64]
    Terms = list[tuple[int, float]]

MARGIN, MARGIN_SHARE = 0.5 * BAR, 0.2  # Pa, and share of the range: how far inside its limits a node would like to be
SURE = 0.2  # kg/s: above it a constant loss counts as lost
DEVICES = ("valve", "check", "control", "station")
FLAT = 1e-9  # kg/s: a flow with less room is known


@dataclass
class Limit:
    """One pressure limit and its rows: `side` is "low" or "high", `of` the element that it belongs to."""

    of: str
    side: str
    node: int
    value: float
    rows: list[int] = field(default_factory=list)


@dataclass
class Rows:
    """A relaxation under construction, for given bounds.

    pieces   chain -> number of pieces into which its range of flow is cut
    dropped  (element, side) of pressure limits of stations and control valves that are left out
    slack    column: by how much [bar] all pressure limits are broken; margin column: share of MARGIN kept inside
    modes    element -> mode ("open", "active") -> its 0/1 column
    """

    task: Task
    bounds: Bounds
    chains: Sequence[Chain]
    envelopes: Mapping[str, Envelope]
    pieces: Mapping[int, int]
    dropped: frozenset[tuple[str, str]] = frozenset()
    program: Program = field(default_factory=Program)
    modes: dict[str, dict[str, int]] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Add all columns and rows."""
        p, t, b = self.program, self.task, self.bounds
        self.slack = p.column(0.0, b.slack / BAR)
        self.margin = p.column(0.0, 1.0)
        self.u = [p.column(float(low), float(high)) for low, high in b.u]
        self._flows()
        self.fuel = {d.name: p.column(0.0, self._most_fuel(d.station) / d.heat) for d in t.drives}
        self._balances()
        for k, e in enumerate(t.edges):
            getattr(self, f"_{e.kind}")(k, e)
        for d in t.drives:
            p.row([(self.fuel[d.name], 1.0), (self.modes[d.station]["active"], -p.high[self.fuel[d.name]])], high=0.0)
        self._node_limits()

    # ------------------------------------------------------------------------------------------------------- flows

    def _flows(self) -> None:
        """Add the flow of each chain, cut into pieces where asked; edges with one possible flow get a constant."""
        p, m = self.program, self.bounds.m
        self.flow: list[tuple[int, float, float]] = [(-1, 0.0, float(m[k].mean())) for k in range(len(m))]
        self.cut: dict[int, tuple[Floats, list[int], list[int]]] = {}
        self.chain_of: dict[int, int] = {}
        for number, c in enumerate(self.chains):
            low, high = (float(x) for x in m[c.edges[0]])
            if high - low <= FLAT:
                continue
            x = p.column(low, high)
            for k, s, o in zip(c.edges, c.sign, c.offset, strict=True):
                self.flow[k] = (x, s, o)
                self.chain_of[k] = number
            if self.pieces.get(number, 1) > 1:
                self.cut[number] = self._cut(x, low, high, self.pieces[number])

    def _cut(self, x: int, low: float, high: float, count: int) -> tuple[Floats, list[int], list[int]]:
        """Cut a flow into pieces that fill up one after the other; return break points, parts and their switches."""
        p = self.program
        at = np.linspace(low, high, count + 1)
        if low < 0.0 < high:  # one break at rest: the direction is a choice of its own
            at[int(np.clip(np.argmin(np.abs(at)), 1, count - 1))] = 0.0
        length = np.diff(at)
        part = [p.column(0.0, float(d)) for d in length]
        full = [p.column(0.0, 1.0, whole=True) for _ in length[1:]]
        p.row([(x, 1.0), *((c, -1.0) for c in part)], low, low)
        for k, z in enumerate(full):
            p.row([(part[k], 1.0), (z, -float(length[k]))], low=0.0)
            p.row([(part[k + 1], 1.0), (z, -float(length[k + 1]))], high=0.0)
        return at, part, full

    def through(self, k: int, times: float = 1.0) -> tuple[Terms, float]:
        """Return times m of edge k as terms and a constant."""
        column, sign, offset = self.flow[k]
        return ([] if column < 0 else [(column, times * sign)]), times * offset

    def _bound_flow(self, k: int, more: Terms, *, low: float = -INFINITY, high: float = INFINITY) -> None:
        """Add low <= m[k] + more <= high."""
        terms, constant = self.through(k)
        self.program.row([*terms, *more], low - constant, high - constant)

    def _balances(self) -> None:
        t, p = self.task, self.program
        ins: list[Terms] = [[] for _ in t.names]
        rest = np.zeros(len(t.names))
        for k, e in enumerate(t.edges):
            for node, sign in ((e.start, -1.0), (e.end, 1.0)):
                terms, constant = self.through(k, sign)
                ins[node] += terms
                rest[node] += constant
        for d in t.drives:
            ins[d.node].append((self.fuel[d.name], -1.0))
        spare = sum(p.high[c] for c in self.fuel.values())
        for node, terms in enumerate(ins):
            low, high = (float(x) for x in t.draw[node])
            if node == t.swing_node:
                low -= spare
            summed = _summed(terms)
            if any(abs(v) > TINY for _, v in summed):  # else every flow there is known, and balances
                p.row(summed, low - float(rest[node]), high - float(rest[node]))

    def _most_fuel(self, station: str) -> float:
        """Return the most shaft power [W] that a station can take, from its limits and the bounds."""
        t = self.task
        k = next(k for k, e in enumerate(t.edges) if e.kind == "station" and e.element == station)
        e, table = t.edges[k], t.network.active("compressors")
        p_in, p_out = (t.fluid.p(self.bounds.u[n]) for n in (e.start, e.end))
        low = max(float(p_in[0]), BAR)
        envelope = self.envelopes[station]
        lift = max(1.0, min(float(p_out[1]) / low, envelope.ratio_max))
        zrt = float(np.max(np.array([low, p_in[1]]) / t.fluid.rho(np.array([low, p_in[1]]))))
        x = (t.kappa - 1.0) / t.kappa
        power = max(float(self.bounds.m[k, 1]), 0.0) * zrt / x * (lift**x - 1.0) / t.efficiency[station]
        most = float(table["power_max"][table.row(station)])
        return float(min(power, most)) if np.isfinite(most) else float(power)

    # -------------------------------------------------------------------------------------------------------- laws

    def _curve(self, k: int, e: Edge, low: Sequence[tuple[Terms, float]], high: Sequence[tuple[Terms, float]]) -> None:
        """Add rows low <= curve(m) <= high for expressions (terms, constant): drop at least, drop at most.

        Every expression in `low` is at most the curve's upper lines, every one in `high` at least its lower lines.
        """
        assert e.curve is not None  # noqa: S101 - pipes and drags have one
        p = self.program
        m_low, m_high = (float(x) for x in self.bounds.m[k])
        x, y = sampled(e.curve, m_low, m_high)
        below, above = outside(x, y) if m_high - m_low > FLAT else ([], [])
        if not below:
            value, spare = float(y[len(y) // 2]), float(np.ptp(y))
            if len(low) == len(high) == 1 and low[0] == high[0] and spare < FLOOR:
                p.row(low[0][0], value - low[0][1], value - low[0][1])
                return
            spare += FLOOR
            for terms, constant in low:
                p.row(terms, high=value + spare - constant)
            for terms, constant in high:
                p.row(terms, low=value - spare - constant)
            return
        for lines, sides, sign in ((above, low, 1.0), (below, high, -1.0)):
            for line in lines:
                flow, offset = self.through(k, -sign * line.slope)
                for terms, constant in sides:
                    p.row([*((c, sign * v) for c, v in terms), *flow], high=sign * (line.offset - constant) - offset)
        if k in self.chain_of and self.chain_of[k] in self.cut:
            self._pieces(k, e, low, high)

    def _pieces(self, k: int, e: Edge, low: Sequence[tuple[Terms, float]], high: Sequence[tuple[Terms, float]]) -> None:
        """Tie an edge to the pieces of its chain: along each piece the curve lies in a narrow band."""
        assert e.curve is not None  # noqa: S101 - pipes and drags have one
        p = self.program
        at, part, full = self.cut[self.chain_of[k]]
        _, sign, offset = self.flow[k]
        bands: list[Band] = [band(*sampled(lambda c: e.curve(sign * c + offset), a, b, 17)) for a, b in pairwise(at)]  # type: ignore[misc]
        first = float(e.curve(np.array([sign * at[0] + offset]))[0])
        start = first  # the interpolated value at the beginning of each piece
        deviation = []
        for a, b_k, length in zip(at[:-1], bands, np.diff(at), strict=True):
            deviation.append((b_k.below + b_k.slope * a - start, b_k.above + b_k.slope * a - start))
            start += b_k.slope * length
        along: Terms = [(c, -b_k.slope) for c, b_k in zip(part, bands, strict=True)]
        for side, sides in ((1, low), (0, high)):
            constant, switch = first + deviation[0][side], []
            for z, before, after in zip(full, deviation, deviation[1:], strict=False):
                switch.append((z, before[side] - after[side]))
            for terms, given in sides:
                row = _summed([*terms, *along, *switch])
                if side:
                    p.row(row, high=constant - given)
                else:
                    p.row(row, low=constant - given)

    def _pipe(self, k: int, e: Edge) -> None:
        """u1 - u2 = R(m), with bands for height and a temperature of its own."""
        a, b = (self._end(e, node, sign) for node, sign in ((e.start, 1.0), (e.end, -1.0)))
        terms: Terms = [(self.u[e.start], a.slope), (self.u[e.end], -b.slope)]
        self._curve(k, e, [(terms, a.below - b.above)], [(terms, a.above - b.below)])

    def _end(self, e: Edge, node: int, sign: float) -> Band:
        """Return the band of one end: u itself on level ground, else less (start) or more (end) half its weight."""
        if e.height == 0.0 and e.own is None:
            return Band(1.0, 0.0, 0.0)
        t, own = self.task, e.own or self.task.fluid
        low, high = (float(x) for x in self.bounds.u[node])
        u = np.linspace(low, high, 33)
        p = t.fluid.p(u)
        g = own.u(p) * own.reference - sign * e.height * own.rho(p) ** 2 / 2.0
        return (
            band(u, g / t.fluid.reference) if high > low else Band(1.0, *(2 * [float(g[0]) / t.fluid.reference - low]))
        )

    def _drag(self, k: int, e: Edge) -> None:
        """rho_in (p1 - p2) = k m|m| = Y: u1 - u2 is at most Y, and at least what Y costs at the lowest inlet."""
        assert e.curve is not None  # noqa: S101 - drags have one
        whole = e.curve
        terms: Terms = [(self.u[e.start], 1.0), (self.u[e.end], -1.0)]

        def least(x: Floats) -> Floats:
            y = whole(x)
            return np.where(x >= 0.0, self._thinned(e.start, np.abs(y)), y)

        def most(x: Floats) -> Floats:
            y = whole(x)
            return np.where(x >= 0.0, y, -self._thinned(e.end, np.abs(y)))

        self._curve(k, replace(e, curve=least), [], [(terms, 0.0)])
        self._curve(k, replace(e, curve=most), [(terms, 0.0)], [])

    def _thinned(self, inlet: int, y: Floats) -> Floats:
        """Return the drop in u of drags y [u] when their inlet has the lowest pressure that it may have.

        The drop over y is the mean density over that at the inlet: it falls with the pressure of the inlet, and is
        never below the mean from nothing to the inlet, about a half.
        """
        f = self.task.fluid
        p = float(f.p(self.bounds.u[inlet, 0]))
        rho = float(f.rho(p))
        low = p - y * f.reference / rho
        places = np.linspace(BAR, HIGHEST + 70.0 * BAR, 200)
        half = float(np.min(f.u(places) * f.reference / (f.rho(places) * places))) * (1.0 - 1e-4)
        return np.where(low > 0.0, np.maximum(f.u(p) - f.u(np.maximum(low, 0.0)), half * y), half * y) * (1.0 - 1e-9)

    def _constant(self, k: int, e: Edge) -> None:
        """p1 - p2 = xi sgn(m): u1 - u2 is xi times a density between both ends; nothing is sure of a tiny flow."""
        t, p = self.task, self.program
        m_low, m_high = (float(x) for x in self.bounds.m[k])
        xi = e.loss / t.fluid.reference
        dense = {n: self._density(n) for n in (e.start, e.end)}
        ends = [(self.u[e.start], 1.0), (self.u[e.end], -1.0)]
        for sign, inlet, outlet in ((1.0, e.start, e.end), (-1.0, e.end, e.start)):
            most = m_high if sign > 0 else -m_low
            drop: Terms = [(c, sign * v) for c, v in ends]
            top = xi * float(t.fluid.rho(t.fluid.p(self.bounds.u[[inlet, outlet], 1].max())))
            if most <= 0.0:
                p.row(drop, high=0.0)
                continue
            for line in dense[inlet][1]:  # in this direction never more than xi rho(inlet)
                if m_low >= 0.0 or m_high <= 0.0:
                    p.row(_summed([*drop, (self.u[inlet], -xi * line.slope)]), high=xi * line.offset)
            p.row(drop, high=top)
            sure = SURE / float(np.hypot(SURE, 0.01))
            line = dense[outlet][0][0]
            least: Terms = _summed([*drop, (self.u[outlet], -xi * sure * line.slope)])
            if (m_low if sign > 0 else -m_high) >= SURE:
                p.row(least, low=xi * sure * line.offset)
                continue
            b = p.column(0.0, 1.0, whole=True)
            terms, constant = self.through(k, sign)
            p.row([*terms, (b, SURE - most)], high=SURE - constant)
            big = 1.01 * top + max(0.0, float(self._most_drop(outlet, inlet)))
            p.row([*least, (b, -big)], low=xi * sure * line.offset - big)

    def _density(self, node: int) -> tuple[list[Line], list[Line]]:
        """Return lines below and above rho [kg/m3] over u of a node; below, the chord alone (rho is concave in u)."""
        t = self.task
        low, high = (float(x) for x in self.bounds.u[node])
        x, y = sampled(lambda u: t.fluid.rho(t.fluid.p(u)), low, high)
        below, above = outside(x, y)
        chord = max(below, key=lambda line: line.slope * (low + high) / 2.0 + line.offset)
        return [chord], above

    def _most_drop(self, a: int, b: int) -> float:
        """Return the largest u_a - u_b."""
        return float(self.bounds.u[a, 1] - self.bounds.u[b, 0])

    def _short(self, _: int, e: Edge) -> None:
        self.program.row([(self.u[e.start], 1.0), (self.u[e.end], -1.0)], 0.0, 0.0)

    # ----------------------------------------------------------------------------------------------------- devices

    def _switch(self, e: Edge, *modes: str) -> dict[str, int]:
        """Add the 0/1 columns of a device; without any it is closed."""
        p = self.program
        self.modes[e.element] = {mode: p.column(0.0, 1.0, whole=True) for mode in modes}
        if len(modes) > 1:
            p.row([(c, 1.0) for c in self.modes[e.element].values()], high=1.0)
        return self.modes[e.element]

    def _passes(self, k: int, ranges: Mapping[int, tuple[float, float]]) -> None:
        """Let an edge carry what its mode allows: 0/1 column -> range of flow; nothing when all are 0."""
        low, high = (float(x) for x in self.bounds.m[k])
        self._bound_flow(k, [(c, -max(a, low)) for c, (a, _) in ranges.items()], low=0.0)
        self._bound_flow(k, [(c, -min(b, high)) for c, (_, b) in ranges.items()], high=0.0)

    def _within(self, e: Edge, columns: Sequence[int], *, least: float = -INFINITY, most: float = INFINITY) -> None:
        """Keep least <= u_start - u_end <= most while one of the 0/1 columns is 1."""
        p = self.program
        drop: Terms = [(self.u[e.start], 1.0), (self.u[e.end], -1.0)]
        if most < INFINITY:
            big = self._most_drop(e.start, e.end) - most
            if big > 0.0:
                p.row([*drop, *((c, big) for c in columns)], high=most + big)
        if least > -INFINITY:
            big = least + self._most_drop(e.end, e.start)
            if big > 0.0:
                p.row([*drop, *((c, -big) for c in columns)], low=least - big)

    def _valve(self, k: int, e: Edge) -> None:
        modes = self._switch(e, "open")
        self._passes(k, {modes["open"]: (e.flow_low, e.flow_high)})
        self._within(e, [modes["open"]], least=0.0, most=0.0)

    def _check(self, k: int, e: Edge) -> None:
        """Open it carries forwards; closed the pressure behind it is at least that before it."""
        modes = self._switch(e, "open")
        self._passes(k, {modes["open"]: (0.0, e.flow_high)})
        self._within(e, [modes["open"]], least=0.0)
        self.program.row([(self.u[e.start], 1.0), (self.u[e.end], -1.0)], high=0.0)

    def _control(self, k: int, e: Edge) -> None:
        """Active it lowers the pressure between its least and largest difference; open it does nothing."""
        t, table = self.task, self.task.network.active("control_valves")
        least, most = (float(table[f"pressure_differential_{s}"][e.row]) for s in ("min", "max"))
        least = 0.0 if np.isnan(least) else max(least, 0.0)
        twofold = e.flow_low < 0.0 or least > 0.0
        modes = self._switch(e, *(("open", "active") if twofold else ("active",)))
        ranges = {modes["active"]: (max(e.flow_low, 0.0), e.flow_high)}
        if "open" in modes:
            ranges[modes["open"]] = (e.flow_low, e.flow_high)
            self._within(e, [modes["open"]], most=0.0)
            self._within(e, [modes["open"]], least=0.0)
        self._passes(k, ranges)
        thin = float(t.fluid.rho(t.fluid.p(self.bounds.u[e.end, 0]))) / t.fluid.reference
        dense = float(t.fluid.rho(t.fluid.p(self.bounds.u[e.start, 1]))) / t.fluid.reference
        self._within(e, [modes["active"]], least=least * thin)
        if np.isfinite(most):
            self._within(e, [modes["active"]], most=most * dense)
        self._end_limits(e, table, list(modes.values()))

    def _station(self, k: int, e: Edge) -> None:
        """Running it raises the pressure within its envelope; open it does nothing; closed it carries nothing."""
        t, table = self.task, self.task.network.active("compressors")
        modes = self._switch(e, "open", "active")
        envelope = self.envelopes[e.element]
        runs = modes["active"]
        low, high = max(e.flow_low, 0.0, envelope.flow_min), min(e.flow_high, envelope.flow_max)
        self._passes(k, {modes["open"]: (e.flow_low, e.flow_high), runs: (low, high)})
        self._within(e, [modes["open"]], least=0.0)
        self._within(e, [modes["open"], runs], most=0.0)
        ua = np.linspace(self.bounds.u[e.start, 0], self.bounds.u[e.start, 1], 33)
        p_in = t.fluid.p(ua)
        most = min(envelope.ratio_max, self._powered(e, max(low, float(self.bounds.m[k, 0])), p_in))
        for ratio, sign in ((most, 1.0), (envelope.ratio_min, -1.0)):
            if not np.isfinite(ratio) or (sign < 0.0 and ratio <= 1.0):
                continue
            below, above = outside(ua, t.fluid.u(p_in * ratio)) if ua[-1] > ua[0] else ([], [])
            for line in above[:1] if sign > 0 else below[:1]:
                self._lift(e, runs, line, sign)
        self._end_limits(e, table, list(modes.values()))

    def _powered(self, e: Edge, least: float, p_in: Floats) -> float:
        """Return the largest ratio that the installed power gives to the least flow [kg/s]; inlets p_in [Pa] (n,)."""
        t, table = self.task, self.task.network.active("compressors")
        power = float(table["power_max"][e.row])
        if not np.isfinite(power) or least <= 0.0:
            return np.inf
        p = np.maximum(p_in, 1.0)
        x = (t.kappa - 1.0) / t.kappa
        zrt = float(np.min(p / t.fluid.rho(p))) * (1.0 - 1e-4)
        return float((1.0 + x * power * t.efficiency[e.element] / (least * zrt)) ** (1.0 / x)) * (1.0 + 1e-6)

    def _lift(self, e: Edge, runs: int, line: Line, sign: float) -> None:
        """Keep u_end below (sign 1) or above (-1) slope u_start + offset while the station runs."""
        span = self.bounds.u[e.start]
        at = [line.slope * float(x) + line.offset for x in span]
        big = float(self.bounds.u[e.end, 1]) - min(at) if sign > 0 else max(at) - float(self.bounds.u[e.end, 0])
        big = max(big, 0.0)
        terms: Terms = [(self.u[e.end], sign), (self.u[e.start], -sign * line.slope), (runs, big)]
        self.program.row(terms, high=sign * line.offset + big)

    def _end_limits(self, e: Edge, table: Table, columns: list[int]) -> None:
        """Keep inlet and outlet limits of a station or control valve at its own nodes while it is not closed."""
        t = self.task
        at = {n: k for k, n in enumerate(t.names)}
        for side, column, end in (("low", "pressure_in_min", "from_node"), ("high", "pressure_out_max", "to_node")):
            value = float(table[column][e.row])
            if np.isfinite(value) and (e.element, side) not in self.dropped:
                self._limit(Limit(e.element, side, at[str(table[end][e.row])], value), columns)

    # ------------------------------------------------------------------------------------------------------ limits

    def _node_limits(self) -> None:
        t = self.task
        for k, name in enumerate(t.names):
            for side, (value, given) in enumerate(((t.low[k], t.limited[k, 0]), (t.high[k], t.limited[k, 1]))):
                if given:
                    self._limit(Limit(name, ("low", "high")[side], k, float(value)), [])

    def _limit(self, limit: Limit, columns: list[int]) -> None:
        """Add a pressure limit, softened by the slack and sharpened by the margin; `columns`: only while one is 1."""
        t, p, f = self.task, self.program, self.task.fluid
        k, value = limit.node, limit.value
        lows, highs = t.low[k], t.high[k]
        room = min(MARGIN, MARGIN_SHARE * max(float(highs - lows), 0.0))
        if limit.side == "low":
            soft = float(f.rho(value)) * BAR / f.reference  # Phi is convex: its tangent lies below
            big = max(0.0, float(f.u(value + room) - self.bounds.u[k, 0]))
            inside = float(f.u(value + room) - f.u(value))
            terms = [(self.u[k], 1.0), (self.slack, soft), (self.margin, -inside)]
            gate = [(c, -big) for c in columns]
            row = p.row([*terms, *gate], low=float(f.u(value)) - (big if columns else 0.0))
        else:
            width = max(self.bounds.slack, 1.0)
            soft = float(f.u(value + width) - f.u(value)) / width * BAR  # the chord lies above
            inside = float(f.u(value) - f.u(value - room))
            big = max(0.0, float(self.bounds.u[k, 1] - f.u(value - room)))
            terms = [(self.u[k], 1.0), (self.slack, -soft), (self.margin, inside)]
            gate = [(c, big) for c in columns]
            row = p.row([*terms, *gate], high=float(f.u(value)) + (big if columns else 0.0))
        limit.rows.append(row)
        self.limits.append(limit)


def _summed(terms: Terms) -> Terms:
    """Add up terms of one column."""
    out: dict[int, float] = {}
    for c, v in terms:
        out[c] = out.get(c, 0.0) + v
    return list(out.items())


__all__ = ["Limit", "Rows"]
