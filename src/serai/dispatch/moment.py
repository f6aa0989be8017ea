# SPDX-License-Identifier: Apache-2.0
"""Dispatch of one steady state."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.ask import Ask, Plan, task
from serai.dispatch.choices import BY_KNOWN, BY_RATIO, Choice, choices, controls, released, setpoints, without
from serai.dispatch.horizon import Horizon
from serai.dispatch.sequence import Found, Task, Violation, sequence
from serai.errors import NotClosed, NotConverged, PhysicsRefused, SeraiError, SingularSystem
from serai.known import Known
from serai.simulate.steady import Run, result_of
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result
    from serai.system import Fixed

    Floats = NDArray[np.float64]

NO_ANSWER = (NotConverged, PhysicsRefused, SingularSystem)
AGREED = 1e-6  # scaled: how near the confirmed state lies to the one that was searched
TURNS = 3  # searches at most, each with the modes that the last confirmation found


class Moment:
    """One steady state: search, then confirmation by the exact laws with all their modes.

    own           the Knowns before; setpoints those chosen
    before, after (Result, state) with them; None where the laws have no answer (`refusal` says why for `after`)
    taps          tap positions before, where a search around this one chose them (`taps`)
    """

    def __init__(self, ask: Ask, hour: float | None, also: Sequence[Known] = ()) -> None:
        """Search and confirm."""
        self.ask, self.hour = ask, hour
        net = ask.network
        own = override(net, override(net, net.knowns(hour), ask.knowns), also)
        self.own = own if "generation" not in ask.groups else own + units_apart(net, own)
        self.commands: tuple[()] = ()
        self.refusal = ""
        self.taps: list[Known] = []
        self.system, run = System(net, self.own, cell=ask.cell), None
        try:
            run = Run(self.system)
            x = run.solve(cold=True).x
            self.before: tuple[Result, Floats] | None = (result_of(net, self.system, x[None, :], run), x)
        except NO_ANSWER:
            self.before, x = None, self.system.equations.columns.start()
        self.goal = ask.goal(self.system)
        self._search(x, run)

    def _search(self, x: Floats, run: Run | None) -> None:
        deadline = time.perf_counter() + self.ask.seconds
        fixed = self.system.fix() if run is None else run.modes.fixed
        for _ in range(TURNS):
            self._once(x, fixed, max(1.0, deadline - time.perf_counter()))
            self.after = self._confirm()
            if self.after is None:
                return
            x = self.after[1]
            c = self.system.equations.columns
            off = np.abs(x - self.found.X[0]) / c.scales()
            steady = [c[q].span for q in ("pressure", "magnitude", "flow") if q in c]
            if max((float(off[s].max()) for s in steady), default=0.0) < AGREED or self.confirmed is None:
                return
            fixed = dict(self.confirmed.modes.fixed)  # other modes hold there: search again

    def _once(self, x: Floats, fixed: dict[int, Fixed], seconds: float) -> None:
        given = released(self.ask.network, self.own, self.ask.groups)
        for hold in (BY_RATIO, BY_KNOWN):
            self.chosen = _open(choices(self.system, given, self.ask.terminal_bounds(), hold=hold), self.system, fixed)
            try:
                self.horizon = Horizon(self.system, [without(self.system, fixed, self.chosen)], controls(self.chosen))
                break
            except NotClosed:
                if hold is BY_KNOWN:
                    raise
        value = {c.column: float(fixed[c.column].value) for c in self.chosen if c.column in fixed}
        plan = Plan([self.chosen], [value], [self.own])
        made = task(self.ask, self.horizon, plan, self.horizon.states(x))
        self.found: Found = self._several(made, seconds)
        self.setpoints = setpoints(self.system, self.chosen, self.found.X[0], value)

    def _several(self, made: Task, seconds: float) -> Found:
        """Search from the set-points at hand; where that finds no feasible state, or more was asked, from others too.

        The others have every control at the low end of its range, in the middle, and at the high end: all stations by
        passed, at half and at full lift.
        """
        began, best = time.perf_counter(), None
        others = [_at_share(made, self.horizon, share) for share in (0.0, 0.5, 1.0)]
        for k, start in enumerate((made.start, *others)):
            left = seconds - (time.perf_counter() - began)
            if best is not None and (left <= 0.0 or (best.feasible and k >= self.ask.starts)):
                break
            found = sequence(
                replace(made, start=start), seconds=left, accuracy=self.ask.accuracy, told=self.ask.told
            )  # fmt: skip
            if best is None or _rank(found) < _rank(best):
                best = found
        assert best is not None  # noqa: S101 - the first start is always searched
        return best

    def _confirm(self) -> tuple[Result, Floats] | None:
        """Solve the exact laws with the set-points as Knowns, from the tables on."""
        net = self.ask.network
        self.confirmed: Run | None = None
        try:
            system = System(net, override(net, self.own, self.setpoints), cell=self.ask.cell)
            run = Run(system)
            try:
                state = run.solve(cold=True).x
            except NO_ANSWER:
                run = Run(system)
                run.closed.x[:] = self.found.X[0]
                run.closed.set_known(run.modes.fixed)
                state = run.solve().x
            self.confirmed = run
            return result_of(net, system, state[None, :], run), state
        except SeraiError as error:
            self.refusal = str(error)
            return None


def _rank(found: Found) -> tuple[bool, float, float]:
    """Return what a better answer has less of: lawless, violations, value."""
    return not found.lawful, found.broken, found.value


def _at_share(made: Task, horizon: Horizon, share: float) -> Floats:
    """Return the start of a task with each bounded control at a share of its range."""
    X = made.start.copy()
    r, bounds = made.range_of(0), made.bounds[0] if isinstance(made.bounds, list) else made.bounds
    for c in horizon.controls.tolist():
        least, most = bounds.get(c, (-np.inf, np.inf))
        low, high = max(least, r.low[c]), min(most, r.high[c])
        if np.isfinite(low) and np.isfinite(high) and low <= high:
            X[:, c] = low + share * (high - low)
    return X


def _open(chosen: list[Choice], system: System, fixed: dict[int, Fixed]) -> list[Choice]:
    """Return the choices without stations and valves that a mode has closed: no flow passes them."""
    c, out = system.equations.columns, []
    for one in chosen:
        if system.network.kind_of(one.element) in ("compressors", "control_valves"):
            flow = fixed.get(c.find("flow", one.element))
            if flow is not None and flow.value == 0.0:
                continue
        out.append(one)
    return out


def units_apart(network: Network, own: Sequence[Known]) -> list[Known]:
    """Return set-points for all but the first of several units that swing at one bus, so that each can be chosen."""
    t = network.active("generators")
    given = {k.where for k in own if k.quantity == "active_power"}
    seen: set[str] = set()
    out = []
    for k, name in enumerate(t.names):
        if name in given:
            continue
        bus = str(t["bus"][k])
        if bus in seen:
            low, high = (float(np.nan_to_num(t[c][k])) for c in ("active_power_min", "active_power_max"))
            out.append(Known("active_power", name, (low + high) / 2.0, source="dispatch"))
        seen.add(bus)
    return out


def others(ask: Ask, result: Result | None, found: Found) -> tuple[Violation, ...]:
    """Return the limits that the confirmed result breaks and the search did not speak of: of frozen set-points."""
    if result is None:
        return ()
    known = {(v.quantity, v.element) for v in found.violations} | {("", v.element) for v in found.violations}
    out = []
    for b in result.breaks():
        if b.quantity == "loading" and ask.line_limit != "current":
            continue
        if (b.quantity, b.element) in known:
            continue
        size = abs(b.value - b.limit) / max(abs(b.limit), 1e-9)
        moment = 0 if np.isnan(b.time) else int(b.time)
        out.append(Violation(b.quantity, b.element, b.value, b.limit, size, moment))
    return tuple(out)
