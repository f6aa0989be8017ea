# SPDX-License-Identifier: Apache-2.0
"""Regret: what each plan would have given up, had it been known which family of futures comes (Savage 1951)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.errors import UnknownName
from serai.network.sheet import near
from serai.plan.montecarlo import Rule, free_rule, operate, rule_of, values
from serai.plan.problem import Problem
from serai.plan.scenarios import draw
from serai.plan.value import Decisions, capacities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.plan.case import PlanningCase
    from serai.plan.made import Made
    from serai.plan.scenarios import Scenarios

    Floats = NDArray[np.float64]
    Family = Callable[[PlanningCase, Scenarios], Scenarios]

CLOSED_YEARS, FROM_YEAR = 5, 8  # a neighbour that closes for good closes for so many years, from this year of the plan


@dataclass(frozen=True)
class Regret:
    """Plans against families of futures.

    value   mean net present value [million USD]; rows plans, columns families
    regret  best of the column less the value;  worst = largest of each plan's row
    """

    value: pd.DataFrame

    @property
    def regret(self) -> pd.DataFrame:
        """What a plan gives up in each family against the best of these plans, [million USD]."""
        return self.value.max(axis=0) - self.value

    @property
    def worst(self) -> pd.Series[float]:
        """Largest regret of each plan, [million USD]."""
        return self.regret.max(axis=1)

    @property
    def choice(self) -> str:
        """The plan whose largest regret is least."""
        return str(self.worst.idxmin())


def fixed(problem: Problem, projects: Sequence[str] = (), contracts: Sequence[str] = ()) -> Decisions:
    """Return decisions by name: projects as early as they may be, open contracts signed; all that stands is booked.

    Raises UnknownName for a project or an open contract that the case does not have.
    """
    case = problem.case
    x, u = np.zeros((len(case.projects), len(problem.years))), np.ones(len(problem.sales))
    u[problem.open_contracts] = 0.0
    names, open_ = [p.name for p in case.projects], [case.contracts[i].name for i in problem.open_contracts]
    for wanted, known, what in ((projects, names, "project"), (contracts, open_, "open contract")):
        for name in wanted:
            if name not in known:
                msg = f"{case.name} has no {what} {name!r}{near(name, known)}"
                raise UnknownName(msg)
    for name in projects:
        i = names.index(name)
        x[i] = np.maximum.accumulate(problem.allowed[i])
    for i, p in enumerate(case.projects):
        if p.after and p.name in projects:
            x[i] *= x[names.index(p.after)]  # a stage waits for the one before it
    for name in contracts:
        u[problem.open_contracts[open_.index(name)]] = 1.0
    return Decisions(x, u, capacities(problem, x)[2])


def all_to(problem: Problem, market: str) -> Decisions:
    """Return the plan that builds everything towards one market, and all fields, and signs all its contracts."""
    case = problem.case
    markets = {m.name: m for m in case.markets}
    if market not in markets:
        msg = f"{case.name} has no market {market!r}{near(market, markets)}"
        raise UnknownName(msg)
    hubs = {c.hub for c in case.corridors if c.name in markets[market].corridors}
    wanted = {*markets[market].corridors, *(f.name for f in case.fields if f.hub in hubs)}
    projects = [p.name for p in case.projects if p.adds_to in wanted]
    contracts = [case.contracts[i].name for i in problem.open_contracts if case.contracts[i].market == market]
    return fixed(problem, projects, contracts)


def families(case: PlanningCase) -> dict[str, Family]:
    """Return the families of futures: as drawn, prices, each bloc closed for years, cold, a buyer who takes half."""
    found: dict[str, Family] = {
        "as drawn": lambda _, s: s,
        "low prices": lambda _, s: _priced(s, 0.65),
        "high prices": lambda _, s: _priced(s, 1.35),
        "cold winters": lambda _, s: replace(s, home=s.home * 1.1),
    }
    for bloc in dict.fromkeys(c.bloc for c in case.corridors):
        found[f"{bloc} closed"] = partial(_closed, bloc=bloc)
    largest = max(case.contracts, key=lambda g: g.quantity * (g.option == "signed"), default=None)
    if largest is not None:
        found[f"{largest.market} takes half"] = partial(_half, market=largest.market)
    return found


def _priced(s: Scenarios, factor: float) -> Scenarios:
    return replace(s, price=s.price * factor, contract_price=s.contract_price * factor)


def _closed(case: PlanningCase, s: Scenarios, bloc: str) -> Scenarios:
    """Return futures in which a bloc's corridors are shut for some years."""
    available = s.available.copy()
    for i, c in enumerate(case.corridors):
        if c.bloc == bloc:
            available[i, :, FROM_YEAR : FROM_YEAR + CLOSED_YEARS] = 0.0
    return replace(s, available=available)


def _half(case: PlanningCase, s: Scenarios, market: str) -> Scenarios:
    """Return futures in which a market nominates half and pays nothing for what it leaves."""
    nominated, paid = s.nominated.copy(), s.paid_not_taken.copy()
    for i, g in enumerate(case.contracts):
        if g.market == market:
            nominated[i] *= 0.5
            paid[i] = 0.0
    return replace(s, nominated=nominated, paid_not_taken=paid)


def regret(
    plans: Mapping[str, Made | Decisions],
    problem: Problem,
    *,
    futures: int = 100,
    seed: int = 3,
    of: Mapping[str, Family] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Regret:
    """Run plans through families of futures.

    plans    by name: found by `plan`, or decisions by `fixed` or `all_to`
    problem  of the case
    futures, seed  drawn for each family, the same ones
    of       families by name; None = `families`
    """
    case = problem.case
    drawn, kinds = draw(case, futures, seed=seed), of or families(case)
    rules: dict[str, Rule] = {
        name: free_rule(problem, p) if isinstance(p, Decisions) else rule_of(p) for name, p in plans.items()
    }
    table: dict[str, dict[str, float]] = {}
    for k, (family, change) in enumerate(kinds.items()):
        world = Problem(case, change(case, drawn))
        table[family] = {n: float(values(world, r.decisions, operate(world, r)).mean()) for n, r in rules.items()}
        if progress is not None:
            progress((k + 1) / len(kinds))
    return Regret(pd.DataFrame(table).loc[list(rules)])
