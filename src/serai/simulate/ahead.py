# SPDX-License-Identifier: Apache-2.0
"""Look-ahead: from a live state a day on, which limit is reached when, and how long linepack outlives each loss.

    seen = ahead(net, now, hours=24, start_hour=14.5)
    seen.reached                # limits of gas and power that the day reaches, the soonest first
    seen.survival               # of every station and field: hours until the first pressure limit breaks without it

The day itself is a transient of gas and power. The losses are one transient each, of the gas alone: plants burn what
they burn on that day, which is exact as long as the grid's fuel does not change. They start from the same live state,
share the Knowns of every step, and end at the first limit. What cannot go on as it is set gives way: a supply that
holds a pressure and would have to give more than its `flow_max` gives that, until it can hold the pressure again; a
station whose flow would have to turn, or that finds no mode, is passed through, as is one that is lost. Limits that
break without the loss as well are not counted.

Times are those at which a straight line between two steps crosses the limit. Every answer's last step is certified.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, cast

import numpy as np

from serai.errors import ModeCycle, NotConverged, PhysicsRefused, SeraiError, UnknownName
from serai.known import Event, Known, Series, seconds
from serai.network.tables import KINDS, table
from serai.simulate.certificate import certify, stored, worst
from serai.simulate.limits import NEGLIGIBLE, Break, breaks_by_time
from serai.simulate.steady import Run, refuse_mismatch
from serai.simulate.transient import CELL, Running, check_times
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result

    Floats = NDArray[np.float64]
    State = Mapping[str, Mapping[str, float]]  # quantity -> element -> SI

CAPPED, TRIPPED = "gives its most", "passed through"  # sources of the Knowns of what gives way
HOLDS, BREAKS, REFUSED, NO_ANSWER = "holds", "breaks", "refused by physics", "no answer"
OWN_USE = ("field fuel", "loss")  # kinds of offtakes that are a field's own: what it burns and what it loses
POWER = (
    "buses", "lines", "transformers", "transformers3", "branches", "shunts", "loads", "generators", "switches",
    "hvdc_links", "plants",
)  # fmt: skip


@dataclass(frozen=True)
class Survival:
    """How long the gas network outlives a loss.

    lost, kind   the element
    status       holds: no limit breaks within the horizon; breaks; refused by physics: a demand cannot flow any more;
                 no answer
    time         [s] until the first limit breaks, inf = not within the horizon; without an answer: so long it held
    first        that limit, with the value at the end of the step in which it breaks; None = none
    capped       supplies that gave their most at the end; tripped: stations that had to be passed through as well
    reason       why there is no answer
    mismatch     of the last step, recomputed outside the solver
    """

    lost: str
    kind: str
    status: str
    time: float
    first: Break | None = None
    capped: tuple[str, ...] = ()
    tripped: tuple[str, ...] = ()
    reason: str = ""
    mismatch: float = nan

    @property
    def hours(self) -> float:
        """The time in hours."""
        return self.time / 3600.0


@dataclass(frozen=True)
class Ahead:
    """What lies ahead.

    result     the day, as `transient` gives it
    reached    every limit of gas and power that it reaches: the first time [s], the value at its worst, soonest first
    survival   of every loss, the shortest first; `intact`: the same of no loss at all
    stopped    why the day ends before the horizon, "" = it does not: a demand cannot flow any more
    """

    result: Result
    reached: tuple[Break, ...]
    survival: tuple[Survival, ...]
    intact: Survival
    stopped: str = ""

    @property
    def hours(self) -> float:
        """How far ahead was seen [h]."""
        return float(self.result.dataset["time"].values[-1]) / 3600.0

    def __repr__(self) -> str:
        """Say it in one line."""
        short = [s for s in self.survival if s.status != HOLDS]
        return (
            f"<serai look-ahead of {self.result.network.name}: {len(self.reached)} limits reached, "
            f"{len(short)} of {len(self.survival)} losses not outlived>"
        )

    def table(self) -> pd.DataFrame:
        """Return the survival times as a frame: lost, kind, status, hours, first limit."""
        import pandas as pd  # noqa: PLC0415 - pandas only at the edge

        return pd.DataFrame(
            {
                "kind": [s.kind for s in self.survival], "status": [s.status for s in self.survival],
                "hours": [s.hours for s in self.survival],
                "first": [s.first.element if s.first else "" for s in self.survival],
                "quantity": [s.first.quantity if s.first else "" for s in self.survival],
                "value": [s.first.value if s.first else nan for s in self.survival],
                "limit": [s.first.limit if s.first else nan for s in self.survival],
            },
            index=pd.Index([s.lost for s in self.survival], name="lost"),
        )  # fmt: skip


def ahead(
    network: Network,
    start: Running | Result | State | None = None,
    *,
    hours: float = 24.0,
    step: str | float = "15min",
    knowns: Iterable[Known | Series] = (),
    events: Iterable[Event] = (),
    start_hour: float = 0.0,
    losses: Sequence[str] | None = None,
    cell: float = CELL,
    progress: Callable[[float], None] | None = None,
) -> Ahead:
    """Look ahead from a live state.

    network  what exists; its set-points and profiles of its day hold unless replaced
    start    the live state: a transient that goes on, a result (its last time), an estimate's result, or quantity ->
             element -> value with the pressures of nodes and, where known, flows of pipes; None = the steady state of
             the Knowns at the start

    Other arguments
    hours, step  horizon and time step
    knowns       what is known otherwise than the case says: Known and Series (times from the start)
    events       what will happen: `at("06:00", Known(...))`
    start_hour   local time of the start [h]
    losses       elements to lose, each by itself, at the start; None = every station and field that runs; () = none
    cell         longest pipe cell [m]
    progress     called with the share done, 0 to 1

    Raises what `transient` raises where not even the first step has an answer, and UnknownName for an element to lose
    that does not exist. A loss without an answer says so in its row.
    """
    length, dt = 3600.0 * float(hours), seconds(step)
    events = tuple(sorted(events, key=lambda e: e.time))
    check_times(length, dt, events)
    for name in losses or ():
        network.kind_of(name)
    times = np.asarray(np.arange(round(length / dt) + 1) * dt, np.float64)
    told = progress or (lambda _: None)
    day = Running(network, tuple(knowns), events, cell=cell, start_hour=start_hour)
    _begin(day, start)
    day.record(0.0)
    began = day.x.copy()
    stopped = ""
    for k, (a, b) in enumerate(pairwise(times.tolist())):
        try:
            day.advance(a, b, dt, None)
        except SeraiError as error:
            if k == 0:
                raise
            stopped, times = str(error), times[: k + 1]
            break
        day.record(b)
        told(0.2 * b / length)
    result = day.result()
    names = _losable(network, result) if losses is None else list(losses)
    reached = tuple(breaks_by_time(network, result.dataset))
    if not names:
        return Ahead(result, reached, (), Survival("", "", HOLDS, inf), stopped)
    study = _Study(_gas_alone(network, result), day, began, times)
    intact = study.lose("")
    found = []
    for k, name in enumerate(names):
        found.append(study.lose(name))
        told(min(1.0, 0.2 + 0.8 * (k + 1) / len(names)))
    found.sort(key=lambda s: s.time if isfinite(s.time) else 2.0 * length if s.time == inf else -1.0)
    return Ahead(result, reached, tuple(found), intact, stopped)


def _losable(network: Network, result: Result) -> list[str]:
    """Return the fields that give gas and the stations that raise pressure, at the start."""
    d = result.dataset.isel(time=0)
    found = []
    for kind, variable, idle in (("supplies", "supplied", 0.0), ("compressors", "ratio", 1.0)):
        if variable in d:
            values = d[variable].to_series()
            found += [n for n in network.active(kind).names if values.get(n, nan) > idle + NEGLIGIBLE]
    return found


# ------------------------------------------------------------------------------------------------------- the live state


def _state(start: Running | Result | State) -> State:
    """Return a live state as quantity -> element -> value."""
    if isinstance(start, Running):
        blocks = start.system.equations.columns.blocks
        return {q: dict(zip(b.names, start.x[b.span].tolist(), strict=True)) for q, b in blocks.items()}
    dataset = getattr(start, "dataset", None)
    if dataset is None:
        return cast("State", start)
    last = dataset.isel(time=-1) if "time" in dataset.dims else dataset
    out: dict[str, dict[str, float]] = {}
    for variable in ("pressure", "flow", "flow_out"):
        if variable in last:
            values = last[variable].to_series().dropna()
            out[variable] = {str(n): float(v) for n, v in values.items()}
    return out


def _begin(day: Running, start: Running | Result | State | None) -> None:
    """Put a day at its live state; where the present Knowns have no steady state, the live state alone begins it."""
    if start is None:
        day.begin()
        return
    state = _state(start)
    try:
        day.begin()
    except (PhysicsRefused, NotConverged):
        if not all(n in state.get("pressure", {}) for n in day.network.active("gas_nodes").names):
            raise
        known = day.in_force(0.0, after=False)
        system = System(day.network, known, cell=day.cell, steady=False)
        day.x = system.equations.columns.start()
        day.first_stored = nan
        day._use(system, known)  # noqa: SLF001 - what `begin` does when it has its steady state
    _lay(day, state)
    day.first_stored = float(stored(day.system, day.x).sum())


def _lay(day: Running, state: State) -> None:
    """Put a live state in the place of the steady one, as far as it goes; cells of pipes follow from their ends.

    Between the ends of a pipe pressure squared and flow are taken as straight lines, which is the steady profile.
    """
    pressure, flow = state.get("pressure", {}), state.get("flow", {})
    unknown = [n for n in pressure if n not in day.network and "[" not in n]  # cells of other lengths are passed over
    if unknown:
        raise UnknownName(f"the state has a pressure for {unknown[0]!r}, which {day.network.name} does not have")
    c, g = day.system.equations.columns, day.system.gas
    p, m = c["pressure"], c["flow"]
    given = np.array([pressure.get(n, nan) for n in g.names])
    if not np.isfinite(given[: g.shown]).any():
        raise SeraiError("the live state has no pressure of a node of this network: nothing to look ahead from")
    x = day.x[p.span]
    known = np.isfinite(given)
    x[known] = given[known]
    pipes: dict[str, list[int]] = {}
    for k, e in enumerate(g.edges):
        if e.kind == "pipes":
            pipes.setdefault(e.element, []).append(k)
    out = state.get("flow_out", flow)
    moved = day.x[m.span]
    for name, cells in pipes.items():
        first, last, n = g.edges[cells[0]].start, g.edges[cells[-1]].end, len(cells)
        inner = [g.edges[k].end for k in cells[:-1]]
        if not known[inner].all() and (known[first] or known[last]):
            share = np.arange(1, n) / n
            x[inner] = np.sqrt((1.0 - share) * x[first] ** 2 + share * x[last] ** 2)
        if name in flow:
            moved[cells] = np.linspace(flow[name], out.get(name, flow[name]), n)
    for k, e in enumerate(g.edges):  # of a running transient every cell and station is named
        if e.name in flow and (e.kind != "pipes" or e.name != e.element):
            moved[k] = flow[e.name]


# ----------------------------------------------------------------------------------------------------------- the losses


def _gas_alone(network: Network, day: Result) -> tuple[Network, list[Series]]:
    """Return the gas network without its grid, and what the plants burn as offtakes over the day."""
    plants = network.active("plants")
    offtakes = network["offtakes"]
    rows = {
        "name": [str(n) for n in plants.names], "node": [str(n) for n in plants["gas_node"]],
        "kind": ["plant"] * len(plants), "status": ["in service"] * len(plants),
    }  # fmt: skip
    columns = {}
    for c, values in offtakes.columns.items():
        blank = nan if values.dtype.kind == "f" else ""
        columns[c] = [*values.tolist(), *rows.get(c, [blank] * len(plants))]
    tables = {k: t for k, t in network.tables.items() if k not in (*POWER, "instruments")}
    if len(plants):
        tables["offtakes"] = table("offtakes", **(columns or rows))
    if "drives" in tables:
        tables["drives"] = tables["drives"].where(tables["drives"]["kind"] != "electric motor")
    if "supplies" in tables:
        tables["supplies"] = tables["supplies"].replace(needs_power=np.full(len(tables["supplies"]), "", dtype=object))
    names = {str(n) for k, t in tables.items() if KINDS[k].named for n in t.names}
    if "setpoints" in tables:
        where = tables["setpoints"]["where"]
        tables["setpoints"] = tables["setpoints"].where(np.array([str(w) in names for w in where], dtype=bool))
    times = tuple(day.dataset["time"].values.tolist())
    fuel = []
    for name in plants.names:
        burnt = np.nan_to_num(day.dataset["plant_fuel"].sel(plant=name).values)
        fuel.append(Series("withdrawal", str(name), times, tuple(burnt.tolist()), source="the day ahead"))
    return replace(network, tables=tables, _kinds={}), fuel


@dataclass
class _Course(Running):
    """A transient whose Knowns of every step are shared: `base`, one list a time, and `changes` to them."""

    base: Sequence[list[Known]] = ()
    step: float = 1.0
    changes: list[Known] = field(default_factory=list)

    def in_force(self, time: float, *, after: bool) -> list[Known]:  # noqa: ARG002 - events lie in `base`
        """Return the Knowns at a time: those of the step that ends there."""
        return override(
            self.network, self.base[min(len(self.base) - 1, int(np.ceil(time / self.step - 1e-9)))], self.changes
        )

    def _keep(self, begin: float, end: float) -> None:  # noqa: ARG002 - no ledger is kept of a course that is cut short
        self.steps += 1

    def gave_way(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the supplies that give their most, and the stations that are passed through."""
        by = {source: tuple(k.where for k in self.changes if k.source == source) for source in (CAPPED, TRIPPED)}
        return by[CAPPED], by[TRIPPED]

    def kept(self) -> tuple[object, ...]:
        """Return what `back` needs."""
        return self.x.copy(), self.system, self.run, self.signature

    def back(self, kept: tuple[object, ...]) -> None:
        """Go back to an earlier state."""
        self.x, self.system, self.run, self.signature = kept  # type: ignore[assignment]  # as `kept` gave them


class _Study:
    """The intact gas network at the start, and every loss from there."""

    def __init__(self, gas: tuple[Network, list[Series]], day: Running, began: Floats, times: Floats) -> None:
        self.network, fuel = gas
        self.times, self.step = times, float(times[1] - times[0])
        mine = [k for k in day.knowns if k.where in self.network]
        happens = [e for e in day.events if e.known.where in self.network]
        told = Running(self.network, (*mine, *fuel), tuple(happens), start_hour=day.start_hour)
        base = [told.in_force(float(t), after=False) for t in times]
        self.course = _Course(
            self.network, (), (), cell=day.cell, start_hour=day.start_hour, base=base, step=self.step
        )  # fmt: skip
        system = System(self.network, base[0], cell=day.cell, steady=False)
        x = system.equations.columns.start()
        old = day.segments[0].system.equations.columns
        for quantity, block in system.equations.columns.blocks.items():
            if quantity in old:
                index = old[quantity].index
                for name, column in block.index.items():
                    if name in index:
                        x[column] = began[index[name]]
        self.course.x, self.course.system, self.course.signature = x, system, frozenset()  # the first step lays it out
        self.course.run = Run(system, transient=True)
        self.limits = _Limits(self.network)
        inside = self.limits.margins(system, x, "")
        self.anyway = np.where(inside < 0.0, -inf, inf)  # (n_limit,) when each breaks without any loss [s]

    def lose(self, name: str) -> Survival:
        """Go on without an element until a limit breaks that does not break anyway; "" = lose nothing."""
        kind = self.network.kind_of(name) if name else ""
        course = copy(self.course)
        course.segments, course.modes, course.notes, course.dead = [], [], {}, {}
        course.changes = loss(self.network, name) if name else []
        time, first = 0.0, None
        try:
            inside = self.limits.margins(course.system, course.x, name)
            for a, b in pairwise(self.times.tolist()):
                self._advance(course, a, b)
                time, before, inside = b, inside, self.limits.margins(course.system, course.x, name)
                first = self._first((before, inside), (a, b), intact=not name)
                if first is not None:
                    break
            mismatch, where = worst(certify(course.system, course.x, course._last))  # noqa: SLF001 - of the same class
            refuse_mismatch(mismatch, where)
        except SeraiError as error:
            status = REFUSED if isinstance(error, PhysicsRefused) else NO_ANSWER
            return Survival(name, kind, status, time, None, *course.gave_way(), str(error))
        if first is None:
            return Survival(name, kind, HOLDS, inf, None, *course.gave_way(), "", mismatch)
        return Survival(name, kind, BREAKS, first.time, first, *course.gave_way(), "", mismatch)

    def _first(self, inside: tuple[Floats, Floats], step: tuple[float, float], *, intact: bool) -> Break | None:
        """Return the limit that is crossed first within a step and not anyway, None = there is none."""
        (before, after), (a, b), limits = inside, step, self.limits
        broken = np.flatnonzero(after < -NEGLIGIBLE * np.abs(limits.limit))
        if not len(broken):
            return None
        was = np.maximum(np.nan_to_num(before[broken]), 0.0)
        crossed = a + (b - a) * was / (was - after[broken])
        if intact:
            self.anyway[broken] = np.minimum(self.anyway[broken], crossed)
            return None
        own = self.anyway[broken] > b
        if not own.any():
            return None
        k = broken[own][int(np.argmin(crossed[own]))]
        value = float(limits.limit[k] + limits.sign[k] * after[k])
        return Break(limits.element[k], limits.quantity[k], value, float(limits.limit[k]), float(crossed[own].min()))

    def _advance(self, course: _Course, begin: float, end: float) -> None:
        """Take a step; what cannot go on as it is set gives way, and the step is taken again."""
        recovered: set[str] = set()
        while True:
            kept = course.kept()
            try:
                course.advance(begin, end, end - begin, None)
            except (PhysicsRefused, ModeCycle) as error:
                stations = self.network["compressors"]
                held = {k.where for k in course.changes}
                stuck = [n for n in error.elements if n in stations and n not in held]
                if not stuck:
                    raise
                course.back(kept)
                course.changes += [Known("open", n, 1.0, source=TRIPPED) for n in stuck]
                continue
            over = self.limits.too_much(course)
            free = [n for n in self.limits.recovered(course, self.course, end) if n not in recovered]
            if not over and not free:
                return
            course.back(kept)
            recovered.update(free)
            course.changes = [k for k in course.changes if not (k.source == CAPPED and k.where in free)]
            course.changes += [Known("supply", n, most, source=CAPPED) for n, most in over]


class _Limits:
    """The pressures that a gas network must keep, (n_limit,) each, and what its supplies can give.

    element, quantity, limit   as in `Break`
    sign                       1 = not below the limit, -1 = not above it
    node, station              where the pressure is; the station that it is a limit of, "" = none
    """

    def __init__(self, network: Network) -> None:
        rows: list[tuple[str, str, float, float, str, str]] = []
        nodes = network.active("gas_nodes")
        for k, name in enumerate(map(str, nodes.names)):
            rows += [
                (name, "pressure", float(nodes[column][k]), sign, name, "")
                for column, sign in (("pressure_min", 1.0), ("pressure_max", -1.0))
            ]
        for kind in ("compressors", "control_valves"):
            t = network.active(kind)
            for k, name in enumerate(map(str, t.names)):
                a, b = str(t["from_node"][k]), str(t["to_node"][k])
                rows.append((name, "inlet_pressure", float(t["pressure_in_min"][k]), 1.0, a, name))
                rows.append((name, "outlet_pressure", float(t["pressure_out_max"][k]), -1.0, b, name))
        rows = [r for r in rows if isfinite(r[2])]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        self.element, self.quantity, self.node, self.station = columns[0], columns[1], columns[4], columns[5]
        self.limit, self.sign = np.array(columns[2], float), np.array(columns[3], float)
        t = network.active("supplies")
        self.supplies = {str(n): (str(t["node"][k]), float(t["flow_max"][k])) for k, n in enumerate(t.names)}
        self.terminals: dict[str, dict[tuple[str, str], float]] = {}  # node -> what takes (1) or gives (-1) there
        for kind, quantity, sign in (("offtakes", "withdrawal", 1.0), ("supplies", "supply", -1.0)):
            t = network.active(kind)
            for n, node in zip(t.names, t["node"] if len(t) else (), strict=True):
                self.terminals.setdefault(str(node), {})[str(n), quantity] = sign

    def margins(self, system: System, x: Floats, lost: str) -> Floats:
        """Return how far inside each limit a state is (n_limit,), SI; nan where a station is lost or closed."""
        columns = system.equations.columns
        pressure = columns["pressure"].index
        flow = columns["flow"].index if "flow" in columns else {}
        p = np.array([x[pressure[n]] if n in pressure else nan for n in self.node])
        off = [s and (s == lost or s not in flow or x[flow[s]] == 0.0) for s in self.station]
        return np.where(np.array(off, bool), nan, self.sign * (p - self.limit))

    def too_much(self, course: _Course) -> list[tuple[str, float]]:
        """Return the supplies that hold a pressure and give more than they can, with what they can [kg/s]."""
        knowns, w = course.system.knowns, course.system.equations.columns["withdrawal"].index
        swinging = [k.where for k in knowns if k.quantity == "pressure" and k.where in self.supplies]
        out = []
        for name in swinging:
            node, most = self.supplies[name]
            if isfinite(most) and node in w:
                at = self.terminals[node]
                net = sum(at.get((k.where, k.quantity), 0.0) * k.value for k in knowns)
                if net - course.x[w[node]] > most * (1.0 + NEGLIGIBLE):
                    out.append((name, most))
        return out

    def recovered(self, course: _Course, intact: _Course, time: float) -> list[str]:
        """Return the supplies that give their most and whose pressure is above the one that they hold when they can."""
        capped = course.gave_way()[0]
        if not capped:
            return []
        wanted = {k.where: k.value for k in intact.in_force(time, after=False) if k.quantity == "pressure"}
        p = course.system.equations.columns["pressure"].index
        return [n for n in capped if course.x[p[self.supplies[n][0]]] > wanted.get(n, inf) * (1.0 + NEGLIGIBLE)]


def loss(network: Network, name: str) -> list[Known]:
    """Say a loss in Knowns: a station is passed through, a field gives and burns nothing, all else is gone."""
    kind = network.kind_of(name)
    if kind == "compressors":
        return [Known("open", name, 1.0, source="lost")]
    if kind != "supplies":
        return [Known("in_service", name, 0.0, source="lost")]
    fields, offtakes = network["supplies"], network.active("offtakes")
    node = str(fields["node"][fields.row(name)])
    others = [n for n in network.active("supplies").names if n != name and str(fields["node"][fields.row(n)]) == node]
    own = [] if others or not len(offtakes) else offtakes.names
    burnt = [
        Known("withdrawal", n, 0.0, source="lost")
        for n, at, what in zip(own, offtakes["node"], offtakes["kind"], strict=False)
        if str(at) == node and str(what) in OWN_USE
    ]
    return [Known("supply", name, 0.0, source="lost"), *burnt]
