# SPDX-License-Identifier: Apache-2.0
"""Dispatch over a day: all hours at once under the transient laws, with the linepack as storage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.ask import Ask, Plan, task
from serai.dispatch.choices import BY_FLOW, choices, controls, key, released, setpoints, without
from serai.dispatch.horizon import Horizon
from serai.dispatch.moment import NO_ANSWER, Moment, units_apart
from serai.dispatch.sequence import Found, merit, sequence
from serai.errors import SeraiError
from serai.known import Event, seconds
from serai.simulate.certificate import stored
from serai.simulate.transient import Running, check_times
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.known import Known
    from serai.simulate.labelled import Result
    from serai.system import Fixed

    Floats = NDArray[np.float64]

LINEPACK = ("as before", "as at start", "free")


@dataclass
class Course:
    """A simulated day: its result, states (T + 1, n_column), and what was fixed in each step with its modes."""

    result: Result
    X: Floats
    fixed: list[dict[int, Fixed]]
    system: System


class Day:
    """A day of set-points, one for each step.

    The state at the start is the steady state of the case's own set-points and is not chosen; neither is what the
    pipes hold at the end, unless `linepack` says "free".
    """

    def __init__(self, ask: Ask, *, hours: float, step: str | float, start_hour: float, linepack: str) -> None:
        """Simulate the day as it is, search from there and from the best constant set-points, confirm the better."""
        if linepack not in LINEPACK:
            msg = f"linepack {linepack!r}: choose {', '.join(LINEPACK)}"
            raise SeraiError(msg)
        self.ask, self.start_hour, self.dt = ask, start_hour, seconds(step)
        check_times(3600.0 * hours, self.dt, [])
        self.count = round(3600.0 * hours / self.dt)
        self.refusal = ""
        self.also = units_apart(ask.network, self._given(0.0)) if "generation" in ask.groups else []
        self.own = self._knowns(0.0)
        base = self._simulate(())
        self.before = base if base is None else (base.result, base.X[1:])
        if base is None:
            msg = f"the day has no answer with its own set-points, so there is no state to begin from: {self.refusal}"
            raise SeraiError(msg)
        self._search(base, linepack)

    def _given(self, hour: float) -> list[Known]:
        net = self.ask.network
        return override(net, net.knowns(self.start_hour + hour), self.ask.knowns)

    def _knowns(self, hour: float) -> list[Known]:
        return self._given(hour) + self.also

    @property
    def times(self) -> Floats:
        """End of each step (T,) [s]."""
        return np.arange(1, self.count + 1, dtype=np.float64) * self.dt

    # ------------------------------------------------------------------------------------------------------ simulate

    def _simulate(self, events: Sequence[Event]) -> Course | None:
        """Run the transient laws over the day; None, and `refusal`, where they have no answer."""
        knowns = (*self.ask.knowns, *self.also)
        cell = self.ask.cell if self.ask.cell is not None else np.inf
        job = Running(self.ask.network, knowns, tuple(events), cell=cell, start_hour=self.start_hour)
        try:
            job.begin()
            job.record(0.0)
            states, fixed = [job.x.copy()], []
            for k in range(self.count):
                job.advance(k * self.dt, (k + 1) * self.dt, self.dt, None)
                job.record((k + 1) * self.dt)
                states.append(job.x.copy())
                fixed.append(dict(job.run.modes.fixed))
            return Course(job.result(), np.array(states), fixed, job.system)
        except NO_ANSWER as error:
            self.refusal = str(error)
            return None

    # -------------------------------------------------------------------------------------------------------- search

    def _search(self, base: Course, linepack: str) -> None:
        ask = self.ask
        self.system = system = System(ask.network, self.own, cell=ask.cell)
        shared = all(f.keys() == base.fixed[0].keys() for f in base.fixed)
        fixed, chosen, value, known = [], [], [], []
        for t in range(self.count):
            now = self._knowns((t + 1) * self.dt / 3600.0)
            system.take(now)
            given = base.fixed[t] if shared else system.fix()
            chosen.append(choices(system, released(ask.network, now, ask.groups), ask.terminal_bounds(), hold=BY_FLOW))
            value.append({c.column: float(given[c.column].value) for c in chosen[t] if c.column in given})
            fixed.append(without(system, given, chosen[t]))
            known.append(now)
        self.plan = Plan(chosen, value, known)
        self.goal = ask.goal(system, weight=self.dt)
        least = {"as before": base.X[-1], "as at start": base.X[0]}.get(linepack)
        kept = None if least is None else float(stored(system, least).sum())
        self.horizon = Horizon(system, fixed, controls(chosen[0]), step=self.dt, before=base.X[0])
        self.found = self._best([base.X[1:], *self._constant(base)], kept)
        self._command()
        after = self._simulate(self.commands)
        self.after = None if after is None else (after.result, after.X[1:])

    def _best(self, starts: Sequence[Floats], kept: float | None) -> Found:
        """Search from the start with the best merit; the others cost a look each."""
        tasks = [task(self.ask, self.horizon, self.plan, X, linepack=kept) for X in starts]
        looks = [merit(t) for t in tasks]
        scale = max(abs(looks[0][0]), 1e-9)
        order = sorted(range(len(tasks)), key=lambda k: (not looks[k][2], looks[k][0] / scale + 10.0 * looks[k][1]))
        return sequence(
            tasks[order[0]], seconds=self.ask.seconds, accuracy=self.ask.accuracy, told=self.ask.told, rounds=400
        )

    def _constant(self, base: Course) -> list[Floats]:
        """Return the day under the best constant set-points of its mean, as states to begin from (none or one)."""
        try:
            mean = Moment(replace(self.ask, seconds=self.ask.seconds / 4.0, told=None), None)
        except SeraiError:
            return []
        if not mean.found.lawful:
            return []
        held, X = set(self.horizon.controls.tolist()), base.X[1:].copy()
        for c in mean.chosen:
            at = self.system.equations.columns.find(*mean.system.equations.columns.name(c.column))
            if at in held:
                X[:, at] = mean.found.X[0][c.column]
        return [X]

    def _command(self) -> None:
        """Say the states as Knowns: events at the begin of each step for what changes."""
        last: dict[tuple[str, str], Known] = {}
        events: list[Event] = []
        self.setpoints: list[Known] = []
        for t in range(self.count):
            now = setpoints(self.system, self.plan.chosen[t], self.found.X[t], self.plan.value[t])
            self.setpoints = self.setpoints or now
            for k in now:
                old = last.get(key(self.system, k))
                if old is None or (old.quantity, old.value) != (k.quantity, k.value):
                    events.append(Event(t * self.dt, k))
                last[key(self.system, k)] = k
        self.commands = tuple(events)
