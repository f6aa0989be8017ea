# SPDX-License-Identifier: Apache-2.0
"""Transient: exact Knowns and the previous state, finite time steps.

Implicit Euler on the same laws as the steady state: every cell keeps its mass, so the linepack ledger closes to
round-off; inertia is kept. The grid is solved at every step together with the gas. Implicit steps smear pressure waves:
right for linepack and dispatch, not for sub-second wave timing.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from serai.errors import BadTimes, NotConverged, PhysicsRefused, SingularSystem
from serai.known import Event, Known, Series, seconds
from serai.simulate.certificate import Mismatches, Step, certify, density_of, stored, taken, worst
from serai.simulate.extract import dataset, names_of
from serai.simulate.labelled import Result
from serai.simulate.steady import Run, refuse_mismatch
from serai.system import System, override
from serai.system.knowns import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]

CELL = 10e3  # m
HALVINGS = 5  # of a step that finds no answer, before it is given up
SHORTEST = 1.0  # s, of an adaptive step
GROWTH = 1.5  # of an adaptive step at most, from one to the next


def transient(
    network: Network,
    *,
    hours: float = 24.0,
    step: str | float = "15min",
    knowns: Iterable[Known | Series] = (),
    events: Iterable[Event] = (),
    cell: float = CELL,
    accuracy: float | None = None,
    start_hour: float = 0.0,
    q_limits: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Simulate gas and power from the steady state at the start on.

    network  what exists; its set-points and profiles of its day hold unless replaced
    hours    length [h]
    step     time between results, and the time step: "15min", "60s" or seconds
    knowns   Knowns (constant) and Series (moving, times from the start) that replace the case's own
    events   Knowns that begin to hold at a time: `at("06:00", Known("withdrawal", "Gedaim", 0.0))`

    Other arguments
    cell        longest pipe cell [m]
    accuracy    [Pa]: None = fixed steps; a pressure = adaptive steps within `step`, local error of a pressure below it
    start_hour  local time of the start, for the profiles
    q_limits    let generators that run out of reactive power give up their voltage
    progress    called with the share done, 0 to 1

    Returns a Result with a leading dimension `time` [s since the start]. Raises BadTimes for steps, horizons and events
    that do not fit, and what `steady` raises, with the time of day.
    """
    length, dt = 3600.0 * float(hours), seconds(step)
    events = sorted(events, key=lambda e: e.time)
    check_times(length, dt, events)
    job = Running(network, tuple(knowns), tuple(events), cell=cell, start_hour=start_hour, q_limits=q_limits)
    n = round(length / dt)
    results = np.arange(n + 1) * dt
    stops = np.unique(np.concatenate([results, [e.time for e in events if 0.0 < e.time < length]]))
    job.begin()
    job.record(0.0)
    size = dt
    for a, b in pairwise(stops):
        size = job.advance(float(a), float(b), size, accuracy)
        if b in results:
            job.record(float(b))
        if progress is not None:
            progress(float(b) / length)
    return job.result()


def check_times(length: float, dt: float, events: Sequence[Event]) -> None:
    """Raise BadTimes for a horizon [s], a step [s] and events that do not fit."""
    if not (dt > 0.0 and length > 0.0):
        msg = f"the horizon ({length:g} s) and the step ({dt:g} s) must be above 0"
        raise BadTimes(msg)
    if abs(length / dt - round(length / dt)) > 1e-9 * length / dt:
        msg = f"the horizon ({length:g} s) is no whole number of steps of {dt:g} s"
        raise BadTimes(msg)
    for e in events:
        if not 0.0 <= e.time < length:
            msg = (
                f"event at {clock(e.time)} ({e.known.quantity} of {e.known.where}) lies outside the {length / 3600:g} h"
            )
            raise BadTimes(msg)


def clock(time: float) -> str:
    """Return a time [s] as hours:minutes (and seconds where there are any)."""
    s = round(time)
    text = f"{s // 3600:02d}:{s % 3600 // 60:02d}"
    return text + (f":{s % 60:02d}" if s % 60 else "")


@dataclass
class _Segment:
    """States (n, n_column) at times (n,) of one system, with the Knowns in force at each."""

    system: System
    times: list[float] = field(default_factory=list)
    states: list[Floats] = field(default_factory=list)
    knowns: list[list[Known]] = field(default_factory=list)


@dataclass
class Running:
    """A transient that goes on: the running system, its state, the ledger and what has been recorded.

    `begin` once, then `advance` from one time to the next; `knowns` and `events` may be exchanged in between, so that
    what comes next need not be known at the start. `record` keeps a state, `result` packs what was kept, `forget` lets
    it go.
    """

    network: Network
    knowns: tuple[Known | Series, ...]
    events: tuple[Event, ...]
    cell: float = CELL
    start_hour: float = 0.0
    q_limits: bool = True
    segments: list[_Segment] = field(default_factory=list)
    ledger: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("supplied", "delivered", "burnt"), 0.0))
    totals: list[tuple[float, float, float]] = field(default_factory=list)
    mismatches: Mismatches = field(default_factory=dict)
    modes: list[tuple[float, str, str]] = field(default_factory=list)
    notes: dict[tuple[str, str], None] = field(default_factory=dict)
    dead: dict[tuple[str, str], None] = field(default_factory=dict)
    steps: int = 0
    iterations: int = 0

    # ------------------------------------------------------------- the Knowns

    def in_force(self, time: float, *, after: bool) -> list[Known]:
        """Return the Knowns at a time; `after` takes in the events of that very moment."""
        own = override(self.network, self.network.knowns(self.start_hour + time / 3600.0), self._given(time))
        begun = [e.known for e in self.events if e.time < time or (after and e.time == time)]
        for known in begun:  # one after the other: a later event replaces an earlier one
            own = override(self.network, own, [known])
        return own

    def _given(self, time: float) -> list[Known]:
        return [k.at(time) if isinstance(k, Series) else k for k in self.knowns]

    def begin(self) -> None:
        """Solve the steady state at the start and take it as the first state."""
        known = self.in_force(0.0, after=False)
        system = System(self.network, known, cell=self.cell)
        run = Run(system, q_limits=self.q_limits)
        self.x = run.solve(cold=True).x
        self._judge(certify(system, self.x))
        self.iterations += run.iterations
        self.first_stored = float(stored(system, self.x).sum())
        self._use(system, known)
        self._report(0.0)

    def _use(self, system: System, knowns: list[Known]) -> None:
        self.system = system
        self.signature = _signature(knowns)
        self.run = Run(system, q_limits=self.q_limits, transient=True)
        self.segments.append(_Segment(system))
        self.notes.update(dict.fromkeys(system.notes))
        self.dead.update(dict.fromkeys(system.dead))

    def _prepare(self, knowns: list[Known]) -> None:
        """Put Knowns in force; a change of what runs or of what is known makes a new system from the present state."""
        if _signature(knowns) == self.signature:
            self.system.take(knowns)
            self.run.close(self.run.modes.renew(), self.x)
            return
        old = self.system
        system = System(self.network, knowns, cell=self.cell, steady=False)
        x = system.equations.columns.start()
        for quantity, block in system.equations.columns.blocks.items():
            if quantity not in old.equations.columns:
                continue
            index = old.equations.columns[quantity].index
            for name, column in block.index.items():
                if name in index:
                    x[column] = self.x[index[name]]
        self.x = x
        self._use(system, knowns)
        self.run.close(self.run.modes.fixed, x)

    # ---------------------------------------------------------------- stepping

    def advance(self, begin: float, end: float, size: float, accuracy: float | None) -> float:
        """Step from `begin` to `end` [s], once or as often as the accuracy asks; return the size of the next step."""
        t, h = begin, min(size, end - begin) if accuracy is not None else end - begin
        halved = 0
        while t < end - 1e-9:
            h = min(h, end - t)
            last = end if end - t - h < 1e-6 else t + h
            before = self.x.copy(), self.system, self.run, self.signature
            try:
                error = self._step(t, last, accuracy)
            except PhysicsRefused as refused:
                raise PhysicsRefused(f"at {clock(last)}: {refused}", refused.elements) from None
            except (NotConverged, SingularSystem) as failed:
                halved += 1
                if halved > HALVINGS:
                    told = copy(failed)  # with the elements that it names
                    told.args = (f"at {clock(last)}, steps of {h:.3g} s: {failed}",)
                    raise told from None
                self.x, self.system, self.run, self.signature = before
                h /= 2.0
                continue
            if error > 1.0 and h > SHORTEST:
                self.x, self.system, self.run, self.signature = before
                h = max(SHORTEST, h * max(0.2, 0.9 / np.sqrt(error)))
                continue
            self._keep(t, last)
            t = last
            if accuracy is not None:
                h *= min(GROWTH, max(0.5, 0.9 / np.sqrt(max(error, 1e-3))))
        return h

    def _step(self, begin: float, end: float, accuracy: float | None) -> float:
        """Take one step; return the local error of pressures over the accuracy (0 for fixed steps)."""
        self._prepare(self.in_force(end, after=False))
        dt = end - begin
        before = self.x.copy()
        set_step(self.system, before, dt)
        solution = self.run.solve()
        self.iterations += solution.iterations
        self.x = solution.x
        self._last = Step(dt, before)
        return 0.0 if accuracy is None else self._error(before, dt) / accuracy

    def _error(self, before: Floats, dt: float) -> float:
        """Local error of an implicit Euler step [Pa]: half the difference to the line through the last two states."""
        p = self.system.equations.columns["pressure"].span
        slope = (self.x[p] - before[p]) / dt
        old, self._slope = getattr(self, "_slope", None), slope
        if old is None or old.shape != slope.shape:
            return 0.0
        return float(np.max(np.abs(slope - old), initial=0.0)) * dt / 2.0

    def _keep(self, begin: float, end: float) -> None:
        """Accept the step: certify it and enter it in the ledger."""
        step = self._last
        self._judge(certify(self.system, self.x, step))
        self.steps += 1
        dt = end - begin
        w, supplied = self._exchanged()
        self.ledger["supplied"] += supplied * dt
        self.ledger["delivered"] += (supplied + w) * dt
        self.ledger["burnt"] += (float(taken(self.system, self.x).sum()) - w) * dt
        self._report(end)

    def _exchanged(self) -> tuple[float, float]:
        """Return net withdrawal and what is supplied [kg/s]."""
        c = self.system.equations.columns
        if "withdrawal" not in c:
            return 0.0, 0.0
        w = self.x[c["withdrawal"].span]
        return float(w.sum()), float(-w[w < 0.0].sum())

    def _judge(self, found: Mismatches) -> None:
        value, where = worst(found)
        refuse_mismatch(value, where)
        for kind, (value, name) in found.items():
            if value >= self.mismatches.get(kind, (-1.0, ""))[0]:
                self.mismatches[kind] = (value, name)

    def _report(self, time: float) -> None:
        """Note the modes that changed."""
        now = self.run.modes.report()
        past = {name: mode for _, name, mode in self.modes}
        for name, mode in now.items():
            if past.get(name) != mode:
                self.modes.append((time, name, mode))
        for name, mode in past.items():
            if name not in now and mode != "set-point":
                self.modes.append((time, name, "set-point"))

    # ----------------------------------------------------------------- results

    def record(self, time: float) -> None:
        """Keep the present state as a result."""
        segment = self.segments[-1]
        segment.times.append(time)
        segment.states.append(self.x.copy())
        segment.knowns.append(list(self.system.knowns))
        self.totals.append((self.ledger["supplied"], self.ledger["delivered"], self.ledger["burnt"]))

    def forget(self) -> None:
        """Let go of what was recorded; state and ledger go on."""
        self.segments = [_Segment(self.system)]
        self.totals.clear()

    def result(self) -> Result:
        """Pack everything recorded since the last `forget`."""
        dims = names_of(self.network)
        parts = []
        for s in self.segments:
            if s.times:
                part = dataset(s.system, np.array(s.states), dims, s.knowns)
                parts.append(part.assign_coords(time=("time", s.times, {"units": "s", "long_name": "since the start"})))
        data = (
            xr.concat(parts, "time", join="outer", data_vars="all", combine_attrs="override")
            if len(parts) > 1
            else parts[0]
        )
        value, where = worst(self.mismatches)
        for k, name in enumerate(("supplied_total", "delivered_total", "burnt_total")):
            data[name] = (
                "time",
                [t[k] for t in self.totals],
                {"units": "kg", "long_name": f"gas {name[:-6]} since the start"},
            )
        data.attrs = {
            "case": self.network.name, "day": self.network.day, "mismatch": value, "worst": where,
            "ledger_error": self._ledger_error(), "steps": self.steps, "cell": self.cell, "start_hour": self.start_hour,
        }  # fmt: skip
        return Result(
            self.network, data, value, where, self.mismatches, tuple(self.modes), tuple(self.notes), tuple(self.dead),
            self.iterations,
        )  # fmt: skip

    def _ledger_error(self) -> float:
        """Return |linepack change - (supplied - delivered - burnt)| over what was supplied."""
        if not self.system.gas.names:
            return 0.0
        change = float(stored(self.system, self.x).sum()) - self.first_stored
        gained = self.ledger["supplied"] - self.ledger["delivered"] - self.ledger["burnt"]
        through = max(self.ledger["supplied"], self.ledger["delivered"], 1e-9)
        return abs(change - gained) / through


def set_step(system: System, before: Floats, dt: float) -> None:
    """Give every law with memory the step's length [s] and the state before it (n_column,)."""
    first = system.equations.columns["flow"].first if "flow" in system.equations.columns else 0
    for stamp, edges in system.gas.momentum:
        stamp.set(rate=1.0 / dt, m_old=before[first + edges])
    for stamp in system.gas.storage:
        stamp.set(rate=1.0 / dt, mass_old=stamp.get("V") * density_of(before[stamp.columns[0]], stamp))


def _signature(knowns: list[Known]) -> frozenset[tuple[str, str, float]]:
    """What must stay for a system to stay: which quantities are known, and the values that change the network."""
    return frozenset((k.quantity, k.where, k.value if k.quantity in (*PARAMETERS, "open") else 0.0) for k in knowns)
