# SPDX-License-Identifier: Apache-2.0
"""N-1 by name: every piece in every year, the index of the European regulation, and its mirror for exports.

Regulation (EU) 2017/1938, Annex II:  N-1 [%] = (EPm + Pm + Sm + LNGm - Im) / Dmax x 100, at least 100, where EPm is the
technical capacity of entry points, Pm of production, Sm of storage, LNGm of terminals, Im of the single largest piece
of infrastructure and Dmax the demand of a day of exceptionally high demand that occurs once in 20 years [million m3/d].
The mirror for an exporter: what can still be delivered without the largest route, over what is sold firm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.plan.neutrality import Dependence, dependences, elements
from serai.plan.problem import Problem
from serai.plan.scenarios import expected
from serai.plan.stress import left
from serai.plan.value import capacities, firm_sales, peak_demand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.made import Made

    Floats = NDArray[np.float64]

PER_DAY = 1.0 / 0.365  # million m3/d of a bcm/y
ENOUGH = 1e-6  # bcm


def certificate(plan: Made, cover: float = 1.0) -> pd.DataFrame:
    """Return N-1 of every piece and year.

    lost      share of the piece that fails;  left = deliverable exports, homes first [bcm]
    cover     `left` over firm sales (nan where nothing is firm);  missing = home gas that the peak day lacks [bcm/y]
    holds     homes are warm on the peak day and all year, and firm sales x `cover` can be delivered
    """
    case = plan.problem.case
    sure = Problem(case, expected(case))
    at, parts = plan.solved.decisions, elements(case)
    found = left(sure, at, [[e] for e in parts])
    firm = at.u @ firm_sales(plan.problem)
    rows = []
    for k, e in enumerate(parts):
        for y, year in enumerate(plan.problem.years):
            out, lacking = float(found.exported[k, y]), float(found.missing[k, y])
            warm = lacking <= ENOUGH and found.unserved[k, y] <= ENOUGH
            share = out / firm[y] if firm[y] > 0.0 else np.nan
            holds = bool(warm and out >= cover * firm[y] - ENOUGH)
            rows.append((e.kind, e.name, int(year), e.lost, out, share, lacking, holds))
    return pd.DataFrame(rows, columns=["kind", "element", "year", "lost", "left", "cover", "missing", "holds"])


def n_minus_1(plan: Made) -> pd.DataFrame:
    """Return the index of Annex II for the country and each hub, and its mirror for exports, by year.

    Volumes [million m3/d]. For a hub, trunk lines into it are its entry points. No storage and no terminal stand in
    these tables, so Sm = LNGm = 0. The largest piece is the one with the largest capacity in the tables: one train of a
    field or one line of a trunk; for exports, all corridors through one border point.
    """
    case, problem = plan.problem.case, plan.problem
    sure = Problem(case, expected(case))
    fields, links, _ = capacities(problem, plan.solved.decisions.x)
    demand = peak_demand(sure)
    rows = []
    for area in ("country", *case.hubs):
        hubs = list(range(len(case.hubs))) if area == "country" else [case.hubs.index(area)]
        into = [i for i, x in enumerate(case.links) if area != "country" and area in (x.from_hub, x.to_hub)]
        for y, year in enumerate(problem.years):
            entry, made = links[into, y].sum(), fields[hubs, y].sum()
            size, name = _largest(plan, hubs, into, y, links)
            peak = demand[hubs, y].sum()
            index = 100.0 * (entry + made - size) / peak if peak > 0.0 else np.nan
            rows.append((area, int(year), entry, made, size, name, peak, index))
    table = pd.DataFrame(rows, columns=["area", "year", "EPm", "Pm", "Im", "element", "Dmax", "index"])
    table[["EPm", "Pm", "Im", "Dmax"]] *= PER_DAY
    return pd.concat([table, _exports(plan, sure)], ignore_index=True)


def _largest(plan: Made, hubs: list[int], into: list[int], y: int, links: Floats) -> tuple[float, str]:
    """Return the capacity [bcm/y] and name of the largest piece that feeds some hubs in year y."""
    case = plan.problem.case
    past = float(plan.problem.years[y] - case.settings.base_year)
    found = [(0.0, "none")]
    for e in elements(case):
        if e.kind == "field":
            f = case.fields[e.number]
            if case.hubs.index(f.hub) in hubs:
                found.append((e.lost * f.capacity * (1.0 - f.decline) ** past, e.name))
        elif e.kind == "link" and e.number in into:
            found.append((e.lost * float(links[e.number, y]), e.name))
    return max(found)


def _exports(plan: Made, sure: Problem) -> pd.DataFrame:
    """Return the mirror: deliverable without the largest route over firm sales; Im is what that route can carry."""
    at, problem = plan.solved.decisions, plan.problem
    routes = [d for d in dependences(problem) if d.dimension == "route"]
    gone = [_corridors(problem, d) for d in routes]
    found = left(
        sure, at, [[e for e in elements(problem.case) if e.kind == "corridor" and e.number in c] for c in gone]
    )
    firm = at.u @ firm_sales(problem)
    rows = []
    for y, year in enumerate(problem.years):
        carried = [at.booked[sorted(c), y].sum() for c in gone]
        k = int(np.argmax(carried))
        share = 100.0 * found.exported[k, y] / firm[y] if firm[y] > 0.0 else np.nan
        rows.append(("firm export", int(year), np.nan, float(found.exported[k, y]) * PER_DAY,
                     carried[k] * PER_DAY, routes[k].name, firm[y] * PER_DAY, share))  # fmt: skip
    return pd.DataFrame(rows, columns=["area", "year", "EPm", "Pm", "Im", "element", "Dmax", "index"])


def _corridors(problem: Problem, d: Dependence) -> set[int]:
    return {i for i, c in enumerate(problem.case.corridors) if c.route == d.name}
