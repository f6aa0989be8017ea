# SPDX-License-Identifier: Apache-2.0
"""The smallest set of outages that breaks a plan, found by enumeration, sizes in turn.

A set breaks the plan when homes lack gas on the peak day, when firm exports cannot be delivered, or when more than a
share of the revenue is lost. Every set of one size is solved, each as an exact network flow, before the next size is
begun: the size found is proven, and so is that nothing up to the last size breaks where nothing was found.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.plan.neutrality import Dependence, dependences, elements
from serai.plan.problem import Problem
from serai.plan.scenarios import expected
from serai.plan.stress import left
from serai.plan.value import firm_sales

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from serai.plan.made import Made
    from serai.plan.stress import Left, Piece

    Floats = NDArray[np.float64]

CRITERIA = ("homes", "firm export", "revenue")
TINY = 1e-6  # bcm, or share of the revenue


def pieces(plan: Made, of: str = "elements") -> list[Piece]:
    """Return what may fail: `elements` (corridors, lines, trains), `neighbours` (that stop), or `both`."""
    parts: list[Piece] = []
    if of in ("elements", "both"):
        parts += elements(plan.problem.case)
    if of in ("neighbours", "both"):
        parts += dependences(plan.problem)
    return parts


def breaking(
    plan: Made,
    years: Sequence[int] = (),
    *,
    max_loss: float = 0.5,
    cover: float = 1.0,
    most: int = 3,
    of: str = "elements",
    progress: Callable[[float], None] | None = None,
) -> pd.DataFrame:
    """Return the smallest sets of outages that break a plan, by year and criterion.

    years     calendar years; none given = the last one
    max_loss  share of the year's revenue; losing more breaks the plan
    cover     of firm sales that must stay deliverable
    most      largest size that is enumerated
    of        `elements`, `neighbours` or `both`

    One row for every smallest set: size, set, by how much it breaks (bcm/y on the peak day, bcm of firm sales, share of
    the revenue). A criterion that nothing breaks up to `most` has one row with size 0. How many sets were solved is in
    `attrs`.
    """
    case = plan.problem.case
    sure = Problem(case, expected(case))
    at, parts = plan.solved.decisions, pieces(plan, of)
    y = np.searchsorted(plan.problem.years, list(years) or [int(plan.problem.years[-1])])
    firm = (at.u @ firm_sales(plan.problem))[y] * cover
    base = left(sure, at, [[]], years=y)
    open_ = {(c, k) for c in CRITERIA for k in range(len(y))}
    rows: list[tuple[int, str, int, str, float]] = []
    solved = 0
    for size in range(1, most + 1):
        sets = list(combinations(parts, size))
        solved += len(sets)
        amount = _amounts(left(sure, at, sets, years=y), base, firm, max_loss)
        for criterion, k in sorted(open_):
            hit = np.flatnonzero(amount[criterion][:, k] > TINY)
            for i in hit:
                name = " + ".join(named(e) for e in sets[i])
                rows.append((int(plan.problem.years[y[k]]), criterion, size, name, float(amount[criterion][i, k])))
            if len(hit):
                open_.discard((criterion, k))
        if progress is not None:
            progress(size / most)
        if not open_:
            break
    rows += [(int(plan.problem.years[y[k]]), c, 0, "", 0.0) for c, k in open_]
    table = pd.DataFrame(rows, columns=["year", "criterion", "size", "set", "by"])
    table = table.sort_values(["year", "criterion", "by"], ascending=[True, True, False], ignore_index=True)
    table.attrs.update(solved=solved, most=most, max_loss=max_loss, cover=cover)
    return table


def named(piece: Piece) -> str:
    """Return a piece's name; a neighbour's with what it is."""
    return f"{piece.dimension} {piece.name}" if isinstance(piece, Dependence) else piece.name


def _amounts(found: Left, base: Left, firm: Floats, max_loss: float) -> dict[str, Floats]:
    """Return by how much each set breaks each year, (n, Y), by criterion; not above 0 = it does not."""
    lost = 1.0 - found.revenue / np.maximum(base.revenue, 1e-9)
    return {
        "homes": found.missing + found.unserved,
        "firm export": firm - found.exported,
        "revenue": np.where(base.revenue > 0.0, lost - max_loss, 0.0),
    }
