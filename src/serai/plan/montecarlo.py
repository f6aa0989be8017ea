# SPDX-License-Identifier: Apache-2.0
"""A fixed plan in futures that it was not made with: distribution of value, shares, unserved home gas.

How gas is sold then follows the prices that neutrality had when the plan was made: the multipliers of its bounds, as a
fee on the volume and a toll on the revenue of each way. So the rule looks at no future before it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.plan.neutrality import dependences
from serai.plan.problem import Problem
from serai.plan.scenarios import draw
from serai.plan.value import policy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.made import Made
    from serai.plan.scenarios import Scenarios
    from serai.plan.value import Decisions, Policy

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """How a plan sells: decisions, and what each way costs in each year beside money: fee, toll (W, Y), discounted."""

    decisions: Decisions
    fee: Floats
    toll: Floats


def rule_of(plan: Made) -> Rule:
    """Return how a plan sells: the prices of its bounds, under which the mixture that proved its value is best."""
    prices = plan.solved.prices
    return Rule(plan.solved.decisions, prices.fee, prices.toll)


def free_rule(problem: Problem, decisions: Decisions) -> Rule:
    """Return the rule of a plan without bounds: sell where it earns most."""
    none = np.zeros((len(problem.ways[0]), len(problem.years)))
    return Rule(decisions, none, none)


def operate(problem: Problem, rule: Rule) -> Policy:
    """Sell every year's gas in every future of a problem by a rule."""
    weight = np.broadcast_to(problem.discount, (problem.scenarios.count, len(problem.years)))
    return policy(problem, rule.decisions, weight, rule.fee, rule.toll)


def spent(problem: Problem, at: Decisions) -> float:
    """Return the present value of builds, their upkeep and booked transit, [million USD]."""
    found = 0.0
    for i, p in enumerate(problem.case.projects):
        decided = np.flatnonzero(at.x[i] > 0.5)
        if len(decided):
            y = int(decided[0])
            found += p.capex * float(problem.spending[y])
            found += p.upkeep * p.capex * float(problem.discount[y + p.lead :].sum())
    booking = problem.case.settings.ship_or_pay * problem.fee[:, None] * at.booked
    return found + float((problem.discount * booking).sum())


def values(problem: Problem, at: Decisions, sold: Policy) -> Floats:
    """Return the net present value in each future, (S,) [million USD]."""
    sure = np.einsum("g,gsy,y->s", at.u, problem.fixed, problem.discount)
    return np.asarray(sold.earned @ problem.discount + sure - spent(problem, at))


@dataclass(frozen=True)
class MonteCarlo:
    """A plan in many futures.

    value     net present value, (S,) [million USD]
    unserved  home gas not delivered, (S, Y) [bcm]
    sold      of each future, by way and year, (W, S, Y) [bcm];  revenue likewise [million USD]
    """

    problem: Problem
    tail: float
    value: Floats
    unserved: Floats
    sold: Floats
    revenue: Floats

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return (
            f"<serai Monte Carlo of {self.problem.case.name}: {len(self.value):,} futures, mean "
            f"{self.value.mean():,.0f} million USD, worst {100 * self.tail:.0f} % {self.worst:,.0f}>"
        )

    @property
    def worst(self) -> float:
        """Mean of the worst `tail` share of futures, [million USD] (Rockafellar & Uryasev 2000)."""
        n = self.tail * len(self.value)
        ranked = np.sort(self.value)
        whole = int(n)
        rest = (n - whole) * ranked[whole] if whole < len(ranked) else 0.0
        return float((ranked[:whole].sum() + rest) / n)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Mean, standard deviation, quantiles of value, and how often and how much home gas lacks."""
        home = self.unserved.sum(axis=1)
        rows = {"value [million USD]": self.value, "unserved home gas [bcm]": home}
        table = pd.DataFrame(
            {
                name: {
                    "mean": v.mean(), "deviation": v.std(ddof=1) if len(v) > 1 else 0.0, "5 %": np.quantile(v, 0.05),
                    "median": np.median(v), "95 %": np.quantile(v, 0.95), "least": v.min(), "most": v.max(),
                }
                for name, v in rows.items()
            }
        ).T  # fmt: skip
        table["futures with any"] = [np.nan, float((home > 1e-6).mean())]
        return table

    @cached_property
    def shares(self) -> pd.DataFrame:
        """Share of every dependence by year: of the expected amounts, its 5 and 95 % quantile over futures."""
        rows = []
        for d in dependences(self.problem):
            for measure, amount in (("volume", self.sold), ("revenue", self.revenue)):
                part, whole = amount[d.ways].sum(axis=0), np.maximum(amount.sum(axis=0), 1e-9)
                each = part / whole
                rows += [
                    (d.dimension, d.name, measure, int(year), part[:, y].mean() / whole[:, y].mean(),
                     np.quantile(each[:, y], 0.05), np.quantile(each[:, y], 0.95))
                    for y, year in enumerate(self.problem.years)
                ]  # fmt: skip
        return pd.DataFrame(rows, columns=["dimension", "name", "measure", "year", "share", "low", "high"])


def monte_carlo(
    plan: Made, futures: int = 1000, *, seed: int = 2, scenarios: Scenarios | None = None, rule: Rule | None = None
) -> MonteCarlo:
    """Run a fixed plan through fresh futures.

    futures, seed  how many are drawn, from which seed: another than the plan was made with
    scenarios      given futures instead
    rule           how gas is sold; None = by the prices of the plan's bounds
    """
    case = plan.problem.case
    problem = Problem(case, scenarios or draw(case, futures, seed=seed))
    rule = rule or rule_of(plan)
    found = operate(problem, rule)
    _, _, way = problem.ways
    shape = (len(problem.ways[0]), problem.scenarios.count, len(problem.years))
    sold, revenue = np.zeros(shape), np.zeros(shape)
    np.add.at(sold, way, found.by_pair)
    np.add.at(revenue, way, found.by_pair * problem.netback)
    value = values(problem, rule.decisions, found)
    return MonteCarlo(problem, plan.tail, value, found.unserved, sold, revenue)
