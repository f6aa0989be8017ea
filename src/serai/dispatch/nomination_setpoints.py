# SPDX-License-Identifier: Apache-2.0
"""Set-points for one choice of modes, searched with the exact laws and confirmed by `serai.steady`.

A choice says which valves are shut, which control valves and stations stand open and which are active. What then
remains is continuous: one pressure for every part that hangs together, the ratio of an active station, the drop of an
active control valve, what free supplies give. The search (`sequence`) begins at the point of the relaxation and keeps
limits elastic, so that it ends at set-points that keep all of them or at the smallest violation near there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array

from serai.dispatch.horizon import Horizon
from serai.dispatch.limits import Ranges, Row, ranges
from serai.dispatch.nomination_machines import Adiabatic
from serai.dispatch.nomination_rows import DEVICES
from serai.dispatch.sequence import Found, sequence
from serai.dispatch.sequence import Task as Search
from serai.errors import SeraiError
from serai.known import Known
from serai.simulate.steady import Run, result_of, steady
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serai.dispatch.nomination_machines import Envelope
    from serai.dispatch.nomination_model import Edge, Task
    from serai.dispatch.relaxation import Point
    from serai.simulate.labelled import Result
    from serai.system import Fixed

    Floats = NDArray[np.float64]

OPEN_RATIO = 1e-6  # a station or control valve that changes the pressure by less stands open
HEAD = 100.0  # kJ/kg that count as one in a limit of machines
OUTSIDE = 1e-4  # kJ/kg beyond the border of a diagram that counts as inside, 1e-5 of a head
SOURCE = "nomination check"  # of the Knowns that the search chose
FREE = ("pressure", "ratio", "pressure_drop", "flow", "supply", "withdrawal")


@dataclass(frozen=True)
class Broken:
    """A limit that is not kept: SI value and limit, and the violation as a share of the limit."""

    element: str
    quantity: str
    value: float
    limit: float
    share: float


@dataclass(frozen=True)
class Tried:
    """What one choice led to.

    knowns    set-points found, flows of the nomination included
    result    the steady state that the exact laws give to them, None where they give none
    broken    limits that it does not keep, the worst first
    machines  station -> the configuration that carries it, with the border that is nearest
    reason    why there is no result
    """

    knowns: tuple[Known, ...]
    result: Result | None
    broken: tuple[Broken, ...]
    machines: Mapping[str, str]
    reason: str = ""

    @property
    def worst(self) -> float:
        """The largest violation as a share of its limit; inf without a result."""
        if self.result is None:
            return np.inf
        return max((b.share for b in self.broken), default=0.0)


def attempt(task: Task, point: Point, stations: Mapping[str, Envelope], *, seconds: float) -> Tried:
    """Search set-points for the modes of a point of the relaxation, from that point on."""
    try:
        closed = _Closed(task, point)
        found = sequence(closed.search(stations), seconds=seconds, rounds=40)
        return confirm(task, closed.knowns(found), stations, near=dict(zip(closed.names(), found.X[0], strict=True)))
    except SeraiError as error:
        return Tried((), None, (), {}, str(error))


def confirm(
    task: Task,
    knowns: tuple[Known, ...],
    stations: Mapping[str, Envelope],
    near: Mapping[tuple[str, str], float] | None = None,
) -> Tried:
    """Give set-points to the exact laws, with their modes and their certificate, and look at every limit.

    near  (quantity, element) -> value of a state from which the laws are solved; not given = anew
    """
    try:
        result = _steady(task, knowns, near) if near else steady(task.network, knowns)
    except SeraiError as error:
        return Tried(knowns, None, (), {}, str(error))
    broken = [
        Broken(b.element, b.quantity, b.value, b.limit, abs(b.value - b.limit) / max(abs(b.limit), 1.0))
        for b in result.breaks()
    ]
    more, machines = _beyond(task, result, stations)
    return Tried(knowns, result, tuple(sorted([*broken, *more], key=lambda b: -b.share)), machines)


def _steady(task: Task, knowns: tuple[Known, ...], near: Mapping[tuple[str, str], float]) -> Result:
    """Return what `steady` returns, from a state near its answer."""
    net = task.network
    system = System(net, override(net, net.knowns(), knowns))
    run = Run(system)
    c = system.equations.columns
    names = [(b.quantity, name) for b in c.blocks.values() for name in b.names]
    x = np.array([near.get(name, start) for name, start in zip(names, c.start(), strict=True)])
    run.close(run.modes.fixed, x)
    return result_of(net, system, run.solve().x[None, :], run)


def _beyond(task: Task, result: Result, stations: Mapping[str, Envelope]) -> tuple[list[Broken], dict[str, str]]:
    """Return what `Result.breaks` does not look at: machines, ratings of pipes, differences of control valves."""
    net, out = task.network, []
    p = {str(n): float(v) for n, v in zip(result.pressure["gas_node"].values, result.pressure.values, strict=True)}
    flow = {str(n): float(v) for n, v in zip(result.flow["gas_branch"].values, result.flow.values, strict=True)}
    pipes = net.active("pipes")
    for k, name in enumerate(pipes.names):
        top = float(pipes["pressure_max"][k])
        here = max(p.get(str(pipes[end][k]), 0.0) for end in ("from_node", "to_node"))
        if here > top * (1.0 + 1e-6):
            out.append(Broken(name, "pressure_max", here, top, here / top - 1.0))
    machines = {}
    gas = Adiabatic(task.fluid, task.kappa)
    ratio = dict(zip(net.active("compressors").names, result.ratio.values.tolist(), strict=True)) if stations else {}
    for e in task.edges:
        if e.kind != "station" or not ratio.get(e.element, 1.0) > 1.0 + OPEN_RATIO or flow[e.element] == 0.0:
            continue
        p_in = _inner(task, e.start, p, flow[e.element])
        over, border = stations[e.element].outside(p_in, p_in * ratio[e.element], flow[e.element], gas)
        if stations[e.element].configurations:
            machines[e.element] = border
        if over > OUTSIDE:
            head = gas.head(p_in, p_in * ratio[e.element])
            share = over / max(head - over, 1.0)
            out.append(Broken(e.element, f"machine diagram ({border})", head, head - over, share))
    return out, machines


def _inner(task: Task, node: int, p: Mapping[str, float], flow: float) -> float:
    """Return the pressure [Pa] at a station's inlet, behind the losses in its piping."""
    name = task.names[node]
    if name in p:
        return p[name]
    for e in task.edges:
        if e.end == node and e.kind in ("constant", "drag"):
            before = _inner(task, e.start, p, flow)
            assert e.curve is not None  # noqa: S101 - losses have one
            lost = float(e.curve(np.array([flow]))[0])
            rho = float(task.fluid.rho(before))
            return before - (lost * e.loss if e.kind == "constant" else lost * task.fluid.reference / rho)
    return np.nan


class _Closed:
    """The exact laws, closed by a choice of modes."""

    def __init__(self, task: Task, point: Point) -> None:
        self.task, self.point = task, point
        self.p = task.fluid.p(point.u)
        self.modes = dict(point.modes)
        self.given = [*task.knowns, *self._swings(), *self._devices(), *self._free()]
        network = task.network
        self.base = [k for k in network.knowns() if k.quantity not in ("supply", "withdrawal", "pressure")]
        self.system = System(network, override(network, self.base, self.given))

    def _swings(self) -> list[Known]:
        """Return one pressure for each part that hangs together: at the swing, or at its largest supply or offtake."""
        t = self.task
        group = list(range(len(t.names)))

        def find(k: int) -> int:
            while group[k] != k:
                group[k] = group[group[k]]
                k = group[k]
            return k

        for e in t.edges:  # the losses in the piping of a closed station stay where they are
            if e.kind not in DEVICES or self.modes[e.element] != "closed":
                group[find(e.start)] = find(e.end)
        node = {n: k for k, n in enumerate(t.names)}
        taps: dict[int, list[tuple[float, str, int]]] = {}
        for kind in ("supplies", "offtakes"):
            table = t.network.active(kind)
            for row, name in enumerate(table.names):
                at = node[str(table["node"][row])]
                size = np.inf if name == t.swing else abs(float(t.draw[at, 0]))
                taps.setdefault(find(at), []).append((size, name, at))
        self._hang(group, find, set(taps))
        return [Known("pressure", n, float(self.p[at]), source=SOURCE) for _, n, at in map(max, taps.values())]

    def _hang(self, group: list[int], find: Callable[[int], int], tapped: set[int]) -> None:
        """Join every part without any tap to one of its neighbours: it carries nothing, but has a pressure.

        Valves before control valves and stations; a control valve whose limits the pressure beside it would break is
        active instead of open.
        """
        t = self.task
        shut = [e for e in t.edges if e.kind in DEVICES and self.modes[e.element] == "closed"]
        for e in sorted(shut, key=lambda e: ("valve", "check", "control", "station").index(e.kind)):
            a, b = find(e.start), find(e.end)
            if a == b or (a in tapped) == (b in tapped):
                continue
            beside, part = (e.start, b) if a in tapped else (e.end, a)
            nodes = [k for k in range(len(group)) if find(k) == part]
            mode, pressure = self._hung(e, nodes, beside)
            if mode:
                self.modes[e.element] = mode
                self.p[nodes] = pressure
                group[part] = a if a in tapped else b

    def _hung(self, e: Edge, nodes: list[int], beside: int) -> tuple[str, float]:
        """Return the mode in which an element joins a part to the node beside it, and the pressure there; "" = none."""
        t, here = self.task, float(self.p[beside])
        top, bottom = float(t.high[nodes].min()), float(t.low[nodes].max())
        inlet, outlet = bottom, np.inf
        if e.kind in ("control", "station"):
            table = t.network.active("control_valves" if e.kind == "control" else "compressors")
            inlet, outlet = (float(table[c][e.row]) for c in ("pressure_in_min", "pressure_out_max"))
        if max(inlet, bottom) <= here <= min(outlet, top) or e.kind in ("valve", "check"):
            return "open", here
        lower = min(top, outlet)
        if e.kind == "control" and beside == e.start and here >= inlet and bottom <= lower <= here:
            return "active", max(bottom, 0.5 * lower)
        return "", here

    def _devices(self) -> list[Known]:
        """Return the set-points of valves, control valves and stations; of a ring of active ones, one holds a flow."""
        t, out = self.task, []
        group = list(range(len(t.names)))

        def find(k: int) -> int:
            while group[k] != k:
                k = group[k]
            return k

        modes = {e.name: self._mode(e) for e in t.edges}
        for active in (False, True):
            for k, e in enumerate(t.edges):
                mode = modes[e.name]
                if e.kind not in ("short", "valve", "check", "control", "station") or (mode == "active") != active:
                    continue
                ring = mode != "closed" and find(e.start) == find(e.end)
                if mode != "closed":
                    group[find(e.start)] = find(e.end)
                if e.kind not in ("short", "check"):
                    out.append(self._set(k, mode, ring=ring))
        return out

    def _mode(self, e: Edge) -> str:
        mode = self.modes.get(e.element, "open")
        if e.kind == "station" and mode == "active" and self.p[e.end] / self.p[e.start] < 1.0 + 1e-5:
            return "open"
        return mode

    def _set(self, k: int, mode: str, *, ring: bool) -> Known:
        e = self.task.edges[k]
        name, p1, p2 = e.element, float(self.p[e.start]), float(self.p[e.end])
        if mode == "closed":
            return Known("open", name, 0.0, source=SOURCE)
        if mode == "open":
            return Known("open", name, 1.0, source=SOURCE)
        if ring:
            return Known("flow", name, float(self.point.flow[k]), source=SOURCE)
        if e.kind == "station":
            return Known("ratio", name, max(p2 / p1, 1.0), source=SOURCE)
        return Known("pressure_drop", name, max(p1 - p2, 0.0), source=SOURCE)

    def _free(self) -> list[Known]:
        """Return flows of supplies and offtakes that are not nominated: what the relaxation lets through there."""
        t = self.task
        node = {n: k for k, n in enumerate(t.names)}
        out = []
        for name in t.free:
            if name == t.swing:
                continue
            supply = t.network.kind_of(name) == "supplies"
            table = t.network["supplies" if supply else "offtakes"]
            at = node[str(table["node"][table.row(name)])]
            ends = [(self.point.flow[k], e) for k, e in enumerate(t.edges) if at in (e.start, e.end)]
            leaves = sum(m if e.end == at else -m for m, e in ends)
            low, high = (float(table[c][table.row(name)]) for c in ("flow_min", "flow_max"))
            high = np.inf if np.isnan(high) else high
            value = float(np.clip(-leaves if supply else leaves, np.nan_to_num(low), high))
            out.append(Known("supply" if supply else "withdrawal", name, value, source=SOURCE))
        return out

    # ------------------------------------------------------------------------------------------------------ search

    def search(self, stations: Mapping[str, Envelope]) -> Search:
        """Return the task of the continuous search."""
        system = self.system
        fixed = system.fix()
        self.control: dict[int, Known] = {}
        for k in self.given:
            if k.quantity not in FREE or k in self.task.knowns:
                continue
            if k.quantity in ("supply", "withdrawal"):
                at = system.gas.node.get(system.node_of(k))
                column = None if at is None else system.equations.columns["withdrawal"].first + at
            else:
                placed = system.place(k)
                column = placed[0] if placed is not None else None
            if column is not None:
                self.control[column] = k
        data = {c: f for c, f in fixed.items() if c not in self.control}
        horizon = Horizon(system, [data], list(self.control))
        limits = self._ranges(ranges(system, data))
        start = horizon.states(self._start(fixed))
        bounds = {c: (float(limits.low[c]), float(limits.high[c])) for c in self.control}
        return Search(horizon, limits, bounds, _machine_rows(self, horizon, stations), None, start)

    def _ranges(self, r: Ranges) -> Ranges:
        """Add what only a nomination looks at: ratings of pipes, least differences, no flow back where active."""
        t, c = self.task, self.system.equations.columns
        for k in range(self.system.gas.shown):
            name = self.system.gas.names[k]
            at = t.names.index(name)
            r.narrow(c["pressure"].first + k, -np.inf, float(t.high[at]), ("pressure", name))
        table = t.network.active("control_valves")
        for e in t.edges:
            if e.kind not in ("control", "station") or self._mode(e) != "active":
                continue
            r.narrow(c["flow"].index[e.name], 0.0, np.inf, ("flow", e.element))
            if e.kind == "control":
                least = float(np.nan_to_num(table["pressure_differential_min"][e.row]))
                r.narrow(c["drop"].index[e.name], max(least, 0.0), np.inf, ("pressure_drop", e.element))
        return r

    def _start(self, fixed: Mapping[int, Fixed]) -> Floats:
        """Return the state (n_column,) that the point of the relaxation stands for."""
        t, c = self.task, self.system.equations.columns
        x = c.start()
        at = {n: k for k, n in enumerate(t.names)}
        for name, column in c["pressure"].index.items():
            x[column] = self.p[at[name]]
        edge = {e.name: k for k, e in enumerate(t.edges)}
        for name, column in c["flow"].index.items():
            x[column] = self.point.flow[edge[name]]
            e = t.edges[edge[name]]
            if "drop" in c and name in c["drop"].index:
                x[c["drop"].index[name]] = self.p[e.start] - self.p[e.end]
            if "ratio" in c and name in c["ratio"].index:
                x[c["ratio"].index[name]] = self.p[e.end] / self.p[e.start]
        for column, f in fixed.items():
            x[column] = f.value
        return np.asarray(x, float)

    def names(self) -> list[tuple[str, str]]:
        """Return quantity and element of every column."""
        return [(b.quantity, name) for b in self.system.equations.columns.blocks.values() for name in b.names]

    def knowns(self, found: Found) -> tuple[Known, ...]:
        """Return the Knowns that a search ended with."""
        x = found.X[0]
        out = [k for k in self.given if k not in self.control.values()]
        for column, k in self.control.items():
            value = float(x[column])
            if k.quantity in ("supply", "withdrawal"):
                value = self._own_share(k, value)
            if (k.quantity == "ratio" and value < 1.0 + OPEN_RATIO) or (
                k.quantity == "pressure_drop" and value < OPEN_RATIO * self.system.pressure_scale
            ):
                out.append(Known("open", k.where, 1.0, source=k.source))
            else:
                out.append(Known(k.quantity, k.where, value, source=k.source))
        return tuple(out)

    def _own_share(self, k: Known, withdrawn: float) -> float:
        """Return what one supply or offtake gives, when all at its node withdraw so much [kg/s]."""
        node = self.system.node_of(k)
        others = 0.0
        for other in self.given:
            if other.quantity in ("supply", "withdrawal") and other is not k and self.system.node_of(other) == node:
                others += -other.value if other.quantity == "supply" else other.value
        own = withdrawn - others
        return -own if k.quantity == "supply" else own


def _machine_rows(closed: _Closed, horizon: Horizon, stations: Mapping[str, Envelope]) -> list[Row]:
    """Return the limits of the machines of active stations: how far the best configuration is outside, over HEAD."""
    t, c = closed.task, closed.system.equations.columns
    gas = Adiabatic(t.fluid, t.kappa)
    mine = [
        e for e in t.edges
        if e.kind == "station" and closed._mode(e) == "active" and stations[e.element].configurations  # noqa: SLF001
    ]  # fmt: skip
    if not mine:
        return []
    node = {n: k for k, n in enumerate(closed.system.gas.names)}
    first = c["pressure"].first
    columns = [[first + node[t.names[e.start]], first + node[t.names[e.end]], c["flow"].index[e.name]] for e in mine]

    def outside(e: Edge, v: Floats) -> float:
        p1, p2, m = (float(x) for x in v)
        return stations[e.element].outside(max(p1, 1e5), max(p2, 1e5), max(m, 1e-3), gas)[0] / HEAD

    def at(X: Floats) -> tuple[Floats, csr_array]:
        x, values, parts = X[0], [], []
        turn = horizon.slope(x)
        for k, (e, where) in enumerate(zip(mine, columns, strict=True)):
            here = x[where]
            base = outside(e, here)
            values.append(base)
            for j, column in enumerate(where):
                local = int(horizon.local[column])
                if local < 0:
                    continue
                moved = here.copy()
                step = 1e-5 * max(abs(here[j]), 1.0)
                moved[j] += step
                parts.append((k, local, (outside(e, moved) - base) / step * float(turn[column])))
        r, col, v = (np.array(a) for a in zip(*parts, strict=True))
        return np.array(values), csr_array(coo_array((v, (r, col)), shape=(len(mine), horizon.n)))

    names = tuple(("machine diagram", e.element) for e in mine)
    return [Row(names, np.full(len(mine), -np.inf), np.zeros(len(mine)), HEAD, at)]
