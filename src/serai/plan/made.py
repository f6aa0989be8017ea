# SPDX-License-Identifier: Apache-2.0
"""A plan as data: what it was made of and what was found, for all that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem
    from serai.plan.solve import Solved


@dataclass(frozen=True, repr=False)
class Made:
    """A problem, the bounds on dependence, the attitude to risk (weight, tail) and the solution found."""

    problem: Problem
    neutrality: Neutrality
    risk: float
    tail: float
    solved: Solved
