# SPDX-License-Identifier: Apache-2.0
"""The job: set-points that the exact laws accept, at least fuel, losses or cost; for a moment or over a day.

A search (`sequence`) proposes set-points; `simulate` then solves the exact laws with them as Knowns, from the network's
own tables, with every mode and limit of its own. Only what comes out of that, certified, is the answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from serai.dispatch import choices as chosen_by
from serai.dispatch import objective as goals
from serai.dispatch.ask import Ask
from serai.dispatch.day import Day
from serai.dispatch.moment import Moment, others
from serai.dispatch.taps import GROUP, KINDS, Taps, kept
from serai.errors import SeraiError
from serai.known import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from serai.dispatch.sequence import Binding, Found, Violation
    from serai.known import Event
    from serai.network import Network
    from serai.simulate.labelled import Result
    from serai.simulate.limits import Break

STATUS = ("optimal", "feasible", "infeasible near", "refused")
MOST_SWITCHED = 8
CUT = 1e-6  # of what was asked: a delivery that is less is cut


@dataclass(frozen=True)
class Dispatch:
    """What a dispatch found.

    status       optimal: every limit holds and no small move gains (a local optimum)
                 feasible: every limit holds, but time or rounds ended the search
                 infeasible near: the smallest violation found; `conflict` names limits that cannot hold together there.
                 No `result` where even that state is unphysical (a pressure below zero)
                 refused: the laws, solved anew with the set-points, do not confirm them; `reason` says why
    setpoints    Knowns to pass to `steady`; over a day the Knowns at its start
    commands     over a day: Events to pass to `transient`, one for each set-point that changes
    result       of the exact laws with these set-points; None where they gave none
    before       of the exact laws with the case's own set-points; None where they have no answer
    value, value_before   of the objective, in `unit`; nan where there is no state
    violations   limits that `result` breaks, the worst first
    binding      limits that hold the objective back, with the price of each
    conflict     where violations remain: limits that cannot hold together near the state
    table        set-points over time before and after (xarray); over a day also what each step adds to the objective,
                 `value_before` and `value_after`, in `unit`
    notes        set-points that were frozen outside their own limits
    asked        the Knowns before (over a day: at its start)
    """

    network: Network
    status: str
    reason: str
    goal: str
    unit: str
    value: float
    value_before: float
    setpoints: tuple[Known, ...]
    commands: tuple[Event, ...]
    result: Result | None
    before: Result | None
    violations: tuple[Violation, ...]
    binding: tuple[Binding, ...]
    conflict: tuple[Binding, ...]
    table: xr.Dataset
    found: Found
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    asked: tuple[Known, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether the exact laws confirm the set-points and every limit holds."""
        return self.status in ("optimal", "feasible")

    @property
    def saved(self) -> float:
        """By how much the objective is lower than with the case's own set-points."""
        return self.value_before - self.value

    @property
    def short(self) -> dict[str, float]:
        """What each offtake is cut by [kg/s], where deliveries were a choice (over a day: at the start)."""
        if self.result is None:
            return {}
        asked = {k.where: k.value for k in self.asked}
        given = {k.where: k.value for k in self.setpoints if k.quantity == "withdrawal"}
        return {n: asked[n] - v for n, v in given.items() if asked[n] - v > CUT * max(asked[n], 1.0)}

    @property
    def mismatch(self) -> float:
        """Largest mismatch of the exact laws, recomputed outside the solver; nan where there is no result."""
        return float("nan") if self.result is None else self.result.mismatch

    def breaks(self) -> list[Break]:
        """Return the limits that the confirmed result breaks, as `Result.breaks` sees them."""
        return [] if self.result is None else self.result.breaks()

    def __repr__(self) -> str:
        """Say what it is in one line."""
        worst = f"; worst: {said(self.violations[0])}" if self.violations else ""
        return (
            f"<serai dispatch of {self.network.name}: {self.status}, {self.goal} {self.value:.6g} {self.unit} "
            f"(before {self.value_before:.6g}), mismatch {self.mismatch:.1e}{worst}>"
        )


def said(v: Violation) -> str:
    """Return a violation in words."""
    side = "above" if v.value > v.limit else "below"
    return f"{v.quantity} of {v.element} {v.value:.6g}, {side} {v.limit:.6g}"


def dispatch(
    network: Network,
    knowns: Iterable[Known] = (),
    *,
    choose: Iterable[str] | None = None,
    objective: str = "fuel",
    hour: float | None = None,
    hours: float | None = None,
    step: str | float = "1h",
    start_hour: float = 0.0,
    costs: Mapping[str, float | Sequence[float]] | None = None,
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None,
    ramps: Mapping[tuple[str, str], float] | None = None,
    cell: float | None = None,
    switch: Iterable[str] = (),
    line_limit: str = "current",
    linepack: str = "as before",
    seconds: float = 120.0,
    accuracy: float = 1e-7,
    starts: int = 1,
    told: Callable[[float, float], None] | None = None,
) -> Dispatch:
    """Choose set-points at least fuel, losses or cost, such that the exact laws and every limit hold.

    network    what exists; its own set-points of its day hold unless `knowns` replace them
    knowns     exact Knowns (sigma 0), SI: the deliveries wanted, other set-points
    choose     what may be chosen: "stations", "control valves", "generation", "voltages", "supplies", "pressures" (of
               supplies that hold one), "deliveries" (no more than asked, and cut last), "taps" (whole steps, a local
               search around the others, of a steady state), or elements by name; None = the first four
    objective  "fuel" (gas burnt by drives and plants), "losses" (of the grid), "cost" (`costs`, or the case's own
               tables), "nothing" (any feasible point)

    Other arguments
    hour        take the profiles at this hour [h]; None = the day's mean
    hours       length of a day to dispatch with the transient laws [h]; None = one steady state
    step        time between set-points, and the time step of the laws; start_hour local time of the start [h]
    costs       generator -> price per MWh, or polynomial in MW per hour; supply -> price per 1,000 standard m3
    bounds      (quantity, element) -> (low, high), SI: contracts and other limits beside the network's own
    ramps       (quantity, element) -> largest change per hour, SI, over a day
    cell        longest pipe cell [m]; None = one cell a pipe
    switch      valves and stations that may be opened or closed: every combination is searched (8 elements at most)
    line_limit  "current" over the rating, or "apparent power" as MATPOWER's optimal power flow has it
    linepack    over a day: "as before" = at its end the pipes hold no less than under the case's own set-points;
                "as at start"; "free"
    seconds     time for the search; the best state so far is then confirmed and returned
    accuracy    relative gain below which a move is not worth it
    starts      states from which a steady search begins, 4 at most: the set-points at hand, then every control at the
                low end, the middle and the high end of its range. Where no feasible state was found all are tried
    told        called with the objective and the sum of violations after every accepted move

    Raises what `steady` raises for Knowns that do not fit, SeraiError for missing or concave costs, UnknownName. An
    infeasible network is an answer, not an error: see `Dispatch.status`.
    """
    began = time.perf_counter()
    ask = Ask(
        network, tuple(knowns), _groups(network, choose), objective, dict(costs or {}), dict(bounds or {}),
        dict(ramps or {}), line_limit, cell, seconds, accuracy, told, starts,
    )  # fmt: skip
    if objective not in (*goals.GOALS, "nothing"):
        msg = f"objective {objective!r}: choose {', '.join(goals.GOALS)} or nothing"
        raise SeraiError(msg)
    names = list(switch)
    if hours is not None:
        if names:
            msg = "switch is for a steady state: dispatch that first, then the day with the positions found"
            raise SeraiError(msg)
        if _tapped(ask):
            msg = (
                "taps are chosen for a steady state, one position for all hours: dispatch that first, then give the "
                "tap positions found as knowns of the day"
            )
            raise SeraiError(msg)
        job: Moment | Day = Day(ask, hours=float(hours), step=step, start_hour=start_hour, linepack=linepack)
    else:
        job = _switched(ask, names, hour, began) if names else _moment(ask, hour)
    return _answer(ask, job, time.perf_counter() - began)


def _groups(network: Network, choose: Iterable[str] | None) -> tuple[str, ...]:
    """Return what may be chosen: what was named, or what is usual and exists."""
    if choose is None:
        return tuple(g for g in chosen_by.USUAL if len(network.active(chosen_by.GROUPS[g][0])))
    return (choose,) if isinstance(choose, str) else tuple(choose)


def _tapped(ask: Ask) -> bool:
    """Tell whether tap positions may be chosen."""
    net = ask.network
    return any(g == GROUP or (g in net and net.kind_of(g) in KINDS) for g in ask.groups)


def _moment(ask: Ask, hour: float | None, also: Sequence[Known] = ()) -> Moment:
    """Search one steady state, around it the tap positions where they may be chosen."""
    return Taps(ask, hour, also).best if _tapped(ask) else Moment(ask, hour, also)


def _switched(ask: Ask, names: list[str], hour: float | None, began: float) -> Moment:
    """Search every combination of open and closed; return the best, feasible ones first."""
    if len(names) > MOST_SWITCHED:
        msg = f"{len(names)} elements to switch are {2 ** len(names)} combinations; name at most {MOST_SWITCHED}"
        raise SeraiError(msg)
    best: tuple[tuple[bool, float, float], Moment] | None = None
    refused: SeraiError | None = None
    for positions in product((1.0, 0.0), repeat=len(names)):
        left = ask.seconds - (time.perf_counter() - began)
        if left <= 0.0 and best is not None:
            break
        also = [Known("open", n, p, source="dispatch") for n, p in zip(names, positions, strict=True)]
        try:
            made = _moment(replace(ask, seconds=max(left, 1.0)), hour, also)
        except SeraiError as error:  # closed so, a part has no source or no pressure
            refused = error
            continue
        made.setpoints = [*also_of(also, made.setpoints), *made.setpoints]
        rank = (made.after is None or not made.found.feasible, made.found.broken, made.found.value)
        if best is None or rank < best[0]:
            best = rank, made
    if best is None:
        raise refused or SeraiError(f"{ask.network.name}: no position of {', '.join(names)} has an answer")
    return best[1]


def also_of(also: Iterable[Known], setpoints: Iterable[Known]) -> list[Known]:
    """Return the positions of elements that no set-point speaks of."""
    spoken = {k.where for k in setpoints}
    return [k for k in also if k.where not in spoken]


def _answer(ask: Ask, job: Moment | Day, seconds: float) -> Dispatch:
    goal, found = job.goal, job.found
    value = [_value(goal, states) for states in (job.after, job.before)]
    result = job.after[0] if job.after else None
    violations = found.violations + others(ask, result, found)
    if result is None and not violations:
        status, reason = "refused", job.refusal
    elif violations or not found.lawful:
        status, reason = "infeasible near", job.refusal or found.reason
    else:
        status, reason = ("feasible" if found.reason in ("time", "rounds") else "optimal"), found.reason
    return Dispatch(
        ask.network, status, reason, ask.objective, goal.unit if goal else "", value[0], value[1],
        tuple(job.setpoints), tuple(job.commands), result, job.before[0] if job.before else None,
        violations, found.binding, found.conflict, _table(job), found, seconds, tuple(_frozen(ask, job)),
        tuple(job.own),
    )  # fmt: skip


def _value(goal: goals.Objective | None, states: tuple[Result, Any] | None) -> float:
    if states is None:
        return float("nan")
    return 0.0 if goal is None else goal.value(np.atleast_2d(states[1]))


def _frozen(ask: Ask, job: Moment | Day) -> list[str]:
    """Say which set-points were frozen outside their own limits."""
    broken = {b.element: b for b in (job.after[0].breaks() if job.after else [])}
    chosen = {k.where for k in job.setpoints}
    out = []
    for k in job.own:
        b = broken.get(k.where)
        if b is not None and k.where not in chosen and k.quantity == b.quantity:
            out.append(
                f"{k.quantity} of {k.where} is frozen at {b.value:.6g}, outside its own limit of {b.limit:.6g}: "
                f"let it be chosen, or give it another value"
            )
    del ask
    return out


def _table(job: Moment | Day) -> xr.Dataset:
    """Return what was chosen, before and after, with the limits that the search kept."""
    if isinstance(job, Moment):
        chosen, X, times = job.chosen, job.found.X, None
        before = None if job.before is None else job.before[1][None, :]
    else:
        chosen, X, times = list(job.plan.chosen[0]), job.found.X, job.times
        before = job.before[1] if job.before is not None else None
    columns = [c.shown for c in chosen]
    after = X[:, columns]
    past = np.full_like(after, np.nan) if before is None else before[:, columns]
    names, quantities = [c.element for c in chosen], [c.known.quantity for c in chosen]
    for was, now in kept(job.system, job.taps, job.setpoints) if isinstance(job, Moment) else ():
        names, quantities = [*names, was.where], [*quantities, was.quantity]
        past, after = (np.append(v, [[k.value]], axis=1) for v, k in ((past, was), (after, now)))
    dims: tuple[str, ...] = ("time", "setpoint")
    coords: dict[str, Any] = {
        "element": ("setpoint", names), "quantity": ("setpoint", quantities),
    }  # fmt: skip
    if times is None:
        return xr.Dataset({"before": ("setpoint", past[0]), "after": ("setpoint", after[0])}, coords=coords)
    coords["time"] = ("time", times, {"units": "s", "long_name": "end of the step, since the start"})
    course = {f"value_{k}": ("time", _course(job.goal, states, len(times)))
              for k, states in (("before", job.before), ("after", job.after))}  # fmt: skip
    return xr.Dataset({"before": (dims, past), "after": (dims, after), **course}, coords=coords)


def _course(goal: goals.Objective | None, states: tuple[Result, Any] | None, moments: int) -> Any:
    """Return what each moment adds to the objective (T,); nan where there is no state."""
    return np.array([_value(goal, states and (states[0], states[1][t])) for t in range(moments)])
