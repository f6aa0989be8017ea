# SPDX-License-Identifier: Apache-2.0
"""An export plan: what to build and sign, how gas is sold then, and on whom that makes the country depend."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serai.errors import PhysicsRefused
from serai.plan.backtest import YEARS as PAST
from serai.plan.backtest import backtest
from serai.plan.breaking import breaking
from serai.plan.case import PlanningCase, inputs, read_planning
from serai.plan.conflicts import conflicts
from serai.plan.export import to_linopy, to_mps
from serai.plan.frontier import around
from serai.plan.made import Made
from serai.plan.montecarlo import monte_carlo
from serai.plan.neutrality import Neutrality, dependences, herfindahl
from serai.plan.problem import Problem
from serai.plan.replay import replay
from serai.plan.scenarios import draw
from serai.plan.security import certificate, n_minus_1
from serai.plan.solve import solve

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from serai.network import Network
    from serai.plan.frontier import Frontier
    from serai.plan.montecarlo import MonteCarlo
    from serai.plan.replay import Replay


class Plan(Made):
    """The best plan found under one neutrality and one attitude to risk, with the proof of how good it is.

    value, bound   million USD of the base year; no plan is worth more than `bound`
    gap            their difference, relative
    """

    def __repr__(self) -> str:
        """Say what it is in one line."""
        built = int((self.solved.decisions.x[:, -1] > 0.5).sum())
        return (
            f"<serai plan of {self.problem.case.name}: {built} projects, {self.value:,.0f} million USD, "
            f"gap {100 * self.gap:.2f} %>"
        )

    @property
    def value(self) -> float:
        """(1 - risk) mean + risk x mean of the worst `tail` share of futures, [million USD]."""
        return self.solved.value

    @property
    def bound(self) -> float:
        """What no plan can exceed, [million USD]."""
        return self.solved.bound

    @property
    def gap(self) -> float:
        """What is left to prove, relative to the value."""
        return self.solved.gap

    @cached_property
    def builds(self) -> pd.DataFrame:
        """Projects that are built: when decided, from when they carry, capacity [bcm/y], money [million USD]."""
        x, years = self.solved.decisions.x, self.problem.years
        rows = [
            {"project": p.name, "adds_to": p.adds_to, "decided": int(years[y]), "carries": int(years[y]) + p.lead,
             "capacity": p.capacity, "capex": p.capex, "confidence": p.confidence, "source": p.source}
            for i, p in enumerate(self.problem.case.projects)
            for y in np.flatnonzero(x[i] > 0.5)[:1]
        ]  # fmt: skip
        columns = ["project", "adds_to", "decided", "carries", "capacity", "capex", "confidence", "source"]
        return pd.DataFrame(rows, columns=columns).sort_values("decided", ignore_index=True)

    @cached_property
    def contracts(self) -> pd.DataFrame:
        """Every contract: whether it is signed."""
        u = self.solved.decisions.u
        return pd.DataFrame(
            {"contract": g.name, "market": g.market, "start": g.start, "end": g.end, "quantity": g.quantity,
             "signed": g.option == "signed" or u[i] > 0.5}
            for i, g in enumerate(self.problem.case.contracts)
        )  # fmt: skip

    @cached_property
    def flows(self) -> pd.DataFrame:
        """Expected volume by corridor and year, [bcm]."""
        whole = self.solved.mixture.mean("by_corridor")  # (C, S, Y, Q)
        volume = np.einsum("csyq,s->cy", whole, self.problem.scenarios.probability)
        return pd.DataFrame(volume.T, index=self._years, columns=[c.name for c in self.problem.case.corridors])

    @cached_property
    def shares(self) -> pd.DataFrame:
        """Share of every dependence in expected volume and revenue, by year."""
        volume, revenue = (self.solved.mixture.mean(m).sum(axis=2) for m in ("volume", "revenue"))  # (W, Y)
        rows = {}
        for d in dependences(self.problem):
            for measure, amount in (("volume", volume), ("revenue", revenue)):
                total = np.maximum(amount.sum(axis=0), 1e-9)
                rows[d.dimension, d.name, measure] = amount[d.ways].sum(axis=0) / total
        table = pd.DataFrame(rows, index=self._years)
        table.columns.names = ["dimension", "name", "measure"]
        return table

    @cached_property
    def concentration(self) -> pd.DataFrame:
        """Herfindahl-Hirschman index by dimension and year, of volume: 1 = all on one neighbour."""
        found = {}
        for dimension in ("route", "market", "bloc"):
            names = self.shares[dimension].columns.get_level_values(0).unique()
            share = np.array([self.shares[dimension, n, "volume"] for n in names])
            found[dimension] = herfindahl(share)
        return pd.DataFrame(found, index=self._years)

    @cached_property
    def certificate(self) -> pd.DataFrame:
        """N-1 of every piece in every year: what can still be exported over what is firm, and home gas that lacks."""
        return certificate(self, self.neutrality.cover)

    @cached_property
    def n_minus_1(self) -> pd.DataFrame:
        """The N-1 index of Regulation (EU) 2017/1938 by area and year, and its mirror for firm exports."""
        return n_minus_1(self)

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """Every input row: file, name, confidence, source."""
        return inputs(self.problem.case)

    def monte_carlo(self, futures: int = 1000, *, seed: int = 2) -> MonteCarlo:
        """Run the plan through fresh futures: value, shares, unserved home gas."""
        return monte_carlo(self, futures, seed=seed)

    def frontier(self, **how: Any) -> Frontier:
        """Plan at other risks and other bounds on shares: what caution and neutrality cost; see `frontier.around`."""
        return around(self, **how)

    def breaking(self, years: Sequence[int] = (), **how: Any) -> pd.DataFrame:
        """Return the smallest sets of outages that break the plan; see `serai.plan.breaking`."""
        return breaking(self, years, **how)

    def backtest(self, years: Sequence[int] = PAST) -> pd.DataFrame:
        """Return what the plan would lose in the cuts of past years, against what history lost."""
        return backtest(self, years)

    def replay(self, network: Network | None = None, **how: Any) -> Replay:
        """Run each year's peak flows through the exact laws on the expanded network; see `serai.plan.replay`."""
        return replay(self, network, **how)

    def to_mps(self, path: str | os.PathLike[str]) -> Path:
        """Write the whole program as an MPS file that other solvers read."""
        return to_mps(self, path)

    def to_linopy(self) -> Any:
        """Return the whole program as a linopy model with named variables and constraints."""
        return to_linopy(self)

    @property
    def _years(self) -> list[int]:
        return [int(y) for y in self.problem.years]


def plan(
    case: str | os.PathLike[str] | PlanningCase,
    *,
    neutrality: Neutrality | None = None,
    risk: float = 0.0,
    tail: float = 0.1,
    futures: int = 100,
    seed: int = 1,
    gap: float = 1e-3,
    seconds: float = 60.0,
    progress: Callable[[float, float], None] | None = None,
) -> Plan:
    """Plan exports: what to build and sign so that value is largest within the bounds on dependence.

    case        a bundled case, a case folder with planning tables, or tables already read

    neutrality  bounds on dependence; None = none
    risk, tail  weight of the mean of the worst `tail` share of futures against the mean of all
    futures, seed   how many are drawn, from which seed
    gap, seconds    ends when the gap is proven or the time is up: the best plan so far and its gap
    progress    is told (value, bound) as they move

    Raises CaseError for mistakes in the tables, PhysicsRefused when no plan keeps the bounds.
    """
    tables = case if isinstance(case, PlanningCase) else read_planning(case)
    problem = Problem(tables, draw(tables, futures, seed=seed))
    rule = neutrality or Neutrality()
    try:
        found = solve(problem, rule, risk=risk, tail=tail, gap=gap, seconds=seconds, progress=progress)
    except PhysicsRefused as error:
        said = conflicts(problem, rule)
        if not said:
            raise
        text = "; ".join(str(c) for c in said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")
        msg = f"{error}: {text}"
        raise PhysicsRefused(msg, [c.element for c in said]) from None
    return Plan(problem, rule, risk, tail, found)
