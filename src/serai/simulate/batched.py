# SPDX-License-Identifier: Apache-2.0
"""Many steady states of one network, gas, power or both, eight at a time, with their modes.

    many = solve_scenarios(network, [("withdrawal", "town"), ("pressure", "field")], table)

A table has a column for each Known that differs and a row for each scenario. All are solved in lanes round the state at
the medians of the table. Then every scenario's devices are asked whether their modes still fit; those that ask for the
same switches go on together, with the pattern of their own modes, until none asks any more. What lanes do not bring to
rest, and Knowns that change the equations, are left to `steady`, one by one. Nobody's failure touches another: a bad
scenario has a status and a reason, and no numbers.

The mismatch of every answer is computed again from the laws and the answer itself; the independent certificate judges
the worst of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array

from serai.errors import ModeCycle, NotClosed, NotConverged, PhysicsRefused, SeraiError, SingularSystem
from serai.known import Known
from serai.network.quantities import QUANTITIES
from serai.simulate.certificate import certify, certify_all, worst
from serai.simulate.extract import names_of
from serai.simulate.labelled import described
from serai.simulate.one_by_one import BAD_INPUT, NO_ANSWER, Found
from serai.simulate.one_by_one import REFUSED as IMPOSSIBLE
from serai.simulate.one_by_one import SOLVED as FOUND
from serai.simulate.steady import ACCEPTED, Run, refuse_impossible, steady
from serai.system import System, override
from serai.system.batch import CONVERGED, Batch
from serai.system.gas import JOINING
from serai.system.knowns import PARAMETERS, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Modes = tuple[str, ...]

GROUP = 16  # scenarios that make lanes, and a pattern of their own, worth while
ROUNDS = 8  # of mode switches in lanes, before a scenario is solved alone
CERTIFIED = 16  # scenarios that the independent certificate judges: those with the largest mismatch

SOLVED, MISSING, UNFIT, REFUSED = "converged", "missing value", "bad input", "refused by physics"
STATUS: dict[type[SeraiError], str] = {
    PhysicsRefused: REFUSED,
    ModeCycle: "modes cycle",
    SingularSystem: "singular",
    NotClosed: "not closed",
    NotConverged: "not converged",
}
# (variable, dimension, quantity of the columns): what an ensemble keeps
KEPT = (
    ("pressure", "gas_node", "pressure"), ("withdrawal", "gas_node", "withdrawal"), ("flow", "gas_branch", "flow"),
    ("ratio", "compressor", "ratio"), ("power", "compressor", "power"), ("magnitude", "bus", "magnitude"),
    ("angle", "bus", "angle"), ("active_power", "generator", "active_power"),
    ("reactive_power", "generator", "reactive_power"), ("plant_fuel", "plant", "plant_fuel"),
    ("link_sent", "link", "link_sent"),
)  # fmt: skip


@dataclass
class Many:
    """What became of every scenario.

    data        results with a leading dimension `scenario`; nan where there is no answer
    status      "converged", or in two words why not (n_scenario,)
    reasons     scenario -> the sentence, for those without an answer
    mismatch    largest scaled mismatch of each answer, computed again (n_scenario,); nan without one
    iterations  Newton steps (n_scenario,)
    modes       scenario -> modes of its devices that are not at their set-point
    certified   (largest mismatch by the independent certificate, where), of the scenarios with the largest mismatch
    """

    data: xr.Dataset
    status: NDArray[np.str_]
    reasons: dict[int, str]
    mismatch: Floats
    iterations: Ints
    modes: dict[int, dict[str, str]]
    certified: tuple[float, str]

    @property
    def failed(self) -> list[int]:
        """The scenarios without an answer."""
        return [int(s) for s in np.flatnonzero(self.status != SOLVED)]


def solve_scenarios(
    network: Network,
    given: Sequence[tuple[str, str]],
    values: ArrayLike,
    *,
    knowns: Sequence[Known] = (),
    hour: float | None = None,
    q_limits: bool = True,
    cell: float | None = None,
    threads: int | None = None,
) -> Many:
    """Solve one steady state for each row of `values` (n_scenario, n_given), SI.

    given   (quantity, element) of each column of the table
    knowns  Knowns that hold in every scenario

    Other arguments as in `steady`; threads at most, not given = as many as this process may use. Raises what `steady`
    raises where the network itself, at the medians of the table, has no answer; UnknownName for unknown columns.
    """
    table = np.ascontiguousarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] != len(given):
        msg = f"the table must be (n_scenario, {len(given)}), one column for each Known; it is {table.shape}"
        raise SeraiError(msg)
    if len(set(given)) < len(given):
        twice = sorted({f"{q} of {w}" for q, w in given if list(given).count((q, w)) > 1})
        msg = f"given twice in the table: {', '.join(twice)}"
        raise SeraiError(msg)
    sound = np.isfinite(table).all(axis=1)
    middle = np.median(table[sound], axis=0) if sound.any() else None
    return Prepared(
        network, given, middle, knowns=knowns, hour=hour, q_limits=q_limits, cell=cell, threads=threads
    ).solve(table)  # fmt: skip


@dataclass
class _Group:
    """A set of modes: its closed system laid out for lanes."""

    batch: Batch
    columns: Ints  # of the table, that this mode knows
    modes: Modes


class Prepared:
    """A network, and which of its Knowns differ: all that does not depend on a table is done once.

    middle  a row in the middle of the tables to come (n_given,): where every scenario starts; None = no row will be
            sound. Other arguments as in `solve_scenarios`
    """

    def __init__(
        self, network: Network, given: Sequence[tuple[str, str]], middle: Floats | None, *,
        knowns: Sequence[Known] = (), hour: float | None = None, q_limits: bool = True, cell: float | None = None,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        self.network, self.given, self.knowns = network, tuple(given), tuple(knowns)
        self.hour, self.q_limits, self.cell, self.threads = hour, q_limits, cell, threads
        self.groups: dict[Modes, _Group] = {}
        self.asked = 0  # scenarios so far: for a handful nothing is compiled
        own = override(network, network.knowns(hour), self.knowns)
        # what changes the equations cannot share a pattern
        self.apart = middle is None or any(q in (*PARAMETERS, "open") for q, _ in self.given)
        if middle is None or self.apart:
            checked(network, [Known(q, w, 1.0) for q, w in self.given])
            self.system = System(network, own, cell=cell)
            return
        start = checked(network, [Known(q, w, float(v)) for (q, w), v in zip(self.given, middle, strict=True)])
        self.system = System(network, override(network, own, start), cell=cell)
        self.runner = Run(self.system, q_limits=q_limits)
        self.base = self.runner.solve(cold=True).x
        self.home: Modes = tuple(d.mode for d in self.runner.modes.devices)
        self.middle = middle
        self._lay_out()

    def solve(self, table: Floats) -> Many:
        """Solve every row of a table (n_scenario, n_given), SI."""
        job = _Job(self, table)
        job.run()
        return job.result()

    def _lay_out(self) -> None:
        """Find the columns that a table moves, and by how much: every Known adds to its columns in proportion.

        One supply adds to the withdrawal of its node, a load to what its bus gives.
        """
        before = {c: f.value for c, f in self.system.fix().items()}
        knowns = list(self.system.knowns)
        at = {(k.quantity, k.where): i for i, k in enumerate(knowns)}
        terms: list[tuple[int, int, float]] = []
        for j, (quantity, where) in enumerate(self.given):
            direct = self._direct(quantity, where)
            if direct is not None:
                terms.append((j, *direct))
                continue
            i = at.get((quantity, where))
            if i is None:
                continue  # a Known of an element that does not run: it says nothing
            step = 1e-3 * max(1.0, abs(self.middle[j]))
            probe = Known(quantity, where, self.middle[j] + step)
            self.system.knowns = [*knowns[:i], probe, *knowns[i + 1 :]]
            now = self.system.fix()
            terms += [(j, c, (f.value - before[c]) / step) for c, f in now.items() if f.value != before.get(c)]
        self.system.knowns = knowns
        self.system.fix()  # what the probes wrote beside the columns is as it was
        self.columns = np.array(sorted({c for _, c, _ in terms}), dtype=np.intp)
        row, column, slope = (np.array(x) for x in zip(*terms, strict=True)) if terms else (np.empty(0, np.intp),) * 3
        self.slopes = coo_array(
            (slope.astype(float), (row, np.searchsorted(self.columns, column))),
            shape=(len(self.given), len(self.columns)),
        ).tocsr()
        self.before = np.array([before[int(c)] for c in self.columns])

    def rows(self, table: Floats) -> Floats:
        """Return what the moved columns are in every scenario (n_scenario, n_columns)."""
        return np.asarray(self.before + (table - self.middle) @ self.slopes, np.float64)

    def _direct(self, quantity: str, where: str) -> tuple[int, float] | None:
        """Return the column and share of a Known of gas, or None where only a probe can tell."""
        sign = {"supply": -1.0, "withdrawal": 1.0}.get(quantity)
        if sign is None:
            return None
        node = self.system.gas.node.get(self.system.node_of(Known(quantity, where, 0.0)))
        if node is None or not self.system.running(where):
            return None
        column = self.system.equations.columns["withdrawal"].first + node
        return (column, sign) if column in self.runner.modes.fixed else None

    def group(self, modes: Modes, row: Floats, start: Floats) -> _Group | None:
        """Lay out a set of modes for lanes, from a state; None where a row of moved columns has no answer with them."""
        runner = self.runner
        for device, mode in zip(runner.modes.devices, modes, strict=True):
            device.mode = mode
        known = self._known_by(modes)
        try:
            runner.close(runner.modes.renew(), start)
            if modes not in self.groups:
                x = start
                if modes != self.home:
                    runner.closed.x[self.columns[known]] = row[known]
                    x = runner.first().x
                self.groups[modes] = _Group(Batch(runner.closed, x, threads=self.threads), known, modes)
        except (NotClosed, NotConverged, SingularSystem):
            return None
        return self.groups[modes]

    def warm(self, own: list[Known]) -> tuple[Floats, int]:
        """Return the state (n_column,) of one scenario's Knowns, from the base on, and the Newton steps to it."""
        runner, system, held = self.runner, self.system, self.system.knowns
        for device, mode in zip(runner.modes.devices, self.home, strict=True):
            device.mode = mode
        before = runner.iterations
        try:
            system.take(override(self.network, held, own))
            runner.close(runner.modes.renew(), self.base)
            x = runner.solve().x
            refuse_impossible(system, x)
            return x, runner.iterations - before
        finally:
            system.knowns = held
            system.fix()  # what the scenario wrote beside the columns is as it was

    def _known_by(self, modes: Modes) -> Ints:
        """Return which columns of the table these modes leave to the table: a device off its set-point has its own."""
        taken = set()
        for device, mode in zip(self.runner.modes.devices, modes, strict=True):
            if mode != device.home:
                taken |= {device.modes[mode][0], device.modes[device.home][0]}
        return np.array([k for k, c in enumerate(self.columns) if int(c) not in taken], dtype=np.intp)


class _Job:
    """One table."""

    def __init__(self, prepared: Prepared, table: Floats) -> None:
        self.prepared, self.system, self.given, self.table = prepared, prepared.system, prepared.given, table
        count = len(table)
        self.reasons: dict[int, str] = {}
        self.modes: dict[int, dict[str, str]] = {}
        self.alone: dict[int, Result] = {}
        self.certified: tuple[float, str] = (0.0, "")
        self.status = np.full(count, SOLVED, dtype="<U24")
        self.iterations = np.zeros(count, np.intp)
        self.mismatch = np.full(count, np.nan)
        self.X = np.full((count, self.system.equations.columns.size), np.nan)
        self.sound: NDArray[np.bool_] = np.asarray(np.isfinite(table).all(axis=1))
        for s in np.flatnonzero(~self.sound):
            lost = [f"{q} of {w}" for (q, w), v in zip(self.given, table[s], strict=True) if not np.isfinite(v)]
            self._fail(int(s), MISSING, f"no value for {', '.join(lost[:5])}")
        for k, (quantity, where) in enumerate(self.given):
            for s in np.flatnonzero(self.sound & ~(table[:, k] > QUANTITIES[quantity].above)):
                self.sound[s] = False
                self._fail(int(s), UNFIT, f"{quantity} of {where} must be above 0, got {table[s, k]:g}")

    def _fail(self, scenario: int, status: str, reason: str) -> None:
        self.status[scenario], self.reasons[scenario] = status, reason

    def run(self) -> None:
        """Solve all."""
        if self.prepared.apart:
            for s in np.flatnonzero(self.sound):
                self._alone(int(s))
        elif self.sound.any():
            self.columns, self.rows = self.prepared.columns, self.prepared.rows(self.table)
            self._rounds()
        self._judge()

    # ----------------------------------------------------------------- rounds

    def _rounds(self) -> None:
        """Solve in lanes, ask the devices, and solve those that switch again, group by group."""
        prepared = self.prepared
        pending: dict[Modes, list[int]] = {prepared.home: [int(s) for s in np.flatnonzero(self.sound)]}
        starts: dict[Modes, Floats] = {prepared.home: prepared.base}
        left: list[int] = []
        prepared.asked += int(self.sound.sum())
        for _ in range(ROUNDS):
            wanted: dict[Modes, list[int]] = defaultdict(list)
            for modes, scenarios in pending.items():
                group = None
                home = modes == prepared.home and prepared.asked >= GROUP
                if home or len(scenarios) >= GROUP or modes in prepared.groups:
                    group = prepared.group(modes, self.rows[scenarios[0]], starts[modes])
                if group is None:
                    left += scenarios
                    continue
                for new, those in self._solved(group, np.array(scenarios), left).items():
                    wanted[new] += those
                    starts.setdefault(new, self.X[those[0]].copy())
            pending = dict(wanted)
            if not pending:
                break
        left += [s for those in pending.values() for s in those]
        for s in sorted(left):
            self._alone(s)

    def _solved(self, group: _Group, scenarios: Ints, left: list[int]) -> dict[Modes, list[int]]:
        """Solve scenarios with one set of modes; return those whose devices want others, by what they want."""
        answer = group.batch.solve(
            self.columns[group.columns], self.rows[np.ix_(scenarios, group.columns)], alone=False
        )
        self.X[scenarios] = answer.x
        self.iterations[scenarios] += answer.iterations
        good = answer.status == CONVERGED
        drained = {int(scenarios[k]) for k in answer.drained}
        for s in drained:
            self._fail(s, REFUSED, "no answer found: the pressures on the way to one are far below zero")
        left += [int(s) for s in scenarios[~good] if int(s) not in drained]
        wanted: dict[Modes, list[int]] = defaultdict(list)
        devices = self.prepared.runner.modes.devices
        at = {int(c): k for k, c in enumerate(self.columns)}
        moving = [(d, d.modes[d.home][0]) for d in devices if d.modes[d.home][0] in at]
        for s in scenarios[good] if devices else ():
            x = self.X[s]
            for device, column in moving:  # its own set-point, whatever its mode
                device.modes[device.home] = (column, float(self.rows[s, at[column]]))
            new = tuple(d.test(x, mode) for d, mode in zip(devices, group.modes, strict=True))
            if new != group.modes:
                wanted[new].append(int(s))
            else:
                off = {d.name: m for d, m in zip(devices, new, strict=True) if m != d.home}
                if off:
                    self.modes[int(s)] = off
        self._refuse(scenarios[good], {s for those in wanted.values() for s in those})
        self.mismatch[scenarios[good]] = group.batch.mismatch(self.X[scenarios[good]])
        return wanted

    def _refuse(self, scenarios: Ints, switching: set[int]) -> None:
        """Refuse answers that cannot be, in the words of `refuse_impossible`."""
        c, X = self.system.equations.columns, self.X[scenarios]
        good = np.ones(len(scenarios), bool)
        if self.system.gas.names:
            good &= (X[:, c["pressure"].span] > 0.0).all(axis=1)
        if self.system.power.names:
            g, a = self.system.power, X[:, c["angle"].span]
            (f, t), shift = g.ends, g.branches.shift[g.alive_branch]
            good &= (X[:, c["magnitude"].span] > 0.0).all(axis=1)
            good &= (np.cos(a[:, f] - a[:, t] - shift) > 0.0).all(axis=1)
        for s in scenarios[~good].tolist():
            if s not in switching:
                try:
                    refuse_impossible(self.system, self.X[s])
                except PhysicsRefused as error:
                    self._fail(s, REFUSED, str(error))

    def _alone(self, s: int) -> None:
        """Solve one scenario with the equations at hand, or where that finds no answer by `steady`."""
        self.mismatch[s] = np.nan
        self.X[s] = np.nan
        p = self.prepared
        own = [Known(q, w, float(v)) for (q, w), v in zip(self.given, self.table[s], strict=True)]
        if not p.apart and self._warm(s, own):
            return
        try:
            found = steady(p.network, [*p.knowns, *own], hour=p.hour, q_limits=p.q_limits, cell=p.cell)
        except SeraiError as error:
            status = next((text for kind, text in STATUS.items() if isinstance(error, kind)), "not accepted")
            self._fail(s, status, str(error))
            return
        self.alone[s] = found
        self.mismatch[s] = found.mismatch
        self.iterations[s] += found.iterations
        self.modes[s] = {name: mode for _, name, mode in found.modes}

    def _warm(self, s: int, own: list[Known]) -> bool:
        """Solve one scenario from the base state on, modes and all; tell whether its answer holds."""
        p = self.prepared
        try:
            x, steps = p.warm(own)
            value, _ = worst(certify(self.system, x))
        except SeraiError:
            return False
        if not value <= ACCEPTED:
            return False
        self.X[s], self.mismatch[s] = x, value
        self.iterations[s] += steps
        self.modes[s] = p.runner.modes.report()
        return True

    def _judge(self) -> None:
        """Take back what does not hold, and certify the worst of what does."""
        for s in np.flatnonzero((self.status == SOLVED) & ~(self.mismatch <= ACCEPTED)):
            self._fail(int(s), "not converged", f"recomputed, the mismatch is {self.mismatch[s]:.1e}")
        mine = [int(s) for s in np.flatnonzero(self.status == SOLVED) if int(s) not in self.alone]
        chosen = sorted(mine, key=lambda s: -self.mismatch[s])[:CERTIFIED]
        found = certify_all(self.system, self.X[chosen])
        for k, scenario in enumerate(chosen):
            value, where = worst({kind: (float(size[k]), names[at[k]]) for kind, (size, at, names) in found.items()})
            if not value <= ACCEPTED:
                self._fail(
                    scenario, "not converged", f"recomputed outside the solver, the {where} is off by {value:.1e}"
                )
            elif value >= self.certified[0]:
                self.certified = value, where

    # ---------------------------------------------------------------- results

    def result(self) -> Many:
        """Lay all answers into one dataset."""
        network, variables = self.prepared.network, self.variables()
        data = described(variables, names_of(network))
        data = data.assign_coords(scenario=np.arange(len(self.table)))
        data["status"] = ("scenario", self.status.astype(object))
        data["mismatch"] = ("scenario", self.mismatch)
        data.attrs = {"case": network.name, "day": network.day}
        return Many(data, self.status, self.reasons, self.mismatch, self.iterations, self.modes, self.certified)

    def variables(self) -> dict[str, tuple[tuple[str, ...], Floats]]:
        """Return the results (n_scenario, n_element) by name, with their dimensions; nan where there is no answer."""
        bad = np.flatnonzero(self.status != SOLVED)
        self.X[bad] = np.nan
        self.mismatch[bad] = np.nan
        dims, c = names_of(self.prepared.network), self.system.equations.columns
        variables: dict[str, tuple[tuple[str, ...], Floats]] = {}
        for variable, dim, quantity in KEPT:
            if dim not in dims:
                continue
            columns = columns_of(self.system, quantity) if quantity in c else {}
            of = np.array([columns.get(n, -1) for n in dims[dim]], np.intp)
            full = self.X[:, np.maximum(of, 0)]
            full[:, of < 0] = np.nan
            for s, found in self.alone.items():
                if variable in found.dataset:
                    full[s] = found.dataset[variable].values
            variables[variable] = (("scenario", dim), full)
        return variables


def columns_of(system: System, quantity: str) -> dict[str, int]:
    """Return the column that stands for each element in a result."""
    block = system.equations.columns[quantity]
    if quantity == "flow":
        first: dict[str, int] = {}
        for k, e in enumerate(system.gas.edges):
            if e.kind in JOINING:
                first.setdefault(e.element, block.first + k)
        return first
    if quantity in ("magnitude", "angle"):
        return {b: block.first + n for b, n in system.power.bus_of.items() if n >= 0}
    return block.index


def solved(prepared: Prepared, table: Floats) -> _Job:
    """Return the states of every row of a table (n_scenario, n_given), with what became of them."""
    job = _Job(prepared, table)
    job.run()
    return job


def fits(columns: Sequence[tuple[str, str]], outputs: Sequence[str] | None) -> bool:
    """Tell whether a table can run in lanes: it holds values, and what is wanted of it are columns."""
    kept = {variable for variable, _, _ in KEPT}
    same = not any(q in (*PARAMETERS, "open") for q, _ in columns)
    return same and (outputs is None or set(outputs) <= kept)


class GasSolver:
    """Tables of one list of columns, (quantity, element), in lanes: the way of `ensemble` to all this.

    held  Knowns of the base; columns that they do not give begin at the median of the first table
    """

    def __init__(
        self, network: Network, columns: Sequence[tuple[str, str]], held: Sequence[Known], *,
        knowns: Sequence[Known] = (), hour: float | None = None, q_limits: bool = True,
    ) -> None:  # fmt: skip
        self.network, self.columns = network, tuple(columns)
        self.held = {(k.quantity, k.where): k.value for k in held}
        self.knowns, self.hour, self.q_limits = tuple(knowns), hour, q_limits
        self.prepared: Prepared | None = None

    def solve(self, values: Floats, into: Found | None = None) -> Found:  # noqa: ARG002 - its arrays are not reused
        """Solve every row of values (n_scenario, n_columns), SI."""
        table = np.ascontiguousarray(values, np.float64)
        if self.prepared is None:
            self.prepared = self._prepared(table)
        job = _Job(self.prepared, table)
        job.run()
        codes = {SOLVED: FOUND, REFUSED: IMPOSSIBLE, MISSING: BAD_INPUT, UNFIT: BAD_INPUT}
        status = np.full(len(table), FOUND)
        for s in np.flatnonzero(job.status != SOLVED):
            status[s] = codes.get(str(job.status[s]), NO_ANSWER)
        reasons = {s: f"bad input: {t}" if status[s] == BAD_INPUT else t for s, t in sorted(job.reasons.items())}
        variables = {name: (dims[1:], x) for name, (dims, x) in job.variables().items()}
        return Found(variables, status, job.mismatch, job.iterations, reasons)

    def _prepared(self, table: Floats) -> Prepared:
        sound = table[np.isfinite(table).all(axis=1)]
        middle = None
        if all(c in self.held for c in self.columns):
            middle = np.array([self.held[c] for c in self.columns])
        elif len(sound):
            middle = np.median(sound, axis=0)
        return Prepared(
            self.network, self.columns, middle, knowns=self.knowns, hour=self.hour, q_limits=self.q_limits
        )  # fmt: skip
