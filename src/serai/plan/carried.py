# SPDX-License-Identifier: Apache-2.0
"""A plan that the pipes can carry: plan, replay, cut what the exact laws refuse, plan again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serai.plan.case import PlanningCase, read_planning
from serai.plan.plan import plan
from serai.plan.replay import replay, with_cuts

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from serai.network import Network
    from serai.plan.plan import Plan
    from serai.plan.replay import Replay


def carried_plan(
    case: str | os.PathLike[str] | PlanningCase,
    *,
    rounds: int = 5,
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
        tables = with_cuts(tables, tried.cuts)
    return found
