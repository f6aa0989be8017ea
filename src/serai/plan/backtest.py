# SPDX-License-Identifier: Apache-2.0
"""Back-test: what a plan would lose in the cuts that happened, against what history lost in them.

Two readings of every year of cuts. `same corridors`: the plan's year meets the same cuts on the same corridors for the
same months. `same rank`: the plan's largest neighbour in revenue does what history's did, the harder test, since a plan
that sells little through yesterday's trouble spot may hang on tomorrow's. Gas that a cut kept back may go another way
the same season; over the same corridor it is not caught up later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.plan.neutrality import dependences
from serai.plan.problem import Problem
from serai.plan.scenarios import expected, months
from serai.plan.stress import left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.case import Cut, PlanningCase
    from serai.plan.made import Made

    Floats = NDArray[np.float64]

YEARS = (2009, 2016, 2017, 2020, 2023)


def history(case: PlanningCase) -> pd.DataFrame:
    """Return sales by year: volume [bcm], revenue [million USD], share of the largest market in revenue."""
    rows = pd.DataFrame(
        [(s.year, s.market, s.volume, s.volume * s.price) for s in case.past_sales],
        columns=["year", "market", "volume", "revenue"],
    )
    if rows.empty:
        return pd.DataFrame(columns=["volume", "revenue", "largest", "share"])
    whole = rows.groupby("year")[["volume", "revenue"]].sum()
    top = rows.loc[rows.groupby("year")["revenue"].idxmax()].set_index("year")
    whole["largest"], whole["share"] = top["market"], top["revenue"] / whole["revenue"]
    return whole


def cut_share(case: PlanningCase, year: int) -> Floats:
    """Return the share of each corridor that the cuts of a calendar year left by month, (C, 12)."""
    found = np.ones((len(case.corridors), 12))
    for cut in case.outages_history:
        first, last = (max(0, months(cut.start) - 12 * year), min(11, months(cut.end) - 12 * year))
        for i, c in enumerate(case.corridors):
            if c.name in cut.corridors and first <= last:
                np.minimum(found[i, first : last + 1], 1.0 - cut.lost, out=found[i, first : last + 1])
    return found


def cuts_of(case: PlanningCase, year: int) -> list[Cut]:
    """Return the cuts that touched a calendar year."""
    return [c for c in case.outages_history if int(c.start[:4]) <= year <= int(c.end[:4])]


def backtest(plan: Made, years: Sequence[int] = YEARS, *, at: int | None = None) -> pd.DataFrame:
    """Return what a year of the plan would lose in the cuts of past years, and what history lost then.

    years  of cuts;  at = the plan's calendar year that meets them, None = its last

    history_before, history_lost   sales of the last year on record before [bcm], share of them that was not sold in the
                                   year of the cuts (volume; revenue in `history_revenue_lost`)
    same_corridors, same_rank      share of the plan's revenue lost (volume in `..._volume`), in the two readings
    neighbour                      the plan's largest market in revenue, which `same_rank` stops
    """
    case = plan.problem.case
    year = int(plan.problem.years[-1]) if at is None else at
    y = np.array([int(np.searchsorted(plan.problem.years, year))])
    sure = Problem(case, expected(case))
    base = left(sure, plan.solved.decisions, [[]], years=y)
    room = plan.solved.decisions.booked[:, y] * plan.problem.days
    used = np.where(room > 0.0, base.carried[0, 0] / np.maximum(room, 1e-9), 0.0)  # share of each corridor, (C, Q)
    volume, revenue, largest = (_by_year(case, c) for c in ("volume", "revenue", "share"))
    biggest, shut = _largest(plan, int(y[0]))
    rows = []
    for past in years:
        by_month = cut_share(case, past)
        alike = np.ones_like(by_month)
        alike[shut] = _worst(by_month)
        tests = []
        for share in (by_month, alike):
            open_ = np.ones((len(case.corridors), len(plan.problem.years), len(plan.problem.days)))
            hit = np.less(share, 1.0).max(axis=1, keepdims=True)
            open_[:, y[0]] = np.where(hit, used * _by_season(case, share), 1.0)
            found = left(sure, plan.solved.decisions, [[]], years=y, available=open_)
            tests.append(1.0 - float(found.revenue[0, 0] / base.revenue[0, 0]))
        earlier = [year for year in volume if year < past]
        before, told = (max(earlier) if earlier else 0), bool(earlier) and past in volume
        rows.append({
            "year": past, "events": "; ".join(c.event for c in cuts_of(case, past)),
            "history_before": volume[before] if told else np.nan,
            "history_lost": 1.0 - volume[past] / volume[before] if told else np.nan,
            "history_revenue_lost": 1.0 - revenue[past] / revenue[before] if told else np.nan,
            "history_largest": largest[before] if told else np.nan,
            "plan_before": float(base.revenue[0, 0]), "same_corridors": tests[0], "same_rank": tests[1],
            "neighbour": biggest,
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("year")


def _by_year(case: PlanningCase, column: str) -> dict[int, float]:
    return {int(str(year)): float(v) for year, v in history(case)[column].items()}


def _largest(plan: Made, y: int) -> tuple[str, list[int]]:
    """Return the market that brings most revenue in year y, and its corridors."""
    revenue = plan.solved.mixture.mean("revenue").sum(axis=2)[:, y]
    markets = [d for d in dependences(plan.problem) if d.dimension == "market"]
    best = max(markets, key=lambda d: float(revenue[d.ways].sum()))
    _, corridor, _ = plan.problem.ways
    return best.name, sorted(set(corridor[best.ways].tolist()))


def _worst(by_month: Floats) -> Floats:
    """Return what the corridor that lost most over the year had left in each month, (12,)."""
    return np.asarray(by_month[int(np.argmin(by_month.sum(axis=1)))])


def _by_season(case: PlanningCase, share: Floats) -> Floats:
    """Return monthly shares (C, 12) as means of the seasons (C, Q), which follow each other from January on."""
    edges = np.concatenate([[0.0], np.cumsum([s.days for s in case.settings.seasons])])
    edges = edges / edges[-1] * 12.0
    found = np.empty((len(share), len(edges) - 1))
    for q in range(len(edges) - 1):
        weight = np.clip(np.minimum(edges[q + 1], np.arange(1, 13)) - np.maximum(edges[q], np.arange(12)), 0.0, None)
        found[:, q] = share @ weight / weight.sum()
    return found
