# SPDX-License-Identifier: Apache-2.0
"""Ensembles: one network, thousands of scenarios; each differs from the base by the values of some Knowns.

    table = pd.DataFrame({"active_power@load 5": [80e6, 95e6], "reactive_power@load 5": [30e6, 31e6]})
    many = sr.ensemble(network, table)
    many.magnitude                       # (scenario, bus), as in every result
    many.failed                          # {scenario: reason}: what did not converge, was refused, or lacked a value

A column is named `quantity@element`, or is the pair (quantity, element); values are SI. A table is a DataFrame (its
index names the scenarios), a dict of such columns, or a pair (columns, array). What fits a compiled kernel goes there,
eight scenarios at a time: grids whose buses each know two of P, Q, magnitude and angle, with other powers, held
magnitudes and branches out of service (`system.ac_lanes`). Everything else, and every output that a kernel does not
give, is solved scenario by scenario with the factors kept (`simulate.one_by_one`). Either way the answer of a scenario
is marked solved only if its mismatch, computed again from the answer itself, is below the tolerance; the others are
NaN, keep their place, and say why.

`Ensemble` is the same in two steps: what depends on the network alone is done once, `run` takes any number of tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from threading import local
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import numpy as np
import pandas as pd
import xarray as xr
from xarray.indexes import PandasIndex

from serai.errors import SeraiError, UnknownName
from serai.known import Event, Known, Series
from serai.simulate.batched import GasSolver, fits
from serai.simulate.days import DayPlan, DaySolver, day_plan, element_and_time
from serai.simulate.ensemble_parts import AHEAD, Parts, Summary, in_order
from serai.simulate.extract import names_of
from serai.simulate.labelled import UNITS, Labelled
from serai.simulate.one_by_one import BAD_INPUT, NO_ANSWER, REFUSED, SOLVED, Found, OneByOne
from serai.simulate.steady import Run
from serai.system import System, override
from serai.system.ac_batch import AcBatch
from serai.system.ac_grid import Layout, why_not
from serai.system.ac_lanes import CONVERGED, CYCLING
from serai.system.ac_proof import REFUSED as TOO_FAR_APART
from serai.system.knowns import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from os import PathLike

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.system.ac_grid import Plan
    from serai.system.ac_lanes import Answers

    Floats = NDArray[np.float64]
    Column = tuple[str, str]

STATUS = np.array(["solved", "refused by physics", "no answer", "bad input"])
FAST_OUTPUTS = ("magnitude", "angle")
TOLERANCE = 1e-8  # of the recomputed mismatch: per unit of the base power, of the total supply, of the highest pressure
AT_ONCE = 16_384  # scenarios between two reports of progress
DAYS = 64  # days of a part or of a worker's piece
SAMPLE, LEAST_WORK = 128, 0.05  # scenarios that tell how long a piece takes; s that it must
CHUNK = 1_024  # scenarios of a part or of a worker's piece: more than 50 ms of work on all but the smallest grids


class Solver(Protocol):
    """What solves the tables of one network and one list of columns; kernels for other networks join here."""

    def solve(self, values: Floats, into: Found | None = None) -> Found:
        """Solve every row of values (n_scenarios, n_columns), SI."""
        ...


@dataclass(frozen=True)
class EnsembleResult:
    """What an ensemble found: `dataset` over `scenario`, with status, mismatch and iterations of each.

    network  that was solved
    dataset  every array is also an attribute; scenarios without an answer are nan
    failed   scenario -> reason, for every scenario that is not solved
    """

    network: Network
    dataset: xr.Dataset
    failed: dict[Any, str]
    found: Found | None = field(default=None, repr=False)

    def __getattr__(self, name: str) -> Labelled:
        """Return an array of the dataset by its name."""
        if name.startswith("__") or "dataset" not in self.__dict__ or name not in self.dataset:
            raise AttributeError(name)
        return Labelled(self.dataset[name])

    def __repr__(self) -> str:
        """Say what it is in one line."""
        count = self.dataset.sizes["scenario"]
        return f"<serai ensemble of {self.network.name}: {count - len(self.failed)} of {count} scenarios solved>"


def ensemble(
    network: Network,
    scenarios: Any,
    *,
    knowns: Iterable[Known | Series] = (),
    hour: float | None = None,
    hours: float | None = None,
    step: str | float = "15min",
    events: Iterable[Event] = (),
    cell: float | None = None,
    q_limits: bool = True,
    outputs: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    executor: Executor | None = None,
    to: str | PathLike[str] | None = None,
    chunk: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> EnsembleResult:
    """Solve the steady state of every scenario of a table, or with `hours` simulate a day of each.

    network    with its own set-points and `knowns`: the base, from which every scenario starts
    scenarios  DataFrame, dict of columns, or (columns, array (n_scenarios, n_columns)); columns are "quantity@element"
               or (quantity, element), values SI. With `to` also an iterable of such tables.

    Other arguments
    hour       take the profiles at this hour [h]; None = the day's mean; of days, the local time of the start
    hours      length of a day [h]; None = steady states. Columns of days may be "quantity@element@06:00": from then on
    step       time step of days, "15min" or seconds
    events     of days: what happens in all scenarios, on a step; knowns may hold Series
    cell       of days: longest pipe cell [m]
    q_limits   let generators that run out of reactive power give up their voltage
    outputs    result arrays to keep; None = magnitude and angle for a grid alone, else all
    tolerance  of each mismatch, per unit of the case's scales
    executor   any concurrent.futures executor (processes must be spawned) or Dask client that shares the work by chunks
    to         folder: results go there part by part, and a second call goes on where a first one was stopped
    chunk      scenarios of one part or one piece of work
    progress   called with the share done, 0 to 1

    Raises UnknownName for a column that the network does not have and SeraiError for a table that is none. A value that
    is missing, a scenario without an answer, or one that physics refuses is a status and a reason of that scenario.
    """
    day = None
    if hours is not None:
        day = day_plan(
            hours, step, knowns=tuple(knowns), events=tuple(events), cell=cell, start_hour=hour, q_limits=q_limits
        )  # fmt: skip
        knowns, chunk = [k.at(0.0) if isinstance(k, Series) else k for k in knowns], chunk or DAYS
    options = {
        "knowns": tuple(knowns), "hour": hour, "q_limits": q_limits, "outputs": outputs, "tolerance": tolerance,
        "day": day,
    }  # fmt: skip
    prepared = Ensemble(network, **options)  # type: ignore[arg-type]  # of mixed types, each as its argument
    if executor is None and to is None:
        return prepared.run(scenarios, progress=progress)
    if to is None:
        return _shared(prepared, options, scenarios, executor=executor, chunk=chunk, progress=progress)
    return _stored(prepared, options, scenarios, executor=executor, to=to, chunk=chunk or CHUNK, progress=progress)


def _tables(prepared: Ensemble, scenarios: Any, chunk: int) -> Iterator[tuple[tuple[Column, ...], Floats, Any]]:
    """Yield columns, values and names of at most `chunk` scenarios at a time, of one table or of many."""
    one = isinstance(scenarios, (pd.DataFrame, Mapping, Sequence))
    for table in (scenarios,) if one else scenarios:
        columns, values, labels = prepared.read(table)
        for first in range(0, len(values), chunk):
            part = slice(first, first + chunk)
            yield columns, np.ascontiguousarray(values[part]), None if labels is None else labels[part]


def _shared(
    prepared: Ensemble, options: dict[str, Any], scenarios: Any, *, executor: Any, chunk: int | None,
    progress: Callable[[float], None] | None,
) -> EnsembleResult:  # fmt: skip
    """Solve one table by the workers of an executor."""
    columns, values, labels = prepared.read(scenarios)
    solver = prepared.solver(columns)  # so that a bad column is refused before any work goes out
    chunk = chunk or _worthwhile(solver, values)
    key = uuid4().hex
    pieces = (
        (key, prepared.network, options, columns, np.ascontiguousarray(values[k : k + chunk]))
        for k in range(0, len(values), chunk)
    )
    parts = []
    for found in in_order(executor, _solved, pieces):
        parts.append(found)
        if progress is not None:
            progress(min(1.0, len(parts) * chunk / len(values)))
    return prepared.packed(Found.joined(parts) if parts else prepared.solver(columns).solve(values), labels)


def _solved(piece: tuple[str, Network, dict[str, Any], tuple[Column, ...], Floats]) -> Found:
    """Solve a piece of a table in a worker, which keeps what it prepared for the next piece."""
    key, network, options, columns, values = piece
    if getattr(_PREPARED, "key", "") != key:
        _PREPARED.key, _PREPARED.ensemble = key, Ensemble(network, **options)
    found: Found = _PREPARED.ensemble.solver(columns).solve(values)
    found.room = None
    return found


_PREPARED = local()  # what a thread of a worker has prepared: its buffers serve one piece at a time


def _worthwhile(solver: Solver, values: Floats) -> int:
    """Return how many scenarios make a piece of work that is worth a journey to a worker."""
    if len(values) <= CHUNK:
        return CHUNK
    solver.solve(values[:SAMPLE])
    begin = perf_counter()
    solver.solve(values[:SAMPLE])
    return max(CHUNK, ceil(LEAST_WORK / (perf_counter() - begin) * SAMPLE))


def _stored(
    prepared: Ensemble, options: dict[str, Any], scenarios: Any, *, executor: Any, to: str | PathLike[str], chunk: int,
    progress: Callable[[float], None] | None,
) -> EnsembleResult:  # fmt: skip
    """Solve tables part by part into a folder; what is there already is not solved again."""
    total = len(scenarios) if isinstance(scenarios, pd.DataFrame) else None
    folder: Parts | None = None
    summary, key, done = Summary(), uuid4().hex, 0
    for number, (columns, values, labels) in enumerate(_tables(prepared, scenarios, chunk)):
        folder = folder or Parts(to, repr((prepared.network.name, columns, options, chunk)))
        if not folder.there(number, values):
            if executor is None:
                found = prepared.solver(columns).solve(values)
            else:
                step = max(1, len(values) // (2 * AHEAD))
                pieces = (
                    (key, prepared.network, options, columns, values[k : k + step]) for k in range(0, len(values), step)
                )
                found = Found.joined(list(in_order(executor, _solved, pieces)))
            part = prepared.packed(found, np.arange(done, done + len(values)) if labels is None else labels)
            reason = [part.failed.get(s, "") for s in part.dataset["scenario"].values.tolist()]
            folder.keep(number, values, part.dataset.assign(reason=("scenario", np.array(reason, str))))
        summary.add(folder.summary(number))
        done += len(values)
        if progress is not None and total:
            progress(done / total)
    if not done:
        raise SeraiError("there are no scenarios in the tables")
    dataset, failed = summary.joined()
    dataset.attrs = {"case": prepared.network.name, "folder": str(to), "parts": number + 1}
    return EnsembleResult(prepared.network, dataset, failed)


class Ensemble:
    """A network with its base state, ready for tables: all that does not depend on their values is done once.

    Arguments as those of `ensemble`.
    """

    def __init__(
        self,
        network: Network,
        *,
        knowns: Iterable[Known] = (),
        hour: float | None = None,
        q_limits: bool = True,
        outputs: Sequence[str] | None = None,
        tolerance: float = TOLERANCE,
        day: DayPlan | None = None,
    ) -> None:
        self.day = day
        self.network, self.knowns, self.hour = network, tuple(knowns), hour
        self.q_limits, self.outputs, self.tolerance = q_limits, None if outputs is None else tuple(outputs), tolerance
        self._given = override(network, network.knowns(hour), self.knowns)
        self.system = System(network, self._given)
        self.base = Run(self.system, q_limits=q_limits)
        self.x = self.base.solve(cold=True).x
        self.dims: dict[str, Any] = dict(names_of(network))
        if day is not None:
            self.dims["time"] = day.times
        self._indexes: dict[str, PandasIndex] = {}
        self._columns: tuple[Column, ...] | None = None
        self._header: Any = None
        self._solver: Solver | None = None
        self._without_columns: _GridSolver | None = None
        self._grid = self._lay_out()
        self.reason_for_slow = ""

    def _lay_out(self) -> AcBatch | None:
        """Return the grid kernel where the network and the outputs fit it."""
        fixed = self.system.fix()
        self._why_not = why_not(self.system, fixed) if self.day is None else "days are not steady states"
        if not self._why_not and self.outputs is not None and set(self.outputs) - set(FAST_OUTPUTS):
            self._why_not = f"only {' and '.join(FAST_OUTPUTS)} come from the kernel"
        if self._why_not:
            return None
        side = {"reactive limit, upper": 1, "reactive limit, lower": -1}
        limits = {self.system.power.at(name): side[mode] for name, mode in self.base.modes.report().items()}
        return AcBatch(Layout(self.system, fixed, self.x, limits, q_limits=self.q_limits))

    # ------------------------------------------------------------------------------------------------------------ run

    def run(
        self,
        scenarios: Any,
        *,
        progress: Callable[[float], None] | None = None,
        into: EnsembleResult | None = None,
    ) -> EnsembleResult:
        """Solve every scenario of a table.

        into  an earlier result of as many scenarios that is no longer needed: its arrays are written over, which saves
              the time to fetch new memory
        """
        columns, values, labels = self.read(scenarios)
        solver = self.solver(columns)
        room = into.found if into is not None else None
        if len(values) <= AT_ONCE:
            found = solver.solve(values, room)
        else:
            pieces = []
            for first in range(0, len(values), AT_ONCE):
                pieces.append(solver.solve(values[first : first + AT_ONCE]))
                if progress is not None:
                    progress(min(1.0, (first + AT_ONCE) / len(values)))
            found = Found.joined(pieces)
        if progress is not None and len(values) <= AT_ONCE:
            progress(1.0)
        return self.packed(found, labels)

    def lose(self, names: Sequence[str] | None = None) -> EnsembleResult:
        """Solve the grid without each of its lines, transformers or branches in turn: N-1, a scenario an element.

        Buses that an outage cuts off from every reference have no voltage; the swing takes what they took or gave.
        """
        kinds = ("lines", "transformers", "branches")
        lost = [n for kind in kinds for n in self.network.active(kind).names] if names is None else list(names)
        for name in lost:
            if name not in self.network or self.network.kind_of(name) not in kinds:
                raise UnknownName(f"no line, transformer or branch {name!r} to lose in {self.network.name}")
        if self._grid is None:
            values = 1.0 - np.eye(len(lost))
            return self.run((tuple(("in_service", n) for n in lost), values))
        if self._without_columns is None:
            plan = self._grid.layout.plan(())
            if isinstance(plan, str):  # pragma: no cover - a plan without columns always fits
                raise SeraiError(plan)
            self._without_columns = _GridSolver(self, self._grid, plan, ())
        out = [self._grid.layout.branches_of(name) for name in lost]
        found = self._without_columns.solve(np.empty((len(lost), 0)), out=out)
        return self.packed(found, lost)

    def solver(self, columns: tuple[Column, ...]) -> Solver:
        """Return what solves tables with these columns; kept until other columns come."""
        if columns != self._columns or self._solver is None:
            self._check(columns)
            self._columns, self._solver = columns, self._made(columns)
        return self._solver

    def _made(self, columns: tuple[Column, ...]) -> Solver:
        self.reason_for_slow = self._why_not
        if self.day is not None:
            return DaySolver(self.network, columns, self.day)
        if self._grid is not None:
            plan = self._grid.layout.plan(columns)
            if not isinstance(plan, str):
                return _GridSolver(self, self._grid, plan, columns)
            self.reason_for_slow = plan
        if fits(columns, self.outputs):
            return GasSolver(
                self.network, columns, self._given, knowns=self.knowns, hour=self.hour, q_limits=self.q_limits
            )
        return OneByOne(
            self.network, self.system, self.base, given=self._given, x=self.x, columns=columns,
            hour=self.hour, q_limits=self.q_limits, tolerance=self.tolerance,
        )  # fmt: skip

    def _check(self, columns: tuple[Column, ...]) -> None:
        """Raise UnknownName or SeraiError, naming the column, for one that no scenario can have."""
        seen: set[Column] = set()
        for quantity, where in columns:
            element = where if self.day is None else element_and_time(self.network, where, self.day)[0]
            if element not in self.network:
                raise UnknownName(f"scenario column {quantity}@{where}: {self.network.name} has no element {where!r}")
            checked(self.network, [Known(quantity, element, 1.0)])
            if (quantity, where) in seen:
                raise SeraiError(f"scenario column {quantity}@{where} stands twice in the table")
            seen.add((quantity, where))

    # ---------------------------------------------------------------------------------------------------------- tables

    def read(self, scenarios: Any) -> tuple[tuple[Column, ...], Floats, Any]:
        """Return columns, values (n_scenarios, n_columns) and the names of the scenarios of a table."""
        labels: Any = None
        if isinstance(scenarios, pd.DataFrame):
            header: Any = scenarios.columns
            array = self._numbers(scenarios)
            labels = None if isinstance(scenarios.index, pd.RangeIndex) else scenarios.index
        elif isinstance(scenarios, Mapping):
            header = list(scenarios)
            parts = [np.atleast_1d(np.asarray(x, np.float64)) for x in scenarios.values()]
            sizes = {len(x) for x in parts}
            if len(sizes) > 1 or any(x.ndim != 1 for x in parts):
                raise SeraiError(f"the columns of a table of scenarios must be equally long, got {sorted(sizes)}")
            array = np.stack(parts, axis=1) if parts else np.empty((0, 0))
        elif isinstance(scenarios, Sequence) and len(scenarios) == 2:
            header, array = scenarios[0], np.asarray(scenarios[1], np.float64)
        else:
            raise SeraiError("give scenarios as a DataFrame, as a dict of columns, or as a pair (columns, array)")
        if array.ndim != 2 or array.shape[1] != len(header):
            raise SeraiError(
                f"a table of scenarios has one value for each scenario and column: {len(header)} columns do not fit an "
                f"array of shape {array.shape}"
            )
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            array = np.ascontiguousarray(array)
        if header is not self._header:
            self._header, self._header_columns = header, tuple(_column(x) for x in header)
        return self._header_columns, array, labels

    @staticmethod
    def _numbers(frame: pd.DataFrame) -> Floats:
        try:
            return np.asarray(frame.to_numpy(np.float64))
        except (TypeError, ValueError) as error:
            bad = [str(c) for c, kind in frame.dtypes.items() if not np.issubdtype(kind, np.number)]
            raise SeraiError(f"scenario columns hold something else than numbers: {', '.join(bad)}") from error

    # --------------------------------------------------------------------------------------------------------- results

    def packed(self, found: Found, labels: Any) -> EnsembleResult:
        """Return what was found as a dataset over `scenario`."""
        count = len(found.status)
        data: dict[str, Any] = {
            name: (("scenario", *dims), values, {"units": UNITS[name][0], "long_name": UNITS[name][1]})
            for name, (dims, values) in found.variables.items()
            if self.outputs is None or name in (*self.outputs, "ledger_error")
        }
        data["status"] = ("scenario", STATUS[found.status])
        data["mismatch"] = ("scenario", found.mismatch, {"units": "1", "long_name": "recomputed, largest"})
        data["iterations"] = ("scenario", found.iterations, {"units": "1", "long_name": "Newton steps"})
        scenario = np.arange(count) if labels is None else np.asarray(labels)
        indexes = {"scenario": PandasIndex(pd.Index(scenario), "scenario")}
        for dims, _ in found.variables.values():
            for dim in dims:
                if dim not in self._indexes:
                    self._indexes[dim] = PandasIndex(pd.Index(self.dims[dim]), dim)
                indexes[dim] = self._indexes[dim]
        named = {k: v for index in indexes.values() for k, v in index.create_variables().items()}
        coords = xr.Coordinates(named, indexes=indexes)  # given whole, xarray need not build them anew
        attrs = {"case": self.network.name, "day": self.network.day, "tolerance": self.tolerance}
        names = scenario.tolist()
        failed = {names[s]: text for s, text in found.reasons.items()}
        return EnsembleResult(self.network, xr.Dataset(data, coords=coords, attrs=attrs), failed, found)


def _column(header: Any) -> Column:
    """Return (quantity, element) of a header."""
    if isinstance(header, str):
        quantity, at, where = header.partition("@")
        if at and quantity and where:
            return quantity.strip(), where.strip()
    elif isinstance(header, Sequence) and len(header) == 2:
        return str(header[0]), str(header[1])
    raise UnknownName(f'scenario column {header!r}: name it "quantity@element" or (quantity, element)')


class _GridSolver:
    """Tables of one list of columns through the grid kernel."""

    def __init__(self, study: Ensemble, batch: AcBatch, plan: Plan, columns: tuple[Column, ...]) -> None:
        self.study, self.batch, self.plan, self.columns = study, batch, plan, columns
        power = study.system.power
        self.nodes = np.array([power.at(b) for b in study.dims["bus"]], np.int64)
        self.alike = np.array_equal(self.nodes, np.arange(batch.layout.n))
        # a value in these columns may be missing without a trace in the voltages
        self.bounded = [k for k, (quantity, _) in enumerate(columns) if quantity in ("in_service", "magnitude")]
        self.tacit = np.array(sorted(set(self.bounded) | set(plan.idle)), np.int64)

    def solve(self, values: Floats, into: Found | None = None, *, out: Any = None) -> Found:
        """Solve every row of values (n_scenarios, n_columns); `out`: branches that are out of each scenario."""
        count = len(values)
        room: Answers | None = into.room if into is not None and len(into.status) == count else None
        if room is not None and room.magnitude.shape[1] != self.batch.layout.n:
            room = None
        table = self.plan.table(values, out)
        answers = self.batch.solve(table, count, tolerance=self.study.tolerance, into=room)
        bad = self._bad(values)
        status = np.where(answers.state == CONVERGED, SOLVED, NO_ANSWER)
        status[answers.state == TOO_FAR_APART] = REFUSED
        reasons: dict[int, str] = {}
        if bad or status.any():
            for s in np.flatnonzero(status).tolist():
                reasons[s] = self._reason(values[s], int(answers.state[s]), float(answers.mismatch[s]))
                if reasons[s].startswith("bad input"):
                    status[s] = BAD_INPUT
            for s, text in bad.items():
                reasons[s], status[s] = text, BAD_INPUT
                answers.magnitude[s], answers.angle[s] = np.nan, np.nan
            reasons = dict(sorted(reasons.items()))
        magnitude, angle = answers.magnitude, answers.angle
        if not self.alike:
            magnitude, angle = (np.where(self.nodes >= 0, x[:, self.nodes], np.nan) for x in (magnitude, angle))
        variables: dict[str, tuple[tuple[str, ...], Floats]] = {
            "magnitude": (("bus",), magnitude),
            "angle": (("bus",), angle),
        }
        return Found(variables, status, answers.mismatch, answers.steps, reasons, answers)

    def _bad(self, values: Floats) -> dict[int, str]:
        """Return what is wrong with values whose absence the voltages would not show."""
        found: dict[int, str] = {}
        if self.tacit.size == 0 or (not self.bounded and np.isfinite(values[:, self.tacit]).all()):
            return found
        for k in self.tacit.tolist():
            quantity, where = self.columns[k]
            x = values[:, k]
            wrong = ~np.isfinite(x)
            if quantity == "in_service":
                wrong |= (x != 0.0) & (x != 1.0)
            elif quantity == "magnitude":
                wrong |= ~(x > 0.0)
            for s in np.flatnonzero(wrong):
                found[int(s)] = f"bad input: {quantity}@{where} is {x[s]:g}"
        return found

    def _reason(self, values: Floats, state: int, mismatch: float) -> str:
        missing = np.flatnonzero(~np.isfinite(values))
        if missing.size:
            quantity, where = self.columns[missing[0]]
            return f"bad input: {quantity}@{where} is {values[missing[0]]:g}"
        if state == TOO_FAR_APART:
            return "the grid cannot carry this: voltages would be over a quarter turn apart across a branch"
        if state == CYCLING:
            return "reactive limits keep switching"
        off = f"a balance stays {mismatch:.1e} of the base power off"
        return f"no answer found: {off}; the grid may be unable to carry this"
