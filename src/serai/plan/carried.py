# SPDX-License-Identifier: Apache-2.0
"""A plan that the pipes can carry: plan, replay, cut what the exact laws refuse, plan again.

A refused plan is sold anew within its cuts, with the same builds, until the laws carry what is left: that takes a
replay of the days that changed, where a plan takes a minute. Only then is the plan made anew, with all cuts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.plan.case import PlanningCase, read_planning
from serai.plan.made import Made
from serai.plan.plan import plan
from serai.plan.problem import Problem
from serai.plan.replay import replay, with_cuts
from serai.plan.scenarios import usable
from serai.plan.value import capacities

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from serai.network import Network
    from serai.plan.plan import Plan
    from serai.plan.replay import Cut, Replay

SOLD_ANEW = 12  # times at most, with the same builds


def carried_plan(
    case: str | os.PathLike[str] | PlanningCase,
    *,
    rounds: int = 8,
    network: Network | None = None,
    years: Sequence[int] = (),
    told: Callable[[Plan, Replay], None] | None = None,
    **how: Any,
) -> list[tuple[Plan, Replay]]:
    """Plan, replay, cut, plan again, until the exact laws accept: every round's plan and replay, the last one first.

    rounds  at most
    years   that are replayed, none given = all
    told    is called with every round's plan and replay
    how     what `plan` takes
    """
    tables = case if isinstance(case, PlanningCase) else read_planning(case)
    found: list[tuple[Plan, Replay]] = []
    for _ in range(rounds):
        made = plan(tables, **how)
        tried = replay(made, network, years=years)
        found.insert(0, (made, tried))
        if told is not None:
            told(made, tried)
        if tried.accepted or not tried.cuts:
            break
        if len(found) < rounds:
            tables = settled(made, tried, network, years)
    return found


def settled(made: Made, tried: Replay, network: Network | None = None, years: Sequence[int] = ()) -> PlanningCase:
    """Return the case with cuts within which the laws carry what the builds of a plan sell, as far as that is reached.

    tried  the replay of the plan itself
    """
    for _ in range(SOLD_ANEW):
        made = sold_anew(made, tried.cuts)
        tried = replay(made, network, years=years, before=tried)
        if tried.accepted or not tried.cuts:
            break
    return with_cuts(made.problem.case, tried.cuts)


def sold_anew(made: Made, cuts: Sequence[Cut]) -> Made:
    """Return a plan with the same builds, contracts, futures and prices of its bounds, in a case with cuts."""
    case, at, was = with_cuts(made.problem.case, cuts), made.solved.decisions, made.problem.scenarios
    less = usable(case, [c.derated for c in cuts if c.derated is not None])
    problem = Problem(case, replace(was, available=was.available * less))
    booked = np.minimum(at.booked, capacities(problem, at.x)[2])
    solved = replace(made.solved, decisions=replace(at, booked=booked))
    return Made(problem, made.neutrality, made.risk, made.tail, solved)
