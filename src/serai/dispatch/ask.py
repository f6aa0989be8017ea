# SPDX-License-Identifier: Apache-2.0
"""What a dispatch is asked, and the task that it makes of it: limits, bounds, objective."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from serai.dispatch import objective as goals
from serai.dispatch.choices import Choice, column_bounds
from serai.dispatch.limits import Ranges, Row, joined, linepack_kept, loading, ramps, ranges
from serai.dispatch.sequence import Task
from serai.errors import SeraiError, UnknownName
from serai.known import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from serai.dispatch.horizon import Horizon
    from serai.network import Network
    from serai.system import System

    Floats = NDArray[np.float64]

NEAR = 0.8  # of its rating: a line that is looked at when only gas is chosen
TERMINAL = ("supply", "withdrawal")  # bounds on these are bounds of a share of a node's column


@dataclass(frozen=True)
class Ask:
    """What was asked, as both kinds of job take it; see `dispatch`."""

    network: Network
    knowns: tuple[Known, ...]
    groups: tuple[str, ...]
    objective: str
    costs: dict[str, float | Sequence[float]] = field(default_factory=dict)
    bounds: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    ramps: dict[tuple[str, str], float] = field(default_factory=dict)
    line_limit: str = "current"
    cell: float | None = None
    seconds: float = 120.0
    accuracy: float = 1e-7
    told: Callable[[float, float], None] | None = None
    starts: int = 1

    def terminal_bounds(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Return the bounds on supplies and deliveries."""
        return {k: v for k, v in self.bounds.items() if k[0] in TERMINAL}

    def goal(self, system: System, *, weight: float = 1.0) -> goals.Objective | None:
        """Return the objective on a system; None = only the violations count."""
        if self.objective == "nothing":
            return None
        if self.objective == "fuel":
            return goals.fuel(system, weight=weight, unit="kg/s" if weight == 1.0 else "kg")
        if self.objective == "losses":
            made = goals.losses(system, weight=weight)
            return made if weight == 1.0 else replace(made, unit="J")
        made = goals.cost(system, self.costs, weight=1.0 if weight == 1.0 else weight / 3600.0)
        return made if weight == 1.0 else replace(made, unit="in all")


@dataclass(frozen=True)
class Plan:
    """What is chosen in each moment (T,): the choices, what their columns had before, and the Knowns in force."""

    chosen: Sequence[Sequence[Choice]]
    value: Sequence[Mapping[int, float]]
    knowns: Sequence[Sequence[Known]]


def task(ask: Ask, horizon: Horizon, plan: Plan, start: Floats, *, linepack: float | None = None) -> Task:
    """Return the task of a horizon from a start (T, n_column); `linepack` [kg] is to be kept at its end."""
    system = horizon.system
    kept, bounds = [], []
    for t in range(horizon.moments):
        system.take(plan.knowns[t])
        bounds.append(column_bounds(plan.chosen[t], plan.value[t]))
        r = ranges(system, horizon.fixed[t])
        _narrow(r, ask, system)
        kept.append(r)
    # over a day, lines that are far from their rating are left out; what comes out is judged with all of them
    near = None if horizon.moments == 1 or "generation" in ask.groups else (start, NEAR)
    rows: list[Row | None] = [loading(horizon, of=ask.line_limit, near=near)]
    if linepack is not None:
        rows.append(linepack_kept(horizon, linepack))
    if ask.ramps and horizon.step is not None:
        per = {_column(system, *k): (v * horizon.step / 3600.0, k) for k, v in ask.ramps.items()}
        rows.append(ramps(horizon, per))
    weight = 1.0 if horizon.step is None else horizon.step
    cut = {c.column for c in plan.chosen[0] if c.known.quantity == "withdrawal"}
    goal = goals.served(ask.goal(system, weight=weight), cut, system.equations.columns.size, weight)
    return Task(horizon, kept, bounds, joined(rows), goal, start)


def _narrow(r: Ranges, ask: Ask, system: System) -> None:
    """Add the limits that were asked for beside the network's own."""
    for (quantity, where), (low, high) in ask.bounds.items():
        if quantity in TERMINAL:
            continue
        if low > high:
            msg = f"bounds of {quantity} of {where}: nothing lies between {low:g} and {high:g}"
            raise SeraiError(msg)
        r.narrow(_column(system, quantity, where), low, high, (quantity, where))


def _column(system: System, quantity: str, where: str) -> int:
    """Return the column of a quantity of an element; UnknownName when there is none."""
    kind = system.network.kind_of(where)
    if kind in ("supplies", "offtakes") and quantity in ("supplied", "delivered"):
        msg = f"bound {quantity} of {where} as `supply` or `withdrawal`"
        raise UnknownName(msg)
    name = {"pressure_drop": "drop"}.get(quantity, quantity)
    c = system.equations.columns
    if name in c and where in c[name].index:
        return c[name].index[where]
    placed = system.place(Known(quantity, where, 1.0))
    if placed is None:
        msg = f"{where} has no {quantity} that could be bounded"
        raise UnknownName(msg)
    return placed[0]
