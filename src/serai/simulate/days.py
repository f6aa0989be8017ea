# SPDX-License-Identifier: Apache-2.0
"""Many days of one network: scenarios over time, sixteen at once, each as `transient` would have it.

A column of the table is `quantity@element`, known from the start on, or `quantity@element@06:00`, known from then on.
All scenarios begin at their own steady state, and step together with one pattern. After that every device is asked at
every step whether its mode still fits; scenarios that switch alike at the same step go on together from there, with the
pattern of their modes. Where few do, and where Knowns change the equations, `transient` takes whole days, one by one.

The answer of a day is marked solved only if its last step holds by the independent certificate, and its ledger closes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import BadTimes, NotClosed, NotConverged, PhysicsRefused, SeraiError, SingularSystem, UnknownName
from serai.known import Event, Known, Series, seconds
from serai.network.quantities import QUANTITIES
from serai.simulate.batched import KEPT, Prepared, columns_of, solved
from serai.simulate.batched import REFUSED as REFUSED_IN_WORDS
from serai.simulate.batched import SOLVED as CONVERGED_IN_WORDS
from serai.simulate.certificate import Step, certify_all, stored, worst_of_all
from serai.simulate.extract import names_of
from serai.simulate.one_by_one import BAD_INPUT, NO_ANSWER, REFUSED, SOLVED, Found
from serai.simulate.steady import ACCEPTED, Run
from serai.simulate.transient import CELL, check_times, clock, set_step, transient
from serai.system import override
from serai.system.batch import CONVERGED, Batch
from serai.system.knowns import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.batched import Modes
    from serai.simulate.modes import Device
    from serai.system.batch import Days

    Groups = dict[tuple[int, Modes], list[int]]  # (time step, modes) -> scenarios
    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Column = tuple[str, str]

GROUP = 4  # scenarios that switch alike and go on in lanes; fewer are taken one by one
ROUNDS = 12  # of switches in a day, before a scenario is taken alone
LEDGER = 1e-9  # of the gas that passes: a day whose ledger is further off is none


@dataclass(frozen=True)
class DayPlan:
    """The day that all scenarios share: length [h], step [s], what is given and happens in all of them."""

    hours: float
    step: float
    knowns: tuple[Known | Series, ...] = ()
    events: tuple[Event, ...] = ()
    cell: float = CELL
    start_hour: float = 0.0
    q_limits: bool = True

    @property
    def times(self) -> Floats:
        """Times of the results [s] (n_step + 1,)."""
        return np.asarray(np.arange(round(3600.0 * self.hours / self.step) + 1) * self.step, np.float64)


def day_plan(
    hours: float, step: str | float, *, knowns: Sequence[Known | Series], events: Sequence[Event], cell: float | None,
    start_hour: float | None, q_limits: bool,
) -> DayPlan:  # fmt: skip
    """Return the plan of a day; BadTimes for steps, horizons and events that do not fit."""
    plan = DayPlan(
        float(hours), seconds(step), tuple(knowns), tuple(sorted(events, key=lambda e: e.time)), cell or CELL,
        start_hour or 0.0, q_limits,
    )  # fmt: skip
    check_times(3600.0 * plan.hours, plan.step, plan.events)
    off = [e for e in plan.events if abs(e.time / plan.step - round(e.time / plan.step)) > 1e-9]
    if off:
        raise BadTimes(f"event at {clock(off[0].time)}: in an ensemble events lie on the steps of {plan.step:g} s")
    return plan


def element_and_time(network: Network, where: str, plan: DayPlan) -> tuple[str, float]:
    """Return element and time [s] of a column: `element`, or `element@06:00`; -1 = from the start on."""
    if where in network:
        return where, -1.0
    name, at, text = where.rpartition("@")
    if not at or name not in network:
        raise UnknownName(f"scenario column for {where}: {network.name} has no element {(name or where)!r}")
    time = seconds(text)
    if not 0.0 <= time < 3600.0 * plan.hours or abs(time / plan.step - round(time / plan.step)) > 1e-9:
        raise BadTimes(f"scenario column for {where}: give a time on a step of {plan.step:g} s within {plan.hours:g} h")
    return name, time


class DaySolver:
    """Tables of one list of columns, (quantity, element or element@time), over a day."""

    def __init__(self, network: Network, columns: Sequence[Column], plan: DayPlan) -> None:
        self.network, self.columns, self.plan = network, tuple(columns), plan
        placed = [element_and_time(network, where, plan) for _, where in columns]
        self.places = [(q, name) for (q, _), (name, _) in zip(columns, placed, strict=True)]
        self.starts = [time for _, time in placed]
        self.given = list(dict.fromkeys(self.places))
        self.prepared: Prepared | None = None

    def solve(self, values: Floats, into: Found | None = None) -> Found:  # noqa: ARG002 - its arrays are not reused
        """Simulate every row of values (n_scenario, n_column), SI."""
        table = np.ascontiguousarray(values, np.float64)
        if not self._in_lanes():
            return _Table(self, table).one_by_one()
        if self.prepared is None:
            self.prepared = self._prepare(table)
        return _Table(self, table).run(self.prepared)

    def _in_lanes(self) -> bool:
        """Whether the same columns are known all day: what changes the equations is left to `transient`."""
        changing = (*PARAMETERS, "open")
        return not any(q in changing for q, _ in self.places) and len({_signature(k) for k in self._base_knowns()}) == 1

    def _base_knowns(self) -> list[list[Known]]:
        """Return the Knowns of the day without any scenario at each time (n_step + 1)."""
        out = []
        for time in self.plan.times:
            own = override(self.network, self.network.knowns(self.plan.start_hour + time / 3600.0), [
                k.at(float(time)) if isinstance(k, Series) else k for k in self.plan.knowns
            ])  # fmt: skip
            for e in self.plan.events:
                if e.time < time:
                    own = override(self.network, own, [e.known])
            out.append(own)
        return out

    def active(self, time: float) -> list[int]:
        """Return the columns that are in force at the end of a step: of each element the last that has begun."""
        last: dict[Column, int] = {}
        for k, (place, start) in enumerate(zip(self.places, self.starts, strict=True)):
            if start < time and (place not in last or start >= self.starts[last[place]]):
                last[place] = k
        return list(last.values())

    def _prepare(self, table: Floats) -> Prepared:
        """Lay out the equations at the start, what each column moves, and what is known at every step."""
        sound = table[np.isfinite(table).all(axis=1)]
        middle = np.median(sound, axis=0) if len(sound) else np.zeros(table.shape[1])
        knowns = self._base_knowns()
        self.values: list[dict[Column, float]] = []  # of every Known at each time, the middle of the table among them
        for k, time in enumerate(self.plan.times):
            given = [Known(*self.places[c], float(middle[c])) for c in self.active(float(time))]
            knowns[k] = override(self.network, knowns[k], given)
            self.values.append({(x.quantity, x.where): x.value for x in knowns[k]})
        at_start = [g for g in self.given if g in self.values[0]]
        lacking = [g for g in self.given if g not in self.values[0]]
        if lacking:
            q, w = lacking[0]
            raise SeraiError(f"scenario column {q}@{w}: it is not known at the start; give it from the start on too")
        p = Prepared(
            self.network, at_start, np.array([self.values[0][g] for g in at_start]), knowns=knowns[0],
            hour=self.plan.start_hour, q_limits=self.plan.q_limits, cell=self.plan.cell,
        )  # fmt: skip
        held = p.system.knowns
        fixed = []
        for now in knowns:
            p.system.take(now)
            fixed.append({c: f.value for c, f in p.system.fix().items()})
        p.system.knowns = held
        p.system.fix()
        moving = {c for c in fixed[0] if any(f[c] != fixed[0][c] for f in fixed)}
        self.moved = np.array(sorted(moving | {int(c) for c in p.columns}), np.intp)
        self.before = np.array([[f[int(c)] for c in self.moved] for f in fixed])  # (n_step + 1, n_moved)
        slopes = np.zeros((len(self.given), len(self.moved)))
        slopes[:, np.searchsorted(self.moved, p.columns)] = p.slopes.toarray()
        self.slopes = slopes
        self.batches: dict[Modes, Batch] = {}
        return p

    def rows(self, table: Floats) -> Floats:
        """Return what the moved columns are at each time in each scenario (n_step + 1, n_scenario, n_moved)."""
        out = np.empty((len(self.plan.times), len(table), len(self.moved)))
        index = {g: k for k, g in enumerate(self.given)}
        for k, time in enumerate(self.plan.times):
            active = self.active(float(time))
            middle = np.array([self.values[k][self.places[c]] for c in active])
            out[k] = self.before[k] + (table[:, active] - middle) @ self.slopes[[index[self.places[c]] for c in active]]
        return out

    def batch(self, modes: Modes) -> Batch | None:
        """Return the moving equations with these modes, laid out for lanes; None where they close nothing."""
        if modes not in self.batches:
            p = self.prepared
            if p is None:  # pragma: no cover - prepared before
                raise SeraiError("the day is not laid out")
            set_step(p.system, p.base, self.plan.step)
            run = Run(p.system, q_limits=self.plan.q_limits, transient=True)
            for device, mode in zip(run.modes.devices, modes, strict=True):
                device.mode = mode
            try:
                run.close(run.modes.renew(), p.base)
                self.batches[modes] = Batch(run.closed, p.base)
            except (NotClosed, SingularSystem, NotConverged):
                return None
            finally:
                for stamp in p.system.equations.stamps:  # the states at the start of other tables are steady
                    if "rate" in stamp.law.parameters:
                        stamp.set(rate=0.0)
        return self.batches[modes]


class _Table:
    """One table of scenarios, simulated."""

    def __init__(self, solver: DaySolver, table: Floats) -> None:
        self.solver, self.table, self.plan = solver, table, solver.plan
        count, self.count = len(table), len(solver.plan.times)
        self.status = np.full(count, NO_ANSWER)
        self.reasons: dict[int, str] = {}
        self.mismatch, self.ledger = np.full(count, np.nan), np.full(count, np.nan)
        self.iterations, self.left = np.zeros(count, np.int64), np.zeros(count)
        dims = names_of(solver.network)
        self.variables: dict[str, tuple[tuple[str, ...], Floats]] = {
            name: (("time", dim), np.full((count, self.count, len(dims[dim])), np.nan))
            for name, dim, _ in KEPT
            if dim in dims
        }
        self.sound = [s for s in range(count) if not self._bad(s)]

    def _bad(self, s: int) -> bool:
        """Refuse a row with a value that is missing or that its quantity cannot have."""
        for (quantity, where), value in zip(self.solver.places, self.table[s], strict=True):
            if not np.isfinite(value) or not value > QUANTITIES[quantity].above:
                self.status[s], self.reasons[s] = BAD_INPUT, f"bad input: {quantity}@{where} is {value:g}"
                return True
        return False

    def one_by_one(self) -> Found:
        """Take every scenario by `transient`."""
        for s in self.sound:
            self._alone(s)
        return self._found()

    def run(self, p: Prepared) -> Found:
        """Begin all at their steady states, and step in lanes those that can."""
        self.p, self.system = p, p.system
        self.rows = self.solver.rows(self.table)
        self.devices = p.runner.modes.devices
        self.outputs = _outputs(p)
        read = {c for d in self.devices for c in _read(d)}
        self.wanted = np.array(sorted(read | {c for _, _, cs in self.outputs for c in cs}), np.intp)
        c = self.system.equations.columns
        self.leaving = [k for q in ("withdrawal", "fuel", "plant_fuel") if q in c for k in c[q][:].tolist()]
        alone: list[int] = []
        groups = self._begin(alone)
        for _ in range(ROUNDS):
            following: Groups = defaultdict(list)
            for (step, modes), scenarios in groups.items():
                worth = len(scenarios) >= GROUP or modes in self.solver.batches
                batch = self.solver.batch(modes) if worth else None
                if batch is None:
                    alone += scenarios
                else:
                    self._march(_Stretch(batch, step, modes, np.array(scenarios)), following, alone)
            groups = following
        alone += [s for scenarios in groups.values() for s in scenarios]
        for s in sorted(alone):
            self._alone(s)
        return self._found()

    # ----------------------------------------------------------------------------------------------------- in lanes

    def _begin(self, alone: list[int]) -> Groups:
        """Find the steady states at the start; return the scenarios by their modes there."""
        active = {self.solver.places[k]: k for k in self.solver.active(0.0)}
        first = np.tile(self.p.middle, (len(self.table), 1))
        for j, g in enumerate(self.p.given):
            if g in active:
                first[:, j] = self.table[:, active[g]]
        steady = solved(self.p, first)
        self.states, groups = steady.X, defaultdict(list)
        for s in self.sound:
            if steady.status[s] != CONVERGED_IN_WORDS:
                self.status[s] = REFUSED if steady.status[s] == REFUSED_IN_WORDS else NO_ANSWER
                self.reasons[s] = f"at the start: {steady.reasons[s]}"
                continue
            if s in steady.alone:
                alone.append(s)
                continue
            mine = steady.modes.get(s, {})
            groups[0, tuple(mine.get(d.name, d.home) for d in self.devices)].append(s)
        self.begun = (
            stored(self.system, self.states).sum(axis=1) if self.system.gas.names else np.zeros(len(self.table))
        )
        return groups

    def _march(self, go: _Stretch, following: Groups, alone: list[int]) -> None:
        """Step scenarios with one set of modes to the end of the day, or to where their devices want others."""
        last = self.count - 1
        whole, before = self._steps(go, last), None
        good = whole.status == CONVERGED
        alone += go.scenarios[~good].tolist()
        positive = self._positive(whole.x)
        wanting: dict[tuple[int, Modes], list[int]] = defaultdict(list)
        staying = []
        for k in np.flatnonzero(good).tolist():
            at, new = self._switch(go, k, whole.x[k])
            if new != go.modes:
                wanting[at, new].append(k)
            elif positive[k]:
                staying.append(k)
            else:  # refused, by name and time
                alone.append(int(go.scenarios[k]))
        for (at, new), those in wanting.items():
            scenarios = go.scenarios[those]
            if len(those) < GROUP:
                alone += scenarios.tolist()
                continue
            self._write(scenarios, go.step, whole.x[those, :at])
            if at > 1:
                part = self._steps(replace(go, scenarios=scenarios), go.step + at - 1)
                self.states[scenarios], self.left[scenarios] = part.end, self.left[scenarios] + part.left
                self.iterations[scenarios] += part.iterations
            following[go.step + at - 1, new] += scenarios.tolist()
        if staying:
            scenarios = go.scenarios[staying]
            self._write(scenarios, go.step, whole.x[staying])
            before = self.states[scenarios]
            if last - go.step > 1:
                before = self._steps(replace(go, scenarios=scenarios), last - 1).end
            self.left[scenarios] += whole.left[staying]
            self.iterations[scenarios] += whole.iterations[staying]
            self._judge(scenarios, whole.end[staying], before)

    def _steps(self, go: _Stretch, until: int) -> Days:
        """Step scenarios from where they stand to the time `until`."""
        known = _left_known(self.devices, go.modes, self.solver.moved)
        values = self.rows[go.step + 1 : until + 1][:, go.scenarios][:, :, known]
        columns = self.solver.moved[known]
        held = [d.modes[m] for d, m in zip(self.devices, go.modes, strict=True) if d.modes[m][0] not in columns]
        more = np.broadcast_to([v for _, v in held], (*values.shape[:2], len(held)))  # what a mode just begun holds
        return go.batch.march(
            self.states[go.scenarios], self.plan.step, np.r_[columns, np.array([c for c, _ in held], np.intp)],
            np.concatenate([values, more], axis=2), self.wanted, self.leaving,
        )  # fmt: skip

    def _switch(self, go: _Stretch, k: int, x: Floats) -> tuple[int, Modes]:
        """Return the first step (1 = next) at which devices want other modes, and these; x (n_step + 1, n_wanted)."""
        if not self.devices:
            return 0, go.modes
        state = np.zeros(self.states.shape[1])
        at = {int(c): j for j, c in enumerate(self.solver.moved)}
        homes = [(d, d.modes[d.home][0], at.get(d.modes[d.home][0])) for d in self.devices]
        s = go.scenarios[k]
        for t in range(1, len(x)):
            state[self.wanted] = x[t]
            for device, column, j in homes:
                if j is not None:
                    device.modes[device.home] = (column, float(self.rows[go.step + t, s, j]))
            new = tuple(d.test(state, mode) for d, mode in zip(self.devices, go.modes, strict=True))
            if new != go.modes:
                return t, new
        return 0, go.modes

    def _positive(self, x: Floats) -> NDArray[np.bool_]:
        """Tell which scenarios keep all pressures above zero; x (n_scenario, n_step + 1, n_wanted)."""
        c = self.system.equations.columns
        if "pressure" not in c:
            return np.ones(len(x), bool)
        block = c["pressure"]
        mine = (self.wanted >= block.first) & (self.wanted < block.first + len(block))
        return np.asarray((x[:, :, mine] > 0.0).all(axis=(1, 2)))

    def _write(self, scenarios: Ints, step: int, x: Floats) -> None:
        """Lay wanted columns (n, n_time, n_wanted) from a step on into the results."""
        for variable, places, columns in self.outputs:
            values = self.variables[variable][1]
            of = np.searchsorted(self.wanted, columns)
            times = np.arange(step, step + x.shape[1])
            values[scenarios[:, None, None], times[None, :, None], places[None, None, :]] = x[:, :, of]

    def _judge(self, scenarios: Ints, end: Floats, before: Floats) -> None:
        """Certify the last step and the ledger of days that have come to their end."""
        sizes = worst_of_all(certify_all(self.system, end, Step(self.plan.step, before)))
        held = stored(self.system, end).sum(axis=1) if self.system.gas.names else np.zeros(len(end))
        through = self.system.flow_scale * 3600.0 * self.plan.hours
        for s, size, now in zip(scenarios.tolist(), sizes, held, strict=True):
            self.mismatch[s] = size
            self.ledger[s] = abs(now - self.begun[s] + self.left[s]) / max(through, float(self.begun[s]))
            if size <= ACCEPTED and self.ledger[s] <= LEDGER:
                self.status[s] = SOLVED
            else:
                self.reasons[s] = f"the last step is off by {size:.1e}, the ledger by {self.ledger[s]:.1e}"

    # -------------------------------------------------------------------------------------------------- one by one

    def _alone(self, s: int) -> None:
        """Take a day by `transient`."""
        solver, plan = self.solver, self.plan
        given = list(zip(solver.places, solver.starts, self.table[s], strict=True))
        knowns = [Known(*place, float(v)) for place, start, v in given if start < 0.0]
        events = [Event(start, Known(*place, float(v))) for place, start, v in given if start >= 0.0]
        try:
            found = transient(
                solver.network, hours=plan.hours, step=plan.step, knowns=(*plan.knowns, *knowns),
                events=(*plan.events, *events), cell=plan.cell, start_hour=plan.start_hour, q_limits=plan.q_limits,
            )  # fmt: skip
        except SeraiError as error:
            self.status[s] = REFUSED if isinstance(error, PhysicsRefused) else NO_ANSWER
            self.reasons[s] = str(error)
            return
        for name, (_, values) in self.variables.items():
            if name in found.dataset:
                values[s] = found.dataset[name].values
        self.status[s], self.mismatch[s], self.iterations[s] = SOLVED, found.mismatch, found.iterations
        self.ledger[s] = float(found.dataset.attrs["ledger_error"])

    def _found(self) -> Found:
        bad = self.status != SOLVED
        for _, values in self.variables.values():
            values[bad] = np.nan
        self.mismatch[bad], self.ledger[bad] = np.nan, np.nan
        self.variables["ledger_error"] = ((), self.ledger)
        return Found(self.variables, self.status, self.mismatch, self.iterations, dict(sorted(self.reasons.items())))


@dataclass(frozen=True)
class _Stretch:
    """Scenarios (n,) that stand at one step with one set of modes."""

    batch: Batch
    step: int
    modes: Modes
    scenarios: Ints


def _outputs(p: Prepared) -> list[tuple[str, Ints, list[int]]]:
    """Return the result variables: (name, places of their elements, columns)."""
    out, dims, c = [], names_of(p.network), p.system.equations.columns
    for variable, dim, quantity in KEPT:
        if dim in dims and quantity in c:
            columns = columns_of(p.system, quantity)
            places = [k for k, n in enumerate(dims[dim]) if n in columns]
            out.append((variable, np.array(places, np.intp), [columns[dims[dim][k]] for k in places]))
    return out


def _read(device: Device) -> tuple[int, ...]:
    """Return the columns that a device's test reads."""
    test = device.test.__self__  # type: ignore[attr-defined]  # a bound method
    return tuple(getattr(test, "columns", ())) or (test.magnitude, test.position)


def _left_known(devices: Sequence[Device], modes: Modes, moved: Ints) -> Ints:
    """Return which of the moved columns these modes leave known."""
    taken = set()
    for device, mode in zip(devices, modes, strict=True):
        if mode != device.home:
            taken |= {device.modes[mode][0], device.modes[device.home][0]}
    return np.array([k for k, c in enumerate(moved) if int(c) not in taken], np.intp)


def _signature(knowns: list[Known]) -> frozenset[tuple[str, str, float]]:
    """What must stay for the equations to stay."""
    return frozenset((k.quantity, k.where, k.value if k.quantity in (*PARAMETERS, "open") else 0.0) for k in knowns)
